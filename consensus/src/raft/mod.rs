//! Raft: a leader that is elected for a term and orders what the others append, with PreVote and
//! CheckQuorum, pipelined appends, commit and election quorums that may differ, hand-over of
//! leadership, and reads that are not ordered.
//!
//! This file holds the state and dispatches; the rules are in [`rules`].

mod catch_up;
pub mod entry;
mod log;
pub mod message;
mod progress;
mod read;
pub mod record;
mod recovery;
mod replication;
pub mod rules;
mod view_change;

#[cfg(test)]
mod tests;

pub use entry::{Entry, Position, Proof};
pub use message::{AppendEntries, Body, Draft, Message};
pub use record::Record;

use crate::common::Loads;
use crate::{Anchor, Committed, Config, Input, Outputs, Protocol, Status, To, Window};
use crypto::{Height, NodeId, NodeSet, Reject, Size, Time, Verifier, View};

/// How far ahead of the current term a message may be: this only bounds nonsense.
const TERMS_AHEAD: u64 = 1 << 32;

/// What a replica is in its term (figure 4).
#[derive(Debug)]
enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks who would vote for it; with those who would.
    PreCandidate(NodeSet),
    /// Stands; with those who voted for it, and whether the leader asked it to, as it tells all.
    Candidate { votes: NodeSet, transfer: bool },
    /// Leads.
    Leader(replication::Leadership),
}

/// One replica.
pub struct Raft {
    config: Config,
    /// The current term.
    term: View,
    /// Whom it voted for in it.
    voted: Option<NodeId>,
    role: Role,
    /// Who leads the term, if known.
    leader: Option<NodeId>,
    log: log::Log,
    replication: replication::Replication,
    elections: view_change::Elections,
    loads: Loads,
    reads: read::Reads,
    /// The process is to end: whatever this replica wins, it hands over.
    departing: bool,
}

type Out = Outputs<Raft>;

impl Protocol for Raft {
    type Message = Message;
    type Record = Record;
    type Proof = Proof;
    type Draft = Draft;

    fn recover(
        config: Config,
        now: Time,
        anchor: Anchor<Proof>,
        records: Vec<Record>,
        out: &mut Out,
    ) -> Self {
        recovery::recover(config, now, &anchor, records, out)
    }

    fn check_stored(anchor: &Anchor<Proof>, records: &[Record]) -> Result<(), String> {
        recovery::check(anchor, records)
    }

    fn step(&mut self, now: Time, input: Input<Self>, out: &mut Out) {
        match input {
            Input::Message { from, message } => {
                self.on_message(now, from, message.into_inner(), out);
            }
            Input::Payload { ticket, payload } => self.on_payload(ticket, payload, out),
            Input::Pending { oldest } => self.replication.supply.on_pending(oldest),
            Input::Executed { height, .. } => self.replication.supply.on_executed(height),
            Input::Loaded(loaded) => self.on_loaded(now, loaded, out),
            Input::Read { id } => self.on_read(now, id, out),
            Input::Transfer { to } => self.on_transfer(now, to),
            Input::Connected { peer } => self.on_connected(peer),
            Input::Disconnected { peer } => self.on_disconnected(now, peer),
            Input::Tick => self.on_tick(now, out),
            // Payload is inline, and who only crashes censors nobody.
            Input::Checked { .. } | Input::Overdue { .. } | Input::Checkpoint { .. } => {}
        }
        self.go_on(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        let own = match &self.role {
            Role::Leader(lead) => lead.deadline(),
            Role::Follower => self.elections.deadline(false),
            Role::PreCandidate(_) | Role::Candidate { .. } => self.elections.deadline(true),
        };
        [Some(own), self.reads.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn window(&self) -> Window {
        Window {
            epoch: self.config.context.epoch,
            views: (View(0), View(self.term.0.saturating_add(TERMS_AHEAD))),
            heights: (Height(0), Height(u64::MAX)),
        }
    }

    fn view(&self) -> View {
        self.term
    }

    fn status(&self) -> Status {
        Status {
            view: self.term,
            leader: self.leader,
            height: self.log.committed(),
            history: self.log.history(),
            timeouts: self.elections.begun(),
            waiting: self.waiting(),
        }
    }

    fn departed(&self) -> bool {
        match &self.role {
            Role::Leader(lead) => lead.transfer.is_none() && !self.departing,
            _ => self.leader.is_some(),
        }
    }

    fn sizes(&self, into: &mut Vec<Size>) {
        self.log.sizes(into);
        self.reads.sizes(self.config.validators.n(), into);
        if let Role::Leader(lead) = &self.role {
            lead.sizes(into);
        }
    }

    fn check_proof(committed: &Committed<Proof>, _: &Verifier) -> Result<(), Reject> {
        Proof::check(committed)
    }
}

impl Raft {
    fn on_message(&mut self, now: Time, from: NodeId, message: Message, out: &mut Out) {
        let (term, body) = (message.body.term(), message.body);
        match &body {
            // Neither question nor answer is about a term that there is.
            Body::PreVote(ask) => return self.on_pre_vote(now, from, *ask, out),
            Body::PreGrant(grant) => return self.on_pre_grant(now, from, *grant, out),
            // Who is behind learns it even then.
            Body::RequestVote(ask)
                if term >= self.term && !ask.transfer && self.has_leader(now) =>
            {
                return;
            }
            _ => {}
        }
        if term > self.term {
            self.enter_term(now, term, None, out);
        } else if term < self.term {
            return self.answer_stale(from, &body, out);
        }
        match body {
            Body::AppendEntries(append) => self.on_append(now, from, &append, out),
            Body::Appended(it) => self.on_appended(now, from, it, out),
            Body::Conflict(it) => self.on_conflict(now, from, it),
            Body::Heard(it) => self.on_heard(now, from, it),
            Body::RequestVote(ask) => self.on_request_vote(now, from, ask, out),
            Body::Grant(grant) => self.on_grant(now, from, grant, out),
            Body::TimeoutNow(_) => self.on_timeout_now(now, from, out),
            Body::ReadIndex(ask) => self.on_read_index(now, from, ask),
            Body::ReadAnswer(answer) => self.on_read_answer(answer, out),
            Body::NewerTerm(_) | Body::PreVote(_) | Body::PreGrant(_) => {}
        }
    }

    /// Whoever asks something in an older term learns the newer one, by which a leader that was
    /// cut off steps down, even if its own CheckQuorum has not told it yet.
    fn answer_stale(&self, from: NodeId, body: &Body, out: &mut Out) {
        let asks = matches!(
            body,
            Body::AppendEntries(_) | Body::RequestVote(_) | Body::ReadIndex(_)
        );
        if asks && from != self.me() {
            let term = self.term;
            self.say(
                To::One(from),
                Body::NewerTerm(message::NewerTerm { term }),
                out,
            );
        }
    }

    /// What follows from the state, whatever the input was: order, answer reads, replicate, hand
    /// over.
    fn go_on(&mut self, now: Time, out: &mut Out) {
        self.want_payload(out);
        self.answer_reads(now, out);
        self.replicate(now, out);
        self.hand_over(now, out);
    }

    fn say(&self, to: To, body: Body, out: &mut Out) {
        let epoch = self.config.context.epoch;
        out.send(to, Draft(Message { epoch, body }));
    }
    fn me(&self) -> NodeId {
        self.config.me
    }
    fn leads(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Why nothing moves, if it waits for something.
    fn waiting(&self) -> Option<String> {
        let (term, needed) = (self.term, self.config.quorums.election);
        match &self.role {
            Role::Leader(lead) => lead.waiting(self.log.committed(), self.config.quorums.commit),
            Role::PreCandidate(votes) => Some(format!(
                "no leader: {} of {needed} would vote for this node in term {}",
                votes.len(),
                term.next()
            )),
            Role::Candidate { votes, .. } => Some(format!(
                "no leader: {} of {needed} votes in term {term}",
                votes.len()
            )),
            Role::Follower if self.leader.is_none() && self.is_held_up() => Some(format!(
                "no leader is known in term {term}, and too little is executed to stand"
            )),
            Role::Follower if self.leader.is_none() => {
                Some(format!("no leader is known in term {term}"))
            }
            Role::Follower => None,
        }
    }
}
