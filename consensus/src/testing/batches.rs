//! Batches known by their number: inline ones hold nothing else, references name what is not there.

use super::Subject;
use crypto::transaction::FORMAT;
use crypto::{
    Batch, BatchRef, ChainId, Digest, Hasher, Height, NodeId, Payload, PublicKey, SealedBatch,
    Signature, Transaction,
};

/// A batch; nobody looks into it here.
pub fn batch(number: u64) -> SealedBatch {
    let batch = Batch {
        author: NodeId(0),
        number,
        expires: Height(1 << 40),
        transactions: Vec::new(),
    };
    batch.seal()
}

/// A batch of so many bytes, or a few more.
pub fn large_batch(bytes: u32) -> SealedBatch {
    let transaction = Transaction {
        format: FORMAT,
        chain: ChainId::default(),
        client: PublicKey([1; 32]),
        sequence: 1,
        expires: Height(1 << 40),
        body: vec![0; (bytes as usize).saturating_sub(OVERHEAD)].into(),
        signature: Signature([0; 64]),
    };
    let batch = Batch {
        transactions: vec![transaction],
        ..(**batch(0).batch()).clone()
    };
    batch.seal()
}

/// Bytes of a batch with an empty transaction.
const OVERHEAD: usize = Batch::OVERHEAD + Transaction::OVERHEAD;

/// A reference to a batch.
pub fn reference(number: u64) -> BatchRef {
    BatchRef {
        author: NodeId(0),
        number,
        digest: Hasher::new("test/batch").number(number).finish(),
        bytes: 100,
        count: 1,
        expires: Height(1 << 40),
    }
}

/// The payload of these batches, as the protocol orders it.
pub fn payload<P: Subject>(numbers: impl IntoIterator<Item = u64>) -> Payload {
    let numbers = numbers.into_iter();
    if P::INLINE {
        Payload::Inline(numbers.map(batch).collect())
    } else {
        Payload::Refs(numbers.map(reference).collect())
    }
}

/// What an uncommitted ancestor names the batch by.
pub fn digest<P: Subject>(number: u64) -> Digest {
    if P::INLINE {
        batch(number).reference().digest
    } else {
        reference(number).digest
    }
}

/// The batches of a payload.
pub fn numbers(payload: &Payload) -> Vec<u64> {
    payload.references().iter().map(|it| it.number).collect()
}
