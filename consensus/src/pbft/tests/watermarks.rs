//! Watermarks, checkpoints, and what is forgotten at them.

use super::super::Message;
use super::super::rules;
use super::craft::{Craft, EVERY, Solo, payload};
use crypto::{Height, Payload, Reject, Time};

#[test]
fn slots_are_prepared_between_the_watermarks_only() {
    assert!(!rules::in_window(Height(8), 8, Height(8)));
    assert!(rules::in_window(Height(8), 8, Height(9)));
    assert!(rules::in_window(Height(8), 8, Height(24)));
    assert!(!rules::in_window(Height(8), 8, Height(25)));
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let stable = solo.craft.stable(EVERY);
        solo.checkpoint(Some(stable));
        for height in [EVERY - 1, EVERY, EVERY + 1, 3 * EVERY, 3 * EVERY + 1] {
            solo.pre_prepare(1, height, &payload(height));
        }
        assert_eq!(solo.said("prepare"), [(1, EVERY + 1), (1, 3 * EVERY)]);
    }
}

/// Others may have seen a checkpoint become stable a moment earlier.
#[test]
fn what_comes_just_before_the_watermark_moves_is_not_lost() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let height = 2 * EVERY + 3;
        let assigned = solo.pre_prepare(1, height, &payload(1));
        solo.prepares(assigned, solo.craft.quorum() - 2);
        assert!(solo.said("prepare").is_empty() && solo.said("commit").is_empty());
        let stable = solo.craft.stable(EVERY);
        solo.checkpoint(Some(stable));
        assert_eq!(solo.said("prepare"), [(1, height)]);
        assert_eq!(solo.said("commit"), [(1, height)]);
    }
}

#[test]
fn slots_far_beyond_are_refused_and_asked_about() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let height = 3 * EVERY + 1;
        let assigned = solo.pre_prepare(1, height, &payload(1));
        solo.prepares(assigned, 1);
        solo.commits(assigned, 1);
        assert_eq!(solo.rejects, [Reject::TooFar; 3]);
        assert_eq!(solo.replica.log.slots().count(), 0);
        let asked = |it: &&(crate::To, Message)| matches!(it.1, Message::AskProgress(_));
        assert!(solo.sent.iter().any(|it| asked(&it)), "it may be behind");
    }
}

#[test]
fn ordering_stops_at_the_high_watermark_until_a_checkpoint_is_stable() {
    let mut solo = Solo::new(Craft::new(1), 0);
    solo.checkpoint(None);
    let order = |solo: &mut Solo, numbers: std::ops::Range<u64>| {
        for number in numbers {
            solo.pool.push(number);
            solo.work();
            solo.pass(Time::millis(2));
        }
        solo.heights().len() as u64
    };
    assert_eq!(order(&mut solo, 1..40), 2 * EVERY);
    solo.pass(Time::millis(150));
    let waiting = crate::Protocol::status(&solo.replica).waiting.unwrap();
    assert!(waiting.contains("checkpoint"), "{waiting}");
    let stable = solo.craft.stable(EVERY);
    solo.checkpoint(Some(stable));
    assert!(order(&mut solo, 40..60) > 2 * EVERY);
}

#[test]
fn a_stable_checkpoint_forgets_what_is_committed_below_it() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        for height in 1..=EVERY + 2 {
            solo.order(1, height, height);
        }
        assert_eq!(solo.replica.log.slots().count() as u64, EVERY + 2);
        let stable = solo.craft.stable(EVERY);
        solo.checkpoint(Some(stable));
        let kept: Vec<u64> = solo.replica.log.slots().map(|(it, _)| it.0).collect();
        assert_eq!(kept, [EVERY + 1, EVERY + 2], "not stable, though committed");
        // An older one changes nothing.
        let older = solo.craft.stable(EVERY);
        solo.checkpoint(Some(older));
        assert_eq!(solo.replica.log.low(), Height(EVERY));
    }
}

#[test]
fn a_checkpoint_ahead_of_the_own_log_is_caught_up_to() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        solo.pre_prepare(1, 1, &payload(1));
        let stable = solo.craft.stable(EVERY);
        solo.checkpoint(Some(stable));
        assert_eq!(solo.replica.log.slots().count(), 1, "not committed yet");
        let fetch = solo.sent.iter().find_map(|(_, it)| match it {
            Message::FetchSlots(it) => Some(it.from),
            _ => None,
        });
        assert_eq!(fetch, Some(Height(1)));
        // It has part in the slots above meanwhile.
        solo.pre_prepare(1, EVERY + 1, &payload(9));
        assert!(solo.said("prepare").contains(&(1, EVERY + 1)));
    }
}

/// Primary, backups and strangers to the view say all that they can: memory has a cap.
#[test]
fn a_flood_of_slots_and_views_is_capped() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        for round in 0..40u64 {
            for height in (1..=3 * EVERY).chain([1 << 40, u64::MAX]) {
                let view = 1 + round * u64::from(n);
                let node = 2 + (round % 2) as u16;
                let assigned = solo.craft.assigned(view, height, &payload(round));
                let prepare = solo.craft.prepare(node, assigned);
                let commit = solo.craft.commit(node, assigned);
                let pre_prepare = solo.craft.pre_prepare(view, height, &payload(round));
                solo.deliver(node, prepare);
                solo.deliver(node, commit);
                solo.deliver(1, pre_prepare);
            }
        }
        let log = &solo.replica.log;
        assert!(log.slots().count() as u64 <= 3 * EVERY);
        for (_, slot) in log.slots() {
            assert!(slot.payloads.len() <= 2);
            assert!(slot.prepares.len() + slot.ahead.len() <= 2 * n as usize);
            assert!(slot.commits_kept() <= 2 * n as usize);
        }
    }
}

#[test]
fn a_primary_that_skips_to_the_high_watermark_costs_null_slots_and_no_more() {
    let n = 4;
    let mut cluster = super::cluster::Cluster::new(n);
    let craft = Craft::new(n);
    cluster.crash(1);
    let message = craft.pre_prepare(1, 2 * EVERY, &payload(77));
    for i in [0, 2, 3] {
        cluster.inject(1, i, message.clone());
        let assigned = craft.assigned(1, 2 * EVERY, &payload(77));
        cluster.inject(1, i, craft.commit(1, assigned));
    }
    cluster.submit(1);
    cluster.run_until(Time::millis(3000), "progress", |it| it.all_done());
    assert!(cluster.height(0) > 2 * EVERY, "the gap is filled");
    let nothing = cluster.protocol(0).opened.as_ref().unwrap().slots.clone();
    let null = super::super::slot::content(&Payload::EMPTY);
    assert!(nothing.iter().filter(|it| **it == null).count() as u64 >= 2 * EVERY - 1);
}

/// Checkpoints are sent once; were they lost at a whole quorum and never sent again, nothing could be
/// ordered any more.
#[test]
fn checkpoints_that_were_lost_are_sent_again_when_the_window_is_full() {
    for n in [4, 7] {
        let mut cluster = super::cluster::Cluster::new(n);
        cluster.lose_checkpoints.extend(0..n);
        for number in 1..=60 {
            cluster.submit(number);
            cluster.run(Time::millis(2));
        }
        cluster.run(Time::millis(2_000));
        assert!((0..n).all(|i| cluster.height(i) == 2 * EVERY));
        assert!(
            cluster.views().iter().all(|view| *view == 1),
            "nobody is to blame"
        );
        cluster.lose_checkpoints.clear();
        cluster.run_until(Time::millis(1_000), "go on", |it| it.all_done());
        assert!(cluster.views().iter().all(|view| *view == 1));
    }
}

#[test]
fn a_checkpoint_that_one_alone_has_missed_is_shown_to_it() {
    let mut solo = Solo::start(4, 0);
    let stable = solo.craft.stable(EVERY);
    solo.checkpoint(Some(stable.clone()));
    let ask = super::super::message::AskProgress {
        epoch: crypto::Epoch(0),
        view: crypto::View(1),
        height: Height(0),
        stalled: true,
    };
    solo.deliver(3, Message::AskProgress(ask));
    let shown = Message::Certificate(super::super::message::Reached::Stable(stable));
    assert!(
        solo.sent
            .contains(&(crate::To::One(crypto::NodeId(3)), shown))
    );
}

fn large(number: u64, batches: usize) -> Payload {
    let one = crate::testing::batches::reference(number);
    Payload::Refs(vec![one; batches])
}

/// What a primary says is stored before anybody can tell whether it is a block of this chain.
#[test]
fn a_payload_has_no_more_batches_than_any_chain_allows() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let craft = solo.craft.clone();
        let most = craft.pre_prepare(1, 1, &large(1, Payload::MAX_REFS));
        assert_eq!(solo.try_deliver(1, most), Ok(()));
        let more = craft.pre_prepare(1, 2, &large(1, Payload::MAX_REFS + 1));
        assert_eq!(solo.try_deliver(1, more), Err(Reject::TooLong));
    }
}

/// A lying primary fills the window with the longest payloads: those far above what is committed are
/// taken only while there is room. Who is behind fetches them.
#[test]
fn payloads_of_open_slots_have_a_cap_in_bytes() {
    use super::super::replication::MAX_OPEN_BYTES;
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let every = std::num::NonZeroU64::new(64).unwrap();
        solo.input(crate::Input::Checkpoint {
            every,
            stable: None,
        });
        let one = large(1, Payload::MAX_REFS).encoded_bytes();
        let held = |solo: &Solo| -> usize {
            let slots = solo.replica.log.slots();
            let payloads = slots.flat_map(|(_, slot)| slot.payloads.values());
            payloads.map(|(it, _)| it.encoded_bytes()).sum()
        };
        for height in (1..=60).rev() {
            solo.pre_prepare(1, height, &large(height, Payload::MAX_REFS));
        }
        let near = 2 * super::super::proposing::PIPELINE as usize;
        assert!(60 * one > MAX_OPEN_BYTES + near * one);
        assert!(held(&solo) <= MAX_OPEN_BYTES + near * one, "n {n}");
        // The lowest are always taken: they are what everybody waits for.
        let prepared = solo.said("prepare");
        assert!((1..=near as u64).all(|height| prepared.contains(&(1, height))));
        assert!(solo.rejects.is_empty(), "to be ahead is no fault");
    }
}
