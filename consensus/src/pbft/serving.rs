//! Serving those who lag, from memory or from what is stored.

use super::message::{CommittedSlot, Draft, FetchPayloads, FetchSlots, MAX_SLOTS, Message};
use super::message::{Payloads, Slots};
use super::record::Record;
use super::{Out, Pbft, slot};
use crate::{Loaded, To};
use crypto::{Digest, Height, NodeId, Payload};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most encoded bytes of payloads in one answer, about.
const MAX_BYTES: usize = 1 << 20;
/// Most signatures in one answer: the receiver has to check them.
const MAX_SIGNATURES: usize = 4096;

impl Pbft {
    pub(super) fn on_fetch_slots(&mut self, from: NodeId, fetch: FetchSlots, out: &mut Out) {
        if from != self.me() {
            self.serve_slots(from, fetch.from, out);
        }
    }

    /// Answers with committed slots from a height up.
    pub(super) fn serve_slots(&mut self, to: NodeId, from: Height, out: &mut Out) {
        if crypto::planted!(NoCatchUp) {
            return;
        }
        let committed = self.log.committed();
        if from > committed || self.log.get(from).is_some_and(|it| it.committed.is_some()) {
            return self.send_slots(to, from, Vec::new(), out);
        }
        // One load at a time for each peer; it may well ask again before its answer comes.
        if self.catch_up.loads.values().any(|(peer, _)| *peer == to) {
            return;
        }
        let token = self.catch_up.token();
        self.catch_up.loads.insert(token, (to, from));
        let end = Height(from.0.saturating_add(self.most_slots() as u64));
        out.load(token, from..end.min(committed.next()));
    }

    fn most_slots(&self) -> usize {
        (MAX_SIGNATURES / self.quorum()).clamp(1, MAX_SLOTS)
    }

    pub(super) fn on_loaded(&mut self, loaded: Loaded<Self>, out: &mut Out) {
        let Some((peer, from)) = self.catch_up.loads.remove(&loaded.token) else {
            return self.on_own_slots(&loaded);
        };
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
        while let Some(certificate) = certificates.remove(&height)
            && let Some(payload) = payloads.remove(&(height, certificate.assigned.digest))
        {
            slots.push(CommittedSlot {
                payload,
                certificate,
            });
            height = height.next();
        }
        self.send_slots(peer, from, slots, out);
    }

    /// Answers with `slots` from `from` up, followed by those in memory, as far as the limits go.
    fn send_slots(&self, to: NodeId, from: Height, slots: Vec<CommittedSlot>, out: &mut Out) {
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
            bytes = bytes.saturating_add(size(&it.payload));
            bytes <= MAX_BYTES
        };
        let keep = slots
            .iter()
            .take(self.most_slots())
            .take_while(fits)
            .count();
        slots.truncate(keep.max(1));
        let answer = Slots { slots, reached };
        out.send(To::One(to), Draft(Message::Slots(answer)));
    }

    /// Tells payloads to the primary of a new view.
    pub(super) fn on_fetch_payloads(&self, from: NodeId, fetch: &FetchPayloads, out: &mut Out) {
        if from == self.me() {
            return;
        }
        let mut bytes = 0usize;
        let known = fetch.wanted.iter().filter_map(|(height, digest)| {
            let payload = self.log.get(*height)?.payload(digest)?;
            Some((*height, Arc::clone(payload)))
        });
        let payloads: Vec<_> = known
            .take_while(|(_, payload)| {
                let first = bytes == 0;
                bytes = bytes.saturating_add(size(payload));
                first || bytes <= MAX_BYTES
            })
            .collect();
        if !payloads.is_empty() {
            let epoch = self.config.context.epoch;
            let answer = Payloads { epoch, payloads };
            out.send(To::One(from), Draft(Message::Payloads(answer)));
        }
    }
}

/// About how long a payload's encoding is, in bytes.
fn size(payload: &Payload) -> usize {
    payload.encoded_bytes() + 64
}
