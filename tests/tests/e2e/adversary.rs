//! Nodes that lie: real processes under attack.

use crate::command_line::fails;
use crate::world::{PATIENCE, World, Writer, get, hotstuff, pbft};
use genesis::Testnet;
use quorate::cli::cluster;
use quorate::rpc::proto::Consistency;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Proofs against the liar that an honest node has.
fn proofs(world: &World, honest: &[usize]) -> u64 {
    let proofs = |node: &usize| world.metric(*node, "quorate_evidence_total");
    honest.iter().map(proofs).sum()
}

/// While somebody writes at the honest nodes, `liar` attacks until `shows` itself at them; then all
/// that was acknowledged is there, and they agree.
async fn withstands(
    testnet: &Testnet,
    (liar, name): (usize, &str),
    shows: impl Fn(&World, &[usize]) -> bool,
) {
    let world = World::attacked(testnet, &[(liar, name)]).await;
    let honest = world.but(liar);
    let writer = Writer::start(world.client(&honest), "attacked");
    let end = Instant::now() + PATIENCE;
    while !shows(&world, &honest) {
        assert!(Instant::now() < end, "{name} by node{liar} shows nowhere");
        sleep(Duration::from_millis(100)).await;
    }
    // And they go on.
    let height = world.reaches(honest[0], 0).await.height;
    world.reaches(honest[0], height + 20).await;
    let acknowledged = writer.finish().await;
    assert!(!acknowledged.is_empty());
    world
        .reaches(honest[0], acknowledged.last().unwrap().height)
        .await;
    let client = world.client(&[honest[0]]);
    for write in &acknowledged {
        let found = get(&client, &write.key, Consistency::Local).await;
        assert_eq!(found.as_ref(), Some(&write.value), "{}", write.key);
    }
    world.agrees(&honest).await;
    world.end().await;
}

#[tokio::test]
async fn a_leader_of_hotstuff_that_equivocates_is_found_out_and_stops_nobody() {
    let testnet = Testnet {
        tenure: 8,
        ..hotstuff(cluster::free_ports(4).unwrap())
    };
    let proven = |world: &World, honest: &[usize]| proofs(world, honest) > 0;
    withstands(&testnet, (3, "equivocate"), proven).await;
}

/// It leads the first view. What it told whom, nobody can prove: each was told one thing only. But
/// it is deposed.
#[tokio::test]
async fn a_primary_of_pbft_that_equivocates_is_deposed_and_stops_nobody() {
    let testnet = pbft(cluster::free_ports(4).unwrap());
    let deposed = |world: &World, honest: &[usize]| {
        let timeouts = |node: &usize| world.metric(*node, "quorate_timeouts");
        honest.iter().all(|node| timeouts(node) > 0)
    };
    withstands(&testnet, (1, "equivocate"), deposed).await;
}

#[tokio::test]
async fn a_member_of_pbft_that_votes_twice_is_found_out_and_stops_nobody() {
    let testnet = pbft(cluster::free_ports(4).unwrap());
    let proven = |world: &World, honest: &[usize]| proofs(world, honest) > 0;
    withstands(&testnet, (3, "double-vote"), proven).await;
}

#[test]
fn who_is_to_lie_is_looked_at_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("net");
    let dir = dir.to_str().unwrap();
    let refused = |more: &[&str], says: &[&str]| {
        let base = ["testnet", "--dir", dir, "--fresh", "--base-port", "0"];
        fails(&[&base[..], more].concat(), 2, says);
    };
    refused(&["--adversary", "4:equivocate"], &["node0 to node3"]);
    refused(&["--adversary", "3:nonsense"], &["nonsense", "equivocate"]);
    let raft = ["--adversary", "1:equivocate", "--fault-model", "crash"];
    refused(&raft, &["--fault-model byzantine"]);
}
