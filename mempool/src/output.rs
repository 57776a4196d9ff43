//! What comes out of the pool.

use crate::Message;
use bytes::Bytes;
use crypto::{BatchRef, Digest, Height, NodeId, Payload, Reject, Time};
use thiserror::Error;

/// Why a transaction is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The client's sequence is used by a different transaction in the pool.
    #[error("the sequence is used by a different transaction")]
    SequenceUsed,
    /// It expired, or expires further ahead than `lifetime` allows.
    #[error("expired, or expires too far ahead: the height is {height}")]
    Expired {
        /// The committed height now.
        height: Height,
    },
    /// It fits into no batch.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// Most bytes of a transaction, all its fields counted.
        limit: usize,
    },
    /// A cap is reached.
    #[error("{what} is full")]
    Full {
        /// Which.
        what: &'static str,
        /// When to try again.
        retry_after: Time,
    },
}

/// Why a payload earns no vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// A limit is broken, or a reference contradicts its batch: never.
    #[error("payload is not valid")]
    Invalid,
    /// A batch expires below the block's height.
    #[error("a batch expired")]
    Expired,
}

/// To whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// One peer, never itself.
    One(NodeId),
    /// All other nodes.
    Others,
}

/// One output. Those of a step are in order: a `Store` stands before the `Checked` that relies on
/// it, so a write in that order, unsynced, is covered by the vote's own fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The transaction is in the pool.
    Accepted {
        /// Of the submission.
        request: u64,
    },
    /// The transaction is not taken.
    Refused {
        /// Of the submission.
        request: u64,
        /// Why.
        refusal: Refusal,
    },
    /// Write a batch, keyed by its digest.
    Store {
        /// Its name.
        reference: BatchRef,
        /// Its encoding.
        bytes: Bytes,
        /// Whether a committed block holds it: then it is none that may still be ordered.
        committed: bool,
    },
    /// A stored batch can no longer be ordered.
    Drop {
        /// Which.
        digest: Digest,
        /// Whether a committed block may hold it: then it stays, and is only none that waits.
        committed: bool,
    },
    /// Load a stored batch; answered by `Loaded`. At most one at a time for a digest.
    Load(Digest),
    /// Send.
    Send {
        /// To whom.
        to: To,
        /// What; [`Message::is_bulk`] says on which stream.
        message: Message,
    },
    /// Answers `Want`.
    Payload {
        /// Of the request.
        ticket: u64,
        /// What to order.
        payload: Payload,
    },
    /// Answers `Check`.
    Checked {
        /// Of the request.
        block: Digest,
        /// Whether all of it is held and valid.
        held: Result<(), Unfit>,
    },
    /// Batches that wait to be ordered: changed, or another one came. `None`: there are none.
    Pending {
        /// When the oldest of them became known here.
        oldest: Option<Time>,
    },
    /// The leader left this batch out for longer than its allowance.
    Overdue {
        /// The batch.
        batch: BatchRef,
    },
    /// All that is committed up to here is in the store: it can be executed.
    Available {
        /// Height.
        height: Height,
    },
    /// A peer's fault.
    Reject(NodeId, Reject),
}

/// The pool in numbers, for metrics and the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Uncommitted transactions of this node's clients.
    pub transactions: usize,
    /// Their bytes.
    pub transaction_bytes: usize,
    /// Clients that have such transactions.
    pub clients: usize,
    /// Batches of all nodes that wait to be ordered.
    pub batches: usize,
    /// Their bytes.
    pub batch_bytes: usize,
    /// Bytes of batches in memory.
    pub memory: usize,
    /// Committed batches remembered.
    pub committed: usize,
    /// Blocks that wait for a part of their payload.
    pub checks: usize,
    /// Batches that are missing and wanted.
    pub wanted: usize,
    /// Committed heights that wait for a part of their payload.
    pub unavailable: usize,
    /// Loads from the store under way.
    pub loads: usize,
}
