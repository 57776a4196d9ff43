//! RocksDB: one instance for the log, one for the state, since write stalls are per instance and
//! the state's backlog must never block votes.
//!
//! The log has a column family for each table and a write-ahead log. The state has no write-ahead
//! log, so all of it must reach the disk together: it is one column family, in which a key begins
//! with its table's number.

mod options;
mod recovery;
mod wal;

pub use recovery::{Recovery, open_log, open_log_read_only, open_state, open_state_read_only};

use crate::{
    Op, REBUILD_STATE, REPLACE_NODE, Read, Row, Scan, Statistics, Store, StoreError, Table,
    WriteBatch,
};
use bytes::Bytes;
use options::Tuning;
use rocksdb::{
    ColumnFamily, DB, DBPinnableSlice, DBRawIterator, ErrorKind, FlushOptions, ReadOptions,
    Snapshot, WriteOptions,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Log,
    State,
}

impl Kind {
    fn way_out(self) -> &'static str {
        match self {
            Kind::Log => REPLACE_NODE,
            Kind::State => REBUILD_STATE,
        }
    }
}

/// A RocksDB instance.
pub struct Rocks {
    /// There until it is dropped.
    db: Option<DB>,
    kind: Kind,
    path: String,
    tuning: Tuning,
    /// The log, if this is the state: RocksDB flushes when it is closed, and the log must not be
    /// behind what is flushed.
    ahead: Option<Arc<Rocks>>,
    /// A write or a sync failed: nothing is written after it.
    failed: AtomicBool,
    writes: AtomicU64,
    bytes: AtomicU64,
}

impl Rocks {
    fn new(db: DB, kind: Kind, path: &Path, tuning: Tuning) -> Self {
        let path = path.display().to_string();
        Self {
            db: Some(db),
            kind,
            path,
            tuning,
            ahead: None,
            failed: AtomicBool::new(false),
            writes: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }
    fn db(&self) -> &DB {
        self.db.as_ref().expect("only a drop takes it")
    }
    fn error(&self, what: &'static str, error: &rocksdb::Error) -> StoreError {
        store_error(&self.path, self.kind, what, error)
    }
    /// Does what changes the disk, unless that failed before: RocksDB aborts the process when it is
    /// asked to sync after a failed write.
    fn change<T>(
        &self,
        what: &'static str,
        change: impl FnOnce(&DB) -> Result<T, rocksdb::Error>,
    ) -> Result<T, StoreError> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(StoreError::Failed {
                at: self.path.clone(),
                what,
                why: "an earlier write failed".into(),
            });
        }
        change(self.db()).map_err(|error| {
            self.failed.store(true, Ordering::Relaxed);
            self.error(what, &error)
        })
    }
    /// The column family of a table, and the byte that its keys begin with.
    fn place(&self, table: Table) -> (&ColumnFamily, Option<u8>) {
        let (name, first) = match self.kind {
            Kind::Log => (table.name(), None),
            Kind::State => (rocksdb::DEFAULT_COLUMN_FAMILY_NAME, Some(table as u8)),
        };
        (
            self.db().cf_handle(name).expect("opened with every table"),
            first,
        )
    }
    fn convert(&self, batch: &WriteBatch) -> rocksdb::WriteBatch {
        let mut out = rocksdb::WriteBatch::default();
        for op in batch.ops() {
            match op {
                Op::Put(table, key, value) => {
                    let (cf, first) = self.place(*table);
                    with_key(first, key, |key| out.put_cf(cf, key, value));
                }
                Op::Delete(table, key) => {
                    let (cf, first) = self.place(*table);
                    with_key(first, key, |key| out.delete_cf(cf, key));
                }
                Op::DeleteRange(table, from, until) => {
                    let (cf, first) = self.place(*table);
                    with_key(first, from, |from| {
                        with_key(first, until, |until| out.delete_range_cf(cf, from, until));
                    });
                }
            }
        }
        out
    }
}

/// Calls `f` with the key as it is on disk; without a copy where none is needed.
fn with_key<T>(first: Option<u8>, key: &[u8], f: impl FnOnce(&[u8]) -> T) -> T {
    const SHORT: usize = 128;
    match first {
        None => f(key),
        Some(first) if key.len() < SHORT => {
            let mut short = [0; SHORT];
            short[0] = first;
            short[1..=key.len()].copy_from_slice(key);
            f(&short[..=key.len()])
        }
        Some(first) => {
            let mut long = Vec::with_capacity(key.len() + 1);
            long.push(first);
            long.extend_from_slice(key);
            f(&long)
        }
    }
}

fn store_error(at: &str, kind: Kind, what: &'static str, error: &rocksdb::Error) -> StoreError {
    match error.kind() {
        ErrorKind::Corruption => StoreError::Damaged {
            at: at.into(),
            what: error.to_string(),
            way_out: kind.way_out(),
        },
        _ => StoreError::Failed {
            at: at.into(),
            what,
            why: error.to_string(),
        },
    }
}

/// What reads and scans need of the instance or of a snapshot.
trait Source {
    fn value(
        &self,
        cf: &ColumnFamily,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, rocksdb::Error>;
    fn iterator(&self, cf: &ColumnFamily, options: ReadOptions) -> DBRawIterator<'_>;
}

impl Source for DB {
    fn value(
        &self,
        cf: &ColumnFamily,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, rocksdb::Error> {
        self.get_pinned_cf(cf, key)
    }
    fn iterator(&self, cf: &ColumnFamily, options: ReadOptions) -> DBRawIterator<'_> {
        self.raw_iterator_cf_opt(cf, options)
    }
}

impl Source for Snapshot<'_> {
    fn value(
        &self,
        cf: &ColumnFamily,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, rocksdb::Error> {
        self.get_pinned_cf(cf, key)
    }
    fn iterator(&self, cf: &ColumnFamily, options: ReadOptions) -> DBRawIterator<'_> {
        self.raw_iterator_cf_opt(cf, options)
    }
}

impl Rocks {
    fn get_from(
        &self,
        source: &impl Source,
        table: Table,
        key: &[u8],
    ) -> Result<Option<Bytes>, StoreError> {
        let (cf, first) = self.place(table);
        with_key(first, key, |key| source.value(cf, key))
            .map(|value| value.map(|value| Bytes::copy_from_slice(&value)))
            .map_err(|error| self.error("read", &error))
    }
    fn scan_from(
        &self,
        source: &impl Source,
        table: Table,
        scan: &Scan,
    ) -> Result<Vec<Row>, StoreError> {
        if scan.rows == 0 || scan.until.as_ref().is_some_and(|until| *until <= scan.from) {
            return Ok(Vec::new());
        }
        let (cf, first) = self.place(table);
        let skip = usize::from(first.is_some());
        let from = with_key(first, &scan.from, <[u8]>::to_vec);
        let until = match (&scan.until, first) {
            (Some(until), _) => Some(with_key(first, until, <[u8]>::to_vec)),
            (None, Some(first)) => Some(vec![first + 1]),
            (None, None) => None,
        };
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(from.clone());
        if let Some(until) = &until {
            options.set_iterate_upper_bound(until.clone());
        }
        let mut rows = source.iterator(cf, options);
        match scan.reverse {
            false => rows.seek(&from),
            true => rows.seek_to_last(),
        }
        let mut list = Vec::new();
        let mut bytes = 0;
        while let Some((key, value)) = rows.item() {
            bytes += key.len() - skip + value.len();
            list.push((
                Bytes::copy_from_slice(&key[skip..]),
                Bytes::copy_from_slice(value),
            ));
            if list.len() >= scan.rows || bytes >= scan.bytes {
                break;
            }
            if scan.reverse {
                rows.prev()
            } else {
                rows.next()
            }
        }
        rows.status().map_err(|error| self.error("scan", &error))?;
        Ok(list)
    }
}

/// A view of one moment.
struct View<'a> {
    rocks: &'a Rocks,
    snapshot: Snapshot<'a>,
}

impl Read for View<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.rocks.get_from(&self.snapshot, table, key)
    }
    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        self.rocks.scan_from(&self.snapshot, table, scan)
    }
}

impl Read for Rocks {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.get_from(self.db(), table, key)
    }
    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        self.scan_from(self.db(), table, scan)
    }
}

impl Store for Rocks {
    fn snapshot(&self) -> Box<dyn Read + '_> {
        Box::new(View {
            rocks: self,
            snapshot: self.db().snapshot(),
        })
    }
    fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.disable_wal(self.kind == Kind::State);
        self.change("write", |db| db.write_opt(self.convert(&batch), &options))?;
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes
            .fetch_add(batch.bytes() as u64, Ordering::Relaxed);
        Ok(())
    }
    fn sync(&self) -> Result<(), StoreError> {
        match self.kind {
            Kind::Log => self.change("sync", |db| db.flush_wal(true)),
            Kind::State => Ok(()),
        }
    }
    fn flush(&self, wait: bool) -> Result<(), StoreError> {
        let mut options = FlushOptions::default();
        options.set_wait(wait);
        let tables: &[Table] = match self.kind {
            Kind::Log => &Table::LOG,
            Kind::State => &[Table::Applied], // all of them: they share a column family
        };
        for table in tables {
            let (cf, _) = self.place(*table);
            self.change("flush", |db| db.flush_cf_opt(cf, &options))?;
        }
        Ok(())
    }
    fn statistics(&self) -> Statistics {
        Statistics {
            wal_syncs: self.tuning.wal_syncs(),
            writes: self.writes.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            memory: self.memory(),
        }
    }
}

impl Rocks {
    /// The oldest file of the write-ahead log whose records are not all in the tables.
    fn oldest_wal(&self) -> Result<u64, StoreError> {
        self.db()
            .property_int_value("rocksdb.min-log-number-to-keep")
            .map(Option::unwrap_or_default)
            .map_err(|error| self.error("read", &error))
    }
    fn memory(&self) -> u64 {
        let number = |cf, name: &str| {
            self.db()
                .property_int_value_cf(cf, name)
                .ok()
                .flatten()
                .unwrap_or(0)
        };
        let tables: &[Table] = match self.kind {
            Kind::Log => &Table::LOG,
            Kind::State => &[Table::Applied],
        };
        let families: u64 = tables
            .iter()
            .map(|table| self.place(*table).0)
            .map(|cf| {
                number(cf, "rocksdb.size-all-mem-tables")
                    + number(cf, "rocksdb.estimate-table-readers-mem")
            })
            .sum();
        families + number(self.place(tables[0]).0, "rocksdb.block-cache-usage")
    }
}

impl Drop for Rocks {
    fn drop(&mut self) {
        let behind = self.ahead.as_ref().is_some_and(|log| log.sync().is_err());
        if behind || self.failed.load(Ordering::Relaxed) {
            // To close it would be to write: what is in memory, which the log may lack, or behind
            // what has failed. The process is about to end.
            std::mem::forget(self.db.take());
        }
    }
}

#[cfg(test)]
mod tests;
