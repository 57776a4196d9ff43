//! The normal case: accept, prepare, commit.

use super::certificate::{CommitCertificate, Prepared, phase_statement};
use super::log::Accepted;
use super::message::{Draft, Message, PrePrepare, Vote};
use super::pace::Pace;
use super::proposing::PIPELINE;
use super::record::{AcceptedRecord, Record};
use super::slot::{self, Assigned};
use super::{Out, Pbft, rules};
use crate::common::{Held, Supply};
use crate::replica::StableCheckpoint;
use crate::{Committed, Config, Evidence, Refused, To};
use crypto::{
    Certificate, Digest, Height, Kind, NodeId, Payload, Reject, Signature, Size, Time, View,
};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

/// Most bytes of payloads in slots that are neither committed nor among the next ones to be: a primary
/// may assign all slots up to the high watermark at once.
pub const MAX_OPEN_BYTES: usize = 8 << 20;

/// What ordering remembers beside the log.
#[derive(Debug, Default)]
pub struct Replication {
    /// Questions about payload: of which slot, and what.
    asked: BTreeMap<Digest, (Height, Digest)>,
    pub pace: Pace,
    pub supply: Supply,
}

impl Replication {
    pub fn new(executed: Height, config: &Config) -> Self {
        Self {
            supply: Supply::new(executed, config),
            ..Self::default()
        }
    }
    /// How many questions about payload are open: one a slot.
    pub fn sizes(&self, slots: usize, into: &mut Vec<Size>) {
        into.push(Size::new("questions", self.asked.len(), slots));
    }
}

impl Pbft {
    // ---- pre-prepare ----

    pub(super) fn on_pre_prepare(
        &mut self,
        now: Time,
        from: NodeId,
        it: &PrePrepare,
        out: &mut Out,
    ) {
        let assigned = it.assigned();
        if it.author != self.primary(it.view) {
            return out.reject(from, Reject::NotLeader);
        }
        if it.view < self.view {
            return self.answer_stale(now, from, out);
        }
        if it.view > self.view {
            // Nothing of a view before its proof: the sender is asked for it.
            return self.ask_one(now, from, out);
        }
        if !self.log.keeps(it.height) {
            if it.height > self.log.beyond() {
                self.ask_one(now, from, out);
                out.reject(from, Reject::TooFar);
            }
            return;
        }
        if from != self.me() && (self.is_unread(it.height) || !self.has_room(it)) {
            return;
        }
        let accepted = self.log.get(it.height).and_then(|slot| slot.accepted);
        let accepted = accepted.filter(|it| it.view == self.view);
        // The own one comes back as the guard has it, whatever was made here.
        let accepted = accepted.filter(|_| from != self.me());
        let backup = rules::Backup {
            view: self.view,
            wanted: self.changes.wanted(),
            accepted: accepted.map(|it| it.digest),
            bound: self.bound(it.height),
        };
        if rules::may_accept(&backup, &assigned) {
            return self.accept(it, out);
        }
        if !self.takes_part() {
            // It has no part in this, but may learn that it is committed all the same.
            let slot = self.log.slot(it.height);
            if slot.payloads.is_empty() {
                let payload = (Arc::clone(&it.payload), false);
                slot.payloads.insert(assigned.digest, payload);
            }
            return;
        }
        let first = accepted.filter(|first| first.digest != assigned.digest);
        let Some(first) = first else {
            if !self.is_settled_above(it.height, it.view) {
                out.reject(from, Reject::Malformed);
            }
            return;
        };
        let (digest, signature) = (first.digest, first.signature);
        let first = (Assigned { digest, ..assigned }, signature);
        let second = (assigned, it.signature);
        self.accuse(from, Kind::PrePrepare, first, second, out);
        out.reject(from, Reject::Conflict);
    }

    /// Whether it may have said something of a slot before a restart that it has not read yet.
    fn is_unread(&self, height: Height) -> bool {
        height <= self.log.committed() && !self.recovery.is_complete()
    }

    /// Whether a payload may be kept: in the next slots always, farther up while there is room. What is
    /// left out comes again once the slots below are committed, by its primary or by catching up.
    fn has_room(&self, it: &PrePrepare) -> bool {
        let near = self.log.committed().0.saturating_add(2 * PIPELINE);
        if it.height.0 <= near {
            return true;
        }
        let far = self.log.open().filter(|(height, _)| height.0 > near);
        let payloads = far.flat_map(|(_, slot)| slot.payloads.values());
        let held: usize = payloads.map(|(it, _)| it.encoded_bytes()).sum();
        held + it.payload.encoded_bytes() <= MAX_OPEN_BYTES
    }

    /// Whether a slot was committed in a view above this one, which may not be known here yet: what it
    /// was given before is no lie.
    fn is_settled_above(&self, height: Height, view: View) -> bool {
        let slot = self.log.get(height);
        let committed = slot.and_then(|slot| slot.committed.as_ref());
        committed.is_some_and(|it| it.assigned.view > view)
    }

    /// Two statements of one member for one slot, as far as both signatures are known.
    fn accuse(
        &self,
        node: NodeId,
        kind: Kind,
        first: (Assigned, Signature),
        second: (Assigned, Signature),
        out: &mut Out,
    ) {
        if first.1 == Signature::NONE || second.1 == Signature::NONE {
            return;
        }
        let epoch = self.config.context.epoch;
        let said = |it: (Assigned, Signature)| (phase_statement(kind, epoch, &it.0), it.1);
        out.evidence(Evidence {
            node,
            first: said(first),
            second: said(second),
        });
    }

    /// What a slot has to hold: what the view carries over, or what is committed there.
    fn bound(&self, height: Height) -> Option<Digest> {
        let carried = self.opened.as_ref().and_then(|it| it.assigned(height));
        let committed = self.log.get(height).and_then(|it| it.committed.as_ref());
        let committed = committed.map(|it| it.assigned);
        carried.or(committed).map(|it| it.digest)
    }

    fn accept(&mut self, it: &PrePrepare, out: &mut Out) {
        let digest = slot::content(&it.payload);
        let view = self.view;
        let own = it.author == self.me();
        let slot = self.log.slot(it.height);
        let known = slot.accepted_in(view).copied();
        let known = known.filter(|known| known.digest == digest);
        let held = match known {
            Some(known) => known.held,
            None if own => Held::Yes,
            None => Held::Unknown,
        };
        slot.accepted = Some(Accepted {
            view,
            digest,
            signature: it.signature,
            held,
        });
        let fresh = known.is_none_or(|known| known.signature == Signature::NONE && !own);
        self.store_payload(it.height, &it.payload, fresh.then_some(it.signature), out);
        self.advance(it.height, out);
    }

    /// Keeps a slot's payload, and stores it: always if it was accepted anew.
    pub(super) fn store_payload(
        &mut self,
        height: Height,
        payload: &Arc<Payload>,
        accepted: Option<Signature>,
        out: &mut Out,
    ) {
        let digest = slot::content(payload);
        let view = self.view;
        let slot = self.log.slot(height);
        let entry = slot.payloads.entry(digest);
        let (_, stored) = entry.or_insert_with(|| (Arc::clone(payload), false));
        let write = accepted.is_some() || !*stored;
        *stored = true;
        if write {
            // A payload that was not accepted says nothing of any view.
            let view = accepted.map_or(crypto::View(0), |_| view);
            out.persist(Record::Accepted(AcceptedRecord {
                view,
                height,
                payload: Arc::clone(payload),
                signature: accepted.unwrap_or(Signature::NONE),
            }));
        }
    }

    // ---- from phase to phase ----

    /// Does in a slot what its state allows.
    pub(super) fn advance(&mut self, height: Height, out: &mut Out) {
        if !self.takes_part() || !self.log.in_window(height) {
            return;
        }
        self.try_prepare(height, out);
        self.try_certify(height, out);
        self.try_commit(height, out);
    }

    /// Prepares what is accepted once its payload is held. The primary has said all by its
    /// pre-prepare.
    fn try_prepare(&mut self, height: Height, out: &mut Out) {
        let (view, committed) = (self.view, self.log.committed());
        let Some(slot) = self.log.get_mut(height) else {
            return;
        };
        if slot.prepare_sent >= view {
            return;
        }
        let Some(accepted) = slot.accepted.as_mut().filter(|it| it.view == view) else {
            return;
        };
        let digest = accepted.digest;
        if accepted.held == Held::Unknown {
            let payload = slot.payloads.get(&digest).map(|(it, _)| it);
            let Some(payload) = payload else { return };
            // What was committed here before was held then.
            if payload.is_empty() || height <= committed {
                accepted.held = Held::Yes;
            } else {
                accepted.held = Held::Asked;
                let question = slot::question(height, &digest);
                self.replication.asked.insert(question, (height, digest));
                out.check_payload(question, height, payload);
            }
        }
        let held = accepted.held == Held::Yes;
        if held && !self.is_primary() {
            self.log.slot(height).prepare_sent = view;
            self.send_vote(Kind::Prepare, height, digest, To::All, out);
        }
    }

    /// Makes the prepared certificate.
    fn try_certify(&mut self, height: Height, out: &mut Out) {
        let (view, primary) = (self.view, self.primary(self.view));
        let Some(slot) = self.log.get(height) else {
            return;
        };
        let newest = slot.prepared.as_ref().map(|it| it.assigned.view);
        let Some(accepted) = slot.accepted_in(view).filter(|_| newest < Some(view)) else {
            return;
        };
        if accepted.signature == Signature::NONE {
            return;
        }
        let prepares = slot.prepares_for(&accepted.digest);
        let prepares: Vec<_> = prepares.map(|it| (it.author, it.signature)).collect();
        if !rules::is_prepared(&self.config.quorums, prepares.len()) {
            return;
        }
        let prepares = prepares.into_iter().take(self.quorum() - 1);
        let signed = prepares.chain([(primary, accepted.signature)]);
        let prepared = Prepared {
            assigned: Assigned {
                height,
                view,
                digest: accepted.digest,
            },
            primary,
            certificate: Certificate::collect(signed),
        };
        self.keep_prepared(&Arc::new(prepared), out);
    }

    /// Keeps a prepared certificate if it is the newest of its slot.
    fn keep_prepared(&mut self, it: &Arc<Prepared>, out: &mut Out) {
        let slot = self.log.slot(it.assigned.height);
        let newest = slot.prepared.as_ref().map(|it| it.assigned.view);
        if newest < Some(it.assigned.view) {
            slot.prepared = Some(Arc::clone(it));
            out.persist(Record::Prepared(Arc::clone(it)));
        }
    }

    /// Tells all that a slot is prepared.
    fn try_commit(&mut self, height: Height, out: &mut Out) {
        let view = self.view;
        let Some(slot) = self.log.get_mut(height) else {
            return;
        };
        let digest = slot.prepared.as_ref().map(|it| it.assigned);
        let digest = digest.filter(|it| it.view == view).map(|it| it.digest);
        let accepted = slot.accepted_in(view).map(|it| it.digest);
        // Whoever commits has stored the payload's name, and can tell it to others.
        if let Some(digest) = digest.filter(|it| Some(*it) == accepted && slot.commit_sent < view) {
            slot.commit_sent = view;
            self.send_vote(Kind::Commit, height, digest, To::All, out);
        }
    }

    pub(super) fn send_vote(
        &self,
        kind: Kind,
        height: Height,
        digest: Digest,
        to: To,
        out: &mut Out,
    ) {
        let vote = Vote {
            epoch: self.config.context.epoch,
            assigned: Assigned {
                height,
                view: self.view,
                digest,
            },
            author: self.me(),
            signature: Signature::NONE,
        };
        let message = if kind == Kind::Prepare {
            Message::Prepare(vote)
        } else {
            Message::Commit(vote)
        };
        out.send(to, Draft(message));
    }

    // ---- prepares ----

    pub(super) fn on_prepare(&mut self, now: Time, from: NodeId, vote: Vote, out: &mut Out) {
        let Assigned { height, view, .. } = vote.assigned;
        if vote.author == self.primary(view) {
            return out.reject(from, Reject::Malformed);
        }
        if view < self.view {
            return;
        }
        if !self.log.keeps(height) {
            return self.is_out_of_window(now, from, height, out);
        }
        let slot = self.log.slot(height);
        if view > self.view {
            let known = slot.ahead.get(&vote.author).map(|it| it.assigned.view);
            if known < Some(view) {
                slot.ahead.insert(vote.author, vote);
            }
            return;
        }
        let first = *slot.prepares.entry(vote.author).or_insert(vote);
        if first.assigned != vote.assigned {
            let second = (vote.assigned, vote.signature);
            let first = (first.assigned, first.signature);
            self.accuse(from, Kind::Prepare, first, second, out);
            return out.reject(from, Reject::Conflict);
        }
        self.advance(height, out);
    }

    fn is_out_of_window(&mut self, now: Time, from: NodeId, height: Height, out: &mut Out) {
        if height > self.log.beyond() {
            self.ask_one(now, from, out);
            out.reject(from, Reject::TooFar);
        }
    }

    // ---- commits ----

    /// Commits count whatever the view, and before the pre-prepare as well.
    pub(super) fn on_commit(&mut self, now: Time, from: NodeId, vote: Vote, out: &mut Out) {
        let height = vote.assigned.height;
        if !self.log.keeps(height) {
            return self.is_out_of_window(now, from, height, out);
        }
        if height <= self.log.committed() {
            return;
        }
        let slot = self.log.slot(height);
        if crypto::planted!(DropEarlyCommits) && slot.accepted.is_none() {
            return;
        }
        if let Some(first) = slot.add_commit(vote) {
            let second = (vote.assigned, vote.signature);
            let first = (first.assigned, first.signature);
            self.accuse(from, Kind::Commit, first, second, out);
            return out.reject(from, Reject::Conflict);
        }
        let agree = slot.commits_like(&vote);
        if slot.committed.is_none() && rules::is_committed(&self.config.quorums, agree.len()) {
            slot.committed = Some(Arc::new(CommitCertificate {
                assigned: vote.assigned,
                certificate: Certificate::collect(agree),
            }));
        }
    }

    /// Commits all that comes next, in order of height.
    pub(super) fn commit_next(&mut self, now: Time, out: &mut Out) {
        let before = self.log.committed();
        let reach = self.replication.supply.reach();
        while let Some((payload, certificate, history)) = self.log.commit_next(reach) {
            let Assigned { height, digest, .. } = certificate.assigned;
            self.store_payload(height, &payload, None, out);
            out.persist(Record::Committed(Arc::clone(&certificate)));
            let committed = Committed {
                height,
                payload: (*payload).clone(),
                history,
                proof: super::Proof((*certificate).clone()),
            };
            out.commit(committed, self.is_choice_of_primary(&certificate.assigned));
            let accepted = self.log.get(height).and_then(|slot| {
                let lost = slot.accepted.filter(|it| it.digest != digest)?;
                slot.payload(&lost.digest).cloned()
            });
            if let Some(lost) = accepted.filter(|it| !it.is_empty()) {
                out.give_back((*lost).clone());
            }
            // A primary that orders nothing makes no progress by it.
            if !payload.is_empty() {
                self.timers.on_progress(now, self.takes_part());
            }
            self.replication.supply.set_dry(false);
        }
        if self.log.committed() > before {
            self.replication.pace.committed(now, self.log.committed());
            self.log.collect_garbage();
            self.drop_vain_checks(out);
        }
    }

    /// Whether the primary of this view assigned this slot as it liked, and told this replica so.
    fn is_choice_of_primary(&self, it: &Assigned) -> bool {
        let slot = self.log.get(it.height);
        let accepted = slot.and_then(|slot| slot.accepted_in(self.view));
        let told = accepted.is_some_and(|accepted| accepted.digest == it.digest);
        told && it.view == self.view && it.height > self.reach()
    }

    // ---- payload ----

    pub(super) fn on_checked(
        &mut self,
        question: &Digest,
        held: Result<(), Refused>,
        out: &mut Out,
    ) {
        let Some((height, digest)) = self.replication.asked.remove(question) else {
            return;
        };
        let slot = self.log.get_mut(height);
        let accepted = slot.and_then(|slot| slot.accepted.as_mut());
        if let Some(accepted) = accepted.filter(|it| it.digest == digest) {
            accepted.held = if held.is_ok() { Held::Yes } else { Held::No };
            self.advance(height, out);
        }
    }

    /// The view ends: what is asked about its slots is of no use, unless the next view asks again.
    pub(super) fn drop_checks(&mut self, out: &mut Out) {
        for question in std::mem::take(&mut self.replication.asked).into_keys() {
            out.drop_check(question);
        }
    }

    /// What was committed, or is not kept any more, needs no answer.
    fn drop_vain_checks(&mut self, out: &mut Out) {
        let log = &self.log;
        self.replication.asked.retain(|question, (height, _)| {
            let open = *height > log.committed() && log.get(*height).is_some();
            if !open {
                out.drop_check(*question);
            }
            open
        });
    }

    /// Questions that were pushed out of the pool's memory are asked again.
    pub(super) fn ask_again(&mut self, height: Height) {
        let slot = self.log.get_mut(height);
        let accepted = slot.and_then(|slot| slot.accepted.as_mut());
        if let Some(accepted) = accepted.filter(|it| it.held == Held::Asked) {
            accepted.held = Held::Unknown;
        }
    }

    // ---- watermarks ----

    pub(super) fn on_checkpoint(
        &mut self,
        every: NonZeroU64,
        stable: Option<&Arc<StableCheckpoint>>,
        out: &mut Out,
    ) {
        self.log.set_interval(every.get());
        if let Some(stable) = stable {
            self.log.stabilise(stable);
        }
        self.drop_vain_checks(out);
        self.advance_all(out);
    }

    /// A stable checkpoint that somebody shows moves the watermarks, and what was kept beyond them is
    /// taken up. It has to outlive a start: a view change shows what lies between the watermarks, and
    /// with older ones it would leave out what is committed above them.
    pub(super) fn stabilise(&mut self, stable: &Arc<StableCheckpoint>, out: &mut Out) {
        if self.log.stabilise(stable) {
            if !crypto::planted!(ForgetStable) {
                out.stable(stable);
            }
            self.drop_vain_checks(out);
            self.advance_all(out);
        }
    }

    pub(super) fn advance_all(&mut self, out: &mut Out) {
        let heights: Vec<Height> = self.log.slots().map(|(height, _)| height).collect();
        for height in heights {
            self.advance(height, out);
        }
    }

    // ---- proofs from others ----

    /// Takes note of a prepared certificate that somebody shows. One of a view above all that it has
    /// asked for has to wait: it would take the place of a lower one, and not fit into the next view
    /// change, from which that slot would then be missing.
    pub(super) fn adopt_prepared(
        &mut self,
        now: Time,
        from: NodeId,
        it: &Arc<Prepared>,
        out: &mut Out,
    ) {
        if !rules::is_by_primary(&self.config.leaders, self.n(), it) {
            return out.reject(from, Reject::NotLeader);
        }
        let Assigned { height, view, .. } = it.assigned;
        if view > self.changes.wanted() {
            return self.ask_one(now, from, out);
        }
        // A newer one may be stored.
        if self.is_unread(height) || !self.log.keeps(height) {
            return;
        }
        self.keep_prepared(it, out);
        // A primary that told others something else has signed both.
        let accepted = self.log.get(height).and_then(|slot| slot.accepted);
        let other = accepted.filter(|ours| ours.view == view && ours.digest != it.assigned.digest);
        if let (Some(ours), Some(signature)) = (other, it.primary_signature()) {
            let digest = ours.digest;
            let ours = (
                Assigned {
                    digest,
                    ..it.assigned
                },
                ours.signature,
            );
            let theirs = (it.assigned, signature);
            self.accuse(it.primary, Kind::PrePrepare, ours, theirs, out);
        }
        self.advance(height, out);
    }

    /// Takes note of a commit certificate that somebody shows.
    pub(super) fn adopt_committed(&mut self, it: &Arc<CommitCertificate>) {
        let height = it.assigned.height;
        let next = self.log.committed().next();
        if height == next || (height > next && self.log.keeps(height)) {
            let slot = self.log.slot(height);
            slot.committed.get_or_insert_with(|| Arc::clone(it));
        }
    }
}
