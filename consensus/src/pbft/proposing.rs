//! The primary's side of replication: when to assign a slot, and what.

use super::log::Accepted;
use super::message::{Draft, Message, PrePrepare};
use super::slot::{self, Assigned};
use super::{Out, Pbft};
use crate::common::Held;
use crate::{Ticket, To};
use crypto::{Height, Kind, Payload, Signature, Time};
use std::sync::Arc;

/// Most slots in flight, for slow networks and full slots; see [`super::pace`].
pub const PIPELINE: u64 = 8;
/// Slots whose messages are sent again when nothing moves, the lowest that are not committed.
const RESENT: usize = 2 * PIPELINE as usize;

impl Pbft {
    /// The next slot to assign: above all that the view holds already.
    pub(super) fn next_height(&self) -> Height {
        let known = self.log.committed().max(self.reach()).max(self.log.low());
        let in_view = |it: &(Height, &super::log::Slot)| it.1.accepted_in(self.view).is_some();
        let assigned = self.log.slots().rev().find(in_view);
        assigned
            .map_or(known, |(height, _)| known.max(height))
            .next()
    }
    /// The lowest slot of which something new can be heard. What is carried over is prepared again,
    /// committed or not, for those who lag.
    pub(super) fn lowest_open(&self) -> Height {
        let low = self.log.low();
        let settled = if self.reach() > low {
            low
        } else {
            self.log.committed()
        };
        settled.next()
    }
    /// Up to where nothing is in flight.
    fn settled(&self) -> Height {
        self.log.committed().max(self.log.low())
    }
    /// Whether this replica is to assign slots now.
    fn may_propose(&self) -> bool {
        let next = self.next_height();
        self.is_primary()
            && self.takes_part()
            && next <= self.log.high()
            && next.0 - self.settled().0 <= PIPELINE
            && self.replication.supply.is_there(self.log.committed())
    }
    /// When the next slot is due, if it is a matter of time.
    pub(super) fn propose_at(&self) -> Option<Time> {
        if self.replication.supply.is_asked() || !self.may_propose() {
            return None;
        }
        let in_flight = self.next_height() > self.settled().next();
        let linger = self.config.timing.linger;
        let pace = &self.replication.pace;
        pace.next(in_flight, self.config.block_bytes, linger)
    }

    pub(super) fn try_propose(&mut self, now: Time, out: &mut Out) {
        if self.replication.supply.is_asked()
            || !self.may_propose()
            || self.propose_at().is_some_and(|at| at > now)
        {
            return;
        }
        let ticket = self.replication.supply.ask();
        out.want_payload(
            ticket,
            self.next_height(),
            self.config.block_bytes,
            self.log.batches(),
        );
    }

    pub(super) fn on_payload(
        &mut self,
        now: Time,
        ticket: Ticket,
        payload: Payload,
        out: &mut Out,
    ) {
        let expected = self.replication.supply.answers(ticket);
        if !expected || !self.may_propose() {
            if !payload.is_empty() {
                out.give_back(payload);
            }
            return;
        }
        if payload.is_empty() {
            self.replication.supply.set_dry(true);
            let ordering = self.log.open().any(|(_, slot)| slot.is_open());
            // Work that fits into no slot, since it expires before: a null slot moves the height
            // on, and so ends it. Without, every primary would be given up for ever.
            if ordering || self.next_height() != self.log.committed().next() {
                return;
            }
        }
        let height = self.next_height();
        let bytes = u32::try_from(payload.bytes()).unwrap_or(u32::MAX);
        self.replication.pace.assigned(now, height, bytes);
        self.propose(height, &Arc::new(payload), out);
        if crypto::planted!(Equivocate) {
            self.pre_prepare(height, &Arc::new(Payload::EMPTY), To::All, out);
        }
    }

    /// Assigns a slot. The own pool has checked the payload.
    pub(super) fn propose(&mut self, height: Height, payload: &Arc<Payload>, out: &mut Out) {
        let view = self.view;
        let slot = self.log.slot(height);
        slot.accepted = Some(Accepted {
            view,
            digest: slot::content(payload),
            signature: Signature::NONE,
            held: Held::Yes,
        });
        self.store_payload(height, payload, Some(Signature::NONE), out);
        self.pre_prepare(height, payload, To::All, out);
    }

    fn pre_prepare(&self, height: Height, payload: &Arc<Payload>, to: To, out: &mut Out) {
        let it = PrePrepare {
            epoch: self.config.context.epoch,
            view: self.view,
            height,
            payload: Arc::clone(payload),
            author: self.me(),
            signature: Signature::NONE,
        };
        out.send(to, Draft(Message::PrePrepare(it)));
    }

    /// Sends again what it has said in the current view of slots above `from` that stand still.
    pub(super) fn say_again(&self, from: Height, to: To, out: &mut Out) {
        if !self.takes_part() {
            return;
        }
        let slots = self.log.slots().filter(|(height, _)| *height > from);
        for (height, slot) in slots.take(RESENT) {
            let Some(Accepted { digest, .. }) = slot.accepted_in(self.view) else {
                continue;
            };
            if self.is_primary()
                && let Some(payload) = slot.payload(digest)
            {
                self.pre_prepare(height, payload, to, out);
            }
            if slot.prepare_sent == self.view {
                self.send_vote(Kind::Prepare, height, *digest, to, out);
            }
            if slot.commit_sent == self.view {
                self.send_vote(Kind::Commit, height, *digest, to, out);
            }
        }
    }

    // ---- opening a view ----

    /// The primary of a new view assigns what is carried over, the slots that are not committed
    /// first. What it has never seen the payload of, it asks for.
    pub(super) fn carry_over(&mut self, now: Time, out: &mut Out) {
        if self.changes.to_carry.is_empty() || !self.takes_part() {
            return self.fetch_payloads(now, &[], out);
        }
        let committed = self.log.committed();
        let mut lacks = Vec::new();
        let (old, new): (Vec<Assigned>, Vec<Assigned>) = std::mem::take(&mut self.changes.to_carry)
            .into_iter()
            .partition(|it| it.height <= committed);
        for it in new.into_iter().chain(old) {
            if !self.log.keeps(it.height) {
                continue;
            }
            let known = self
                .log
                .get(it.height)
                .and_then(|slot| slot.payload(&it.digest));
            let payload = if it.digest == slot::null() {
                Some(Arc::new(Payload::EMPTY))
            } else {
                known.cloned()
            };
            match payload {
                Some(payload) => self.propose(it.height, &payload, out),
                None => lacks.push(it),
            }
        }
        self.fetch_payloads(now, &lacks, out);
        self.changes.to_carry = lacks;
    }

    /// What the lowest slot that stands still waits for.
    pub(super) fn stands_still(&self) -> Option<String> {
        let next = self.log.committed().next();
        let (view, primary) = (self.view, self.primary(self.view));
        if next > self.log.high() {
            return Some(format!(
                "slots up to {} are ordered: the checkpoint that lets more in is not stable",
                self.log.high()
            ));
        }
        let quorum = self.quorum();
        let Some(slot) = self.log.get(next) else {
            let by_other = primary != self.me() && self.replication.supply.pending().is_some();
            return by_other.then(|| {
                format!("view {view}: no pre-prepare of slot {next} from primary {primary}")
            });
        };
        let Some(accepted) = slot.accepted_in(view) else {
            return Some(format!(
                "view {view}: no pre-prepare of slot {next} from primary {primary}"
            ));
        };
        if slot.commit_sent == view {
            let commits = slot.commits_in(view);
            return Some(format!(
                "view {view}: slot {next} has {commits} of {quorum} commits"
            ));
        }
        if accepted.held == Held::Asked {
            return Some(format!("view {view}: payload of slot {next} is missing"));
        }
        let prepares = slot.prepares_for(&accepted.digest).count() + 1;
        Some(format!(
            "view {view}: slot {next} has {prepares} of {quorum} prepares"
        ))
    }
}
