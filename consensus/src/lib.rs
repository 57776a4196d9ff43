//! The protocols, without I/O, clock, threads or entropy, and the shell that all of them share.
//!
//! [`contract`] is what a protocol is; [`replica`] wraps one so that nothing leaves before it is
//! durable and nothing is promised twice; [`hotstuff`] is chained HotStuff, [`pbft`] Castro and
//! Liskov's protocol, [`raft`] Raft; [`common`] is what these have in common.

pub mod common;
pub mod contract;
pub mod hotstuff;
pub mod pbft;
pub mod raft;
pub mod replica;
#[cfg(test)]
mod testing;

pub use contract::*;
