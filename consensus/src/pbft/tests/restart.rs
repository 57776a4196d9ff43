//! Crash and restart: nothing is promised twice, nothing promised is lost, nothing stalls.

use super::cluster::Cluster;
use super::craft::Craft;
use crate::testing::crashes;
use crypto::Time;

/// All crash at once, at every sync of node 0 in turn, and start again: own votes come back
/// through the fence and are counted again, so nothing stalls.
#[test]
fn all_crash_at_every_point_and_go_on() {
    for n in [4, 7] {
        crashes::of_all_at_every_sync(&Craft::new(n), Time(700_000));
    }
}

#[test]
fn one_crashes_between_every_two_syncs_under_load() {
    crashes::of_one_between_syncs(|| Cluster::new(4));
}
