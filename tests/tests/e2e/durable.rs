//! What was acknowledged is never lost.

use crate::world::{PATIENCE, World, Writer, get, pbft, program, raft};
use quorate::rpc::proto::Consistency;
use std::process::Command;
use std::time::Instant;

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_all_are_killed() {
    all_are_killed(World::start(4).await).await;
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_all_are_killed_under_raft() {
    all_are_killed(World::of(raft, 3).await).await;
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_all_are_killed_under_pbft() {
    all_are_killed(World::of(pbft, 4).await).await;
}

async fn all_are_killed(mut world: World) {
    let mut written = Vec::new();
    for round in 0..3 {
        let writers: Vec<Writer> = world
            .all()
            .into_iter()
            .map(|node| Writer::start(world.client(&[node]), &format!("round {round}/{node}")))
            .collect();
        for writer in &writers {
            writer.writes(5 + 5 * round).await;
        }
        world.cluster.kill_all().await.unwrap();
        world.cluster.start_all().unwrap();
        world.ready().await;
        for writer in writers {
            written.extend(writer.finish().await);
        }
    }
    for node in world.all() {
        let client = world.client(&[node]);
        for write in &written {
            let found = get(&client, &write.key, Consistency::Linearizable).await;
            assert_eq!(
                found.as_ref(),
                Some(&write.value),
                "node{node}: {}",
                write.key
            );
        }
    }
    world.agrees(&world.all()).await;
    world.end().await;
}

#[tokio::test]
async fn a_node_that_is_asked_to_stop_leaves_nothing_behind() {
    let mut world = World::start(4).await;
    let pid = world.cluster.home(1).pid_file();
    assert!(pid.is_file());
    let writer = Writer::start(world.client(&[0, 2, 3]), "k");
    writer.writes(5).await;
    let status = world.cluster.stop(1).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(!pid.exists());
    let written = writer.finish().await;
    let log = std::fs::read_to_string(world.cluster.home(1).log_file()).unwrap();
    assert!(log.trim_end().ends_with("stopped"), "{log}");
    assert!(!log.contains("panicked"), "{log}");

    world.cluster.start(1).unwrap();
    world.reaches(1, written.last().unwrap().height).await;
    world.agrees(&[0, 1, 2, 3]).await;
    world.end().await;
}

/// The fence in the safety file was released, so it must have been synced before. RocksDB itself
/// counts the syncs of its write-ahead log.
#[tokio::test]
async fn no_fence_is_released_without_a_sync() {
    let mut world = World::start(4).await;
    world.cluster.stop(0).await.unwrap();
    let before = fence(&world, 0);
    world.cluster.start(0).unwrap();
    world.ready().await;
    let end = Instant::now() + PATIENCE;
    let mut released = 0;
    // The others commit without it until it is in touch with them.
    while released <= 10 {
        assert!(Instant::now() < end, "only {released} fences");
        let writer = Writer::start(world.client(&[0, 1]), "k");
        writer.writes(20).await;
        writer.finish().await;
        // First what was released, then what was synced until a moment later.
        released = fence(&world, 0) - before;
    }
    let synced = world.metric(0, "quorate_wal_syncs_total");
    assert!(synced >= released, "{synced} syncs for {released} fences");
    world.end().await;
}

fn fence(world: &World, node: usize) -> u64 {
    let output = Command::new(program())
        .args(["inspect", "--home"])
        .arg(world.cluster.home(node).dir())
        .args(["safety", "--json"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    said["file"]["fence"].as_u64().unwrap()
}
