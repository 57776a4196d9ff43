//! Practical Byzantine fault tolerance (Castro and Liskov, OSDI 1999) with signatures in place of
//! MACs: three phases, several slots in flight between watermarks, views that are given up.
//!
//! A *slot* is a height. The primary of a view assigns payloads to slots by a [`PrePrepare`]; backups
//! that hold the payload answer all with a *prepare*. A pre-prepare and prepares of a quorum in all
//! make a [`Prepared`] certificate, on which everybody tells all a *commit*; a quorum of commits in one
//! view is a [`CommitCertificate`], the proof of a commit. Slots are committed in order, whatever
//! the order in which they are certified.
//!
//! What a replica knows of slots is in [`log`]: for each, what it accepted in the current view, the
//! prepared certificate of the highest view, votes, and why it is committed. It is kept until the
//! shell's checkpoint above it is stable: the low watermark. The high one is two intervals above.
//!
//! `view` is the view in which a replica takes part: view 1, or the last one whose [`NewView`] it has.
//! Who waits too long asks for a higher one by a [`ViewChange`], which says what it has prepared, and has
//! no part in older views any more; but whatever is proven, it goes on to learn from and to commit.
//! The primary of the wanted view answers a quorum of view changes with the new view, which
//! carries the highest of what was prepared over; everybody computes the same again.
//!
//! Before a pre-prepare or prepare leaves, view, slot and payload are durable; before a commit, the
//! prepared certificate; before a view change, the whole of it; before anything of a new view, that;
//! before anything in slots that a stable checkpoint has moved the watermarks to, that checkpoint.
//!
//! A restart is given the records from the last commit up only. What it has prepared between the low
//! watermark and there, it reads before it may ask for another view: `recovery.rs`.
//!
//! This file holds the state and dispatches; the rules are in [`rules`].

mod catch_up;
pub mod certificate;
mod log;
pub mod message;
mod pace;
mod proposing;
mod read;
pub mod record;
mod recovery;
mod replication;
pub mod rules;
pub mod slot;
mod timers;
mod view_change;

#[cfg(test)]
mod tests;

pub use certificate::{CommitCertificate, NewView, Prepared, Proof};
pub use message::{Draft, Message, PrePrepare, ViewChange};
pub use record::Record;
pub use slot::Assigned;

use crate::{Anchor, Committed, Config, Input, Outputs, Protocol, Status, Window};
use crypto::{Height, NodeId, Reject, Size, Time, Verifier, View};
use std::sync::Arc;

/// How far ahead of the current view ingress still checks what is said of slots. This only bounds
/// nonsense: what a view is, is told by its proof.
const VIEWS_AHEAD: u64 = 1 << 20;

/// One replica.
pub struct Pbft {
    config: Config,
    /// The view in which it takes part.
    view: View,
    /// By what it entered that; `None` in view 1.
    opened: Option<Arc<NewView>>,
    log: log::Log,
    replication: replication::Replication,
    changes: view_change::Changes,
    timers: timers::Timers,
    catch_up: catch_up::CatchUp,
    recovery: recovery::Recovery,
    reads: read::Reads,
}

type Out = Outputs<Pbft>;

impl Protocol for Pbft {
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
                self.on_message(now, from, message.into_inner(), out);
            }
            Input::Payload { ticket, payload } => self.on_payload(now, ticket, payload, out),
            Input::Checked { block, held } => self.on_checked(&block, held, out),
            Input::Pending { oldest } => self.replication.supply.on_pending(oldest),
            Input::Overdue { .. } if crypto::planted!(IgnoreOverdue) => {}
            Input::Overdue { .. } => self.on_overdue(out),
            Input::Executed { height, .. } => self.replication.supply.on_executed(height),
            Input::Checkpoint { every, stable } => self.on_checkpoint(every, stable.as_ref(), out),
            Input::Loaded(loaded) => self.on_loaded(loaded, out),
            Input::Read { id } => self.reads.on_read(now, id, out),
            // A primary that stops costs one view change; who follows is fixed.
            Input::Transfer { .. } => {}
            Input::Connected { peer } => self.on_connected(peer, out),
            // Silence is told by the timers: a primary that lies may keep its connections up.
            Input::Disconnected { .. } => {}
            Input::Tick => self.on_tick(now, out),
        }
        self.go_on(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        let own = [
            self.timers.deadline(),
            self.propose_at(),
            self.catch_up.deadline(),
            self.reads_at(),
        ];
        own.into_iter().flatten().min()
    }

    fn window(&self) -> Window {
        // What is said of committed slots can teach nothing, unless they are carried over. Who says
        // it because it lags is answered on its question or view change.
        Window {
            epoch: self.config.context.epoch,
            views: (View(0), View(self.view.0.saturating_add(VIEWS_AHEAD))),
            heights: (self.lowest_open(), self.log.beyond()),
        }
    }

    fn view(&self) -> View {
        self.changes.wanted()
    }

    fn status(&self) -> Status {
        let view = self.changes.wanted();
        Status {
            view,
            leader: Some(self.primary(view)),
            height: self.log.committed(),
            history: self.log.history(),
            timeouts: self.changes.signed(),
            waiting: self.waiting(),
        }
    }

    fn sizes(&self, into: &mut Vec<Size>) {
        let n = self.config.validators.n();
        self.log.sizes(into);
        self.replication.sizes(self.log.most_slots(), into);
        into.push(Size::new("view changes", self.changes.heard(), n));
        self.catch_up.sizes(n, into);
        self.reads.sizes(into);
    }

    fn check_proof(committed: &Committed<Proof>, by: &Verifier) -> Result<(), Reject> {
        Proof::check(committed, by)
    }
}

impl Pbft {
    fn on_message(&mut self, now: Time, from: NodeId, message: Message, out: &mut Out) {
        match message {
            Message::PrePrepare(it) => self.on_pre_prepare(now, from, &it, out),
            Message::Prepare(vote) => self.on_prepare(now, from, vote, out),
            Message::Commit(vote) => self.on_commit(now, from, vote, out),
            Message::ViewChange(it) => self.on_view_change(now, from, *it, out),
            Message::NewView(it) | Message::Opened(it) => self.on_new_view(now, from, &it, out),
            Message::Certificate(it) => self.on_certificate(now, from, &it, out),
            Message::AskProgress(ask) => self.on_ask_progress(now, from, ask, out),
            Message::FetchSlots(fetch) => self.on_fetch_slots(now, from, fetch, out),
            Message::Slots(slots) => self.on_slots(from, slots),
            Message::FetchPayloads(fetch) => self.on_fetch_payloads(now, from, &fetch, out),
            Message::Payloads(answer) => self.on_payloads(answer.payloads),
            Message::ReadAsk(ask) => self.on_read_ask(from, ask, out),
            Message::ReadAnswer(answer) => self.on_read_answer(now, from, &answer, out),
        }
    }

    /// What follows from the state, whatever the input was: commit what is next, read what a
    /// restart left out, change views, order, fetch what is missing, answer reads, arm the timers.
    fn go_on(&mut self, now: Time, out: &mut Out) {
        self.commit_next(now, out);
        self.read_own_slots(out);
        self.change_view(out);
        self.carry_over(now, out);
        self.try_propose(now, out);
        self.fetch_missing(now, out);
        self.answer_reads(now, out);
        self.arm(now);
    }

    fn me(&self) -> NodeId {
        self.config.me
    }
    fn n(&self) -> usize {
        self.config.validators.n()
    }
    fn quorum(&self) -> usize {
        self.config.quorums.commit
    }
    fn primary(&self, view: View) -> NodeId {
        rules::primary(&self.config.leaders, view, self.n())
    }
    fn is_primary(&self) -> bool {
        self.primary(self.view) == self.me()
    }
    /// Whether it takes part in its view: it has not asked for a higher one.
    fn takes_part(&self) -> bool {
        self.changes.wanted() == self.view || crypto::planted!(GoOnAfterChange)
    }
    /// The highest slot that the view has carried over from older ones.
    fn reach(&self) -> Height {
        self.opened.as_ref().map_or(Height(0), |it| it.reach())
    }

    /// Why nothing moves, if it waits for something.
    fn waiting(&self) -> Option<String> {
        if let Some(sentence) = self.recovery.waiting() {
            return Some(sentence);
        }
        if let Some(sentence) = self.catch_up.fetching.waiting("slots") {
            return Some(sentence);
        }
        // Under load something is always under way; it is worth a word once it stands still. So is a
        // view given up: others may go on in it, and whoever alone gave it up learns what they commit.
        let wanted = self.changes.wanted();
        let still = self.timers.stalled().then(|| {
            let (changes, primary) = (&self.changes, self.primary(wanted));
            let gave_up = wanted > self.view;
            let gave_up = gave_up.then(|| changes.waiting(self.view, primary, self.quorum()));
            gave_up.or_else(|| self.stands_still())
        });
        if let Some(sentence) = still.flatten() {
            return Some(sentence);
        }
        self.reads.waiting(self.quorum())
    }
}
