//! Writes that are not in the store yet, laid over it: later transactions see the earlier ones.

use crate::layer::{Layer, Over};
use crate::{Op, Read, Row, Scan, StoreError, Table, WriteBatch};
use bytes::Bytes;

/// A store and what will be written to it.
pub struct Overlay<'a> {
    base: &'a dyn Read,
    rows: Layer,
    /// All writes since they were last taken, in order.
    changes: Vec<Op>,
}

impl<'a> Overlay<'a> {
    /// Nothing written yet.
    pub fn new(base: &'a dyn Read) -> Self {
        Self {
            base,
            rows: Layer::default(),
            changes: Vec::new(),
        }
    }
    /// Inserts or overwrites.
    pub fn put(&mut self, table: Table, key: Bytes, value: Bytes) {
        self.rows.insert(table, key.clone(), Some(value.clone()));
        self.changes.push(Op::Put(table, key, value));
    }
    /// Removes.
    pub fn delete(&mut self, table: Table, key: Bytes) {
        self.rows.insert(table, key.clone(), None);
        self.changes.push(Op::Delete(table, key));
    }
    /// All writes since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<Op> {
        std::mem::take(&mut self.changes)
    }
    /// What to write: the last write of each row.
    pub fn into_batch(self) -> WriteBatch {
        self.rows.to_batch()
    }
    fn over(&self) -> Over<'_> {
        Over {
            layer: &self.rows,
            base: self.base,
        }
    }
}

impl Read for Overlay<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.over().get(table, key)
    }
    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        self.over().scan(table, scan)
    }
}
