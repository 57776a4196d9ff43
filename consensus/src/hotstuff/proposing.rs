//! The leader's side of replication: when to propose, what, and when to fall silent.

use super::block::{Block, Header};
use super::certificate::TimeoutCertificate;
use super::message::{Draft, Message, Proposal};
use super::record::Record;
use super::{HotStuff, Out};
use crate::common::Held;
use crate::{Ticket, To};
use crypto::{Payload, Signature, Time};
use std::sync::Arc;

/// A block with fewer bytes of batches than this share of the limit makes its leader linger.
const SMALL_SHARE: u32 = 16;

impl HotStuff {
    /// Whether this replica is to propose in the current view; with which timeout certificate.
    fn may_propose(&self) -> Option<Option<Arc<TimeoutCertificate>>> {
        let fresh = self.replication.proposed < self.view
            && (self.replication.voted() < self.view || crypto::planted!(SignTwice));
        let given_up = self
            .pacemaker
            .given_up()
            .is_some_and(|tenure| tenure >= self.tenure());
        if self.leader(self.view) != self.me()
            || !fresh
            || given_up
            || !self.log.holds(&self.high.block)
        {
            return None;
        }
        if self.view == self.high.view.next() {
            return Some(None);
        }
        let timeout = self.high_timeout.clone()?;
        (self.view == self.config.leaders.first(timeout.tenure.saturating_add(1)))
            .then_some(Some(timeout))
    }

    /// Uncommitted payload below the high certificate has to be committed, by empty blocks if need
    /// be, and so has what others may hold for uncommitted.
    pub(super) fn must_flush(&self) -> bool {
        self.log.highest_payload(&self.high.block).is_some() || self.committed_aside()
    }
    /// Whether the last commit was made by a certificate that does not lie below the high one: who
    /// knows the high certificate alone cannot make that commit.
    fn committed_aside(&self) -> bool {
        let Some((view, block)) = self.replication.committed_by else {
            return false;
        };
        let below = || {
            let chain = self.log.chain(&self.high.block);
            chain.is_some_and(|chain| chain.iter().any(|e| e.block.header.parent == block))
        };
        self.high.view > view && self.log.holds(&self.high.block) && !below()
    }
    /// Whether there is a reason to propose.
    fn has_reason(&self) -> bool {
        self.replication.supply.is_there(self.log.committed()) || self.must_flush()
    }
    /// When the next proposal is due, if it is a matter of time.
    pub(super) fn propose_at(&self) -> Option<Time> {
        let (at, bytes) = self.replication.last_proposal?;
        let idle = self.replication.supply.is_asked();
        if idle || !self.has_reason() || self.may_propose().is_none() {
            return None;
        }
        let small = bytes < self.config.block_bytes / SMALL_SHARE;
        Some(if small {
            at.plus(self.config.timing.linger)
        } else {
            at
        })
    }

    pub(super) fn try_propose(&mut self, now: Time, out: &mut Out) {
        if self.replication.supply.is_asked()
            || self.may_propose().is_none()
            || !self.has_reason()
            || self.propose_at().is_some_and(|at| at > now)
        {
            return;
        }
        let ticket = self.replication.supply.ask();
        out.want_payload(
            ticket,
            self.high.height.next(),
            self.config.block_bytes,
            self.log.batches(&self.high.block),
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
        let Some(timeout) = self.may_propose().filter(|_| expected) else {
            if !payload.is_empty() {
                out.give_back(payload);
            }
            return;
        };
        if payload.is_empty() {
            // Work that fits into no block, since it expires before: an empty one moves the height
            // on, and so ends it. Without, every leader would be given up for ever.
            let flush = self.must_flush();
            let idle = self.replication.supply.pending().is_none();
            self.replication.supply.set_dry(flush || idle);
            if idle && !flush {
                return;
            }
        }
        self.propose(now, payload, timeout.clone(), out);
        if crypto::planted!(Equivocate) {
            self.propose(now, Payload::Refs(vec![]), timeout, out);
        }
    }

    fn propose(
        &mut self,
        now: Time,
        payload: Payload,
        timeout: Option<Arc<TimeoutCertificate>>,
        out: &mut Out,
    ) {
        let bytes = u32::try_from(payload.bytes()).unwrap_or(u32::MAX);
        let header = Header {
            epoch: self.config.context.epoch,
            view: self.view,
            height: self.high.height.next(),
            parent: self.high.block,
            justify: Arc::clone(&self.high),
            timeout,
            payload: payload.digest(),
        };
        let block = Arc::new(Block { header, payload });
        self.replication.proposed = self.view;
        self.replication.last_proposal = Some((now, bytes));
        self.replication.untold = false;
        let proposal = Proposal {
            block: Arc::clone(&block),
            author: self.me(),
            signature: Signature::NONE,
        };
        let statement = proposal.statement();
        let digest = statement.content;
        let seen = (digest, statement, Signature::NONE);
        self.replication.note_seen(self.view, seen);
        self.insert(now, digest, block, out);
        // The own pool has checked the payload: the vote shares the block's write.
        if let Some(entry) = self.log.get_mut(&digest) {
            entry.held = Held::Yes;
        }
        out.send(To::All, Draft(Message::Proposal(proposal)));
        self.try_vote(out);
    }

    /// Sends the own proposal of the current view again.
    pub(super) fn resend_proposal(&self, to: To, out: &mut Out) {
        if self.leader(self.view) != self.me() || self.replication.proposed != self.view {
            return;
        }
        let Some((digest, ..)) = self.replication.seen.get(&self.view) else {
            return;
        };
        let Some(entry) = self.log.get(digest) else {
            return;
        };
        let proposal = Proposal {
            block: Arc::clone(&entry.block),
            author: self.me(),
            signature: Signature::NONE,
        };
        out.send(to, Draft(Message::Proposal(proposal)));
    }

    /// Tells the certificate made here, if no proposal of the own will carry it soon.
    pub(super) fn tell_certificate(&mut self, out: &mut Out) {
        let coming = self.may_propose().is_some() && self.has_reason();
        if !self.replication.untold || coming {
            return;
        }
        self.replication.untold = false;
        out.persist(Record::Progress(self.certificates()));
        out.send(To::Others, Draft(Message::Certificate(self.certificates())));
    }
}
