#![allow(clippy::unwrap_used)]
use super::*;
use crate::{ChainId, codec};

fn context() -> Context {
    Context {
        chain: ChainId(Digest([1; 32])),
        epoch: Epoch(2),
    }
}

fn statement() -> Statement {
    let slot = Slot {
        kind: Kind::Checkpoint,
        epoch: Epoch(2),
        view: View(4),
        height: Height(5),
    };
    Statement {
        slot,
        content: Digest([6; 32]),
    }
}

/// The numbers are on disk, on the wire and in signatures: none may ever change.
#[test]
fn kinds_keep_their_numbers() {
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, number);
        assert_eq!(codec::encode(&kind), (number as u32).to_le_bytes());
    }
    assert!(codec::decode::<Kind>(&10u32.to_le_bytes()).is_err());
}

#[test]
fn golden_bytes() {
    let expected = [
        "03000000".to_owned(),
        "0200000000000000".into(),
        "0400000000000000".into(),
        "0500000000000000".into(),
        "06".repeat(32),
    ];
    assert_eq!(hex::encode(codec::encode(&statement())), expected.concat());
    assert_eq!(
        hex::encode(codec::encode(&context())),
        "01".repeat(32) + "0200000000000000"
    );
}

/// What is hashed, byte by byte: another program can make the same signatures from this.
#[test]
fn the_signed_digest_is_that_of_the_written_bytes() {
    let mut bytes = Vec::new();
    bytes.extend(20u64.to_le_bytes());
    bytes.extend(b"quorate/v1/statement");
    bytes.extend([1; 32]);
    for number in [2u64, 3, 4, 5] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([6; 32]);
    assert_eq!(
        statement().digest(&context()).0,
        *blake3::hash(&bytes).as_bytes()
    );
}

#[test]
fn every_part_changes_the_signed_digest() {
    let (base, at) = (statement(), context());
    let mut digests = vec![
        base.digest(&at),
        base.digest(&Context {
            chain: ChainId(Digest([2; 32])),
            ..at
        }),
        Statement {
            slot: Slot {
                epoch: Epoch(3),
                ..base.slot
            },
            ..base
        }
        .digest(&at),
        Statement {
            slot: Slot {
                view: View(5),
                ..base.slot
            },
            ..base
        }
        .digest(&at),
        Statement {
            slot: Slot {
                height: Height(4),
                ..base.slot
            },
            ..base
        }
        .digest(&at),
        Statement {
            content: Digest([7; 32]),
            ..base
        }
        .digest(&at),
    ];
    digests.extend(
        Kind::ALL
            .into_iter()
            .filter(|kind| *kind != base.slot.kind)
            .map(|kind| {
                Statement {
                    slot: Slot { kind, ..base.slot },
                    ..base
                }
                .digest(&at)
            }),
    );
    let count = digests.len();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), count);
}

#[test]
fn kinds_have_names_of_their_own() {
    for kind in Kind::ALL {
        assert_eq!(Kind::named(kind.name()), Some(kind));
    }
    assert_eq!(Kind::named("Vote"), None);
}

#[test]
fn slots_are_told_in_words_that_tell_them_apart() {
    let words = |kind, view, height| {
        let slot = Slot {
            kind,
            epoch: Epoch(0),
            view: View(view),
            height: Height(height),
        };
        slot.to_string()
    };
    assert_eq!(words(Kind::Vote, 7, 0), "vote in view 7");
    assert_eq!(words(Kind::Vote, 7, 1), "vote in view 7 at height 1");
    assert_eq!(words(Kind::Timeout, 2, 0), "timeout of tenure 2");
    assert_eq!(words(Kind::Checkpoint, 0, 128), "checkpoint at height 128");
    assert_eq!(
        words(Kind::Checkpoint, 1, 0),
        "checkpoint in view 1 at height 0"
    );
    assert_eq!(
        words(Kind::Prepare, 2, 40),
        "prepare in view 2 at height 40"
    );
    assert_eq!(words(Kind::ViewChange, 3, 0), "view-change to view 3");
    assert_eq!(words(Kind::Grant, 3, 0), "grant in term 3");
}
