//! Rows read or written lately, in front of a store whose only writer keeps them: what is written
//! again and again is not looked up again each time.

use crate::layer::Layer;
use crate::staged::Staged;
use crate::{Read, Row, Scan, StoreError, Table};
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// The tables of small rows that are read before they are written.
const TABLES: [Table; 2] = [Table::Key, Table::Session];
/// Bytes in each of the two generations.
const BYTES: usize = 16 << 20;
/// Bytes of memory that a row costs besides key and value, about.
const OVERHEAD: usize = 96;

/// Only ever looked up, so their order is nobody's business.
type Rows = [HashMap<Bytes, Option<Bytes>>; TABLES.len()];

/// A store with a memory. Nothing else may write to the store.
pub struct Recent {
    store: Arc<Staged>,
    memory: RefCell<Memory>,
}

/// Two generations: when the younger is full, the older is forgotten. What is used stays.
#[derive(Default)]
struct Memory {
    young: Rows,
    old: Rows,
    bytes: usize,
}

impl Recent {
    /// With nothing remembered.
    pub fn new(store: Arc<Staged>) -> Self {
        Self {
            store,
            memory: RefCell::default(),
        }
    }
    /// The store behind.
    pub fn store(&self) -> &Arc<Staged> {
        &self.store
    }
    /// Writes, and remembers what was written.
    pub fn write(&self, layer: Layer) -> Result<(), StoreError> {
        let mut memory = self.memory.borrow_mut();
        for (place, table) in TABLES.into_iter().enumerate() {
            for (key, value) in layer.rows(table) {
                memory.insert(place, key.clone(), value.clone());
            }
        }
        self.store.absorb(layer)
    }
}

fn index(table: Table) -> Option<usize> {
    TABLES.iter().position(|other| *other == table)
}

impl Memory {
    /// What is known of a row: `Some(None)` if it is known not to be there.
    fn get(&mut self, table: usize, key: &[u8]) -> Option<Option<Bytes>> {
        if let Some(value) = self.young[table].get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old[table].remove_entry(key)?;
        self.insert(table, key, value.clone());
        Some(value)
    }
    fn insert(&mut self, table: usize, key: Bytes, value: Option<Bytes>) {
        let size = OVERHEAD + key.len() + value.as_ref().map_or(0, Bytes::len);
        self.old[table].remove(&key);
        if self.young[table].insert(key, value).is_some() {
            return; // about as large as the one before
        }
        self.bytes += size;
        if self.bytes >= BYTES {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
    }
}

impl Read for Recent {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let Some(place) = index(table) else {
            return self.store.get(table, key);
        };
        if let Some(known) = self.memory.borrow_mut().get(place, key) {
            return Ok(known);
        }
        let value = self.store.get(table, key)?;
        let key = Bytes::copy_from_slice(key);
        self.memory.borrow_mut().insert(place, key, value.clone());
        Ok(value)
    }
    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        self.store.scan(table, scan)
    }
}

#[cfg(test)]
mod tests;
