//! When to ask for what is missing. Each reason to ask has a pace of its own: what peers offer, true or
//! not, delays nothing that a block needs.

use crate::Config;
use crypto::{Digest, Time};
use std::collections::BTreeSet;

/// Why a batch is asked for, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A block that is proposed holds it: its leader's view is at stake.
    Block,
    /// It is committed.
    Log,
    /// A peer offers it.
    Offer,
}

impl Reason {
    const ALL: [Self; 3] = [Self::Block, Self::Log, Self::Offer];
}

/// When to ask for what, by reason.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    queues: [Queue; Reason::ALL.len()],
}

#[derive(Debug, Default)]
struct Queue {
    timers: BTreeSet<(Time, Digest)>,
    /// Batches asked for since `period` began, at most `Config::fetches` in `Config::fetch_retry`.
    /// Those asked for in vain come back ever later, so they cannot starve the others.
    asked: usize,
    period: Time,
}

impl Questions {
    pub(crate) fn insert(&mut self, (reason, at): (Reason, Time), digest: Digest) {
        self.queues[reason as usize].timers.insert((at, digest));
    }
    pub(crate) fn remove(&mut self, (reason, at): (Reason, Time), digest: Digest) {
        self.queues[reason as usize].timers.remove(&(at, digest));
    }
    /// What to ask for next, if it is due and its reason's pace allows for it. It counts as asked for.
    pub(crate) fn due(&mut self, config: &Config, now: Time) -> Option<Digest> {
        let mut queues = self.queues.iter_mut();
        queues.find_map(|queue| queue.due(config, now))
    }
    /// When `due` has something next.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Time> {
        let queues = self.queues.iter();
        queues.filter_map(|queue| queue.deadline(config)).min()
    }
}

impl Queue {
    fn due(&mut self, config: &Config, now: Time) -> Option<Digest> {
        if self.deadline(config)? > now {
            return None;
        }
        if now >= self.period.plus(config.fetch_retry) {
            self.asked = 0;
        }
        if self.asked == 0 {
            self.period = now;
        }
        self.asked += 1;
        self.timers.pop_first().map(|(_, digest)| digest)
    }
    fn deadline(&self, config: &Config) -> Option<Time> {
        let (next, _) = *self.timers.first()?;
        let free = if self.asked < config.fetches {
            Time(0)
        } else {
            self.period.plus(config.fetch_retry)
        };
        Some(next.max(free))
    }
}
