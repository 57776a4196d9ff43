//! What tests ask of a cluster that runs Raft.

use super::super::Raft;
use super::craft::Craft;
use crate::Protocol as _;
use crypto::Time;
use std::collections::BTreeSet;

pub type Cluster = crate::testing::Cluster<Raft>;

impl Cluster {
    pub fn new(n: u16) -> Self {
        Self::seeded(Craft::new(n), 1)
    }
    /// Who leads the highest term, if he is up.
    pub fn leader(&self) -> Option<u16> {
        let leads = |i: &u16| self.up(*i) && self.protocol(*i).leads();
        (0..self.n()).filter(leads).max_by_key(|i| self.view(*i))
    }
    /// Runs until somebody leads whom all who are up follow.
    pub fn elect(&mut self) -> u16 {
        self.run_until(Time::millis(5_000), "an election", |cluster| {
            let up = |i: &u16| cluster.up(*i);
            let leader = |i| cluster.protocol(i).status().leader;
            let all: BTreeSet<_> = (0..cluster.n()).filter(up).map(leader).collect();
            all.len() == 1 && all.first().is_some_and(Option::is_some)
        });
        self.leader().expect("all follow somebody")
    }
}
