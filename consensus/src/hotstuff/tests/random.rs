//! Random schedules: agreement and one statement a slot under faults (the cluster asserts both at
//! every event), and liveness after they are healed.

use super::cluster::Cluster;
use super::craft::round_robin;
use crate::{Input, ReadId};
use crypto::Time;
use rand_core::Rng;

/// `QUORATE_SEEDS=first..last` runs other seeds than the usual ones.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests chooses the seeds"
)]
pub fn seeds(usual: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let parse = |text: String| {
        let (first, last) = text.split_once("..")?;
        Some(first.parse().ok()?..last.parse().ok()?)
    };
    std::env::var("QUORATE_SEEDS")
        .ok()
        .and_then(parse)
        .unwrap_or(usual)
}

fn draw(cluster: &mut Cluster, below: u64) -> u64 {
    cluster.rng.next_u64() % below
}

/// A fault, or work, every few milliseconds.
fn disturb(cluster: &mut Cluster, n: u16) {
    let node = draw(cluster, u64::from(n)) as u16;
    match draw(cluster, 20) {
        0 if cluster.up(node) => cluster.crash(node),
        1 if cluster.up(node) => {
            let after = 1 + draw(cluster, 5);
            cluster.crash_at_sync.insert(node, after);
        }
        2 => (0..n).for_each(|i| cluster.crash(i)),
        3..=6 | 16..=18 if !cluster.up(node) => cluster.start(node),
        7 => cluster.isolate(node),
        8 => {
            let camp = draw(cluster, 1 << n);
            let apart = |i: u16, j: u16| (camp >> i ^ camp >> j) & 1 == 1;
            let pairs = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
            cluster.net.cut = pairs.filter(|(i, j)| apart(*i, *j)).collect();
        }
        9 => {
            let other = draw(cluster, u64::from(n)) as u16;
            cluster.net.cut.insert((node, other));
        }
        10..=14 => cluster.net.cut.clear(),
        15 if cluster.up(node) => {
            let id = ReadId(draw(cluster, 1 << 40));
            cluster.input(node, Input::Read { id });
        }
        _ => {}
    }
}

fn run(seed: u64) -> u64 {
    let n = [4, 4, 5, 7][(seed % 4) as usize];
    let tenure = [1, 2, 4, 5, 8, 64][(seed / 4 % 6) as usize];
    let mut cluster = Cluster::seeded(n, round_robin(tenure), seed);
    cluster.net.loss = [0, 0, 5, 20][(seed / 3 % 4) as usize];
    cluster.net.twice = [0, 10, 50][(seed / 5 % 3) as usize];
    let most = [300_000, 5_000_000, 60_000_000][(seed / 7 % 3) as usize];
    cluster.net.delay = (Time(100_000), Time(most));
    for round in 0..80 {
        cluster.submit(round);
        disturb(&mut cluster, n);
        let span = [1, 5, 50, 400][draw(&mut cluster, 4) as usize];
        cluster.run(Time::millis(span));
    }
    let under_faults = (0..n)
        .filter(|i| cluster.up(*i))
        .map(|i| cluster.height(i))
        .max();
    cluster.heal();
    cluster.crash_at_sync.clear();
    for i in 0..n {
        if !cluster.up(i) {
            cluster.start(i);
        }
    }
    cluster.submit(1000);
    cluster.run_until(
        Time::millis(120_000),
        &format!("seed {seed}"),
        Cluster::all_done,
    );
    assert!(cluster.evidence.is_empty(), "seed {seed}: S10: nobody lied");
    cluster.run(Time::millis(60_000));
    let spoken = cluster.spoken();
    cluster.run(Time::millis(60_000));
    assert_eq!(cluster.spoken(), spoken, "seed {seed}: idle");
    under_faults.unwrap_or(0)
}

#[test]
fn agreement_under_faults_and_progress_after() {
    let mut heights: Vec<u64> = seeds(0..150).map(run).collect();
    heights.sort_unstable();
    let median = heights[heights.len() / 2];
    assert!(
        median >= 5,
        "the median seed commits while faulty: {median} heights"
    );
}
