//! What may go wrong in a run: the rates and kinds of faults that a scenario draws.

use crypto::Time;

/// What the network does to frames, in a safety phase. Rates are per million frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetFaults {
    /// Dropped.
    pub loss: u32,
    /// Delivered twice.
    pub duplicate: u32,
    /// An older frame of the link delivered again.
    pub replay: u32,
    /// Held back for up to ten times the usual delay; else frames of a link keep their order.
    pub reorder: u32,
    /// Whether phases cut the nodes into groups.
    pub partitions: bool,
    /// Whether phases cut links in one direction.
    pub one_way: bool,
    /// Whether phases delay all frames of some links by a view's time-out and more.
    pub clogs: bool,
    /// Whether connections break and come back, and the nodes are told.
    pub reconnects: bool,
    /// Whether phases keep half of the kinds of messages from some nodes.
    pub mutes: bool,
    /// Whether a puppeteer decides who learns what.
    pub puppets: bool,
    /// What does not reach one node, the same all the time.
    pub deaf: u32,
    /// Whether one node's batches reach nobody; it is among those that stay down.
    pub hoards: bool,
    /// Whether phases cut the leader off, or stop or kill it, and leave it with whoever just cannot
    /// elect another.
    pub coups: bool,
    /// Whether checkpoints reach one node only, which shows the others what is stable.
    pub secret_checkpoints: bool,
}

/// What happens to processes. Spans are means; zero: never.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFaults {
    /// Persist and send boundaries a node passes from its start to its crash.
    pub crash: u64,
    /// Boundaries from a start after a crash to the next crash, once in three restarts.
    pub crash_in_recovery: u64,
    /// Between crashes of all nodes at once.
    pub crash_all: Time,
    /// Between pauses of a node (as by SIGSTOP).
    pub pause: Time,
    /// Between jumps of a node's clock.
    pub clock_jump: Time,
    /// How much longer each input of a slow node takes; one node in the run is slow.
    pub slow: Time,
    /// Between graceful shutdowns of a node, which is started again.
    pub shutdown: Time,
}

/// What disks do besides keeping what was synced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskFaults {
    /// On a crash, unsynced writes are lost, in whole or from some point on; else all are kept.
    pub lose_unsynced: bool,
    /// On a crash before an answer, the last write of the safety file is torn.
    pub torn: bool,
    /// Writes, syncs, flushes and reads that fail, per million: the process stops, or does not start, and is
    /// started again.
    pub failed: u32,
    /// Whether bits flip on one node's disk, a row every phase. The node stops where it meets one, and
    /// stays down.
    pub rots: bool,
    /// Syncs that take fifty times as long, per million.
    pub stalls: u32,
}

/// Mean times of what storage does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskTimes {
    /// A write to the log, without its sync.
    pub write: Time,
    /// A sync of the log.
    pub sync: Time,
    /// A load from the log.
    pub load: Time,
    /// Executing one height.
    pub execute: Time,
}
