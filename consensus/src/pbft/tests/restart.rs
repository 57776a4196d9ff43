//! Crash and restart: nothing is promised twice, nothing promised is lost, nothing stalls.

use super::super::message::Reached;
use super::super::{Message, Record};
use super::cluster::Cluster;
use super::craft::{Craft, EVERY, Solo, payload};
use crate::testing::crashes;
use crate::{Input, To};
use crypto::{Height, Payload, Time, View};
use std::sync::Arc;

fn overdue() -> Input<super::super::Pbft> {
    Input::Overdue {
        batch: crate::testing::batches::reference(1),
    }
}

#[test]
fn what_was_accepted_is_prepared_again_and_nothing_else_in_its_slot() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let assigned = solo.pre_prepare(1, 1, &payload(1));
        let mut solo = solo.start_again();
        assert_eq!(solo.said("prepare"), [(1, 1)], "sent again");
        solo.pre_prepare(1, 1, &payload(2));
        assert_eq!(solo.rejects, [crypto::Reject::Conflict]);
        solo.prepares(assigned, solo.craft.quorum() - 2);
        assert_eq!(solo.said("commit"), [(1, 1)]);
    }
}

#[test]
fn a_prepared_certificate_survives_and_its_commit_is_sent_again() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let q = solo.craft.quorum();
        let assigned = solo.pre_prepare(1, 1, &payload(1));
        solo.prepares(assigned, q - 2);
        let mut solo = solo.start_again();
        assert_eq!(solo.said("commit"), [(1, 1)]);
        // And nobody has to prepare it once more: its own commit counts again.
        solo.commits(assigned, q - 1);
        assert_eq!(solo.heights(), [1]);
    }
}

#[test]
fn a_primary_does_not_equivocate_after_a_restart() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 1);
        let q = solo.craft.quorum();
        solo.pool.push(1);
        solo.work();
        let first = solo.said("pre_prepare");
        assert_eq!(first, [(1, 1)]);
        let mut solo = solo.start_again();
        assert_eq!(solo.said("pre_prepare"), [(1, 1)], "the same again");
        solo.pool = vec![2];
        solo.work();
        assert_eq!(
            solo.said("pre_prepare"),
            [(1, 1), (1, 2)],
            "then the next slot"
        );
        let assigned = solo.craft.assigned(1, 1, &payload(1));
        solo.prepares(assigned, q - 1);
        solo.commits(assigned, q - 1);
        assert_eq!(solo.heights(), [1]);
    }
}

#[test]
fn a_view_change_is_sent_again_word_for_word() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        solo.order(1, 1, 1);
        solo.input(overdue());
        let first = solo.last_change();
        // It learns more meanwhile, and a checkpoint moves its watermark.
        let more = solo.craft.prepared_at(1, 3, 3);
        let more = super::super::message::Reached::Prepared(more);
        solo.deliver(2, Message::Certificate(more));
        assert!(solo.replica.log.get(Height(3)).unwrap().prepared.is_some());
        let mut solo = solo.start_again();
        let stable = solo.craft.stable(EVERY);
        solo.checkpoint(Some(stable));
        assert_eq!(solo.last_change(), first);
        assert_eq!((solo.view(), solo.wanted()), (1, 2));
        solo.pre_prepare(1, 2, &payload(2));
        assert!(!solo.said("prepare").contains(&(1, 2)), "no part in view 1");
    }
}

#[test]
fn the_view_is_restored_from_the_new_view_and_the_wanted_one_from_the_view_change() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let opened = solo.craft.opened(3, 0, &[solo.craft.prepared_at(1, 1, 1)]);
        solo.deliver(2, Message::Opened(opened));
        let solo = solo.start_again();
        assert_eq!((solo.view(), solo.wanted()), (3, 3));
        assert_eq!(solo.replica.reach(), Height(1));
        assert_eq!(solo.leaders, [3]);
        let mut solo = solo;
        solo.input(overdue());
        let solo = solo.start_again();
        assert_eq!((solo.view(), solo.wanted()), (3, 4));
    }
}

#[test]
fn the_primary_of_a_new_view_goes_on_where_it_was() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 2);
        let prepared = [1, 2].map(|height| solo.craft.prepared_at(1, height, height));
        solo.pre_prepare(1, 1, &payload(1));
        let q = solo.craft.quorum();
        for node in (0..n).filter(|node| *node != 2).take(q - 1) {
            let message = solo.craft.view_change(node, 2, 0, &prepared);
            solo.deliver(node, message);
        }
        assert_eq!(solo.said("pre_prepare"), [(2, 1)], "it lacks the other");
        let mut solo = solo.start_again();
        assert_eq!(solo.said("pre_prepare"), [(2, 1)]);
        assert_eq!(solo.replica.changes.to_carry.len(), 1);
        let second = solo.craft.committed(solo.craft.assigned(1, 2, &payload(2)));
        let slots = super::super::message::Slots {
            slots: vec![super::super::message::CommittedSlot {
                payload: Arc::new(payload(2)),
                certificate: second,
            }],
            reached: Height(2),
        };
        solo.deliver(3, Message::Slots(slots));
        assert!(solo.said("pre_prepare").contains(&(2, 2)));
    }
}

#[test]
fn commits_above_the_anchor_are_derived_again() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        for height in 1..=3 {
            solo.order(1, height, height);
        }
        let (first, last) = (solo.commits[0].clone(), solo.commits[2].history);
        let mut anchor = solo.craft.anchor();
        (anchor.height, anchor.history) = (first.height, first.history);
        anchor.proof = Some(first.proof);
        let solo = Solo::recover(solo.craft, 0, Time(0), anchor, solo.records);
        assert_eq!(solo.heights(), [2, 3]);
        assert_eq!(solo.commits[1].history, last);
    }
}

/// A start is given the records from the last commit up; what lies between the stable checkpoint
/// and there has to be shown in a view change all the same.
#[test]
fn what_is_committed_but_not_stable_is_read_before_another_view_is_asked_for() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        for height in 1..=5 {
            solo.order(1, height, height);
        }
        let mut anchor = solo.craft.anchor();
        let last = solo.commits[4].clone();
        (anchor.height, anchor.history) = (last.height, last.history);
        anchor.proof = Some(last.proof);
        let at_least = |record: &&Record| match crate::Record::key(*record) {
            crate::RecordKey::Latest(_) => true,
            crate::RecordKey::At(height, _) => height >= Height(5),
        };
        let given: Vec<Record> = solo.records.iter().filter(at_least).cloned().collect();
        let all = solo.records;
        let mut solo = Solo::recover(solo.craft, 0, Time(0), anchor, given);
        solo.records = all;
        solo.slow_loads = true;
        solo.checkpoint(None);
        assert_eq!(solo.loads.len(), 1);
        let waiting = crate::Protocol::status(&solo.replica).waiting.unwrap();
        assert!(waiting.contains("own slots"), "{waiting}");
        solo.input(overdue());
        for node in 1..n {
            let message = solo.craft.view_change(node, 2, 0, &[]);
            solo.deliver(node, message);
        }
        assert!(solo.said("view_change").is_empty(), "it does not know yet");
        while !solo.loads.is_empty() {
            solo.load();
        }
        assert_eq!(solo.said("view_change"), [(2, 0)]);
        let heights = solo.last_change().change.prepared;
        let heights: Vec<u64> = heights.iter().map(|it| it.height.0).collect();
        assert_eq!(heights, [1, 2, 3, 4, 5]);
    }
}

#[test]
fn own_slots_come_in_pieces() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        for height in 1..=6 {
            solo.order(1, height, height);
        }
        let mut anchor = solo.craft.anchor();
        let last = solo.commits[5].clone();
        (anchor.height, anchor.history) = (last.height, last.history);
        anchor.proof = Some(last.proof);
        let all = solo.records;
        let mut solo = Solo::recover(solo.craft, 0, Time(0), anchor, Vec::new());
        solo.slow_loads = true;
        solo.checkpoint(None);
        let mut asked = 0;
        while let Some((token, which)) = solo.loads.pop() {
            asked += 1;
            assert!(asked < 20);
            let at = |it: &&Record| which.contains(&crate::Record::key(*it));
            let mut records: Vec<Record> = all.iter().filter(at).cloned().collect();
            records.sort_by_key(crate::Record::key);
            // The budget ends within a height.
            records.truncate(4);
            solo.input(Input::Loaded(crate::Loaded { token, records }));
        }
        assert!(solo.replica.recovery.is_complete());
        solo.input(overdue());
        let shown = solo.last_change().change.prepared.len();
        assert_eq!(
            shown, 5,
            "the sixth was given at the start, had it been stored"
        );
    }
}

/// A slot that was given one payload after the other holds more than one answer of the store does. What
/// was prepared there comes first.
#[test]
fn what_was_prepared_is_read_however_many_payloads_a_slot_was_given() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        for view in 2..=9 {
            solo.pre_prepare(view - 1, 1, &payload(100 + view));
            let opened = solo.craft.opened(view, 0, &[]);
            solo.deliver(2, Message::Opened(opened));
        }
        solo.order(9, 1, 1);
        solo.order(9, 2, 2);
        let mut anchor = solo.craft.anchor();
        let last = solo.commits[1].clone();
        (anchor.height, anchor.history) = (last.height, last.history);
        anchor.proof = Some(last.proof);
        let all = solo.records;
        let latest = |it: &&Record| matches!(crate::Record::key(*it), crate::RecordKey::Latest(_));
        let given = all.iter().filter(latest).cloned().collect();
        let mut solo = Solo::recover(solo.craft, 0, Time(0), anchor, given);
        solo.slow_loads = true;
        solo.checkpoint(None);
        while let Some((token, which)) = solo.loads.pop() {
            let at = |it: &&Record| which.contains(&crate::Record::key(*it));
            let mut records: Vec<Record> = all.iter().filter(at).cloned().collect();
            records.sort_by_key(crate::Record::key);
            records.truncate(3);
            solo.input(Input::Loaded(crate::Loaded { token, records }));
        }
        solo.input(overdue());
        let shown = solo.last_change().change.prepared;
        let shown: Vec<(u64, u64)> = shown.iter().map(|it| (it.view.0, it.height.0)).collect();
        assert_eq!(shown, [(9, 1)], "n {n}");
    }
}

/// A committed slot may be prepared again for those who lag, but in no other words than before: as long
/// as those are not read, not at all.
#[test]
fn a_committed_slot_is_not_prepared_anew_before_it_is_read() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        for height in 1..=3 {
            solo.order(1, height, height);
        }
        let mut anchor = solo.craft.anchor();
        let last = solo.commits[2].clone();
        (anchor.height, anchor.history) = (last.height, last.history);
        anchor.proof = Some(last.proof);
        let all = solo.records;
        let mut solo = Solo::recover(solo.craft, 0, Time(0), anchor, Vec::new());
        solo.records = all;
        solo.slow_loads = true;
        solo.checkpoint(None);
        solo.pre_prepare(1, 2, &payload(9));
        assert!(solo.said("prepare").is_empty(), "it has prepared another");
        while !solo.loads.is_empty() {
            solo.load();
        }
        solo.pre_prepare(1, 2, &payload(9));
        assert!(solo.said("prepare").is_empty(), "it has prepared another");
        solo.pre_prepare(1, 4, &payload(4));
        assert_eq!(solo.said("prepare"), [(1, 4)]);
    }
}

/// What it has stored of a slot may be newer than what is shown to it before it has read that: a
/// certificate of an older view in its place would leave the slot out of the next view change, or
/// name in it what was never committed.
#[test]
fn a_certificate_that_is_shown_during_a_start_replaces_no_newer_one() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let opened = solo.craft.opened(2, 0, &[]);
        solo.deliver(2, Message::Opened(opened));
        for height in 1..=3 {
            solo.order(2, height, height);
        }
        let stored = |solo: &Solo| {
            let at_2 = solo.records.iter().find_map(|record| match record {
                Record::Prepared(it) if it.assigned.height == Height(2) => Some(it.assigned.view),
                _ => None,
            });
            at_2.unwrap()
        };
        let mut anchor = solo.craft.anchor();
        let last = solo.commits[2].clone();
        (anchor.height, anchor.history) = (last.height, last.history);
        anchor.proof = Some(last.proof);
        let all = solo.records;
        let below = |it: &Record| matches!(crate::Record::key(it), crate::RecordKey::At(h, _) if h < Height(3));
        let given = all.iter().filter(|it| !below(it)).cloned().collect();
        let mut solo = Solo::recover(solo.craft, 0, Time(0), anchor, given);
        solo.records = all;
        solo.slow_loads = true;
        solo.checkpoint(None);
        let old = Reached::Prepared(solo.craft.prepared_at(1, 2, 9));
        solo.deliver(3, Message::Certificate(old));
        assert_eq!(stored(&solo), View(2), "n {n}");
        while !solo.loads.is_empty() {
            solo.load();
        }
        solo.input(overdue());
        let named = solo.last_change().change.prepared;
        let named = named.iter().find(|it| it.height == Height(2));
        assert_eq!(named.map(|it| it.view), Some(View(2)), "n {n}");
    }
}

/// All lose power after slots were committed everywhere, and come back without their primary: the
/// new view has to carry the committed slots over, though each start is given none of them.
#[test]
fn committed_slots_survive_a_view_change_after_all_lost_power() {
    for n in [4u16, 7] {
        for slots in 1..=5 {
            let mut cluster = Cluster::new(n);
            for number in 1..=slots {
                cluster.submit(number);
                cluster.run(Time::millis(5));
            }
            cluster.run_until(Time::millis(100), "commit", Cluster::all_done);
            cluster.run(Time::millis(10));
            (0..n).for_each(|i| cluster.crash(i));
            (0..n).filter(|i| *i != 1).for_each(|i| cluster.start(i));
            cluster.submit(99);
            cluster.run_until(Time::millis(3_000), "commit", Cluster::all_done);
            let reach = cluster.protocol(0).reach();
            assert!(reach >= Height(slots), "n {n}: {reach} of {slots}");
        }
    }
}

#[test]
fn a_restart_from_every_prefix_of_what_was_stored_keeps_to_the_promises() {
    for n in [4u16, 7] {
        // Records become durable in the order in which they were made; a crash cuts the list anywhere.
        let q = Craft::new(n).quorum();
        let run = |solo: &mut Solo| {
            for height in 1..=2 {
                let assigned = solo.pre_prepare(1, height, &payload(height));
                solo.prepares(assigned, q - 2);
                solo.commits(assigned, q - 1);
            }
            solo.input(overdue());
            let prepared = solo.craft.prepared_at(1, 2, 2);
            let opened = solo
                .craft
                .opened(2, 0, &[solo.craft.prepared_at(1, 1, 1), prepared]);
            solo.deliver(2, Message::Opened(opened));
            let assigned = solo.pre_prepare(2, 3, &payload(3));
            solo.prepares(assigned, q - 2);
        };
        let mut whole = Solo::start(n, 0);
        run(&mut whole);
        for cut in 0..=whole.records.len() {
            let records: Vec<Record> = whole.records[..cut].to_vec();
            let craft = Craft::new(n);
            let anchor = craft.anchor();
            let mut solo = Solo::recover(craft, 0, Time(0), anchor, records.clone());
            solo.checkpoint(None);
            let gave_up = records.iter().any(|it| matches!(it, Record::ViewChange(_)));
            let entered = records.iter().any(|it| matches!(it, Record::NewView(_)));
            assert_eq!(solo.wanted(), if gave_up || entered { 2 } else { 1 });
            assert_eq!(solo.view(), if entered { 2 } else { 1 });
            for record in &records {
                if let Record::Accepted(it) = record
                    && it.view == View(1)
                    && !gave_up
                    && !entered
                    && it.height > solo.replica.log.committed()
                {
                    assert!(
                        solo.said("prepare").contains(&(1, it.height.0)),
                        "cut {cut}"
                    );
                }
            }
            run(&mut solo);
            assert_eq!(solo.replica.log.committed(), Height(2), "cut {cut}");
            assert_eq!(solo.view(), 2);
        }
    }
}

/// All crash at once, at every sync of node 0 in turn, and start again: own votes come back
/// through the fence and are counted again, so nothing stalls.
#[test]
fn all_crash_at_every_point_and_go_on() {
    for n in [4, 7] {
        crashes::of_all_at_every_sync(&Craft::new(n), Time(700_000));
    }
}

#[test]
fn one_crashes_between_every_two_syncs_under_load() {
    for n in [4u16, 7] {
        crashes::of_one_between_syncs(|| Cluster::new(n));
    }
}

/// The same while a view is given up and the next one opened.
#[test]
fn all_crash_at_every_point_of_a_view_change_and_go_on() {
    for n in [4u16, 7] {
        for victim in [0, 2] {
            for point in 1..=12 {
                let mut cluster = Cluster::new(n);
                for number in 1..=3 {
                    cluster.submit(number);
                    cluster.run(Time::millis(1));
                }
                cluster.crash_at_sync.insert(victim, point);
                (0..n).for_each(|i| cluster.input(i, overdue()));
                cluster.run(Time::millis(2));
                cluster.crash_at_sync.clear();
                (0..n).for_each(|i| cluster.crash(i));
                (0..n).for_each(|i| cluster.start(i));
                cluster.submit(9);
                let what = format!("n {n}, node {victim} at sync {point}");
                cluster.run_until(Time::millis(10_000), &what, Cluster::all_done);
            }
        }
    }
}

#[test]
fn the_promises_of_an_empty_slot_are_kept_as_well() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let assigned = solo.pre_prepare(1, 1, &Payload::EMPTY);
        let mut solo = solo.start_again();
        solo.prepares(assigned, solo.craft.quorum() - 2);
        let again = solo.sent.iter().filter(|(to, it)| {
            *to == To::All && matches!(it, Message::Commit(it) if it.assigned == assigned)
        });
        assert_eq!(again.count(), 1);
    }
}

/// Three of four know that 16 is stable because they were shown it, and one of them has committed the
/// slot above, which the others have prepared. Did they forget the checkpoint as they start again, they
/// would show slots from the beginning to the high watermark of that, and none of those above; the new
/// view would give height 25 to something else.
#[test]
fn a_stable_checkpoint_that_was_shown_is_not_forgotten() {
    let mut cluster = Cluster::new(4);
    cluster.lose_checkpoints.extend([0, 2, 3]);
    let low = 3 * EVERY;
    for number in 1..=low {
        cluster.submit(number);
        let ordered = |it: &Cluster| it.all_done();
        cluster.run_until(Time::millis(2_000), "the next slot", ordered);
    }
    let known = |i| cluster.protocol(i).log.low() >= Height(low - EVERY);
    assert!(
        (0..4).all(known),
        "they were shown it when they stood still"
    );
    // Of the next slot only node 0 hears the commits.
    cluster.filter = Some(Box::new(|_, to, message| {
        matches!(message, Message::Commit(_)) && to.0 != 0
    }));
    cluster.submit(100);
    cluster.run_until(Time::millis(100), "commit", |it| it.height(0) == low + 1);
    (0..4).for_each(|i| cluster.crash(i));
    cluster.filter = None;
    cluster.lose_checkpoints.clear();
    for i in [0, 2, 3] {
        cluster.start(i);
    }
    (0..3).for_each(|k| cluster.submit(101 + k));
    for i in [0, 2, 3] {
        cluster.input(i, overdue());
    }
    cluster.run(Time::millis(500));
    cluster.start(1);
    cluster.run_until(Time::millis(3_000), "progress", |it| it.all_done());
    assert!(cluster.height(0) > low + 1);
}

/// Until the shell has said where checkpoints are made, nobody knows where the watermarks are: whoever
/// says a word beyond them would not have to show in a view change what he relied on.
#[test]
fn nothing_is_said_beyond_the_watermarks_as_it_starts() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let height = 2 * EVERY + 1;
        let assigned = solo.pre_prepare(1, height, &payload(1));
        solo.prepares(assigned, solo.craft.quorum() - 2);
        let shown = super::super::message::Reached::Prepared(solo.craft.prepared(assigned));
        solo.deliver(2, Message::Certificate(shown));
        let mut solo = solo.start_again();
        assert!(solo.said("prepare").is_empty() && solo.said("commit").is_empty());
        let stable = solo.craft.stable(EVERY);
        solo.checkpoint(Some(stable));
        assert_eq!(solo.said("commit"), [(1, height)]);
    }
}
