//! The whole node as one deterministic machine, without I/O: consensus, mempool, log and execution
//! joined by effects and completions. The runtime (tokio, libp2p, RocksDB) and the simulator run
//! the same [`Machine`].

mod describe;
mod effect;
mod engine;
mod execution;
mod ingress;
mod input;
mod machine;
mod ordering;
mod pooling;
mod recover;
mod requests;
mod rows;
mod setup;
mod standstill;
mod wire;

#[cfg(test)]
mod tests;

pub use effect::{Class, Effect, Query, Refusal, Reply};
pub use engine::Engine;
pub use ingress::{Checked, Gatekeeper};
pub use input::{Input, RequestId, Wait};
pub use machine::{Ingress, Machine, Status};
pub use recover::Recovered;
pub use rows::{evidence, payload_of};
pub use setup::{Setup, rules, state_limits};
pub use wire::{Frame, decode};
