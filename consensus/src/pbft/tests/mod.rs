//! Tests of PBFT, named after the rules and holes that they are about.
#![allow(clippy::unwrap_used)]

mod cluster;
mod craft;

mod bounds;
mod catch_up;
mod golden;
mod liars;
mod messages;
mod opening;
mod others;
mod random;
mod reads;
mod replication;
mod restart;
mod rules;
mod steady;
mod view_change;
mod watermarks;
