//! What may be executed: heights that are committed and whose batches are at hand, in order.

use crate::Effect;
use crypto::{Digest, Height, Payload, Size};
use std::collections::VecDeque;
use storage::Commit;

/// Most bytes of batches that the executor was handed and has not executed: what comes on top it
/// reads from the log.
const HANDED_BYTES: usize = 8 << 20;

/// The books of execution.
#[derive(Debug)]
pub(crate) struct Execution {
    /// Highest height that is committed.
    pub(crate) committed: Height,
    /// Highest height whose batches are all held.
    available: Height,
    /// What the executor may be told once a write is in the log, in order of heights and of writes: no
    /// more than there are writes under way.
    ready: VecDeque<Ready>,
    /// Bytes of batches at heights that the executor was handed.
    handed: VecDeque<(Height, usize)>,
    handed_bytes: usize,
    /// The write of the last row whose height it was handed.
    handed_in: u64,
    /// Whether the executor is to look again: it may have waited for a row.
    look_again: bool,
    /// Highest height that the executor was told to reach.
    requested: Height,
    /// The last write that is in the log.
    written: u64,
    /// Highest executed height.
    pub(crate) executed: Height,
    /// State digest there.
    pub(crate) state: Digest,
}

/// Committed heights whose batches are held.
#[derive(Clone, Copy, Debug)]
struct Ready {
    /// Up to here.
    to: Height,
    /// The write that must be in the log before.
    write: u64,
}

impl Execution {
    /// At the start all committed heights that were not executed are in the log.
    pub(crate) fn new(committed: Height, executed: Height, state: Digest) -> Self {
        Self {
            committed,
            available: executed,
            ready: VecDeque::new(),
            handed: VecDeque::new(),
            handed_bytes: 0,
            handed_in: 0,
            look_again: false,
            requested: executed,
            written: 0,
            executed,
            state,
        }
    }

    /// A height was committed, its row is in the write of `token`. Returns what the executor is
    /// handed: batches that are here, and no row of their own.
    pub(crate) fn commit(
        &mut self,
        height: Height,
        (payload, history): (&Payload, Digest),
        token: u64,
    ) -> Option<Commit> {
        self.committed = height;
        let batches = match payload {
            Payload::Inline(batches) => Some(batches.clone()),
            Payload::Refs(refs) => refs.is_empty().then(Vec::new),
        };
        let there = batches.is_some() && self.available.next() == height;
        let room = self.handed_bytes < HANDED_BYTES;
        let handed = batches.filter(|_| room).map(|batches| {
            let bytes = batches.iter().map(|batch| batch.bytes().len()).sum();
            self.handed.push_back((height, bytes));
            self.handed_bytes += bytes;
            self.handed_in = token;
            Commit {
                height,
                history,
                batches,
            }
        });
        if there {
            // What the executor was handed it need not read.
            self.ready(height, if handed.is_some() { 0 } else { token });
        }
        handed
    }

    /// All batches up to this height are held, the last of them written by `token` or earlier.
    pub(crate) fn available(&mut self, height: Height, token: u64) {
        if height > self.available {
            let early = crypto::planted!(ExecuteEarly);
            self.ready(height, if early { 0 } else { token });
        }
    }

    /// All up to this height may be executed once the write is in the log, and those before it are.
    fn ready(&mut self, to: Height, write: u64) {
        self.available = to;
        match self.ready.back_mut() {
            Some(last) if last.write >= write => last.to = to,
            _ => self.ready.push_back(Ready { to, write }),
        }
    }

    /// Whether a height can be executed as soon as this write is in the log.
    pub(crate) fn waits_for(&self, token: u64) -> bool {
        self.ready.back().is_some_and(|it| it.write == token)
    }

    /// A write is in the log. The executor does not get far ahead of the log in what it was handed: it
    /// may have waited for a row in this write.
    pub(crate) fn written(&mut self, token: u64) {
        self.look_again |= self.written < self.handed_in && self.executed < self.requested;
        self.written = self.written.max(token);
    }

    /// Heights were executed, up to this one.
    pub(crate) fn executed(&mut self, height: Height, state: Digest) {
        (self.executed, self.state) = (height, state);
        while let Some(&(_, bytes)) = self.handed.front().filter(|it| it.0 <= height) {
            self.handed_bytes -= bytes;
            self.handed.pop_front();
        }
    }

    /// The last write that is in the log.
    pub(crate) const fn last_written(&self) -> u64 {
        self.written
    }

    /// Bytes that the executor was handed, where a block of so many may come on top; and what waits
    /// for writes, of which so many are under way at most.
    pub(crate) fn sizes(&self, block: usize, writes: usize, into: &mut Vec<Size>) {
        into.extend([
            Size::new("bytes handed over", self.handed_bytes, HANDED_BYTES + block),
            Size::new("heights to execute", self.ready.len(), writes + 1),
        ]);
    }

    /// Tells the executor how far it may go, and hands it what it need not read.
    pub(crate) fn request(&mut self, handed: Option<Commit>, out: &mut Vec<Effect>) {
        let before = self.requested;
        while let Some(next) = self.ready.front().filter(|it| it.write <= self.written) {
            self.requested = next.to;
            self.ready.pop_front();
        }
        let again = std::mem::take(&mut self.look_again);
        if self.requested > before || handed.is_some() || again {
            out.push(Effect::Execute {
                to: self.requested,
                handed,
            });
        }
    }
}

#[cfg(test)]
mod tests;
