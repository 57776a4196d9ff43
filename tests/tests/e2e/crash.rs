//! Nodes that die: one, the leader, too many.

use crate::world::{GIVEN_UP, PATIENCE, World, Writer, get, pbft, raft};
use quorate::rpc::proto::Consistency;
use std::time::{Duration, Instant};
use tokio::time::sleep;

#[tokio::test]
async fn a_node_killed_under_load_catches_up() {
    a_victim_catches_up(World::start(4).await, 3).await;
}

#[tokio::test]
async fn a_follower_killed_under_load_catches_up_under_raft() {
    let world = World::of(raft, 3).await;
    let victim = (world.leader(0).await + 1) % 3;
    a_victim_catches_up(world, victim).await;
}

#[tokio::test]
async fn a_backup_killed_under_load_catches_up_under_pbft() {
    let world = World::of(pbft, 4).await;
    let victim = (world.leader(0).await + 1) % 4;
    a_victim_catches_up(world, victim).await;
}

async fn a_victim_catches_up(mut world: World, victim: usize) {
    let writer = Writer::start(world.client(&world.but(victim)), "k");
    writer.writes(10).await;
    world.cluster.kill(victim).await.unwrap();
    writer.writes(30).await;
    world.cluster.start(victim).unwrap();
    writer.writes(10).await;
    let written = writer.finish().await;

    let last = written.last().unwrap();
    world.reaches(victim, last.height).await;
    let client = world.client(&[victim]);
    for write in &written {
        let found = get(&client, &write.key, Consistency::Local).await;
        assert_eq!(found.as_ref(), Some(&write.value), "{}", write.key);
    }
    world.agrees(&world.all()).await;
    world.end().await;
}

#[tokio::test]
async fn a_dead_leader_costs_a_moment() {
    let mut world = World::start(4).await;
    let leader = world.leader(0).await;
    let others = world.but(leader);
    let writer = Writer::start(world.client(&others), "k");
    writer.writes(10).await;
    let before = world.given_up(&others);
    world.cluster.kill(leader).await.unwrap();
    writer.writes(30).await;
    let written = writer.finish().await;

    // Whoever has executed the last of them has seen the leader go.
    world
        .reaches(others[0], written.last().unwrap().height)
        .await;
    let given_up = world.given_up(&others) - before;
    // His turn comes again with every sixteenth view, and the writes take a hundred.
    let most = 3 * GIVEN_UP;
    assert!((1..=most).contains(&given_up), "{given_up} times");
    world.another_leads(others[0], leader).await;
    world.agrees(&others).await;
    world.end().await;
}

#[tokio::test]
async fn without_a_quorum_the_others_say_so_and_go_on_when_it_is_back() {
    let mut world = World::start(4).await;
    readiness(&world, 200).await;
    world.cluster.kill(2).await.unwrap();
    world.cluster.kill(3).await.unwrap();
    let reason = readiness(&world, 503).await;
    assert!(
        reason.contains('2') && reason.contains('3'),
        "names no node: {reason}"
    );
    assert_eq!(world.http(0, "/healthz").0, 200);

    world.cluster.start(2).unwrap();
    world.ready().await;
    world.cluster.start(3).unwrap();
    world.ready().await;
    readiness(&world, 200).await;
    world.agrees(&[0, 1, 2, 3]).await;
    world.end().await;
}

/// Waits until node 0 answers `/readyz` so; what it says then.
async fn readiness(world: &World, expected: u16) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let (code, reason) = world.http(0, "/readyz");
        if code == expected {
            return reason;
        }
        assert!(Instant::now() < end, "{code}, not {expected}: {reason}");
        sleep(Duration::from_millis(100)).await;
    }
}
