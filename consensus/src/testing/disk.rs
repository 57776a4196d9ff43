//! A disk: what a node finds when it starts again.

use crate::replica::{Fence, LogOp, StableCheckpoint, Stored};
use crate::{Anchor, Evidence, Protocol, Record as _, RecordKey};
use crypto::{Digest, Height, Kind, Slot};
use std::collections::BTreeMap;

/// What a disk holds.
pub struct Image<P: Protocol> {
    pub anchor: Anchor<P::Proof>,
    pub records: BTreeMap<RecordKey, P::Record>,
    pub guard: BTreeMap<Slot, Vec<u8>>,
    floors: BTreeMap<Kind, Slot>,
    stable: Option<StableCheckpoint>,
    evidence: Vec<Evidence>,
    /// `history` at each committed height.
    histories: BTreeMap<Height, Digest>,
    fence: Fence,
}

impl<P: Protocol> Image<P> {
    pub fn new(anchor: Anchor<P::Proof>) -> Self {
        Self {
            anchor,
            records: BTreeMap::new(),
            guard: BTreeMap::new(),
            floors: BTreeMap::new(),
            stable: None,
            evidence: Vec::new(),
            histories: BTreeMap::new(),
            fence: Fence::default(),
        }
    }
    pub fn apply(&mut self, fence: Fence, ops: &[LogOp<P>]) {
        self.fence = fence;
        for op in ops {
            match op {
                LogOp::Put(record) => {
                    self.records.insert(record.key(), record.clone());
                }
                LogOp::Guard(slot, bytes) => {
                    self.guard.insert(*slot, bytes.clone());
                }
                LogOp::DropGuard(slot) => {
                    self.guard.remove(slot);
                }
                LogOp::Floor(kind, slot) => {
                    self.floors.insert(*kind, *slot);
                }
                LogOp::Commit(c) => {
                    self.anchor.height = c.height;
                    self.anchor.history = c.history;
                    self.anchor.proof = Some(c.proof.clone());
                    self.histories.insert(c.height, c.history);
                }
                LogOp::Truncate(from) => self
                    .records
                    .retain(|key, _| !matches!(key, RecordKey::At(height, _) if height >= from)),
                LogOp::Forget(below) => self
                    .records
                    .retain(|key, _| !matches!(key, RecordKey::At(height, _) if height < below)),
                LogOp::Checkpoint(stable) => self.stable = Some(stable.clone()),
                LogOp::Evidence(it) => self.evidence.push(it.clone()),
            }
        }
    }
    /// Whether this record is on it.
    pub fn holds(&self, is: impl Fn(&P::Record) -> bool) -> bool {
        self.records.values().any(is)
    }
    /// What is committed above the stable checkpoint: it is executed again.
    pub fn unstable(&self) -> impl Iterator<Item = (Height, Digest)> {
        let stable = self.stable.as_ref().map_or(Height(0), |it| it.height);
        let above = self.histories.range(stable.next()..);
        above.map(|(height, history)| (*height, *history))
    }
    pub fn stored(&self) -> Stored<P> {
        let wanted = |key: &RecordKey| match key {
            RecordKey::Latest(_) => true,
            RecordKey::At(height, _) => *height >= self.anchor.height,
        };
        let records = self.records.iter().filter(|(key, _)| wanted(key));
        let mut stored = Stored::empty(self.anchor.clone());
        stored.records = records.map(|(_, record)| record.clone()).collect();
        stored.guard = self
            .guard
            .iter()
            .map(|(slot, bytes)| (*slot, bytes.clone()))
            .collect();
        stored.floors = self.floors.iter().map(|(kind, it)| (*kind, *it)).collect();
        stored.stable = self.stable.clone();
        stored.evidence = self.evidence.clone();
        stored.histories = self.unstable().collect();
        stored.fence = self.fence;
        stored
    }
}
