//! What may be executed: heights whose commit and batches are in the log, in order.

use crate::Effect;
use crypto::{Digest, Height};
use std::collections::VecDeque;

/// The books of execution.
#[derive(Debug)]
pub(crate) struct Execution {
    /// Highest height that is committed.
    pub(crate) committed: Height,
    /// Highest height whose batches are all held.
    available: Height,
    /// Heights that can be executed as soon as the write of the token is in the log.
    ready: VecDeque<(u64, Height)>,
    /// Highest height that the executor was told to reach.
    requested: Height,
    /// Highest executed height.
    pub(crate) executed: Height,
    /// State digest there.
    pub(crate) state: Digest,
}

impl Execution {
    pub(crate) fn new(committed: Height, executed: Height, state: Digest) -> Self {
        Self {
            committed,
            available: executed,
            ready: VecDeque::new(),
            requested: executed,
            executed,
            state,
        }
    }

    /// A height was committed, its row is in the write of `token`.
    pub(crate) fn commit(&mut self, height: Height, token: u64) {
        self.committed = height;
        self.queue(token);
    }

    /// All batches up to this height are held, the last of them written by `token` or earlier.
    pub(crate) fn available(&mut self, height: Height, token: u64) {
        self.available = self.available.max(height);
        self.queue(token);
    }

    fn queue(&mut self, token: u64) {
        let height = self.committed.min(self.available);
        let last = self
            .ready
            .back()
            .map_or(self.requested, |(_, height)| *height);
        if height > last {
            let token = if crypto::planted!(ExecuteEarly) {
                0
            } else {
                token
            };
            self.ready.push_back((token, height));
        }
    }

    /// A write is in the log: tells the executor how far it may go.
    pub(crate) fn written(&mut self, token: u64, out: &mut Vec<Effect>) {
        let before = self.requested;
        while let Some(&(of, height)) = self.ready.front() {
            if of > token {
                break;
            }
            self.requested = height;
            self.ready.pop_front();
        }
        if self.requested > before {
            out.push(Effect::Execute { to: self.requested });
        }
    }
}
