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
    /// Committed heights that are not requested yet, in order.
    waiting: VecDeque<Waiting>,
    /// Bytes of batches at heights that the executor was handed.
    handed: VecDeque<(Height, usize)>,
    handed_bytes: usize,
    /// Highest height that the executor was told to reach.
    requested: Height,
    /// The last write that is in the log.
    written: u64,
    /// Highest executed height.
    pub(crate) executed: Height,
    /// State digest there.
    pub(crate) state: Digest,
}

/// A committed height.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    height: Height,
    /// The write that must be in the log before; `None`: the executor was handed all of it.
    write: Option<u64>,
}

impl Execution {
    /// At the start all committed heights that were not executed are in the log.
    pub(crate) fn new(committed: Height, executed: Height, state: Digest) -> Self {
        let heights = executed.0 + 1..=committed.0;
        let there = |height| Waiting {
            height: Height(height),
            write: Some(0),
        };
        Self {
            committed,
            available: executed,
            waiting: heights.map(there).collect(),
            handed: VecDeque::new(),
            handed_bytes: 0,
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
        if batches.is_some() && self.available.next() == height {
            self.available = height;
        }
        let room = self.handed_bytes < HANDED_BYTES;
        let handed = batches.filter(|_| room).map(|batches| {
            let bytes = batches.iter().map(|batch| batch.bytes().len()).sum();
            self.handed.push_back((height, bytes));
            self.handed_bytes += bytes;
            Commit {
                height,
                history,
                batches,
            }
        });
        self.waiting.push_back(Waiting {
            height,
            write: handed.is_none().then_some(token),
        });
        handed
    }

    /// All batches up to this height are held, the last of them written by `token` or earlier.
    pub(crate) fn available(&mut self, height: Height, token: u64) {
        let before = self.available;
        self.available = before.max(height);
        let token = if crypto::planted!(ExecuteEarly) {
            0
        } else {
            token
        };
        for it in &mut self.waiting {
            if it.height > before && it.height <= height && it.write.is_some() {
                it.write = Some(token);
            }
        }
    }

    /// Whether a height can be executed as soon as this write is in the log.
    pub(crate) fn waits_for(&self, token: u64) -> bool {
        let mut free = self
            .waiting
            .iter()
            .take_while(|it| it.height <= self.available);
        free.any(|it| it.write == Some(token))
    }

    /// A write is in the log.
    pub(crate) fn written(&mut self, token: u64) {
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

    /// Bytes that the executor was handed; a block of so many may come on top.
    pub(crate) fn handed(&self, block: usize) -> Size {
        Size::new("bytes handed over", self.handed_bytes, HANDED_BYTES + block)
    }

    /// Tells the executor how far it may go, and hands it what it need not read.
    pub(crate) fn request(&mut self, handed: Option<Commit>, out: &mut Vec<Effect>) {
        let before = self.requested;
        let (available, written) = (self.available, self.written);
        let free =
            |it: &&Waiting| it.height <= available && it.write.is_none_or(|write| write <= written);
        while let Some(next) = self.waiting.front().filter(free) {
            self.requested = next.height;
            self.waiting.pop_front();
        }
        if self.requested > before || handed.is_some() {
            out.push(Effect::Execute {
                to: self.requested,
                handed,
            });
        }
    }
}
