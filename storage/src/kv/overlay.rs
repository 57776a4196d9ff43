//! Writes that are not in the store yet, laid over it: later transactions see the earlier ones.

use crate::layer::{Layer, Over};
use crate::{Read, Row, Scan, StoreError, Table};
use bytes::Bytes;
use crypto::{Digest, Hasher, Height};

/// A store and what will be written to it.
pub struct Overlay<'a> {
    base: &'a dyn Read,
    rows: Layer,
    /// All writes since the last digest, in order, encoded to be hashed.
    changes: Vec<u8>,
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
        self.change(table, &key, Some(&value));
        self.rows.insert(table, key, Some(value));
    }
    /// Removes.
    pub fn delete(&mut self, table: Table, key: Bytes) {
        self.change(table, &key, None);
        self.rows.insert(table, key, None);
    }
    /// Notes a change as [`Hasher`] would add it: the table, the key, and 1 and the value or 0.
    fn change(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) {
        if table == Table::Key {
            return; // follows from the history
        }
        let changes = &mut self.changes;
        let mut number = |n: u64| changes.extend_from_slice(&n.to_le_bytes());
        number(table as u64);
        number(key.len() as u64);
        changes.extend_from_slice(key);
        let value = value.map(|value| (value.len() as u64, value));
        changes.extend_from_slice(&u64::from(value.is_some()).to_le_bytes());
        if let Some((length, value)) = value {
            changes.extend_from_slice(&length.to_le_bytes());
            changes.extend_from_slice(value);
        }
    }
    /// The state digest of a height that made all changes since the last one:
    /// H(previous, height, ordered changes).
    pub fn digest(&mut self, previous: &Digest, height: Height) -> Digest {
        let digest = Hasher::new("quorate/v1/state")
            .digest(previous)
            .number(height.0)
            .encoded(&self.changes)
            .finish();
        self.changes.clear();
        digest
    }
    /// What to write: the last write of each row.
    pub(crate) fn into_layer(self) -> Layer {
        self.rows
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
