//! S11: every queue, cache and map has a cap, and keeps to it, whatever peers and clients send. What
//! a node says of its caps is not believed: those that its configuration allows are computed here.

use super::{Check, Seen};
use crypto::{NodeId, Size};
use std::collections::{BTreeMap, BTreeSet};

/// The most that each queue, cache and map may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps(BTreeMap<&'static str, usize>);

const MIB: usize = 1 << 20;

impl Caps {
    /// What all nodes have, under whatever protocol. `tight`: of a pool that is made small.
    fn common(n: usize, tight: bool) -> Self {
        let small = |usual, small| if tight { small } else { usual };
        let (transactions, checks) = (small(65_536, 4), small(64, 2));
        let (batches, extra, block) = (small(512, 4), small(4_096, 4), small(256, 2));
        let (fetches, loads) = (small(256, 2), small(16, 1));
        let held = n * batches + extra;
        let most_loads = n * (loads + 2) + fetches + 1;
        let writes = small(1_024, 16) + most_loads;
        // A start finds whatever was not flushed, in small runs all of it.
        let backlog = small(8 * 1_024, 256);
        Self(BTreeMap::from([
            ("pool: transactions", transactions),
            ("pool: bytes of transactions", 64 * MIB),
            ("pool: clients", transactions),
            ("pool: checks", checks),
            ("pool: committed", 131_072),
            ("pool: batches of one node", batches),
            ("pool: bytes of one node", 32 * MIB),
            ("pool: batches of no node", extra),
            ("pool: bytes of no node", 16 * MIB),
            ("pool: batches", held),
            ("pool: let go", 131_072),
            ("pool: wanted", (n + 1) * fetches + checks * block),
            ("pool: offered by one node", fetches),
            ("pool: wanted for the log", fetches),
            ("pool: loads", n * loads + fetches),
            ("pool: loads for one node", loads),
            ("pool: given to one node", 8 * fetches),
            ("pool: marks", held),
            ("pool: offers", held),
            ("pool: watched", held),
            ("held for the disk", 8_192),
            ("promises in order", 16),
            ("promises of slots", 8_192),
            ("checkpoints to execute", 64),
            ("own checkpoints", 16),
            ("checkpoints of one", 4),
            ("stable checkpoints", 4),
            ("statements of one", 32),
            ("proofs against one", 16),
            ("pool: heights without payload", backlog),
            ("pool: payload that is missing", backlog * block),
            ("requests", 1_000),
            ("loads", most_loads),
            ("writes under way", writes),
            ("bytes to write", 104 * MIB),
            ("heights to execute", writes + 1),
            ("bytes handed over", 12 * MIB),
            ("reads", 4_096 + 2 * n),
        ]))
    }
    /// All of them.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.0.iter().map(|(name, most)| (*name, *most))
    }
    fn and(mut self, own: &[(&'static str, usize)]) -> Self {
        self.0.extend(own.iter().copied());
        self
    }
    /// Of `n` nodes that run HotStuff.
    #[must_use]
    pub fn hotstuff(n: usize, tight: bool) -> Self {
        Self::common(n, tight).and(&[
            ("uncertified blocks", 64),
            ("views with votes", 64),
            ("views with proposals", 64),
            ("timeouts", n),
            ("served", n),
            ("loads for peers", n),
        ])
    }
    /// Of `n` nodes that run PBFT with a checkpoint every so many heights: the window is three such
    /// intervals, and who lags keeps as many slots below it.
    #[must_use]
    pub fn pbft(n: usize, tight: bool, every: u64) -> Self {
        let slots = 6 * usize::try_from(every).unwrap_or(usize::MAX / 6);
        Self::common(n, tight).and(&[
            ("slots", slots),
            ("commits of one", 2),
            ("questions", slots),
            ("view changes", n),
            ("served", n),
            ("loads for peers", n),
            ("payload lookups", n),
        ])
    }
    /// Of `n` nodes that run Raft.
    #[must_use]
    pub fn raft(n: usize, tight: bool) -> Self {
        Self::common(n, tight).and(&[
            ("committed entries", 4_096),
            ("rounds", 64),
            ("under way to one", 64),
        ])
    }
}

/// See the module.
pub struct Bounded {
    caps: Caps,
    /// What was measured so far, of anybody.
    measured: BTreeSet<&'static str>,
}

impl Bounded {
    /// By these caps.
    #[must_use]
    pub fn new(caps: Caps) -> Self {
        Self {
            caps,
            measured: BTreeSet::new(),
        }
    }
    fn judge(&mut self, node: NodeId, size: &Size) -> Result<(), String> {
        let Size { name, len, cap } = *size;
        self.measured.insert(name);
        let Some(most) = self.caps.0.get(name).copied() else {
            return Err(format!("node {node}: nothing is known to cap `{name}`"));
        };
        if cap > most {
            return Err(format!(
                "node {node}: `{name}` is capped at {cap} only, where {most} is meant"
            ));
        }
        if len > cap {
            return Err(format!(
                "node {node}: `{name}` holds {len}, at most {cap} are allowed"
            ));
        }
        Ok(())
    }
}

impl Check for Bounded {
    fn property(&self) -> &'static str {
        "S11"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Measured { node, sizes } => {
                sizes.iter().try_for_each(|size| self.judge(*node, size))
            }
            _ => Ok(()),
        }
    }
    fn finish(&mut self) -> Result<(), String> {
        // Where nodes are measured at all, nothing is left out.
        let mut left_out = self.caps.0.keys().filter(|it| !self.measured.contains(*it));
        match left_out.next() {
            Some(name) if !self.measured.is_empty() => {
                Err(format!("no node ever tells how full `{name}` is"))
            }
            _ => Ok(()),
        }
    }
}
