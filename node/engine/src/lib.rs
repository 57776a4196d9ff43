//! The whole node as one deterministic machine, without I/O: consensus, mempool, log and execution
//! joined by effects and completions. The runtime (tokio, libp2p, RocksDB) and the simulator run
//! the same [`Machine`].

mod effect;
mod input;
mod machine;

pub use effect::{Class, Effect, Query, Refusal, Reply};
pub use input::{Input, RequestId, Wait};
pub use machine::{Ingress, Machine, Status};
