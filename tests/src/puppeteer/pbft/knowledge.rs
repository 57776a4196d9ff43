//! What the liars know of a play: who has truly signed what, and what can be made of it; and what
//! honest members have sent, which reaches others when the liars like.

use super::super::judge::Judge;
use super::super::rare::{Rare, Rares};
use super::super::stage::Camp;
use super::super::troupe::Troupe;
use super::craft;
use consensus::To;
use consensus::pbft::{Assigned, CommitCertificate, Message, NewView, Pbft, Prepared, ViewChange};
use crypto::{Digest, NodeId, Payload};
use std::sync::Arc;

/// A content of a slot in a view.
pub struct Known {
    pub assigned: Assigned,
    /// Who has truly signed a pre-prepare or prepare of it, as bits.
    prepared_by: u32,
    /// Who has truly signed a commit.
    committed_by: u32,
    pub prepared: Option<Arc<Prepared>>,
    pub committed: Option<Arc<CommitCertificate>>,
}

/// Something sent.
pub struct Mail {
    pub from: u16,
    pub message: Message,
    /// Whom it has not reached.
    pub left: Camp,
}

/// See the module.
pub struct Knowledge {
    pub slots: Vec<Known>,
    payloads: Vec<(Digest, Arc<Payload>)>,
    /// True view changes.
    pub changes: Vec<ViewChange>,
    pub opened: Vec<Arc<NewView>>,
    pub mail: Vec<Mail>,
    honest: usize,
    rares: Rares,
}

/// Messages that are kept; the oldest goes first.
const MAIL: usize = 160;

impl Knowledge {
    pub fn new(honest: usize) -> Self {
        Self {
            slots: Vec::new(),
            payloads: Vec::new(),
            changes: Vec::new(),
            opened: Vec::new(),
            mail: Vec::new(),
            honest,
            rares: Rares::default(),
        }
    }
    pub fn payload(&self, digest: &Digest) -> Option<&Arc<Payload>> {
        let found = self.payloads.iter().find(|(known, _)| known == digest);
        found.map(|(_, payload)| payload)
    }
    /// Takes note of a payload.
    pub fn learn(&mut self, digest: Digest, payload: &Arc<Payload>) {
        if self.payload(&digest).is_none() {
            self.payloads.push((digest, Arc::clone(payload)));
        }
    }
    /// True view changes for a view.
    pub fn changes_for(&self, view: u64) -> impl Iterator<Item = &ViewChange> {
        self.changes
            .iter()
            .filter(move |it| it.change.view.0 == view)
    }
    /// The last that opened a view.
    pub fn opened_as(&self, view: u64) -> Option<&Arc<NewView>> {
        self.opened.iter().rev().find(|it| it.view.0 == view)
    }
    fn slot(&mut self, assigned: Assigned) -> &mut Known {
        let at = self.slots.iter().rposition(|it| it.assigned == assigned);
        let at = at.unwrap_or_else(|| {
            self.slots.push(Known {
                assigned,
                prepared_by: 0,
                committed_by: 0,
                prepared: None,
                committed: None,
            });
            self.slots.len() - 1
        });
        &mut self.slots[at]
    }

    /// What an honest member has said.
    pub fn hear(
        &mut self,
        from: u16,
        (to, message): (To, Message),
        (troupe, primary): (&Troupe, &dyn Fn(u64) -> u16),
        judge: &mut Judge<Pbft>,
    ) {
        match &message {
            Message::PrePrepare(it) => {
                let assigned = it.assigned();
                self.learn(assigned.digest, &it.payload);
                self.hear_prepared(from, assigned, (troupe, primary), judge);
            }
            Message::Prepare(it) => {
                self.hear_prepared(from, it.assigned, (troupe, primary), judge);
            }
            Message::Commit(it) => self.hear_commit(from, it.assigned, troupe, judge),
            Message::ViewChange(it) => self.hear_change(it),
            Message::NewView(it) if self.opened.iter().all(|known| !Arc::ptr_eq(known, it)) => {
                self.rares.hit(Rare::OpenedByHonest);
                self.open(it);
            }
            _ => {}
        }
        let others = ((1 << self.honest) - 1) & !(1u32 << from);
        let left = match to {
            To::One(node) => others & 1u32.checked_shl(node.0.into()).unwrap_or(0),
            To::Me => 0,
            To::All | To::Others => others,
        };
        if left > 0 {
            if self.mail.len() >= MAIL {
                self.mail.remove(0);
            }
            self.mail.push(Mail {
                from,
                message,
                left,
            });
        }
    }
    fn hear_prepared(
        &mut self,
        from: u16,
        assigned: Assigned,
        (troupe, primary): (&Troupe, &dyn Fn(u64) -> u16),
        judge: &mut Judge<Pbft>,
    ) {
        let known = self.slot(assigned);
        known.prepared_by |= 1 << from;
        let signed = troupe
            .liars()
            .fold(known.prepared_by, |all, liar| all | 1 << liar);
        let primary = primary(assigned.view.0);
        let enough = signed.count_ones() as usize >= troupe.quorum();
        if known.prepared.is_some() || !enough || signed >> primary & 1 == 0 {
            return;
        }
        known.prepared = Some(craft::prepared(troupe, assigned, primary, signed));
        let place = (assigned.view.0, assigned.height.0);
        judge.certified(NodeId(from), place, assigned.digest);
    }
    fn hear_commit(
        &mut self,
        from: u16,
        assigned: Assigned,
        troupe: &Troupe,
        judge: &mut Judge<Pbft>,
    ) {
        let known = self.slot(assigned);
        known.committed_by |= 1 << from;
        let signed = troupe
            .liars()
            .fold(known.committed_by, |all, liar| all | 1 << liar);
        if known.committed.is_some() || (signed.count_ones() as usize) < troupe.quorum() {
            return;
        }
        known.committed = Some(craft::committed(troupe, assigned, signed));
        let place = (assigned.view.0, assigned.height.0);
        judge.certified(NodeId(from), place, assigned.digest);
        judge.agreed(NodeId(from), place, assigned.digest);
        let same = |it: &&Known| it.assigned.height == assigned.height && it.prepared_by > 0;
        if self.slots.iter().filter(same).count() > 1 {
            self.rares.hit(Rare::CommittedLate);
        }
    }
    fn hear_change(&mut self, it: &ViewChange) {
        let new = &it.change;
        let same =
            |known: &ViewChange| (known.change.view, known.change.author) == (new.view, new.author);
        if self.changes.iter().any(same) {
            return;
        }
        if !it.prepared.is_empty() {
            self.rares.hit(Rare::Prepared);
        }
        self.changes.push(it.clone());
    }
    /// A view was opened, by whomever.
    pub fn open(&mut self, it: &Arc<NewView>) {
        let mut heights = std::collections::BTreeMap::new();
        for said in it.changes.iter().flat_map(|it| &it.prepared) {
            let contents: &mut Vec<Digest> = heights.entry(said.height).or_default();
            if !contents.contains(&said.digest) {
                contents.push(said.digest);
            }
        }
        let lows = it.changes.iter().map(|it| it.low.height);
        let across = it
            .changes
            .iter()
            .any(|it| it.low.height < lows.clone().max().unwrap_or_default());
        if across {
            self.rares.hit(Rare::OpenedAcross);
        }
        if !heights.is_empty() {
            self.rares.hit(Rare::Carried);
        }
        if heights.values().any(|it| it.len() > 1) {
            self.rares.hit(Rare::CarriedHighest);
        }
        if heights.len() < it.slots.len() {
            self.rares.hit(Rare::CarriedGap);
        }
        self.opened.push(Arc::clone(it));
    }
    pub fn reach(&mut self, rare: Rare) {
        self.rares.hit(rare);
    }
    /// Adds what was reached.
    pub fn count(&self, rares: &mut Rares) {
        let twice = |it: &Known| {
            let same = |other: &&Known| {
                let (one, other) = (other.assigned, it.assigned);
                (one.view, one.height) == (other.view, other.height)
            };
            let voted = self.slots.iter().filter(|it| it.prepared_by > 0);
            voted.filter(same).count() > 1
        };
        if self.slots.iter().any(twice) {
            rares.hit(Rare::Equivocated);
        }
        rares.add(self.rares);
    }
}
