//! Chained HotStuff with a three-chain commit in consecutive views, leaders that keep their place
//! for a tenure, and timeouts that are for a tenure.
//!
//! This file holds the state and dispatches; the rules are in [`rules`].

pub mod block;
mod catch_up;
pub mod certificate;
mod log;
pub mod message;
mod proposing;
mod read;
pub mod record;
mod recovery;
mod replication;
pub mod rules;
mod timers;
mod view_change;

#[cfg(test)]
mod tests;

pub use block::{Block, Header};
pub use certificate::{Proof, QuorumCertificate, TimeoutCertificate};
pub use message::{Draft, Message};
pub use record::{Record, VoteRecord};

use crate::{Anchor, Committed, Config, Input, Outputs, Protocol, Status, Window};
use crypto::{Height, NodeId, Reject, Size, Time, Verifier, View};
use std::sync::Arc;

/// How far ahead of the current view ingress still checks proposals and votes. A proposal proves its
/// view, so this only bounds nonsense.
const VIEWS_AHEAD: u64 = 1 << 20;

/// One replica.
pub struct HotStuff {
    config: Config,
    /// The current view.
    view: View,
    /// The highest certificate known; its block may still be missing.
    high: Arc<QuorumCertificate>,
    /// The timeout certificate of the highest tenure.
    high_timeout: Option<Arc<TimeoutCertificate>>,
    /// The lock.
    locked: Arc<QuorumCertificate>,
    /// The tree of blocks.
    log: log::Log,
    replication: replication::Replication,
    pacemaker: view_change::Pacemaker,
    timers: timers::Timers,
    catch_up: catch_up::CatchUp,
    reads: read::Reads,
}

type Out = Outputs<HotStuff>;

impl Protocol for HotStuff {
    type Message = Message;
    type Record = Record;
    type Proof = Proof;
    type Draft = Draft<Message>;

    fn recover(
        config: Config,
        now: Time,
        anchor: Anchor<Proof>,
        records: Vec<Record>,
        out: &mut Out,
    ) -> Self {
        recovery::recover(config, now, anchor, records, out)
    }

    fn check_stored(anchor: &Anchor<Proof>, records: &[Record]) -> Result<(), String> {
        recovery::check(anchor, records)
    }

    fn step(&mut self, now: Time, input: Input<Self>, out: &mut Out) {
        match input {
            Input::Message { from, message } => {
                self.on_message(now, from, message.into_inner(), out)
            }
            Input::Payload { ticket, payload } => self.on_payload(now, ticket, payload, out),
            Input::Checked { block, held } => self.on_checked(&block, held),
            Input::Pending { oldest } => self.replication.supply.on_pending(oldest),
            Input::Overdue { .. } if crypto::planted!(IgnoreOverdue) => {}
            Input::Overdue { .. } => self.on_overdue(out),
            Input::Executed { height, .. } => self.replication.supply.on_executed(height),
            // Blocks are kept until a snapshot covers them, not a checkpoint.
            Input::Checkpoint { .. } => {}
            Input::Loaded(loaded) => self.on_loaded(loaded, out),
            Input::Read { id } => self.reads.on_read(now, id, out),
            // A leader that stops costs one timeout; it has no way to name its successor.
            Input::Transfer { .. } => {}
            Input::Connected { peer } => self.on_connected(peer, out),
            // Silence is told by the view timer: a leader that lies may keep its connections up.
            Input::Disconnected { .. } => {}
            Input::Tick => self.on_tick(now, out),
        }
        self.go_on(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        let own = [
            self.timers.deadline(),
            self.propose_at(),
            self.catch_up.fetching.deadline(),
            self.reads.deadline(),
        ];
        own.into_iter().flatten().min()
    }

    fn window(&self) -> Window {
        // Votes and proposals up to the high certificate's view can teach nothing, unless its block
        // is still missing. Who sends them because it lags is answered on its timeout or question.
        let low = if self.log.holds(&self.high.block) {
            self.high.view.next()
        } else {
            View(0)
        };
        Window {
            epoch: self.config.context.epoch,
            views: (low, View(self.view.0.saturating_add(VIEWS_AHEAD))),
            heights: (Height(0), Height(u64::MAX)),
        }
    }

    fn view(&self) -> View {
        self.view
    }

    fn status(&self) -> Status {
        Status {
            view: self.view,
            leader: Some(self.leader(self.view)),
            height: self.log.committed(),
            history: self.log.history(),
            timeouts: self.pacemaker.signed(),
            waiting: self.waiting(),
        }
    }

    fn sizes(&self, into: &mut Vec<Size>) {
        let n = self.config.validators.n();
        self.log.sizes(into);
        self.replication.sizes(into);
        into.push(Size::new("timeouts", self.pacemaker.given_up_by(), n));
        self.catch_up.sizes(n, into);
        self.reads.sizes(into);
    }

    fn check_proof(committed: &Committed<Proof>, by: &Verifier) -> Result<(), Reject> {
        Proof::check(committed, by)
    }
}

impl HotStuff {
    fn on_message(&mut self, now: Time, from: NodeId, message: Message, out: &mut Out) {
        match message {
            Message::Proposal(proposal) => self.on_proposal(now, from, proposal, out),
            Message::Vote(vote) => self.on_vote(now, from, vote, out),
            Message::Timeout(timeout) => self.on_timeout(now, from, *timeout, out),
            Message::Certificate(pair) => self.on_certificate(now, from, &pair, out),
            Message::AskCertificate(ask) => self.on_ask_certificate(now, from, ask, out),
            Message::FetchBlocks(fetch) => self.on_fetch_blocks(now, from, &fetch, out),
            Message::Blocks(blocks) => self.on_blocks(now, from, blocks, out),
            Message::ReadAsk(ask) => self.on_read_ask(from, ask, out),
            Message::ReadAnswer(answer) => self.on_read_answer(now, from, &answer, out),
        }
    }

    /// What follows from the state, whatever the input was: fetch what is missing, vote, propose,
    /// tell the last certificate, answer reads, arm the timers.
    fn go_on(&mut self, now: Time, out: &mut Out) {
        self.accept_waiting(now, out);
        self.try_vote(out);
        self.try_propose(now, out);
        self.tell_certificate(out);
        self.fetch_missing(now, out);
        self.answer_reads(now, out);
        self.arm(now);
    }

    fn me(&self) -> NodeId {
        self.config.me
    }
    fn quorum(&self) -> usize {
        self.config.quorums.commit
    }
    fn leader(&self, view: View) -> NodeId {
        self.config.leaders.leader(view, self.config.validators.n())
    }
    fn tenure(&self) -> u64 {
        self.config.leaders.tenure_of(self.view)
    }

    /// Why nothing moves, if it waits for something.
    fn waiting(&self) -> Option<String> {
        if let Some(sentence) = self.catch_up.fetching.waiting("blocks") {
            return Some(sentence);
        }
        // Under load something is always under way; it is worth a word once it stands still. So is a
        // tenure given up: others may go on in it, and whoever alone gave it up follows them.
        let (view, leader) = (self.view, self.leader(self.view));
        let still = self.timers.stalled().then(|| {
            let given_up = self.pacemaker.waiting(self.tenure(), self.quorum());
            given_up.or_else(|| self.replication.waiting(view, leader, self.me()))
        });
        let still = still.flatten();
        still.or_else(|| self.reads.waiting(self.quorum()))
    }
}
