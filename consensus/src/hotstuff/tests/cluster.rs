//! What tests ask of a cluster that runs HotStuff.

use super::super::HotStuff;
use super::craft::Craft;
use crate::LeaderSchedule;
use std::collections::BTreeMap;

pub type Cluster = crate::testing::Cluster<HotStuff>;

impl Cluster {
    pub fn new(n: u16, leaders: LeaderSchedule) -> Self {
        Self::seeded(Craft::new(n, leaders), 1)
    }
    /// Messages by name, but for the questions of those at rest.
    pub fn spoken(&self) -> BTreeMap<&'static str, u64> {
        let mut spoken = self.sent.clone();
        spoken.remove("ask_certificate");
        spoken
    }
}
