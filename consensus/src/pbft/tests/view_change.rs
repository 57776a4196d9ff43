//! When a view is given up, and what is said then.

use super::super::Message;
use super::super::ViewChange;
use super::super::message::AskProgress;
use super::cluster::Cluster;
use super::craft::{Craft, EVERY, Solo, payload};
use crate::{Input, To};
use crypto::{Epoch, Height, Payload, Reject, Signature, Time, View};
use std::sync::Arc;

fn view_changes(solo: &Solo) -> Vec<ViewChange> {
    let said = solo.sent.iter().filter_map(|(to, it)| match it {
        Message::ViewChange(it) if *to == To::All => Some((**it).clone()),
        _ => None,
    });
    said.collect()
}

/// View changes of the `count` lowest others.
fn others_want(solo: &mut Solo, view: u64, count: usize) {
    let others = (0..solo.craft.n()).filter(|node| *node != solo.me);
    for node in others.take(count).collect::<Vec<_>>() {
        let message = solo.craft.view_change(node, view, 0, &[]);
        solo.deliver(node, message);
    }
}

#[test]
fn payload_that_waits_too_long_costs_the_primary_its_place() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        solo.pass(Time::millis(60_000));
        assert_eq!(solo.wanted(), 1, "without work there is no hurry");
        solo.work();
        solo.pass(Time::millis(299));
        assert_eq!(solo.wanted(), 1);
        solo.pass(Time::millis(2));
        assert_eq!(solo.said("view_change"), [(2, 0)]);
    }
}

#[test]
fn before_it_gives_up_it_asks_the_others() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        solo.work();
        solo.pass(Time::millis(250));
        let asked = |it: &(To, Message)| matches!(it.1, Message::AskProgress(ask) if ask.stalled);
        assert!(solo.sent.iter().any(asked));
        assert!(crate::Protocol::status(&solo.replica).waiting.is_some());
        assert_eq!(solo.wanted(), 1);
    }
}

#[test]
fn a_replica_that_was_stopped_hears_the_others_before_it_gives_up() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        solo.work();
        solo.now = solo.now.plus(Time::millis(60_000));
        solo.input(Input::Tick);
        assert_eq!(solo.wanted(), 1);
        solo.pass(Time::millis(400));
        assert_eq!(solo.wanted(), 2, "then it does");
    }
}

#[test]
fn progress_starts_the_timer_anew_and_null_slots_are_none() {
    for n in [4u16, 7] {
        for (number, wanted) in [(Some(1u64), 1), (None, 2)] {
            let mut solo = Solo::start(n, 0);
            solo.work();
            for height in 1..=6u64 {
                solo.pass(Time::millis(100));
                let payload = number.map_or(Payload::EMPTY, |it| payload(it + height));
                let assigned = solo.pre_prepare(1, height, &payload);
                solo.prepares(assigned, solo.craft.quorum() - 2);
                solo.commits(assigned, solo.craft.quorum() - 1);
            }
            assert_eq!(solo.wanted(), wanted, "payload: {}", number.is_some());
        }
    }
}

#[test]
fn with_fewer_than_q_it_asks_again_in_the_same_words_and_goes_no_further() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let q = solo.craft.quorum();
        solo.work();
        others_want(&mut solo, 2, q - 2);
        solo.pass(Time::millis(60_000));
        let said = view_changes(&solo);
        assert!(said.len() > 10, "sent again");
        assert!(said.iter().all(|it| *it == said[0]));
        assert_eq!(solo.wanted(), 2);
    }
}

#[test]
fn the_doubled_timer_runs_from_the_qth_view_change() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let q = solo.craft.quorum();
        solo.work();
        others_want(&mut solo, 2, q - 2);
        solo.pass(Time::millis(5_000));
        assert_eq!(solo.wanted(), 2);
        others_want(&mut solo, 2, q - 1);
        solo.pass(Time::millis(599));
        assert_eq!(solo.wanted(), 2);
        solo.pass(Time::millis(2));
        assert_eq!(solo.wanted(), 3, "the new primary is silent as well");
        others_want(&mut solo, 3, q - 1);
        solo.pass(Time::millis(1199));
        assert_eq!(solo.wanted(), 3);
        solo.pass(Time::millis(2));
        assert_eq!(solo.wanted(), 4);
    }
}

/// How long payload waited in a view that is over is nothing to the next primary.
#[test]
fn the_span_that_payload_waited_in_an_older_view_does_not_fire_in_the_new_one() {
    for n in [4, 7] {
        for late in [false, true] {
            let mut solo = Solo::start(n, 0);
            solo.work();
            solo.pass(Time::millis(290));
            if late {
                // Stopped for a while, and so given a little more in the old view.
                solo.now = solo.now.plus(Time::millis(60_000));
                solo.input(Input::Tick);
            }
            let opened = solo.craft.opened(2, 0, &[]);
            solo.deliver(2, Message::Opened(opened));
            solo.pass(Time::millis(299));
            assert_eq!((solo.view(), solo.wanted()), (2, 2), "n {n}");
            solo.pass(Time::millis(2));
            assert_eq!(solo.wanted(), 3, "n {n}: the whole span, and no more");
        }
    }
}

#[test]
fn the_span_that_an_older_payload_waited_does_not_fire_for_the_next() {
    for n in [4, 7] {
        for rest in [false, true] {
            let mut solo = Solo::start(n, 0);
            solo.work();
            solo.pass(Time::millis(290));
            solo.order(1, 1, 1);
            if rest {
                solo.input(Input::Pending { oldest: None });
                solo.pass(Time::millis(5_000));
                solo.work();
            }
            let span = solo.replica.timers.span();
            solo.pass(span.since(Time::millis(1)));
            assert_eq!(solo.wanted(), 1, "n {n}");
            solo.pass(Time::millis(2));
            assert_eq!(solo.wanted(), 2, "n {n}: the whole span, and no more");
        }
    }
}

/// A span that was doubled for a view belongs to it alone, once that view makes progress.
#[test]
fn a_span_that_was_doubled_does_not_extend_what_follows_progress() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        solo.work();
        for view in 2..=6 {
            others_want(&mut solo, view, n as usize);
        }
        let opened = solo.craft.opened(6, 0, &[]);
        solo.deliver(2, Message::Opened(opened));
        solo.order(6, 1, 1);
        solo.pass(Time::millis(299));
        assert_eq!(solo.wanted(), 6, "n {n}");
        solo.pass(Time::millis(2));
        assert_eq!(solo.wanted(), 7, "n {n}");
    }
}

/// What an older view has ordered is learnt while the next one is awaited; that says nothing of its
/// primary, whose time must neither start anew nor run out at once.
#[test]
fn a_commit_of_an_older_view_neither_cuts_nor_extends_the_wait_for_the_next() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let q = solo.craft.quorum();
        let first = solo.pre_prepare(1, 1, &payload(1));
        solo.work();
        others_want(&mut solo, 2, n as usize - 1);
        solo.pass(Time::millis(400));
        solo.commits(first, q);
        assert_eq!(solo.heights(), [1]);
        solo.pass(Time::millis(199));
        assert_eq!(solo.wanted(), 2, "n {n}: it has 600 ms");
        solo.pass(Time::millis(2));
        assert_eq!(solo.wanted(), 3, "n {n}");
    }
}

/// However far timers were driven up, they come down with the first payload committed.
#[test]
fn timers_that_have_grown_recover() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        solo.work();
        for view in 2..=6 {
            others_want(&mut solo, view, n as usize);
        }
        assert_eq!(solo.wanted(), 6);
        assert!(solo.replica.timers.span() >= Time::millis(9_000));
        let opened = solo.craft.opened(6, 0, &[]);
        solo.deliver(2, Message::Opened(opened));
        assert_eq!(solo.view(), 6);
        assert!(solo.replica.timers.span() >= Time::millis(9_000));
        solo.order(6, 1, 1);
        assert_eq!(solo.replica.timers.span(), Time::millis(300));
    }
}

#[test]
fn f_plus_one_others_are_joined_and_no_fewer() {
    for n in [4u16, 5, 6, 7, 10] {
        let mut solo = Solo::start(n, 0);
        let f = solo.craft.quorums.f;
        others_want(&mut solo, 2, f);
        assert_eq!(solo.wanted(), 1, "n {n}: f others");
        others_want(&mut solo, 2, f);
        assert_eq!(solo.wanted(), 1, "n {n}: the same again");
        others_want(&mut solo, 2, f + 1);
        assert_eq!(solo.wanted(), 2, "n {n}");
    }
}

#[test]
fn the_smallest_view_that_f_plus_one_are_beyond_is_joined() {
    let mut solo = Solo::start(7, 0);
    for (node, view) in [(1, 9), (2, 3), (3, 5)] {
        let message = solo.craft.view_change(node, view, 0, &[]);
        solo.deliver(node, message);
    }
    assert_eq!(solo.wanted(), 3);
    // One view behind, or many: it joins at once.
    let message = solo.craft.view_change(4, 6, 0, &[]);
    solo.deliver(4, message);
    assert_eq!(solo.wanted(), 5);
}

#[test]
fn of_each_member_its_highest_view_counts_once() {
    let mut solo = Solo::start(7, 0);
    for view in [2, 3, 4, 5] {
        for node in [1, 2] {
            let message = solo.craft.view_change(node, view, 0, &[]);
            solo.deliver(node, message);
        }
    }
    assert_eq!(solo.wanted(), 1, "two members, eight view changes");
    // The highest stays.
    let message = solo.craft.view_change(1, 2, 0, &[]);
    solo.deliver(1, message);
    let message = solo.craft.view_change(3, 7, 0, &[]);
    solo.deliver(3, message);
    assert_eq!(solo.wanted(), 5);
}

/// FISCO-BCOS #2211.
#[test]
fn f_liars_with_huge_view_numbers_move_nobody() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let f = solo.craft.quorums.f as u16;
        for node in 2..2 + f {
            for view in [1 << 40, u64::MAX - 1, u64::MAX] {
                let message = solo.craft.view_change(node, view, 0, &[]);
                solo.deliver(node, message);
            }
        }
        solo.pass(Time::millis(30_000));
        assert_eq!((solo.view(), solo.wanted()), (1, 1));
        assert!(solo.said("view_change").is_empty());
        solo.order(1, 1, 1);
    }
}

#[test]
fn after_its_view_change_it_has_no_part_in_older_views_but_learns() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let (q, one) = (solo.craft.quorum(), payload(1));
        let first = solo.pre_prepare(1, 1, &one);
        solo.input(overdue());
        assert_eq!(solo.wanted(), 2);
        solo.prepares(first, q - 2);
        solo.pre_prepare(1, 2, &payload(2));
        assert_eq!(solo.said("prepare"), [(1, 1)]);
        assert!(solo.said("commit").is_empty());
        solo.pass(Time::millis(5_000));
        assert!(solo.said("commit").is_empty());
        // What q have committed is committed.
        solo.commits(first, q);
        assert_eq!(solo.heights(), [1]);
        let second = solo.craft.assigned(1, 2, &payload(2));
        solo.commits(second, q);
        assert_eq!(solo.heights(), [1, 2], "the payload was kept");
    }
}

fn overdue() -> Input<super::super::Pbft> {
    Input::Overdue {
        batch: crate::testing::batches::reference(1),
    }
}

#[test]
fn a_batch_left_out_for_too_long_deposes_the_primary() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        solo.input(overdue());
        assert_eq!(solo.said("view_change"), [(2, 0)]);
        solo.input(overdue());
        assert_eq!(solo.wanted(), 2, "and no second one for the same");
    }
}

#[test]
fn a_view_change_shows_what_was_prepared_and_nothing_else() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let q = solo.craft.quorum();
        for height in 1..=EVERY + 1 {
            solo.order(1, height, height);
        }
        let stable = solo.craft.stable(EVERY);
        solo.checkpoint(Some(Arc::clone(&stable)));
        let prepared = solo.pre_prepare(1, EVERY + 3, &payload(20));
        solo.prepares(prepared, q - 2);
        let accepted = solo.pre_prepare(1, EVERY + 4, &payload(21));
        solo.prepares(accepted, q - 3);
        solo.input(overdue());
        let it = solo.last_change();
        let heights: Vec<u64> = it.change.prepared.iter().map(|it| it.height.0).collect();
        assert_eq!(
            heights,
            [EVERY + 1, EVERY + 3],
            "committed but not stable, prepared"
        );
        assert_eq!(it.checkpoint, Some(stable));
        assert_eq!(it.change.low.height, Height(EVERY));
    }
}

/// Who waits for a slot shows its certificate to all, be it of a view that is not known here yet. In
/// a view change for a lower one it would make the whole invalid; and left out of it, it would have
/// taken the place of the own one, which others may rely on.
#[test]
fn certificates_of_views_that_it_has_not_asked_for_take_no_place() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let at = [(1, 1), (2, 2), (5, 1)];
        let [own, second, later] =
            at.map(|(view, height)| solo.craft.prepared_at(view, height, height));
        let show = |solo: &mut Solo| {
            for it in [&own, &second, &later] {
                let reached = super::super::message::Reached::Prepared(Arc::clone(it));
                solo.deliver(3, Message::Certificate(reached));
            }
        };
        let named = |solo: &Solo| solo.last_change().change.prepared;
        show(&mut solo);
        let asked = |(to, it): &(To, Message)| {
            *to == To::One(crypto::NodeId(3)) && matches!(it, Message::AskProgress(_))
        };
        assert!(solo.sent.iter().any(asked), "who shows it may help");
        solo.input(overdue());
        assert_eq!(named(&solo), [own.assigned], "n {n}");
        show(&mut solo);
        others_want(&mut solo, 5, n as usize - 1);
        assert_eq!(named(&solo), [own.assigned, second.assigned]);
        show(&mut solo);
        others_want(&mut solo, 6, n as usize - 1);
        assert_eq!(named(&solo), [later.assigned, second.assigned]);
    }
}

#[test]
fn a_prepared_certificate_is_kept_until_a_newer_one_replaces_it() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let q = solo.craft.quorum();
        let old = solo.pre_prepare(1, 1, &payload(1));
        solo.prepares(old, q - 2);
        // Views are opened by others, who have not prepared it.
        for view in [2, 3] {
            let opened = solo.craft.opened(view, 0, &[]);
            solo.deliver(2, Message::Opened(opened));
        }
        solo.pre_prepare(3, 1, &payload(3));
        others_want(&mut solo, 4, n as usize - 1);
        assert_eq!(solo.last_change().change.prepared, [old]);
        let opened = solo.craft.opened(5, 0, &[]);
        solo.deliver(2, Message::Opened(opened));
        let new = solo.pre_prepare(5, 1, &payload(5));
        solo.prepares(new, q - 2);
        others_want(&mut solo, 6, n as usize - 1);
        assert_eq!(solo.last_change().change.prepared, [new]);
    }
}

#[test]
fn a_view_change_is_valid_within_its_own_watermarks_and_for_primaries_of_their_views() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let craft = Craft::new(n);
        let at = |height| vec![craft.prepared_at(1, height, 1)];
        let far = craft.view_change(2, 2, 0, &at(2 * EVERY + 1));
        solo.deliver(2, far);
        let mut stranger = (*craft.prepared_at(1, 1, 1)).clone();
        let signers = craft.quorum_with(3);
        let assigned = stranger.assigned;
        stranger.primary = crypto::NodeId(3);
        stranger.certificate = crypto::Certificate::collect(signers.iter().map(|node| {
            let kind = if *node == 3 {
                crypto::Kind::PrePrepare
            } else {
                crypto::Kind::Prepare
            };
            let epoch = crypto::Epoch(0);
            let said = super::super::certificate::phase_statement(kind, epoch, &assigned);
            (crypto::NodeId(*node), craft.sign(*node, &said))
        }));
        let other = craft.view_change(2, 2, 0, &[Arc::new(stranger)]);
        solo.deliver(2, other);
        let first = craft.view_change(2, 1, 0, &[]);
        solo.deliver(2, first);
        assert_eq!(solo.rejects, [Reject::Malformed; 3]);
        assert_eq!(solo.others_who_want_more_than(0), 0);
        let good = craft.view_change(2, 2, 0, &at(2 * EVERY));
        solo.deliver(2, good);
        assert_eq!(solo.others_who_want_more_than(1), 1);
    }
}

#[test]
fn an_equivocating_view_change_is_evidence_and_the_first_counts() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let prepared = solo.craft.prepared_at(1, 1, 1);
        let first = solo.craft.view_change(3, 2, 0, &[prepared]);
        let second = solo.craft.view_change(3, 2, 0, &[]);
        for message in [&first, &first, &second] {
            solo.deliver(3, message.clone());
        }
        assert_eq!(solo.evidence.len(), 1);
        solo.evidence[0].check(&solo.craft.verifier).unwrap();
        assert_eq!(solo.rejects, [Reject::Conflict]);
        let kept = solo.replica.changes.for_wanted().count();
        assert_eq!(kept, 0, "nobody joins one");
    }
}

#[test]
fn who_asks_for_an_older_view_is_shown_the_newer_one() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let opened = solo.craft.opened(3, 0, &[]);
        solo.deliver(2, Message::Opened(Arc::clone(&opened)));
        assert_eq!(solo.view(), 3);
        solo.sent.clear();
        for view in [2, 3] {
            solo.now = solo.now.plus(Time::millis(50));
            let message = solo.craft.view_change(2, view, 0, &[]);
            solo.deliver(2, message);
        }
        let answer = (To::One(crypto::NodeId(2)), Message::Opened(opened));
        assert_eq!(solo.sent, [answer.clone(), answer]);
        assert_eq!(solo.wanted(), 3);
    }
}

/// It had asked for a view that nobody else wanted; the others went on without it, and dropped
/// what it had accepted (seeds 6, 15 and 2293 of the random schedules).
#[test]
fn a_replica_that_gave_up_alone_falls_silent_at_rest() {
    let mut solo = Solo::start(7, 0);
    solo.pre_prepare(1, 1, &payload(1));
    for node in [2, 3, 4] {
        let message = solo.craft.view_change(node, 2, 0, &[]);
        solo.deliver(node, message);
    }
    solo.work();
    others_want(&mut solo, 2, 6);
    solo.pass(Time::millis(700));
    assert_eq!(solo.wanted(), 3);
    solo.input(Input::Pending { oldest: None });
    solo.sent.clear();
    solo.pass(Time::millis(60_000));
    let spoken: Vec<_> = solo
        .sent
        .iter()
        .filter(|(_, it)| !matches!(it, Message::AskProgress(_)))
        .collect();
    assert!(spoken.is_empty(), "{spoken:?}");
    // It needs no proof of view 2 any more, and says so.
    let asks =
        |it: &(To, Message)| matches!(it.1, Message::AskProgress(ask) if ask.view == View(2));
    assert!(solo.sent.iter().all(asks));
}

/// Another had given up, too, told nobody else and is gone: the two are f + 1, and nobody joins them
/// (seed 41646).
#[test]
fn two_of_which_one_is_gone_fall_silent_at_rest() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let f = solo.craft.quorums.f;
        solo.input(overdue());
        assert_eq!(solo.wanted(), 2);
        others_want(&mut solo, 2, f);
        assert_eq!(solo.others_who_want_more_than(1), f);
        solo.sent.clear();
        solo.pass(Time::millis(60_000));
        let rest = |(_, it): &&(To, Message)| !matches!(it, Message::AskProgress(_));
        let spoken: Vec<_> = solo.sent.iter().filter(rest).collect();
        assert!(spoken.is_empty(), "n {n}: {spoken:?}");
        let asked = solo.sent.len();
        assert!(asked < 100, "n {n}: {asked} questions in a minute");
    }
}

/// Each took the other's question for a hint of a view that it had missed, and asked in return, for ever
/// (seed 1461).
#[test]
fn two_that_gave_up_do_not_ask_each_other_for_ever() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        solo.work();
        let quorum = usize::from(n - (n - 1) / 3);
        others_want(&mut solo, 2, quorum - 1);
        solo.pass(Time::millis(3_000));
        let (view, closed) = (solo.view(), solo.wanted() - 1);
        assert!(closed > view, "n {n}: view {view}, closed {closed}");
        solo.input(Input::Pending { oldest: None });
        solo.sent.clear();
        for (asked, answers) in [(closed, false), (closed + 1, true)] {
            solo.now = solo.now.plus(Time::millis(100));
            let ask = AskProgress {
                epoch: Epoch(0),
                view: View(asked),
                height: Height(0),
                stalled: false,
            };
            solo.deliver(3, Message::AskProgress(ask));
            assert_eq!(!solo.sent.is_empty(), answers, "n {n}: {:?}", solo.sent);
        }
    }
}

#[test]
fn a_partitioned_node_that_gave_up_does_not_disturb_the_others() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n);
        cluster.isolate(3);
        for number in 1..=5 {
            cluster.submit(number);
            cluster.run(Time::millis(200));
        }
        assert_eq!(cluster.protocol(3).changes.wanted(), View(2));
        cluster.heal();
        for number in 6..=20 {
            cluster.submit(number);
            cluster.run(Time::millis(50));
        }
        cluster.run_until(Time::millis(2_000), "commit", Cluster::all_done);
        assert!(cluster.views().iter().all(|view| *view == 1));
    }
}

#[test]
fn a_dead_primary_costs_one_view_change() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n);
        cluster.submit(1);
        cluster.run(Time::millis(50));
        cluster.crash(1);
        cluster.submit(2);
        cluster.run_until(Time::millis(450), "commit", Cluster::all_done);
        let up = (0..n).filter(|i| *i != 1);
        assert!(up.map(|i| cluster.protocol(i).view.0).all(|view| view == 2));
        // It comes back and takes part in the new view.
        cluster.start(1);
        cluster.submit(3);
        cluster.run_until(Time::millis(1_000), "commit", Cluster::all_done);
        cluster.run_until(Time::millis(5_000), "it follows", |it| it.views()[1] == 2);
    }
}

#[test]
fn a_new_primary_that_is_down_as_well_costs_another() {
    let mut cluster = Cluster::new(7);
    cluster.crash(1);
    cluster.crash(2);
    cluster.submit(1);
    cluster.run_until(Time::millis(2_000), "commit", Cluster::all_done);
    let views: Vec<u64> = [0, 3, 4, 5, 6].map(|i| cluster.protocol(i).view.0).to_vec();
    assert_eq!(views, [3; 5]);
}

#[test]
fn isolated_for_ten_views_it_rejoins() {
    for n in [4u16, 7] {
        let mut cluster = Cluster::new(n);
        cluster.isolate(n - 1);
        for view in 2..=11u64 {
            let primary = (view - 1) % u64::from(n);
            if primary == u64::from(n - 1) {
                cluster.submit(view);
                cluster.run(Time::millis(2_000));
                continue;
            }
            for i in 0..n - 1 {
                cluster.input(i, overdue());
            }
            cluster.submit(view);
            cluster.run(Time::millis(2_000));
        }
        assert!(cluster.protocol(0).view.0 >= 10);
        cluster.heal();
        cluster.submit(99);
        cluster.run_until(Time::millis(5_000), "commit", Cluster::all_done);
        assert!(cluster.done(n - 1));
    }
}

#[test]
fn an_unsigned_view_change_is_none() {
    let mut solo = Solo::start(4, 0);
    let mut it = solo.craft.change(2, 2, 0, &[]);
    it.change.signature = Signature::NONE;
    let message = Message::ViewChange(Box::new(it));
    assert_eq!(solo.try_deliver(2, message), Err(Reject::BadSignature));
}
