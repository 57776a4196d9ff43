//! Everything around the machine: threads, sockets, clock and disk.
//!
//! ```text
//! peers -- network --> verify --> inbox --> machine --> network --> peers
//! clients -- rpc ----> verify -----^  ^  ^      |-----> storage --> loader
//!                          Written, Loaded   Executed <-- executor <--|
//! ```
//!
//! One thread each for the machine, the log, its reads, the executor and control messages, a few
//! for batches and transactions; the network and RPC share tokio's. All of them sleep while nothing
//! happens.

mod clock;
mod driver;
mod executor_thread;
mod failure;
mod inbox;
pub mod metrics;
pub mod network;
mod occasionally;
pub(crate) mod pulse;
pub(crate) mod requests;
mod start;
mod storage_thread;
mod verify;

pub use clock::Clock;
pub use start::{RuntimeConfig, run, stop_on_signal};

#[cfg(test)]
mod tests;
