//! The bytes of wire and disk. A change here is a new format, and needs a new version number.

use super::super::message::CertificatePair;
use super::super::{Proof, Record, VoteRecord};
use super::craft::{Craft, payload, round_robin};
use super::messages::one_of_each;
use crate::testing::golden;
use crate::{Record as _, RecordKey};
use crypto::{Height, View, codec};
use std::sync::Arc;

#[test]
fn messages() {
    let craft = Craft::new(4, round_robin(4));
    assert_eq!(golden::messages(&one_of_each(&craft)), MESSAGES);
}

const MESSAGES: [&str; 9] = [
    "proposal 1013 44be8f46c4ddd475",
    "vote 126 68bf9d464c0d2df0",
    "timeout 994 e4039b7cf88ac829",
    "certificate 789 e2daefdb2835cd70",
    "ask_certificate 29 39d017227f70bc06",
    "fetch_blocks 284 1032a3a500abe6c9",
    "blocks 930 933c5ec76dbe6845",
    "read_ask 20 03259c7e2ae34a40",
    "read_answer 284 d143d9dec3031c76",
];

#[test]
fn small_messages_in_full() {
    let craft = Craft::new(4, round_robin(4));
    let all = one_of_each(&craft);
    let hex = |i: usize| golden::hex(&codec::encode(&all[i]));
    assert_eq!(
        hex(4),
        "0400000000000000000000000400000000000000020000000000000001"
    );
    assert!(hex(5).starts_with("0500000000000000000000000100000000000000"));
    assert_eq!(hex(7), "0700000000000000000000000500000000000000");
    // Vote: number, epoch, view, height, block, author, signature.
    let vote = hex(1);
    assert!(vote.starts_with("01000000000000000000000004000000000000000300000000000000"));
    assert_eq!(vote.len() / 2, 4 + 8 + 8 + 8 + 32 + 2 + 64);
}

#[test]
fn records() {
    let craft = Craft::new(4, round_robin(4));
    let (blocks, certificates) = craft.chain(&[1, 2]);
    let high = &certificates[1];
    let entry = craft.timeout_certificate(0, &[(0, high), (1, high), (2, high)]);
    let block = craft.block_after(4, high, Some(Arc::clone(&entry)), payload(4));
    let mut timeout = craft.timeout(1, 1, high, Some(Arc::clone(&entry)));
    timeout.vote = Some(craft.vote(1, &block));
    let vote = VoteRecord {
        view: View(4),
        height: Height(3),
        block: block.digest(),
        lock: Arc::clone(&certificates[0]),
        justify: Arc::clone(high),
        timeout: Some(Arc::clone(&entry)),
    };
    let pair = CertificatePair {
        quorum: Arc::clone(high),
        timeout: Some(entry),
    };
    let records = [
        Record::Block(Arc::clone(&block)),
        Record::Vote(Box::new(vote)),
        Record::Timeout(Box::new(timeout)),
        Record::Progress(pair),
        Record::Commit {
            height: Height(3),
            block: block.digest(),
        },
    ];
    let keys: Vec<_> = records.iter().map(Record::key).collect();
    assert_eq!(keys[0], RecordKey::At(Height(3), block.digest()));
    assert_eq!(
        keys[1..4],
        [
            RecordKey::Latest(0),
            RecordKey::Latest(1),
            RecordKey::Latest(2)
        ]
    );
    assert!(matches!(keys[4], RecordKey::At(Height(3), _)));
    let line = |bytes: Vec<u8>| format!("{} {}", bytes.len(), golden::digest(&bytes));
    let stored = records.iter().map(golden::stored);
    let mut made: Vec<String> = stored.map(line).collect();
    let headers = blocks.iter().map(|block| block.header.clone()).collect();
    let proof = codec::encode(&Proof {
        headers,
        certificate: Arc::clone(high),
    });
    made.push(line(proof));
    assert_eq!(made, RECORDS);
}

/// Block, vote, timeout, progress, commit; and the proof that goes with a commit.
const RECORDS: [&str; 6] = [
    "947 5af58f660b9f642b",
    "1101 c8633b76e9417e82",
    "994 e4039b7cf88ac829",
    "789 e2daefdb2835cd70",
    "44 07a2c232fea4f0f7",
    "786 4aed4f4f652d8d30",
];

#[test]
fn block_digest() {
    let craft = Craft::new(4, round_robin(4));
    let block = craft.block(1, &craft.genesis(), payload(1));
    assert_eq!(
        block.digest().to_string(),
        "1b468e97b0d3e9df6dd0ea0831d5fd32595b7d578a244823dedf16d44d817876"
    );
}
