//! What goes into the pool.

use crate::{CheckedMessage, CheckedTransaction, Remembered};
use bytes::Bytes;
use crypto::{Digest, Height, NodeId, Payload, SealedBatch};

/// One input.
#[derive(Clone, Debug)]
pub enum Input {
    /// A client's transaction; answered at once by `Accepted` or `Refused`.
    Submit {
        /// Comes back with the answer.
        request: u64,
        /// The transaction.
        transaction: CheckedTransaction,
    },
    /// A peer's message.
    Message {
        /// The authenticated sender.
        from: NodeId,
        /// What it sent.
        message: CheckedMessage,
    },
    /// The leader wants something to order; answered at once by `Payload`, perhaps empty.
    Want {
        /// Comes back with the answer.
        ticket: u64,
        /// At which height it would commit.
        height: Height,
        /// Most bytes of batches.
        budget: u32,
        /// Digests of batches in uncommitted ancestors.
        exclude: Vec<Digest>,
    },
    /// May this payload be voted for? Answered by `Checked`, as soon as all of it is held. It was
    /// proposed by the last `Leader`, who is asked for what is missing, as its author is.
    Check {
        /// Comes back with the answer.
        block: Digest,
        /// At which height it would commit.
        height: Height,
        /// The payload.
        payload: Payload,
    },
    /// This block's payload need not be checked any more.
    DropCheck(Digest),
    /// A block lost its place: its payload may be ordered by another.
    Return(Payload),
    /// A height is committed; consecutive.
    Committed {
        /// Height.
        height: Height,
        /// What is ordered there.
        payload: Payload,
        /// Whether the last `Leader` chose it, and this node follows it: what is left out counts.
        by_leader: bool,
    },
    /// Answers `Load`.
    Loaded {
        /// Of which batch.
        digest: Digest,
        /// Its encoding, if it is stored.
        bytes: Option<Bytes>,
    },
    /// A tenure began under this leader.
    Leader(NodeId),
    /// A peer's connection came up.
    Connected(NodeId),
    /// Whether nothing is being ordered: then a batch closes at once. True at the start.
    Idle(bool),
    /// The time in [`crate::Mempool::deadline`] may have come.
    Tick,
}

/// What was stored, for a restart. Empty at the first start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Highest committed height whose batches, and those of all heights below, are in the store
    /// (for instance the highest executed one). `Input::Committed` goes on from the next.
    pub height: Height,
    /// Highest number among the own batches that were ever stored.
    pub number: u64,
    /// Stored batches that are not committed at or below `height` and have not expired.
    pub batches: Vec<SealedBatch>,
    /// More of them, whose bodies are left in the store: the quotas have no room for them.
    pub names: Vec<crypto::BatchRef>,
    /// Batches committed at or below `height` that have not expired, as far as is known: they are
    /// not ordered again.
    pub committed: Remembered,
}
