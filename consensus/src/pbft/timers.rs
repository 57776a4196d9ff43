//! The timers: when to say things again, when to give a view up, and when to ask at rest.

use super::{Out, Pbft};
use crate::common::{Help, Patience};
use crate::{Timing, To};
use crypto::Time;

/// A view change that too few join is sent again at gaps that grow to so many time-outs.
const RESEND_TIMEOUTS: u64 = 4;

/// See the module.
#[derive(Debug)]
pub struct Timers {
    /// How long payload may wait until something is committed.
    patience: Patience,
    /// Since when payload waits without progress; while another view is wanted, since when a quorum
    /// wants it. `None` while there is nothing to wait for.
    since: Option<Time>,
    /// Work stands still: promises were sent again for it.
    stalled: bool,
    /// When to send promises again and ask for progress.
    nudge_at: Option<Time>,
    /// When to ask a peer where it stands, while there is nothing to do; unset while there is.
    ask_at: Option<Time>,
    /// When to send the own view change again, and the gap after that.
    resend: Option<(Time, Time)>,
    pub help: Help,
    /// Whose question was answered lately: a few bytes ask for dozens of signatures.
    pub answers: Help,
    /// Who was told payloads lately: up to a mebibyte.
    pub told: Help,
}

impl Timers {
    pub fn new(timing: Timing) -> Self {
        Self {
            since: None,
            stalled: false,
            nudge_at: None,
            ask_at: None,
            resend: None,
            help: Help::new(&timing),
            answers: Help::new(&timing),
            told: Help::new(&timing),
            patience: Patience::new(timing),
        }
    }
    /// Whether work stands still.
    pub fn stalled(&self) -> bool {
        self.stalled
    }
    /// The time-out now.
    #[cfg(test)]
    pub fn span(&self) -> Time {
        self.patience.span()
    }
    /// When to wake.
    pub fn deadline(&self) -> Option<Time> {
        let over = self.since.map(|since| since.plus(self.patience.span()));
        let own = [over, self.nudge_at, self.ask_at];
        let own = own.into_iter().flatten();
        own.chain(self.resend.map(|(at, _)| at)).min()
    }
    /// Payload was committed: the time-out falls back to the configured one, if that was in the view
    /// that it takes part in. What is learnt of older ones says nothing of the primary that is awaited.
    pub fn on_progress(&mut self, now: Time, takes_part: bool) {
        self.stalled = false;
        self.nudge_at = None;
        if !takes_part {
            return;
        }
        self.patience.progressed();
        if let Some(since) = self.since {
            self.patience.observe(now.since(since));
            self.since = Some(now);
        }
    }
    /// A view is given up: the next time-out is longer.
    pub fn on_given_up(&mut self) {
        self.patience.failed();
        (self.since, self.resend) = (None, None);
    }
    /// A view is opened: its timer starts anew, as long as the last one until there is progress.
    pub fn on_enter(&mut self) {
        (self.since, self.nudge_at, self.resend) = (None, None, None);
        self.stalled = false;
    }
}

impl Pbft {
    /// What the timer runs for: a known batch, a slot that is known to be committed, a waiting read,
    /// f + 1 others that want another view, or something under way in the view. Whoever has given it up
    /// beside f others may be heard by nobody who joins him, and has nothing to say without work.
    fn has_work(&self) -> bool {
        let (committed, changes) = (self.log.committed(), &self.changes);
        let want_more = changes.others_who_want_more_than(self.closed(), self.me());
        self.replication.supply.pending().is_some()
            || self.reads.needs_progress()
            || self.log.low() > committed
            || self.log.open().any(|(_, slot)| slot.committed.is_some())
            || want_more >= self.config.quorums.one_honest()
            || self.is_under_way()
    }

    /// Whether the view has something to finish: what it carries over, a slot with payload, or one
    /// that is known to be prepared somewhere. Whoever has given the view up finishes nothing.
    fn is_under_way(&self) -> bool {
        let opened = self.opened.as_deref();
        let prepared = |slot: &super::log::Slot| {
            let it = slot.prepared.as_ref().map(|it| it.assigned);
            it.is_some_and(|it| !super::rules::is_orphaned(&it, opened))
        };
        let open = |slot: &super::log::Slot| slot.is_open() || prepared(slot);
        self.changes.wanted() == self.view
            && (self.reach() > self.log.committed() || self.log.open().any(|(_, slot)| open(slot)))
    }

    /// Whether the time until the next view change runs: payload waits in the view, or a quorum
    /// waits for another (\[CL\] section 4.5.2: not before the q-th view change). That all slots up to
    /// the high watermark, or as far as execution lets it, are committed is not the primary's fault,
    /// nor is what this node itself does not ask for yet.
    fn may_run_out(&self) -> bool {
        if self.takes_part() {
            let reach = self.log.high().min(self.replication.supply.reach());
            self.log.committed() < reach && !self.is_full()
        } else {
            self.changes.wanted_by() >= self.quorum()
        }
    }

    /// Starts the timers with the work, and stops them with the work.
    pub(super) fn arm(&mut self, now: Time) {
        let (work, runs) = (self.has_work(), self.may_run_out());
        let wanted = self.changes.wanted() > self.view;
        let timers = &mut self.timers;
        if !work {
            (timers.since, timers.nudge_at, timers.resend) = (None, None, None);
            timers.stalled = false;
            let gap = self.config.timing.at_rest();
            timers.ask_at.get_or_insert(now.plus(gap));
            return;
        }
        timers.ask_at = None;
        if runs {
            timers.since.get_or_insert(now);
        } else {
            timers.since = None;
        }
        let gap = timers.patience.nudge_gap();
        timers.nudge_at.get_or_insert(now.plus(gap));
        if wanted {
            let gap = self.config.timing.resend;
            timers.resend.get_or_insert((now.plus(gap), gap));
        }
    }

    pub(super) fn on_tick(&mut self, now: Time, out: &mut Out) {
        if let Some((_, gap)) = self.timers.resend.filter(|(at, _)| *at <= now) {
            let most = self.config.timing.timeout.0.saturating_mul(RESEND_TIMEOUTS);
            let longer = Time(gap.0.saturating_mul(2).min(most).max(1));
            self.timers.resend = Some((now.plus(longer), longer));
            self.send_view_change(To::All, out);
        }
        if self.timers.ask_at.is_some_and(|at| at <= now) {
            self.ask_next(out);
        }
        let mut asked_in_time = true;
        if let Some(at) = self.timers.nudge_at.filter(|at| *at <= now) {
            let gap = self.timers.patience.nudge_gap();
            // Who was stopped for a while has not heard the others' answers yet.
            asked_in_time = now < at.plus(gap);
            self.timers.nudge_at = Some(now.plus(gap));
            self.nudge(out);
        }
        let span = self.timers.patience.span();
        let over = self.timers.since.map(|since| since.plus(span));
        if over.is_some_and(|at| at <= now) {
            if asked_in_time {
                self.timers.since = Some(now);
                self.give_up(self.changes.wanted().next(), out);
            } else {
                let later = now.plus(self.timers.patience.nudge_gap());
                self.timers.since = Some(later.since(span));
            }
        }
    }

    /// Nothing to do: asks one peer after the other where it stands.
    fn ask_next(&mut self, out: &mut Out) {
        self.timers.ask_at = None;
        if let Some(peer) = self.timers.help.next(&self.config) {
            out.send(To::One(peer), self.ask_progress());
        }
    }

    /// Nothing moves: promises again, and a question to all who may know more.
    fn nudge(&mut self, out: &mut Out) {
        self.timers.stalled = true;
        self.replication.supply.set_dry(false);
        let committed = self.log.committed();
        let stuck: Vec<_> = self.log.open().map(|(height, _)| height).take(16).collect();
        for height in stuck {
            self.ask_again(height);
            self.advance(height, out);
        }
        self.say_again(committed, To::All, out);
        out.checkpoint(To::All);
        if !self.is_full() {
            out.send(To::Others, self.ask_progress());
        }
    }
}
