//! Handing batches to leaders, and the censorship timer: a batch is overdue when, since it was
//! handed to the leader, blocks held more batches than all pools together may hold without it. It
//! counts commits, not seconds: that nothing commits is the view timer's affair, and overload
//! alone deposes nobody. An empty block had room for what waits, so beyond a few each counts like a full
//! one: otherwise a leader that orders nothing, or next to nothing, would keep its place for a tenure.

use crate::Config;
use crypto::{Digest, NodeId, Size, Time};
use std::collections::{BTreeMap, BTreeSet};

/// The most by which an allowance grows: 2 to this power.
const DOUBLINGS: u32 = 6;
/// The same for the pause between offers.
const BACKOFF: u32 = 6;
/// Offers to the leader alone. After so many it may be down, or be this node itself, of which the
/// others know better, and those who hold the batch too few to get another one: all are told then.
const TO_LEADER: u32 = 3;

/// Empty blocks that each one with payload makes up for: they follow it so that it commits.
const FOLLOWING: usize = 2;

/// What was handed to the current leader.
#[derive(Debug)]
pub(crate) struct Handing {
    leader: Option<NodeId>,
    marks: BTreeMap<Digest, Mark>,
    /// When to offer what.
    offers: BTreeSet<(Time, Digest)>,
    /// At which count of committed batches what is overdue.
    watch: BTreeSet<(u64, Digest)>,
    /// Batches committed since the start.
    committed: u64,
    /// Empty blocks committed while something was handed to the leader, less what those with payload
    /// make up for.
    empty: usize,
}

/// A batch to offer now.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) digest: Digest,
    /// The leader may never have got it.
    pub(crate) fresh: bool,
    /// Offered to all others, not to the leader alone.
    pub(crate) widely: bool,
}

#[derive(Debug)]
struct Mark {
    next: Time,
    offers: u32,
    /// The current leader may never have got it: it leads anew, or its connection is new.
    fresh: bool,
    /// Set once it is handed to the current leader.
    due: Option<u64>,
    doublings: u32,
}

impl Handing {
    pub(crate) fn new() -> Self {
        Self {
            leader: None,
            marks: BTreeMap::new(),
            offers: BTreeSet::new(),
            watch: BTreeSet::new(),
            committed: 0,
            empty: 0,
        }
    }
    /// One mark for each batch that waits.
    pub(crate) fn sizes(&self, config: &Config, into: &mut Vec<Size>) {
        let all = config.n * config.author_batches + config.extra_batches;
        into.extend([
            Size::new("pool: marks", self.marks.len(), all),
            Size::new("pool: offers", self.offers.len(), all),
            Size::new("pool: watched", self.watch.len(), all),
        ]);
    }
    /// Who leads, if it is another node.
    pub(crate) fn leader(&self, me: NodeId) -> Option<NodeId> {
        self.leader.filter(|leader| *leader != me)
    }
    /// A batch waits to be ordered; offered to the leader from `next` on.
    pub(crate) fn add(&mut self, digest: Digest, next: Time) {
        self.offers.insert((next, digest));
        self.marks.insert(
            digest,
            Mark {
                next,
                offers: 0,
                fresh: false,
                due: None,
                doublings: 0,
            },
        );
    }
    /// It does not wait any more.
    pub(crate) fn remove(&mut self, digest: &Digest) {
        if let Some(mark) = self.marks.remove(digest) {
            self.offers.remove(&(mark.next, *digest));
            if let Some(due) = mark.due {
                self.watch.remove(&(due, *digest));
            }
        }
    }
    /// A tenure began: all that waits is handed to its leader, and counted from then on.
    pub(crate) fn begin(&mut self, leader: NodeId, now: Time) {
        self.leader = Some(leader);
        self.empty = 0;
        self.watch.clear();
        self.offers.clear();
        for (digest, mark) in &mut self.marks {
            (mark.next, mark.offers, mark.due) = (now, 0, None);
            mark.fresh = true;
            self.offers.insert((now, *digest));
        }
    }
    /// This waits again for its first offer: its leader may have lost it with the connection.
    pub(crate) fn again(&mut self, now: Time) {
        self.offers.clear();
        for (digest, mark) in &mut self.marks {
            (mark.next, mark.fresh) = (now, true);
            self.offers.insert((now, *digest));
        }
    }
    /// What to offer now, at most `count`.
    pub(crate) fn due(&mut self, config: &Config, now: Time, count: usize) -> Vec<Due> {
        let mut due = Vec::new();
        if self.has_nobody(config) {
            return due;
        }
        let led = self.leader(config.me).is_some();
        // One account for each node, and one for what no node is charged for.
        let pools = (config.n as u64 + 1) * config.author_batches as u64;
        while due.len() < count
            && let Some(&(next, digest)) = self.offers.first()
        {
            if next > now {
                break;
            }
            self.offers.remove(&(next, digest));
            let mark = self
                .marks
                .get_mut(&digest)
                .expect("what is offered is marked");
            let pause = config
                .offer_delay
                .0
                .saturating_mul(1 << mark.offers.min(BACKOFF))
                .max(1);
            let widely = config.broadcasts() && mark.offers >= TO_LEADER;
            mark.offers = mark.offers.saturating_add(1);
            mark.next = now.plus(Time(pause));
            self.offers.insert((mark.next, digest));
            if led && mark.due.is_none() {
                let at = self.committed + (pools << mark.doublings);
                mark.due = Some(at);
                self.watch.insert((at, digest));
            }
            due.push(Due {
                digest,
                fresh: std::mem::take(&mut mark.fresh),
                widely,
            });
        }
        due
    }
    /// When `due` has something next.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Time> {
        let first = self.offers.first().filter(|_| !self.has_nobody(config));
        first.map(|(next, _)| *next)
    }
    /// Whether nobody is offered anything.
    fn has_nobody(&self, config: &Config) -> bool {
        !config.broadcasts() && self.leader(config.me).is_none()
    }
    /// So many batches were committed with a block. What the leader left out for too long: each once a
    /// tenure, and with twice the allowance the next time.
    pub(crate) fn committed(&mut self, config: &Config, batches: usize) -> Vec<Digest> {
        self.empty = match (self.watch.is_empty(), batches) {
            (true, _) => 0,
            (false, 0) => self.empty + 1,
            (false, _) => self.empty.saturating_sub(FOLLOWING),
        };
        self.committed += if self.empty > config.empty_blocks {
            config.block_batches as u64
        } else {
            batches as u64
        };
        let mut overdue = Vec::new();
        while let Some(&(due, digest)) = self.watch.first() {
            if due >= self.committed {
                break;
            }
            self.watch.pop_first();
            let mark = self
                .marks
                .get_mut(&digest)
                .expect("what is watched is marked");
            mark.doublings = (mark.doublings + 1).min(DOUBLINGS);
            overdue.push(digest);
        }
        overdue
    }
}
