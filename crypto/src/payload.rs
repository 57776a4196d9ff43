//! What is ordered: digests of batches, or the batches themselves.

use crate::{Digest, Hasher, Height, NodeId, Reject, SealedBatch, codec};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A batch by name. Its author's quota counts `bytes` until it is ordered or expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BatchRef {
    /// The node that made it.
    pub author: NodeId,
    /// Its number: 1, 2, 3, ... for each author and start of it.
    pub number: u64,
    /// Of its encoded bytes.
    pub digest: Digest,
    /// Length of its encoding.
    pub bytes: u32,
    /// How many transactions it holds.
    pub count: u32,
    /// No vote for it, and no place in a pool, above this height.
    pub expires: Height,
}

/// The content of a block, slot or entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Payload {
    /// Batches by digest; the data travel apart (HotStuff, PBFT). Empty: nothing to order.
    Refs(Vec<BatchRef>),
    /// The batches themselves (Raft).
    Inline(Vec<SealedBatch>),
}

impl Payload {
    /// Nothing to order.
    pub const EMPTY: Payload = Payload::Refs(Vec::new());
    /// Most batches by name in one. A genesis file may not ask for more, and no peer may send more:
    /// proposals of liars are stored too, and would hide behind their size what is committed.
    pub const MAX_REFS: usize = 4096;

    /// Whether it is of the kind that HotStuff and PBFT order: batches by name, or nothing.
    ///
    /// # Errors
    /// [`Reject::Malformed`]; [`Reject::TooLong`] beyond [`Payload::MAX_REFS`].
    pub fn check_refs(&self) -> Result<(), Reject> {
        match self {
            Payload::Refs(refs) if refs.len() > Self::MAX_REFS => Err(Reject::TooLong),
            Payload::Refs(_) => Ok(()),
            Payload::Inline(_) => Err(Reject::Malformed),
        }
    }
    /// Whether there is nothing to order.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Payload::Refs(refs) => refs.is_empty(),
            Payload::Inline(batches) => batches.is_empty(),
        }
    }
    /// Its batches by name.
    #[must_use]
    pub fn references(&self) -> Cow<'_, [BatchRef]> {
        match self {
            Payload::Refs(refs) => Cow::Borrowed(refs),
            Payload::Inline(batches) => batches.iter().map(SealedBatch::reference).collect(),
        }
    }
    /// Bytes of its batches, wherever they are.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Payload::Refs(refs) => refs.iter().map(|it| it.bytes as usize).sum(),
            Payload::Inline(batches) => batches.iter().map(|it| it.bytes().len()).sum(),
        }
    }
    /// About how long its own encoding is, in bytes.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        match self {
            Payload::Refs(refs) => refs.len() * size_of::<BatchRef>(),
            Payload::Inline(batches) => self.bytes() + 8 * batches.len(),
        }
    }
    /// What stands for the payload in block and history digests: the encoding of its references,
    /// so it is the same whether the batches are here or only named.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let encoded = match self {
            Payload::Refs(_) => codec::encode(self),
            Payload::Inline(_) => codec::encode(&Payload::Refs(self.references().into_owned())),
        };
        Hasher::new("quorate/v1/payload").bytes(&encoded).finish()
    }
    /// `history` of the height that holds this payload: H(previous history, height, payload).
    #[must_use]
    pub fn extend_history(&self, previous: &Digest, height: Height) -> Digest {
        Hasher::new("quorate/v1/history")
            .digest(previous)
            .number(height.0)
            .digest(&self.digest())
            .finish()
    }
}

#[cfg(test)]
mod tests;
