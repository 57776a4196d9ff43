//! Random schedules: agreement, one leader a term, durable promises and fresh reads under faults (the
//! cluster asserts them at every event), and progress after they are healed.

use super::cluster::Cluster;
use super::craft::Craft;
use crypto::Time;
use rand_core::Rng;

/// `QUORATE_SEEDS=first..last` runs other seeds than the usual ones.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests chooses the seeds"
)]
fn seeds(usual: std::ops::Range<u64>) -> std::ops::Range<u64> {
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
fn disturb(cluster: &mut Cluster, n: u16, reads: &mut u64) {
    let node = draw(cluster, u64::from(n)) as u16;
    match draw(cluster, 24) {
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
        15 if cluster.up(node) => cluster.transfer(node),
        19 => {
            let slow = [100_000, 100_000, 20_000_000, 400_000_000][draw(cluster, 4) as usize];
            cluster.slow_disk(node, Time(slow));
        }
        20..=23 => {
            for i in (0..n).filter(|i| cluster.up(*i)).collect::<Vec<_>>() {
                *reads += 1;
                cluster.read(i, *reads);
            }
        }
        _ => {}
    }
}

fn craft(seed: u64) -> Craft {
    let mut craft = match seed % 8 {
        0..=2 => Craft::new(3),
        3 => Craft::new(5),
        4 => Craft::flexible(4, 2, 3),
        5 => Craft::flexible(5, 2, 4),
        6 => Craft::new([1, 2, 4, 7][(seed / 8 % 4) as usize]),
        _ => Craft::flexible(4, 4, 3),
    };
    if (seed / 8).is_multiple_of(3) {
        craft.timing.lease = Some(Time::millis(250));
    }
    craft
}

struct Ran {
    /// Heights committed under faults.
    height: u64,
    /// Reads answered under faults.
    reads: usize,
}

fn run(seed: u64) -> Ran {
    let craft = craft(seed);
    let n = craft.quorums.n as u16;
    let mut cluster = Cluster::seeded(craft, seed);
    cluster.net.loss = [0, 0, 5, 20][(seed / 3 % 4) as usize];
    cluster.net.twice = [0, 10, 50][(seed / 5 % 3) as usize];
    let most = [300_000, 5_000_000, 60_000_000, 900_000_000][(seed / 7 % 4) as usize];
    cluster.net.delay = (Time(100_000), Time(most));
    let mut reads = 0;
    for round in 0..80 {
        cluster.submit(round);
        disturb(&mut cluster, n, &mut reads);
        let span = [1, 5, 50, 400][draw(&mut cluster, 4) as usize];
        cluster.run(Time::millis(span));
    }
    let up: Vec<u16> = (0..n).filter(|i| cluster.up(*i)).collect();
    let heights = up.iter().map(|i| cluster.height(*i));
    let answered = cluster.reads.iter().filter(|(.., at)| at.is_ok()).count();
    let ran = Ran {
        height: heights.max().unwrap_or(0),
        reads: answered,
    };
    cluster.heal();
    cluster.crash_at_sync.clear();
    for i in 0..n {
        cluster.slow_disk(i, Time(100_000));
        if !cluster.up(i) {
            cluster.start(i);
        }
    }
    cluster.submit(1000);
    let what = format!("seed {seed}");
    cluster.run_until(Time::millis(60_000), &what, Cluster::all_done);
    ran
}

#[test]
fn agreement_under_faults_and_progress_after() {
    let mut ran: Vec<Ran> = seeds(0..160).map(run).collect();
    let reads: usize = ran.iter().map(|it| it.reads).sum();
    assert!(reads > 10 * ran.len(), "{reads} reads were answered");
    ran.sort_unstable_by_key(|it| it.height);
    let median = ran[ran.len() / 2].height;
    assert!(
        median >= 10,
        "the median seed commits while faulty: {median} heights"
    );
}
