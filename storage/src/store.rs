//! What a store is: ordered tables of bytes, written in atomic batches.

use bytes::Bytes;
use std::ops::Range;
use thiserror::Error;

/// A table. The first six live in `data/log`, the others in `data/state`. The number is on disk:
/// never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// Log: the fence and whatever else exists once, the names of batches that are not committed, and
    /// proofs that somebody lied.
    Meta = 0,
    /// Log: the protocol's records.
    Record = 1,
    /// Log: what the guard promised.
    Guard = 2,
    /// Log: committed payloads by height.
    Commit = 3,
    /// Log: batches by digest.
    Batch = 4,
    /// Log: checkpoints by height.
    Checkpoint = 5,
    /// State: the head of each key, without its value; nothing of one that was removed.
    Key = 8,
    /// State: every version of every key, with its value.
    History = 9,
    /// State: sessions, and the results of their last transactions.
    Session = 10,
    /// State: the applied height, and whatever else exists once.
    Applied = 11,
}

impl Table {
    /// The tables of `data/log`.
    pub const LOG: [Table; 6] = [
        Table::Meta,
        Table::Record,
        Table::Guard,
        Table::Commit,
        Table::Batch,
        Table::Checkpoint,
    ];
    /// The tables of `data/state`.
    pub const STATE: [Table; 4] = [Table::Key, Table::History, Table::Session, Table::Applied];

    /// Its name on disk and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Record => "record",
            Table::Guard => "guard",
            Table::Commit => "commit",
            Table::Batch => "batch",
            Table::Checkpoint => "checkpoint",
            Table::Key => "key",
            Table::History => "history",
            Table::Session => "session",
            Table::Applied => "applied",
        }
    }
}

/// Why a store failed. None of these is ever retried: whoever gets one stops the process.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// A read, write or sync that the disk or file system refused. After a failed sync nobody
    /// knows what is on disk, so going on would release promises that may be lost.
    #[error(
        "the store at {at} failed to {what}: {why}; check the disk (full? failing?), then start the node again"
    )]
    Failed {
        /// Which store.
        at: String,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        why: String,
    },
    /// Bytes that no version of ours wrote.
    #[error("the store at {at} is damaged: {what}; {way_out}")]
    Damaged {
        /// Which store.
        at: String,
        /// What is wrong.
        what: String,
        /// What the operator can do.
        way_out: &'static str,
    },
}

/// What to do about a damaged `data/state`.
pub const REBUILD_STATE: &str = "delete data/state: it is rebuilt from the log";
/// What to do about a damaged `data/log`.
pub const REPLACE_NODE: &str =
    "its promises are lost: restore this node's newest backup or replace the node";

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Insert or overwrite.
    Put(Table, Bytes, Bytes),
    /// Remove, if present.
    Delete(Table, Bytes),
    /// Remove all keys from the first (included) to the second (excluded).
    DeleteRange(Table, Bytes, Bytes),
}

impl Op {
    /// Where it writes.
    #[must_use]
    pub fn table(&self) -> Table {
        match self {
            Op::Put(table, ..) | Op::Delete(table, _) | Op::DeleteRange(table, ..) => *table,
        }
    }
    /// Bytes of key and value.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Op::Put(_, a, b) | Op::DeleteRange(_, a, b) => a.len() + b.len(),
            Op::Delete(_, key) => key.len(),
        }
    }
}

/// Writes that take effect together or not at all, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteBatch {
    ops: Vec<Op>,
    bytes: usize,
}

impl WriteBatch {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// Adds one write.
    pub fn push(&mut self, op: Op) {
        self.bytes += op.bytes();
        self.ops.push(op);
    }
    /// Inserts or overwrites.
    pub fn put(&mut self, table: Table, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.push(Op::Put(table, key.into(), value.into()));
    }
    /// Removes one key.
    pub fn delete(&mut self, table: Table, key: impl Into<Bytes>) {
        self.push(Op::Delete(table, key.into()));
    }
    /// Removes the keys of a range.
    pub fn delete_range(&mut self, table: Table, keys: Range<Bytes>) {
        self.push(Op::DeleteRange(table, keys.start, keys.end));
    }
    /// Adds all of another batch behind.
    pub fn append(&mut self, mut other: WriteBatch) {
        self.bytes += other.bytes;
        self.ops.append(&mut other.ops);
    }
    /// The writes, in order.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }
    /// The writes, in order.
    #[must_use]
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }
    /// Bytes of all keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
    /// How many writes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }
    /// Whether it writes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

/// What to scan: ascending from `from`, up to `until` (excluded; `None`: to the table's end).
#[derive(Clone, Debug)]
pub struct Scan {
    /// The first key.
    pub from: Bytes,
    /// Behind the last key.
    pub until: Option<Bytes>,
    /// Most rows.
    pub rows: usize,
    /// Stops with the row that reaches so many bytes of keys and values; at least one row comes.
    pub bytes: usize,
    /// Descending instead, from the key before `until` down to `from`.
    pub reverse: bool,
}

impl Scan {
    /// All of a range, ascending.
    #[must_use]
    pub fn range(from: impl Into<Bytes>, until: Option<Bytes>) -> Self {
        Self {
            from: from.into(),
            until,
            rows: usize::MAX,
            bytes: usize::MAX,
            reverse: false,
        }
    }
    /// The row of one key.
    #[must_use]
    pub fn one(key: Bytes) -> Self {
        let until = successor(&key);
        Self::range(key, Some(until))
    }
    /// The whole table, ascending.
    #[must_use]
    pub fn all() -> Self {
        Self::range(Bytes::new(), None)
    }
    /// At most so many rows.
    #[must_use]
    pub fn rows(mut self, rows: usize) -> Self {
        self.rows = rows;
        self
    }
    /// At most about so many bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }
    /// Descending.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }
}

/// The first key behind a key.
#[must_use]
pub fn successor(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

/// A row: key and value.
pub type Row = (Bytes, Bytes);

/// What can be read from.
pub trait Read {
    /// The value of a key.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError>;
    /// The rows of a range, all of one moment.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Row>, StoreError>;
}

/// An ordered store of bytes.
pub trait Store: Read + Send + Sync + 'static {
    /// A view that later writes do not change. Hold it briefly: it may keep writers waiting.
    fn snapshot(&self) -> Box<dyn Read + '_>;
    /// Applies a batch, all of it or nothing. Visible at once; durable after [`Store::sync`] (log)
    /// or [`Store::flush`] (state).
    ///
    /// # Errors
    /// See [`StoreError`].
    fn write(&self, batch: WriteBatch) -> Result<(), StoreError>;
    /// Makes all that was written durable. A store without a write-ahead log (state) does nothing.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn sync(&self) -> Result<(), StoreError>;
    /// Starts to move all that was written to table files, as one atomic unit: after a crash all of
    /// it is there or none. With `wait` it is done on return.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn flush(&self, wait: bool) -> Result<(), StoreError>;
    /// What it did since it was opened.
    fn statistics(&self) -> Statistics;
}

/// What a store did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Syncs of the write-ahead log, as the backend itself counted them.
    pub wal_syncs: u64,
    /// Batches written.
    pub writes: u64,
    /// Bytes of keys and values written.
    pub bytes: u64,
    /// Bytes of memory held by memtables and caches, if the backend knows.
    pub memory: u64,
}
