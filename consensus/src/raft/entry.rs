//! Entries: what the log holds, and where in it.

use crate::Committed;
use crypto::{Height, Payload, Reject, View};
use serde::{Deserialize, Serialize};

/// A place in the log. Ordered as section 5.4.1 compares logs: by term, then by length.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position {
    /// The term of the entry there.
    pub term: View,
    /// Its height (the paper's index).
    pub height: Height,
}

impl Position {
    /// Before the first entry.
    pub const START: Self = Self {
        term: View(0),
        height: Height(0),
    };
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it is, and the term of the leader that made it.
    pub at: Position,
    /// Whole batches; none in the entry that begins a term.
    pub payload: Payload,
}

/// Bytes of an encoded entry besides its batches and their lengths: where it is, the payload's kind,
/// and how many batches there are.
const OVERHEAD: usize = 8 + 8 + 4 + 8;

impl Entry {
    /// Bytes of its batches.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.payload.bytes()
    }
    /// How long its encoding is, in bytes.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        OVERHEAD + self.payload.encoded_bytes()
    }
    /// Whether its payload is of the kind that Raft orders: here whole, since nobody else has it.
    ///
    /// # Errors
    /// [`Reject::Malformed`].
    pub fn check(&self) -> Result<(), Reject> {
        let whole = matches!(self.payload, Payload::Inline(_)) || self.payload.is_empty();
        if whole && self.at.term > View(0) && self.at.height > Height(0) {
            Ok(())
        } else {
            Err(Reject::Malformed)
        }
    }
}

/// Where a committed entry is: all that its commitment can be told by. It convinces only who
/// trusts whoever shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Proof(pub Position);

impl Proof {
    /// A crash-fault proof tells where an entry was committed. There is nothing in it to check but
    /// that it is about this height: whoever shows it is trusted.
    ///
    /// # Errors
    /// [`Reject::BadCertificate`].
    pub fn check(committed: &Committed<Self>) -> Result<(), Reject> {
        let Self(at) = committed.proof;
        if at.height == committed.height && at.term > View(0) {
            Ok(())
        } else {
            Err(Reject::BadCertificate)
        }
    }
}
