//! Disks that fail.

use crate::world::{PATIENCE, World, Writer, program};
use std::process::{Command, Stdio};
use tokio::time::timeout;

/// A file may not grow beyond so many blocks of 512 bytes.
const BLOCKS: u32 = 256;

/// RocksDB once aborted the process on the way out, after the line was written: it was asked to sync
/// behind a failed write.
#[tokio::test]
async fn a_node_that_cannot_write_says_so_and_stops_and_the_others_go_on() {
    let mut world = World::start(4).await;
    world.cluster.kill(3).await.unwrap();
    let home = world.dir.path().join("node3");
    let limited = format!(
        "trap '' XFSZ; ulimit -f {BLOCKS}; exec {} node --home {}",
        program().display(),
        home.display()
    );
    let child = Command::new("sh")
        .args(["-c", &limited])
        .env_remove("RUST_BACKTRACE")
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let writer = Writer::start(world.client(&[0, 1, 2]), "full");
    let ended = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
    let ended = timeout(PATIENCE, ended).await.expect("it stops").unwrap();
    writer.writes(5).await;
    let written = writer.finish().await;

    let said = String::from_utf8_lossy(&ended.stderr) + String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("check the disk"), "{said}");
    assert!(said.contains("failed to write"), "{said}");
    world.cluster.start(3).unwrap();
    world.reaches(3, written.last().unwrap().height).await;
    world.agrees(&[0, 1, 2, 3]).await;
    world.end().await;
}
