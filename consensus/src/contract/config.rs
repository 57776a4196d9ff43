//! What a replica is told when it starts.

use crypto::{Context, NodeId, Quorums, Time, ValidatorSet, View};
use std::sync::Arc;

/// A replica's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who this is.
    pub me: NodeId,
    /// Chain and epoch.
    pub context: Context,
    /// The members.
    pub validators: Arc<ValidatorSet>,
    /// Quorum sizes: flexible in Raft, else the set's own.
    pub quorums: Quorums,
    /// Who leads when.
    pub leaders: LeaderSchedule,
    /// Time-outs.
    pub timing: Timing,
    /// Seed of the generator, for protocols that draw lots.
    pub seed: [u8; 32],
    /// Most bytes of batches that one block may order.
    pub block_bytes: u32,
    /// Ordering waits when it is this many heights ahead of execution here. What others have ordered is
    /// taken up to four times as far.
    pub execution_lag: u64,
}

impl Config {
    /// All members but this one, starting after it: a round robin that differs from node to node.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> + use<> {
        let n = self.validators.n() as u16;
        let me = self.me.0;
        (1..n).map(move |i| NodeId((me + i) % n))
    }
}

/// Who leads a view. Tenure k holds the views `k * tenure` to `(k + 1) * tenure - 1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaderSchedule {
    /// `validators[(view / tenure) % n]`.
    RoundRobin {
        /// Views a leader keeps.
        tenure: u64,
    },
    /// `leaders[(view / tenure) % leaders.len()]`: for tests.
    Scripted {
        /// Views a leader keeps.
        tenure: u64,
        /// One leader a tenure; never empty.
        leaders: Vec<NodeId>,
    },
}

impl LeaderSchedule {
    /// Views a leader keeps.
    #[must_use]
    pub fn tenure(&self) -> u64 {
        match self {
            Self::RoundRobin { tenure } | Self::Scripted { tenure, .. } => (*tenure).max(1),
        }
    }
    /// The tenure of a view.
    #[must_use]
    pub fn tenure_of(&self, view: View) -> u64 {
        view.0 / self.tenure()
    }
    /// The first view of a tenure (tenure 0: view 1, since 0 is the anchor's).
    #[must_use]
    pub fn first(&self, tenure: u64) -> View {
        View(tenure.saturating_mul(self.tenure()).max(1))
    }
    /// The leader of a view in a set of `n`.
    #[must_use]
    pub fn leader(&self, view: View, n: usize) -> NodeId {
        let tenure = self.tenure_of(view);
        match self {
            Self::RoundRobin { .. } => NodeId((tenure % n as u64) as u16),
            Self::Scripted { leaders, .. } => leaders[(tenure % leaders.len() as u64) as usize],
        }
    }
}

/// Time-outs, all spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A view's (Raft: election's) time-out while all goes well. Default 300 ms.
    pub timeout: Time,
    /// The most that repeated time-outs may raise it to. Default 10 s.
    pub timeout_cap: Time,
    /// How often a promise is sent again while nothing moves. Default 100 ms.
    pub resend: Time,
    /// How long a leader waits for more payload when the last block was small. Default 1 ms.
    pub linger: Time,
    /// Raft: how long after a round a leader may answer reads without another. Shorter than the
    /// time-out by what clocks may drift meanwhile; the same on all nodes. Default: none, it asks
    /// each time.
    pub lease: Option<Time>,
}

impl Timing {
    /// How often a leader beats (Raft): at least three times a time-out.
    #[must_use]
    pub fn heartbeat(&self) -> Time {
        self.resend.min(Time(self.timeout.0 / 3))
    }
    /// How often a replica that has nothing to do asks one of its peers where it stands: four times
    /// the time-out. It is what ends the wait of one that missed the last message of a run of work.
    #[must_use]
    pub fn at_rest(&self) -> Time {
        Time(self.timeout.0.saturating_mul(4))
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            timeout: Time::millis(300),
            timeout_cap: Time::millis(10_000),
            resend: Time::millis(100),
            linger: Time::millis(1),
            lease: None,
        }
    }
}
