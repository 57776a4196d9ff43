//! The layout of `data/log`: how records, promises, commits and batches become rows.
//!
//! Heights are big-endian in keys, so that rows lie in order of height. Values are opaque here but
//! for commits, which the executor reads.

use crate::{REPLACE_NODE, Read, Row, Scan, Store, StoreError, Table, WriteBatch};
use bytes::Bytes;
use crypto::{BatchRef, Digest, Height, Payload, SealedBatch, codec};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// Key of the fence in [`Table::Meta`].
const FENCE: &[u8] = b"fence";
/// Prefix of the ring of the last fences in [`Table::Meta`].
const RING: u8 = b'r';
/// How many of the last fences the log remembers one by one.
pub const FENCE_RING: u64 = 256;

/// Where a protocol's record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordAt {
    /// One for each kind.
    Latest(u8),
    /// At a height, told apart by digest.
    Height(Height, Digest),
}

impl RecordAt {
    /// Its key in [`Table::Record`]: `0 kind`, or `1 height digest`.
    #[must_use]
    pub fn key(&self) -> Bytes {
        match self {
            RecordAt::Latest(kind) => Bytes::copy_from_slice(&[0, *kind]),
            RecordAt::Height(height, digest) => {
                let mut key = Vec::with_capacity(1 + 8 + 32);
                key.push(1);
                key.extend_from_slice(&height.0.to_be_bytes());
                key.extend_from_slice(&digest.0);
                key.into()
            }
        }
    }
    /// The keys of all records at these heights.
    #[must_use]
    pub fn range(heights: &Range<Height>) -> Range<Bytes> {
        record_bound(heights.start)..record_bound(heights.end)
    }
    /// The keys of all records that are one for each kind.
    #[must_use]
    pub fn latest() -> Range<Bytes> {
        Bytes::from_static(&[0])..Bytes::from_static(&[1])
    }
}

fn record_bound(height: Height) -> Bytes {
    let mut key = Vec::with_capacity(1 + 8);
    key.push(1);
    key.extend_from_slice(&height.0.to_be_bytes());
    key.into()
}

/// The key of a height in [`Table::Commit`] and [`Table::Checkpoint`].
#[must_use]
pub fn height_key(height: Height) -> Bytes {
    Bytes::copy_from_slice(&height.0.to_be_bytes())
}

/// The height in such a key; `None` if it is none.
#[must_use]
pub fn height_of(key: &[u8]) -> Option<Height> {
    key.try_into()
        .ok()
        .map(|bytes| Height(u64::from_be_bytes(bytes)))
}

/// The key of a batch in [`Table::Batch`].
#[must_use]
pub fn batch_key(digest: &Digest) -> Bytes {
    Bytes::copy_from_slice(&digest.0)
}

/// A committed height, as stored: the proof is the protocol's own and opaque here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRow {
    /// Height; also the row's key.
    pub height: Height,
    /// What is ordered there, by reference: the batches are stored once, by digest, or in the record
    /// of the height.
    pub payload: Payload,
    /// H(previous history, height, payload).
    pub history: Digest,
    /// The encoded proof.
    pub proof: Bytes,
}

impl CommitRow {
    /// Adds it to a batch.
    pub fn put(&self, batch: &mut WriteBatch) {
        batch.put(Table::Commit, height_key(self.height), codec::encode(self));
    }
    /// Decodes a row.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the value is none, or of another height than the key.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        match codec::decode::<Self>(value) {
            Ok(row) if height_of(key) == Some(row.height) => Ok(row),
            Ok(row) => Err(damaged(format!(
                "commit {} lies at another height",
                row.height
            ))),
            Err(error) => Err(damaged(format!("a commit is {error}"))),
        }
    }
}

fn damaged(what: String) -> StoreError {
    StoreError::Damaged {
        at: "data/log".into(),
        what,
        way_out: REPLACE_NODE,
    }
}

/// Adds a fence to a batch, and to the ring of those before it.
pub(crate) fn put_fence(batch: &mut WriteBatch, fence: u64) {
    let value = Bytes::copy_from_slice(&fence.to_le_bytes());
    batch.put(Table::Meta, ring_key(fence), value.clone());
    batch.put(Table::Meta, FENCE, value);
}

fn ring_key(fence: u64) -> Bytes {
    let slot = (fence % FENCE_RING) as u16;
    let [high, low] = slot.to_be_bytes();
    Bytes::copy_from_slice(&[RING, high, low])
}

/// A committed height with all that is executed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Height.
    pub height: Height,
    /// The log's history there.
    pub history: Digest,
    /// In order.
    pub batches: Vec<SealedBatch>,
}

impl Commit {
    /// Whether its history extends this one.
    #[must_use]
    pub fn follows(&self, before: &Digest) -> bool {
        let payload = Payload::Inline(self.batches.clone());
        payload.extend_history(before, self.height) == self.history
    }
}

/// Finds the payload in a record of the protocol's, if the record holds whole batches.
pub type PayloadOf = fn(&[u8]) -> Option<Payload>;

/// Typed reads of `data/log`. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    store: Arc<dyn Store>,
    payload_of: PayloadOf,
}

impl Log {
    /// Reads from this store, in which a protocol keeps its records.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, payload_of: PayloadOf) -> Self {
        Self { store, payload_of }
    }
    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }
    /// The last fence; 0 before the first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn fence(&self) -> Result<u64, StoreError> {
        fence(&*self.store)
    }
    /// All records that are one for each kind.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn latest_records(&self) -> Result<Vec<Row>, StoreError> {
        let keys = RecordAt::latest();
        self.store
            .scan(Table::Record, &Scan::range(keys.start, Some(keys.end)))
    }
    /// Records at these heights, ascending: whole rows up to about so many bytes.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn records(&self, heights: &Range<Height>, bytes: usize) -> Result<Vec<Row>, StoreError> {
        let keys = RecordAt::range(heights);
        self.store.scan(
            Table::Record,
            &Scan::range(keys.start, Some(keys.end)).bytes(bytes),
        )
    }
    /// All that the guard promised.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn promises(&self) -> Result<Vec<Row>, StoreError> {
        self.store.scan(Table::Guard, &Scan::all())
    }
    /// The commit at a height.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn commit(&self, height: Height) -> Result<Option<CommitRow>, StoreError> {
        let key = height_key(height);
        let row = self.store.get(Table::Commit, &key)?;
        row.map(|value| CommitRow::decode(&key, &value)).transpose()
    }
    /// Commits from a height on, ascending and without a gap, up to so many rows and bytes.
    ///
    /// # Errors
    /// See [`StoreError`]; a gap is damage.
    pub fn commits(
        &self,
        from: Height,
        rows: usize,
        bytes: usize,
    ) -> Result<Vec<CommitRow>, StoreError> {
        let scan = Scan::range(height_key(from), None).rows(rows).bytes(bytes);
        let mut next = from;
        let mut list = Vec::new();
        for (key, value) in self.store.scan(Table::Commit, &scan)? {
            let row = CommitRow::decode(&key, &value)?;
            if row.height != next {
                return Err(damaged(format!(
                    "commit {next} is missing, {} is there",
                    row.height
                )));
            }
            next = next.next();
            list.push(row);
        }
        Ok(list)
    }
    /// The highest commit.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn last_commit(&self) -> Result<Option<CommitRow>, StoreError> {
        let rows = self
            .store
            .scan(Table::Commit, &Scan::all().reverse().rows(1))?;
        rows.first()
            .map(|(key, value)| CommitRow::decode(key, value))
            .transpose()
    }
    /// An encoded batch that has a row of its own.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn batch(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        self.store.get(Table::Batch, &digest.0)
    }
    /// The batches of a commit, in order.
    ///
    /// # Errors
    /// See [`StoreError`]; a batch that is missing, or is not the one that was ordered, is damage.
    pub fn batches(&self, row: &CommitRow) -> Result<Vec<SealedBatch>, StoreError> {
        let references = row.payload.references();
        let mut inline = None;
        let mut find = |wanted: &BatchRef| {
            let fault = |what: &str| {
                let (digest, height) = (wanted.digest, row.height);
                damaged(format!("batch {digest} of height {height} is {what}"))
            };
            let batch = if let Some(bytes) = self.batch(&wanted.digest)? {
                let open = SealedBatch::open(bytes);
                open.map_err(|error| fault(&error.to_string()))?
            } else {
                if inline.is_none() {
                    inline = Some(self.recorded(row.height)?);
                }
                let batch = inline.iter().flatten().find(|it| it.reference() == *wanted);
                batch.cloned().ok_or_else(|| fault("missing"))?
            };
            if batch.reference() != *wanted {
                return Err(fault("not the one that was ordered"));
            }
            Ok(batch)
        };
        references.iter().map(&mut find).collect()
    }
    /// The batches that the records of a height hold.
    fn recorded(&self, height: Height) -> Result<Vec<SealedBatch>, StoreError> {
        let rows = self.records(&(height..height.next()), usize::MAX)?;
        let payloads = rows
            .iter()
            .filter_map(|(_, value)| (self.payload_of)(value));
        let batches = payloads.flat_map(|payload| match payload {
            Payload::Inline(batches) => batches,
            Payload::Refs(_) => Vec::new(),
        });
        Ok(batches.collect())
    }
}

/// The fence that this row tells, if it is the one that does.
#[cfg(feature = "rocksdb")]
pub(crate) fn fence_in(key: &[u8], value: &[u8]) -> Option<u64> {
    let number = value.try_into().ok().map(u64::from_le_bytes);
    number.filter(|_| key == FENCE)
}

/// The last fence; 0 before the first.
///
/// # Errors
/// See [`StoreError`].
pub fn fence(log: &(impl Read + ?Sized)) -> Result<u64, StoreError> {
    let Some(value) = log.get(Table::Meta, FENCE)? else {
        return Ok(0);
    };
    let bytes = value
        .as_ref()
        .try_into()
        .map_err(|_| damaged("the fence is no number".into()))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Checks that the last [`FENCE_RING`] fences are all there: a log with a hole in it may pass
/// RocksDB's own check, and would have lost promises.
///
/// # Errors
/// [`StoreError::Damaged`] names the first one missing.
pub fn check_fences(log: &(impl Read + ?Sized)) -> Result<u64, StoreError> {
    let last = fence(log)?;
    for number in last.saturating_sub(FENCE_RING - 1).max(1)..=last {
        let value = log.get(Table::Meta, &ring_key(number))?;
        if value.as_deref() != Some(&number.to_le_bytes()[..]) {
            return Err(damaged(format!("fence {number} of {last} is missing")));
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests;
