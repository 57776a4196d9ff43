//! The pacemaker: timers, timeouts of tenures, and how views are entered.

use super::certificate::{QuorumCertificate, TimeoutCertificate};
use super::message::{AskCertificate, CertificatePair, Draft, Message, Timeout};
use super::record::Record;
use super::{HotStuff, Out, rules};
use crate::{Evidence, Timing, To};
use crypto::{Certificate, NodeId, Reject, Signature, Statement, Time, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Observed view times raise the time-out to this many times their average, and never to more than
/// this many times the configured one: whoever slows views down gains no more than that.
const OBSERVED_FACTOR: u64 = 4;

/// One member's timeout of the current tenure.
#[derive(Clone, Debug)]
struct Given {
    statement: Statement,
    signature: Signature,
    high: Arc<QuorumCertificate>,
}

/// Timers and timeouts.
#[derive(Debug)]
pub struct Pacemaker {
    timing: Timing,
    /// Since when the view lasts while there is work; `None` while there is none.
    since: Option<Time>,
    /// The view stands still: promises were sent again in it.
    pub stalled: bool,
    /// When to send promises again and ask for certificates.
    nudge_at: Time,
    /// When to ask a peer where it stands, while there is nothing to do; unset while there is.
    ask_at: Option<Time>,
    /// Who was asked last.
    asked: usize,
    /// Tenures given up since the last commit.
    failures: u32,
    /// A moving average of how long views last that end in a certificate, in nanoseconds.
    observed: u64,
    /// The first timeout of each member for the current tenure.
    given: BTreeMap<NodeId, Given>,
    /// The own timeout of the highest tenure, unsigned.
    own: Option<Box<Timeout>>,
    /// When to send it again, and the gap after that.
    resend: Option<(Time, Time)>,
    signed: u64,
    /// When each peer was last sent certificates or asked for them beyond the regular times.
    helped: BTreeMap<NodeId, Time>,
}

impl Pacemaker {
    pub fn new(timing: Timing, own: Option<Box<Timeout>>) -> Self {
        Self {
            timing,
            since: None,
            stalled: false,
            nudge_at: Time(0),
            ask_at: None,
            asked: 0,
            failures: 0,
            observed: 0,
            given: BTreeMap::new(),
            own,
            resend: None,
            signed: 0,
            helped: BTreeMap::new(),
        }
    }
    /// The highest tenure given up.
    pub fn given_up(&self) -> Option<u64> {
        self.own.as_ref().map(|own| own.tenure)
    }
    /// Timeouts signed since the start.
    pub fn timeouts_signed(&self) -> u64 {
        self.signed
    }
    /// The time-out of a view now.
    fn span(&self) -> Time {
        let base = self.timing.timeout.0;
        let most = base.saturating_mul(OBSERVED_FACTOR);
        let raised = base.max(self.observed.saturating_mul(OBSERVED_FACTOR).min(most));
        let doubled = raised.saturating_mul(1u64 << self.failures.min(20));
        Time(doubled.min(self.timing.timeout_cap.0.max(base)))
    }
    /// Promises are sent again, and certificates asked for, at least once before the time-out.
    fn nudge_gap(&self) -> Time {
        Time(self.timing.resend.0.min(self.timing.timeout.0 / 2).max(1))
    }
    /// When to wake.
    pub fn deadline(&self) -> Option<Time> {
        let view = self
            .since
            .map(|since| since.plus(self.span()).min(self.nudge_at));
        view.into_iter()
            .chain(self.resend.map(|(at, _)| at))
            .chain(self.ask_at)
            .min()
    }
    /// Falls back to the configured time-out.
    pub fn on_commit(&mut self, now: Time) {
        self.failures = 0;
        self.stalled = false;
        self.since = self.since.map(|_| now);
    }
    /// A new view: the timer starts afresh.
    fn entered(&mut self, now: Time, by_certificate: bool) {
        if let (Some(since), true) = (self.since, by_certificate) {
            let took = now.since(since).0;
            // From zero up: one slow view is no habit.
            self.observed = (self.observed / 8 * 7).saturating_add(took / 8);
        }
        self.since = None;
        self.stalled = false;
    }
    fn may_help(&mut self, now: Time, peer: NodeId) -> bool {
        let gap = Time(self.timing.resend.0 / 8);
        let due = self
            .helped
            .get(&peer)
            .is_none_or(|last| now >= last.plus(gap));
        if due {
            self.helped.insert(peer, now);
        }
        due
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
        self.pacemaker.entered(now, by_certificate);
        self.replication.enter(view, self.high.view);
        if self.tenure() != tenure {
            self.pacemaker.given.clear();
            self.pacemaker.resend = None;
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
            self.pacemaker.failures = self.pacemaker.failures.saturating_add(1);
            self.enter(now, first, out);
            // Nothing relies on it, but after a restart the view need not be asked for.
            out.persist(Record::Progress(self.certificates()));
        }
    }

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

    // ---- helping those who lag ----

    /// Answers a message of an older view with the proof of the newer one, now and then.
    pub(super) fn answer_stale(&mut self, now: Time, to: NodeId, out: &mut Out) {
        if to != self.me() && self.pacemaker.may_help(now, to) && !crypto::planted!(NoHelp) {
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
        if ask.view < self.view || ask.high < self.high.view {
            out.send(
                To::One(from),
                Draft(Message::Certificate(self.certificates())),
            );
        } else if ask.view > self.view || ask.high > self.high.view {
            return self.ask_one(now, from, out);
        }
        // One who has nothing to do does not send its timeout again by itself; and a timeout is
        // not answered by a timeout, or two of them would never fall silent.
        if ask.stalled && self.config.leaders.tenure_of(ask.view) == self.tenure() {
            self.send_timeout(To::One(from), out);
        }
    }
    fn ask_certificate(&self) -> Draft<Message> {
        let epoch = self.config.context.epoch;
        Draft(Message::AskCertificate(AskCertificate {
            epoch,
            view: self.view,
            high: self.high.view,
            stalled: self.pacemaker.stalled,
        }))
    }
    /// Asks one who seems to be far ahead, now and then.
    pub(super) fn ask_one(&mut self, now: Time, peer: NodeId, out: &mut Out) {
        if peer != self.me() && self.pacemaker.may_help(now, peer) {
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

    // ---- giving up ----

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

    /// Signs away the current tenure, once.
    fn time_out(&mut self, out: &mut Out) {
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

    /// A batch was left out for too long: the leader goes, however well it serves the others.
    pub(super) fn on_overdue(&mut self, out: &mut Out) {
        self.time_out(out);
    }

    pub(super) fn on_timeout(&mut self, now: Time, from: NodeId, timeout: Timeout, out: &mut Out) {
        if !rules::timeout_is_proven(&self.config.leaders, &timeout) {
            return out.reject(from, Reject::Malformed);
        }
        if let Some(entry) = &timeout.entry {
            self.adopt_timeout(now, entry, Some(from), out);
        }
        if timeout.tenure > self.tenure() || !crypto::planted!(ForgetHighest) {
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
            self.time_out(out);
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

    // ---- timers ----

    /// What the timer runs for: uncommitted payload in the chain of the high certificate or in the
    /// current proposal, a missing certified block, a known batch, a waiting read, or f+1 timeouts.
    fn has_work(&self) -> bool {
        self.replication.supply.pending().is_some()
            || self.reads.needs_progress()
            || self.pacemaker.given.len() >= self.config.quorums.one_honest()
            || !self.log.holds(&self.high.block)
            || self.must_flush()
            || self
                .log
                .of_view(self.view)
                .any(|(_, entry)| !entry.block.payload.is_empty())
            || self.replication.parentless.is_some()
    }

    /// Starts the timers with the work, and stops them with the work.
    pub(super) fn arm(&mut self, now: Time) {
        if !self.has_work() {
            self.pacemaker.since = None;
            self.pacemaker.resend = None;
            self.pacemaker.stalled = false;
            let gap = self.config.timing.at_rest();
            self.pacemaker.ask_at.get_or_insert(now.plus(gap));
            return;
        }
        self.pacemaker.ask_at = None;
        if self.pacemaker.since.is_none() {
            self.pacemaker.since = Some(now);
            self.pacemaker.nudge_at = now.plus(self.pacemaker.nudge_gap());
        }
        if self.pacemaker.resend.is_none() && self.pacemaker.given_up() == Some(self.tenure()) {
            let gap = self.config.timing.resend;
            self.pacemaker.resend = Some((now.plus(gap), gap));
        }
    }

    pub(super) fn on_tick(&mut self, now: Time, out: &mut Out) {
        if let Some((_, gap)) = self.pacemaker.resend.filter(|(at, _)| *at <= now) {
            let longer = Time(
                gap.0
                    .saturating_mul(2)
                    .min(self.config.timing.timeout_cap.0),
            );
            self.pacemaker.resend = Some((now.plus(longer), longer));
            self.send_timeout(To::All, out);
        }
        if self.pacemaker.ask_at.is_some_and(|at| at <= now) {
            self.ask_next(out);
        }
        let Some(since) = self.pacemaker.since else {
            return;
        };
        if now >= self.pacemaker.nudge_at {
            self.pacemaker.nudge_at = now.plus(self.pacemaker.nudge_gap());
            self.nudge(out);
        }
        if now >= since.plus(self.pacemaker.span()) {
            self.time_out(out);
            // Given up already: the timer is of no more use in this view.
            self.pacemaker.since = Some(now);
        }
    }

    /// Nothing to do: asks one peer after the other where it stands. Whoever missed the last
    /// message of a run of work has no other reason to speak, nor has anyone to speak to it.
    fn ask_next(&mut self, out: &mut Out) {
        self.pacemaker.ask_at = None;
        let turn = self.pacemaker.asked;
        self.pacemaker.asked = turn.wrapping_add(1);
        let others = self.config.peers().count().max(1);
        if let Some(peer) = self.config.peers().nth(turn % others) {
            out.send(To::One(peer), self.ask_certificate());
        }
    }

    /// The view stands still: promises again, and a question to all who may know more.
    fn nudge(&mut self, out: &mut Out) {
        self.pacemaker.stalled = true;
        self.replication.supply.set_dry(false);
        self.resend_proposal(To::Others, out);
        if self.replication.voted() == self.view {
            self.send_vote(out);
        }
        out.send(To::Others, self.ask_certificate());
    }
}
