//! The shell around every protocol (ARCHITECTURE.md, section 3): it makes outputs durable before
//! they are relied on, signs, gives own messages back, and never promises two things for one slot.
//!
//! Node and simulator run this same code, so the order of writes and sends is tested where crashes
//! are cheap.

mod checkpoint;
mod commits;
mod effect;
mod evidence;
mod gate;
mod guard;
mod input;
mod shell;
#[cfg(test)]
mod tests;
mod wire;

use checkpoint::CheckpointDraft;

pub use checkpoint::{Checkpoint, StableCheckpoint};
pub use effect::{Effect, Fence, LogOp};
pub use guard::Damaged;
pub use input::{ReplicaInput, ShellConfig, Stored};
pub use shell::Replica;
pub use wire::Wire;
