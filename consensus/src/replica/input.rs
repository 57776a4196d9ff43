//! What goes into the shell.

use super::{Checkpoint, Fence, StableCheckpoint, Wire};
use crate::{Anchor, Evidence, Input, Protocol};
use crypto::{Digest, Height, Kind, NodeId, Reject, Slot, Verified, Verifier};
use std::num::NonZeroU64;

/// The shell's own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellConfig {
    /// A checkpoint is signed at every multiple of this height; the same on all replicas.
    pub checkpoint_every: NonZeroU64,
}

/// All that an earlier run left on disk.
#[derive(Clone, Debug)]
pub struct Stored<P: Protocol> {
    /// The highest commit that is stored, or genesis.
    pub anchor: Anchor<P::Proof>,
    /// The records (see [`Protocol::recover`]).
    pub records: Vec<P::Record>,
    /// The guard's entries, in any order.
    pub guard: Vec<(Slot, Vec<u8>)>,
    /// The guard's floors, one a kind.
    pub floors: Vec<(Kind, Slot)>,
    /// The newest stable checkpoint.
    pub stable: Option<StableCheckpoint>,
    /// The proofs of lies, in any order.
    pub evidence: Vec<Evidence>,
    /// `history` at `anchor.executed` and of the committed heights above it, as far as they are
    /// multiples of [`ShellConfig::checkpoint_every`]. Without them no checkpoint is signed there.
    pub histories: Vec<(Height, Digest)>,
    /// The state digest at `anchor.executed`; `None` if nothing was executed yet.
    pub state: Option<Digest>,
    /// The highest fence that is stored.
    pub fence: Fence,
}

impl<P: Protocol> Stored<P> {
    /// Nothing but the anchor: a first start.
    #[must_use]
    pub fn empty(anchor: Anchor<P::Proof>) -> Self {
        Self {
            anchor,
            records: Vec::new(),
            guard: Vec::new(),
            floors: Vec::new(),
            stable: None,
            evidence: Vec::new(),
            histories: Vec::new(),
            state: None,
            fence: Fence::default(),
        }
    }
}

/// One input.
#[derive(Clone, Debug)]
pub enum ReplicaInput<P: Protocol> {
    /// For the protocol. The own messages are none of the engine's business: the shell gives them
    /// back itself.
    Protocol(Input<P>),
    /// This synced write is on disk, with all before it.
    Durable(Fence),
    /// A member's checkpoint.
    Checkpoint {
        /// The authenticated sender.
        from: NodeId,
        /// What he signed.
        checkpoint: Verified<Checkpoint>,
    },
}

impl<P: Protocol> ReplicaInput<P> {
    /// Checks a message from the wire.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(from: NodeId, wire: Wire<P::Message>, by: &Verifier) -> Result<Self, Reject> {
        Ok(match wire {
            Wire::Protocol(message) => Self::Protocol(Input::Message {
                from,
                message: Verified::new(from, message, by)?,
            }),
            Wire::Checkpoint(checkpoint) => Self::Checkpoint {
                from,
                checkpoint: Verified::new(from, checkpoint, by)?,
            },
        })
    }
}
