//! Clusters of real processes: the program itself, real sockets, real syncs, real kills.
//!
//! Each test starts its own cluster at an address of its own and ends with the same judgement: the
//! nodes' logs agree. They share the machine's cores and disk, so they run one at a time.

#![cfg(feature = "e2e")]
#![allow(clippy::unwrap_used)]

mod adversary;
mod blackout;
mod command_line;
mod crash;
mod disk;
mod durable;
mod evidence;
mod handover;
mod inspect;
mod power;
mod requests;
mod rounds;
mod sleep;
mod slow;
mod world;
