//! Nodes that are stopped in the middle of what they do, and go on later as if nothing had been.

use crate::world::{World, Writer};
use std::process::Command;
use std::time::Duration;
use tokio::time::sleep;

fn signal(world: &World, node: usize, name: &str) {
    let pid = world.cluster.pid(node).unwrap().to_string();
    let status = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(status.success(), "kill {name} {pid}");
}

/// Puts a node to sleep under load; the others go on, and it catches up once it wakes.
async fn sleeps_through_load(world: &World, sleeper: usize) {
    let others: Vec<usize> = (0..4).filter(|node| *node != sleeper).collect();
    let writer = Writer::start(world.client(&others), &format!("without {sleeper}"));
    writer.writes(5).await;
    signal(world, sleeper, "-STOP");
    // It sleeps for longer than anybody waits for a leader.
    tokio::join!(writer.writes(20), sleep(Duration::from_secs(3)));
    signal(world, sleeper, "-CONT");
    writer.writes(5).await;
    let written = writer.finish().await;
    world.reaches(sleeper, written.last().unwrap().height).await;
    world.agrees(&[0, 1, 2, 3]).await;
}

#[tokio::test]
async fn a_node_that_slept_catches_up() {
    let world = World::start(4).await;
    let leader = world.leader(0).await;
    sleeps_through_load(&world, (leader + 1) % 4).await;
    world.end().await;
}

#[tokio::test]
async fn a_leader_that_slept_is_replaced_and_catches_up() {
    let world = World::start(4).await;
    let leader = world.leader(0).await;
    let others = world.but(leader);
    let before = world.given_up(&others);
    sleeps_through_load(&world, leader).await;
    // His turn may have come again meanwhile: that he was given up is what counts.
    assert!(world.given_up(&others) > before);
    world.end().await;
}
