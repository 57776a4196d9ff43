#![allow(clippy::unwrap_used)]
use super::*;
use crate::Ed25519;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the claims that reach the scheme.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Scheme for Counting {
    fn sign(&self, key: &SecretKey, digest: &Digest) -> Signature {
        Ed25519.sign(key, digest)
    }
    fn verify(&self, claims: &[Claim]) -> Vec<bool> {
        self.0.fetch_add(claims.len(), Ordering::Relaxed);
        Ed25519.verify(claims)
    }
}

fn claim(i: u8) -> Claim {
    let key = SecretKey::from_seed(&[i; 32]);
    let digest = Digest([i; 32]);
    (key.public(), digest, key.sign(&digest))
}

#[test]
fn what_was_valid_costs_no_second_check() {
    let scheme = Remembered::new(Counting::default());
    let claims: Vec<Claim> = (0..10).map(claim).collect();
    assert!(scheme.all_valid(&claims[..4]));
    assert!(scheme.all_valid(&claims[2..7]));
    assert!(scheme.all_valid(&claims[..7]));
    assert_eq!(scheme.scheme.0.load(Ordering::Relaxed), 7);
}

#[test]
fn what_was_not_valid_is_checked_again_and_refused_again() {
    let scheme = Remembered::new(Counting::default());
    let mut claims: Vec<Claim> = (0..3).map(claim).collect();
    claims[1].2.0[5] ^= 1;
    for _ in 0..2 {
        assert_eq!(scheme.verify(&claims), [true, false, true]);
    }
    assert_eq!(scheme.scheme.0.load(Ordering::Relaxed), 4);
}

/// Only the very same claim is known: no part of it may be another's.
#[test]
fn a_known_signature_proves_nothing_for_another_key_or_digest() {
    let scheme = Remembered::new(Ed25519);
    let (one, two) = (claim(1), claim(2));
    assert!(scheme.all_valid(&[one, two]));
    assert!(!scheme.all_valid(&[(two.0, one.1, one.2)]));
    assert!(!scheme.all_valid(&[(one.0, two.1, one.2)]));
    assert!(!scheme.all_valid(&[(one.0, one.1, two.2)]));
}

#[test]
fn a_claim_that_lost_its_place_is_checked_anew_and_memory_does_not_grow() {
    let scheme = Remembered::new(Counting::default());
    let one = claim(1);
    assert!(scheme.all_valid(&[one]));
    let at = place(&name(&one));
    scheme.slots.lock().unwrap()[at] = Digest([9; 32]);
    assert!(scheme.all_valid(&[one]));
    assert_eq!(scheme.scheme.0.load(Ordering::Relaxed), 2);
    assert_eq!(scheme.slots.lock().unwrap().len(), SLOTS);
}
