//! Tests of HotStuff, named after the rules and holes that they are about.
#![allow(clippy::unwrap_used)]

mod cluster;
mod craft;

mod catch_up;
mod golden;
mod messages;
mod others;
mod random;
mod reads;
mod replication;
mod restart;
mod rules;
mod steady;
mod view_change;
