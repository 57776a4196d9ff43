//! The protocols that can be simulated.

use crypto::FaultModel;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Chained HotStuff.
    HotStuff,
    /// Practical Byzantine fault tolerance.
    Pbft,
    /// Raft.
    Raft,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Protocol; 3] = [Protocol::HotStuff, Protocol::Pbft, Protocol::Raft];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::HotStuff => "hotstuff",
            Protocol::Pbft => "pbft",
            Protocol::Raft => "raft",
        }
    }
    /// The one of this name.
    ///
    /// # Errors
    /// In words, if there is none.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|it| it.name() == name);
        found.ok_or_else(|| format!("no protocol is called {name}"))
    }
    /// What its faulty nodes may do.
    #[must_use]
    pub const fn fault_model(self) -> FaultModel {
        match self {
            Protocol::HotStuff | Protocol::Pbft => FaultModel::Byzantine,
            Protocol::Raft => FaultModel::Crash,
        }
    }
    /// Whether batches are stored for themselves; else they are part of what is ordered.
    #[must_use]
    pub const fn stores_batches(self) -> bool {
        matches!(self.fault_model(), FaultModel::Byzantine)
    }
    /// Whether records that are one for each kind are written while nobody is overthrown.
    #[must_use]
    pub const fn writes_latest_at_peace(self) -> bool {
        !matches!(self, Protocol::Pbft)
    }
    /// The streams from which its scenarios are drawn: what came later has one of its own, so that
    /// older seeds keep their course.
    pub(super) const fn streams(self) -> [&'static str; 2] {
        match self {
            Protocol::HotStuff => ["scenario", "scenario, later"],
            Protocol::Pbft => ["pbft scenario", "pbft scenario, later"],
            Protocol::Raft => ["raft scenario", "raft scenario, later"],
        }
    }
}
