//! Fetching slots that others have committed, and payloads that a new view needs.
//!
//! Only what a commit certificate proves is taken, so there is nothing that a liar could send but
//! slots that are committed.

use super::message::{CommittedSlot, Draft, FetchPayloads, FetchSlots, MAX_SLOTS, Message};
use super::message::{Payloads, Slots};
use super::proposing::PIPELINE;
use super::slot::{self, Assigned};
use super::{Out, Pbft};
use crate::{To, Token};
use crypto::{Height, NodeId, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A question under way.
#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: NodeId,
    from: Height,
    target: Height,
    deadline: Time,
}

/// What catching up remembers.
#[derive(Debug, Default)]
pub struct CatchUp {
    asked: Option<Asked>,
    /// Since when a slot is missing: phases of neighbouring slots overtake each other, and what is
    /// missing now mostly comes by itself.
    since: Option<Time>,
    /// When that has taken long enough.
    due: Option<Time>,
    /// Who answered last: asked first.
    hint: Option<NodeId>,
    /// Who was asked last.
    last: Option<NodeId>,
    /// Questions without a useful answer in a row.
    failed: usize,
    /// Up to where the last useful answer's sender has committed, as it says.
    reached: Height,
    /// When to ask for payloads of a new view again.
    payloads_at: Option<Time>,
    /// Loads under way for others: for whom, from which height.
    pub loads: BTreeMap<Token, (NodeId, Height)>,
    tokens: u64,
}

impl CatchUp {
    pub fn deadline(&self) -> Option<Time> {
        let asked = self.asked.map(|asked| asked.deadline);
        let due = self.due.filter(|_| asked.is_none());
        [asked, due, self.payloads_at].into_iter().flatten().min()
    }
    pub fn waiting(&self) -> Option<String> {
        let Asked {
            peer, from, target, ..
        } = self.asked?;
        Some(format!(
            "behind: fetching slots {from} to {target} from node {peer}"
        ))
    }
    /// A number for a question to the own store.
    pub fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
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

    /// Asks for what is missing; one question at a time, the next peer when one does not answer.
    pub(super) fn fetch_missing(&mut self, now: Time, out: &mut Out) {
        let Some(target) = self.missing() else {
            let catch_up = &mut self.catch_up;
            (catch_up.asked, catch_up.since, catch_up.due) = (None, None, None);
            catch_up.failed = 0;
            return;
        };
        let committed = self.log.committed();
        let patience = Time(self.config.timing.resend.0 / 8);
        let since = *self.catch_up.since.get_or_insert(now);
        match self.catch_up.asked {
            Some(asked) if asked.deadline > now => return,
            Some(_) => {
                self.catch_up.failed += 1;
                self.catch_up.reached = Height(0);
            }
            None => {
                let far = target.0 > committed.0.saturating_add(2 * PIPELINE)
                    || self.log.low() > committed
                    || self.catch_up.reached > committed;
                let due = since.plus(patience);
                if !far && due > now {
                    self.catch_up.due = Some(due);
                    return;
                }
            }
        }
        self.catch_up.due = None;
        let Some(peer) = self.next_peer() else {
            return;
        };
        let from = committed.next();
        self.catch_up.asked = Some(Asked {
            peer,
            from,
            target,
            deadline: now.plus(self.config.timing.resend),
        });
        let epoch = self.config.context.epoch;
        let fetch = FetchSlots { epoch, from };
        out.send(To::One(peer), Draft(Message::FetchSlots(fetch)));
    }

    /// Whom to ask: who answered last, and after a failure the others in turn.
    fn next_peer(&mut self) -> Option<NodeId> {
        let hint = self.catch_up.hint.filter(|_| self.catch_up.failed == 0);
        let peer = hint.or_else(|| {
            let others: Vec<NodeId> = self.peers().collect();
            let after = |last: NodeId| others.iter().position(|peer| *peer == last).map(|i| i + 1);
            let turn = self.catch_up.last.and_then(after).unwrap_or(0);
            others.get(turn % others.len().max(1)).copied()
        });
        self.catch_up.last = peer;
        peer
    }

    /// Whatever is proven is taken, asked for or not.
    pub(super) fn on_slots(&mut self, from: NodeId, answer: Slots) {
        self.catch_up.asked.take_if(|asked| asked.peer == from);
        let committed = self.log.committed();
        let mut next = committed.next();
        let mut fresh = false;
        for CommittedSlot {
            payload,
            certificate,
        } in answer.slots
        {
            let Assigned { height, digest, .. } = certificate.assigned;
            if height <= committed || (height != next && !self.log.keeps(height)) {
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
        if fresh {
            self.catch_up.failed = 0;
            self.catch_up.hint = Some(from);
            self.catch_up.reached = answer.reached;
        } else {
            self.catch_up.failed += 1;
            self.catch_up.reached = Height(0);
        }
    }

    // ---- payloads of a new view ----

    /// Asks all for payloads that this replica has to assign, now and then.
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
        let fetch = FetchPayloads {
            epoch: self.config.context.epoch,
            wanted: wanted.take(MAX_SLOTS).collect(),
        };
        out.send(To::Others, Draft(Message::FetchPayloads(fetch)));
    }

    /// Takes what it has asked for: a payload is what its digest says.
    pub(super) fn on_payloads(&mut self, answer: Payloads) {
        let lacks = &self.changes.to_carry;
        let wanted = |(height, payload): &(Height, Arc<crypto::Payload>)| {
            let digest = slot::content(payload);
            lacks
                .iter()
                .any(|it| (it.height, it.digest) == (*height, digest))
        };
        let wanted: Vec<_> = answer.payloads.into_iter().filter(wanted).collect();
        for (height, payload) in wanted {
            let digest = slot::content(&payload);
            let slot = self.log.slot(height);
            slot.payloads.entry(digest).or_insert((payload, false));
        }
    }
}
