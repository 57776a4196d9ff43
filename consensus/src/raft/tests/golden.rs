//! The bytes of wire and disk. A change here is a new format, and needs a new version number.

use super::super::{Draft, Proof, Record};
use super::craft::{entry, grant, message, position};
use super::messages::one_of_each;
use crate::testing::golden::{self, hex};
use crate::{Draft as _, Message as _, Record as _, RecordKey};
use crypto::{Height, Kind, NodeId, View, codec};

#[test]
fn messages() {
    assert_eq!(golden::messages(&one_of_each()), MESSAGES);
}

const MESSAGES: [&str; 12] = [
    "append_entries 184 cc5bf580af4e44ef",
    "appended 28 4f79471c36327189",
    "conflict 44 0bfcc271b6e0cc14",
    "heard 28 5c417a16088b1bbe",
    "request_vote 37 a4727c47db75e2d3",
    "grant 30 008312b783f93b20",
    "pre_vote 36 af6b5eeb633dad03",
    "pre_grant 20 b1858b888df6c926",
    "newer_term 20 e0fe01301b241e8f",
    "timeout_now 20 9958718cbd0e85cc",
    "read_index 28 a0e07cf787ed684d",
    "read_answer 36 1706794a9c62a6fc",
];

#[test]
fn numbers_on_the_wire() {
    // Epoch, number of the variant, term, and the rest.
    for (i, message) in one_of_each().iter().enumerate() {
        let bytes = codec::encode(message);
        assert_eq!(bytes[..8], [0; 8], "{}", message.name());
        assert_eq!(bytes[8..12], (i as u32).to_le_bytes(), "{}", message.name());
    }
    let all = one_of_each();
    let heard =
        "0000000000000000".to_owned() + "03000000" + "0400000000000000" + "0800000000000000";
    assert_eq!(hex(&codec::encode(&all[3])), heard);
    let stand = "0000000000000000".to_owned()
        + "04000000"
        + "0400000000000000"
        + "0300000000000000"
        + "0900000000000000"
        + "01";
    assert_eq!(hex(&codec::encode(&all[4])), stand);
}

#[test]
fn records() {
    let records = [
        Record::Term {
            term: View(4),
            voted: None,
        },
        Record::Term {
            term: View(4),
            voted: Some(NodeId(1)),
        },
        Record::Entry(entry(4, 9)),
    ];
    assert_eq!(records[0].key(), RecordKey::Latest(0));
    assert_eq!(
        records[1].key(),
        RecordKey::Latest(0),
        "a later one replaces it"
    );
    assert!(matches!(records[2].key(), RecordKey::At(Height(9), _)));
    assert_eq!(
        records[2].key(),
        Record::Entry(entry(5, 9)).key(),
        "a height has one entry"
    );
    let made: Vec<String> = records.iter().map(|it| hex(&golden::stored(it))).collect();
    assert_eq!(made, RECORDS);
    let proof = codec::encode(&Proof(position(4, 9)));
    assert_eq!(hex(&proof), "04000000000000000900000000000000");
}

/// No vote, a vote, an entry.
const RECORDS: [&str; 3] = [
    "00000000040000000000000000",
    "000000000400000000000000010100",
    "01000000040000000000000009000000000000000100000001000000000000001a000000000000000000a90f00000000000000000000000100000000000000000000",
];

#[test]
fn a_vote_as_the_guard_sees_it() {
    let draft = Draft(message(grant(4, 1)));
    let statement = draft.statement().unwrap();
    assert_eq!(statement.slot.kind, Kind::Grant);
    assert_eq!(
        (statement.slot.view, statement.slot.height),
        (View(4), Height(0))
    );
    assert_eq!(
        statement.content.to_string(),
        "b2b3788c39b5c4bef7e98fb2e1c2435baae5aa6e64921de378ff405c5a0e77ed"
    );
    let other = Draft(message(grant(4, 2))).statement().unwrap();
    assert_eq!(other.slot, statement.slot, "one candidate a term");
    assert_ne!(other.content, statement.content);
    let unsigned = one_of_each()
        .into_iter()
        .filter(|it| Draft(it.clone()).statement().is_none());
    assert_eq!(unsigned.count(), 11);
}
