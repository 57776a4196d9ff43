//! The slots between the watermarks, and how far they are committed.
//!
//! Slots are kept from the last stable checkpoint on, the committed ones too: what is not stable may
//! have to be shown in a view change. They are kept up to one interval of checkpoints beyond the high
//! watermark, though nothing is done there: others may have seen the checkpoint move a little earlier.

use super::certificate::{CommitCertificate, Prepared};
use super::message::Vote;
use super::rules;
use crate::common::Held;
use crate::replica::StableCheckpoint;
use crypto::{Digest, Height, NodeId, Payload, Signature, Size, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of how many views a member's commits for one slot are kept, the highest: commits of any view
/// count, but only those of one view with each other.
const COMMIT_VIEWS: usize = 2;

/// The pre-prepare accepted in the current view.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    pub view: View,
    pub digest: Digest,
    /// The primary's; [`Signature::NONE`] for the own one until it comes back through the fence.
    pub signature: Signature,
    pub held: Held,
}

/// A slot.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    pub accepted: Option<Accepted>,
    /// Payloads by digest; whether each is stored.
    pub payloads: BTreeMap<Digest, (Arc<Payload>, bool)>,
    /// The first prepare of each backup in the current view.
    pub prepares: BTreeMap<NodeId, Vote>,
    /// The same of a later view, of each the latest.
    pub ahead: BTreeMap<NodeId, Vote>,
    commits: BTreeMap<NodeId, Vec<Vote>>,
    /// The prepared certificate of the highest view.
    pub prepared: Option<Arc<Prepared>>,
    /// Why it is committed.
    pub committed: Option<Arc<CommitCertificate>>,
    /// In which view this replica has prepared it last.
    pub prepare_sent: View,
    /// In which view it has committed it last.
    pub commit_sent: View,
}

impl Slot {
    /// A payload by what stands for it.
    pub fn payload(&self, digest: &Digest) -> Option<&Arc<Payload>> {
        self.payloads.get(digest).map(|(payload, _)| payload)
    }
    /// What is accepted in this view.
    pub fn accepted_in(&self, view: View) -> Option<&Accepted> {
        self.accepted.as_ref().filter(|it| it.view == view)
    }
    /// How many backups have prepared this digest in the current view.
    pub fn prepares_for(&self, digest: &Digest) -> impl Iterator<Item = &Vote> {
        let digest = *digest;
        self.prepares
            .values()
            .filter(move |it| it.assigned.digest == digest)
    }
    /// Keeps a commit, the first of its author in its view. Returns the first if this one
    /// contradicts it.
    pub fn add_commit(&mut self, vote: Vote) -> Option<Vote> {
        let of_author = self.commits.entry(vote.author).or_default();
        let same_view = |it: &&Vote| it.assigned.view == vote.assigned.view;
        if let Some(first) = of_author.iter().find(same_view) {
            return (first.assigned != vote.assigned).then_some(*first);
        }
        of_author.push(vote);
        of_author.sort_unstable_by_key(|it| std::cmp::Reverse(it.assigned.view));
        of_author.truncate(COMMIT_VIEWS);
        None
    }
    /// The commits that agree with this one.
    pub fn commits_like(&self, vote: &Vote) -> Vec<(NodeId, Signature)> {
        let all = self.commits.values().flatten();
        all.filter(|it| it.assigned == vote.assigned)
            .map(|it| (it.author, it.signature))
            .collect()
    }
    /// The most commits of one member.
    fn most_commits(&self) -> usize {
        self.commits.values().map(Vec::len).max().unwrap_or(0)
    }
    /// How many commits are kept.
    #[cfg(test)]
    pub fn commits_kept(&self) -> usize {
        self.commits.values().map(Vec::len).sum()
    }
    /// How many members have said something of the kind in this view.
    pub fn commits_in(&self, view: View) -> usize {
        let in_view = |votes: &&Vec<Vote>| votes.iter().any(|it| it.assigned.view == view);
        self.commits.values().filter(in_view).count()
    }
    /// Whether there is something here that a primary has to order.
    pub fn is_open(&self) -> bool {
        let payload = |digest: &Digest| self.payload(digest).is_none_or(|it| !it.is_empty());
        let accepted = self.accepted.as_ref().map(|it| it.digest);
        accepted.is_some_and(|it| payload(&it)) || self.committed.is_some()
    }
    /// A new view: votes of the old one count no more; of payloads only those stay in memory that a
    /// certificate names which is known here. Returns the payload that lost its place.
    pub fn enter(&mut self, view: View, carried: Option<Digest>) -> Option<Arc<Payload>> {
        let accepted = self.accepted.take();
        let ahead = std::mem::take(&mut self.ahead);
        let (now, later) = ahead
            .into_iter()
            .filter(|(_, it)| it.assigned.view >= view)
            .partition(|(_, it)| it.assigned.view == view);
        (self.prepares, self.ahead) = (now, later);
        let lost = accepted
            .map(|it| it.digest)
            .filter(|it| Some(*it) != carried && self.committed.is_none())
            .and_then(|it| self.payload(&it).cloned());
        self.prune(carried);
        lost.filter(|it| !it.is_empty())
    }
    /// Drops payloads that nothing here names.
    fn prune(&mut self, carried: Option<Digest>) {
        let named = [
            carried,
            self.accepted.as_ref().map(|it| it.digest),
            self.prepared.as_ref().map(|it| it.assigned.digest),
            self.committed.as_ref().map(|it| it.assigned.digest),
        ];
        self.payloads.retain(|it, _| named.contains(&Some(*it)));
    }
}

/// The log.
#[derive(Debug)]
pub struct Log {
    /// How far checkpoints are apart. Before the shell has said it, nothing is between the watermarks:
    /// what is promised beyond them might not be shown in a view change.
    interval: u64,
    /// The highest stable checkpoint known; its height is the low watermark.
    stable: Option<Arc<StableCheckpoint>>,
    slots: BTreeMap<Height, Slot>,
    height: Height,
    history: Digest,
    /// Why `height` is committed; none at genesis.
    last: Option<Arc<CommitCertificate>>,
}

impl Log {
    /// Without slots.
    pub fn new(height: Height, history: Digest, last: Option<Arc<CommitCertificate>>) -> Self {
        Self {
            interval: 0,
            stable: None,
            slots: BTreeMap::new(),
            height,
            history,
            last,
        }
    }
    /// The interval of checkpoints.
    pub fn interval(&self) -> u64 {
        self.interval
    }
    /// Sets it.
    pub fn set_interval(&mut self, every: u64) {
        self.interval = every;
    }
    /// The stable checkpoint.
    pub fn stable(&self) -> Option<&Arc<StableCheckpoint>> {
        self.stable.as_ref()
    }
    /// The low watermark.
    pub fn low(&self) -> Height {
        self.stable.as_ref().map_or(Height(0), |it| it.height)
    }
    /// The high watermark.
    pub fn high(&self) -> Height {
        rules::high_watermark(self.low(), self.interval)
    }
    /// Up to where slots are kept.
    pub fn beyond(&self) -> Height {
        let more = if crypto::planted!(EndlessWindow) {
            1 << 20
        } else {
            self.interval
        };
        Height(self.high().0.saturating_add(more))
    }
    /// Whether something may be done in this slot.
    pub fn in_window(&self, height: Height) -> bool {
        rules::in_window(self.low(), self.interval, height)
    }
    /// Whether what is said of this slot is kept.
    pub fn keeps(&self, height: Height) -> bool {
        height > self.low() && height <= self.beyond()
    }
    /// The highest committed height.
    pub fn committed(&self) -> Height {
        self.height
    }
    /// `history` there.
    pub fn history(&self) -> Digest {
        self.history
    }
    /// Why it is committed.
    pub fn last(&self) -> Option<&Arc<CommitCertificate>> {
        self.last.as_ref()
    }
    /// A slot of which something is known.
    pub fn get(&self, height: Height) -> Option<&Slot> {
        self.slots.get(&height)
    }
    /// A slot; the caller knows that it is kept, or was stored.
    pub fn slot(&mut self, height: Height) -> &mut Slot {
        self.slots.entry(height).or_default()
    }
    /// A slot of which something is known.
    pub fn get_mut(&mut self, height: Height) -> Option<&mut Slot> {
        self.slots.get_mut(&height)
    }
    /// All slots, ascending.
    pub fn slots(&self) -> impl DoubleEndedIterator<Item = (Height, &Slot)> {
        self.slots.iter().map(|(height, slot)| (*height, slot))
    }
    /// All slots, ascending.
    pub fn slots_mut(&mut self) -> impl Iterator<Item = (Height, &mut Slot)> {
        self.slots.iter_mut().map(|(height, slot)| (*height, slot))
    }
    /// The slots that are not committed yet, ascending.
    pub fn open(&self) -> impl DoubleEndedIterator<Item = (Height, &Slot)> {
        let open = self.slots.range(self.height.next()..);
        open.map(|(height, slot)| (*height, slot))
    }
    /// The digests of all batches in slots that are not committed.
    pub fn batches(&self) -> Vec<Digest> {
        let payloads = self.open().flat_map(|(_, slot)| slot.payloads.values());
        let mut batches = Vec::new();
        for (payload, _) in payloads {
            if let Payload::Refs(refs) = &**payload {
                batches.extend(refs.iter().map(|it| it.digest));
            }
        }
        batches
    }
    /// Commits the next slot, at most at `reach`, if it is known to be committed and its payload is
    /// here.
    pub fn commit_next(
        &mut self,
        reach: Height,
    ) -> Option<(Arc<Payload>, Arc<CommitCertificate>, Digest)> {
        let height = self.height.next();
        if height > reach {
            return None;
        }
        let slot = self.slots.get(&height)?;
        let certificate = Arc::clone(slot.committed.as_ref()?);
        let payload = Arc::clone(slot.payload(&certificate.assigned.digest)?);
        self.history = payload.extend_history(&self.history, height);
        self.height = height;
        self.last = Some(Arc::clone(&certificate));
        Some((payload, certificate, self.history))
    }
    /// Takes note of a stable checkpoint; returns whether the watermarks move.
    pub fn stabilise(&mut self, stable: &Arc<StableCheckpoint>) -> bool {
        let moves = stable.height > self.low();
        if moves {
            self.stable = Some(Arc::clone(stable));
            self.collect_garbage();
        }
        moves
    }
    /// Forgets slots that are stable, once they are committed here. Whoever lags hears of one stable
    /// checkpoint after the other: of what lies below them it keeps a window's worth, those that it
    /// commits next, and fetches the others when it comes to them.
    pub fn collect_garbage(&mut self) {
        if crypto::planted!(HoardVotes) {
            return;
        }
        let covered = self.low().min(self.height);
        self.slots = self.slots.split_off(&covered.next());
        let (low, next) = (
            self.low(),
            Height(self.height.0.saturating_add(self.kept())),
        );
        self.slots
            .retain(|height, _| *height <= next || *height > low);
    }
    /// How many slots lie between the low watermark and the end of what is kept.
    fn kept(&self) -> u64 {
        self.beyond().0 - self.low().0
    }
    /// The most slots that are kept: those of the window, and as many for one who lags.
    pub fn most_slots(&self) -> usize {
        usize::try_from(self.kept().saturating_mul(2)).unwrap_or(usize::MAX)
    }
    /// Of how many slots something is kept, and how many commits of one.
    pub fn sizes(&self, into: &mut Vec<Size>) {
        let commits = self.slots.values().map(Slot::most_commits).max();
        into.extend([
            Size::new("slots", self.slots.len(), self.most_slots()),
            Size::new("commits of one", commits.unwrap_or(0), COMMIT_VIEWS),
        ]);
    }
}
