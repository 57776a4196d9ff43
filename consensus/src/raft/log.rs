//! The log from the last committed entries up: what is not committed, and as much of what is as
//! one who lags a little may need.

use super::entry::{Entry, Position};
use super::message::MAX_ENTRIES;
use crypto::{Digest, Height, Size, View};
use std::collections::VecDeque;
use std::sync::Arc;

/// Most bytes of committed entries kept in memory; each costs about twice that, being decoded.
const KEPT_BYTES: usize = 4 << 20;
/// Most committed entries kept in memory.
const KEPT_ENTRIES: usize = 4096;

/// How much goes into one message, in bytes of encoded entries.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Its first entry.
    pub first: usize,
    /// All, if it is more than one.
    pub all: usize,
}

impl Room {
    /// For so many bytes, or one entry however large.
    pub fn of(bytes: usize) -> Self {
        Self {
            first: usize::MAX,
            all: bytes,
        }
    }
    /// What goes into both.
    pub fn and(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            all: self.all.min(other.all),
        }
    }
    /// The first of these entries, as many as go into one message.
    pub fn fill(self, entries: impl Iterator<Item = Arc<Entry>>) -> Vec<Arc<Entry>> {
        let (mut left, mut next) = (self.all, self.first);
        let mut fitting = Vec::new();
        for entry in entries.take(MAX_ENTRIES) {
            let size = entry.encoded_bytes();
            if size > next {
                break;
            }
            left = left.saturating_sub(size);
            next = left;
            fitting.push(entry);
        }
        fitting
    }
}

/// See the module.
#[derive(Debug)]
pub struct Log {
    /// What comes before the first entry in memory.
    base: Position,
    entries: VecDeque<Arc<Entry>>,
    /// Bytes of all entries in memory.
    bytes: usize,
    committed: Height,
    history: Digest,
}

impl Log {
    /// A log whose last committed entry is at `base`.
    pub fn new(base: Position, history: Digest) -> Self {
        Self {
            base,
            entries: VecDeque::new(),
            bytes: 0,
            committed: base.height,
            history,
        }
    }
    /// The highest committed height.
    pub fn committed(&self) -> Height {
        self.committed
    }
    /// `history` there.
    pub fn history(&self) -> Digest {
        self.history
    }
    /// The end of the log.
    pub fn last(&self) -> Position {
        self.entries.back().map_or(self.base, |entry| entry.at)
    }
    /// The entry at a height, if it is in memory.
    pub fn get(&self, height: Height) -> Option<&Arc<Entry>> {
        let index = height.0.checked_sub(self.base.height.0)?.checked_sub(1)?;
        self.entries.get(usize::try_from(index).ok()?)
    }
    /// The position at a height, if its term is known here.
    pub fn position(&self, height: Height) -> Option<Position> {
        if height == self.base.height {
            return Some(self.base);
        }
        self.get(height).map(|entry| entry.at)
    }
    /// The entries in memory from a height up.
    pub fn from(&self, height: Height) -> impl Iterator<Item = Arc<Entry>> {
        let heights = (height.0..).map(Height);
        heights.map_while(|height| self.get(height).cloned())
    }
    /// Adds the next entry.
    ///
    /// # Panics
    /// If it is not the next one.
    pub fn append(&mut self, entry: Arc<Entry>) {
        let last = self.last();
        assert_eq!(
            entry.at.height,
            last.height.next(),
            "entries are consecutive"
        );
        assert!(entry.at.term >= last.term, "terms do not go down");
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
    }
    /// Takes out all entries from a height up.
    ///
    /// # Panics
    /// If one of them is committed.
    pub fn truncate(&mut self, from: Height) -> Vec<Arc<Entry>> {
        assert!(from > self.committed, "what is committed stays");
        let keep = usize::try_from(from.0 - self.base.height.0 - 1).unwrap_or(usize::MAX);
        let gone = Vec::from(self.entries.split_off(keep.min(self.entries.len())));
        self.bytes -= gone.iter().map(|entry| entry.bytes()).sum::<usize>();
        gone
    }
    /// Commits the next entry; `None` if there is none.
    pub fn commit_next(&mut self) -> Option<(Arc<Entry>, Digest)> {
        let height = self.committed.next();
        let entry = Arc::clone(self.get(height)?);
        self.history = entry.payload.extend_history(&self.history, height);
        self.committed = height;
        Some((entry, self.history))
    }
    /// Forgets the oldest committed entries beyond what is kept.
    pub fn trim(&mut self) {
        while let Some(first) = self.entries.front()
            && first.at.height <= self.committed
            && (self.bytes > KEPT_BYTES || self.kept() > KEPT_ENTRIES as u64)
        {
            self.base = first.at;
            self.bytes -= first.bytes();
            self.entries.pop_front();
        }
    }
    /// How many committed entries are in memory. Of others there are no more than a leader has under way.
    pub fn sizes(&self, into: &mut Vec<Size>) {
        let kept = usize::try_from(self.kept()).unwrap_or(usize::MAX);
        into.push(Size::new("committed entries", kept, KEPT_ENTRIES));
    }
    /// How many committed entries are in memory.
    fn kept(&self) -> u64 {
        self.committed.0 - self.base.height.0
    }
    /// Entries that are not committed.
    pub fn uncommitted(&self) -> u64 {
        self.last().height.0 - self.committed.0
    }
    /// The digests of all batches that are not committed.
    pub fn batches(&self) -> Vec<Digest> {
        let first = usize::try_from(self.kept()).unwrap_or(usize::MAX);
        let entries = self.entries.iter().skip(first);
        let batches = entries.flat_map(|entry| entry.payload.references().into_owned());
        batches.map(|batch| batch.digest).collect()
    }
    /// The lowest height in memory, above what is committed, from which on up to `height` all entries
    /// are of one term.
    pub fn first_of_term(&self, height: Height) -> Height {
        let term = self.position(height).map(|at| at.term);
        let mut first = height;
        while first.previous() > self.committed
            && self.position(first.previous()).map(|at| at.term) == term
        {
            first = first.previous();
        }
        first
    }
    /// The highest height in memory, up to `height`, whose entry is of this term.
    pub fn last_of_term(&self, term: View, height: Height) -> Option<Height> {
        let mut at = height.min(self.last().height);
        while let Some(position) = self.position(at).filter(|it| it.term >= term) {
            if position.term == term {
                return Some(at);
            }
            at = at.previous();
        }
        None
    }
}
