//! The gate: nothing that promises something leaves before it is durable (ARCHITECTURE.md,
//! section 4).
//!
//! Writes go into one log, first in, first out, so a synced write covers all unsynced ones before
//! it. A write is synced only if something waits behind it.

use super::{Fence, Wire, wire::Promise};
use crate::To;
use crypto::{Size, planted};
use std::collections::VecDeque;
use std::sync::Arc;

/// The most that is held while the disk stalls. Beyond, the oldest goes: by then nobody wants it,
/// and whatever matters is sent again until there is progress.
const MOST_HELD: usize = 8192;

/// What waits for the fence.
pub(super) enum Held<D, M> {
    /// To be signed when it is released.
    Unsigned(Promise<D>),
    /// Needs no signature.
    Sealed(Arc<Wire<M>>),
}

/// Number and sync flag of the next write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticketed {
    pub(super) fence: Fence,
    pub(super) sync: bool,
}

/// Counts writes and holds sends back.
pub(super) struct Gate<D, M> {
    /// The last write issued.
    written: Fence,
    /// Whether something was written since the last sync was asked for.
    unsynced: bool,
    /// What is known to be on disk.
    durable: Fence,
    held: VecDeque<(Fence, To, Held<D, M>)>,
}

impl<D, M> Gate<D, M> {
    /// After a start: what was read back may have been in the page cache only, hence unsynced.
    pub(super) fn new(stored: Fence) -> Self {
        Self {
            written: stored,
            unsynced: true,
            durable: stored,
            held: VecDeque::new(),
        }
    }
    /// The write that a step has to make, if any: it changes something, or sends something that
    /// relies on what is unsynced.
    pub(super) fn write(&mut self, changes: bool, sends: bool) -> Option<Ticketed> {
        let write = changes || (sends && self.unsynced);
        if !write {
            return None;
        }
        self.written = self.written.next();
        self.unsynced = !sends;
        Some(Ticketed {
            fence: self.written,
            sync: sends,
        })
    }
    /// Holds a send until all that was written so far is durable. The step's write comes first.
    pub(super) fn hold(&mut self, to: To, held: Held<D, M>) {
        assert!(!self.unsynced, "a send waits for a write that nobody syncs");
        if self.held.len() >= MOST_HELD {
            self.held.pop_front();
        }
        self.held.push_back((self.written, to, held));
    }
    /// A synced write is on disk, with all before it.
    pub(super) fn durable(&mut self, fence: Fence) {
        assert!(
            fence <= self.written,
            "durable: {fence:?}, written: only {:?}",
            self.written
        );
        self.durable = self.durable.max(fence);
    }
    /// The next send that waits for nothing any more, in the order in which they were held.
    pub(super) fn release(&mut self) -> Option<(To, Held<D, M>)> {
        let (fence, ..) = self.held.front()?;
        if *fence > self.durable && !planted!(SendBeforeDurable) {
            return None;
        }
        self.held.pop_front().map(|(_, to, held)| (to, held))
    }
    /// How many sends wait, at most so many.
    pub(super) fn sizes(&self, into: &mut Vec<Size>) {
        into.push(Size::new("held for the disk", self.held.len(), MOST_HELD));
    }
    /// How many sends wait.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }
}
