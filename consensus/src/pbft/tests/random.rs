//! Random schedules: agreement and one statement a slot under faults (the cluster asserts both at
//! every event), and liveness after they are healed.

use super::cluster::Cluster;
use super::craft::Craft;
use crate::testing::Net;
use crate::testing::random::{Ran, faults_and_progress, seeds};
use crypto::Time;

fn run(seed: u64) -> Ran {
    let n = [4, 4, 5, 7][(seed % 4) as usize];
    let mut cluster = Cluster::seeded(Craft::new(n), seed);
    cluster.net = Net::faulty(seed, &[300_000, 5_000_000, 60_000_000]);
    let ran = faults_and_progress(&mut cluster, &format!("seed {seed}"));
    assert!(cluster.evidence.is_empty(), "seed {seed}: S10: nobody lied");
    cluster.run(Time::millis(60_000));
    let spoken = cluster.spoken();
    cluster.run(Time::millis(60_000));
    let who = || cluster.idle_state();
    assert_eq!(cluster.spoken(), spoken, "seed {seed}: idle: {:#?}", who());
    ran
}

#[test]
fn agreement_under_faults_and_progress_after() {
    let mut ran: Vec<Ran> = seeds(0..150).map(run).collect();
    let reads: usize = ran.iter().map(|it| it.reads).sum();
    assert!(reads > 10 * ran.len(), "{reads} reads were answered");
    ran.sort_unstable_by_key(|it| it.height);
    let median = ran[ran.len() / 2].height;
    assert!(
        median >= 5,
        "the median seed commits while faulty: {median} heights"
    );
}
