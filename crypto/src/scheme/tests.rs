#![allow(clippy::unwrap_used)]
use super::*;
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT as B, EIGHT_TORSION};
use curve25519_dalek::{EdwardsPoint, Scalar};
use proptest::prelude::*;
use sha2::{Digest as _, Sha512};

fn scalar(seed: u64) -> Scalar {
    let mut wide = [7; 64];
    wide[..8].copy_from_slice(&seed.to_le_bytes());
    Scalar::from_bytes_mod_order_wide(&Sha512::digest(wide).into())
}

/// A signature made with the torsion points `in_key` and `in_r` added to key and R. Cofactored, it
/// is valid; without the cofactor it is valid only if the torsion cancels out.
fn crafted(seed: u64, in_key: EdwardsPoint, in_r: EdwardsPoint) -> Claim {
    let digest = Digest([seed as u8; 32]);
    let (secret, nonce) = (scalar(2 * seed), scalar(2 * seed + 1));
    let key = (secret * B + in_key).compress().to_bytes();
    let r = (nonce * B + in_r).compress().to_bytes();
    finish(key, r, secret, nonce, digest)
}

fn finish(key: [u8; 32], r: [u8; 32], secret: Scalar, nonce: Scalar, digest: Digest) -> Claim {
    let mut hash = Sha512::new();
    for part in [r, key, digest.0] {
        hash.update(part);
    }
    let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&r);
    signature[32..].copy_from_slice((nonce + k * secret).as_bytes());
    (PublicKey(key), digest, Signature(signature))
}

fn dalek(claim: &Claim) -> (bool, bool) {
    use ed25519_dalek::Verifier as _;
    let key = ed25519_dalek::VerifyingKey::from_bytes(&claim.0.0).unwrap();
    let signature = ed25519_dalek::Signature::from_bytes(&claim.2.0);
    let plain = key.verify(&claim.1.0, &signature).is_ok();
    (plain, key.verify_strict(&claim.1.0, &signature).is_ok())
}

fn honest(i: u8) -> Claim {
    let key = SecretKey::from_seed(&[i; 32]);
    let digest = Digest([i; 32]);
    (key.public(), digest, key.sign(&digest))
}

/// Honest claims, crafted ones of every torsion, and false ones, each with its ZIP-215 answer.
fn zoo() -> Vec<(Claim, bool)> {
    let mut zoo: Vec<(Claim, bool)> = (0..8).map(|i| (honest(i), true)).collect();
    for (i, torsion) in EIGHT_TORSION.into_iter().enumerate() {
        let none = EIGHT_TORSION[0];
        zoo.push((crafted(10 + i as u64, torsion, none), true));
        zoo.push((crafted(20 + i as u64, none, torsion), true));
        zoo.push((crafted(30 + i as u64, torsion, torsion), true));
    }
    // R = identity in the encoding y = p + 1, which is not canonical.
    let mut r = [0xff; 32];
    (r[0], r[31]) = (0xee, 0x7f);
    let secret = scalar(99);
    let key = (secret * B).compress().to_bytes();
    zoo.push((finish(key, r, secret, Scalar::ZERO, Digest([1; 32])), true));
    for part in 0..3 {
        let (mut key, mut digest, mut signature) = honest(50 + part);
        match part {
            0 => key = honest(1).0,
            1 => digest.0[0] ^= 1,
            _ => signature.0[40] ^= 1,
        }
        zoo.push(((key, digest, signature), false));
    }
    // s + l instead of s: ZIP-215 wants s below the order l.
    let (key, digest, mut signature) = honest(60);
    let order = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, add) in signature.0[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + add + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    zoo.push(((key, digest, signature), false));
    // No point of the curve at all.
    zoo.push(((PublicKey([2; 32]), digest, Signature([0xff; 64])), false));
    zoo
}

#[test]
fn every_claim_alone_has_its_zip_215_answer() {
    for (i, (claim, valid)) in zoo().iter().enumerate() {
        assert_eq!(Ed25519.verify(&[*claim]), [*valid], "claim {i}");
    }
}

#[test]
fn all_in_one_batch_answers_as_each_alone() {
    let zoo = zoo();
    for rotation in 0..zoo.len() {
        let mut list = zoo.clone();
        list.rotate_left(rotation);
        let claims: Vec<Claim> = list.iter().map(|(claim, _)| *claim).collect();
        let expected: Vec<bool> = list.iter().map(|(_, valid)| *valid).collect();
        assert_eq!(Ed25519.verify(&claims), expected, "rotation {rotation}");
    }
}

/// Why ZIP-215 is asked at all: these rules give other answers, and batches without the cofactor
/// even give answers that depend on the neighbours.
#[test]
fn plain_strict_and_batch_verification_disagree_about_crafted_signatures() {
    let crafted: Vec<Claim> = zoo()
        .iter()
        .filter(|(_, valid)| *valid)
        .map(|(claim, _)| *claim)
        .skip(8)
        .collect();
    assert!(
        crafted.iter().any(|claim| !dalek(claim).0),
        "verify refuses what ZIP-215 accepts"
    );
    assert!(
        crafted.iter().any(|claim| !dalek(claim).1),
        "verify_strict refuses what ZIP-215 accepts"
    );
    let mut seen = [false; 2];
    for one in &crafted {
        for other in &crafted {
            let passes = batch_passes(&[*one, *other]);
            seen[usize::from(passes)] = true;
            assert!(
                Ed25519.all_valid(&[*one, *other]),
                "but the answer is the same"
            );
        }
    }
    assert_eq!(
        seen,
        [true, true],
        "the batch check of some pairs passes and of others fails"
    );
}

#[test]
fn one_bad_claim_in_a_large_batch_is_found_and_harms_no_other() {
    let mut claims: Vec<Claim> = (0..200).map(honest).collect();
    claims[130].2.0[0] ^= 1;
    let valid = Ed25519.verify(&claims);
    assert_eq!(valid.len(), 200);
    assert!(
        valid
            .iter()
            .enumerate()
            .all(|(i, valid)| *valid == (i != 130))
    );
    assert!(!Ed25519.all_valid(&claims));
    assert!(Ed25519.verify(&[]).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_batching_answers_as_each_alone(picks in proptest::collection::vec(0usize..40, 1..90)) {
        let zoo = zoo();
        let list: Vec<_> = picks.iter().map(|i| zoo[i % zoo.len()]).collect();
        let claims: Vec<Claim> = list.iter().map(|(claim, _)| *claim).collect();
        let expected: Vec<bool> = list.iter().map(|(_, valid)| *valid).collect();
        prop_assert_eq!(Ed25519.verify(&claims), expected);
    }
}
