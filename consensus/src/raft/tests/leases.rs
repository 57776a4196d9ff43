//! Leases (dissertation, section 6.4.1): only when configured, and never longer than it is certain
//! that nobody else is elected.

use super::super::Body;
use super::super::message::{ReadIndex, RequestVote};
use super::craft::{Craft, Solo, append, appended, heard, newer, position, pre_vote, request_vote};
use crate::{Input, ReadId};
use crypto::{Height, NodeId, Time, View};

const LEASE: Time = Time::millis(250);

/// A leader of three that has committed the entry of its term; its last round was answered now.
fn leader(craft: Craft) -> Solo {
    let mut solo = Solo::new(craft, 0);
    solo.elect();
    solo.deliver(1, appended(1, 1));
    let round = solo.last_append(1).unwrap().round;
    solo.deliver(1, heard(1, round));
    solo
}

/// Reads, and tells whether it was answered without asking.
fn reads_at_once(solo: &mut Solo) -> bool {
    let before = solo.reads.len();
    let id = ReadId(before as u64);
    solo.input(Input::Read { id });
    solo.reads.len() > before
}

#[test]
fn without_a_lease_each_read_asks() {
    let mut solo = leader(Craft::new(3));
    assert!(!reads_at_once(&mut solo));
}

#[test]
fn a_lease_is_counted_from_when_the_round_began() {
    let mut solo = Solo::new(Craft::leased(3, LEASE), 0);
    solo.elect();
    solo.deliver(1, appended(1, 1));
    let (began, round) = (solo.now, solo.last_append(1).unwrap().round);
    // The answer takes a while.
    solo.now = began.plus(Time::millis(80));
    solo.deliver(1, heard(1, round));
    assert!(reads_at_once(&mut solo));
    solo.now = began.plus(LEASE).since(Time(1));
    assert!(reads_at_once(&mut solo));
    solo.now = began.plus(LEASE);
    assert!(!reads_at_once(&mut solo), "over");
    assert_eq!(solo.reads[0].1, Ok(Height(1)));
}

#[test]
fn a_lease_takes_a_commit_quorum() {
    let mut craft = Craft::flexible(5, 4, 3);
    craft.timing.lease = Some(LEASE);
    let mut solo = Solo::new(craft, 0);
    solo.elect();
    (1..=3).for_each(|peer| solo.deliver(peer, appended(1, 1)));
    let round = solo.last_append(1).unwrap().round;
    for peer in 1..=2 {
        solo.deliver(peer, heard(1, round));
        assert!(!reads_at_once(&mut solo), "{peer} of 3 others");
    }
    solo.deliver(3, heard(1, round));
    assert!(reads_at_once(&mut solo));
}

#[test]
fn the_lease_ends_before_timeout_now() {
    let mut solo = leader(Craft::leased(3, LEASE));
    assert!(reads_at_once(&mut solo));
    solo.input(Input::Transfer {
        to: Some(NodeId(1)),
    });
    assert!(solo.said(|body| matches!(body, Body::TimeoutNow(_))));
    assert!(!reads_at_once(&mut solo));
    // Given up: the message may still arrive.
    for _ in 0..5 {
        solo.pass(Time::millis(70));
        let round = solo.last_append(1).unwrap().round;
        solo.deliver(1, heard(1, round));
    }
    assert!(solo.leads());
    solo.submit(1);
    assert_eq!(solo.log().len(), 2, "it is given up");
    assert!(!reads_at_once(&mut solo), "no lease in this term any more");
}

#[test]
fn a_restarted_node_grants_nothing_for_one_timeout_under_leases() {
    let at = Time::millis(5_000);
    let start = |craft: Craft| {
        let anchor = craft.anchor();
        Solo::recover(craft, 0, at, anchor, Vec::new())
    };
    let mut solo = start(Craft::leased(3, LEASE));
    solo.now = at.plus(Time::millis(300)).since(Time(1));
    solo.deliver(1, pre_vote(1, (0, 0)));
    solo.deliver(1, request_vote(1, (0, 0)));
    assert!(solo.sent.is_empty(), "{:?}", solo.sent);
    assert_eq!(solo.term(), 0);
    solo.now = at.plus(Time::millis(300));
    solo.deliver(1, pre_vote(1, (0, 0)));
    solo.deliver(1, request_vote(1, (0, 0)));
    assert_eq!(solo.granted(), [(1, 1)]);
    let mut solo = start(Craft::new(3));
    solo.deliver(1, request_vote(1, (0, 0)));
    assert_eq!(solo.granted(), [(1, 1)], "without leases there is no need");
}

#[test]
fn a_lease_outlives_the_news_of_a_higher_term() {
    // The follower has just answered its leader, who counts on it. Late messages of a candidate
    // that gave up long ago must not make it vote meanwhile.
    let mut solo = Solo::new(Craft::leased(3, LEASE), 0);
    solo.now = Time::millis(1_000);
    solo.append(1, append(1, (0, 0), &[1], 1));
    let heard = solo.now;
    solo.now = heard.plus(Time::millis(10));
    solo.deliver(2, newer(2));
    assert_eq!(solo.term(), 2);
    solo.deliver(2, request_vote(2, (1, 1)));
    solo.deliver(2, pre_vote(3, (1, 1)));
    assert!(
        solo.granted().is_empty(),
        "its leader may be reading by the lease"
    );
    solo.now = heard.plus(Time::millis(300));
    solo.deliver(2, request_vote(2, (1, 1)));
    assert_eq!(solo.granted(), [(2, 2)]);
}

#[test]
fn a_successor_gets_the_vote_whatever_the_lease() {
    // Whoever told it to stand has ended its lease before.
    let mut solo = Solo::new(Craft::leased(3, LEASE), 0);
    solo.append(1, append(1, (0, 0), &[1], 1));
    let ask = Body::RequestVote(RequestVote {
        term: View(2),
        last: position(1, 1),
        transfer: true,
    });
    solo.deliver(2, ask);
    assert_eq!(solo.granted(), [(2, 2)]);
}

#[test]
fn a_connection_that_goes_down_shortens_no_lease() {
    let mut solo = Solo::new(Craft::leased(3, LEASE), 0);
    solo.append(1, append(1, (0, 0), &[1], 1));
    solo.input(Input::Disconnected { peer: NodeId(1) });
    solo.deliver(2, request_vote(2, (1, 1)));
    assert!(solo.granted().is_empty());
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.append(1, append(1, (0, 0), &[1], 1));
    solo.input(Input::Disconnected { peer: NodeId(1) });
    solo.deliver(2, request_vote(2, (1, 1)));
    assert_eq!(solo.granted(), [(2, 2)], "without one it is heard no more");
}

#[test]
fn a_lease_reads_nothing_before_an_entry_of_the_own_term() {
    let mut solo = Solo::with_log(Craft::leased(3, LEASE), 0, 1, &[1]);
    solo.elect();
    let round = solo.last_append(1).unwrap().round;
    solo.deliver(1, heard(2, round));
    assert!(
        !reads_at_once(&mut solo),
        "height 1 may be committed, unknown to it"
    );
    solo.deliver(1, appended(2, 2));
    assert_eq!(solo.reads, [(ReadId(0), Ok(Height(2)))]);
}

/// The answers to a round that reads have begun bring a new lease with them.
#[test]
fn reads_that_asked_are_answered_by_the_lease_that_the_answers_bring() {
    let mut solo = leader(Craft::leased(3, LEASE));
    solo.now = solo.now.plus(LEASE);
    assert!(!reads_at_once(&mut solo), "it is over");
    solo.deliver(
        2,
        Body::ReadIndex(ReadIndex {
            term: View(1),
            nonce: 7,
        }),
    );
    let round = solo.last_append(1).unwrap().round;
    solo.deliver(1, heard(1, round));
    assert_eq!(solo.reads, [(ReadId(0), Ok(Height(1)))]);
    assert!(solo.said(|body| matches!(body, Body::ReadAnswer(it) if it.nonce == 7)));
}
