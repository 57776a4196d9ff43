//! ReadIndex (dissertation, section 6.4): reads that are not ordered, and yet not stale.

use super::super::Body;
use super::super::message::{ReadAnswer, ReadIndex};
use super::cluster::Cluster;
use super::craft::{Craft, Solo, append, appended, heard, newer};
use crate::common::reads::MAX_READS;
use crate::{Input, ReadId, Retry, To};
use crypto::{Height, NodeId, Time, View};

fn read(solo: &mut Solo, id: u64) {
    solo.input(Input::Read { id: ReadId(id) });
}

/// A leader that has committed the entry of its term.
fn leader(n: u16) -> Solo {
    let mut solo = Solo::new(Craft::new(n), 0);
    solo.elect();
    (1..n).for_each(|peer| solo.deliver(peer, appended(1, 1)));
    solo
}

fn round(solo: &Solo) -> u64 {
    solo.last_append(1).unwrap().round
}

/// The question that a follower asked last.
fn question(solo: &Solo) -> ReadIndex {
    let ask = |(_, body): &(To, Body)| match body {
        Body::ReadIndex(ask) => Some(*ask),
        _ => None,
    };
    solo.sent.iter().rev().find_map(ask).expect("it asks")
}

fn answer(nonce: u64, term: u64, height: u64) -> Body {
    Body::ReadAnswer(ReadAnswer {
        term: View(term),
        nonce,
        height: Height(height),
    })
}

#[test]
fn a_read_waits_for_a_round_that_began_after_it_came() {
    let mut solo = leader(3);
    let before = round(&solo);
    read(&mut solo, 1);
    assert_eq!(round(&solo), before + 1, "it asks at once");
    solo.deliver(1, heard(1, before));
    assert!(solo.reads.is_empty(), "an answer from before");
    solo.deliver(1, heard(1, before + 1));
    assert_eq!(solo.reads, [(ReadId(1), Ok(Height(1)))]);
}

#[test]
fn a_read_takes_a_commit_quorum_of_distinct_members() {
    for (n, c, e) in [(5, 3, 3), (5, 2, 4), (5, 4, 3), (7, 4, 4)] {
        let mut solo = Solo::new(Craft::flexible(n, c, e), 0);
        solo.elect();
        (1..n).for_each(|peer| solo.deliver(peer, appended(1, 1)));
        read(&mut solo, 1);
        let round = round(&solo);
        for peer in 1..c as u16 {
            assert!(solo.reads.is_empty(), "{peer} of {c}");
            (0..3).for_each(|_| solo.deliver(peer.saturating_sub(1).max(1), heard(1, round)));
            solo.deliver(peer, heard(1, round));
        }
        assert_eq!(solo.reads.len(), 1, "n {n}, c {c}");
    }
}

#[test]
fn reads_are_batched_and_a_round_serves_only_who_came_before_it() {
    let mut solo = leader(3);
    read(&mut solo, 1);
    let first = round(&solo);
    (2..=5).for_each(|id| read(&mut solo, id));
    assert_eq!(round(&solo), first, "they wait for the next");
    solo.deliver(1, heard(1, first));
    let served: Vec<u64> = solo.reads.iter().map(|it| it.0.0).collect();
    assert_eq!(served, [1]);
    assert_eq!(round(&solo), first + 1);
    solo.deliver(2, heard(1, first + 1));
    let served: Vec<u64> = solo.reads.iter().map(|it| it.0.0).collect();
    assert_eq!(served, [1, 2, 3, 4, 5]);
}

#[test]
fn a_read_is_answered_with_what_was_committed_when_its_round_began_or_more() {
    let mut solo = leader(3);
    solo.submit(1);
    read(&mut solo, 1);
    solo.deliver(1, appended(1, 2));
    read(&mut solo, 2);
    let now = round(&solo);
    solo.deliver(1, heard(1, now));
    let next = round(&solo);
    solo.deliver(1, heard(1, next));
    assert_eq!(
        solo.reads,
        [(ReadId(1), Ok(Height(1))), (ReadId(2), Ok(Height(2)))]
    );
}

#[test]
fn no_read_before_an_entry_of_the_own_term() {
    let mut solo = Solo::with_log(Craft::new(3), 0, 1, &[1, 1]);
    solo.elect();
    read(&mut solo, 1);
    solo.pass(Time::millis(100));
    for number in 1..=round(&solo) {
        solo.deliver(1, heard(2, number));
    }
    assert!(
        solo.reads.is_empty(),
        "heights 1 and 2 may be committed, unknown to it"
    );
    solo.deliver(1, appended(2, 3));
    let now = round(&solo);
    solo.deliver(1, heard(2, now));
    assert_eq!(solo.reads, [(ReadId(1), Ok(Height(3)))]);
}

#[test]
fn a_paused_leader_that_wakes_serves_no_stale_read() {
    // etcd #20418. While node `leader` sleeps, another is elected and commits.
    for lease in [None, Some(Time::millis(250))] {
        let mut craft = Craft::new(3);
        craft.timing.lease = lease;
        let mut cluster = Cluster::seeded(craft, 1);
        let leader = cluster.elect();
        cluster.submit(1);
        cluster.run(Time::millis(50));
        cluster.pause(leader);
        cluster.run(Time::millis(2_000));
        cluster.submit(2);
        cluster.run(Time::millis(200));
        assert!(cluster.done((leader + 1) % 3), "a new leader commits");
        // The first thing that it finds is the read; the cluster judges the answer.
        cluster.wake(leader);
        cluster.read(leader, 1);
        cluster.run_until(Time::millis(3_000), "an answer", |cluster| {
            cluster.answer(1).is_some()
        });
        assert!(cluster.answer(1).unwrap().is_ok());
    }
}

#[test]
fn a_deposed_leader_answers_no_read() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.elect();
    cluster.isolate(leader);
    cluster.read(leader, 1);
    cluster.run(Time::millis(1_000));
    assert_eq!(cluster.answer(1), None);
    cluster.submit(7);
    cluster.run_until(Time::millis(1_000), "the others go on", |cluster| {
        cluster.done((leader + 1) % 3)
    });
    cluster.heal();
    cluster.run_until(Time::millis(1_000), "an answer", |cluster| {
        cluster.answer(1).is_some()
    });
    assert!(cluster.answer(1).unwrap().unwrap() >= Height(2));
}

#[test]
fn a_read_at_any_node_sees_what_was_committed_before() {
    for n in [1, 2, 3, 5] {
        let mut cluster = Cluster::new(n);
        cluster.elect();
        for number in 1..=4 {
            cluster.submit(number);
            cluster.run_until(Time::millis(50), "commit", |cluster| {
                (0..n).any(|i| cluster.done(i))
            });
            for i in 0..n {
                let id = number * 100 + u64::from(i);
                cluster.read(i, id);
                let what = "an answer";
                cluster.run_until(Time::millis(50), what, |cluster| {
                    cluster.answer(id).is_some()
                });
                assert!(cluster.answer(id).unwrap().is_ok());
            }
        }
    }
}

#[test]
fn a_follower_asks_its_leader() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.append(1, append(1, (0, 0), &[1], 1));
    read(&mut solo, 1);
    let ask = question(&solo);
    assert_eq!(solo.sent.last().unwrap().0, To::One(NodeId(1)));
    read(&mut solo, 2);
    assert_eq!(
        question(&solo),
        ask,
        "the second waits for the next question"
    );
    solo.deliver(1, answer(ask.nonce, 1, 9));
    assert_eq!(solo.reads, [(ReadId(1), Ok(Height(9)))]);
    assert_ne!(question(&solo).nonce, ask.nonce);
}

#[test]
fn a_question_that_is_lost_is_asked_again() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.append(1, append(1, (0, 0), &[1], 1));
    read(&mut solo, 1);
    let ask = question(&solo);
    solo.sent.clear();
    solo.pass(Time::millis(100));
    assert_eq!(question(&solo), ask);
}

#[test]
fn a_read_id_is_never_reused() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.append(1, append(1, (0, 0), &[1], 1));
    let mut nonces = Vec::new();
    for id in 1..=50 {
        read(&mut solo, id);
        let ask = question(&solo);
        assert!(!nonces.contains(&ask.nonce));
        nonces.push(ask.nonce);
        solo.deliver(1, answer(ask.nonce, 1, id));
    }
    // Answers to earlier questions change nothing.
    read(&mut solo, 99);
    nonces
        .iter()
        .for_each(|nonce| solo.deliver(1, answer(*nonce, 1, 1)));
    assert_eq!(solo.reads.len(), 50);
    // A later life asks with other numbers, and so does a later term.
    for now in [1, 2, 3] {
        let craft = Craft::new(3);
        let anchor = craft.anchor();
        let mut solo = Solo::recover(craft, 0, Time(now), anchor, Vec::new());
        solo.append(1, append(1, (0, 0), &[1], 1));
        read(&mut solo, 1);
        let first = question(&solo).nonce;
        assert!(!nonces.contains(&first));
        nonces.push(first);
        solo.append(2, append(2, (1, 1), &[2], 1));
        let second = question(&solo);
        assert_eq!(second.term, View(2));
        assert!(
            !nonces.contains(&second.nonce),
            "asked of another, with another number"
        );
        solo.deliver(1, answer(first, 1, 1));
        assert!(solo.reads.is_empty(), "of a leader that was");
    }
}

#[test]
fn rounds_count_up_within_a_term_and_are_answered_once() {
    let mut solo = Solo::new(Craft::new(3), 0);
    let beat = |round| {
        let mut beat = append(1, (0, 0), &[], 0);
        beat.round = round;
        beat
    };
    assert_eq!(solo.append(1, beat(3)), [heard(1, 3)]);
    assert_eq!(solo.append(1, beat(3)), []);
    assert_eq!(solo.append(1, beat(2)), []);
    assert_eq!(solo.append(1, beat(u64::MAX)), [heard(1, u64::MAX)]);
    let mut next = append(2, (0, 0), &[], 0);
    next.round = 1;
    assert_eq!(
        solo.append(2, next),
        [heard(2, 1)],
        "another leader counts anew"
    );
}

#[test]
fn an_answer_to_a_round_that_never_was_confirms_nothing() {
    let mut solo = leader(3);
    read(&mut solo, 1);
    let now = round(&solo);
    solo.deliver(1, heard(1, now + 5));
    solo.deliver(1, heard(1, u64::MAX));
    assert!(solo.reads.is_empty());
    solo.deliver(1, heard(1, now));
    assert_eq!(solo.reads.len(), 1);
}

#[test]
fn the_leader_answers_followers_by_the_same_rounds() {
    let mut solo = leader(3);
    let ask = |nonce| {
        Body::ReadIndex(ReadIndex {
            term: View(1),
            nonce,
        })
    };
    solo.deliver(2, ask(7));
    assert!(!solo.said(|body| matches!(body, Body::ReadAnswer(_))));
    let now = round(&solo);
    solo.deliver(2, heard(1, now));
    assert_eq!(
        solo.sent.last(),
        Some(&(To::One(NodeId(2)), answer(7, 1, 1)))
    );
    // A question that was asked twice does not fill the memory.
    (0..10_000).for_each(|nonce| solo.deliver(2, ask(nonce)));
    read(&mut solo, 1);
    let now = round(&solo);
    solo.deliver(1, heard(1, now));
    let now = round(&solo);
    solo.deliver(1, heard(1, now));
    let answers = |(_, body): &&(To, Body)| matches!(body, Body::ReadAnswer(_));
    assert_eq!(
        solo.sent.iter().filter(answers).count(),
        3,
        "the first, one under way, the last"
    );
}

#[test]
fn reads_of_a_leader_that_steps_down_are_asked_of_the_next() {
    let mut solo = leader(3);
    read(&mut solo, 1);
    solo.deliver(1, newer(2));
    assert!(solo.reads.is_empty());
    solo.append(2, append(2, (1, 1), &[2], 2));
    let ask = question(&solo);
    assert_eq!(solo.sent.last().unwrap().0, To::One(NodeId(2)));
    solo.deliver(2, answer(ask.nonce, 2, 2));
    assert_eq!(solo.reads, [(ReadId(1), Ok(Height(2)))]);
}

#[test]
fn a_read_fails_in_bounded_time_and_too_many_are_refused() {
    let mut solo = Solo::new(Craft::new(3), 0);
    read(&mut solo, 1);
    solo.pass(Time::millis(10_001));
    assert_eq!(solo.reads, [(ReadId(1), Err(Retry::NoLeader))]);
    solo.append(1, append(9, (0, 0), &[], 0));
    read(&mut solo, 2);
    for _ in 0..110 {
        solo.pass(Time::millis(100));
        solo.append(1, append(9, (0, 0), &[], 0));
    }
    assert_eq!(solo.reads[1..], [(ReadId(2), Err(Retry::NoQuorum))]);
    let mut solo = leader(3);
    (0..=MAX_READS as u64).for_each(|id| read(&mut solo, id));
    assert_eq!(solo.reads, [(ReadId(MAX_READS as u64), Err(Retry::Full))]);
}
