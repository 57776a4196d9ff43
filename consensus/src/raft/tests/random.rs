//! Random schedules: agreement, one leader a term, durable promises and fresh reads under faults (the
//! cluster asserts them at every event), and progress after they are healed.

use super::cluster::Cluster;
use super::craft::Craft;
use crate::testing::Net;
use crate::testing::random::{Ran, faults_and_progress, seeds};
use crypto::Time;

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

fn run(seed: u64) -> Ran {
    let mut cluster = Cluster::seeded(craft(seed), seed);
    cluster.net = Net::faulty(seed, &[300_000, 5_000_000, 60_000_000, 900_000_000]);
    faults_and_progress(&mut cluster, &format!("seed {seed}"))
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
