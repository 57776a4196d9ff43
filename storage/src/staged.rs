//! A store for the state whose last writes are gathered in memory.
//!
//! RocksDB's memtable takes some 6 us for a row that comes alone: a search through a list that is in
//! no cache. A state without a write-ahead log loses what is not flushed anyway, so until it is
//! flushed it is gathered here; what is overwritten leaves, and the rest goes on sorted, into a
//! memtable that is empty, as one atomic batch: what the store behind holds is the state as of one
//! height at any moment.

use crate::layer::{Layer, Over};
use crate::{Read, Row, Scan, Statistics, Store, StoreError, Table, WriteBatch};
use bytes::Bytes;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// Bytes of memory that a row costs besides key and value, about.
const OVERHEAD: usize = 96;

/// See the module. Has one writer and any number of readers.
pub struct Staged {
    base: Arc<dyn Store>,
    stage: RwLock<Stage>,
}

#[derive(Default)]
struct Stage {
    young: Layer,
    bytes: u64,
    /// On its way to the store.
    moving: Arc<Layer>,
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
    pub(crate) fn absorb(&self, layer: Layer) {
        let (rows, bytes) = layer.size();
        self.change(|stage| {
            stage.bytes += (bytes + rows * OVERHEAD) as u64;
            stage.young.absorb(layer);
        });
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
    /// Moves all that is gathered to the store. Readers go on meanwhile.
    fn hand_over(&self) -> Result<(), StoreError> {
        let moving = self.change(|stage| {
            stage.bytes = 0;
            stage.moving = Arc::new(std::mem::take(&mut stage.young));
            Arc::clone(&stage.moving)
        });
        if !moving.is_empty() {
            self.base.write(moving.to_batch())?;
            self.change(|stage| stage.moving = Arc::default());
        }
        Ok(())
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
        self.absorb(Layer::from(batch));
        Ok(())
    }
    fn sync(&self) -> Result<(), StoreError> {
        self.base.sync()
    }
    fn flush(&self, wait: bool) -> Result<(), StoreError> {
        self.hand_over()?;
        self.base.flush(wait)
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
