//! What is checked before a message becomes `Verified`.

use super::super::message::{
    AppendEntries, MAX_ENTRIES, ReadAnswer, ReadIndex, RequestVote, TimeoutNow,
};
use super::super::{Body, Entry, Message, Proof, Raft};
use super::craft::{
    Craft, Solo, append, appended, conflict, entries, grant, heard, message, newer, payload,
    position, pre_grant, pre_vote, request_vote,
};
use crate::testing::batches;
use crate::{Committed, Message as _, Protocol as _};
use crypto::{BatchRef, Digest, Epoch, Height, NodeId, Payload, Reject, Verified, View, codec};
use std::sync::Arc;

/// One of each.
pub fn one_of_each() -> Vec<Message> {
    let term = View(4);
    let transfer = Body::RequestVote(RequestVote {
        term,
        last: position(3, 9),
        transfer: true,
    });
    let ask = Body::ReadIndex(ReadIndex { term, nonce: 5 });
    let answer = Body::ReadAnswer(ReadAnswer {
        term,
        nonce: 5,
        height: Height(9),
    });
    let mut entries = append(4, (2, 6), &[3, 4], 5);
    entries.round = 8;
    let bodies = [
        Body::AppendEntries(entries),
        appended(4, 9),
        conflict(4, 9, (2, 6)),
        heard(4, 8),
        transfer,
        grant(4, 1),
        pre_vote(4, (3, 9)),
        pre_grant(4),
        newer(4),
        Body::TimeoutNow(TimeoutNow { term }),
        ask,
        answer,
    ];
    bodies.into_iter().map(message).collect()
}

fn check(body: Body) -> Result<(), Reject> {
    let craft = Craft::new(3);
    Verified::new(NodeId(1), message(body), &craft.verifier).map(|_| ())
}

fn check_append(change: impl FnOnce(&mut AppendEntries)) -> Result<(), Reject> {
    let mut append = append(4, (2, 6), &[3, 4], 5);
    change(&mut append);
    check(Body::AppendEntries(append))
}

fn at(term: u64, height: u64) -> Arc<Entry> {
    Arc::new(Entry {
        at: position(term, height),
        payload: payload(1),
    })
}

#[test]
fn what_is_in_order_passes() {
    let craft = Craft::new(3);
    for message in one_of_each() {
        assert!(Verified::new(NodeId(2), message, &craft.verifier).is_ok());
    }
}

#[test]
fn members_only_and_of_this_epoch() {
    let craft = Craft::new(3);
    for message in one_of_each() {
        let outside = Verified::new(NodeId(3), message.clone(), &craft.verifier);
        assert_eq!(outside.unwrap_err(), Reject::NotMember);
        let mut other = craft.verifier.clone();
        other.context.epoch = Epoch(1);
        let other = Verified::new(NodeId(1), message, &other);
        assert_eq!(other.unwrap_err(), Reject::WrongContext);
    }
}

#[test]
fn entries_that_are_not_consecutive_are_malformed() {
    let malformed = Err(Reject::Malformed);
    assert_eq!(
        check_append(|it| it.entries[0] = at(3, 8)),
        malformed,
        "a gap at the start"
    );
    assert_eq!(
        check_append(|it| it.entries[1] = at(4, 9)),
        malformed,
        "a gap within"
    );
    assert_eq!(
        check_append(|it| it.entries[1] = at(4, 7)),
        malformed,
        "one height twice"
    );
    assert_eq!(
        check_append(|it| it.entries.swap(0, 1)),
        malformed,
        "backwards"
    );
    assert_eq!(check_append(|it| it.previous.height = Height(7)), malformed);
}

#[test]
fn terms_that_go_down_are_malformed() {
    let malformed = Err(Reject::Malformed);
    assert_eq!(check_append(|it| it.entries[1] = at(2, 8)), malformed);
    assert_eq!(
        check_append(|it| it.entries[0] = at(1, 7)),
        malformed,
        "below the one before"
    );
    assert_eq!(
        check_append(|it| it.entries[1] = at(5, 8)),
        malformed,
        "above the leader's own"
    );
    let previous = |it: &mut AppendEntries| {
        it.entries.clear();
        it.previous.term = View(5);
    };
    assert_eq!(check_append(previous), malformed);
    let none = |it: &mut AppendEntries| {
        it.previous = position(0, 0);
        it.entries = vec![at(0, 1)];
    };
    assert_eq!(check_append(none), malformed, "no term");
}

#[test]
fn a_candidates_log_does_not_end_in_a_later_term() {
    assert_eq!(check(request_vote(4, (5, 1))), Err(Reject::Malformed));
    assert_eq!(check(pre_vote(4, (5, 1))), Err(Reject::Malformed));
    assert_eq!(check(request_vote(4, (4, 1))), Ok(()));
}

#[test]
fn too_many_entries_are_refused() {
    let full = |n| move |it: &mut AppendEntries| it.entries = entries(6, &vec![4; n]);
    assert_eq!(check_append(full(MAX_ENTRIES)), Ok(()));
    assert_eq!(check_append(full(MAX_ENTRIES + 1)), Err(Reject::TooLong));
}

#[test]
fn payload_is_whole() {
    let name = BatchRef {
        author: NodeId(0),
        number: 1,
        digest: Digest([1; 32]),
        bytes: 1,
        count: 1,
        expires: Height(9),
    };
    let with = |payload: Payload| {
        let at = position(3, 7);
        move |it: &mut AppendEntries| it.entries[0] = Arc::new(Entry { at, payload })
    };
    assert_eq!(
        check_append(with(Payload::Refs(vec![name]))),
        Err(Reject::Malformed)
    );
    assert_eq!(check_append(with(Payload::EMPTY)), Ok(()));
}

#[test]
fn a_grant_is_of_one_epoch() {
    let Body::Grant(mut it) = grant(4, 1) else {
        unreachable!("it is one");
    };
    it.epoch = Epoch(1);
    assert_eq!(check(Body::Grant(it)), Err(Reject::Malformed));
}

#[test]
fn there_is_no_term_zero() {
    for body in [
        newer(0),
        request_vote(0, (0, 0)),
        pre_vote(0, (0, 0)),
        appended(0, 0),
        grant(0, 1),
    ] {
        assert_eq!(check(body), Err(Reject::Malformed));
    }
}

#[test]
fn every_cut_is_undecodable_and_no_flipped_byte_panics() {
    let craft = Craft::new(3);
    for message in one_of_each() {
        let bytes = codec::encode(&message);
        assert_eq!(codec::decode::<Message>(&bytes).unwrap(), message);
        for end in 0..bytes.len() {
            assert!(
                codec::decode::<Message>(&bytes[..end]).is_err(),
                "{}",
                message.name()
            );
        }
        for (i, flip) in (0..bytes.len()).flat_map(|i| [1, 0x80, 0xff].map(|flip| (i, flip))) {
            let mut flipped = bytes.clone();
            flipped[i] ^= flip;
            let Ok(other) = codec::decode::<Message>(&flipped) else {
                continue;
            };
            feed(&craft, other);
        }
    }
}

/// Feeds it to a follower, a candidate and a leader.
fn feed(craft: &Craft, message: Message) {
    for role in 0..3 {
        let mut solo = Solo::with_log(craft.clone(), 0, 3, &[1, 1, 2, 2, 2, 2]);
        match role {
            0 => drop(solo.append(1, append(4, (2, 6), &[], 4))),
            1 => solo.time_out(),
            _ => solo.elect(),
        }
        let _ = solo.try_deliver(1, message.clone());
        solo.now = solo.now.plus(crypto::Time::millis(1_000));
        let _ = solo.try_deliver(2, message.clone());
        solo.pass(crypto::Time::millis(500));
    }
}

#[test]
fn huge_numbers_panic_nowhere() {
    let craft = Craft::new(3);
    let high = [(1 << 63) - 1, u64::MAX - 1, u64::MAX];
    for a in high {
        for b in [0, 1, 6].into_iter().chain(high) {
            let last = position(a.min(3), b);
            let mut bodies = vec![
                appended(4, a),
                conflict(4, a, (b, a)),
                conflict(4, b, (a, b)),
                conflict(4, 6, (a, b)),
                heard(4, a),
                request_vote(5, (4, a)),
                pre_vote(5, (4, a)),
                grant(4, u16::MAX),
                Body::ReadIndex(ReadIndex {
                    term: View(4),
                    nonce: a,
                }),
                Body::ReadAnswer(ReadAnswer {
                    term: View(4),
                    nonce: b,
                    height: Height(a),
                }),
                newer(1 << 62),
            ];
            for entries in [
                vec![],
                vec![at(4, b.saturating_add(1))],
                vec![at(4, b), at(4, b)],
            ] {
                bodies.push(Body::AppendEntries(AppendEntries {
                    term: View(4),
                    previous: last,
                    entries,
                    committed: Height(a),
                    round: a,
                }));
            }
            bodies
                .into_iter()
                .for_each(|body| feed(&craft, message(body)));
        }
    }
}

#[test]
fn the_window_ends_where_nonsense_begins() {
    let solo = Solo::with_log(Craft::new(3), 0, 5, &[1]);
    let window = solo.replica.window();
    let (low, high) = window.views;
    assert_eq!(low, View(0), "whoever is behind is answered");
    assert!(high > View(1_000_000));
    assert!(high < View(u64::MAX / 2));
}

#[test]
fn what_may_overtake_the_disk_promises_nothing() {
    let may: Vec<_> = one_of_each()
        .iter()
        .filter(|it| !it.may_overtake())
        .map(|it| it.name())
        .collect();
    assert_eq!(may, ["appended", "request_vote", "grant"]);
}

#[test]
fn a_proof_is_about_its_own_height() {
    let craft = Craft::new(3);
    let committed = |height, at| Committed {
        height: Height(height),
        payload: Payload::EMPTY,
        history: Digest::ZERO,
        proof: Proof(at),
    };
    let check = |it| Raft::check_proof(&it, &craft.verifier);
    assert_eq!(check(committed(4, position(2, 4))), Ok(()));
    assert_eq!(
        check(committed(4, position(2, 5))),
        Err(Reject::BadCertificate)
    );
    assert_eq!(
        check(committed(4, position(0, 4))),
        Err(Reject::BadCertificate)
    );
}

/// What a message may hold is counted by it.
#[test]
fn an_entry_knows_how_long_its_encoding_is() {
    let payloads = [
        Payload::EMPTY,
        batches::payload::<Raft>([1]),
        batches::payload::<Raft>(1..=7),
        Payload::Inline(vec![batches::large_batch(5_000); 3]),
    ];
    for payload in payloads {
        let at = position(1, 1);
        let entry = Entry { at, payload };
        assert_eq!(entry.encoded_bytes(), codec::encode(&entry).len());
    }
}
