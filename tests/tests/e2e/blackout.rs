//! A whole cluster loses power at one moment, its first start, restarts and load included: all nodes share
//! one trace, which is cut, and start from what their disks may hold.

use crate::power::{HONEST, all_cuts, recorder};
use crate::world::{PATIENCE, World, fresh_session, get, program, put};
use quorate::cli::cluster::Cluster;
use quorate::client::Client;
use quorate::rpc::proto::Consistency;
use quorate_tests::power::{Disk, Fate, Notes, Record, Trace};
use quorate_tests::processes::own_address;
use quorate_tests::sim::Chance;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;
use tempfile::TempDir;

/// `genesis` said that the cluster is made.
const MADE: u8 = 1;
/// A write was acknowledged.
const ACKNOWLEDGED: u8 = 2;
/// Writes of each client before and after each thing that happens to a node.
const WRITES: u64 = 8;

/// A cluster under the recorder.
struct Recorded {
    dir: TempDir,
    program: PathBuf,
}

impl Recorded {
    fn make(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let recorded = dir.path().join("recorded");
        let text = format!(
            "#!/bin/sh\nLD_PRELOAD={} QUORATE_TRACED={} QUORATE_TRACE={} exec {} \"$@\"\n",
            recorder().display(),
            dir.path().join("disk").display(),
            dir.path().join("trace").display(),
            program().display(),
        );
        std::fs::write(&recorded, text).unwrap();
        std::fs::set_permissions(&recorded, PermissionsExt::from_mode(0o700)).unwrap();
        let program = recorded;
        let made = Self { dir, program };
        std::fs::create_dir(made.root()).unwrap();
        let (host, port) = own_address();
        let genesis = Command::new(&made.program)
            .args(["genesis", "--host", &host.to_string()])
            .args(["--base-port", &port.to_string(), "--out"])
            .arg(made.net())
            .args(options)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&genesis.stderr);
        assert!(genesis.status.success(), "{said}");
        made.notes().note(MADE, 0).unwrap();
        made
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    fn net(&self) -> PathBuf {
        self.root().join("net")
    }

    fn notes(&self) -> Notes {
        Notes::open(&self.dir.path().join("trace")).unwrap()
    }

    /// Its first start, writes, a kill, an orderly restart; and what was done to its files.
    async fn live(&self) -> Trace {
        let cluster = Cluster::open(&self.program, &self.net()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut world = World::resume(cluster, dir).await;
        let n = world.cluster.n();
        self.write(&world, 0).await;
        self.while_held(world.cluster.kill(n - 1)).await;
        self.write(&world, 1).await;
        world.cluster.start(n - 1).unwrap();
        assert!(world.cluster.stop(1).await.unwrap().success());
        world.cluster.start(1).unwrap();
        world.ready().await;
        self.write(&world, 2).await;
        self.while_held(world.cluster.kill_all()).await;
        let trace = Trace::read(&self.dir.path().join("trace"), &self.root()).unwrap();
        let disk = Disk::after(&trace.records, HONEST).unwrap();
        // Whatever was not recorded shows here.
        disk.compare(&self.root()).unwrap();
        trace
    }

    /// Nobody is killed between a change and its record.
    async fn while_held(&self, killed: impl Future<Output = anyhow::Result<()>>) {
        let notes = self.notes();
        let _held = notes.hold().unwrap();
        killed.await.unwrap();
    }

    /// Two clients at a time, who note what was acknowledged.
    async fn write(&self, world: &World, part: u64) {
        let one = self.writes(world.client(&[0, 1]), part * 2);
        let two = self.writes(world.client(&[1, 0]), part * 2 + 1);
        tokio::join!(one, two);
    }

    async fn writes(&self, client: Client, part: u64) {
        let notes = self.notes();
        let mut session = fresh_session(&client).await;
        for number in part * WRITES..(part + 1) * WRITES {
            let (key, value) = row(number);
            let end = Instant::now() + PATIENCE;
            // A leader that is gone may cost a request.
            while let Err(error) = put(&client, &mut session, &key, &value).await {
                assert!(Instant::now() < end, "{key}: {error}");
            }
            notes.note(ACKNOWLEDGED, number).unwrap();
        }
    }
}

fn row(number: u64) -> (String, String) {
    (format!("key {number}"), format!("value {number}"))
}

/// Starts all nodes from what may be left at a cut, and reads what was acknowledged before it.
async fn starts_again(trace: &Trace, cut: usize) {
    let dir = tempfile::tempdir().unwrap();
    let before = &trace.records[..cut];
    let disk = Disk::after(before, HONEST).unwrap();
    let mut chance = Chance::of(cut as u64, "blackout");
    disk.image(Fate::Mixed, &mut chance, dir.path()).unwrap();
    let net = dir.path().join("net");
    println!("cut {cut} of {}", trace.records.len());
    let cluster = Cluster::open(&program(), &net).unwrap();
    let mut world = World::resume(cluster, dir).await;
    for record in before {
        if let Record::Note(ACKNOWLEDGED, number) = record {
            let (key, value) = row(*number);
            let client = world.client(&[*number as usize % world.cluster.n()]);
            let found = get(&client, &key, Consistency::Linearizable).await;
            assert_eq!(found, Some(value), "{key}, cut {cut}");
        }
    }
    world.agrees(&world.all()).await;
    world.cluster.kill_all().await.unwrap();
}

/// Cuts in order: a third before anything was acknowledged, and the end.
fn moments(trace: &Trace, count: usize) -> Vec<usize> {
    let made = |it: &Record| matches!(it, Record::Note(MADE, _));
    let first = trace.records.iter().position(made).unwrap() + 1;
    let acknowledged = |it: &Record| matches!(it, Record::Note(ACKNOWLEDGED, _));
    let loaded = trace.records.iter().position(acknowledged).unwrap();
    let last = trace.records.len();
    let start = (0..count / 3).map(|i| first + (loaded - first) * i / (count / 3).max(1));
    let rest = count - count / 3;
    start
        .chain((1..=rest).map(|i| loaded + (last - loaded) * i / rest))
        .collect()
}

async fn blackout(options: &[&str]) {
    let recorded = Recorded::make(options);
    let trace = recorded.live().await;
    for cut in moments(&trace, if all_cuts() { 300 } else { 6 }) {
        starts_again(&trace, cut).await;
    }
}

#[tokio::test]
async fn a_cluster_loses_power_at_one_moment_and_nothing_acknowledged() {
    blackout(&["--nodes", "4"]).await;
}

#[tokio::test]
async fn a_cluster_under_pbft_loses_power_at_one_moment_and_nothing_acknowledged() {
    blackout(&["--nodes", "4", "--protocol", "pbft"]).await;
}

#[tokio::test]
async fn a_cluster_under_raft_loses_power_at_one_moment_and_nothing_acknowledged() {
    blackout(&["--nodes", "3", "--protocol", "raft"]).await;
}
