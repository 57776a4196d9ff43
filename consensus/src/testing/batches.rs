//! Batches known by a number: inline ones are its bytes, references carry it.

use super::Subject;
use crypto::{BatchRef, Digest, Hasher, Height, NodeId, Payload};

/// A batch; nobody looks into it here.
pub fn bytes(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

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
        Payload::Inline(numbers.map(|it| bytes(it).into()).collect())
    } else {
        Payload::Refs(numbers.map(reference).collect())
    }
}

/// What an uncommitted ancestor names the batch by.
pub fn digest<P: Subject>(number: u64) -> Digest {
    if P::INLINE {
        crypto::batch::batch_digest(&bytes(number))
    } else {
        reference(number).digest
    }
}

/// The batches of a payload.
pub fn numbers(payload: &Payload) -> Vec<u64> {
    let number = |it: &[u8]| u64::from_be_bytes(it.try_into().expect("the bytes of a number"));
    match payload {
        Payload::Inline(batches) => batches.iter().map(|it| number(it)).collect(),
        Payload::Refs(refs) => refs.iter().map(|it| it.number).collect(),
    }
}
