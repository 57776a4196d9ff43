//! Tests of the shell, named after its rules.
#![allow(clippy::unwrap_used)]

mod bench;
mod checkpoint;
mod crash;
mod evidence;
mod gate;
mod guard;
mod mock;
