//! Handing batches to leaders.

use crate::Config;
use crate::watch::{Watch, Watched};
use crypto::{BatchRef, Digest, NodeId, Size, Time};
use std::collections::{BTreeMap, BTreeSet};

/// The pause between offers doubles so many times at most.
const BACKOFF: u32 = 6;
/// Offers to the leader alone. With the last of them a batch counts as handed over: the leader may
/// have had to fetch it, and an offer may be lost. After so many it may be down, or be this node itself,
/// of which the others know better, and those who hold the batch too few to get another one: all are told
/// then.
const TO_LEADER: u32 = 3;

/// What was handed to the current leader.
#[derive(Debug)]
pub(crate) struct Handing {
    leader: Option<NodeId>,
    marks: BTreeMap<Digest, Mark>,
    /// When to offer what.
    offers: BTreeSet<(Time, Digest)>,
    watch: Watch,
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
    watched: Watched,
}

impl Handing {
    pub(crate) fn new() -> Self {
        Self {
            leader: None,
            marks: BTreeMap::new(),
            offers: BTreeSet::new(),
            watch: Watch::default(),
        }
    }
    /// One mark for each batch that waits.
    pub(crate) fn sizes(&self, config: &Config, into: &mut Vec<Size>) {
        let all = config.n * config.author_batches + config.extra_batches;
        into.extend([
            Size::new("pool: marks", self.marks.len(), all),
            Size::new("pool: offers", self.offers.len(), all),
        ]);
        self.watch.sizes(all, into);
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
                watched: Watched::default(),
            },
        );
    }
    /// It does not wait any more.
    pub(crate) fn remove(&mut self, digest: &Digest) {
        if let Some(mut mark) = self.marks.remove(digest) {
            self.offers.remove(&(mark.next, *digest));
            self.watch.end(*digest, &mut mark.watched);
        }
    }
    /// A tenure began: all that waits is handed to its leader, and counted from then on.
    pub(crate) fn begin(&mut self, leader: NodeId, now: Time) {
        self.leader = Some(leader);
        self.offers.clear();
        for (digest, mark) in &mut self.marks {
            (mark.next, mark.offers, mark.fresh) = (now, 0, true);
            self.watch.end(*digest, &mut mark.watched);
            self.offers.insert((now, *digest));
        }
    }
    /// All waits again for its first offer: the leader may have lost it with the connection. What it has
    /// left out still counts, or a liar would only have to connect again and again.
    pub(crate) fn again(&mut self, now: Time) {
        self.offers.clear();
        for (digest, mark) in &mut self.marks {
            (mark.next, mark.offers, mark.fresh) = (now, 0, true);
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
            if led && mark.offers >= TO_LEADER {
                self.watch.begin(config, digest, &mut mark.watched);
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
    /// The leader ordered a block. What it left out for too long: each once a tenure, and with twice the
    /// allowance the next time.
    pub(crate) fn ordered(
        &mut self,
        config: &Config,
        now: Time,
        block: &[BatchRef],
    ) -> Vec<Digest> {
        let overdue = self.watch.ordered(config, now, block);
        let overdue: Vec<Digest> = overdue.into_iter().collect();
        for digest in &overdue {
            let mark = self.marks.get_mut(digest);
            let mark = mark.expect("what is watched is marked");
            self.watch.give_up(*digest, &mut mark.watched);
        }
        overdue
    }
}
