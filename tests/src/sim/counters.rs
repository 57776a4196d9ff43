//! "Sometimes" counters: proof that a campaign reached the rare states. One at zero fails it.

use super::Protocol;
use std::fmt::Write as _;

/// Every protocol.
const ALL: &[Protocol] = &Protocol::ALL;
/// HotStuff only.
const HOTSTUFF: &[Protocol] = &[Protocol::HotStuff];
/// PBFT only.
const PBFT: &[Protocol] = &[Protocol::Pbft];
/// Whose nodes may lie.
const BYZANTINE: &[Protocol] = &[Protocol::HotStuff, Protocol::Pbft];
/// PBFT and Raft.
const PBFT_RAFT: &[Protocol] = &[Protocol::Pbft, Protocol::Raft];
/// Raft only.
const RAFT: &[Protocol] = &[Protocol::Raft];

macro_rules! sometimes {
    ($($(#[$doc:meta])* $name:ident $of:ident => $text:literal,)*) => {
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
            /// The protocols in which it can be reached.
            #[must_use]
            pub fn protocols(self) -> &'static [Protocol] {
                match self { $(Sometimes::$name => $of,)* }
            }
        }
    };
}

sometimes! {
    /// A run without any fault.
    Calm ALL => "runs without any fault",
    /// A run with real signatures.
    RealSignatures ALL => "runs with real ed25519",
    /// Frames.
    Lost ALL => "frames lost",
    /// Frames.
    Duplicated ALL => "frames duplicated",
    /// Frames.
    Replayed ALL => "old frames replayed",
    /// Frames.
    Muted ALL => "frames of a kind that does not pass",
    /// Frames.
    Reordered ALL => "frames reordered",
    /// Phases.
    Partitioned ALL => "phases with a partition",
    /// Phases.
    OneWay ALL => "phases with a one-way cut",
    /// Phases.
    Clogged ALL => "phases with a clogged link",
    /// Connections.
    Reconnected ALL => "connections broken and restored",
    /// Crashes.
    CrashedAtWrite ALL => "crashes before a write",
    /// Crashes.
    CrashedAtSync ALL => "crashes between a write and its sync",
    /// Crashes.
    CrashedAtAnswer ALL => "crashes between a sync and its answer",
    /// Crashes.
    CrashedAtSend ALL => "crashes before a send",
    /// Crashes.
    CrashedAtExecute ALL => "crashes around an execution",
    /// Crashes.
    CrashedInRecovery ALL => "crashes during recovery",
    /// Crashes.
    CrashedAll ALL => "crashes of all nodes at once",
    /// Crashes.
    CrashedLeader ALL => "crashes of the leader",
    /// Orderly ends.
    StoppedAll ALL => "orderly stops of all nodes at once",
    /// Progress after the crash of all.
    CommittedAfterCrashAll ALL => "commits after a crash of all",
    /// Disk.
    LostUnsynced ALL => "crashes that lost unsynced writes",
    /// Disk.
    TornSafety ALL => "crashes that tore the last write of the safety file",
    /// Disk.
    FailedDisk ALL => "writes, syncs, flushes or reads that failed",
    /// Recovery.
    FailedStart ALL => "starts that a failing read ended",
    /// Disk.
    Rotted ALL => "nodes that met a flipped bit, and stay down",
    /// Recovery.
    RecoveredVote HOTSTUFF => "restarts with a voted, uncommitted block",
    /// Recovery.
    RecoveredTimeout HOTSTUFF => "restarts with a signed timeout of the tenure",
    /// Recovery.
    RecoveredPrepared PBFT => "restarts with a prepared, uncommitted slot",
    /// Recovery.
    RecoveredViewChange PBFT => "restarts that have asked for a view which is not open",
    /// Recovery.
    ReplayedState ALL => "restarts that executed heights again",
    /// Process.
    Paused ALL => "pauses of a node",
    /// Process.
    ClockJumped ALL => "jumps of a clock",
    /// Process.
    StayedDown ALL => "runs healed with nodes that stay down",
    /// Protocol.
    TimedOut HOTSTUFF => "timeouts signed",
    /// Protocol.
    TimeoutCertified HOTSTUFF => "proposals by a timeout certificate",
    /// Protocol.
    Carried HOTSTUFF => "timeout certificates that carry an uncommitted chain",
    /// Protocol.
    TenureChanged HOTSTUFF => "tenures that ended without a timeout",
    /// Protocol.
    LockReleased HOTSTUFF => "locks released by a higher certificate",
    /// Protocol.
    BranchDied HOTSTUFF => "proposals that lost their place",
    /// Protocol.
    CaughtUp HOTSTUFF => "answers with missing blocks",
    /// Protocol.
    GaveUp PBFT => "view changes signed",
    /// Protocol.
    Joined PBFT => "view changes that skip a view, since f + 1 others did",
    /// Protocol.
    Opened PBFT => "views opened",
    /// Protocol.
    PreparedCarried PBFT => "views that carry over one slot which their primary has not committed",
    /// Protocol.
    SeveralCarried PBFT => "views that carry over several such slots",
    /// Protocol.
    HighestCarried PBFT => "slots prepared with two contents, of which the later view's is carried over",
    /// Protocol.
    GapCarried PBFT => "gaps that a new view fills with null",
    /// Protocol.
    OpenedAbove PBFT => "views that begin above a stable checkpoint",
    /// Protocol.
    OpenedAcross PBFT => "views opened by members with different stable checkpoints",
    /// Protocol.
    NullAssigned PBFT => "null slots that move the height",
    /// Protocol.
    WatermarkReached PBFT => "slots assigned at the high watermark",
    /// Protocol.
    PayloadTold PBFT => "payloads told to the primary of a new view",
    /// Protocol.
    ViewTold PBFT => "members told of a view that they have missed",
    /// Protocol.
    SlotsTold PBFT => "answers with missing slots",
    /// Protocol.
    Flexible RAFT => "runs with quorums that differ",
    /// Protocol.
    Elected RAFT => "terms with a leader",
    /// Protocol.
    SplitVote RAFT => "terms in which two stood and none won",
    /// Protocol.
    PreVoteRefused RAFT => "pre-votes refused since a leader is heard of",
    /// Protocol.
    SteppedDown RAFT => "leaders that stepped down since no quorum answered",
    /// Protocol.
    Deposed RAFT => "leaders that were told of a newer term by an answer",
    /// Protocol.
    HandedOver RAFT => "terms led by the successor that the former leader chose",
    /// Protocol.
    LogsDiffered RAFT => "appends that did not fit",
    /// Protocol.
    Truncated RAFT => "conflicting tails that were cut",
    /// Protocol.
    OlderTermCommitted RAFT => "entries of an older term committed by a new leader",
    /// Protocol.
    LoadedRecords PBFT_RAFT => "old records loaded",
    /// Protocol.
    RecoveredGrant RAFT => "restarts in a term in which a vote was given",
    /// Protocol.
    FollowerRead RAFT => "reads of a follower answered by its leader",
    /// Protocol.
    LeaseRead RAFT => "reads answered at once under a lease",
    /// Network.
    Overthrown PBFT_RAFT => "leaders that were cut off, stopped or killed on purpose",
    /// Process.
    ShutDown PBFT_RAFT => "graceful shutdowns",
    /// Mempool.
    BatchFetched ALL => "batches fetched",
    /// Mempool.
    BatchFetchedElsewhere BYZANTINE => "batches fetched from another than the author",
    /// Mempool.
    BatchOffered ALL => "batches offered to a leader",
    /// Clients.
    Repeated ALL => "repeats answered with the first receipt",
    /// Clients.
    Void ALL => "transactions executed without effect",
    /// Clients.
    Conflicted ALL => "sequences used twice",
    /// Clients.
    Failover ALL => "clients that turned to another node",
    /// Clients.
    LookedElsewhere ALL => "reads at another node right after a write",
    /// Clients.
    ReadServed ALL => "linearizable reads served",
    /// Idle.
    Idle ALL => "runs that came to rest",
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
    /// Those of a protocol.
    fn of(protocol: Protocol) -> impl Iterator<Item = Sometimes> {
        let all = Sometimes::ALL.iter().copied();
        all.filter(move |what| what.protocols().contains(&protocol))
    }
    /// Those that never happened under a protocol.
    #[must_use]
    pub fn never(&self, protocol: Protocol) -> Vec<Sometimes> {
        let of = Self::of(protocol);
        of.filter(|&what| self.count(what) == 0).collect()
    }
    /// A protocol's, in words.
    #[must_use]
    pub fn list(&self, protocol: Protocol) -> Vec<(String, u64)> {
        let line = |what: Sometimes| (what.text().to_owned(), self.count(what));
        Self::of(protocol).map(line).collect()
    }
    /// A table of a protocol's.
    #[must_use]
    pub fn table(&self, protocol: Protocol) -> String {
        let mut table = String::new();
        for what in Self::of(protocol) {
            // Writing to a string cannot fail.
            let _ = writeln!(table, "{:>12}  {}", self.count(what), what.text());
        }
        table
    }
}
