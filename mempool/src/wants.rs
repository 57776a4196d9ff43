//! Batches that are missing here, and when to ask whom for them.

use crate::Config;
use crate::lateness::Lateness;
use crypto::{BatchRef, Digest, NodeId, Size, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Peers that say they hold a batch, kept for each.
const HOLDERS: usize = 4;
/// Fruitless questions after which an offered batch is forgotten: it is offered again.
const OFFER_PATIENCE: u32 = 3;

/// A batch that may be under way is not awaited for longer than so many `Config::fetch_delay`.
const MOST_DELAYS: u64 = 8;

/// All missing batches.
#[derive(Debug)]
pub(crate) struct Wants {
    wants: BTreeMap<Digest, Want>,
    lateness: Lateness,
    timers: BTreeSet<(Time, Digest)>,
    /// Batches asked for since `period` began, at most `Config::fetches` in `Config::fetch_retry`.
    /// Those asked for in vain come back ever later, so they cannot starve the others.
    asked: usize,
    period: Time,
    /// How many each peer offered.
    offered: Vec<usize>,
    /// How many are committed.
    for_log: usize,
}

#[derive(Debug)]
struct Want {
    author: NodeId,
    holders: Vec<NodeId>,
    questions: u32,
    /// Since when peers have been expected to send it.
    since: Option<Time>,
    /// When to ask next; `None` while the own store is asked.
    next: Option<Time>,
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
            timers: BTreeSet::new(),
            asked: 0,
            period: Time(0),
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
        self.wants.get(digest).is_some_and(|w| w.check || w.commit)
    }

    /// A block waits for it. It is probably under way, behind the proposal.
    pub(crate) fn for_check(&mut self, config: &Config, reference: &BatchRef, now: Time) {
        let patience = self.lateness.patience(reference.author);
        let at = now.plus(patience.max(config.fetch_delay));
        self.entry(reference, Some((now, at))).check = true;
    }
    /// It is committed. Whether the own store should be asked first; then `not_stored` follows.
    pub(crate) fn for_commit(&mut self, reference: &BatchRef) -> bool {
        let known = self.wants.contains_key(&reference.digest);
        let first = !std::mem::replace(&mut self.entry(reference, None).commit, true);
        self.for_log += usize::from(first);
        !known
    }
    /// The own store lacks it: ask peers.
    pub(crate) fn not_stored(&mut self, digest: &Digest, now: Time) {
        if let Some(want) = self.wants.get_mut(digest)
            && want.next.is_none()
        {
            let at = now.plus(self.lateness.patience(want.author));
            (want.since, want.next) = (Some(now), Some(at));
            self.timers.insert((at, *digest));
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
            let want = self.entry(r, Some((now, at)));
            want.holders.push(from);
            want.offer = Some(from);
        }
    }
    /// The blocks that waited for it no longer do.
    pub(crate) fn no_check(&mut self, digest: &Digest) {
        if let Some(want) = self.wants.get_mut(digest) {
            want.check = false;
            if !want.commit && want.offer.is_none() {
                self.remove(digest);
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
            self.timers.remove(&(next, *digest));
        }
        if let Some(from) = want.offer {
            self.offered[from.index()] -= 1;
        }
        self.for_log -= usize::from(want.commit);
    }
    /// A peer lacks it: ask the next at once, but each only once at that pace.
    pub(crate) fn not_held(&mut self, n: usize, digest: &Digest, now: Time) {
        let Some(want) = self.wants.get_mut(digest) else {
            return;
        };
        let Some(next) = want.next else { return };
        if want.questions > 0 && (want.questions as usize) < n {
            want.next = Some(now);
            self.timers.remove(&(next, *digest));
            self.timers.insert((now, *digest));
        }
    }

    /// Whom to ask now for what.
    pub(crate) fn due(&mut self, config: &Config, now: Time) -> BTreeMap<NodeId, Vec<Digest>> {
        let mut questions: BTreeMap<NodeId, Vec<Digest>> = BTreeMap::new();
        if now >= self.period.plus(config.fetch_retry) {
            self.asked = 0;
        }
        while self.asked < config.fetches
            && let Some(&(next, digest)) = self.timers.first()
        {
            if next > now {
                break;
            }
            self.timers.remove(&(next, digest));
            self.ask(config, now, digest, &mut questions);
        }
        questions
    }

    /// When `due` has something next.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Time> {
        let (next, _) = *self.timers.first()?;
        let free = if self.asked < config.fetches {
            Time(0)
        } else {
            self.period.plus(config.fetch_retry)
        };
        Some(next.max(free))
    }

    /// Asks one peer first, the author if he can be asked, then two at a time, round and round,
    /// at growing intervals.
    fn ask(
        &mut self,
        config: &Config,
        now: Time,
        digest: Digest,
        questions: &mut BTreeMap<NodeId, Vec<Digest>>,
    ) {
        let want = self
            .wants
            .get_mut(&digest)
            .expect("what has a timer is wanted");
        let needed = want.check || want.commit;
        if !needed && want.questions >= OFFER_PATIENCE {
            want.next = None;
            self.remove(&digest);
            return;
        }
        let peers = want.peers(config, &digest);
        let k = want.questions as usize;
        let round = if k == 0 { 0..1 } else { 2 * k - 1..2 * k + 1 };
        if !peers.is_empty() {
            for i in round.take(peers.len()) {
                questions
                    .entry(peers[i % peers.len()])
                    .or_default()
                    .push(digest);
            }
        }
        // Answers come as late as what is sent unasked.
        let pause = config.fetch_retry.plus(self.lateness.patience(want.author));
        let pause = pause.0.saturating_mul(1 << want.questions.min(5));
        want.questions = want.questions.saturating_add(1);
        let next = now.plus(Time(pause.max(1)));
        want.next = Some(next);
        if self.asked == 0 {
            self.period = now;
        }
        self.asked += 1;
        self.timers.insert((next, digest));
    }

    /// `asks`: since when it is expected, and when to ask for it.
    fn entry(&mut self, reference: &BatchRef, asks: Option<(Time, Time)>) -> &mut Want {
        self.wants.entry(reference.digest).or_insert_with(|| {
            if let Some((_, at)) = asks {
                self.timers.insert((at, reference.digest));
            }
            Want {
                author: reference.author,
                holders: Vec::new(),
                questions: 0,
                since: asks.map(|(since, _)| since),
                next: asks.map(|(_, at)| at),
                check: false,
                commit: false,
                offer: None,
            }
        })
    }
}

impl Want {
    /// All peers: the author, those that say they hold it, and the rest from a place that differs
    /// from batch to batch. Who offered it comes first while nobody needs it.
    fn peers(&self, config: &Config, digest: &Digest) -> Vec<NodeId> {
        let start = digest.0[0] as usize;
        let rest = (0..config.n).map(|i| NodeId(((start + i) % config.n) as u16));
        let mut peers: Vec<NodeId> = Vec::with_capacity(config.n);
        let first = self.offer.filter(|_| !self.check && !self.commit);
        let named = first
            .into_iter()
            .chain([self.author])
            .chain(self.holders.iter().copied());
        for peer in named.chain(rest) {
            if peer != config.me && !peers.contains(&peer) {
                peers.push(peer);
            }
        }
        peers
    }
}
