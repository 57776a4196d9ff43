//! What timers of protocols with a view timer have in common: how long to wait for progress, and whom
//! to help or to ask beyond the regular times.

use crate::{Config, Timing};
use crypto::{NodeId, Time};
use std::collections::BTreeMap;

/// Observed times raise the time-out to this many times their average, and never to more than this
/// many times the configured one: whoever slows things down gains no more than that.
const OBSERVED_FACTOR: u64 = 4;

/// How long to wait.
#[derive(Debug)]
pub struct Patience {
    timing: Timing,
    /// Views (or tenures) given up since the last progress.
    failures: u32,
    /// A moving average of how long it takes while all goes well, in nanoseconds.
    observed: u64,
}

impl Patience {
    /// As configured.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            failures: 0,
            observed: 0,
        }
    }
    /// The time-out now: it doubles with each failure (Castro and Liskov, OSDI 1999, section 4.5.2).
    #[must_use]
    pub fn span(&self) -> Time {
        let base = self.timing.timeout.0;
        let most = base.saturating_mul(OBSERVED_FACTOR);
        let raised = base.max(self.observed.saturating_mul(OBSERVED_FACTOR).min(most));
        let doubled = raised.saturating_mul(1u64 << self.failures.min(20));
        Time(doubled.min(self.timing.timeout_cap.0.max(base)))
    }
    /// Promises are sent again, and others asked, at least once before the time-out.
    #[must_use]
    pub fn nudge_gap(&self) -> Time {
        Time(self.timing.resend.0.min(self.timing.timeout.0 / 2).max(1))
    }
    /// A view was given up: the next time-out is longer.
    pub fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }
    /// Progress: the time-out falls back.
    pub fn progressed(&mut self) {
        self.failures = 0;
    }
    /// It took so long.
    pub fn observe(&mut self, took: Time) {
        // From zero up: one slow time is no habit.
        self.observed = (self.observed / 8 * 7).saturating_add(took.0 / 8);
    }
}

/// Whom to help, and whom to ask where he stands.
#[derive(Debug)]
pub struct Help {
    gap: Time,
    /// When each peer was last helped or asked for help beyond the regular times.
    helped: BTreeMap<NodeId, Time>,
    /// How many were asked at rest.
    asked: usize,
}

impl Help {
    /// Nobody was helped yet.
    #[must_use]
    pub fn new(timing: &Timing) -> Self {
        Self {
            gap: Time(timing.resend.0 / 8),
            helped: BTreeMap::new(),
            asked: 0,
        }
    }
    /// Whether a peer may be helped or asked now; if so, not again for a while.
    pub fn is_due(&mut self, now: Time, peer: NodeId) -> bool {
        let last = self.helped.get(&peer);
        let due = last.is_none_or(|last| now >= last.plus(self.gap));
        if due {
            self.helped.insert(peer, now);
        }
        due
    }
    /// Whom to ask at rest: one peer after the other. Whoever missed the last message of a run of
    /// work has no other reason to speak, nor has anyone to speak to it.
    pub fn next(&mut self, config: &Config) -> Option<NodeId> {
        let turn = self.asked;
        self.asked = turn.wrapping_add(1);
        let others = config.peers().count().max(1);
        config.peers().nth(turn % others)
    }
}
