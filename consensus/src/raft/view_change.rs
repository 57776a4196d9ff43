//! Elections: when to stand, who gets the vote, when to step down, and how a leader hands over.

use super::message::{Body, Grant, PreGrant, PreVote, RequestVote, TimeoutNow};
use super::progress::Progress;
use super::record::Record;
use super::replication::Transfer;
use super::{Out, Raft, Role, message::NewerTerm, rules};
use crate::{Timing, To};
use crypto::{NodeId, NodeSet, Time, View};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// Elections that failed raise the time-out to at most 2 to this power.
const DOUBLINGS: u32 = 5;

/// Time-outs for which a leader that waits for its execution sees no progress, until it hands over.
const STANDSTILL: u32 = 4;

/// Timers of elections.
#[derive(Debug)]
pub struct Elections {
    timing: Timing,
    lots: ChaCha12Rng,
    /// When to ask for an election, unless a leader is heard of before.
    at: Time,
    /// When to ask those again who did not answer.
    resend_at: Time,
    /// When the leader of this term was last heard of.
    heard: Option<Time>,
    /// Before this it grants nothing but what the leader itself asks for: a leader may count on it,
    /// of a former term or of a former life.
    silent_until: Time,
    /// Elections that led to nothing since a leader was heard of.
    failed: u32,
    begun: u64,
}

impl Elections {
    pub fn new(timing: Timing, seed: [u8; 32], now: Time) -> Self {
        let mut lots = ChaCha12Rng::from_seed(seed);
        // A process started again at another time draws other lots.
        lots.set_stream(now.0);
        let silent_until = match timing.lease {
            Some(_) => now.plus(timing.timeout),
            None => now,
        };
        let mut elections = Self {
            timing,
            lots,
            at: now,
            resend_at: now,
            heard: None,
            silent_until,
            failed: 0,
            begun: 0,
        };
        elections.arm(now);
        elections
    }
    /// How many elections were asked for here.
    pub fn begun(&self) -> u64 {
        self.begun
    }
    pub fn deadline(&self, asking: bool) -> Time {
        if asking {
            self.at.min(self.resend_at)
        } else {
            self.at
        }
    }
    /// Waits anew, for once to one and a half times the time-out: long enough apart that one
    /// usually stands alone (section 5.2).
    fn arm(&mut self, now: Time) {
        let Timing {
            timeout,
            timeout_cap,
            ..
        } = self.timing;
        let span = timeout.0.saturating_mul(1 << self.failed.min(DOUBLINGS));
        let span = span.min(timeout_cap.0.max(timeout.0));
        let lot = self.lots.next_u64() % (span / 2 + 1);
        self.at = now.plus(Time(span + lot));
    }
    /// The leader's connection is down: it is not waited for as long, but long enough apart that one
    /// usually stands alone. With PreVote this costs nothing if others still hear it. A lease
    /// counts on the whole time-out.
    fn hurry(&mut self, now: Time) {
        if self.timing.lease.is_none() {
            self.heard = None;
            let lot = self.lots.next_u64() % (self.timing.timeout.0 / 4 + 1);
            self.at = self.at.min(now.plus(Time(lot)));
        }
    }
    /// No leader is known any more. One that was heard of a moment ago counts on this node for one
    /// time-out, whatever the term.
    fn lose(&mut self) {
        let heard = self.heard.take().filter(|_| self.timing.lease.is_some());
        let promised = heard.map_or(Time(0), |heard| heard.plus(self.timing.timeout));
        self.silent_until = self.silent_until.max(promised);
    }
    /// The leader was heard of.
    fn heard(&mut self, now: Time) {
        self.heard = Some(now);
        self.failed = 0;
        self.arm(now);
    }
}

impl Raft {
    // ---- terms ----

    /// Goes on to a newer term. In it nothing is known yet, and no vote given but this one.
    pub(super) fn enter_term(
        &mut self,
        now: Time,
        term: View,
        voted: Option<NodeId>,
        out: &mut Out,
    ) {
        assert!(term > self.term, "terms do not go down");
        if self.leads() {
            self.elections.arm(now);
        }
        (self.term, self.voted) = (term, voted);
        self.replication.enter_term();
        self.lose_leader();
        out.persist(Record::Term { term, voted });
    }

    /// Nobody is known to lead.
    fn lose_leader(&mut self) {
        self.role = Role::Follower;
        self.leader = None;
        self.elections.lose();
        self.reads.leader_changed();
    }

    /// A message that only the leader of this term sends. False: another leads it.
    pub(super) fn follow(&mut self, now: Time, from: NodeId, out: &mut Out) -> bool {
        if self.leads() || self.leader.is_some_and(|leader| leader != from) {
            return false;
        }
        self.role = Role::Follower;
        if self.leader.is_none() {
            self.leader = Some(from);
            self.reads.leader_changed();
            out.leader(from);
        }
        self.elections.heard(now);
        true
    }

    /// A process that ends takes its connections with it, and is noticed by that long before it is
    /// missed.
    pub(super) fn on_disconnected(&mut self, now: Time, peer: NodeId) {
        if self.leader == Some(peer) {
            self.elections.hurry(now);
        }
    }

    /// Whether there is no reason to elect anybody.
    pub(super) fn has_leader(&self, now: Time) -> bool {
        self.leads()
            || now < self.elections.silent_until
            || rules::leader_is_heard(self.elections.heard, now, self.config.timing.timeout)
    }

    // ---- elections ----

    pub(super) fn on_tick(&mut self, now: Time, out: &mut Out) {
        match &self.role {
            Role::Leader(lead) if now >= lead.check_at => {
                self.check_execution(now);
                self.check_quorum(now);
            }
            Role::PreCandidate(_) | Role::Candidate { .. }
                if now < self.elections.at && now >= self.elections.resend_at =>
            {
                self.ask_for_votes(now, out);
            }
            _ => {}
        }
        if !self.leads() && now >= self.elections.at {
            if self.is_held_up() {
                self.lose_leader();
                self.elections.arm(now);
            } else {
                self.campaign(now, out);
            }
        }
    }

    /// Whether it has executed so little of what is committed that as a leader it could order nothing.
    pub(super) fn is_held_up(&self) -> bool {
        self.replication.supply.is_behind(self.log.committed())
    }

    /// Asks who would vote for it (dissertation, section 9.6). Nobody's term changes by that.
    fn campaign(&mut self, now: Time, out: &mut Out) {
        self.lose_leader();
        self.role = Role::PreCandidate([self.me()].into_iter().collect());
        self.elections.begun += 1;
        self.elections.arm(now);
        self.elections.failed = self.elections.failed.saturating_add(1);
        self.ask_for_votes(now, out);
        self.stand_if_supported(now, out);
    }

    fn ask_for_votes(&mut self, now: Time, out: &mut Out) {
        self.elections.resend_at = now.plus(self.config.timing.resend);
        let last = self.log.last();
        let ask = match &self.role {
            Role::PreCandidate(_) => Body::PreVote(PreVote {
                term: self.term.next(),
                last,
            }),
            Role::Candidate { transfer, .. } => Body::RequestVote(RequestVote {
                term: self.term,
                last,
                transfer: *transfer,
            }),
            Role::Follower | Role::Leader(_) => return,
        };
        self.say(To::Others, ask, out);
    }

    pub(super) fn on_pre_vote(&mut self, now: Time, from: NodeId, ask: PreVote, out: &mut Out) {
        let term = self.term;
        if ask.term <= term {
            return self.say(To::One(from), Body::NewerTerm(NewerTerm { term }), out);
        }
        if !self.has_leader(now) && rules::would_grant(&self.voter(), ask.term, ask.last) {
            let term = ask.term;
            self.say(To::One(from), Body::PreGrant(PreGrant { term }), out);
        }
    }

    pub(super) fn on_pre_grant(&mut self, now: Time, from: NodeId, it: PreGrant, out: &mut Out) {
        if let Role::PreCandidate(votes) = &mut self.role
            && it.term == self.term.next()
        {
            votes.insert(from);
            self.stand_if_supported(now, out);
        }
    }

    fn stand_if_supported(&mut self, now: Time, out: &mut Out) {
        if let Role::PreCandidate(votes) = &self.role
            && votes.len() >= self.config.quorums.election
        {
            self.stand(now, false, out);
        }
    }

    /// Stands for the next term (section 5.2). The own vote counts when it is durable.
    fn stand(&mut self, now: Time, transfer: bool, out: &mut Out) {
        let term = self.term.next();
        self.enter_term(now, term, Some(self.me()), out);
        self.role = Role::Candidate {
            votes: NodeSet::EMPTY,
            transfer,
        };
        self.elections.arm(now);
        self.ask_for_votes(now, out);
        self.grant(self.me(), out);
    }

    fn voter(&self) -> rules::Voter {
        rules::Voter {
            term: self.term,
            voted: self.voted,
            last: self.log.last(),
        }
    }

    pub(super) fn on_request_vote(
        &mut self,
        now: Time,
        from: NodeId,
        ask: RequestVote,
        out: &mut Out,
    ) {
        let silent = now < self.elections.silent_until && !ask.transfer;
        if silent || !rules::may_grant(&self.voter(), from, ask.term, ask.last) {
            return;
        }
        if self.voted != Some(from) {
            let (term, voted) = (self.term, Some(from));
            self.voted = voted;
            out.persist(Record::Term { term, voted });
        }
        self.elections.arm(now);
        self.grant(from, out);
    }

    fn grant(&self, candidate: NodeId, out: &mut Out) {
        let grant = Grant {
            epoch: self.config.context.epoch,
            term: self.term,
            candidate,
        };
        self.say(To::One(candidate), Body::Grant(grant), out);
    }

    pub(super) fn on_grant(&mut self, now: Time, from: NodeId, grant: Grant, out: &mut Out) {
        let me = self.me();
        if let Role::Candidate { votes, .. } = &mut self.role
            && grant.candidate == me
        {
            votes.insert(from);
            if votes.len() >= self.config.quorums.election {
                self.lead(now, out);
            }
        }
    }

    // ---- the leader's end ----

    /// A leader that a commit quorum does not answer steps down (dissertation, section 6.2): its
    /// clients look elsewhere, and it does not keep others from electing.
    fn check_quorum(&mut self, now: Time) {
        let timeout = self.config.timing.timeout;
        let Role::Leader(lead) = &mut self.role else {
            return;
        };
        lead.check_at = now.plus(timeout);
        let recent = |it: &&Progress| now < it.heard.plus(timeout);
        let heard = 1 + lead.followers.values().filter(recent).count();
        if heard < self.config.quorums.commit {
            self.replication.enter_term();
            self.lose_leader();
            self.elections.arm(now);
        }
    }

    /// A leader that may order nothing, since it executes nothing any more (its disk hangs, say), but
    /// still beats: it hands over to one who may do better.
    fn check_execution(&mut self, now: Time) {
        let (executed, waits) = (self.replication.supply.executed(), self.is_held_up());
        let Role::Leader(lead) = &mut self.role else {
            return;
        };
        let still = waits && lead.held_up.0 == executed && lead.transfer.is_none();
        let checks = if still { lead.held_up.1 + 1 } else { 0 };
        lead.held_up = (executed, checks % STANDSTILL);
        if checks == STANDSTILL {
            self.on_transfer(now, None);
        }
    }

    /// Hands over to whoever is most advanced, or to the one named (dissertation, section 3.10). Who
    /// does not lead may win yet, and is to hand over then.
    pub(super) fn on_transfer(&mut self, now: Time, to: Option<NodeId>) {
        let timeout = self.config.timing.timeout;
        let Role::Leader(lead) = &mut self.role else {
            self.departing |= to.is_none();
            return;
        };
        let recent = |it: &Progress| now < it.heard.plus(timeout);
        let fit = lead.followers.iter().filter(|(id, it)| match to {
            Some(to) => **id == to,
            None => recent(it),
        });
        let best = fit.max_by_key(|(_, it)| (it.matched, it.heard));
        let until = now.plus(timeout);
        lead.transfer = best.map(|(id, _)| Transfer {
            to: *id,
            until,
            told: false,
        });
    }

    /// Once the successor has the whole log, it is told to stand. Until it leads, or is given up,
    /// nothing is ordered.
    pub(super) fn hand_over(&mut self, now: Time, out: &mut Out) {
        // Only when the term's own entry is committed it is known who is up.
        let led = matches!(&self.role, Role::Leader(lead) if self.log.committed() >= lead.first);
        if led && std::mem::take(&mut self.departing) {
            self.on_transfer(now, None);
        }
        let (last, term) = (self.log.last().height, self.term);
        let Role::Leader(lead) = &mut self.role else {
            return;
        };
        let Some(transfer) = &mut lead.transfer else {
            return;
        };
        let to = transfer.to;
        if now >= transfer.until {
            lead.transfer = None;
            return;
        }
        let ready = lead.followers.get(&to).is_some_and(|it| it.matched == last);
        if ready && !std::mem::replace(&mut transfer.told, true) {
            lead.told_to_stand = true;
            self.say(To::One(to), Body::TimeoutNow(TimeoutNow { term }), out);
        }
    }

    pub(super) fn on_timeout_now(&mut self, now: Time, from: NodeId, out: &mut Out) {
        if self.leader == Some(from) && !self.leads() {
            self.elections.begun += 1;
            self.stand(now, true, out);
        }
    }
}
