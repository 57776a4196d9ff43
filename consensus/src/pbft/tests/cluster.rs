//! What tests ask of a cluster that runs PBFT.

use super::super::Pbft;
use super::craft::Craft;
use std::collections::BTreeMap;

pub type Cluster = crate::testing::Cluster<Pbft>;

impl Cluster {
    pub fn new(n: u16) -> Self {
        Self::seeded(Craft::new(n), 1)
    }
    /// Messages by name, but for the questions of those at rest.
    pub fn spoken(&self) -> BTreeMap<&'static str, u64> {
        let mut spoken = self.sent.clone();
        spoken.remove("ask_progress");
        spoken
    }
    /// The view that each node takes part in.
    pub fn views(&self) -> Vec<u64> {
        (0..self.n()).map(|i| self.protocol(i).view.0).collect()
    }
}
