//! Tests of PBFT, named after the rules and holes that they are about.
#![allow(clippy::unwrap_used)]

mod cluster;
mod craft;

mod random;
mod restart;
mod steady;
