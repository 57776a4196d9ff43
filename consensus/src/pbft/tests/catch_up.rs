//! Fetching slots that others have committed, and serving them.

use super::super::message::{CommittedSlot, FetchPayloads, FetchSlots, MAX_SLOTS, Slots};
use super::super::{Message, Pbft, slot};
use super::cluster::Cluster;
use super::craft::{Craft, EVERY, Solo, payload};
use crate::common::ANSWER_BYTES;
use crate::testing::batches;
use crate::{Input, To};
use crypto::{Digest, Epoch, Height, NodeId, Payload, Time, codec};
use std::sync::Arc;

fn committed(craft: &Craft, heights: std::ops::RangeInclusive<u64>) -> Vec<CommittedSlot> {
    let one = |height: u64| CommittedSlot {
        payload: Arc::new(payload(height)),
        certificate: craft.committed(craft.assigned(1, height, &payload(height))),
    };
    heights.map(one).collect()
}

fn slots(craft: &Craft, heights: std::ops::RangeInclusive<u64>, reached: u64) -> Message {
    Message::Slots(Slots {
        slots: committed(craft, heights),
        reached: Height(reached),
    })
}

fn fetches(solo: &Solo) -> Vec<(To, u64)> {
    let said = solo.sent.iter().filter_map(|(to, it)| match it {
        Message::FetchSlots(it) => Some((*to, it.from.0)),
        _ => None,
    });
    said.collect()
}

fn ask(solo: &mut Solo, from: u64) -> Vec<u64> {
    solo.sent.clear();
    solo.now = solo.now.plus(Time::millis(100));
    let (epoch, from) = (Epoch(0), Height(from));
    solo.deliver(3, Message::FetchSlots(FetchSlots { epoch, from }));
    let answer = solo.sent.iter().find_map(|(to, it)| match it {
        Message::Slots(it) if *to == To::One(NodeId(3)) => Some(it.slots.clone()),
        _ => None,
    });
    let heights = |it: Vec<CommittedSlot>| {
        it.iter()
            .map(|it| it.certificate.assigned.height.0)
            .collect()
    };
    answer.map(heights).unwrap_or_default()
}

#[test]
fn a_slot_that_does_not_come_by_itself_is_fetched_with_its_proof() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let q = solo.craft.quorum();
        // The pre-prepare of slot 1 was lost; slot 2 is complete.
        let second = solo.pre_prepare(1, 2, &payload(2));
        solo.prepares(second, q - 2);
        solo.commits(second, q - 1);
        assert!(fetches(&solo).is_empty(), "it may just be late");
        solo.pass(Time::millis(20));
        let (to, from) = fetches(&solo)[0];
        assert_eq!(from, 1);
        let To::One(peer) = to else { panic!("{to:?}") };
        let craft = solo.craft.clone();
        solo.deliver(peer.0, slots(&craft, 1..=1, 2));
        assert_eq!(solo.heights(), [1, 2]);
    }
}

#[test]
fn what_is_proven_is_taken_asked_for_or_not_and_each_once() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let craft = solo.craft.clone();
        solo.deliver(2, slots(&craft, 1..=3, 3));
        assert_eq!(solo.heights(), [1, 2, 3]);
        solo.deliver(2, slots(&craft, 2..=5, 5));
        assert_eq!(solo.heights(), [1, 2, 3, 4, 5]);
        let stored = solo.records.iter();
        let stored = stored.filter(|it| matches!(it, super::super::Record::Committed(_)));
        assert_eq!(stored.count(), 5, "for those who lag in turn");
    }
}

#[test]
fn far_behind_it_asks_on_until_it_is_there() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let craft = solo.craft.clone();
        let far = 6 * EVERY;
        let stable = craft.stable(far);
        solo.checkpoint(Some(stable));
        let mut next = 1;
        while next <= far {
            let (to, from) = *fetches(&solo).last().unwrap();
            assert_eq!(from, next);
            let To::One(peer) = to else { panic!("{to:?}") };
            let last = (next + 9).min(far);
            solo.deliver(peer.0, slots(&craft, next..=last, far));
            next = last + 1;
        }
        assert_eq!(solo.heights().len() as u64, far);
        assert_eq!(solo.replica.log.slots().count(), 0, "all of it is stable");
        let asked = fetches(&solo).len();
        solo.pass(Time::millis(1_000));
        assert_eq!(fetches(&solo).len(), asked);
    }
}

#[test]
fn who_does_not_answer_or_has_nothing_is_left_for_the_next() {
    let mut solo = Solo::start(4, 0);
    let craft = solo.craft.clone();
    solo.checkpoint(Some(craft.stable(EVERY)));
    solo.pass(Time::millis(350));
    let peers: Vec<To> = fetches(&solo).iter().map(|(to, _)| *to).collect();
    let all = [1, 2, 3].map(|node| To::One(NodeId(node)));
    assert!(all.iter().all(|it| peers.contains(it)), "{peers:?}");
    // A liar that says how far it is, and shows nothing.
    let asked = fetches(&solo).len();
    let nothing = Slots {
        slots: Vec::new(),
        reached: Height(u64::MAX),
    };
    let To::One(peer) = *peers.last().unwrap() else {
        panic!()
    };
    solo.deliver(peer.0, Message::Slots(nothing));
    let (next, _) = *fetches(&solo).last().unwrap();
    assert!(fetches(&solo).len() == asked + 1 && next != To::One(peer));
    solo.deliver(2, slots(&craft, 1..=EVERY, EVERY));
    assert_eq!(solo.heights().len() as u64, EVERY);
    solo.pass(Time::millis(300));
    assert!(fetches(&solo).len() <= asked + 2);
}

/// CometBFT, ASA-2025-001: a peer named a height and then a lower one, and the first was waited for as
/// long as the node ran.
#[test]
fn a_height_that_a_peer_takes_back_is_not_waited_for() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let (craft, q) = (solo.craft.clone(), solo.craft.quorum());
        solo.deliver(2, slots(&craft, 1..=2, 1 << 40));
        assert_eq!(solo.heights(), [1, 2]);
        solo.pass(Time::millis(20));
        assert!(!fetches(&solo).is_empty(), "there is said to be more");
        let nothing = Slots {
            slots: Vec::new(),
            reached: Height(2),
        };
        (1..n).for_each(|peer| solo.deliver(peer, Message::Slots(nothing.clone())));
        let asked = fetches(&solo).len();
        solo.pass(Time::millis(1_000));
        assert_eq!(fetches(&solo).len(), asked, "and there is none");
        let third = solo.pre_prepare(1, 3, &payload(3));
        solo.prepares(third, q - 2);
        solo.commits(third, q - 1);
        assert_eq!(solo.heights(), [1, 2, 3]);
    }
}

#[test]
fn slots_are_served_from_memory_and_from_what_is_stored() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        for height in 1..=EVERY + 3 {
            solo.order(1, height, height);
        }
        assert_eq!(ask(&mut solo, 2).len() as u64, EVERY + 2);
        let stable = solo.craft.stable(EVERY);
        solo.checkpoint(Some(stable));
        let all: Vec<u64> = (1..=EVERY + 3).collect();
        assert_eq!(ask(&mut solo, 1), all, "stored ones, then those in memory");
        assert_eq!(ask(&mut solo, EVERY + 2), [EVERY + 2, EVERY + 3]);
        assert!(ask(&mut solo, EVERY + 4).is_empty());
        assert!(ask(&mut solo, u64::MAX).is_empty());
    }
}

/// Each slot was given many payloads, which are together more than the store answers with.
#[test]
fn no_payloads_hide_what_is_committed_in_their_slot() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        for height in 1..=EVERY {
            solo.order(1, height, height);
            solo.fill(height);
        }
        solo.checkpoint(Some(solo.craft.stable(EVERY)));
        for height in 1..=EVERY {
            assert_eq!(ask(&mut solo, height).first(), Some(&height), "n {n}");
        }
    }
}

#[test]
fn an_answer_has_a_cap_and_a_peer_one_load_at_a_time() {
    let mut solo = Solo::start(4, 0);
    let craft = solo.craft.clone();
    solo.checkpoint(Some(craft.stable(600)));
    for first in (1..=600).step_by(200) {
        solo.deliver(2, slots(&craft, first..=first + 199, 600));
    }
    assert_eq!(ask(&mut solo, 1).len(), MAX_SLOTS);
    solo.slow_loads = true;
    assert!(ask(&mut solo, 1).is_empty());
    assert!(ask(&mut solo, 100).is_empty());
    assert_eq!(solo.loads.len(), 1);
    assert!(solo.rejects.is_empty(), "to ask again is no fault");
}

#[test]
fn a_null_slot_is_served_like_any_other() {
    let mut solo = Solo::start(4, 0);
    let assigned = solo.pre_prepare(1, 1, &Payload::EMPTY);
    solo.prepares(assigned, 1);
    solo.commits(assigned, 2);
    assert_eq!(assigned.digest, slot::null());
    assert_eq!(ask(&mut solo, 1), [1]);
}

#[test]
fn one_that_was_away_catches_up_across_checkpoints() {
    for n in [4, 7] {
        for crash in [false, true] {
            let mut cluster = Cluster::new(n);
            if crash {
                cluster.crash(3);
            } else {
                cluster.isolate(3);
            }
            for number in 1..=100 {
                cluster.submit(number);
                cluster.run(Time::millis(2));
            }
            cluster.run(Time::millis(50));
            assert!(cluster.protocol(0).log.low().0 >= 2 * EVERY);
            if crash {
                cluster.start(3);
            }
            cluster.heal();
            cluster.run_until(Time::millis(3_000), "catch up", |it| it.done(3));
            cluster.submit(200);
            cluster.run_until(Time::millis(3_000), "commit", Cluster::all_done);
        }
    }
}

#[test]
fn who_missed_the_last_commit_hears_of_it_at_rest() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n);
        cluster.submit(1);
        cluster.run(Time::millis(50));
        cluster.isolate(3);
        // Its pool does not know of it either.
        cluster.submit(2);
        cluster.run(Time::millis(50));
        cluster.input(3, Input::Pending { oldest: None });
        cluster.run(Time::millis(10));
        assert!(cluster.done(0) && !cluster.done(3));
        cluster.heal();
        cluster.run_until(Time::millis(10_000), "it asks", |it| it.done(3));
        assert!(cluster.views().iter().all(|view| *view == 1));
    }
}

#[test]
fn a_lagging_node_votes_again_once_it_has_caught_up() {
    let mut cluster = Cluster::new(4);
    cluster.isolate(3);
    for number in 1..=30 {
        cluster.submit(number);
        cluster.run(Time::millis(2));
    }
    cluster.heal();
    cluster.crash(2);
    cluster.submit(99);
    cluster.run_until(
        Time::millis(5_000),
        "commit without node 2",
        Cluster::all_done,
    );
}

fn asks_for(solo: &mut Solo, count: usize, message: &Message) -> Vec<(To, Message)> {
    solo.sent.clear();
    for _ in 0..count {
        solo.deliver(3, message.clone());
    }
    solo.sent.clone()
}

/// A paused replica ran out of memory on resume (bft-smart #27): slots are kept until a stable
/// checkpoint covers them, and one that comes back at rest hears of none by itself.
#[test]
fn one_that_was_away_for_long_keeps_no_more_than_others_do() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n);
        cluster.isolate(3);
        for number in 1..=150 {
            cluster.submit(number);
            cluster.run(Time::millis(3));
        }
        cluster.run(Time::millis(50));
        assert!(cluster.protocol(0).log.low().0 > 6 * EVERY);
        cluster.heal();
        cluster.run_until(Time::millis(10_000), "catch up", |it| it.done(3));
        let log = &cluster.protocol(3).log;
        assert_eq!(log.low(), cluster.protocol(0).log.low(), "n {n}");
        assert!(log.slots().count() as u64 <= 2 * EVERY, "n {n}");
    }
}

#[test]
fn who_gave_a_view_up_alone_says_so_only_while_nothing_moves() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        solo.work();
        solo.pass(Time::millis(301));
        assert_eq!(solo.wanted(), 2);
        let waiting = |solo: &Solo| crate::Protocol::status(&solo.replica).waiting;
        let said = waiting(&solo).unwrap();
        assert!(said.contains("gave up view 1"), "{said}");
        let craft = solo.craft.clone();
        solo.deliver(2, slots(&craft, 1..=1, 1));
        assert_eq!(solo.heights(), [1]);
        assert_eq!(waiting(&solo), None, "n {n}: others go on");
    }
}

#[test]
fn slots_are_taken_no_further_than_they_may_be_kept() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let craft = solo.craft.clone();
        let all = 10 * EVERY;
        solo.deliver(2, slots(&craft, 1..=all, all));
        assert_eq!(solo.heights().len() as u64, 3 * EVERY, "n {n}");
        assert_eq!(solo.replica.log.slots().count() as u64, 3 * EVERY);
        // Whoever serves slots shows the checkpoint that lets them in first.
        let reached = super::super::message::Reached::Stable(craft.stable(9 * EVERY));
        solo.deliver(2, Message::Certificate(reached));
        solo.deliver(2, slots(&craft, 3 * EVERY + 1..=all, all));
        assert_eq!(solo.heights().len() as u64, all);
        assert_eq!(solo.replica.log.slots().count() as u64, EVERY);
    }
}

/// A liar answers in time, and slot by slot: it is not the only one who is asked.
#[test]
fn who_serves_slot_by_slot_is_left_for_the_next() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let craft = solo.craft.clone();
        solo.checkpoint(Some(craft.stable(50 * EVERY)));
        let all = 50 * EVERY;
        let (mut next, mut answers) = (1, 0);
        while next <= all {
            let (to, from) = *fetches(&solo).last().unwrap();
            assert_eq!(from, next);
            let To::One(peer) = to else { panic!("{to:?}") };
            let count = if peer.0 == 1 { 1 } else { MAX_SLOTS as u64 };
            let last = (next + count - 1).min(all);
            solo.deliver(peer.0, slots(&craft, next..=last, all));
            (next, answers) = (last + 1, answers + 1);
        }
        assert!(answers <= 2 + all / MAX_SLOTS as u64, "n {n}: {answers}");
    }
}

#[test]
fn who_is_served_slots_is_shown_the_stable_checkpoint_first() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        for height in 1..=EVERY + 3 {
            solo.order(1, height, height);
        }
        let stable = solo.craft.stable(EVERY);
        solo.checkpoint(Some(Arc::clone(&stable)));
        let reached = super::super::message::Reached::Stable(stable);
        let fetch = |from| FetchSlots {
            epoch: Epoch(0),
            from: Height(from),
        };
        for from in [1, EVERY + 2] {
            solo.now = solo.now.plus(Time::millis(100));
            let said = asks_for(&mut solo, 1, &Message::FetchSlots(fetch(from)));
            let stable = (To::One(NodeId(3)), Message::Certificate(reached.clone()));
            assert_eq!(said[0], stable, "n {n}");
            assert!(matches!(said[1].1, Message::Slots(_)));
        }
    }
}

/// A question is a few bytes, its answer up to a mebibyte or dozens of signatures.
#[test]
fn who_asks_too_often_is_not_answered_each_time() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        for height in 1..=EVERY {
            solo.order(1, height, height);
        }
        solo.pre_prepare(1, EVERY + 1, &payload(99));
        let epoch = Epoch(0);
        let progress = Message::AskProgress(super::super::message::AskProgress {
            epoch,
            view: crypto::View(1),
            height: Height(0),
            stalled: true,
        });
        let fetch = Message::FetchSlots(FetchSlots {
            epoch,
            from: Height(1),
        });
        let wanted = [(Height(EVERY), slot::content(&payload(EVERY)))];
        let payloads = Message::FetchPayloads(FetchPayloads {
            epoch,
            wanted: wanted.to_vec(),
        });
        for question in [progress, fetch, payloads] {
            solo.now = solo.now.plus(Time::millis(100));
            let once = asks_for(&mut solo, 1, &question);
            assert!(!once.is_empty());
            assert!(asks_for(&mut solo, 100, &question).is_empty(), "n {n}");
            solo.now = solo.now.plus(Time::millis(100));
            assert_eq!(asks_for(&mut solo, 1, &question), once, "n {n}");
        }
        // Who goes on where its last answer ended is served at once.
        let from = |from| {
            let from = Height(from);
            Message::FetchSlots(FetchSlots { epoch, from })
        };
        solo.now = solo.now.plus(Time::millis(100));
        assert!(!asks_for(&mut solo, 1, &from(2)).is_empty());
        solo.order(1, EVERY + 1, 99);
        assert!(!asks_for(&mut solo, 1, &from(EVERY + 1)).is_empty());
    }
}

/// Whoever lags fetches slots faster than their payload: what cannot be executed yet would fill the
/// memory.
#[test]
fn slots_are_taken_no_further_than_execution_may_lag() {
    for n in [4u16, 7] {
        let mut craft = Craft::new(n);
        craft.execution_lag = 2;
        let mut solo = Solo::new(craft, 0);
        let craft = solo.craft.clone();
        let all = 10 * EVERY;
        solo.checkpoint(Some(craft.stable(all)));
        let mut executed = 0;
        while executed < all {
            let asked = fetches(&solo);
            let (To::One(peer), from) = *asked.last().unwrap() else {
                panic!("{asked:?}");
            };
            assert_eq!(from, executed + 1, "n {n}");
            solo.deliver(peer.0, slots(&craft, from..=all, all));
            assert_eq!(solo.heights().len() as u64, (executed + 8).min(all));
            assert!(solo.replica.log.slots().count() as u64 <= 8);
            let asked = fetches(&solo).len();
            solo.now = solo.now.plus(Time::millis(500));
            solo.input(Input::Tick);
            assert_eq!(fetches(&solo).len(), asked, "for what it could not take");
            executed = solo.heights().len() as u64;
            solo.input(Input::Executed {
                height: Height(executed),
                state: crypto::Digest::ZERO,
            });
        }
    }
}

/// As many slots as can be: their certificates count, too.
#[test]
fn an_answer_is_no_longer_than_it_may_be() {
    let mut solo = Solo::start(31, 0);
    let craft = solo.craft.clone();
    let far = 200;
    solo.checkpoint(Some(craft.stable(far)));
    for height in 1..=far {
        let payload = batches::payload::<Pbft>(height * 80..height * 80 + 80);
        let certificate = craft.committed(craft.assigned(1, height, &payload));
        let slot = CommittedSlot {
            payload: Arc::new(payload),
            certificate,
        };
        let slots = Slots {
            slots: vec![slot],
            reached: Height(far),
        };
        solo.deliver(2, Message::Slots(slots));
    }
    assert_eq!(solo.heights().len() as u64, far);
    assert!(ask(&mut solo, 1).len() > 100);
    let answer = solo.sent.iter().find_map(|(_, it)| match it {
        Message::Slots(it) => Some(codec::encode(it).len()),
        _ => None,
    });
    let bytes = answer.unwrap();
    assert!(bytes > ANSWER_BYTES / 2 && bytes <= ANSWER_BYTES, "{bytes}");
}

/// Each height that execution got on made room for one more, which was asked for at once: most of the
/// answer was thrown away, each time.
#[test]
fn nobody_is_asked_before_there_is_room_for_an_answer() {
    let mut craft = Craft::new(4);
    craft.execution_lag = EVERY;
    let mut solo = Solo::new(craft.clone(), 0);
    let (far, reach) = (10 * EVERY, 4 * EVERY);
    solo.checkpoint(Some(craft.stable(far)));
    let executed = |solo: &mut Solo, height| {
        solo.input(Input::Executed {
            height: Height(height),
            state: Digest::ZERO,
        });
    };
    let mut answered = 0;
    let mut serve = |solo: &mut Solo| {
        while let Some((To::One(peer), from)) = fetches(solo).get(answered).copied() {
            answered += 1;
            solo.deliver(peer.0, slots(&craft, from..=far, far));
        }
        solo.heights().len() as u64
    };
    assert_eq!(serve(&mut solo), reach, "it takes no more");
    let before = solo.sent.len();
    for height in 1..EVERY {
        executed(&mut solo, height);
        serve(&mut solo);
    }
    // Nor is it the primary's fault that nothing is committed meanwhile.
    solo.pass(Time(20 * solo.craft.timing.timeout.0));
    let vain = |it: &Message| {
        matches!(
            it,
            Message::FetchSlots(_) | Message::AskProgress(_) | Message::ViewChange(_)
        )
    };
    let asked: Vec<_> = solo.sent[before..]
        .iter()
        .filter(|(_, it)| vain(it))
        .collect();
    assert!(asked.is_empty(), "{asked:?}");
    executed(&mut solo, EVERY);
    assert_eq!(serve(&mut solo), reach + EVERY, "there is room now");
}

#[test]
fn only_what_the_primary_assigned_in_this_view_is_its_choice() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        solo.order(1, 1, 1);
        assert_eq!(solo.by_leader, [true]);
        let craft = solo.craft.clone();
        solo.deliver(2, slots(&craft, 2..=3, 3));
        assert_eq!(solo.by_leader, [true, false, false], "fetched");

        let prepared: Vec<_> = (1..=5).map(|it| craft.prepared_at(1, it, it)).collect();
        solo.deliver(2, Message::Opened(craft.opened(2, 0, &prepared)));
        for height in 1..=3 {
            solo.pre_prepare(2, height, &payload(height));
        }
        for height in 4..=6 {
            solo.order(2, height, height);
        }
        assert_eq!(solo.by_leader[3..], [false, false, true], "carried over");
    }
}
