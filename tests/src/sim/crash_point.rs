//! Crashes on purpose: at one kind of place in the work of a node, of whoever leads, of those who
//! follow, or of all at once. Drawn crashes ([`super::ProcessFaults`]) fall anywhere; these fall where
//! they are wanted, the same under every protocol.

use super::counters::Sometimes;
use super::system::System;
use super::world::World;
use crypto::NodeId;
use engine::Machine as _;
use storage::{Op, Table, WriteBatch};

/// What a write changes on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A statement that must not be contradicted (the guard's).
    Promise,
    /// A record of which there is one: vote and lock, timeout, term and vote.
    Latest,
    /// A record at a height: a block, a slot, an entry.
    AtHeight,
    /// A batch.
    Batch,
    /// A committed height.
    Commit,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] = [
        Kind::Promise,
        Kind::Latest,
        Kind::AtHeight,
        Kind::Batch,
        Kind::Commit,
    ];

    /// Whether a write changes such a thing.
    #[must_use]
    pub fn is_in(self, batch: &WriteBatch) -> bool {
        batch.ops().iter().any(|op| self.is(op))
    }
    fn is(self, op: &Op) -> bool {
        let (Op::Put(table, key, _) | Op::Delete(table, key) | Op::DeleteRange(table, key, _)) = op;
        let latest = key.first() == Some(&0);
        match self {
            Kind::Promise => *table == Table::Guard,
            Kind::Latest => *table == Table::Record && latest,
            Kind::AtHeight => *table == Table::Record && !latest,
            Kind::Batch => *table == Table::Batch,
            Kind::Commit => *table == Table::Commit,
        }
    }
}

/// A place in the work of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A write of this kind is about to reach the store.
    BeforeWrite(Kind),
    /// It has reached the store, and its sync does not end.
    InSync(Kind),
    /// It is done, and the node is not told any more.
    AfterWrite(Kind),
    /// A frame is about to leave.
    BeforeSend,
    /// Heights are about to be executed, or have just been.
    Execution,
}

impl Place {
    /// What is written there.
    #[must_use]
    pub const fn kind(self) -> Option<Kind> {
        match self {
            Self::BeforeWrite(kind) | Self::InSync(kind) | Self::AfterWrite(kind) => Some(kind),
            Self::BeforeSend | Self::Execution => None,
        }
    }
}

/// Who crashes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The node, if it leads.
    Leader,
    /// The node, if it does not lead.
    Follower,
    /// All nodes at once.
    All,
}

impl Victim {
    /// All of them.
    pub const ALL: [Victim; 3] = [Victim::Leader, Victim::Follower, Victim::All];
}

/// Where a run's crashes fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPoint {
    /// At which place.
    pub place: Place,
    /// Who crashes.
    pub victim: Victim,
    /// The so many-th time that a victim comes there, and so on.
    pub every: u64,
}

impl<S: System> World<S> {
    /// A node is at all places that `is` holds for: whether it is to crash here.
    pub(super) fn due(&mut self, node: NodeId, is: impl Fn(Place) -> bool) -> bool {
        let point = self.plan.crash_point.filter(|point| is(point.place));
        let (Some(point), None) = (point, self.healed) else {
            return false;
        };
        let Some(life) = &self.hosts[node.index()].life else {
            return false;
        };
        let leads = life.machine.status().consensus.leader == Some(node);
        let meant = match point.victim {
            Victim::Leader => leads,
            Victim::Follower => !leads,
            Victim::All => true,
        };
        self.visits += u64::from(meant);
        meant && self.visits.is_multiple_of(point.every)
    }

    /// It crashes, and the others with it if all are meant.
    pub(super) fn strike(&mut self, node: NodeId) {
        let Some(point) = self.plan.crash_point else {
            return;
        };
        self.struck += 1;
        self.trace
            .say(self.now, || format!("{node} is struck: {point:?}"));
        if point.victim == Victim::All {
            self.power_loss();
        } else {
            if point.victim == Victim::Leader {
                self.counters.hit(Sometimes::CrashedLeader);
            }
            self.crash(node);
        }
    }
}
