//! How late batches come that their authors send unasked: to ask for what is under way costs the
//! batch once more, and most where the network is full already.

use crypto::{NodeId, Time};

/// By author. Who sends late on purpose delays only what is its own, and not beyond the cap.
#[derive(Debug)]
pub(crate) struct Lateness {
    late: Vec<Time>,
    most: Time,
}

impl Lateness {
    /// Of `n` authors; nothing is awaited for longer than `most`.
    pub(crate) fn new(n: usize, most: Time) -> Self {
        let late = vec![Time(0); n];
        Self { late, most }
    }
    /// How long to wait for a batch that may be under way: half as long again as the latest took
    /// that had to be waited for.
    pub(crate) fn patience(&self, author: NodeId) -> Time {
        let late = self.late.get(author.index()).copied().unwrap_or_default();
        Time(late.0.saturating_add(late.0 / 2)).min(self.most)
    }
    /// A batch came by itself, so long after it was missed.
    pub(crate) fn came(&mut self, author: NodeId, after: Time) {
        if let Some(late) = self.late.get_mut(author.index()) {
            *late = after.min(self.most).max(less(*late));
        }
    }
    /// A batch came only since a peer was asked.
    pub(crate) fn fetched(&mut self, author: NodeId) {
        if let Some(late) = self.late.get_mut(author.index()) {
            *late = less(*late);
        }
    }
}

/// What is left of it after one more batch.
fn less(late: Time) -> Time {
    Time(late.0 / 8 * 7)
}
