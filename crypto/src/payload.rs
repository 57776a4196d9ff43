//! What is ordered: digests of batches, or the batches themselves.

use crate::{Digest, Hasher, Height, NodeId, codec};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

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
    /// Encoded batches themselves (Raft).
    Inline(Vec<Bytes>),
}

impl Payload {
    /// Nothing to order.
    pub const EMPTY: Payload = Payload::Refs(Vec::new());

    /// Whether there is nothing to order.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Payload::Refs(refs) => refs.is_empty(),
            Payload::Inline(batches) => batches.is_empty(),
        }
    }
    /// What stands for the payload in block and history digests.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new("quorate/v1/payload");
        match self {
            Payload::Refs(_) => hasher.bytes(&codec::encode(self)),
            // Whole batches, megabytes of them: hashed where they are, as their encoding would be.
            Payload::Inline(batches) => {
                let length = 4
                    + 8
                    + batches
                        .iter()
                        .map(|batch| 8 + batch.len() as u64)
                        .sum::<u64>();
                hasher
                    .number(length)
                    .number_u32(1)
                    .number(batches.len() as u64);
                batches
                    .iter()
                    .fold(&mut hasher, |hasher, batch| hasher.bytes(batch))
            }
        };
        hasher.finish()
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
