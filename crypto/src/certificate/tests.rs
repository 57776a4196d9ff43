#![allow(clippy::unwrap_used)]
use super::*;
use crate::{
    ChainId, Context, Digest, Ed25519, Epoch, FaultModel, Height, Kind, SecretKey, Slot, Validator,
    ValidatorSet, View, codec,
};
use std::sync::Arc;

fn key(i: usize) -> SecretKey {
    SecretKey::from_seed(&[i as u8 + 1; 32])
}

fn verifier(n: usize) -> Verifier {
    let members = (0..n)
        .map(|i| Validator {
            key: key(i).public(),
        })
        .collect();
    Verifier {
        context: Context {
            chain: ChainId(Digest([1; 32])),
            epoch: Epoch(0),
        },
        validators: Arc::new(ValidatorSet::new(members, FaultModel::Byzantine).unwrap()),
        scheme: Arc::new(Ed25519),
    }
}

fn statement(view: u64) -> Statement {
    let slot = Slot {
        kind: Kind::Vote,
        epoch: Epoch(0),
        view: View(view),
        height: Height(5),
    };
    Statement {
        slot,
        content: Digest([9; 32]),
    }
}

fn sign(i: usize, of: &Statement, by: &Verifier) -> (NodeId, Signature) {
    (NodeId(i as u16), key(i).sign(&of.digest(&by.context)))
}

fn certificate(who: impl IntoIterator<Item = usize>, by: &Verifier) -> Certificate {
    Certificate::collect(who.into_iter().map(|i| sign(i, &statement(3), by)))
}

#[test]
fn exactly_a_quorum_is_enough_and_one_less_is_not() {
    for n in [4, 5, 6, 7, 10] {
        let by = verifier(n);
        let quorum = by.validators.quorums().commit;
        certificate(0..quorum, &by)
            .check(&statement(3), quorum, &by)
            .unwrap();
        certificate(n - quorum..n, &by)
            .check(&statement(3), quorum, &by)
            .unwrap();
        certificate(0..n, &by)
            .check(&statement(3), quorum, &by)
            .unwrap();
        let short = certificate(0..quorum - 1, &by).check(&statement(3), quorum, &by);
        assert_eq!(short, Err(Reject::BadCertificate));
    }
}

#[test]
fn many_signatures_of_one_signer_are_one() {
    let by = verifier(4);
    let three = certificate([2, 2, 2], &by);
    assert_eq!((three.signers.len(), three.signatures.len()), (1, 1));
    let forged = Certificate {
        signers: three.signers,
        signatures: vec![three.signatures[0]; 3],
    };
    assert_eq!(
        forged.check(&statement(3), 3, &by),
        Err(Reject::BadCertificate)
    );
    let spread = Certificate {
        signers: (0..3).map(NodeId).collect(),
        ..forged
    };
    assert_eq!(
        spread.check(&statement(3), 3, &by),
        Err(Reject::BadSignature)
    );
}

#[test]
fn a_bitmap_that_does_not_match_its_signatures_is_refused() {
    let by = verifier(4);
    let good = certificate(0..3, &by);
    for (signers, expected) in [
        (vec![0, 1], Reject::BadCertificate),
        (vec![0, 1, 2, 3], Reject::BadCertificate),
        (vec![0, 1, 3], Reject::BadSignature),
        (vec![1, 2, 3], Reject::BadSignature),
    ] {
        let signers = signers.into_iter().map(NodeId).collect();
        let bad = Certificate {
            signers,
            ..good.clone()
        };
        assert_eq!(bad.check(&statement(3), 3, &by), Err(expected));
    }
    let mut swapped = good;
    swapped.signatures.swap(0, 1);
    assert_eq!(
        swapped.check(&statement(3), 3, &by),
        Err(Reject::BadSignature)
    );
}

#[test]
fn a_signer_that_is_no_member_is_refused() {
    let by = verifier(4);
    for stranger in [4, 127] {
        let bad = certificate([0, 1, 2, stranger], &by);
        assert_eq!(bad.check(&statement(3), 3, &by), Err(Reject::NotMember));
    }
    let beyond = certificate([0, 1, 2, 128], &by);
    assert_eq!(
        beyond,
        certificate([0, 1, 2], &by),
        "no bit, so no signature either"
    );
}

#[test]
fn one_bad_share_among_good_ones_is_refused_and_can_be_left_out() {
    let by = verifier(7);
    for bad in 0..6 {
        let mut shares: Vec<_> = (0..6).map(|i| sign(i, &statement(3), &by)).collect();
        shares[bad].1.0[33] ^= 1;
        let poisoned = Certificate::collect(shares.clone());
        assert_eq!(
            poisoned.check(&statement(3), 5, &by),
            Err(Reject::BadSignature)
        );
        shares.remove(bad);
        Certificate::collect(shares)
            .check(&statement(3), 5, &by)
            .unwrap();
    }
}

#[test]
fn the_same_signatures_certify_nothing_else() {
    let by = verifier(4);
    let good = certificate(0..3, &by);
    let base = statement(3);
    let slot = base.slot;
    let others = [
        Statement {
            slot: Slot {
                view: View(4),
                ..slot
            },
            ..base
        },
        Statement {
            slot: Slot {
                height: Height(6),
                ..slot
            },
            ..base
        },
        Statement {
            slot: Slot {
                kind: Kind::Proposal,
                ..slot
            },
            ..base
        },
        Statement {
            content: Digest([8; 32]),
            ..base
        },
    ];
    for other in others {
        assert_eq!(
            good.check(&other, 3, &by),
            Err(Reject::BadSignature),
            "{other:?}"
        );
    }
    let epoch = Statement {
        slot: Slot {
            epoch: Epoch(1),
            ..slot
        },
        ..base
    };
    assert_eq!(good.check(&epoch, 3, &by), Err(Reject::WrongContext));
    let mut elsewhere = by.clone();
    elsewhere.context.chain = ChainId(Digest([2; 32]));
    assert_eq!(good.check(&base, 3, &elsewhere), Err(Reject::BadSignature));
}

#[test]
fn collecting_keeps_the_first_share_of_each_in_order_of_signer() {
    let share = |i: u8| Signature([i; 64]);
    let list = [
        (NodeId(3), share(1)),
        (NodeId(0), share(2)),
        (NodeId(3), share(3)),
        (NodeId(1), share(4)),
    ];
    let collected = Certificate::collect(list);
    assert_eq!(
        collected.signers.iter().collect::<Vec<_>>(),
        [NodeId(0), NodeId(1), NodeId(3)]
    );
    assert_eq!(collected.signatures, [share(2), share(4), share(1)]);
}

#[test]
fn golden_bytes() {
    let certificate = Certificate {
        signers: [NodeId(0), NodeId(9)].into_iter().collect(),
        signatures: vec![Signature([5; 64]), Signature([6; 64])],
    };
    let expected = [
        "0102".to_owned() + &"00".repeat(14),
        "0200000000000000".into(),
        "05".repeat(64),
        "06".repeat(64),
    ];
    assert_eq!(hex::encode(codec::encode(&certificate)), expected.concat());
}

#[test]
fn every_flipped_byte_is_refused() {
    let by = verifier(4);
    let bytes = codec::encode(&certificate(0..3, &by));
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bad = bytes.clone();
            bad[at] ^= flip;
            let passes = codec::decode::<Certificate>(&bad)
                .is_ok_and(|c| c.check(&statement(3), 3, &by).is_ok());
            assert!(!passes, "byte {at} ^ {flip:#x}");
        }
    }
}
