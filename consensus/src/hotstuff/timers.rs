//! The timers: when to say things again, when to give a tenure up, and when to ask at rest.

use super::{HotStuff, Out};
use crate::common::{Help, Patience};
use crate::{Timing, To};
use crypto::Time;

/// See the module.
#[derive(Debug)]
pub struct Timers {
    /// How long a view may take.
    patience: Patience,
    /// Since when the view lasts while there is work; `None` while there is none.
    since: Option<Time>,
    /// The view stands still: promises were sent again in it.
    stalled: bool,
    /// When to send promises again and ask for certificates.
    nudge_at: Time,
    /// When to ask a peer where it stands, while there is nothing to do; unset while there is.
    ask_at: Option<Time>,
    /// When to send the own timeout again, and the gap after that.
    resend: Option<(Time, Time)>,
    pub help: Help,
}

impl Timers {
    pub fn new(timing: Timing) -> Self {
        Self {
            since: None,
            stalled: false,
            nudge_at: Time(0),
            ask_at: None,
            resend: None,
            help: Help::new(&timing),
            patience: Patience::new(timing),
        }
    }
    /// Whether the view stands still.
    pub fn stalled(&self) -> bool {
        self.stalled
    }
    /// When to wake.
    pub fn deadline(&self) -> Option<Time> {
        let over = self.since.map(|since| since.plus(self.patience.span()));
        let view = over.map(|over| over.min(self.nudge_at));
        let resend = self.resend.map(|(at, _)| at);
        [view, resend, self.ask_at].into_iter().flatten().min()
    }
    /// Something was committed: the time-out falls back to the configured one.
    pub fn on_progress(&mut self, now: Time) {
        self.patience.progressed();
        self.stalled = false;
        self.since = self.since.map(|_| now);
    }
    /// A tenure was given up by a quorum: the next time-out is longer.
    pub fn on_given_up(&mut self) {
        self.patience.failed();
    }
    /// A view was entered: its timer starts anew.
    pub fn on_enter(&mut self, now: Time, by_certificate: bool) {
        if let (Some(since), true) = (self.since, by_certificate) {
            self.patience.observe(now.since(since));
        }
        self.since = None;
        self.stalled = false;
    }
    /// A tenure was entered: the own timeout of the former one is of no more use.
    pub fn on_new_tenure(&mut self) {
        self.resend = None;
    }
}

impl HotStuff {
    /// What the timer runs for: uncommitted payload in the chain of the high certificate or in the
    /// current proposal, a missing certified block, a known batch, a waiting read, or f+1 timeouts.
    fn has_work(&self) -> bool {
        self.replication.supply.pending().is_some()
            || self.reads.needs_progress()
            || self.pacemaker.given_up_by() >= self.config.quorums.one_honest()
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
        let work = self.has_work();
        let given_up = self.pacemaker.given_up() == Some(self.tenure());
        let timers = &mut self.timers;
        if !work {
            (timers.since, timers.resend) = (None, None);
            timers.stalled = false;
            let gap = self.config.timing.at_rest();
            timers.ask_at.get_or_insert(now.plus(gap));
            return;
        }
        timers.ask_at = None;
        if timers.since.is_none() {
            timers.since = Some(now);
            timers.nudge_at = now.plus(timers.patience.nudge_gap());
        }
        if given_up {
            let gap = self.config.timing.resend;
            timers.resend.get_or_insert((now.plus(gap), gap));
        }
    }

    pub(super) fn on_tick(&mut self, now: Time, out: &mut Out) {
        if let Some((_, gap)) = self.timers.resend.filter(|(at, _)| *at <= now) {
            let most = self.config.timing.timeout_cap.0;
            let longer = Time(gap.0.saturating_mul(2).min(most));
            self.timers.resend = Some((now.plus(longer), longer));
            if !crypto::planted!(SayOnce) {
                self.send_timeout(To::All, out);
            }
        }
        if self.timers.ask_at.is_some_and(|at| at <= now) {
            self.ask_next(out);
        }
        let Some(since) = self.timers.since else {
            return;
        };
        if now >= self.timers.nudge_at {
            self.timers.nudge_at = now.plus(self.timers.patience.nudge_gap());
            self.nudge(out);
        }
        if now >= since.plus(self.timers.patience.span()) {
            self.give_up(out);
            // Given up already: the timer is of no more use in this view.
            self.timers.since = Some(now);
        }
    }

    /// Nothing to do: asks one peer after the other where it stands.
    fn ask_next(&mut self, out: &mut Out) {
        self.timers.ask_at = None;
        if let Some(peer) = self.timers.help.next(&self.config) {
            out.send(To::One(peer), self.ask_certificate());
        }
    }

    /// The view stands still: promises again, and a question to all who may know more.
    fn nudge(&mut self, out: &mut Out) {
        self.timers.stalled = true;
        self.replication.supply.set_dry(false);
        self.resend_proposal(To::Others, out);
        if self.replication.voted() == self.view {
            self.send_vote(out);
        }
        out.send(To::Others, self.ask_certificate());
    }
}
