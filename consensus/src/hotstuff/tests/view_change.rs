//! Timers, timeouts and tenures.

use super::super::message::CertificatePair;
use super::super::{Message, rules};
use super::cluster::Cluster;
use super::craft::{Craft, Solo, payload, round_robin};
use crate::{Input, LeaderSchedule, To};
use crypto::{BatchRef, NodeId, Reject, Time};
use std::sync::Arc;

fn pending(solo: &mut Solo) {
    solo.input(Input::Pending {
        oldest: Some(Time(0)),
    });
}

/// The model's deadlock: tenure 1, votes to the next leader only, votes in timeouts ignored, one
/// dead of four: nothing ever commits. With the rules as they are, it does.
#[test]
fn tenure_one_with_a_dead_leader_commits() {
    for (n, f) in [(4u16, 1u16), (7, 2)] {
        for tenure in [1, 2, 3, 4] {
            let mut cluster = Cluster::new(n, round_robin(tenure));
            (0..f).for_each(|i| cluster.crash(2 * i + 1));
            for number in 1..=5 {
                cluster.submit(number);
                cluster.run_until(
                    Time::millis(20_000),
                    &format!("tenure {tenure}"),
                    Cluster::all_done,
                );
            }
        }
    }
}

#[test]
fn a_dead_leader_costs_one_timeout() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n, round_robin(8192));
        cluster.submit(1);
        cluster.run_until(Time::millis(50), "commit", Cluster::all_done);
        cluster.crash(0);
        cluster.submit(2);
        let before = cluster.now;
        cluster.run_until(Time::millis(500), "the next leader", Cluster::all_done);
        assert!(
            cluster.now.since(before) < Time::millis(350),
            "{:?}",
            cluster.now.since(before)
        );
        for i in 1..n {
            assert_eq!(cluster.statuses()[i as usize].as_ref().unwrap().timeouts, 1);
        }
    }
}

#[test]
fn a_live_leader_between_two_dead_ones_commits_in_his_own_tenure_of_four() {
    let leaders = LeaderSchedule::Scripted {
        tenure: 4,
        leaders: vec![NodeId(5), NodeId(1), NodeId(6)],
    };
    let mut cluster = Cluster::new(7, leaders);
    cluster.crash(5);
    cluster.crash(6);
    cluster.submit(1);
    cluster.run_until(Time::millis(3000), "commit", Cluster::all_done);
    assert!(
        cluster.view(1) < 12,
        "in the first tenure of the live leader: {}",
        cluster.view(1)
    );
}

#[test]
fn the_timer_runs_only_while_there_is_work() {
    let mut solo = Solo::new(Craft::new(4, round_robin(8)), 1);
    solo.pass(Time::millis(10_000));
    assert!(solo.gave_up().is_empty());
    pending(&mut solo);
    solo.input(Input::Pending { oldest: None });
    solo.pass(Time::millis(10_000));
    assert!(solo.gave_up().is_empty());
    pending(&mut solo);
    solo.pass(Time::millis(290));
    assert!(solo.gave_up().is_empty());
    solo.pass(Time::millis(20));
    assert_eq!(solo.gave_up(), [0]);
}

/// At rest nobody has a reason to speak, so whoever missed the last certificate would never learn
/// it (simulator seeds 2466 and 3276).
#[test]
fn at_rest_it_asks_one_peer_after_the_other_where_they_stand_and_says_nothing_else() {
    let mut solo = Solo::new(Craft::new(4, round_robin(8)), 1);
    let every = solo.craft.config(1).timing.at_rest();
    solo.pass(every);
    let first = solo.sent.len();
    solo.pass(Time(every.0 * 5));
    let asked: Vec<To> = solo
        .sent
        .iter()
        .map(|(to, m)| {
            assert!(matches!(m, Message::AskCertificate(_)), "{m:?}");
            *to
        })
        .collect();
    assert!(first <= 1);
    assert_eq!(asked.len() - first, 5, "one in each span");
    for peer in [0, 2, 3] {
        assert!(asked.contains(&To::One(NodeId(peer))), "{asked:?}");
    }
}

#[test]
fn who_missed_the_end_of_the_work_and_knows_of_none_learns_it_at_rest() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n, round_robin(8));
        cluster.isolate(n - 1);
        cluster.submit(1);
        cluster.input(n - 1, Input::Pending { oldest: None });
        cluster.run(Time::millis(2_000));
        assert!(cluster.done(0) && !cluster.done(n - 1));
        cluster.heal();
        cluster.run_until(Time::millis(10_000), "convergence", |cluster| {
            cluster.done(n - 1)
        });
    }
}

/// Each answered the other's timeout with its own, for ever (simulator seed 1829).
#[test]
fn two_who_gave_up_and_have_nothing_to_do_fall_silent() {
    let mut cluster = Cluster::new(7, round_robin(8));
    for i in [1, 5] {
        cluster.isolate(i);
        cluster.input(
            i,
            Input::Pending {
                oldest: Some(Time(0)),
            },
        );
    }
    cluster.run(Time::millis(400));
    for i in [1, 5] {
        assert_eq!(cluster.statuses()[i].as_ref().unwrap().timeouts, 1);
        cluster.input(i as u16, Input::Pending { oldest: None });
    }
    cluster.heal();
    cluster.net.delay = (Time::millis(20), Time::millis(20));
    let (one, other) = (NodeId(1), NodeId(5));
    cluster.input(1, Input::Connected { peer: other });
    cluster.input(5, Input::Connected { peer: one });
    cluster.run(Time::millis(5_000));
    let sent = cluster.sent["timeout"];
    cluster.run(Time::millis(60_000));
    assert_eq!(cluster.sent["timeout"], sent);
}

/// Those who know of no work never give up by themselves, and f+1 are too few to end the tenure.
#[test]
fn timeouts_that_nobody_heard_are_heard_later_by_those_without_work() {
    for (n, f) in [(4, 1), (7, 2)] {
        let mut cluster = Cluster::new(n, round_robin(8));
        let at_work = 1..=f + 1;
        let deaf = at_work.clone();
        cluster.filter = Some(Box::new(move |_, to, message| {
            matches!(message, Message::Timeout(_)) && !deaf.contains(&to.0)
        }));
        for i in at_work {
            let oldest = Some(Time(0));
            cluster.input(i, Input::Pending { oldest });
        }
        cluster.run(Time::millis(500));
        let signed = |cluster: &Cluster, i: u16| {
            let statuses = cluster.statuses();
            statuses[usize::from(i)].as_ref().unwrap().timeouts
        };
        assert_eq!(signed(&cluster, 1), 1);
        assert!((0..n).all(|i| cluster.view(i) == 1));
        cluster.filter = None;
        cluster.run(Time::millis(10_000));
        assert!(signed(&cluster, 0) > 0, "they join f+1");
        assert!((0..n).all(|i| cluster.view(i) >= 8));
    }
}

#[test]
fn before_giving_up_alone_it_asks_and_starts_afresh_if_the_view_advances() {
    let mut solo = Solo::new(Craft::new(4, round_robin(8)), 1);
    let (blocks, certificates) = solo.craft.chain(&[1]);
    pending(&mut solo);
    solo.propose(&blocks[0]);
    solo.pass(Time::millis(250));
    let asked =
        |(to, m): &&(To, Message)| *to == To::Others && matches!(m, Message::AskCertificate(_));
    assert!(solo.sent.iter().filter(asked).count() >= 1);
    solo.certificate(2, &certificates[0]);
    solo.pass(Time::millis(250));
    assert!(solo.gave_up().is_empty(), "afresh since the view advanced");
    solo.pass(Time::millis(100));
    assert_eq!(solo.gave_up(), [0]);
}

#[test]
fn f_plus_one_timeouts_are_joined_and_a_quorum_ends_the_tenure() {
    for (n, f) in [(4u16, 1u16), (7, 2)] {
        let mut solo = Solo::new(Craft::new(n, round_robin(4)), 0);
        let genesis = solo.craft.genesis();
        for i in 1..=f {
            let timeout = solo.craft.timeout(i, 0, &genesis, None);
            solo.deliver(i, Message::Timeout(Box::new(timeout.clone())));
            solo.deliver(i, Message::Timeout(Box::new(timeout)));
            assert!(
                solo.gave_up().is_empty(),
                "f may lie, and repeat themselves"
            );
        }
        let timeout = solo.craft.timeout(f + 1, 0, &genesis, None);
        solo.deliver(f + 1, Message::Timeout(Box::new(timeout)));
        assert_eq!(solo.gave_up(), [0]);
        let given = u64::from(f) + 2;
        assert_eq!(solo.view() == 4, given >= solo.craft.quorum() as u64);
        for i in f + 2..n {
            let timeout = solo.craft.timeout(i, 0, &genesis, None);
            solo.deliver(i, Message::Timeout(Box::new(timeout)));
        }
        assert_eq!(solo.view(), 4, "the first view of the next tenure");
    }
}

#[test]
fn timeouts_of_replicas_in_different_views_of_a_tenure_add_up() {
    let mut solo = Solo::new(Craft::new(4, round_robin(8)), 0);
    let (_, certificates) = solo.craft.chain(&[1, 2, 3, 4]);
    for (i, high) in [
        (1, &certificates[0]),
        (2, &certificates[2]),
        (3, &certificates[1]),
    ] {
        let timeout = solo.craft.timeout(i, 0, high, None);
        solo.deliver(i, Message::Timeout(Box::new(timeout)));
    }
    assert_eq!(solo.view(), 8);
    let known = solo.replica.high_timeout.as_ref().unwrap();
    assert_eq!(
        known.high.view, certificates[2].view,
        "together with the highest"
    );
    assert!(rules::is_of_its_tenure(&solo.craft.leaders, known));
}

#[test]
fn a_timeout_without_entry_proof_is_rejected_so_a_flood_of_tenures_ends_there() {
    let mut solo = Solo::new(Craft::new(4, round_robin(4)), 0);
    let genesis = solo.craft.genesis();
    for tenure in [1, 2, 1000, u64::MAX - 1, u64::MAX] {
        let timeout = solo.craft.timeout(1, tenure, &genesis, None);
        solo.deliver(1, Message::Timeout(Box::new(timeout)));
        // The proof of another tenure is none.
        let signers = [(1, &genesis), (2, &genesis), (3, &genesis)];
        let entry = solo
            .craft
            .timeout_certificate(tenure.wrapping_add(7), &signers);
        let timeout = solo.craft.timeout(1, tenure, &genesis, Some(entry));
        solo.deliver(1, Message::Timeout(Box::new(timeout)));
    }
    assert_eq!(solo.rejects, [Reject::Malformed; 10]);
    assert_eq!(solo.view(), 1);
    // A high certificate from beyond the tenure signs a lie.
    let (_, certificates) = solo.craft.chain(&[1, 2, 3, 4]);
    let timeout = solo.craft.timeout(1, 0, &certificates[3], None);
    solo.deliver(1, Message::Timeout(Box::new(timeout)));
    assert_eq!(solo.rejects.len(), 11);
    assert_eq!(solo.view(), 1);
}

#[test]
fn two_timeouts_of_one_signer_for_one_tenure_are_evidence_and_count_once() {
    let mut solo = Solo::new(Craft::new(7, round_robin(4)), 0);
    let (_, certificates) = solo.craft.chain(&[1, 2]);
    for high in &certificates {
        let timeout = solo.craft.timeout(1, 0, high, None);
        solo.deliver(1, Message::Timeout(Box::new(timeout)));
    }
    assert_eq!(solo.evidence.len(), 1);
    let timeout = solo.craft.timeout(2, 0, &certificates[0], None);
    solo.deliver(2, Message::Timeout(Box::new(timeout)));
    assert!(solo.gave_up().is_empty(), "two members, not three");
}

#[test]
fn votes_in_timeouts_count_towards_a_certificate() {
    let mut solo = Solo::new(Craft::new(4, round_robin(1)), 3);
    let genesis = solo.craft.genesis();
    let block = solo.craft.block(1, &genesis, payload(1));
    solo.propose(&block);
    for i in [0, 1] {
        let mut timeout = solo.craft.timeout(i, 1, &genesis, None);
        timeout.vote = Some(solo.craft.vote(i, &block));
        solo.deliver(i, Message::Timeout(Box::new(timeout)));
    }
    assert_eq!(
        solo.replica.high.view, block.header.view,
        "with the own vote a quorum"
    );
}

#[test]
fn the_timeout_carries_the_last_vote_of_the_tenure_and_is_sent_again_unchanged() {
    let mut solo = Solo::new(Craft::new(4, round_robin(4)), 2);
    let (blocks, certificates) = solo.craft.chain(&[1, 2]);
    solo.propose(&blocks[0]);
    pending(&mut solo);
    solo.pass(Time::millis(400));
    solo.certificate(0, &certificates[1]);
    solo.pass(Time::millis(5000));
    let timeouts: Vec<_> = solo
        .sent
        .iter()
        .filter_map(|(_, m)| {
            if let Message::Timeout(t) = m {
                Some(t)
            } else {
                None
            }
        })
        .collect();
    assert!(timeouts.len() > 3);
    assert!(timeouts.iter().all(|t| *t == timeouts[0]));
    assert_eq!(timeouts[0].vote.as_ref().unwrap().block, blocks[0].digest());
}

#[test]
fn old_messages_are_answered_with_the_proof_of_the_newer_view() {
    let mut solo = Solo::new(Craft::new(4, round_robin(4)), 3);
    let (blocks, certificates) = solo.craft.chain(&[1, 2]);
    blocks.iter().for_each(|block| solo.propose(block));
    let high = &certificates[1];
    let entry = solo
        .craft
        .timeout_certificate(0, &[(0, high), (1, high), (2, high)]);
    let pair = CertificatePair {
        quorum: Arc::clone(high),
        timeout: Some(entry),
    };
    solo.deliver(1, Message::Certificate(pair.clone()));
    assert_eq!(solo.view(), 4);
    let late = [
        (
            0,
            Message::Timeout(Box::new(solo.craft.timeout(0, 0, &certificates[0], None))),
        ),
        (2, Message::Vote(solo.craft.vote(2, &blocks[1]))),
        (0, solo.craft.proposal(&blocks[0])),
    ];
    for (from, message) in late {
        solo.sent.clear();
        solo.now = solo.now.plus(Time::millis(50));
        solo.deliver(from, message);
        assert_eq!(
            solo.sent,
            [(To::One(NodeId(from)), Message::Certificate(pair.clone()))]
        );
    }
    // Not for every one of a flood.
    solo.sent.clear();
    solo.now = solo.now.plus(Time::millis(50));
    for _ in 0..100 {
        let timeout = solo.craft.timeout(0, 0, &certificates[0], None);
        solo.deliver(0, Message::Timeout(Box::new(timeout)));
    }
    assert_eq!(solo.sent.len(), 1);
}

#[test]
fn certificates_in_late_messages_are_processed() {
    let mut solo = Solo::new(Craft::new(4, round_robin(4)), 3);
    let (_, certificates) = solo.craft.chain(&[1, 2]);
    let genesis = solo.craft.genesis();
    let entry = solo
        .craft
        .timeout_certificate(0, &[(0, &genesis), (1, &genesis), (2, &genesis)]);
    let pair = CertificatePair {
        quorum: Arc::clone(&genesis),
        timeout: Some(entry),
    };
    solo.deliver(1, Message::Certificate(pair));
    assert_eq!((solo.view(), solo.replica.high.view.0), (4, 0));
    let timeout = solo.craft.timeout(0, 0, &certificates[1], None);
    solo.deliver(0, Message::Timeout(Box::new(timeout)));
    assert_eq!((solo.view(), solo.replica.high.view.0), (4, 2));
}

/// Whoever is not told by the timeouts themselves: it may lead next, and would build below what it shows.
#[test]
fn the_highest_certificate_of_a_timeout_certificate_is_taken_over() {
    let mut solo = Solo::new(Craft::new(4, round_robin(4)), 3);
    let (_, certificates) = solo.craft.chain(&[1, 2]);
    let high = &certificates[1];
    let entry = solo
        .craft
        .timeout_certificate(0, &[(0, high), (1, high), (2, high)]);
    let pair = CertificatePair {
        quorum: solo.craft.genesis(),
        timeout: Some(entry),
    };
    solo.deliver(1, Message::Certificate(pair));
    assert_eq!((solo.view(), solo.replica.high.view.0), (4, 2));
}

/// One timeout certificate known to one replica alone stopped the model for ever.
#[test]
fn a_timeout_certificate_known_to_one_reaches_all() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n, round_robin(4));
        cluster.crash(0);
        // All timeouts of tenure 0 reach the last node alone, and nothing that it sends arrives.
        let last = NodeId(n - 1);
        cluster.filter = Some(Box::new(move |from, to, message| {
            let timeout = matches!(message, Message::Timeout(t) if t.tenure == 0);
            from == last && !timeout || timeout && to != last
        }));
        cluster.submit(1);
        cluster.run(Time::millis(1500));
        assert_eq!(cluster.view(n - 1), 4);
        assert_eq!(cluster.view(1), 1);
        cluster.filter = Some(Box::new(move |_, to, message| {
            matches!(message, Message::Timeout(t) if t.tenure == 0) && to != last
        }));
        cluster.run_until(Time::millis(30_000), "progress", Cluster::all_done);
    }
}

#[test]
fn the_timer_grows_without_commits_and_falls_back_on_commit() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n, round_robin(64));
        cluster.submit(1);
        cluster.run_until(Time::millis(50), "commit", Cluster::all_done);
        // Desynchronised for long: every proposal is lost.
        cluster.filter = Some(Box::new(|_, _, message| {
            matches!(message, Message::Proposal(_))
        }));
        cluster.submit(2);
        cluster.run(Time::millis(60_000));
        let timeouts = cluster.statuses()[0].as_ref().unwrap().timeouts;
        assert!(
            (5..=12).contains(&timeouts),
            "it backs off: {timeouts} timeouts in a minute"
        );
        cluster.filter = None;
        cluster.run_until(Time::millis(25_000), "recovery", Cluster::all_done);
        // The next dead leader costs the configured time-out again.
        let leader = cluster.statuses()[0].as_ref().unwrap().leader.unwrap().0;
        cluster.crash(leader);
        cluster.submit(3);
        cluster.run_until(Time::millis(700), "the base again", Cluster::all_done);
    }
}

#[test]
fn an_overdue_batch_deposes_the_leader_though_views_advance() {
    let mut solo = Solo::new(Craft::new(4, round_robin(64)), 1);
    let (blocks, _) = solo.craft.chain(&[1, 2]);
    blocks.iter().for_each(|block| solo.propose(block));
    let batch = BatchRef {
        author: NodeId(1),
        ..super::craft::batch(7)
    };
    solo.input(Input::Overdue { batch });
    assert_eq!(solo.gave_up(), [0]);
    let mut cluster = Cluster::new(4, round_robin(64));
    (1..=2).for_each(|i| cluster.input(i, Input::Overdue { batch }));
    cluster.run(Time::millis(10));
    assert!(
        (0..4).all(|i| cluster.view(i) == 64),
        "f+1 are joined by all"
    );
    cluster.input(3, Input::Overdue { batch });
    cluster.run(Time::millis(5000));
    assert!(
        (0..4).all(|i| cluster.view(i) == 64),
        "one alone deposes nobody"
    );
}

#[test]
fn far_future_votes_fill_no_memory() {
    let mut solo = Solo::new(Craft::new(4, round_robin(8)), 0);
    let (blocks, _) = solo.craft.chain(&(1..=40).collect::<Vec<_>>());
    for block in &blocks[20..] {
        let vote = solo.craft.vote(1, block);
        solo.deliver(1, Message::Vote(vote));
    }
    assert!(solo.rejects.iter().all(|reject| *reject == Reject::TooFar));
    assert_eq!(solo.rejects.len(), 20);
    let asked = solo
        .sent
        .iter()
        .filter(|(_, m)| matches!(m, Message::AskCertificate(_)))
        .count();
    assert_eq!(asked, 1, "who is that far ahead is asked, now and then");
}

/// Between the high certificate and the current view there may be whole tenures of views.
#[test]
fn votes_of_views_long_past_fill_no_memory() {
    let mut solo = Solo::new(Craft::new(4, round_robin(1000)), 0);
    let genesis = solo.craft.genesis();
    let signers = [(1, &genesis), (2, &genesis), (3, &genesis)];
    let entry = solo.craft.timeout_certificate(0, &signers);
    let timeout = solo.craft.timeout(1, 1, &genesis, Some(entry));
    solo.deliver(1, Message::Timeout(Box::new(timeout)));
    assert_eq!(solo.view(), 1000);
    for view in 1..=1000 {
        let block = solo.craft.block(view, &genesis, payload(view));
        let vote = solo.craft.vote(1, &block);
        solo.deliver(1, Message::Vote(vote));
    }
    assert!(solo.replica.replication.votes_kept() <= 64);
}

#[test]
fn isolated_for_many_views_it_rejoins() {
    for n in [4, 7] {
        for tenure in [2, 8192] {
            let mut cluster = Cluster::new(n, round_robin(tenure));
            cluster.isolate(n - 1);
            for number in 1..=40 {
                cluster.submit(number);
                cluster.run(Time::millis(if tenure == 2 { 400 } else { 5 }));
            }
            assert!(!cluster.done(n - 1) && cluster.done(0));
            cluster.heal();
            cluster.run_until(Time::millis(15_000), "rejoin", Cluster::all_done);
        }
    }
}

#[test]
fn a_leader_without_enough_votes_and_one_who_waits_say_so() {
    let mut cluster = Cluster::new(4, round_robin(8));
    (1..3).for_each(|i| cluster.crash(i));
    cluster.submit(1);
    cluster.run(Time::millis(150));
    let waiting = |cluster: &Cluster, i: usize| {
        cluster.statuses()[i]
            .as_ref()
            .unwrap()
            .waiting
            .clone()
            .unwrap_or_default()
    };
    assert!(
        waiting(&cluster, 0).contains("proposed"),
        "{}",
        waiting(&cluster, 0)
    );
    assert!(
        waiting(&cluster, 3).contains("leader 0"),
        "{}",
        waiting(&cluster, 3)
    );
    cluster.run(Time::millis(1000));
    assert!(
        waiting(&cluster, 0).contains("gave up tenure 0: 2 of the 3"),
        "{}",
        waiting(&cluster, 0)
    );
}

#[test]
fn an_empty_tail_needs_no_timeout_after_a_leader_change() {
    let mut cluster = Cluster::new(4, round_robin(8));
    cluster.submit(1);
    cluster.run_until(Time::millis(50), "commit", Cluster::all_done);
    cluster.crash(0);
    cluster.run(Time::millis(10_000));
    assert!(
        !cluster.sent.contains_key("timeout"),
        "an idle cluster keeps even a dead leader"
    );
}
