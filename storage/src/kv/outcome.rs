//! What became of a transaction.

use bytes::Bytes;
use crypto::{Digest, Height, PublicKey};
use serde::{Deserialize, Serialize};

/// A key as a range returns it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The key.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
    /// The revision that created it.
    pub created: u64,
    /// The revision that wrote it last.
    pub modified: u64,
    /// How often it was written since it was created.
    pub version: u64,
}

impl Pair {
    /// The first key behind it.
    #[must_use]
    pub fn behind(&self) -> Bytes {
        crate::successor(&self.key)
    }
}

/// The result of one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Written.
    Put {
        /// The key's version now.
        version: u64,
    },
    /// Removed.
    Delete {
        /// Whether it was there.
        existed: bool,
    },
    /// Read.
    Range {
        /// In order of keys.
        pairs: Vec<Pair>,
        /// Whether a limit cut it short: go on behind the last key.
        more: bool,
    },
    /// Read, as far as the ranges of one transaction may look ([`super::Limits::looks`]).
    Part {
        /// In order of keys; perhaps none.
        pairs: Vec<Pair>,
        /// The first key that was not looked at: go on with it.
        next: Bytes,
    },
}

/// What a transaction did. Only some use up its sequence ([`Self::used_sequence`]); after any other it may
/// still execute, if it is ordered again before it expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Executed.
    Done {
        /// Whether the compares held.
        succeeded: bool,
        /// One for each operation of the branch; `None` in a stored result that was too long to keep,
        /// and where the ranges of a height returned too much ([`super::HEIGHT_RESULTS`]).
        replies: Option<Vec<Reply>>,
    },
    /// A range at a revision that does not exist yet: nothing was done.
    FutureRevision,
    /// The body is no request. Honest nodes order no such thing.
    Invalid,
    /// Its expiry is below the height.
    Expired,
    /// Its expiry is further ahead than a session lives.
    TooFarAhead,
    /// The sequence is used by a different transaction.
    SequenceUsed,
    /// A sequence at least a whole window above was executed: what became of this one is forgotten.
    SequenceTooOld,
    /// No room for another client until a session falls idle.
    TooManySessions,
    /// Its compares would read more than one transaction may: nothing was done.
    TooMuchRead,
    /// It compares values, and the transactions before it at this height have read so much that none of
    /// them is read: nothing was done.
    Crowded,
}

impl Outcome {
    /// Whether the transaction's sequence is used up: no other of that sequence executes any more.
    #[must_use]
    pub fn used_sequence(&self) -> bool {
        matches!(
            self,
            Self::Done { .. } | Self::FutureRevision | Self::TooMuchRead
        )
    }
}

/// A transaction's result, with its place in the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Who asked.
    pub client: PublicKey,
    /// The client's number for it.
    pub sequence: u64,
    /// Its digest: its id.
    pub transaction: Digest,
    /// What became of it.
    pub outcome: Outcome,
    /// The store's revision after it.
    pub revision: u64,
    /// Where it was executed (first, if repeated).
    pub height: Height,
    /// Its place among that height's transactions.
    pub index: u32,
    /// Whether it had been executed before: this is the stored result.
    pub repeated: bool,
}
