//! Tests of Raft, named after the rules and holes that they are about.
#![allow(clippy::unwrap_used)]

mod cluster;
mod craft;

mod catch_up;
mod commits;
mod execution;
mod found;
mod golden;
mod leases;
mod messages;
mod quorums;
mod random;
mod reads;
mod replication;
mod restart;
mod transfer;
mod view_change;
