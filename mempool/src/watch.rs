//! The censorship timer: a batch is overdue when, since it was handed to the leader, that leader has
//! ordered more batches than all pools together may hold without it, or more than a few blocks in which
//! there was room for it. It counts what the leader orders, not seconds, but for a pace that no leader is
//! held to exceed, unless it uses up a good part of the heights after which transactions expire: that
//! nothing commits is the view timer's affair.
//!
//! An honest leader that holds a batch orders it in the next block that has room. It leaves room only
//! while it has not got the batch yet, and small or empty blocks prove nothing then: they are all that it
//! can order while little else is to be done.

use crate::Config;
use crypto::{BatchRef, Digest, Size, Time};
use std::collections::BTreeSet;

/// At most one block with room counts in so long: what the allowance waits for, offers and fetches, takes
/// its time however fast blocks come, and a node that lags sees many of them at once.
const PACE: Time = Time::millis(4);
/// The most by which an allowance grows: 2 to this power.
const DOUBLINGS: u32 = 6;

/// However fast they come, no more blocks with room than this share of a lifetime: a primary that orders
/// thousands of slots at once would have all that waits expire before the pace condemns it.
const LIFE_SHARE: u64 = 8;

/// What the leader has ordered, or may order before something is overdue: batches, blocks with room at
/// the pace, and all blocks with room.
type Counts = [u64; 3];

/// What is watched of what was handed to the current leader.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    counts: Counts,
    /// When the next block with room counts.
    next: Time,
    /// At which of the counts what is overdue.
    dues: [BTreeSet<(u64, Digest)>; 3],
}

/// What a batch has been through.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Set once it is handed to the current leader.
    due: Option<Counts>,
    doublings: u32,
}

impl Watch {
    /// A batch was handed to the leader; it is watched from the first time on.
    pub(crate) fn begin(&mut self, config: &Config, digest: Digest, watched: &mut Watched) {
        if watched.due.is_some() {
            return;
        }
        // One account for each node, and one for what no node is charged for.
        let pools = ((config.n + 1) * config.author_batches) as u64;
        let roomy = config.roomy_blocks as u64;
        let allowances = [pools, roomy, roomy.max(config.lifetime / LIFE_SHARE)];
        let at = |i: usize| self.counts[i].saturating_add(allowances[i] << watched.doublings);
        let due = [at(0), at(1), at(2)];
        for (dues, at) in self.dues.iter_mut().zip(due) {
            dues.insert((at, digest));
        }
        watched.due = Some(due);
    }
    /// It is overdue, once under this leader: the next one has twice the allowance.
    pub(crate) fn give_up(&mut self, digest: Digest, watched: &mut Watched) {
        let due = watched.due;
        self.end(digest, watched);
        watched.due = due;
        watched.doublings = (watched.doublings + 1).min(DOUBLINGS);
    }
    /// It does not wait any more, or another leader is to order it.
    pub(crate) fn end(&mut self, digest: Digest, watched: &mut Watched) {
        for (dues, at) in self
            .dues
            .iter_mut()
            .zip(watched.due.take().into_iter().flatten())
        {
            dues.remove(&(at, digest));
        }
    }
    /// The leader ordered a block, of which this was not ordered before. What it left out for too long by
    /// now.
    pub(crate) fn ordered(
        &mut self,
        config: &Config,
        now: Time,
        block: &[BatchRef],
    ) -> BTreeSet<Digest> {
        self.counts[0] += block.len() as u64;
        if !config.is_full(block) {
            self.counts[2] += 1;
            if now >= self.next {
                self.counts[1] += 1;
                self.next = now.plus(PACE);
            }
        }
        let mut overdue = BTreeSet::new();
        for (dues, count) in self.dues.iter().zip(self.counts) {
            let late = dues.iter().take_while(|(due, _)| *due < count);
            overdue.extend(late.map(|(_, digest)| *digest));
        }
        overdue
    }
    pub(crate) fn sizes(&self, most: usize, into: &mut Vec<Size>) {
        let watched = self.dues.iter().map(BTreeSet::len).max().unwrap_or(0);
        into.push(Size::new("pool: watched", watched, most));
    }
}
