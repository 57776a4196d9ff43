//! Batches that are missing here, and when to ask whom for them.

use crate::Config;
use crate::lateness::Lateness;
use crate::message::LIST;
use crate::questions::{Questions, Reason};
use crypto::{BatchRef, Digest, NodeId, Size, Time};
use std::collections::BTreeMap;

/// Peers that say they hold a batch, kept for each.
const HOLDERS: usize = 4;
/// Fruitless questions after which an offered batch is forgotten: it is offered again.
const OFFER_PATIENCE: u32 = 3;
/// How often the pause between questions doubles, at most.
const DOUBLINGS: u32 = 5;

/// A batch that may be under way is not awaited for longer than so many `Config::fetch_delay`; one that a
/// block needs, for one of them at first.
const MOST_DELAYS: u64 = 8;

/// All missing batches.
#[derive(Debug)]
pub(crate) struct Wants {
    wants: BTreeMap<Digest, Want>,
    lateness: Lateness,
    questions: Questions,
    /// How many each peer offered.
    offered: Vec<usize>,
    /// How many are committed.
    for_log: usize,
}

#[derive(Debug)]
struct Want {
    author: NodeId,
    /// Who proposed the block that waits for it.
    proposer: Option<NodeId>,
    holders: Vec<NodeId>,
    questions: u32,
    /// How many of its peers were asked.
    asked: usize,
    /// Who was asked last, and may say that he lacks it.
    round: Vec<NodeId>,
    /// How long it is.
    bytes: usize,
    /// Since when peers have been expected to send it.
    since: Option<Time>,
    /// When to ask next, and why; `None` while the own store is asked.
    next: Option<(Reason, Time)>,
    /// A block waits for it.
    check: bool,
    /// It is committed.
    commit: bool,
    /// Who offered it.
    offer: Option<NodeId>,
}

impl Wants {
    pub(crate) fn new(config: &Config) -> Self {
        let n = config.n;
        let most = Time(config.fetch_delay.0.saturating_mul(MOST_DELAYS));
        Self {
            wants: BTreeMap::new(),
            lateness: Lateness::new(n, most),
            questions: Questions::default(),
            offered: vec![0; n],
            for_log: 0,
        }
    }
    pub(crate) fn len(&self) -> usize {
        self.wants.len()
    }
    /// How many are missing: offered by peers, committed, or in blocks that wait for them.
    pub(crate) fn sizes(&self, config: &Config, into: &mut Vec<Size>) {
        let offered = self.offered.iter().max().copied().unwrap_or(0);
        let waiting = config.checks * config.block_batches;
        let all = (config.n + 1) * config.fetches + waiting;
        into.extend([
            Size::new("pool: wanted", self.wants.len(), all),
            Size::new("pool: offered by one node", offered, config.fetches),
            Size::new("pool: wanted for the log", self.for_log, config.fetches),
        ]);
    }
    /// How many committed ones.
    pub(crate) fn for_log(&self) -> usize {
        self.for_log
    }
    pub(crate) fn contains(&self, digest: &Digest) -> bool {
        self.wants.contains_key(digest)
    }
    /// Whether it must be taken even above its author's quota.
    pub(crate) fn needed(&self, digest: &Digest) -> bool {
        self.wants.get(digest).is_some_and(Want::is_needed)
    }

    /// A block waits for it. It is probably under way, behind the proposal; but the
    /// proposer holds it in any case, so its view need not wait for an author that may lie.
    pub(crate) fn for_check(
        &mut self,
        config: &Config,
        proposer: Option<NodeId>,
        reference: &BatchRef,
        now: Time,
    ) {
        let at = now.plus(config.fetch_delay);
        let want = self.entry(reference, Some((Reason::Block, now, at)));
        let known = want.check && want.proposer == proposer;
        (want.check, want.proposer) = (true, proposer);
        // Whoever offered it before may have made it wait for long.
        if !known && let Some((_, next)) = want.next {
            (want.questions, want.asked) = (0, 0);
            self.ask_at(&reference.digest, next.min(at));
        }
    }
    /// It is committed. Whether the own store should be asked first; then `not_stored` follows.
    pub(crate) fn for_commit(&mut self, reference: &BatchRef) -> bool {
        let known = self.wants.contains_key(&reference.digest);
        let want = self.entry(reference, None);
        let first = !std::mem::replace(&mut want.commit, true);
        if let Some((_, next)) = want.next {
            self.ask_at(&reference.digest, next);
        }
        self.for_log += usize::from(first);
        !known
    }
    /// The own store lacks it: ask peers.
    pub(crate) fn not_stored(&mut self, digest: &Digest, now: Time) {
        if let Some(want) = self.wants.get_mut(digest)
            && want.next.is_none()
        {
            let patience = self.lateness.patience(want.author);
            want.since = Some(now);
            self.ask_at(digest, now.plus(patience));
        }
    }
    /// A peer offers it: ask him, unless he offered too many that have not come yet.
    pub(crate) fn for_offer(&mut self, config: &Config, from: NodeId, r: &BatchRef, now: Time) {
        if let Some(want) = self.wants.get_mut(&r.digest) {
            if want.holders.len() < HOLDERS && !want.holders.contains(&from) {
                want.holders.push(from);
            }
        } else if self.offered[from.index()] < config.fetches {
            self.offered[from.index()] += 1;
            let at = now.plus(self.lateness.patience(r.author));
            let want = self.entry(r, Some((Reason::Offer, now, at)));
            want.holders.push(from);
            want.offer = Some(from);
        }
    }
    /// Who offered it, while nothing else is known of it.
    pub(crate) fn offered_by(&self, digest: &Digest) -> Option<NodeId> {
        let want = self.wants.get(digest)?;
        want.offer.filter(|_| !want.is_needed())
    }
    /// The blocks that waited for it no longer do.
    pub(crate) fn no_check(&mut self, digest: &Digest) {
        if let Some(want) = self.wants.get_mut(digest) {
            want.check = false;
            if !want.commit && want.offer.is_none() {
                self.remove(digest);
            } else if let Some((_, next)) = want.next {
                self.ask_at(digest, next);
            }
        }
    }
    /// Its author sends it unasked.
    pub(crate) fn pushed(&mut self, digest: &Digest, now: Time) {
        if let Some(want) = self.wants.get(digest)
            && let Some(since) = want.since
        {
            self.lateness.came(want.author, now.since(since));
        }
    }
    /// A peer answers with it.
    pub(crate) fn answered(&mut self, digest: &Digest) {
        if let Some(want) = self.wants.get(digest) {
            self.lateness.fetched(want.author);
        }
    }
    /// It came, or is of no use any more.
    pub(crate) fn remove(&mut self, digest: &Digest) {
        let Some(want) = self.wants.remove(digest) else {
            return;
        };
        if let Some(next) = want.next {
            self.questions.remove(next, *digest);
        }
        if let Some(from) = want.offer {
            self.offered[from.index()] -= 1;
        }
        self.for_log -= usize::from(want.commit);
    }
    /// A peer lacks it: ask the next at once, but each only once at that pace. Nobody is believed who was
    /// not asked: he would have the others asked faster than they can answer, and what is offered given up.
    pub(crate) fn not_held(&mut self, from: NodeId, digest: &Digest, now: Time) {
        if let Some(want) = self.wants.get_mut(digest)
            && want.next.is_some()
            && want.round.contains(&from)
        {
            want.round.clear();
            if (want.questions as usize) < self.offered.len() {
                self.ask_at(digest, now);
            }
        }
    }

    /// Whom to ask now for what: no more at a time than one answers at a time.
    pub(crate) fn due(&mut self, config: &Config, now: Time) -> Vec<(NodeId, Vec<Digest>)> {
        let mut open: BTreeMap<NodeId, (usize, Vec<Digest>)> = BTreeMap::new();
        let mut questions = Vec::new();
        while let Some(digest) = self.questions.due(config, now) {
            let (peers, bytes) = self.ask(config, now, &digest);
            for peer in peers {
                let (asked, digests) = open.entry(peer).or_default();
                let full = *asked + bytes > config.block_bytes || digests.len() >= LIST;
                if full && !digests.is_empty() {
                    questions.push((peer, std::mem::take(digests)));
                    *asked = 0;
                }
                *asked += bytes;
                digests.push(digest);
            }
        }
        let rest = open.into_iter().map(|(peer, (_, digests))| (peer, digests));
        questions.extend(rest.filter(|(_, digests)| !digests.is_empty()));
        questions
    }

    /// When `due` has something next.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Time> {
        self.questions.deadline(config)
    }

    /// Asks those first who have it if they are honest, then two at a time, round and round, at growing
    /// intervals.
    fn ask(&mut self, config: &Config, now: Time, digest: &Digest) -> (Vec<NodeId>, usize) {
        let want = self
            .wants
            .get_mut(digest)
            .expect("what has a timer is wanted");
        want.next = None;
        if !want.is_needed() && want.questions >= OFFER_PATIENCE {
            self.remove(digest);
            return (Vec::new(), 0);
        }
        let (peers, first) = want.peers(config, digest);
        let count = if want.questions == 0 { first } else { 2 };
        let round = peers.iter().cycle().skip(want.asked % peers.len().max(1));
        want.round = round.take(count.min(peers.len())).copied().collect();
        want.asked += count;
        let asked = (want.round.clone(), want.bytes);
        // Answers come as late as what is sent unasked.
        let patience = self.lateness.patience(want.author);
        let pause = config.fetch_retry.plus(patience);
        let pause = pause.0.saturating_mul(1 << want.questions.min(DOUBLINGS));
        want.questions = want.questions.saturating_add(1);
        self.ask_at(digest, now.plus(Time(pause.max(1))));
        asked
    }

    /// Sets when to ask next for what is wanted, for the most urgent of its reasons.
    fn ask_at(&mut self, digest: &Digest, at: Time) {
        let want = self
            .wants
            .get_mut(digest)
            .expect("what is asked for is wanted");
        let next = (want.reason(), at);
        if let Some(old) = want.next.replace(next) {
            self.questions.remove(old, *digest);
        }
        self.questions.insert(next, *digest);
    }

    /// `asks`: why it is asked for, since when it is expected, and when to ask.
    fn entry(&mut self, reference: &BatchRef, asks: Option<(Reason, Time, Time)>) -> &mut Want {
        self.wants.entry(reference.digest).or_insert_with(|| {
            let next = asks.map(|(reason, _, at)| (reason, at));
            if let Some(next) = next {
                self.questions.insert(next, reference.digest);
            }
            Want {
                author: reference.author,
                proposer: None,
                holders: Vec::new(),
                questions: 0,
                asked: 0,
                round: Vec::new(),
                bytes: reference.bytes as usize,
                since: asks.map(|(_, since, _)| since),
                next,
                check: false,
                commit: false,
                offer: None,
            }
        })
    }
}

impl Want {
    fn reason(&self) -> Reason {
        if self.check {
            Reason::Block
        } else if self.commit {
            Reason::Log
        } else {
            Reason::Offer
        }
    }
    fn is_needed(&self) -> bool {
        self.reason() != Reason::Offer
    }
    /// All peers: the author, who proposed it, those that say they hold it, and the rest from a place
    /// that differs from batch to batch. Who offered it comes first while nobody needs it. And how many
    /// of them to ask first: one, or author and proposer, since one of them may lie.
    fn peers(&self, config: &Config, digest: &Digest) -> (Vec<NodeId>, usize) {
        let start = digest.0[0] as usize;
        let rest = (0..config.n).map(|i| NodeId(((start + i) % config.n) as u16));
        let mut peers: Vec<NodeId> = Vec::with_capacity(config.n);
        let mut add = |peer: NodeId| {
            if peer != config.me && !peers.contains(&peer) {
                peers.push(peer);
            }
            peers.len()
        };
        if let Some(from) = self.offer.filter(|_| !self.is_needed()) {
            add(from);
        }
        let mut first = add(self.author).min(1);
        if let Some(proposer) = self.proposer.filter(|_| self.check) {
            first = add(proposer);
        }
        for peer in self.holders.iter().copied().chain(rest) {
            add(peer);
        }
        (peers, first.max(1))
    }
}
