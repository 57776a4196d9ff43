//! What tests ask of a cluster that runs PBFT.

use super::super::Pbft;
use super::craft::Craft;
use crate::Protocol as _;
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
    /// Why each node still speaks.
    pub fn idle_state(&self) -> Vec<String> {
        let all = (0..self.n()).map(|i| self.protocol(i));
        all.map(|it| {
            let open: Vec<_> = it.log.open().collect();
            format!(
                "view {} wanted {} height {} low {} reach {} pending {:?} reads {} want {} {:?} open {open:#?}",
                it.view,
                it.changes.wanted(),
                it.log.committed(),
                it.log.low(),
                it.reach(),
                it.replication.supply.pending(),
                it.reads.needs_progress(),
                it.changes.others_who_want_more_than(it.view, it.me()),
                it.status().waiting,
            )
        })
        .collect()
    }
    /// The view that each node takes part in.
    pub fn views(&self) -> Vec<u64> {
        (0..self.n()).map(|i| self.protocol(i).view.0).collect()
    }
}
