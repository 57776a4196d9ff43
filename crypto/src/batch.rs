//! A batch of clients' transactions: what one node spreads, and what is ordered by its digest.

use crate::codec::{self, DecodeError};
use crate::{BatchRef, Digest, Hasher, Height, NodeId, Transaction};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::hash::Hash;
use std::sync::Arc;

/// Transactions of one node's clients, in the order in which they execute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The node that made it.
    pub author: NodeId,
    /// Its number: 1, 2, 3, ... for each author and start of it.
    pub number: u64,
    /// No vote for it, and no place in a pool, above this height.
    pub expires: Height,
    /// What it holds.
    pub transactions: Vec<Transaction>,
}

impl Batch {
    /// Bytes of an encoded batch besides its transactions (each [`Transaction::encoded_len`]).
    pub const OVERHEAD: usize = 2 + 8 + 8 + 8;

    /// Encodes and hashes it, once.
    #[must_use]
    pub fn seal(self) -> SealedBatch {
        let bytes = Bytes::from(codec::encode(&self));
        SealedBatch {
            reference: reference(&self, &bytes),
            bytes,
            batch: Arc::new(self),
        }
    }
}

/// A batch with its encoding and its name, which agree. Cheap to clone. Its own encoding is that of
/// its bytes: who decodes one has opened it.
#[derive(Clone, Debug)]
pub struct SealedBatch {
    reference: BatchRef,
    bytes: Bytes,
    batch: Arc<Batch>,
}

impl SealedBatch {
    /// Decodes and hashes. The transactions are not checked.
    ///
    /// # Errors
    /// If the bytes are no encoding of a batch.
    pub fn open(bytes: Bytes) -> Result<Self, DecodeError> {
        let batch: Batch = codec::decode(&bytes)?;
        Ok(Self {
            reference: reference(&batch, &bytes),
            bytes,
            batch: Arc::new(batch),
        })
    }
    /// What names it.
    #[must_use]
    pub fn reference(&self) -> BatchRef {
        self.reference
    }
    /// Its encoding.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
    /// What it holds.
    #[must_use]
    pub fn batch(&self) -> &Arc<Batch> {
        &self.batch
    }
}

impl PartialEq for SealedBatch {
    fn eq(&self, other: &Self) -> bool {
        self.reference == other.reference
    }
}

impl Eq for SealedBatch {}

impl Hash for SealedBatch {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.reference.hash(state);
    }
}

impl Serialize for SealedBatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.bytes.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SealedBatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::open(Bytes::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The digest of an encoded batch.
fn batch_digest(bytes: &[u8]) -> Digest {
    Hasher::new("quorate/v1/batch").bytes(bytes).finish()
}

/// Lengths fit: the codec's limit is far below 4 GiB.
fn reference(batch: &Batch, bytes: &Bytes) -> BatchRef {
    BatchRef {
        author: batch.author,
        number: batch.number,
        digest: batch_digest(bytes),
        bytes: bytes.len() as u32,
        count: batch.transactions.len() as u32,
        expires: batch.expires,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{ChainId, PublicKey, Signature, transaction};

    fn batch() -> Batch {
        let transaction = Transaction {
            format: transaction::FORMAT,
            chain: ChainId(Digest([1; 32])),
            client: PublicKey([2; 32]),
            sequence: 3,
            expires: Height(4),
            body: Bytes::from_static(b"abc"),
            signature: Signature([5; 64]),
        };
        Batch {
            author: NodeId(7),
            number: 8,
            expires: Height(9),
            transactions: vec![transaction],
        }
    }

    #[test]
    fn golden_bytes() {
        let sealed = batch().seal();
        let expected = [
            "0700".to_owned(),
            "0800000000000000".to_owned(),
            "0900000000000000".to_owned(),
            "0100000000000000".to_owned(),
            "0100".to_owned(),
            "01".repeat(32),
            "02".repeat(32),
            "0300000000000000".to_owned(),
            "0400000000000000".to_owned(),
            "0300000000000000616263".to_owned(),
            "05".repeat(64),
        ];
        assert_eq!(hex::encode(sealed.bytes()), expected.concat());
        assert_eq!(
            sealed.reference().digest.to_string(),
            "89a9bcecaeb1e13b1e4c8233190135ec66fb5ae2853c9a3fc0077bcf8ff05e99"
        );
    }

    #[test]
    fn lengths_are_predicted() {
        let batch = batch();
        let expected = Batch::OVERHEAD + batch.transactions[0].encoded_len();
        assert_eq!(batch.seal().bytes().len(), expected);
    }

    #[test]
    fn open_is_the_inverse_of_seal() {
        let sealed = batch().seal();
        assert_eq!(SealedBatch::open(sealed.bytes().clone()).unwrap(), sealed);
    }

    #[test]
    fn every_cut_is_refused() {
        let bytes = batch().seal().bytes().clone();
        for end in 0..bytes.len() {
            assert!(
                SealedBatch::open(bytes.slice(..end)).is_err(),
                "{end} bytes"
            );
        }
    }
}
