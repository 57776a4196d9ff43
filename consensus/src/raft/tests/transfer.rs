//! Leadership handed over (dissertation, section 3.10).

use super::super::Body;
use super::super::message::{RequestVote, TimeoutNow};
use super::cluster::Cluster;
use super::craft::{
    Craft, Solo, append, appended, grant, heard, message, payload, position, pre_grant,
};
use crate::{Input, Output, Outputs, Protocol as _, To};
use crypto::{NodeId, Time, View};

fn timeout_now(term: u64) -> Body {
    Body::TimeoutNow(TimeoutNow { term: View(term) })
}

/// A successor stands.
fn request_vote(term: u64) -> Body {
    Body::RequestVote(RequestVote {
        term: View(term),
        last: position(1, 2),
        transfer: true,
    })
}

fn told(solo: &Solo) -> Vec<To> {
    let told = |(to, body): &(To, Body)| matches!(body, Body::TimeoutNow(_)).then_some(*to);
    solo.sent.iter().filter_map(told).collect()
}

#[test]
fn transfer_costs_no_time_out() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.elect();
    let term = cluster.view(leader);
    cluster.submit(1);
    cluster.run(Time::millis(50));
    cluster.transfer(leader);
    cluster.run(Time::millis(20));
    let new = cluster.leader().unwrap();
    assert_ne!(new, leader);
    assert_eq!(cluster.view(new), term + 1);
    cluster.submit(2);
    cluster.run_until(Time::millis(20), "commit", Cluster::all_done);
}

#[test]
fn transfer_waits_until_the_successor_has_everything_and_orders_nothing_meanwhile() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    solo.deliver(1, appended(1, 1));
    solo.submit(1);
    solo.input(Input::Transfer { to: None });
    assert!(told(&solo).is_empty());
    let log = solo.log();
    solo.submit(2);
    assert_eq!(solo.log(), log, "or it would never be over");
    solo.deliver(1, appended(1, 2));
    assert_eq!(told(&solo), [To::One(NodeId(1))]);
}

#[test]
fn payload_that_arrives_during_a_hand_over_is_given_back_and_asked_for_again() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    solo.deliver(1, appended(1, 1));
    let mut out = Outputs::default();
    let oldest = Some(solo.now);
    solo.replica
        .step(solo.now, Input::Pending { oldest }, &mut out);
    let asked = out.0.iter().find_map(|it| match it {
        Output::WantPayload { ticket, .. } => Some(*ticket),
        _ => None,
    });
    let ticket = asked.unwrap();
    solo.input(Input::Transfer { to: None });
    let payload = payload(7);
    solo.input(Input::Payload {
        ticket,
        payload: payload.clone(),
    });
    assert_eq!(solo.log(), [1], "nothing is ordered any more");
    assert_eq!(solo.returned, [payload], "and nothing is lost");
    assert_eq!(told(&solo), [To::One(NodeId(1))]);
    // Nobody takes over: it is asked for again.
    solo.pool.push(7);
    for round in 1..=4 {
        solo.pass(Time::millis(90));
        solo.deliver(1, heard(1, round));
    }
    assert_eq!(solo.log(), [1, 1]);
}

#[test]
fn a_leader_may_end_when_another_leads() {
    let mut solo = Solo::new(Craft::new(3), 0);
    assert!(!solo.replica.departed(), "nobody leads yet");
    solo.elect();
    solo.deliver(1, appended(1, 1));
    assert!(solo.replica.departed(), "not asked to hand over");
    solo.submit(1);
    solo.input(Input::Transfer { to: None });
    assert!(!solo.replica.departed(), "the successor lacks an entry");
    solo.deliver(1, appended(1, 2));
    assert!(!solo.replica.departed(), "the successor only stands");
    solo.deliver(1, request_vote(2));
    assert!(!solo.leads());
    assert!(!solo.replica.departed(), "nobody leads");
    solo.append(1, append(2, (1, 2), &[2], 2));
    assert!(solo.replica.departed());
}

#[test]
fn a_leader_that_can_hand_over_to_nobody_may_end() {
    let mut alone = Solo::new(Craft::new(1), 0);
    alone.elect();
    alone.input(Input::Transfer { to: None });
    assert!(alone.replica.departed());
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    solo.input(Input::Transfer { to: None });
    assert!(!solo.replica.departed());
    solo.pass(Time::millis(299));
    assert!(solo.leads() && !solo.replica.departed());
    solo.deliver(1, heard(1, 1));
    solo.pass(Time::millis(2));
    assert!(solo.leads(), "it was heard of");
    assert!(solo.replica.departed(), "the successor did not come");
}

#[test]
fn transfer_goes_to_the_most_advanced_or_to_whom_is_named() {
    let make = || {
        let mut solo = Solo::new(Craft::new(5), 0);
        solo.elect();
        solo.deliver(3, appended(1, 1));
        solo.now = Time::millis(10);
        [1, 2, 4]
            .into_iter()
            .for_each(|peer| solo.deliver(peer, heard(1, 1)));
        solo
    };
    let mut solo = make();
    solo.input(Input::Transfer { to: None });
    assert_eq!(told(&solo), [To::One(NodeId(3))]);
    let mut solo = make();
    solo.input(Input::Transfer {
        to: Some(NodeId(2)),
    });
    assert!(told(&solo).is_empty());
    solo.deliver(2, appended(1, 1));
    assert_eq!(told(&solo), [To::One(NodeId(2))]);
    // To itself, or to nobody known: it stays.
    for to in [NodeId(0), NodeId(77)] {
        let mut solo = make();
        solo.input(Input::Transfer { to: Some(to) });
        assert!(told(&solo).is_empty());
        solo.submit(1);
        assert_eq!(solo.log(), [1, 1], "and goes on");
    }
}

#[test]
fn transfer_that_leads_to_nothing_is_given_up() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    solo.deliver(1, appended(1, 1));
    solo.input(Input::Transfer { to: None });
    assert_eq!(told(&solo).len(), 1);
    for round in 1..=4 {
        solo.pass(Time::millis(90));
        solo.deliver(1, heard(1, round));
    }
    assert!(solo.leads());
    solo.submit(1);
    assert_eq!(solo.log(), [1, 1], "it orders again");
}

#[test]
fn a_follower_does_not_hand_over() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.append(1, append(1, (0, 0), &[1], 0));
    solo.input(Input::Transfer {
        to: Some(NodeId(2)),
    });
    assert!(told(&solo).is_empty());
}

#[test]
fn only_the_own_leader_makes_a_follower_stand() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.deliver(1, timeout_now(1));
    assert!(
        !solo.said(|body| matches!(body, Body::RequestVote(_))),
        "not heard of"
    );
    solo.append(1, append(1, (0, 0), &[1], 0));
    solo.deliver(2, timeout_now(1));
    assert_eq!(solo.term(), 1, "another");
    let said = solo.answer(1, timeout_now(1));
    let ask = Body::RequestVote(RequestVote {
        term: View(2),
        last: position(1, 1),
        transfer: true,
    });
    assert_eq!(said[0], (To::Others, ask));
    let said = solo.answer(1, timeout_now(1));
    assert_eq!(said, [], "an old one");
}

#[test]
fn a_vote_for_a_successor_is_given_although_the_leader_is_heard() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.append(1, append(1, (0, 0), &[1], 0));
    let ask = |transfer| {
        Body::RequestVote(RequestVote {
            term: View(2),
            last: position(1, 1),
            transfer,
        })
    };
    solo.deliver(2, ask(false));
    assert!(solo.granted().is_empty());
    solo.deliver(2, ask(true));
    assert_eq!(solo.granted(), [(2, 2)]);
    // A leader gives way, too.
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    solo.deliver(2, ask(true));
    assert!(!solo.leads());
    assert_eq!(solo.granted().last(), Some(&(2, 2)));
}

#[test]
fn a_successor_that_is_down_costs_one_time_out_and_no_more() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.elect();
    cluster.filter = Some(Box::new(|_, _, m| matches!(m.body, Body::TimeoutNow(_))));
    cluster.transfer(leader);
    cluster.submit(1);
    cluster.run_until(Time::millis(400), "commit", Cluster::all_done);
    assert_eq!(cluster.leader(), Some(leader));
    cluster.inject(
        leader,
        (leader + 1) % 3,
        message(timeout_now(cluster.view(leader))),
    );
    cluster.run(Time::millis(50));
    assert_ne!(cluster.leader(), Some(leader), "a late one still counts");
}

/// What it asks first may get lost. Those who hear their leader take no notice of others.
#[test]
fn a_successor_asks_again_as_it_asked_first() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.append(1, append(1, (0, 0), &[1], 0));
    solo.deliver(1, timeout_now(1));
    solo.sent.clear();
    solo.pass(Time::millis(100));
    let ask = Body::RequestVote(RequestVote {
        term: View(2),
        last: position(1, 1),
        transfer: true,
    });
    assert_eq!(solo.sent, [(To::Others, ask)]);
}

#[test]
fn one_that_is_to_end_hands_over_what_it_wins_after_that() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.time_out();
    solo.input(Input::Transfer { to: None });
    assert!(!solo.replica.departed(), "nobody leads");
    solo.deliver(1, pre_grant(1));
    solo.deliver(1, grant(1, 0));
    assert!(solo.leads());
    assert!(!solo.replica.departed(), "nobody else leads");
    assert!(told(&solo).is_empty(), "who is up is not known yet");
    solo.deliver(1, appended(1, 1));
    assert_eq!(told(&solo), [To::One(NodeId(1))]);
    assert!(!solo.replica.departed(), "the successor only stands");
    solo.append(1, append(2, (1, 1), &[2], 1));
    assert!(solo.replica.departed());
}
