//! Fetching slots that others have committed and payloads that a new view needs, and serving them.
//!
//! Only what a commit certificate proves is taken, so there is nothing that a liar could send but
//! slots that are committed.

use super::message::{CommittedSlot, Draft, FetchPayloads, FetchSlots, MAX_SLOTS, Message};
use super::message::{Payloads, Slots};
use super::proposing::PIPELINE;
use super::record::Record;
use super::slot::{self, Assigned};
use super::{Out, Pbft};
use crate::common::{ANSWER_BYTES, Brought, Fetching, Loads, Serving};
use crate::{Loaded, RecordKey, Selection, To, Token};
use crypto::{Digest, Height, NodeId, Payload, Size, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most signatures in one answer: the receiver has to check them.
const MAX_SIGNATURES: usize = 4096;

/// What catching up remembers.
#[derive(Debug, Default)]
pub struct CatchUp {
    pub fetching: Fetching,
    /// Since when a slot is missing: phases of neighbouring slots overtake each other, and what is
    /// missing now mostly comes by itself.
    since: Option<Time>,
    /// When that has taken long enough.
    due: Option<Time>,
    /// Up to where the last useful answer's sender has committed, as it says.
    reached: Height,
    /// When to ask for payloads of a new view again.
    payloads_at: Option<Time>,
    pub loads: Loads,
    /// Payloads of a new view that are looked for in the own store, and for whom.
    looking: BTreeMap<Token, NodeId>,
    /// When each peer was sent slots last, and up to which.
    served: BTreeMap<NodeId, (Time, Height)>,
}

impl CatchUp {
    /// Whom it serves.
    pub fn sizes(&self, peers: usize, into: &mut Vec<Size>) {
        self.loads.sizes(peers, into);
        into.push(Size::new("payload lookups", self.looking.len(), peers));
        into.push(Size::new("served", self.served.len(), peers));
    }
    pub fn deadline(&self) -> Option<Time> {
        let asked = self.fetching.deadline();
        let due = self.due.filter(|_| asked.is_none());
        [asked, due, self.payloads_at].into_iter().flatten().min()
    }
}

impl Pbft {
    /// Up to where slots are known to be committed that cannot be committed here.
    fn missing(&self) -> Option<Height> {
        let certified = self.log.open().rev().find(|(_, it)| it.committed.is_some());
        let certified = certified.map_or(Height(0), |(height, _)| height);
        let target = certified.max(self.log.low()).max(self.catch_up.reached);
        (target > self.log.committed()).then_some(target)
    }

    /// Whether slots are missing that are not asked for until more of what is committed is executed.
    pub(super) fn is_full(&self) -> bool {
        let supply = &self.replication.supply;
        self.missing().is_some() && !supply.has_room(self.log.committed(), self.most_slots())
    }

    /// Asks for what is missing; one question at a time, the next peer when one does not answer.
    pub(super) fn fetch_missing(&mut self, now: Time, out: &mut Out) {
        let full = self.log.committed() >= self.replication.supply.reach();
        let Some(target) = self.missing().filter(|_| !full) else {
            let catch_up = &mut self.catch_up;
            (catch_up.since, catch_up.due) = (None, None);
            return catch_up.fetching.stop();
        };
        let committed = self.log.committed();
        let patience = Time(self.config.timing.resend.0 / 8);
        let since = *self.catch_up.since.get_or_insert(now);
        if self.catch_up.fetching.ran_out(now) {
            self.catch_up.reached = Height(0);
        } else if self.catch_up.fetching.is_asked() {
            return;
        } else {
            let far = target.0 > committed.0.saturating_add(2 * PIPELINE)
                || self.log.low() > committed
                || self.catch_up.reached > committed;
            let due = since.plus(patience);
            if !far && due > now {
                self.catch_up.due = Some(due);
                return;
            }
        }
        self.catch_up.due = None;
        if self.is_full() {
            return self.catch_up.fetching.stop();
        }
        let from = committed.next();
        let fetching = &mut self.catch_up.fetching;
        let Some((peer, from)) = fetching.ask(now, from, target, &self.config) else {
            return;
        };
        let epoch = self.config.context.epoch;
        let fetch = FetchSlots { epoch, from };
        out.send(To::One(peer), Draft(Message::FetchSlots(fetch)));
    }

    /// Whether an answer holds about as much as one may, or all that its sender has. A liar that sends
    /// slot by slot would hold up whoever relies on it.
    fn is_whole(&self, answer: &Slots) -> bool {
        let bytes: usize = answer.slots.iter().map(slot_size).sum();
        let last = answer.slots.last().map(|it| it.certificate.assigned.height);
        last >= Some(answer.reached)
            || answer.slots.len() >= self.most_slots() / 2
            || bytes >= ANSWER_BYTES / 2
    }

    /// Whatever is proven is taken, asked for or not, as far as it may be kept.
    pub(super) fn on_slots(&mut self, from: NodeId, answer: Slots) {
        let (committed, reach) = (self.log.committed(), self.replication.supply.reach());
        let beyond = self.log.beyond().min(reach);
        let whole = self.is_whole(&answer);
        let mut next = committed.next();
        let mut fresh = false;
        for CommittedSlot {
            payload,
            certificate,
        } in answer.slots
        {
            let Assigned { height, digest, .. } = certificate.assigned;
            let follows = height == next || self.log.keeps(height);
            if height <= committed || height > beyond || !follows {
                continue;
            }
            if height == next {
                next = next.next();
            }
            let slot = self.log.slot(height);
            fresh |= slot.committed.is_none() || slot.payload(&digest).is_none();
            slot.committed.get_or_insert(certificate);
            slot.payloads.entry(digest).or_insert((payload, false));
        }
        let brought = match (fresh, whole) {
            (false, _) => Brought::Nothing,
            (true, false) => Brought::Little,
            (true, true) => Brought::Enough,
        };
        self.catch_up.fetching.answered(from, brought);
        self.catch_up.reached = if fresh { answer.reached } else { Height(0) };
    }

    // ---- payloads of a new view ----

    /// Looks for payloads that this replica has to assign, now and then: in its own store and with all
    /// others.
    pub(super) fn fetch_payloads(&mut self, now: Time, lacks: &[Assigned], out: &mut Out) {
        if lacks.is_empty() {
            self.catch_up.payloads_at = None;
            return;
        }
        if self.catch_up.payloads_at.is_some_and(|at| at > now) {
            return;
        }
        self.catch_up.payloads_at = Some(now.plus(self.config.timing.resend));
        let wanted = lacks.iter().map(|it| (it.height, it.digest));
        let wanted: Vec<_> = wanted.take(MAX_SLOTS).collect();
        self.look_up(self.me(), &wanted, out);
        let fetch = FetchPayloads {
            epoch: self.config.context.epoch,
            wanted,
        };
        out.send(To::Others, Draft(Message::FetchPayloads(fetch)));
    }

    /// Takes what it has asked for: a payload is what its digest says.
    pub(super) fn on_payloads(&mut self, payloads: Vec<(Height, Arc<Payload>)>) {
        let lacks = &self.changes.to_carry;
        let wanted = |(height, payload): &(Height, Arc<Payload>)| {
            let digest = slot::content(payload);
            lacks
                .iter()
                .any(|it| (it.height, it.digest) == (*height, digest))
        };
        let wanted: Vec<_> = payloads.into_iter().filter(wanted).collect();
        for (height, payload) in wanted {
            let digest = slot::content(&payload);
            let slot = self.log.slot(height);
            slot.payloads.entry(digest).or_insert((payload, false));
        }
    }

    /// What was accepted lies in the store, though a later view did not carry it over and nothing in
    /// memory names it any more. One look at a time for each peer.
    fn look_up(&mut self, peer: NodeId, wanted: &[(Height, Digest)], out: &mut Out) {
        let CatchUp { looking, loads, .. } = &mut self.catch_up;
        if !wanted.is_empty() && looking.values().all(|other| *other != peer) {
            let token = loads.token();
            looking.insert(token, peer);
            let keys = wanted
                .iter()
                .map(|(height, digest)| RecordKey::At(*height, *digest));
            out.load(token, Selection::Keys(keys.collect()));
        }
    }

    /// The store's answer to [`Pbft::look_up`]; the rest comes when it is asked for again.
    fn on_looked_up(&mut self, peer: NodeId, records: Vec<Record>, out: &mut Out) {
        let payloads = records.into_iter().filter_map(|record| match record {
            Record::Accepted(it) => Some((it.height, it.payload)),
            _ => None,
        });
        let payloads = payloads.collect();
        if peer == self.me() {
            self.on_payloads(payloads);
        } else {
            self.tell_payloads(peer, payloads, out);
        }
    }

    // ---- serving ----

    pub(super) fn on_fetch_slots(
        &mut self,
        now: Time,
        from: NodeId,
        fetch: FetchSlots,
        out: &mut Out,
    ) {
        if from != self.me() {
            self.serve_slots(now, from, fetch.from, out);
        }
    }

    /// Answers with committed slots from a height up, and first with the stable checkpoint, by which
    /// they may be kept. Slots that a peer was sent already it gets again after a while only, so what
    /// it may ask for in that time is what is committed here, once.
    pub(super) fn serve_slots(&mut self, now: Time, to: NodeId, from: Height, out: &mut Out) {
        if crypto::planted!(NoCatchUp) {
            return;
        }
        let committed = self.log.committed();
        if from > committed {
            return self.send_slots(to, from, Vec::new(), out);
        }
        let gap = Time(self.config.timing.resend.0 / 8);
        let served = self.catch_up.served.get(&to);
        if served.is_some_and(|(at, last)| now < at.plus(gap) && from <= *last) {
            return;
        }
        self.catch_up.served.insert(to, (now, from));
        self.show_stable(to, out);
        if self.log.get(from).is_some_and(|it| it.committed.is_some()) {
            return self.send_slots(to, from, Vec::new(), out);
        }
        // It may well ask again before its answer comes.
        let Some(token) = self.catch_up.loads.serve(to, from) else {
            return;
        };
        let end = Height(from.0.saturating_add(self.most_slots() as u64));
        let heights = from..end.min(committed.next());
        out.load(token, Selection::Heights(heights));
    }

    fn most_slots(&self) -> usize {
        (MAX_SIGNATURES / self.quorum()).clamp(1, MAX_SLOTS)
    }

    pub(super) fn on_loaded(&mut self, loaded: Loaded<Self>, out: &mut Out) {
        if let Some(peer) = self.catch_up.looking.remove(&loaded.token) {
            return self.on_looked_up(peer, loaded.records, out);
        }
        let Some(serving) = self.catch_up.loads.served(loaded.token) else {
            return self.on_own_slots(&loaded);
        };
        let Serving { peer, from, .. } = serving;
        let mut payloads: BTreeMap<(Height, Digest), Arc<Payload>> = BTreeMap::new();
        let mut certificates = BTreeMap::new();
        for record in loaded.records {
            match record {
                Record::Accepted(it) => {
                    let digest = slot::content(&it.payload);
                    payloads.insert((it.height, digest), it.payload);
                }
                Record::Committed(it) => {
                    certificates.insert(it.assigned.height, it);
                }
                Record::Prepared(_) | Record::ViewChange(_) | Record::NewView(_) => {}
            }
        }
        let mut slots = Vec::new();
        let mut height = from;
        while let Some(certificate) = certificates.get(&height)
            && let Some(payload) = payloads.remove(&(height, certificate.assigned.digest))
        {
            slots.push(CommittedSlot {
                payload,
                certificate: Arc::clone(certificate),
            });
            height = height.next();
        }
        if slots.is_empty()
            && let Some(certificate) = certificates.remove(&from)
            && let Some(token) = self.catch_up.loads.look_closer(serving, 1)
        {
            let payload = RecordKey::At(from, certificate.assigned.digest);
            let commit = crate::Record::key(&Record::Committed(certificate));
            return out.load(token, Selection::Keys(vec![commit, payload]));
        }
        self.send_slots(peer, from, slots, out);
    }

    /// Answers with `slots` from `from` up, followed by those in memory, as far as the limits go.
    fn send_slots(&mut self, to: NodeId, from: Height, slots: Vec<CommittedSlot>, out: &mut Out) {
        let mut slots = slots;
        let reached = self.log.committed();
        let mut height = Height(from.0.saturating_add(slots.len() as u64));
        while height <= reached
            && let Some(slot) = self.log.get(height)
            && let Some(certificate) = &slot.committed
            && let Some(payload) = slot.payload(&certificate.assigned.digest)
            && slots.len() < self.most_slots()
        {
            slots.push(CommittedSlot {
                payload: Arc::clone(payload),
                certificate: Arc::clone(certificate),
            });
            height = height.next();
        }
        let mut bytes = 0usize;
        let fits = |it: &&CommittedSlot| {
            bytes = bytes.saturating_add(slot_size(it));
            bytes <= ANSWER_BYTES
        };
        let keep = slots
            .iter()
            .take(self.most_slots())
            .take_while(fits)
            .count();
        slots.truncate(keep.max(1));
        if let (Some(last), Some((_, served))) = (slots.last(), self.catch_up.served.get_mut(&to)) {
            *served = last.certificate.assigned.height;
        }
        let answer = Slots { slots, reached };
        out.send(To::One(to), Draft(Message::Slots(answer)));
    }

    /// Tells payloads to the primary of a new view.
    pub(super) fn on_fetch_payloads(
        &mut self,
        now: Time,
        from: NodeId,
        fetch: &FetchPayloads,
        out: &mut Out,
    ) {
        if from == self.me() || !self.timers.told.is_due(now, from) {
            return;
        }
        let (mut known, mut lacks) = (Vec::new(), Vec::new());
        for (height, digest) in &fetch.wanted {
            let slot = self.log.get(*height);
            match slot.and_then(|slot| slot.payload(digest)) {
                Some(payload) => known.push((*height, Arc::clone(payload))),
                None if self.log.keeps(*height) => lacks.push((*height, *digest)),
                None => {}
            }
        }
        self.tell_payloads(from, known, out);
        self.look_up(from, &lacks, out);
    }

    fn tell_payloads(&self, to: NodeId, payloads: Vec<(Height, Arc<Payload>)>, out: &mut Out) {
        let mut bytes = 0usize;
        let fits = |(_, payload): &(Height, Arc<Payload>)| {
            let first = bytes == 0;
            bytes = bytes.saturating_add(size(payload));
            first || bytes <= ANSWER_BYTES
        };
        let payloads: Vec<_> = payloads.into_iter().take_while(fits).collect();
        if !payloads.is_empty() {
            let epoch = self.config.context.epoch;
            let answer = Payloads { epoch, payloads };
            out.send(To::One(to), Draft(Message::Payloads(answer)));
        }
    }
}

/// About how long a payload's encoding is, in bytes.
fn size(payload: &Payload) -> usize {
    payload.encoded_bytes() + 64
}

/// How long the encoding of a slot with its certificate is at most, in bytes.
fn slot_size(slot: &CommittedSlot) -> usize {
    let signatures = slot.certificate.certificate.signatures.len();
    size(&slot.payload) + 64 * signatures + 128
}
