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
    let inline = Payload::Inline(vec![Bytes::from_static(b"ab"), Bytes::new()]);
    let expected = "01000000020000000000000002000000000000006162".to_owned() + &"00".repeat(8);
    assert_eq!(hex::encode(codec::encode(&inline)), expected);
    assert_eq!(codec::encode(&Payload::EMPTY), [0; 12]);
}

#[test]
fn the_digest_is_that_of_the_encoding() {
    let list = [
        Payload::EMPTY,
        Payload::Refs(vec![reference(1), reference(2)]),
        Payload::Inline(Vec::new()),
        Payload::Inline(vec![
            Bytes::from_static(b"abc"),
            Bytes::new(),
            Bytes::from(vec![7; 5000]),
        ]),
    ];
    for payload in list {
        let mut bytes = Vec::new();
        bytes.extend(18u64.to_le_bytes());
        bytes.extend(b"quorate/v1/payload");
        let encoded = codec::encode(&payload);
        bytes.extend((encoded.len() as u64).to_le_bytes());
        bytes.extend(encoded);
        assert_eq!(payload.digest().0, *blake3::hash(&bytes).as_bytes());
    }
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
    fn inline_batches_come_back(list in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8)) {
        let payload = Payload::Inline(list.into_iter().map(Bytes::from).collect());
        prop_assert_eq!(codec::decode::<Payload>(&codec::encode(&payload)).unwrap(), payload);
    }
}
