//! Who stands, who gets the vote, who steps down.

use super::super::message::RequestVote;
use super::super::rules::{Voter, would_grant};
use super::super::{Body, Record};
use super::cluster::Cluster;
use super::craft::{
    Craft, Solo, append, appended, grant, heard, newer, position, pre_grant, pre_vote, request_vote,
};
use crate::{Input, To};
use crypto::{NodeId, Time, View};

fn heartbeat(term: u64, round: u64) -> Body {
    let mut beat = append(term, (0, 0), &[], 0);
    beat.round = round;
    Body::AppendEntries(beat)
}

// ---- votes ----

#[test]
fn one_vote_a_term_first_come_first_served() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.deliver(1, request_vote(1, (0, 0)));
    solo.deliver(2, request_vote(1, (0, 0)));
    assert_eq!(solo.granted(), [(1, 1)]);
    solo.deliver(1, request_vote(1, (0, 0)));
    assert_eq!(solo.granted(), [(1, 1), (1, 1)], "the same one again");
    solo.deliver(2, request_vote(2, (0, 0)));
    assert_eq!(solo.granted().last(), Some(&(2, 2)), "another term");
}

#[test]
fn a_vote_is_remembered_after_a_restart() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.deliver(1, request_vote(4, (0, 0)));
    let mut solo = solo.restart();
    assert_eq!(solo.term(), 4);
    solo.deliver(2, request_vote(4, (4, 9)));
    assert!(solo.granted().is_empty());
    solo.deliver(1, request_vote(4, (0, 0)));
    assert_eq!(solo.granted(), [(4, 1)]);
}

#[test]
fn a_vote_leaves_only_when_it_is_durable() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.slow = true;
    solo.deliver(1, request_vote(1, (0, 0)));
    assert!(solo.granted().is_empty());
    solo.sync();
    assert_eq!(solo.granted(), [(1, 1)]);
    let durable = Record::Term {
        term: View(1),
        voted: Some(NodeId(1)),
    };
    assert_eq!(solo.records, [durable]);
}

#[test]
fn the_own_vote_counts_only_when_it_is_durable() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.slow = true;
    solo.time_out();
    solo.deliver(1, pre_grant(1));
    assert!(
        !solo.said(|body| matches!(body, Body::RequestVote(_))),
        "nor is one asked for"
    );
    solo.deliver(1, grant(1, 0));
    assert!(!solo.leads());
    solo.sync();
    assert!(solo.leads());
}

#[test]
fn a_log_that_lacks_what_the_voter_has_gets_no_vote() {
    // Section 5.4.1: the later last term wins, then the longer log.
    let asks = [
        ((2, 2), false, "a lower last term, as long"),
        ((2, 9), false, "a lower last term, longer"),
        ((3, 2), false, "the same last term, shorter"),
        ((3, 3), true, "the same end"),
        ((3, 4), true, "longer"),
        ((4, 1), true, "a later last term, shorter"),
    ];
    for (last, granted, what) in asks {
        let mut solo = Solo::with_log(Craft::new(3), 0, 3, &[1, 1, 3]);
        solo.deliver(1, request_vote(5, last));
        assert_eq!(!solo.granted().is_empty(), granted, "{what}");
        assert_eq!(solo.term(), 5, "the term counts, whoever gets the vote");
        let mut solo = Solo::with_log(Craft::new(3), 0, 3, &[1, 1, 3]);
        solo.deliver(1, pre_vote(5, last));
        let would = solo.said(|body| *body == pre_grant(5));
        assert_eq!(would, granted, "PreVote: {what}");
    }
}

#[test]
fn votes_of_distinct_members_are_counted() {
    let mut solo = Solo::new(Craft::new(5), 0);
    solo.time_out();
    (0..5).for_each(|_| solo.deliver(1, pre_grant(1)));
    assert_eq!(solo.term(), 0, "one of them would vote, five times over");
    solo.deliver(2, pre_grant(1));
    (0..5).for_each(|_| solo.deliver(1, grant(1, 0)));
    assert!(!solo.leads());
    solo.deliver(2, grant(1, 0));
    assert!(solo.leads());
}

#[test]
fn votes_of_another_term_and_for_another_count_for_nothing() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.time_out();
    solo.deliver(1, pre_grant(1));
    solo.deliver(1, grant(1, 2));
    assert!(!solo.leads(), "for another");
    // It fails, and stands again.
    solo.time_out();
    solo.deliver(1, pre_grant(1));
    assert_eq!(solo.term(), 1, "an old answer");
    solo.deliver(1, pre_grant(2));
    solo.deliver(1, grant(1, 0));
    assert!(!solo.leads(), "of another term");
    solo.deliver(2, grant(2, 0));
    assert!(solo.leads());
}

#[test]
fn an_election_takes_an_election_quorum() {
    for (n, c, e) in [(4, 2, 3), (5, 2, 4), (5, 4, 3), (3, 1, 3)] {
        let mut solo = Solo::new(Craft::flexible(n, c, e), 0);
        solo.time_out();
        for peer in 1..e as u16 {
            assert_eq!(solo.term(), 0, "{peer} of {e} would vote");
            solo.deliver(peer, pre_grant(1));
        }
        for peer in 1..e as u16 {
            assert!(!solo.leads(), "{peer} of {e} votes");
            solo.deliver(peer, grant(1, 0));
        }
        assert!(solo.leads());
    }
}

#[test]
fn one_alone_leads_when_its_own_vote_is_durable() {
    let mut solo = Solo::new(Craft::new(1), 0);
    solo.time_out();
    assert!(solo.leads());
    solo.submit(1);
    assert_eq!(solo.heights(), [1, 2]);
}

#[test]
fn a_split_vote_is_decided_by_the_lots() {
    for n in [3u16, 4, 5, 7] {
        let mut cluster = Cluster::new(n);
        // All stand in term 1 at once, and vote for themselves.
        for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
            if i != j {
                cluster.inject(i, j, super::craft::message(pre_grant(1)));
            }
        }
        cluster.filter = Some(Box::new(|_, _, m| {
            matches!(m.body, Body::RequestVote(_)) && m.body.term() == View(1)
        }));
        let leader = cluster.elect();
        assert!(cluster.view(leader) >= 1);
        cluster.submit(1);
        cluster.run_until(Time::millis(100), "commit", Cluster::all_done);
    }
}

#[test]
fn a_candidate_gives_way_to_the_leader_of_its_term() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.time_out();
    solo.deliver(1, pre_grant(1));
    solo.deliver(2, heartbeat(1, 1));
    assert_eq!(solo.leaders, [2]);
    solo.deliver(1, grant(1, 0));
    assert!(!solo.leads(), "too late");
}

#[test]
fn time_outs_are_drawn_between_once_and_one_and_a_half_times_the_span() {
    let mut seen = Vec::new();
    for me in 0..7 {
        let solo = Solo::new(Craft::new(7), me);
        let at = crate::Protocol::deadline(&solo.replica).unwrap();
        assert!(
            (Time::millis(300)..=Time::millis(450)).contains(&at),
            "{at:?}"
        );
        seen.push(at);
    }
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 3, "they differ: {seen:?}");
}

// ---- terms ----

#[test]
fn a_higher_term_makes_a_follower_of_everybody() {
    let mut leader = Solo::new(Craft::new(3), 0);
    leader.elect();
    leader.deliver(1, newer(7));
    assert!(!leader.leads());
    assert_eq!(leader.term(), 7);
    let durable = Record::Term {
        term: View(7),
        voted: None,
    };
    assert!(leader.records.contains(&durable));
    let mut candidate = Solo::new(Craft::new(3), 0);
    candidate.time_out();
    candidate.deliver(1, pre_grant(1));
    candidate.deliver(1, heartbeat(2, 1));
    assert_eq!(candidate.leaders, [1]);
    candidate.deliver(2, grant(1, 0));
    assert!(!candidate.leads());
}

#[test]
fn a_lower_term_is_answered_with_the_own() {
    let ask = Body::ReadIndex(super::super::message::ReadIndex {
        term: View(2),
        nonce: 1,
    });
    let late = || {
        [
            heartbeat(2, 1),
            request_vote(2, (2, 9)),
            ask.clone(),
            pre_vote(2, (2, 9)),
        ]
    };
    for body in late() {
        let mut solo = Solo::with_log(Craft::new(3), 0, 5, &[1]);
        let said = solo.answer(1, body.clone());
        assert_eq!(said, [(To::One(NodeId(1)), newer(5))], "{body:?}");
    }
    // Even under PreVote and CheckQuorum: also of one who hears a leader, and of the leader.
    for body in late() {
        let mut solo = Solo::with_log(Craft::new(3), 0, 5, &[1]);
        solo.deliver(2, heartbeat(5, 1));
        let said = solo.answer(1, body.clone());
        assert_eq!(said, [(To::One(NodeId(1)), newer(5))], "{body:?}");
        let mut solo = Solo::new(Craft::new(3), 0);
        solo.deliver(1, newer(4));
        solo.elect();
        let said = solo.answer(1, body.clone());
        assert_eq!(said, [(To::One(NodeId(1)), newer(5))], "{body:?}");
    }
}

#[test]
fn answers_of_a_lower_term_are_answered_with_nothing() {
    for body in [
        appended(2, 1),
        heard(2, 1),
        grant(2, 0),
        newer(2),
        pre_grant(2),
    ] {
        let mut solo = Solo::with_log(Craft::new(3), 0, 5, &[1]);
        assert!(solo.answer(1, body.clone()).is_empty(), "{body:?}");
        assert_eq!(solo.term(), 5);
    }
}

#[test]
fn two_leaders_of_one_term_are_not_believed() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.deliver(1, heartbeat(3, 1));
    let said = solo.answer(2, heartbeat(3, 1));
    assert!(said.is_empty());
    assert_eq!(solo.rejects, [crypto::Reject::NotLeader]);
    assert_eq!(solo.leaders, [1]);
}

// ---- PreVote ----

#[test]
fn pre_vote_costs_nobody_a_term() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.deliver(1, pre_vote(9, (8, 8)));
    assert!(solo.said(|body| *body == pre_grant(9)));
    assert_eq!(solo.term(), 0);
    assert!(solo.records.is_empty(), "nothing is promised");
    solo.deliver(2, pre_vote(9, (8, 8)));
    assert_eq!(solo.sent.len(), 2, "nor is there one a term");
}

/// Whoever asks in such a term is told of the newer one; the rule says so without that.
#[test]
fn nobody_would_vote_in_a_term_that_is_not_above_the_own() {
    let last = position(2, 2);
    let voter = Voter {
        term: View(3),
        voted: None,
        last,
    };
    for (term, would) in [(2, false), (3, false), (4, true)] {
        let it = would_grant(&voter, View(term), last);
        assert_eq!(it, would, "term {term}");
    }
}

#[test]
fn pre_vote_is_refused_while_a_leader_is_heard() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.deliver(1, heartbeat(1, 1));
    solo.sent.clear();
    solo.now = Time::millis(299);
    assert!(solo.answer(2, pre_vote(2, (1, 1))).is_empty());
    assert!(solo.answer(2, request_vote(2, (1, 1))).is_empty());
    assert_eq!(
        solo.term(),
        1,
        "a candidate's term counts for nothing meanwhile"
    );
    solo.now = Time::millis(300);
    assert_eq!(
        solo.answer(2, pre_vote(2, (1, 1))),
        [(To::One(NodeId(2)), pre_grant(2))]
    );
}

#[test]
fn a_leader_refuses_pre_votes_and_votes_while_it_leads() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    assert!(solo.answer(1, pre_vote(2, (1, 9))).is_empty());
    assert!(solo.answer(1, request_vote(2, (1, 9))).is_empty());
    assert!(solo.leads());
}

#[test]
fn pre_vote_a_partitioned_node_that_returns_deposes_nobody() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.elect();
    let other = (leader + 1) % 3;
    let term = cluster.view(leader);
    cluster.isolate(other);
    cluster.run(Time::millis(20_000));
    assert_eq!(cluster.view(other), term, "it asked, and stood nowhere");
    cluster.heal();
    cluster.run(Time::millis(2_000));
    assert_eq!(cluster.leader(), Some(leader));
    assert_eq!(cluster.view(leader), term);
}

#[test]
fn a_node_with_a_higher_term_than_its_leader_joins_again() {
    // It stood just before the leader was heard of: the term of the others has to catch up.
    let mut cluster = Cluster::new(3);
    let leader = cluster.elect();
    let other = (leader + 1) % 3;
    let term = cluster.view(leader);
    cluster.inject(leader, other, super::craft::message(newer(term + 5)));
    cluster.run(Time::millis(3_000));
    cluster.submit(1);
    cluster.run_until(Time::millis(3_000), "commit", Cluster::all_done);
    assert!(
        (0..3).all(|i| cluster.view(i) > term + 5),
        "one term for all"
    );
}

// ---- CheckQuorum ----

#[test]
fn check_quorum_a_leader_that_few_answer_steps_down() {
    for (n, c, e) in [(3, 2, 2), (5, 3, 3), (5, 2, 4), (5, 4, 3)] {
        let mut solo = Solo::new(Craft::flexible(n, c, e), 0);
        solo.elect();
        let term = solo.term();
        // Enough of them answer, now and then.
        for round in 1..=10 {
            solo.pass(Time::millis(200));
            (1..c as u16).for_each(|peer| solo.deliver(peer, heard(term, round)));
            assert!(solo.leads(), "n {n}, c {c}: {round}");
        }
        // One fewer.
        for round in 11..=14 {
            solo.pass(Time::millis(200));
            (2..c as u16).for_each(|peer| solo.deliver(peer, heard(term, round)));
        }
        assert!(!solo.leads(), "n {n}, c {c}");
        assert_eq!(solo.term(), term, "it takes no term for that");
    }
}

#[test]
fn check_quorum_a_cut_off_leader_steps_down_and_its_clients_learn_it() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.elect();
    cluster.isolate(leader);
    cluster.run(Time::millis(700));
    assert!(!cluster.protocol(leader).leads());
    assert_eq!(cluster.protocol(leader).leader, None);
    let new = cluster.leader().expect("the others have elected");
    assert_ne!(new, leader);
}

#[test]
fn check_quorum_a_leader_that_only_receives_does_not_block_the_others() {
    // Its heartbeats arrive; nobody's answer reaches it: it must go, or nothing is ever committed.
    let mut cluster = Cluster::new(3);
    let leader = cluster.elect();
    for i in (0..3).filter(|i| *i != leader) {
        cluster.net.cut.insert((i, leader));
    }
    cluster.submit(1);
    cluster.run_until(Time::millis(3_000), "commit by the others", |cluster| {
        (0..3).filter(|i| *i != leader).all(|i| cluster.done(i))
    });
}

#[test]
fn check_quorum_counts_from_the_election_on() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    solo.pass(Time::millis(299));
    assert!(solo.leads());
    solo.pass(Time::millis(302));
    assert!(!solo.leads());
}

// ---- huge numbers ----

#[test]
fn no_term_that_a_peer_names_overflows_the_own() {
    let last = position(1, 1);
    for term in [u64::MAX, u64::MAX - 1, 1 << 63] {
        let mut solo = Solo::new(Craft::new(3), 0);
        let vote = Body::RequestVote(RequestVote {
            term: View(term),
            last,
            transfer: true,
        });
        for body in [
            vote,
            newer(term),
            heartbeat(term, u64::MAX),
            pre_vote(term, (1, 1)),
            pre_grant(term),
        ] {
            let message = super::craft::message(body);
            assert_eq!(solo.try_deliver(1, message), Err(crypto::Reject::TooFar));
        }
    }
    // The highest that passes leaves room for any number of elections.
    let craft = Craft::new(3);
    let mut solo = Solo::new(craft, 0);
    solo.deliver(1, newer((1 << 63) - 1));
    let mut out = crate::Outputs::default();
    for step in 1..100 {
        let now = Time::millis(20_000 * step);
        crate::Protocol::step(&mut solo.replica, now, Input::Tick, &mut out);
        let next = pre_grant(solo.term() + 1);
        let message = crypto::Verified::own(super::craft::message(next), &solo.craft.signer(0));
        let from = NodeId(1);
        let input = Input::Message { from, message };
        crate::Protocol::step(&mut solo.replica, now, input, &mut out);
    }
    assert_eq!(solo.term(), (1 << 63) + 98);
}
