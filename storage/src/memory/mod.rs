//! A store in memory that can lose what was not synced, and fail on command: the simulator's disk.
//!
//! Like RocksDB, it applies a batch whole or not at all. What was written since the last sync (log)
//! or flush (state) is kept with the values it replaced, so a crash undoes it from the newest on.

use crate::{Op, Read, Row, Scan, Statistics, Store, StoreError, Table, WriteBatch};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A call that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A read.
    Read,
    /// A write: nothing of the batch is applied.
    Write,
    /// A sync: nothing becomes durable that was not.
    Sync,
    /// A flush: the same.
    Flush,
}

/// How what was written becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A write-ahead log: by sync; a crash keeps any prefix of the rest.
    Log,
    /// None: by flush, atomically; a crash loses all of the rest.
    State,
}

/// What a crash left of the writes that were not durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crash {
    /// Batches that survived all the same.
    pub kept: usize,
    /// Batches lost.
    pub lost: usize,
}

/// A copy of what was durable at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image(BTreeMap<Table, Rows>);

type Rows = BTreeMap<Bytes, Bytes>;

/// How to take one batch back.
struct Undo {
    bytes: u64,
    old: Vec<(Table, Bytes, Option<Bytes>)>,
}

struct Inner {
    tables: BTreeMap<Table, Rows>,
    pending: Vec<Undo>,
    faults: BTreeMap<Fault, u64>,
    damaged: BTreeSet<(Table, Bytes)>,
    statistics: Statistics,
    flushes: u64,
    operations: BTreeMap<Table, u64>,
}

/// The store.
pub struct Memory {
    kind: Kind,
    inner: RwLock<Inner>,
}

impl Memory {
    /// Stands for `data/log`.
    #[must_use]
    pub fn log() -> Self {
        Self::with(Kind::Log, Image::default())
    }
    /// Stands for `data/state`.
    #[must_use]
    pub fn state() -> Self {
        Self::with(Kind::State, Image::default())
    }
    fn with(kind: Kind, image: Image) -> Self {
        let inner = Inner {
            tables: image.0,
            pending: Vec::new(),
            faults: BTreeMap::new(),
            damaged: BTreeSet::new(),
            statistics: Statistics::default(),
            flushes: 0,
            operations: BTreeMap::new(),
        };
        Self {
            kind,
            inner: RwLock::new(inner),
        }
    }
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn edit(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
    /// Makes a later call fail: the next one if `after` is 0, else after so many that succeed. It
    /// stays so until [`Memory::crash`].
    pub fn fail(&self, fault: Fault, after: u64) {
        self.edit().faults.insert(fault, after);
    }
    /// A bit flips in a row: reading it from now on is an error, as the checksum tells.
    pub fn damage(&self, table: Table, key: impl Into<Bytes>) {
        self.edit().damaged.insert((table, key.into()));
    }
    /// A bit flips in one of all rows, of which there are so many; `None` if there is none.
    pub fn rot(&self, pick: impl FnOnce(usize) -> usize) -> Option<Table> {
        let mut inner = self.edit();
        let rows = || {
            inner
                .tables
                .iter()
                .flat_map(|(table, rows)| rows.keys().map(|it| (*table, it)))
        };
        let many = rows().count();
        let (table, key) = (many > 0).then(|| rows().nth(pick(many)))??;
        let key = key.clone();
        inner.damaged.insert((table, key));
        Some(table)
    }
    /// Bytes that a crash may lose.
    #[must_use]
    pub fn unsynced_bytes(&self) -> u64 {
        self.read().pending.iter().map(|undo| undo.bytes).sum()
    }
    /// Batches that a crash may lose.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.read().pending.len()
    }
    /// How many writes there were to each table.
    #[must_use]
    pub fn operations(&self) -> BTreeMap<Table, u64> {
        self.read().operations.clone()
    }
    /// How often it was flushed.
    #[must_use]
    pub fn flushes(&self) -> u64 {
        self.read().flushes
    }
    /// The machine goes down. Of the bytes that were not durable (told to `keep`), the first so
    /// many made it to the disk; the batch in which they end is dropped whole, since its checksum
    /// tells. A state store keeps none. Faults end with it.
    pub fn crash(&self, keep: impl FnOnce(u64) -> u64) -> Crash {
        let mut inner = self.edit();
        let total: u64 = inner.pending.iter().map(|undo| undo.bytes).sum();
        let mut left = match self.kind {
            Kind::Log => keep(total).min(total),
            Kind::State => 0,
        };
        let mut kept = 0;
        for undo in &inner.pending {
            if undo.bytes > left {
                break;
            }
            left -= undo.bytes;
            kept += 1;
        }
        let lost = inner.pending.len() - kept;
        for undo in inner.pending.split_off(kept).into_iter().rev() {
            inner.take_back(undo);
        }
        inner.pending.clear();
        inner.faults.clear();
        Crash { kept, lost }
    }
    /// A copy of what is durable: an old backup, or a twin's disk.
    #[must_use]
    pub fn image(&self) -> Image {
        let inner = self.read();
        let mut tables = inner.tables.clone();
        for undo in inner.pending.iter().rev() {
            for (table, key, old) in undo.old.iter().rev() {
                put_back(tables.entry(*table).or_default(), key, old.clone());
            }
        }
        tables.retain(|_, rows| !rows.is_empty());
        Image(tables)
    }
    /// A store that begins with an image, of the same kind as this one.
    #[must_use]
    pub fn from_image(&self, image: Image) -> Self {
        Self::with(self.kind, image)
    }
}

fn put_back(rows: &mut Rows, key: &Bytes, old: Option<Bytes>) {
    match old {
        Some(value) => rows.insert(key.clone(), value),
        None => rows.remove(key),
    };
}

impl Inner {
    /// Counts a call down; an error when it is its turn.
    fn trip(&mut self, fault: Fault, what: &'static str) -> Result<(), StoreError> {
        match self.faults.get_mut(&fault) {
            Some(0) => Err(injected(what)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
    fn apply(&mut self, batch: WriteBatch) {
        let mut undo = Undo {
            bytes: batch.bytes().max(1) as u64,
            old: Vec::with_capacity(batch.len()),
        };
        for op in batch.into_ops() {
            *self.operations.entry(op.table()).or_default() += 1;
            match op {
                Op::Put(table, key, value) => {
                    let old = self
                        .tables
                        .entry(table)
                        .or_default()
                        .insert(key.clone(), value);
                    undo.old.push((table, key, old));
                }
                Op::Delete(table, key) => {
                    let old = self.tables.entry(table).or_default().remove(&key);
                    undo.old.push((table, key, old));
                }
                Op::DeleteRange(table, from, until) => {
                    let rows = self.tables.entry(table).or_default();
                    let keys: Vec<_> = match from < until {
                        true => rows
                            .range(from..until)
                            .map(|(key, _)| key.clone())
                            .collect(),
                        false => Vec::new(),
                    };
                    for key in keys {
                        let old = rows.remove(&key);
                        undo.old.push((table, key, old));
                    }
                }
            }
        }
        self.pending.push(undo);
    }
    fn take_back(&mut self, undo: Undo) {
        for (table, key, old) in undo.old.into_iter().rev() {
            put_back(self.tables.entry(table).or_default(), &key, old);
        }
    }
    fn check(&self, table: Table, key: &Bytes) -> Result<(), StoreError> {
        if self.damaged.is_empty() || !self.damaged.contains(&(table, key.clone())) {
            return Ok(());
        }
        Err(StoreError::Damaged {
            at: "(memory)".into(),
            what: format!(
                "a row of table {} does not match its checksum",
                table.name()
            ),
            way_out: "injected by a test",
        })
    }
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let Some(row) = self
            .tables
            .get(&table)
            .and_then(|rows| rows.get_key_value(key))
        else {
            return Ok(None);
        };
        self.check(table, row.0)?;
        Ok(Some(row.1.clone()))
    }
    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        let Some(rows) = self.tables.get(&table) else {
            return Ok(Vec::new());
        };
        if scan.until.as_ref().is_some_and(|until| *until <= scan.from) {
            return Ok(Vec::new());
        }
        let until = scan
            .until
            .as_ref()
            .map_or(Bound::Unbounded, Bound::Excluded);
        let range = rows.range::<Bytes, _>((Bound::Included(&scan.from), until));
        match scan.reverse {
            true => self.collect(table, scan, range.rev()),
            false => self.collect(table, scan, range),
        }
    }
    fn collect<'a>(
        &self,
        table: Table,
        scan: &Scan,
        range: impl Iterator<Item = (&'a Bytes, &'a Bytes)>,
    ) -> Result<Vec<Row>, StoreError> {
        let mut list = Vec::new();
        let mut bytes = 0;
        for (key, value) in range {
            if list.len() >= scan.rows || (bytes >= scan.bytes && !list.is_empty()) {
                break;
            }
            self.check(table, key)?;
            bytes += key.len() + value.len();
            list.push((key.clone(), value.clone()));
        }
        Ok(list)
    }
}

fn injected(what: &'static str) -> StoreError {
    StoreError::Failed {
        at: "(memory)".into(),
        what,
        why: "injected".into(),
    }
}

/// A view under the store's lock.
struct Snapshot<'a>(RwLockReadGuard<'a, Inner>);

impl Read for Snapshot<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.0.get(table, key)
    }
    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        self.0.scan(table, scan)
    }
}

impl Memory {
    /// The lock to read under; the lock to write is needed only to count down to a fault.
    fn reading(&self) -> Result<RwLockReadGuard<'_, Inner>, StoreError> {
        let inner = self.read();
        if !inner.faults.contains_key(&Fault::Read) {
            return Ok(inner);
        }
        drop(inner);
        self.edit().trip(Fault::Read, "read")?;
        Ok(self.read())
    }
}

impl Read for Memory {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.reading()?.get(table, key)
    }
    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        self.reading()?.scan(table, scan)
    }
}

impl Store for Memory {
    fn snapshot(&self) -> Box<dyn Read + '_> {
        Box::new(Snapshot(self.read()))
    }
    fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        let mut inner = self.edit();
        inner.trip(Fault::Write, "write")?;
        inner.statistics.writes += 1;
        inner.statistics.bytes += batch.bytes() as u64;
        inner.apply(batch);
        Ok(())
    }
    fn sync(&self) -> Result<(), StoreError> {
        let mut inner = self.edit();
        inner.trip(Fault::Sync, "sync")?;
        if self.kind == Kind::Log {
            inner.pending.clear();
            inner.statistics.wal_syncs += 1;
        }
        Ok(())
    }
    fn flush(&self, _wait: bool) -> Result<(), StoreError> {
        let mut inner = self.edit();
        inner.trip(Fault::Flush, "flush")?;
        inner.pending.clear();
        inner.flushes += 1;
        Ok(())
    }
    fn statistics(&self) -> Statistics {
        self.read().statistics
    }
}

#[cfg(test)]
mod tests;
