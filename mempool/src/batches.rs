//! Batches that wait to be ordered, each charged to the account of the node that sent it, or offered it.
//!
//! Not to its author's: who fetches a batch from another cannot know that its named author made it,
//! and must not let one node use up the quota of another. What a node offers may be another's, that sends
//! it to nobody else: it fills half of the account at most, so that the node's own has the other half.

use crate::Config;
use crypto::{BatchRef, Digest, Height, NodeId, Reject, SealedBatch, Size, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// Uncommitted batches that are stored here.
#[derive(Debug)]
pub(crate) struct Batches {
    held: BTreeMap<Digest, Held>,
    /// One for each node, and one for what no node is charged for.
    accounts: Vec<Account>,
    /// From which the next payload is drawn first.
    turn: usize,
    expiries: BTreeSet<(Height, Digest)>,
    arrivals: BTreeSet<(Time, Digest)>,
    /// Those charged to nobody, since a block holds them, that are in memory.
    cached: BTreeMap<u64, Digest>,
    /// Out of the books, and in the store until they expire: a vote may rely on them.
    let_go: BTreeSet<(Height, Digest)>,
    counter: u64,
    memory: usize,
}

/// One batch.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) reference: BatchRef,
    /// `None`: on disk only.
    pub(crate) body: Option<SealedBatch>,
    since: Time,
    /// Its place in the order of arrival.
    age: u64,
    charge: Charge,
}

/// Who is charged for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charge {
    /// Who sent it as its own.
    Sender(NodeId),
    /// Who offered it.
    Offerer(NodeId),
    /// Nobody: a block holds it.
    Nobody,
}

#[derive(Debug, Default)]
struct Account {
    /// In order of arrival.
    queue: BTreeMap<u64, Digest>,
    all: Tally,
    /// What of it was offered.
    offered: Tally,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    batches: usize,
    /// In memory.
    bytes: usize,
}

impl Tally {
    /// Whether another of this size stays within so many batches and bytes.
    fn has_room(&self, bytes: usize, (most, most_bytes): (usize, usize)) -> bool {
        self.batches < most && self.bytes + bytes <= most_bytes
    }
}

impl Account {
    /// The tallies that a batch charged so is part of.
    fn tallies(&mut self, charge: Charge) -> impl Iterator<Item = &mut Tally> {
        let offered = matches!(charge, Charge::Offerer(_)).then_some(&mut self.offered);
        [&mut self.all].into_iter().chain(offered)
    }
}

impl Batches {
    pub(crate) fn new(n: usize) -> Self {
        Self {
            held: BTreeMap::new(),
            accounts: (0..=n).map(|_| Account::default()).collect(),
            turn: 0,
            expiries: BTreeSet::new(),
            arrivals: BTreeSet::new(),
            cached: BTreeMap::new(),
            let_go: BTreeSet::new(),
            counter: 0,
            memory: 0,
        }
    }

    pub(crate) fn get(&self, digest: &Digest) -> Option<&Held> {
        self.held.get(digest)
    }
    /// Whether a batch of this size would stay within the quota of who is charged for it.
    pub(crate) fn within_quota(&self, config: &Config, charge: Charge, bytes: usize) -> bool {
        let account = &self.accounts[self.account(charge)];
        let all = account
            .all
            .has_room(bytes, (config.author_batches, config.author_bytes));
        match charge {
            Charge::Sender(_) => all,
            Charge::Offerer(_) => all && account.offered.has_room(bytes, half(config)),
            Charge::Nobody => true,
        }
    }
    /// Whether the own quota leaves room for another batch of this size: half of it, since a peer
    /// may learn of commits later than the author.
    pub(crate) fn own_room(&self, config: &Config, bytes: usize) -> bool {
        let own = &self.accounts[config.me.index()];
        own.all.has_room(bytes, half(config))
    }
    fn account(&self, charge: Charge) -> usize {
        match charge {
            Charge::Sender(node) | Charge::Offerer(node) => node.index(),
            Charge::Nobody => self.accounts.len() - 1,
        }
    }
    /// Whether batches sent by this node wait.
    pub(crate) fn any_of(&self, from: NodeId) -> bool {
        !self.accounts[from.index()].queue.is_empty()
    }
    /// The waiting batches sent by a node, oldest first.
    pub(crate) fn of(&self, from: NodeId) -> impl Iterator<Item = BatchRef> {
        self.accounts[from.index()]
            .queue
            .values()
            .map(|digest| self.held[digest].reference)
    }

    /// Adds a batch that is not held.
    pub(crate) fn insert(
        &mut self,
        now: Time,
        config: &Config,
        sealed: SealedBatch,
        charge: Charge,
    ) -> Result<(), Reject> {
        let reference = sealed.reference();
        if !self.within_quota(config, charge, sealed.bytes().len()) {
            return Err(Reject::OverQuota);
        }
        self.enter(now, charge, reference, Some(sealed));
        if charge == Charge::Nobody {
            self.cached.insert(self.counter, reference.digest);
        }
        Ok(())
    }

    /// Adds one that is in the store only, charged to nobody.
    pub(crate) fn insert_name(&mut self, now: Time, reference: BatchRef) {
        self.enter(now, Charge::Nobody, reference, None);
    }

    fn enter(&mut self, now: Time, charge: Charge, reference: BatchRef, body: Option<SealedBatch>) {
        self.counter += 1;
        let age = self.counter;
        let bytes = body.as_ref().map_or(0, |sealed| sealed.bytes().len());
        let account = self.account(charge);
        let account = &mut self.accounts[account];
        account.queue.insert(age, reference.digest);
        for tally in account.tallies(charge) {
            tally.batches += 1;
            tally.bytes += bytes;
        }
        self.memory += bytes;
        self.expiries.insert((reference.expires, reference.digest));
        self.arrivals.insert((now, reference.digest));
        let held = Held {
            reference,
            body,
            since: now,
            age,
            charge,
        };
        let old = self.held.insert(reference.digest, held);
        assert!(old.is_none(), "a batch is held once");
    }

    /// Brings what nobody is charged for back below its caps, oldest first: out of memory (the
    /// store has it), then out of the books. Returns the digests that left the books.
    pub(crate) fn shrink(&mut self, config: &Config) -> Vec<Digest> {
        let mut gone = Vec::new();
        while self.accounts[config.n].all.batches > config.extra_batches
            && let Some((_, &digest)) = self.accounts[config.n].queue.first_key_value()
        {
            let held = self.remove(&digest).expect("what is queued is held");
            gone.push(digest);
            self.let_go.insert((held.reference.expires, digest));
            if self.let_go.len() > config.committed_batches {
                // The next start finds it in the store.
                self.let_go.pop_first();
            }
        }
        while self.accounts[config.n].all.bytes > config.extra_bytes
            && let Some((_, digest)) = self.cached.pop_first()
        {
            let held = self.held.get_mut(&digest).expect("what is cached is held");
            held.body = None;
            self.accounts[config.n].all.bytes -= held.reference.bytes as usize;
            self.memory -= held.reference.bytes as usize;
        }
        gone
    }

    /// Takes a batch out: it is committed, or can no longer be.
    pub(crate) fn remove(&mut self, digest: &Digest) -> Option<Held> {
        let held = self.held.remove(digest)?;
        let BatchRef { expires, bytes, .. } = held.reference;
        let bytes = held.body.as_ref().map_or(0, |_| bytes as usize);
        let account = self.account(held.charge);
        let account = &mut self.accounts[account];
        account.queue.remove(&held.age);
        for tally in account.tallies(held.charge) {
            tally.batches -= 1;
            tally.bytes -= bytes;
        }
        self.memory -= bytes;
        self.cached.remove(&held.age);
        self.expiries.remove(&(expires, *digest));
        self.arrivals.remove(&(held.since, *digest));
        Some(held)
    }

    /// Takes out one batch that no block above `height` may hold.
    pub(crate) fn expire(&mut self, height: Height) -> Option<Held> {
        let &(expires, digest) = self.expiries.first()?;
        if expires <= height {
            self.remove(&digest)
        } else {
            None
        }
    }

    /// Forgets one that had left the books before, and that no block above `height` may hold.
    pub(crate) fn expire_let_go(&mut self, height: Height) -> Option<(Height, Digest)> {
        let first = self.let_go.first()?;
        if first.0 <= height {
            self.let_go.pop_first()
        } else {
            None
        }
    }

    /// Batches to order, of those that expire in this span: one of each account in turn, and each
    /// account's in order of arrival.
    pub(crate) fn next(
        &mut self,
        budget: usize,
        count: usize,
        exclude: &BTreeSet<Digest>,
        expiries: &RangeInclusive<Height>,
    ) -> Vec<BatchRef> {
        let n = self.accounts.len();
        let start = self.turn;
        self.turn = (start + 1) % n;
        let mut queues: Vec<_> = (0..n)
            .map(|i| self.accounts[(start + i) % n].queue.values())
            .collect();
        let censored = |r: &BatchRef| {
            crypto::planted!(Censor)
                && self.held[&r.digest].body.iter().any(|it| {
                    let list = &it.batch().transactions;
                    list.iter().any(|it| it.client.0[0] < 128)
                })
        };
        let mut room = budget;
        let mut chosen = Vec::new();
        while !queues.is_empty() && chosen.len() < count {
            queues.retain_mut(|queue| {
                let fit = queue.map(|digest| self.held[digest].reference).find(|r| {
                    expiries.contains(&r.expires) && !exclude.contains(&r.digest) && !censored(r)
                });
                // If an account's next batch does not fit, no later one of it overtakes.
                let Some(r) = fit.filter(|r| r.bytes as usize <= room) else {
                    return false;
                };
                if chosen.len() < count {
                    room -= r.bytes as usize;
                    chosen.push(r);
                }
                true
            });
        }
        chosen
    }

    /// Since when the oldest is known; `None`: there are none.
    pub(crate) fn oldest(&self) -> Option<Time> {
        self.arrivals.first().map(|(since, _)| *since)
    }
    /// How full the accounts are: the fullest of the nodes', and the one of no node.
    pub(crate) fn sizes(&self, config: &Config, into: &mut Vec<Size>) {
        let Some((extra, nodes)) = self.accounts.split_last() else {
            return;
        };
        let most = |of: fn(&Account) -> usize| nodes.iter().map(of).max().unwrap_or(0);
        let (batches, bytes) = (most(|it| it.all.batches), most(|it| it.all.bytes));
        let all = nodes.len() * config.author_batches + config.extra_batches;
        into.extend([
            Size::new("pool: batches of one node", batches, config.author_batches),
            Size::new("pool: bytes of one node", bytes, config.author_bytes),
            Size::new(
                "pool: batches of no node",
                extra.all.batches,
                config.extra_batches,
            ),
            Size::new(
                "pool: bytes of no node",
                extra.all.bytes,
                config.extra_bytes,
            ),
            Size::new("pool: batches", self.held.len(), all),
            Size::new("pool: let go", self.let_go.len(), config.committed_batches),
        ]);
    }
    /// Batches, their bytes, and their bytes in memory.
    pub(crate) fn tally(&self) -> (usize, usize, usize) {
        let bytes = self.held.values().map(|h| h.reference.bytes as usize).sum();
        (self.held.len(), bytes, self.memory)
    }
}

/// Half of a node's quota: batches and bytes.
fn half(config: &Config) -> (usize, usize) {
    (config.author_batches / 2, config.author_bytes / 2)
}
