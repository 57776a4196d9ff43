//! Everything around the machine: threads, sockets, clock and disk.

pub mod metrics;
pub mod network;
mod occasionally;
pub(crate) mod requests;
