//! Crashes at every point: what was committed is committed, nobody promises two things (the cluster
//! judges both), and nothing stalls.

use super::{Cluster, Members, Subject};
use crypto::Time;

/// All crash at once, at every sync of node 0 in turn, and start again. Batches come at this pace.
pub fn of_all_at_every_sync<P: Subject>(craft: &Members<P>, pace: Time) {
    for point in 1..=14 {
        let mut cluster = Cluster::seeded(craft.clone(), point);
        let n = cluster.n();
        cluster.crash_at_sync.insert(0, point);
        for number in 1..=4 {
            cluster.submit(number);
            cluster.run(pace);
        }
        cluster.crash_at_sync.clear();
        let heights: Vec<_> = (0..n).map(|i| cluster.durable(i).anchor.height).collect();
        (0..n).for_each(|i| cluster.crash(i));
        (0..n).for_each(|i| cluster.start(i));
        cluster.submit(5);
        let what = format!("n {n}, tenure {}, point {point}", craft.leaders.tenure());
        cluster.run_until(Time::millis(10_000), &what, Cluster::all_done);
        for (i, height) in heights.iter().enumerate() {
            let now = cluster.durable(i as u16).anchor.height;
            assert!(now >= *height, "S6: {what}");
        }
    }
}

/// One crashes between every two syncs under load, and starts again.
pub fn of_one_between_syncs<P: Subject>(begin: impl Fn() -> Cluster<P>) {
    for point in 1..=12 {
        for victim in [0, 2] {
            let mut cluster = begin();
            cluster.crash_at_sync.insert(victim, point);
            for number in 1..=10 {
                cluster.submit(number);
                cluster.run(Time::millis(1));
            }
            if !cluster.up(victim) {
                cluster.run(Time::millis(100));
                cluster.start(victim);
            }
            let what = format!("node {victim} at sync {point}");
            cluster.run_until(Time::millis(5_000), &what, Cluster::all_done);
        }
    }
}
