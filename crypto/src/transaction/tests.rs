#![allow(clippy::unwrap_used)]
use super::*;
use crate::scheme::Claim;
use crate::{Ed25519, SecretKey, codec};
use std::sync::atomic::{AtomicUsize, Ordering};

const CHAIN: ChainId = ChainId(Digest([1; 32]));

fn signed(seed: u8, body: &'static [u8]) -> Transaction {
    let key = SecretKey::from_seed(&[seed; 32]);
    let mut transaction = Transaction {
        format: FORMAT,
        chain: CHAIN,
        client: key.public(),
        sequence: 3,
        expires: Height(4),
        body: Bytes::from_static(body),
        signature: Signature::NONE,
    };
    transaction.signature = key.sign(&transaction.digest());
    transaction
}

/// The table of [`Transaction`], written out by hand: what a client in another language hashes.
#[test]
fn the_signed_bytes_are_those_of_the_table() {
    let transaction = signed(7, b"hello");
    let mut bytes = Vec::new();
    bytes.extend([22, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(b"quorate/v1/transaction");
    bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([1; 32]);
    bytes.extend(transaction.client.0);
    bytes.extend([3, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([4, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([5, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(b"hello");
    assert_eq!(transaction.digest().0, *blake3::hash(&bytes).as_bytes());
}

/// Seed of 32 times 7, chain id of 32 times 1, sequence 3, expires 4, body "hello".
#[test]
fn golden_vector_for_other_languages() {
    let transaction = signed(7, b"hello");
    let client = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";
    assert_eq!(transaction.client.to_string(), client);
    assert_eq!(
        transaction.digest().to_string(),
        "039d085b465db08ba66b45045e3ccbdc70ec69b668d8f87a785a7e4735a8c0f0"
    );
    assert_eq!(
        hex::encode(transaction.signature.0),
        "14859f51266ce0c6531f57d1575268a7e025e66f583ded5e625ee956b43e1a568e70aa1ff5e5b0914989ba53ad6435392cde5ae7b12662360c2628a6998fcb06"
    );
    let encoded = [
        "0100".to_owned(),
        "01".repeat(32),
        client.into(),
        "0300000000000000".into(),
        "0400000000000000".into(),
        "0500000000000000".into(),
        hex::encode("hello"),
        hex::encode(transaction.signature.0),
    ];
    let bytes = codec::encode(&transaction);
    assert_eq!(hex::encode(&bytes), encoded.concat());
    assert_eq!(bytes.len(), transaction.encoded_len());
}

#[test]
fn every_flipped_byte_is_refused() {
    let bytes = codec::encode(&signed(7, b"hello"));
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bad = bytes.clone();
            bad[at] ^= flip;
            let passes = codec::decode::<Transaction>(&bad)
                .is_ok_and(|t| Transaction::check_all(&[t], &CHAIN, &Ed25519)[0].is_ok());
            assert!(!passes, "byte {at} ^ {flip:#x}");
        }
    }
}

/// Counts what it is asked.
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

#[test]
fn each_is_judged_by_itself_and_no_signature_is_checked_in_vain() {
    let good = [signed(1, b"a"), signed(2, b"b")];
    let format = Transaction {
        format: 2,
        ..signed(3, b"c")
    };
    let chain = Transaction {
        chain: ChainId(Digest([2; 32])),
        ..signed(4, b"d")
    };
    let weak = Transaction {
        client: PublicKey([0; 32]),
        ..signed(5, b"e")
    };
    let body = Transaction {
        body: Bytes::from_static(b"x"),
        ..signed(6, b"f")
    };
    let list = [good[0].clone(), format, chain, weak, body, good[1].clone()];
    let scheme = Counting(AtomicUsize::new(0));
    let expected = [
        Ok(()),
        Err(Reject::Malformed),
        Err(Reject::WrongContext),
        Err(Reject::BadSignature),
        Err(Reject::BadSignature),
        Ok(()),
    ];
    assert_eq!(Transaction::check_all(&list, &CHAIN, &scheme), expected);
    assert_eq!(scheme.0.load(Ordering::Relaxed), 3);
    assert!(Transaction::check_all(&[], &CHAIN, &scheme).is_empty());
}
