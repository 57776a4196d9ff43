//! What is committed: a memory of batches, so that none is ordered twice while it could be, and
//! the heights whose payload is not in the store yet.

use crate::Config;
use crypto::{BatchRef, Digest, Height, Size};
use std::collections::{BTreeMap, BTreeSet};

/// Committed batches until they expire, at most as many as [`Config::committed_batches`]. Who forgets
/// one early may order it again, where its transactions execute as no-ops.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    refs: BTreeMap<Digest, BatchRef>,
    expiries: BTreeSet<(Height, Digest)>,
    /// The highest expiry of those that were forgotten early.
    forgotten: Height,
}

impl Remembered {
    /// Remembers a batch; beyond the cap, the one that expires first is forgotten.
    pub fn insert(&mut self, config: &Config, reference: BatchRef) {
        self.refs.insert(reference.digest, reference);
        self.expiries.insert((reference.expires, reference.digest));
        while self.refs.len() > config.committed_batches
            && let Some((expires, digest)) = self.expiries.pop_first()
        {
            self.refs.remove(&digest);
            self.forgotten = self.forgotten.max(expires);
        }
    }
    /// Whether one that expires there may be committed though it is not known here.
    pub(crate) fn may_have_forgotten(&self, expires: Height) -> bool {
        expires <= self.forgotten
    }
    pub(crate) fn get(&self, digest: &Digest) -> Option<&BatchRef> {
        self.refs.get(digest)
    }
    /// Forgets what no block above `height` may hold.
    pub(crate) fn expire(&mut self, height: Height) {
        while let Some(&(expires, digest)) = self.expiries.first() {
            if expires > height {
                break;
            }
            self.expiries.pop_first();
            self.refs.remove(&digest);
        }
    }
    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.refs.len()
    }
    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.refs.is_empty()
    }
}

/// Committed heights whose payload is not wholly in the store. The protocol takes no more of them when
/// it is too far ahead of execution, and so bounds them.
#[derive(Debug)]
pub(crate) struct Backlog {
    heights: BTreeMap<Height, BTreeSet<Digest>>,
    missing: BTreeMap<Digest, (BatchRef, BTreeSet<Height>)>,
    /// Missing, and not asked for yet, oldest first.
    unasked: BTreeMap<(Height, usize), Digest>,
    committed: Height,
}

impl Backlog {
    pub(crate) fn new(committed: Height) -> Self {
        Self {
            heights: BTreeMap::new(),
            missing: BTreeMap::new(),
            unasked: BTreeMap::new(),
            committed,
        }
    }
    /// The committed height.
    pub(crate) fn committed(&self) -> Height {
        self.committed
    }
    /// Up to where all payload is in the store.
    pub(crate) fn available(&self) -> Height {
        self.heights
            .first_key_value()
            .map_or(self.committed, |(height, _)| height.previous())
    }
    pub(crate) fn contains(&self, digest: &Digest) -> bool {
        self.missing.contains_key(digest)
    }
    pub(crate) fn len(&self) -> usize {
        self.heights.len()
    }
    pub(crate) fn sizes(&self, config: &Config, into: &mut Vec<Size>) {
        let (heights, batches) = (config.backlog, config.backlog * config.block_batches);
        into.extend([
            Size::new("pool: heights without payload", self.heights.len(), heights),
            Size::new("pool: payload that is missing", self.missing.len(), batches),
        ]);
    }
    /// The next height is committed, and lacks these.
    pub(crate) fn commit(&mut self, height: Height, lacking: Vec<BatchRef>) {
        self.committed = height;
        for (i, r) in lacking.into_iter().enumerate() {
            self.heights.entry(height).or_default().insert(r.digest);
            let (_, heights) = self.missing.entry(r.digest).or_insert_with(|| {
                self.unasked.insert((height, i), r.digest);
                (r, BTreeSet::new())
            });
            heights.insert(height);
        }
    }
    /// One that should be asked for next.
    pub(crate) fn ask(&mut self) -> Option<BatchRef> {
        while let Some((_, digest)) = self.unasked.pop_first() {
            if let Some((reference, _)) = self.missing.get(&digest) {
                return Some(*reference);
            }
        }
        None
    }
    /// A batch is in the store now. Whether it was missing.
    pub(crate) fn arrived(&mut self, digest: &Digest) -> bool {
        let Some((_, heights)) = self.missing.remove(digest) else {
            return false;
        };
        for height in heights {
            if let Some(lacking) = self.heights.get_mut(&height) {
                lacking.remove(digest);
                if lacking.is_empty() {
                    self.heights.remove(&height);
                }
            }
        }
        true
    }
}
