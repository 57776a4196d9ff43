//! The bytes of wire and disk. A change here is a new format, and needs a new version number.

use super::super::Proof;
use super::super::record::{AcceptedRecord, Record};
use super::craft::{Craft, payload};
use super::messages::one_of_each;
use crate::testing::golden;
use crate::{Record as _, RecordKey};
use crypto::{Height, Signature, View, codec};
use std::sync::Arc;

#[test]
fn messages() {
    let craft = Craft::new(4);
    assert_eq!(golden::messages(&one_of_each(&craft)), MESSAGES);
}

const MESSAGES: [&str; 14] = [
    "pre_prepare 164 4b4ab2691458a8ff",
    "prepare 126 ca6a6e5eb344e1f8",
    "commit 126 1421cf6e0fcc2de7",
    "view_change 1059 9a4ed0c057a8d4ac",
    "new_view 1712 82c8b0ce203dbaa0",
    "opened 1712 62d3f4c8e74fabad",
    "certificate 274 cbcb3af1502cdf2b",
    "ask_progress 29 d5d23a2a331cb9c0",
    "fetch_slots 20 1b5070a59d568e54",
    "slots 688 2d4344563a69d498",
    "fetch_payloads 60 53c1477629b76eed",
    "payloads 98 8bb4ef0f79f17a0a",
    "read_ask 20 8bbe11bbe2d51f7e",
    "read_answer 288 1da483375255d1e9",
];

#[test]
fn small_messages_in_full() {
    let craft = Craft::new(4);
    let all = one_of_each(&craft);
    let hex = |i: usize| golden::hex(&codec::encode(&all[i]));
    // Number, epoch, view, height, stalled.
    assert_eq!(
        hex(7),
        "0700000000000000000000000400000000000000030000000000000001"
    );
    assert_eq!(hex(8), "0800000000000000000000000300000000000000");
    assert_eq!(hex(12), "0c00000000000000000000000500000000000000");
    // Prepare: number, epoch, height, view, digest, author, signature.
    let prepare = hex(1);
    assert!(prepare.starts_with("0100000000000000000000000a000000000000000200000000000000"));
    assert_eq!(prepare.len() / 2, 4 + 8 + 8 + 8 + 32 + 2 + 64);
}

#[test]
fn records() {
    let craft = Craft::new(4);
    let assigned = craft.assigned(1, 9, &payload(1));
    let prepared = craft.prepared(assigned);
    let records = [
        Record::Accepted(AcceptedRecord {
            view: View(1),
            height: Height(9),
            payload: Arc::new(payload(1)),
            signature: Signature([3; 64]),
        }),
        Record::Prepared(Arc::clone(&prepared)),
        Record::ViewChange(Box::new(craft.change(1, 2, 8, &[Arc::clone(&prepared)]))),
        Record::NewView(craft.opened(2, 8, &[prepared])),
        Record::Committed(craft.committed(assigned)),
    ];
    let keys: Vec<_> = records.iter().map(Record::key).collect();
    assert_eq!(keys[0], RecordKey::At(Height(9), assigned.digest));
    assert_eq!(keys[2..4], [RecordKey::Latest(0), RecordKey::Latest(1)]);
    assert!(matches!(keys[1], RecordKey::At(Height(9), _)));
    assert!(matches!(keys[4], RecordKey::At(Height(9), _)));
    assert!(keys[0] != keys[1] && keys[1] != keys[4] && keys[0] != keys[4]);
    let line = |bytes: Vec<u8>| format!("{} {}", bytes.len(), golden::digest(&bytes));
    let mut made: Vec<String> = records.iter().map(golden::stored).map(line).collect();
    made.push(line(codec::encode(&Proof(
        (*craft.committed(assigned)).clone(),
    ))));
    assert_eq!(made, RECORDS);
}

/// Accepted, prepared, view change, new view, committed; and the proof that goes with a commit.
const RECORDS: [&str; 6] = [
    "154 3aed7356a8987fa4",
    "270 8d36b32c2fb842a0",
    "745 7041c296a7ec79f2",
    "1238 b2d4b41151dde86e",
    "268 9545dab0b49b0361",
    "264 e7615ebb703fd148",
];

#[test]
fn what_stands_for_a_slot() {
    let digest = super::super::slot::null();
    assert_eq!(digest.to_string(), NULL);
}

const NULL: &str = "00dde6baf1588dfdd9747816841b21a592bb9981cd5053ff03a5ddd87c904c6f";
