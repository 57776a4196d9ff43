//! Followers that lack what their leader no longer has in memory.

use super::super::{Body, Proof, Record};
use super::cluster::Cluster;
use super::craft::{Craft, Solo, appended, conflict, entries, position};
use crate::{Anchor, Input, Loaded, Token};
use crypto::{Digest, Height, NodeId, Time, View};

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
    assert_eq!(solo.loads[0].1, Height(2)..Height(1027));
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
    assert_eq!(solo.loads[0].1.start, Height(0));
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
    assert_eq!(solo.loads[0].1.start, Height(0));
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
