//! Real processes under faults drawn from a seed, and what pauses did to others. As many rounds as one
//! likes are run by the program `rounds`.

use crate::world::{PATIENCE, World, fresh_session, put};
use genesis::Protocol;
use quorate::rpc::proto::Consistency;
use quorate_tests::processes::rounds::Round;
use quorate_tests::processes::{
    Attack, Campaign, Caps, Cast, Fault, Lab, Plan, Report, Setup, pauses,
};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// A cluster whose nodes are all in touch.
async fn lab(setup: Setup) -> Lab {
    let mut lab = Lab::start(setup, None).await.unwrap();
    if let Err(error) = lab.cluster.joined(PATIENCE).await {
        panic!("{error:#}\nlogs and data: {}", lab.keep().display());
    }
    lab
}

/// How long the faults of a round go on.
const SPAN: Duration = Duration::from_millis(2_500);
/// First seeds and numbers of rounds, which differ so that no protocol goes through another's plans, and are
/// chosen such that each goes through all faults: ten rounds in all, and two or more with a liar.
const ROUNDS: [(Protocol, u64, u64); 3] = [
    (Protocol::Hotstuff, 14, 4),
    (Protocol::Pbft, 44, 3),
    (Protocol::Raft, 73, 3),
];
/// The first seeds of those with a liar.
const LIARS: [(Protocol, u64); 2] = [(Protocol::Hotstuff, 9_000), (Protocol::Pbft, 9_500)];
/// Rounds until a liar has to be proven, at most.
const UNTIL_PROVEN: u64 = 20;

/// So many rounds from this seed on.
async fn rounds(campaign: Campaign) -> Report {
    let report = campaign.run(&|round| println!("{round}")).await;
    println!("{report}");
    assert!(report.failure.is_none());
    let (_, answered) = report.operations();
    // On a machine with nothing else to do it is fifty times as many.
    let count = report.rounds.len() as u64;
    assert!(answered > 10 * count, "only {answered} answers");
    report
}

async fn break_no_promise(protocol: Protocol) {
    let (_, seed, count) = ROUNDS.into_iter().find(|it| it.0 == protocol).unwrap();
    let campaign = Campaign {
        span: SPAN,
        ..Campaign::new(Setup::smallest(protocol, seed), count)
    };
    let report = rounds(campaign).await;
    assert_eq!(report.rounds.len() as u64, count);
}

/// Rounds in which one of four votes twice, until he is found out: he, and nobody else. A machine that is
/// busy may leave him no time for it in the first, in which he has just been started again.
async fn rounds_with_a_liar(protocol: Protocol) {
    let cast = Cast::from([(3, "double-vote".to_owned())]);
    let (_, seed) = LIARS.into_iter().find(|it| it.0 == protocol).unwrap();
    let campaign = Campaign {
        span: SPAN,
        limit: Some(PATIENCE),
        until_proven: true,
        ..Campaign::new(Setup::smallest(protocol, seed), UNTIL_PROVEN)
    };
    let report = rounds(campaign.attacked(Attack::Named(cast.clone()))).await;
    assert!(report.rounds.iter().all(|round| round.lies == cast));
    assert_eq!(report.proven, BTreeSet::from([3]));
    // He has told what is proven.
    let voted = |round: &Round| round.told.get("another vote").is_some_and(|it| *it > 0);
    assert!(report.rounds.iter().any(voted));
    let section = report.section();
    assert_eq!((section.ran, section.of), (1, 1));
    let rows = section.table.unwrap().rows;
    assert_eq!(rows[0][..2], ["double-vote", "node3"]);
}

#[test]
fn each_protocol_goes_through_all_faults_and_none_through_the_plans_of_another() {
    let plans = |(protocol, seed, count)| {
        let setup = Setup::smallest(protocol, seed);
        let faults = setup.faults();
        let all = seed..seed + count;
        let plans = all.map(|seed| Plan::draw(seed, setup.nodes, faults, SPAN).to_string());
        plans.collect::<Vec<_>>()
    };
    let mut seen = BTreeSet::new();
    for it in ROUNDS {
        let plans = plans(it);
        let text = plans.join("; ");
        for fault in [
            "kill ",
            "pause ",
            "delay ",
            "stall ",
            "reset ",
            "half-open ",
        ] {
            assert!(text.contains(fault), "{:?} has no {fault}: {text}", it.0);
        }
        let count = plans.len();
        let fresh = plans.into_iter().filter(|plan| seen.insert(plan.clone()));
        assert_eq!(fresh.count(), count, "{:?}", it.0);
    }
    assert_eq!(seen.len(), 10);
    for (protocol, seed) in LIARS {
        let fresh = plans((protocol, seed, UNTIL_PROVEN));
        assert!(
            fresh.into_iter().all(|plan| seen.insert(plan)),
            "{protocol:?}"
        );
    }
}

#[tokio::test]
async fn fault_rounds_break_no_promise_of_hotstuff() {
    break_no_promise(Protocol::Hotstuff).await;
}

#[tokio::test]
async fn fault_rounds_break_no_promise_of_pbft() {
    break_no_promise(Protocol::Pbft).await;
}

#[tokio::test]
async fn fault_rounds_break_no_promise_of_raft() {
    break_no_promise(Protocol::Raft).await;
}

#[tokio::test]
async fn fault_rounds_with_a_liar_break_no_promise_of_hotstuff() {
    rounds_with_a_liar(Protocol::Hotstuff).await;
}

#[tokio::test]
async fn fault_rounds_with_a_liar_break_no_promise_of_pbft() {
    rounds_with_a_liar(Protocol::Pbft).await;
}

/// Rounds found it: a connection that broke under way was taken for the node's last word.
#[tokio::test]
async fn a_request_under_way_at_a_node_that_is_killed_is_taken_to_another() {
    let mut world = World::start(4).await;
    let client = std::sync::Arc::new(world.client(&[0, 1]));
    let mut session = fresh_session(&client).await;
    put(&client, &mut session, "k", "old").await.unwrap();
    world.cluster.signal(0, Signal::STOP).unwrap();
    let reader = client.clone();
    let read = tokio::spawn(async move { reader.get(b"k", Consistency::Linearizable).await });
    let written = tokio::spawn(async move { put(&client, &mut session, "k", "new").await });
    // Both lie at a node that sleeps.
    sleep(Duration::from_millis(300)).await;
    world.cluster.kill(0).await.unwrap();
    written.await.unwrap().unwrap();
    assert!(read.await.unwrap().unwrap().is_some());
    world.end().await;
}

/// Else the faults of links would befall nobody.
#[tokio::test]
async fn nodes_reach_each_other_through_the_links_only() {
    let mut lab = lab(Setup::smallest(Protocol::Hotstuff, 1)).await;
    let pairs = || (0..4).flat_map(|from| (0..4).map(move |to| (from, to)));
    for (from, to) in pairs().filter(|(from, to)| from != to) {
        assert!(
            lab.links.carried(from, to) > 0,
            "nothing goes from {from} to {to}"
        );
        lab.links.set(from, to, Fault::Reset);
    }
    let end = Instant::now() + PATIENCE;
    loop {
        let mut touched = 0;
        for node in 0..4 {
            let status = lab.cluster.status(node).await;
            let peers = status.map_or_else(Vec::new, |status| status.peers);
            touched += peers.iter().filter(|peer| peer.connected).count();
        }
        if touched == 0 {
            break;
        }
        assert!(
            Instant::now() < end,
            "{touched} are in touch: {}",
            lab.said().await
        );
        sleep(Duration::from_millis(50)).await;
    }
    lab.links.heal();
    lab.cluster.ready(PATIENCE).await.unwrap();
    lab.end().await.unwrap();
}

/// bft-smart #27: the paused replica ran out of memory on resume, and its transfer never ended.
async fn sleeps(protocol: Protocol) {
    let mut lab = lab(Setup::smallest(protocol, 1)).await;
    let sleeper = lab.some_leader().await.unwrap();
    // Longer than connections stand silence.
    let span = Duration::from_secs(8);
    let slept = pauses::under_load(&mut lab, sleeper, span, Caps::default()).await;
    match slept {
        Ok(slept) => println!("{slept}"),
        Err(error) => panic!("{error:#}\nlogs and data: {}", lab.keep().display()),
    }
    lab.end().await.unwrap();
}

#[tokio::test]
async fn a_paused_replica_keeps_within_its_memory_and_catches_up_under_hotstuff() {
    sleeps(Protocol::Hotstuff).await;
}

#[tokio::test]
async fn a_paused_replica_keeps_within_its_memory_and_catches_up_under_pbft() {
    sleeps(Protocol::Pbft).await;
}

#[tokio::test]
async fn a_paused_replica_keeps_within_its_memory_and_catches_up_under_raft() {
    sleeps(Protocol::Raft).await;
}

/// etcd #20418: a leader that slept served what it knew before.
async fn reads_after_a_pause(setup: Setup) {
    let mut lab = lab(setup).await;
    if let Err(error) = pauses::stale_reads(&mut lab, 3).await {
        panic!("{error:#}\nlogs and data: {}", lab.keep().display());
    }
    lab.end().await.unwrap();
}

#[tokio::test]
async fn no_read_is_stale_after_the_leader_was_paused_under_hotstuff() {
    reads_after_a_pause(Setup::smallest(Protocol::Hotstuff, 1)).await;
}

#[tokio::test]
async fn no_read_is_stale_after_the_leader_was_paused_under_pbft() {
    reads_after_a_pause(Setup::smallest(Protocol::Pbft, 1)).await;
}

#[tokio::test]
async fn no_read_is_stale_after_the_leader_was_paused_under_raft() {
    reads_after_a_pause(Setup::smallest(Protocol::Raft, 1)).await;
}

#[tokio::test]
async fn no_read_is_stale_after_the_leader_was_paused_under_leases() {
    reads_after_a_pause(Setup {
        lease_drift: Some(10),
        ..Setup::smallest(Protocol::Raft, 1)
    })
    .await;
}
