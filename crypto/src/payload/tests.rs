#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

fn reference(i: u8) -> BatchRef {
    BatchRef {
        author: NodeId(u16::from(i)),
        number: 2,
        digest: Digest([i; 32]),
        bytes: 3,
        count: 4,
        expires: Height(5),
    }
}

fn batch(number: u64) -> SealedBatch {
    let batch = crate::Batch {
        author: NodeId(3),
        number,
        expires: Height(9),
        transactions: Vec::new(),
    };
    batch.seal()
}

#[test]
fn golden_bytes() {
    let refs = Payload::Refs(vec![reference(7)]);
    let expected = [
        "00000000".to_owned(),
        "0100000000000000".into(),
        "0700".into(),
        "0200000000000000".into(),
        "07".repeat(32),
        "03000000".into(),
        "04000000".into(),
        "0500000000000000".into(),
    ];
    assert_eq!(hex::encode(codec::encode(&refs)), expected.concat());
    let inline = Payload::Inline(vec![batch(7)]);
    let expected = [
        "01000000".to_owned(),
        "0100000000000000".into(), // batches
        "1a00000000000000".into(), // bytes of the first
        "0300".into(),
        "0700000000000000".into(),
        "0900000000000000".into(),
        "0000000000000000".into(),
    ];
    assert_eq!(hex::encode(codec::encode(&inline)), expected.concat());
    assert_eq!(codec::encode(&Payload::EMPTY), [0; 12]);
}

#[test]
fn the_digest_is_that_of_the_references_encoding() {
    let list = [
        Payload::EMPTY,
        Payload::Refs(vec![reference(1), reference(2)]),
        Payload::Inline(vec![batch(1), batch(2)]),
    ];
    for payload in list {
        let mut bytes = Vec::new();
        bytes.extend(18u64.to_le_bytes());
        bytes.extend(b"quorate/v1/payload");
        let encoded = codec::encode(&Payload::Refs(payload.references().into_owned()));
        bytes.extend((encoded.len() as u64).to_le_bytes());
        bytes.extend(encoded);
        assert_eq!(payload.digest().0, *blake3::hash(&bytes).as_bytes());
    }
}

#[test]
fn what_is_no_batch_is_no_payload() {
    let mut bytes = codec::encode(&Payload::Inline(vec![batch(7)]));
    let last = bytes.len() - 1;
    bytes[last] = 1; // more transactions than there are
    assert!(codec::decode::<Payload>(&bytes).is_err());
}

#[test]
fn history_depends_on_all_before_it() {
    let payload = Payload::Refs(vec![reference(1)]);
    let base = payload.extend_history(&Digest::ZERO, Height(1));
    assert_ne!(base, payload.extend_history(&Digest([1; 32]), Height(1)));
    assert_ne!(base, payload.extend_history(&Digest::ZERO, Height(2)));
    assert_ne!(
        base,
        Payload::EMPTY.extend_history(&Digest::ZERO, Height(1))
    );
}

proptest! {
    #[test]
    fn inline_batches_come_back(numbers in proptest::collection::vec(any::<u64>(), 0..8)) {
        let payload = Payload::Inline(numbers.into_iter().map(batch).collect());
        prop_assert_eq!(codec::decode::<Payload>(&codec::encode(&payload)).unwrap(), payload);
    }
}
