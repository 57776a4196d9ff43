//! Followers that lack what their leader no longer has in memory.

use super::super::{AppendEntries, Body, Entry, Proof, Record};
use super::cluster::Cluster;
use super::craft::{Craft, Solo, appended, conflict, entries, heard, position};
use crate::testing::batches;
use crate::{Anchor, Input, Loaded, Selection, To, Token};
use crypto::{Digest, Height, NodeId, Payload, Time, View};
use std::collections::VecDeque;
use std::sync::Arc;

/// A leader in term 3 that has nothing up to height 8 in memory, but all on disk.
fn leader() -> Solo {
    let craft = Craft::new(3);
    let anchor = Anchor {
        height: Height(8),
        history: Digest([1; 32]),
        proof: Some(Proof(position(2, 8))),
        ..craft.anchor()
    };
    let mut records = vec![Record::Term {
        term: View(2),
        voted: None,
    }];
    let terms = [1, 1, 1, 1, 2, 2, 2, 2];
    records.extend(entries(0, &terms).into_iter().map(Record::Entry));
    let mut solo = Solo::recover(craft, 0, Time(0), anchor, records);
    solo.slow_loads = true;
    solo.elect();
    assert_eq!(solo.log(), [3]);
    solo
}

#[test]
fn what_is_not_in_memory_is_loaded_and_sent() {
    let mut solo = leader();
    solo.deliver(1, conflict(3, 8, (0, 3)));
    assert_eq!(solo.loads[0].1, Selection::Heights(Height(2)..Height(1027)));
    assert_eq!(solo.appends(1), 1, "nothing before it is loaded");
    solo.load();
    let sent = solo.last_append(1).unwrap();
    assert_eq!(sent.previous, position(1, 2));
    assert_eq!(sent.entries[..6], entries(2, &[1, 1, 2, 2, 2, 2])[..]);
    assert_eq!(sent.entries.len(), 7, "up to the end");
    solo.deliver(1, appended(3, 9));
    solo.submit(1);
    let sent = solo.last_append(1).unwrap();
    assert_eq!(
        (sent.previous, sent.entries.len()),
        (position(3, 9), 1),
        "the rest from memory"
    );
}

#[test]
fn one_who_has_nothing_is_sent_everything() {
    let mut solo = leader();
    solo.deliver(1, conflict(3, 8, (0, 1)));
    let Selection::Heights(heights) = &solo.loads[0].1 else {
        panic!("all of some heights")
    };
    assert_eq!(heights.start, Height(0));
    solo.load();
    let sent = solo.last_append(1).unwrap();
    assert_eq!(sent.previous, position(0, 0));
    assert_eq!(sent.entries.len(), 9);
}

#[test]
fn a_store_that_no_longer_has_it_is_asked_again_and_nothing_wrong_is_sent() {
    let mut solo = leader();
    solo.deliver(1, conflict(3, 8, (0, 3)));
    let (token, _) = solo.loads[0];
    let appends = solo.appends(1);
    // Only what lies beyond a gap.
    let records = entries(4, &[2, 2]).into_iter().map(Record::Entry).collect();
    solo.input(Input::Loaded(Loaded { token, records }));
    assert_eq!(solo.appends(1), appends);
    solo.pass(Time::millis(250));
    assert!(solo.loads.len() > 1);
}

#[test]
fn an_answer_of_the_store_that_nobody_waits_for_changes_nothing() {
    let mut solo = leader();
    solo.deliver(1, conflict(3, 8, (0, 3)));
    let (Token(token), _) = solo.loads[0];
    let sent = solo.sent.len();
    let records = entries(1, &[1, 1]).into_iter().map(Record::Entry).collect();
    let token = Token(token + 1);
    solo.input(Input::Loaded(Loaded { token, records }));
    assert_eq!(solo.sent.len(), sent);
    assert_eq!(solo.loads.len(), 1, "the question is still under way");
}

/// A connection that comes and goes, or a follower that complains again, piles nothing up in front of
/// a store that is slow.
#[test]
fn one_load_at_a_time_for_each_follower() {
    let mut solo = leader();
    solo.deliver(1, conflict(3, 8, (0, 3)));
    for _ in 0..10 {
        solo.input(Input::Connected { peer: NodeId(1) });
    }
    solo.deliver(1, conflict(3, 2, (0, 1)));
    assert_eq!(solo.loads.len(), 1);
    assert_eq!(solo.appends(1), 1);
    // What comes is no longer what is needed: then that is asked for.
    solo.load();
    assert_eq!(solo.loads.len(), 1);
    let Selection::Heights(heights) = &solo.loads[0].1 else {
        panic!("all of some heights")
    };
    assert_eq!(heights.start, Height(0));
    solo.load();
    let sent = solo.last_append(1).unwrap();
    assert_eq!((sent.previous, sent.entries.len()), (position(0, 0), 9));
}

#[test]
fn heartbeats_go_on_while_it_is_loaded() {
    let mut solo = leader();
    solo.deliver(1, conflict(3, 8, (0, 3)));
    let before = solo.sent.len();
    solo.pass(Time::millis(100));
    let beats = solo.sent[before..].iter();
    let beats =
        beats.filter(|(_, body)| matches!(body, Body::AppendEntries(it) if it.entries.is_empty()));
    assert!(beats.count() >= 1);
    assert_eq!(
        solo.last_append(1).unwrap().previous,
        position(0, 0),
        "which all have"
    );
}

#[test]
fn a_follower_that_was_away_for_long_catches_up() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.elect();
    let away = (leader + 1) % 3;
    cluster.crash(away);
    // More than a leader keeps in memory.
    for number in 1..=4_500 {
        cluster.submit(number);
        cluster.run(Time(700_000));
    }
    cluster.start(away);
    cluster.run_until(Time::millis(5_000), "catch up", Cluster::all_done);
    assert_eq!(cluster.leader(), Some(leader));
}

/// Bytes of a large entry.
const LARGE: usize = 100 << 10;
/// Most that is under way to one follower.
const UNDER_WAY: usize = 8 << 20;

/// A leader in term 3 that has so many large entries on disk, and none of them in memory.
fn leader_of_large(count: u64) -> Solo {
    let craft = Craft::new(3);
    let anchor = Anchor {
        height: Height(count),
        history: Digest([1; 32]),
        proof: Some(Proof(position(2, count))),
        ..craft.anchor()
    };
    let payload = Payload::Inline(vec![batches::large_batch(LARGE as u32)]);
    let large = |height| {
        let (at, payload) = (position(2, height), payload.clone());
        Record::Entry(Arc::new(Entry { at, payload }))
    };
    let mut records = vec![Record::Term {
        term: View(2),
        voted: None,
    }];
    records.extend((1..=count).map(large));
    let mut solo = Solo::recover(craft, 0, Time(0), anchor, records);
    solo.elect();
    solo
}

/// What has been sent to node 1 with entries, from the message of that number on.
fn sent_from(solo: &Solo, first: usize) -> Vec<AppendEntries> {
    let to = [To::Others, To::One(NodeId(1))];
    let sent = solo.sent[first..].iter().filter(|(it, _)| to.contains(it));
    let full = sent.filter_map(|(_, body)| match body {
        Body::AppendEntries(it) if !it.entries.is_empty() => Some(it.clone()),
        _ => None,
    });
    full.collect()
}

fn bytes(append: &AppendEntries) -> usize {
    append.entries.iter().map(|it| it.payload.bytes()).sum()
}

/// A connection's queue drops the oldest when it is full, which is what the follower needs next.
#[test]
fn what_is_under_way_to_one_who_catches_up_is_bounded() {
    let mut solo = leader_of_large(400);
    solo.slow_loads = true;
    let first = solo.sent.len();
    solo.deliver(1, conflict(3, 400, (0, 1)));
    solo.load();
    let probe = sent_from(&solo, first);
    assert_eq!(probe.len(), 1, "one message finds out whether it fits");
    let mut answered = 0;
    for part in 1..=3 {
        let last = sent_from(&solo, first)
            .last()
            .unwrap()
            .entries
            .last()
            .unwrap()
            .at;
        solo.deliver(1, appended(3, last.height.0));
        answered = answered.max(last.height.0);
        while !solo.loads.is_empty() {
            solo.load();
        }
        let sent = sent_from(&solo, first);
        let under_way = sent.iter().filter(|it| it.previous.height.0 >= answered);
        let under_way: usize = under_way.map(bytes).sum();
        assert!(under_way <= UNDER_WAY, "{under_way} bytes");
        assert!(
            under_way > UNDER_WAY / 2,
            "{under_way} bytes in part {part}"
        );
        assert!(
            sent.iter().all(|it| bytes(it) <= 256 << 10),
            "in small messages"
        );
    }
}

/// What takes long is not lost. Copies would come on top of what the connection has to carry anyway.
#[test]
fn a_slow_connection_is_not_filled_with_copies() {
    const COUNT: u64 = 400;
    let mut solo = leader_of_large(COUNT);
    let (mut seen, mut queue, mut has) = (solo.sent.len(), VecDeque::new(), 0);
    let (mut most, mut carried) = (0, 0);
    solo.deliver(1, conflict(3, COUNT, (0, 1)));
    while has <= COUNT {
        queue.extend(sent_from(&solo, seen));
        seen = solo.sent.len();
        most = most.max(queue.iter().map(bytes).sum());
        let Some(append) = queue.pop_front() else {
            solo.pass(Time::millis(10));
            continue;
        };
        // A megabyte a second.
        carried += bytes(&append);
        for _ in 0..=bytes(&append) >> 16 {
            solo.pass(Time::millis(62));
            let round = solo.last_append(2).unwrap().round;
            solo.deliver(2, heard(3, round));
        }
        let previous = append.previous.height.0;
        if previous <= has {
            has = has.max(previous + append.entries.len() as u64);
            solo.deliver(1, appended(3, has));
        } else {
            solo.deliver(1, conflict(3, previous, (0, has + 1)));
        }
    }
    assert!(solo.leads());
    assert!(most <= 16 << 20, "{most} bytes at once");
    let copies = carried - COUNT as usize * LARGE;
    assert!(copies <= 2 * UNDER_WAY, "{copies} bytes too many");
}
