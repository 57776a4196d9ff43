//! "Sometimes" counters: proof that a campaign reached the rare states. One at zero fails it.

use std::fmt::Write as _;

macro_rules! sometimes {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// A state that a campaign has to reach.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Sometimes { $($(#[$doc])* $name,)* }

        impl Sometimes {
            /// All of them.
            pub const ALL: &[Sometimes] = &[$(Sometimes::$name,)*];
            /// In words.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Sometimes::$name => $text,)* }
            }
        }
    };
}

sometimes! {
    /// A run without any fault.
    Calm => "runs without any fault",
    /// A run with real signatures.
    RealSignatures => "runs with real ed25519",
    /// Frames.
    Lost => "frames lost",
    /// Frames.
    Duplicated => "frames duplicated",
    /// Frames.
    Replayed => "old frames replayed",
    /// Frames.
    Muted => "frames of a kind that does not pass",
    /// Frames.
    Reordered => "frames reordered",
    /// Phases.
    Partitioned => "phases with a partition",
    /// Phases.
    OneWay => "phases with a one-way cut",
    /// Phases.
    Clogged => "phases with a clogged link",
    /// Connections.
    Reconnected => "connections broken and restored",
    /// Crashes.
    CrashedAtWrite => "crashes before a write",
    /// Crashes.
    CrashedAtSync => "crashes between a write and its sync",
    /// Crashes.
    CrashedAtAnswer => "crashes between a sync and its answer",
    /// Crashes.
    CrashedAtSend => "crashes before a send",
    /// Crashes.
    CrashedAtExecute => "crashes around an execution",
    /// Crashes.
    CrashedInRecovery => "crashes during recovery",
    /// Crashes.
    CrashedAll => "crashes of all nodes at once",
    /// Crashes.
    CrashedLeader => "crashes of the leader",
    /// Progress after the crash of all.
    CommittedAfterCrashAll => "commits after a crash of all",
    /// Disk.
    LostUnsynced => "crashes that lost unsynced writes",
    /// Disk.
    TornTail => "crashes that tore the last write",
    /// Disk.
    FailedDisk => "writes or syncs that failed",
    /// Recovery.
    RecoveredVote => "restarts with a voted, uncommitted block",
    /// Recovery.
    RecoveredTimeout => "restarts with a signed timeout of the tenure",
    /// Recovery.
    ReplayedState => "restarts that executed heights again",
    /// Process.
    Paused => "pauses of a node",
    /// Process.
    ClockJumped => "jumps of a clock",
    /// Process.
    StayedDown => "runs healed with nodes that stay down",
    /// Protocol.
    TimedOut => "timeouts signed",
    /// Protocol.
    TimeoutCertified => "proposals by a timeout certificate",
    /// Protocol.
    Carried => "timeout certificates that carry an uncommitted chain",
    /// Protocol.
    TenureChanged => "tenures that ended without a timeout",
    /// Protocol.
    LockReleased => "locks released by a higher certificate",
    /// Protocol.
    BranchDied => "proposals that lost their place",
    /// Protocol.
    CaughtUp => "answers with missing blocks",
    /// Mempool.
    BatchFetched => "batches fetched",
    /// Mempool.
    BatchFetchedElsewhere => "batches fetched from another than the author",
    /// Mempool.
    BatchOffered => "batches offered to a leader",
    /// Clients.
    Repeated => "repeats answered with the first receipt",
    /// Clients.
    Void => "transactions executed without effect",
    /// Clients.
    Conflicted => "sequences used twice",
    /// Clients.
    Failover => "clients that turned to another node",
    /// Clients.
    LookedElsewhere => "reads at another node right after a write",
    /// Clients.
    ReadServed => "linearizable reads served",
    /// Idle.
    Idle => "runs that came to rest",
}

/// Counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters(Vec<u64>);

impl Default for Counters {
    fn default() -> Self {
        Self(vec![0; Sometimes::ALL.len()])
    }
}

impl Counters {
    /// It happened.
    pub fn hit(&mut self, what: Sometimes) {
        self.0[what as usize] += 1;
    }
    /// How often.
    #[must_use]
    pub fn count(&self, what: Sometimes) -> u64 {
        self.0[what as usize]
    }
    /// Adds those of another run.
    pub fn add(&mut self, other: &Counters) {
        for (mine, more) in self.0.iter_mut().zip(&other.0) {
            *mine += more;
        }
    }
    /// Those that never happened.
    #[must_use]
    pub fn never(&self) -> Vec<Sometimes> {
        let all = Sometimes::ALL.iter().copied();
        all.filter(|&what| self.count(what) == 0).collect()
    }
    /// A table.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = String::new();
        for &what in Sometimes::ALL {
            // Writing to a string cannot fail.
            let _ = writeln!(table, "{:>12}  {}", self.count(what), what.text());
        }
        table
    }
}
