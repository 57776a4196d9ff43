//! The pacemaker: giving a tenure up, entering views, and helping who lags.

use super::certificate::{QuorumCertificate, TimeoutCertificate};
use super::message::{AskCertificate, CertificatePair, Draft, Message, Timeout};
use super::record::Record;
use super::{HotStuff, Out, rules};
use crate::{Evidence, To};
use crypto::{Certificate, NodeId, Reject, Signature, Statement, Time, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One member's timeout of the current tenure.
#[derive(Clone, Debug)]
struct Given {
    statement: Statement,
    signature: Signature,
    high: Arc<QuorumCertificate>,
}

/// Tenures given up.
#[derive(Debug)]
pub struct Pacemaker {
    /// The first timeout of each member for the current tenure.
    given: BTreeMap<NodeId, Given>,
    /// The own timeout of the highest tenure, unsigned.
    own: Option<Box<Timeout>>,
    signed: u64,
}

impl Pacemaker {
    /// `own` is the timeout of the highest tenure ever given up.
    pub fn new(own: Option<Box<Timeout>>) -> Self {
        Self {
            given: BTreeMap::new(),
            own,
            signed: 0,
        }
    }
    /// The highest tenure given up.
    pub fn given_up(&self) -> Option<u64> {
        self.own.as_ref().map(|own| own.tenure)
    }
    /// How many members give the current tenure up.
    pub fn given_up_by(&self) -> usize {
        self.given.len()
    }
    /// Timeouts signed since the start.
    pub fn signed(&self) -> u64 {
        self.signed
    }
    /// Why it waits, if it has given up a tenure.
    pub fn waiting(&self, tenure: u64, quorum: usize) -> Option<String> {
        (self.given_up()? == tenure).then(|| {
            let so_far = self.given.len();
            format!("gave up tenure {tenure}: {so_far} of the {quorum} timeouts that end it")
        })
    }
}

impl HotStuff {
    // ---- giving up ----

    /// A batch was left out for too long: the leader goes, however well it serves the others.
    pub(super) fn on_overdue(&mut self, out: &mut Out) {
        self.give_up(out);
    }

    /// Signs away the current tenure, once.
    pub(super) fn give_up(&mut self, out: &mut Out) {
        let tenure = self.tenure();
        if self
            .pacemaker
            .given_up()
            .is_some_and(|given_up| given_up >= tenure)
        {
            return;
        }
        let leaders = &self.config.leaders;
        let direct = self.high.view.next() >= leaders.first(tenure);
        let entry = if direct {
            None
        } else {
            self.high_timeout.clone()
        };
        let of_tenure = |vote: &&super::message::Vote| leaders.tenure_of(vote.view) == tenure;
        let timeout = Box::new(Timeout {
            epoch: self.config.context.epoch,
            tenure,
            high: Arc::clone(&self.high),
            entry,
            vote: self
                .replication
                .signed_vote
                .as_ref()
                .filter(of_tenure)
                .cloned(),
            author: self.me(),
            signature: Signature::NONE,
        });
        assert!(
            rules::timeout_is_proven(leaders, &timeout),
            "a tenure is entered by a certificate: {timeout:?}"
        );
        out.persist(Record::Timeout(timeout.clone()));
        self.pacemaker.own = Some(timeout);
        self.pacemaker.signed += 1;
        self.send_timeout(To::All, out);
    }

    /// Sends the timeout of the current tenure, if it was given up.
    pub(super) fn send_timeout(&self, to: To, out: &mut Out) {
        if let Some(own) = self
            .pacemaker
            .own
            .as_ref()
            .filter(|own| own.tenure == self.tenure())
        {
            out.send(to, Draft(Message::Timeout(own.clone())));
        }
    }

    // ---- hearing others ----

    pub(super) fn on_timeout(&mut self, now: Time, from: NodeId, timeout: Timeout, out: &mut Out) {
        if !rules::timeout_is_proven(&self.config.leaders, &timeout) {
            return out.reject(from, Reject::Malformed);
        }
        if let Some(entry) = &timeout.entry {
            self.adopt_timeout(now, entry, Some(from), out);
        }
        if !crypto::planted!(IgnoreShown) {
            self.adopt(now, &timeout.high, Some(from), out);
        }
        if let Some(vote) = timeout.vote.clone() {
            self.count_vote(now, from, vote, out);
        }
        if timeout.tenure < self.tenure() {
            return self.answer_stale(now, from, out);
        }
        // Its entry proof was processed: it cannot be of a later tenure than the current one.
        let (statement, signature) = (timeout.statement(), timeout.signature);
        match self.pacemaker.given.get(&from) {
            None => {
                let given = Given {
                    statement,
                    signature,
                    high: timeout.high,
                };
                self.pacemaker.given.insert(from, given);
            }
            Some(first) if first.statement == statement => {}
            Some(first) => {
                let first = (first.statement, first.signature);
                out.evidence(Evidence {
                    node: from,
                    first,
                    second: (statement, signature),
                });
                return out.reject(from, Reject::Conflict);
            }
        }
        if self.pacemaker.given.len() >= self.config.quorums.one_honest() {
            self.give_up(out);
        }
        self.try_end_tenure(now, out);
    }

    /// Ends the tenure with a quorum of timeouts.
    fn try_end_tenure(&mut self, now: Time, out: &mut Out) {
        if self.pacemaker.given.len() < self.quorum() {
            return;
        }
        let given = self.pacemaker.given.iter().take(self.quorum());
        let high = given
            .clone()
            .map(|(_, g)| &g.high)
            .max_by_key(|high| high.view);
        let certificate = Arc::new(TimeoutCertificate {
            tenure: self.tenure(),
            high_views: given.clone().map(|(_, g)| g.high.view).collect(),
            certificate: Certificate::collect(given.clone().map(|(node, g)| (*node, g.signature))),
            high: Arc::clone(high.expect("a quorum is not empty")),
        });
        self.adopt_timeout(now, &certificate, None, out);
    }

    // ---- entering views ----

    /// Goes on to a view proven by a certificate.
    pub(super) fn enter(&mut self, now: Time, view: View, out: &mut Out) {
        if view <= self.view {
            return;
        }
        let (tenure, leader) = (self.tenure(), self.leader(self.view));
        self.drop_check(out);
        let by_certificate = view == self.view.next();
        self.view = view;
        self.timers.on_enter(now, by_certificate);
        self.replication.enter(view, self.high.view);
        if self.tenure() != tenure {
            self.pacemaker.given.clear();
            self.timers.on_new_tenure();
        }
        if self.leader(view) != leader {
            out.leader(self.leader(view));
        }
    }

    /// Takes note of a checked timeout certificate.
    pub(super) fn adopt_timeout(
        &mut self,
        now: Time,
        timeout: &Arc<TimeoutCertificate>,
        hint: Option<NodeId>,
        out: &mut Out,
    ) {
        if !rules::is_of_its_tenure(&self.config.leaders, timeout) {
            if let Some(from) = hint {
                out.reject(from, Reject::Malformed);
            }
            return;
        }
        if !crypto::planted!(ForgetHighest) {
            self.adopt(now, &timeout.high, hint, out);
        }
        if self
            .high_timeout
            .as_ref()
            .is_none_or(|known| known.tenure < timeout.tenure)
        {
            self.high_timeout = Some(Arc::clone(timeout));
        }
        let first = self.config.leaders.first(timeout.tenure + 1);
        if first > self.view {
            self.timers.on_given_up();
            self.enter(now, first, out);
            // Nothing relies on it, but after a restart the view need not be asked for.
            out.persist(Record::Progress(self.certificates()));
        }
    }

    // ---- helping those who lag ----

    /// Answers a message of an older view with the proof of the newer one, now and then.
    pub(super) fn answer_stale(&mut self, now: Time, to: NodeId, out: &mut Out) {
        if to != self.me() && self.timers.help.is_due(now, to) && !crypto::planted!(NoHelp) {
            out.send(
                To::One(to),
                Draft(Message::Certificate(self.certificates())),
            );
        }
    }
    /// Answers one who asks because nothing moves, or because it is at rest and may have missed
    /// something: with what it lacks, and, if it waits for that, the timeout of the tenure.
    pub(super) fn on_ask_certificate(
        &mut self,
        now: Time,
        from: NodeId,
        ask: AskCertificate,
        out: &mut Out,
    ) {
        if from == self.me() || crypto::planted!(NoHelp) {
            return;
        }
        let behind = ask.view < self.view || ask.high < self.high.view;
        let ahead = ask.view > self.view || ask.high > self.high.view;
        // One who has nothing to do does not send its timeout again by itself; and a timeout is
        // not answered by a timeout, or two of them would never fall silent.
        let stalled = ask.stalled && self.config.leaders.tenure_of(ask.view) == self.tenure();
        if !(behind || ahead || stalled) || !self.timers.help.is_due(now, from) {
            return;
        }
        if behind {
            let certificates = Message::Certificate(self.certificates());
            out.send(To::One(from), Draft(certificates));
        } else if ahead {
            return out.send(To::One(from), self.ask_certificate());
        }
        if stalled {
            self.send_timeout(To::One(from), out);
        }
    }
    pub(super) fn ask_certificate(&self) -> Draft<Message> {
        let epoch = self.config.context.epoch;
        Draft(Message::AskCertificate(AskCertificate {
            epoch,
            view: self.view,
            high: self.high.view,
            stalled: self.timers.stalled(),
        }))
    }
    /// Asks one who seems to be far ahead, now and then.
    pub(super) fn ask_one(&mut self, now: Time, peer: NodeId, out: &mut Out) {
        if peer != self.me() && self.timers.help.is_due(now, peer) {
            out.send(To::One(peer), self.ask_certificate());
        }
    }
    pub(super) fn on_connected(&mut self, peer: NodeId, out: &mut Out) {
        if peer == self.me() {
            return;
        }
        if self.view > View(1) {
            out.send(
                To::One(peer),
                Draft(Message::Certificate(self.certificates())),
            );
        }
        self.resend_proposal(To::One(peer), out);
        if self.replication.voted() == self.view {
            self.send_vote(out);
        }
        self.send_timeout(To::One(peer), out);
    }

    /// Takes note of what others show to be certified.
    pub(super) fn on_certificate(
        &mut self,
        now: Time,
        from: NodeId,
        pair: &CertificatePair,
        out: &mut Out,
    ) {
        let before = self.view;
        self.adopt(now, &pair.quorum, Some(from), out);
        if let Some(timeout) = &pair.timeout {
            self.adopt_timeout(now, timeout, Some(from), out);
        }
        if self.view > before {
            out.persist(Record::Progress(self.certificates()));
        }
    }
}
