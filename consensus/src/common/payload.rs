//! What protocols remember about payload: whoever leads, what it may ask the pool for; whoever is to
//! vote, whether it holds what was proposed.

use crate::{Config, Ticket};
use crypto::{Height, Time};

/// Whether payload that was proposed is held here, and so may be voted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Not asked yet.
    Unknown,
    /// Asked; parts may be missing.
    Asked,
    /// Held here and valid.
    Yes,
    /// Never.
    No,
}

/// What a leader gets from the pool.
#[derive(Debug, Default)]
pub struct Supply {
    /// Since when work waits.
    pending: Option<Time>,
    /// The pool had nothing when last asked: not asked again before something changes.
    dry: bool,
    /// The request under way.
    ticket: Option<Ticket>,
    tickets: u64,
    /// Up to where the state machine has executed.
    executed: Height,
    /// See [`Config::execution_lag`].
    lag: u64,
}

impl Supply {
    /// Nothing known but how far execution is.
    #[must_use]
    pub fn new(executed: Height, config: &Config) -> Self {
        Self {
            executed,
            lag: config.execution_lag,
            ..Self::default()
        }
    }
    /// See [`crate::Input::Pending`].
    pub fn on_pending(&mut self, oldest: Option<Time>) {
        self.pending = oldest;
        self.dry = false;
    }
    /// See [`crate::Input::Executed`].
    pub fn on_executed(&mut self, height: Height) {
        self.executed = self.executed.max(height);
    }
    /// Since when work waits; `None`: nothing does.
    #[must_use]
    pub const fn pending(&self) -> Option<Time> {
        self.pending
    }
    /// Whether the pool may have payload, and execution is not too far behind to take it.
    #[must_use]
    pub fn is_there(&self, committed: Height) -> bool {
        self.pending.is_some() && !self.dry && !self.is_behind(committed)
    }
    /// Whether so much is committed that is not executed that nothing is ordered.
    #[must_use]
    pub fn is_behind(&self, committed: Height) -> bool {
        committed.0.saturating_sub(self.executed.0) >= self.lag
    }
    /// Up to where the state machine has executed.
    #[must_use]
    pub const fn executed(&self) -> Height {
        self.executed
    }
    /// Up to where heights are taken that others have ordered: what is committed and cannot be executed
    /// yet is kept in memory, and who lags could commit faster than it fetches payload.
    #[must_use]
    pub fn reach(&self) -> Height {
        let ahead = self.lag.saturating_mul(4);
        Height(self.executed.0.saturating_add(ahead))
    }
    /// Whether so many heights more are taken, or as many as ordering may be ahead by: whoever asks for
    /// a long answer before throws most of it away.
    #[must_use]
    pub fn has_room(&self, committed: Height, most: usize) -> bool {
        let room = self.reach().0.saturating_sub(committed.0);
        room >= (most as u64).min(self.lag).max(1)
    }
    /// The pool had nothing, or may have something again.
    pub fn set_dry(&mut self, dry: bool) {
        self.dry = dry;
    }
    /// Whether a request is under way.
    #[must_use]
    pub const fn is_asked(&self) -> bool {
        self.ticket.is_some()
    }
    /// Begins a request.
    pub fn ask(&mut self) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.ticket = Some(ticket);
        ticket
    }
    /// Whether this answers the request under way; it is done then.
    pub fn answers(&mut self, ticket: Ticket) -> bool {
        self.ticket.take_if(|it| *it == ticket).is_some()
    }
    /// The request under way is of no use any more: what it brings goes back to the pool.
    pub fn drop_request(&mut self) {
        self.ticket = None;
    }
}
