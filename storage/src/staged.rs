//! A store for the state whose last writes are gathered in memory.
//!
//! RocksDB's memtable takes some 6 us for a row that comes alone: a search through a list that is in
//! no cache. A state without a write-ahead log loses what is not flushed anyway, so until it is
//! flushed it is gathered here; what is overwritten leaves, and the rest moves on sorted, into a
//! memtable that is empty, a little with each write, so that nobody waits for it. Only when all of
//! it is there the memtable is flushed: what is on disk is the state as of one height.

use crate::layer::{Layer, Over};
use crate::{Read, Row, Scan, Statistics, Store, StoreError, Table, WriteBatch};
use bytes::Bytes;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// Bytes of memory that a row costs besides key and value, about.
const OVERHEAD: usize = 96;

/// Rows that move on for each one that is written.
const PACE: usize = 4;
/// Rows that move on at a time when nothing is written.
const CHUNK: usize = 8192;

/// See the module. Has one writer and any number of readers.
pub struct Staged {
    base: Arc<dyn Store>,
    stage: RwLock<Stage>,
}

#[derive(Default)]
struct Stage {
    young: Layer,
    bytes: u64,
    /// What is still on its way to the store.
    moving: Layer,
}

impl Staged {
    /// With nothing gathered.
    #[must_use]
    pub fn new(base: Arc<dyn Store>) -> Self {
        Self {
            base,
            stage: RwLock::default(),
        }
    }
    /// Writes a layer.
    ///
    /// # Errors
    /// What is moving could not be written.
    pub(crate) fn absorb(&self, layer: Layer) -> Result<(), StoreError> {
        let (rows, bytes) = layer.size();
        self.change(|stage| {
            stage.bytes += (bytes + rows * OVERHEAD) as u64;
            stage.young.absorb(layer);
        });
        self.move_on(PACE * rows)
    }
    /// Goes on with the last flush, if it is not done.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn go_on(&self) -> Result<(), StoreError> {
        self.move_on(CHUNK)
    }
    /// Bytes of all writes since the last flush, [`OVERHEAD`] for each row included: at least those
    /// that are gathered.
    pub fn bytes(&self) -> u64 {
        self.read().bytes
    }
    fn read(&self) -> RwLockReadGuard<'_, Stage> {
        self.stage.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn change<T>(&self, change: impl FnOnce(&mut Stage) -> T) -> T {
        change(&mut self.stage.write().unwrap_or_else(PoisonError::into_inner))
    }
    /// Begins to move what is gathered; nothing is moving.
    fn freeze(&self) {
        self.change(|stage| {
            stage.bytes = 0;
            stage.moving = std::mem::take(&mut stage.young);
        });
    }
    /// Moves so many rows; flushes the store behind the last one.
    fn move_on(&self, rows: usize) -> Result<(), StoreError> {
        let batch = self.read().moving.first(rows);
        let count = batch.len();
        if count == 0 {
            return Ok(());
        }
        self.base.write(batch)?;
        // They are found in the store from here on.
        let done = self.change(|stage| {
            stage.moving.remove_first(count);
            stage.moving.is_empty()
        });
        if done { self.base.flush(false) } else { Ok(()) }
    }
    fn finish(&self) -> Result<(), StoreError> {
        while !self.read().moving.is_empty() {
            self.move_on(CHUNK)?;
        }
        Ok(())
    }
}

/// A store that is closed may flush what it holds: never a part.
impl Drop for Staged {
    fn drop(&mut self) {
        // If it fails, the store will not be written any more.
        self.finish().ok();
    }
}

impl Stage {
    fn over<T>(&self, base: &dyn Read, read: impl FnOnce(&dyn Read) -> T) -> T {
        let moving = Over {
            layer: &self.moving,
            base,
        };
        read(&Over {
            layer: &self.young,
            base: &moving,
        })
    }
}

impl Read for Staged {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.read().over(&*self.base, |all| all.get(table, key))
    }
    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        self.read().over(&*self.base, |all| all.scan(table, scan))
    }
}

/// A view of one moment: the writer waits for its end.
struct View<'a> {
    stage: RwLockReadGuard<'a, Stage>,
    base: Box<dyn Read + 'a>,
}

impl Read for View<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.stage.over(&*self.base, |all| all.get(table, key))
    }
    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        self.stage.over(&*self.base, |all| all.scan(table, scan))
    }
}

impl Store for Staged {
    fn snapshot(&self) -> Box<dyn Read + '_> {
        // In this order: what leaves the stage is in the store before.
        let stage = self.read();
        let base = self.base.snapshot();
        Box::new(View { stage, base })
    }
    fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        self.absorb(Layer::from(batch))
    }
    fn sync(&self) -> Result<(), StoreError> {
        self.base.sync()
    }
    fn flush(&self, wait: bool) -> Result<(), StoreError> {
        self.finish()?;
        self.freeze();
        if !wait {
            return self.go_on();
        }
        self.finish()?;
        self.base.flush(true)
    }
    fn statistics(&self) -> Statistics {
        let base = self.base.statistics();
        Statistics {
            memory: base.memory + self.bytes(),
            ..base
        }
    }
}

#[cfg(test)]
mod tests;
