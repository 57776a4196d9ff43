//! What the shell asks of the engine.

use super::{StableCheckpoint, Wire};
use crate::{Committed, Evidence, Protocol, ReadId, Retry, Selection, Ticket, To, Token};
use crypto::{Digest, Height, Kind, NodeId, NodeSet, Payload, Reject, Slot};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Numbers the shell's writes: 1, 2, 3, ... without a gap, across restarts.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Fence(pub u64);

impl Fence {
    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One change to what is stored. All of a write are applied in order, in one atomic batch.
#[derive(Debug)]
pub enum LogOp<P: Protocol> {
    /// Store a record under its key.
    Put(P::Record),
    /// Delete all records at heights from here up.
    Truncate(Height),
    /// Delete all records at heights below.
    Forget(Height),
    /// The guard's entry of a slot: comes back as [`super::Stored::guard`].
    Guard(Slot, Vec<u8>),
    /// The guard needs the entry of this slot no more.
    DropGuard(Slot),
    /// The guard's floor of a kind; replaces the former: comes back as [`super::Stored::floors`].
    Floor(Kind, Slot),
    /// A committed height: the highest becomes the anchor of the next start.
    Commit(Arc<Committed<P::Proof>>),
    /// The newest stable checkpoint; replaces the former: comes back as [`super::Stored::stable`].
    Checkpoint(StableCheckpoint),
    /// A proof that somebody lied, one for each signer and slot: comes back as
    /// [`super::Stored::evidence`].
    Evidence(Evidence),
}

/// One effect. The order of effects is the order in which they have to be taken up.
#[derive(Debug)]
pub enum Effect<P: Protocol> {
    /// Write, after all earlier writes. A synced one must be answered by
    /// [`super::ReplicaInput::Durable`] once it is on disk, with all before it; another need not.
    Write {
        /// Its number.
        fence: Fence,
        /// What changes; may be empty when only the sync is wanted.
        ops: Vec<LogOp<P>>,
        /// Whether something waits for it. An unsynced write is covered by the next synced one.
        sync: bool,
    },
    /// Send now.
    Send {
        /// [`To::One`] (never the own id) or [`To::Others`].
        to: To,
        /// Signed and sealed.
        message: Arc<Wire<P::Message>>,
    },
    /// Committed: in order of height, each once. Its write comes before it.
    Commit {
        /// What.
        committed: Arc<Committed<P::Proof>>,
        /// See [`crate::Output::Commit`].
        by_leader: bool,
    },
    /// See [`crate::Output::WantPayload`].
    WantPayload {
        /// Comes back with the answer.
        ticket: Ticket,
        /// At which height it would commit (for expiry).
        height: Height,
        /// Most bytes of batches.
        budget: u32,
        /// Digests of batches in uncommitted ancestors.
        exclude: Vec<Digest>,
    },
    /// See [`crate::Output::CheckPayload`].
    CheckPayload {
        /// Comes back with the answer.
        block: Digest,
        /// At which height it would commit.
        height: Height,
        /// The payload.
        payload: Payload,
    },
    /// See [`crate::Output::DropCheck`].
    DropCheck(Digest),
    /// A block lost its place: its payload is free again.
    Return(Payload),
    /// Load stored records.
    Load {
        /// Comes back with the answer.
        token: Token,
        /// Which.
        which: Selection,
    },
    /// Answers a read: serve it once this height is executed here.
    Read(ReadId, Result<Height, Retry>),
    /// Start state sync.
    Behind {
        /// A proven height.
        target: Height,
        /// Who has it.
        holders: NodeSet,
    },
    /// A proof that somebody lied. Once for each signer and slot, restarts included; the first few of
    /// each signer only. Its write comes before it.
    Evidence(Evidence),
    /// A peer's fault, to be counted.
    Reject(NodeId, Reject),
    /// A new leader: batches that are not committed are handed to it.
    Leader(NodeId),
    /// A quorum signed this checkpoint; its write comes before it.
    Stable(StableCheckpoint),
    /// Stop: going on would spread a wrong state. Nothing follows, whatever is put in.
    Halt(String),
}
