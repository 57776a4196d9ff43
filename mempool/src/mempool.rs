//! The pool itself: its state, and one `match` that dispatches.

use crate::{Config, Input, Output, Recovered, Stats};
use crypto::Time;

/// The pool.
#[derive(Debug)]
pub struct Mempool {
    config: Config,
    recovered: Recovered,
}

impl Mempool {
    /// Starts with what was stored. Its first step says what is pending.
    ///
    /// # Panics
    /// If limits in `config` contradict each other.
    #[must_use]
    pub fn new(config: Config, _now: Time, recovered: Recovered) -> Self {
        config.assert_sound();
        Self { config, recovered }
    }
    /// One deterministic step.
    pub fn step(&mut self, _now: Time, _input: Input, _out: &mut Vec<Output>) {}
    /// When to wake next. A spurious wake is harmless.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        None
    }
    /// The pool in numbers.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}
