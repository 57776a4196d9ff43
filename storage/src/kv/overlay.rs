//! Writes that are not in the store yet, laid over it: later transactions see the earlier ones.

use crate::{Op, Read, Row, Scan, StoreError, Table, WriteBatch};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;

/// A store and what will be written to it.
pub struct Overlay<'a> {
    base: &'a dyn Read,
    /// The last write of each row.
    rows: [BTreeMap<Bytes, Option<Bytes>>; Table::STATE.len()],
    /// All writes since they were last taken, in order.
    changes: Vec<Op>,
}

impl<'a> Overlay<'a> {
    /// Nothing written yet.
    pub fn new(base: &'a dyn Read) -> Self {
        Self {
            base,
            rows: Default::default(),
            changes: Vec::new(),
        }
    }
    /// Inserts or overwrites.
    pub fn put(&mut self, table: Table, key: Bytes, value: Bytes) {
        self.rows[index(table)].insert(key.clone(), Some(value.clone()));
        self.changes.push(Op::Put(table, key, value));
    }
    /// Removes.
    pub fn delete(&mut self, table: Table, key: Bytes) {
        self.rows[index(table)].insert(key.clone(), None);
        self.changes.push(Op::Delete(table, key));
    }
    /// All writes since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<Op> {
        std::mem::take(&mut self.changes)
    }
    /// What to write: the last write of each row, in the order of tables and keys, which is the
    /// cheapest to insert.
    pub fn into_batch(self) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for (table, rows) in Table::STATE.into_iter().zip(self.rows) {
            for (key, value) in rows {
                match value {
                    Some(value) => batch.put(table, key, value),
                    None => batch.delete(table, key),
                }
            }
        }
        batch
    }
}

fn index(table: Table) -> usize {
    let place = Table::STATE.iter().position(|other| *other == table);
    place.expect("only tables of the state are laid over")
}

impl Read for Overlay<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.rows[index(table)].get(key) {
            Some(written) => Ok(written.clone()),
            None => self.base.get(table, key),
        }
    }
    /// Ascending only: nothing here reads backwards. Stops early at the end of what the base gave.
    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        assert!(!scan.reverse, "an overlay is scanned upwards");
        let written = &self.rows[index(table)];
        if scan.until.as_ref().is_some_and(|until| *until <= scan.from) {
            return Ok(Vec::new());
        }
        let until = scan
            .until
            .as_ref()
            .map_or(Bound::Unbounded, Bound::Excluded);
        let mut over = written
            .range::<Bytes, _>((Bound::Included(&scan.from), until))
            .peekable();
        if over.peek().is_none() {
            return self.base.scan(table, scan);
        }
        let mut merged = Vec::new();
        let mut bytes = 0;
        let mut base = Pages::new(self.base, table, scan);
        while merged.len() < scan.rows && (bytes < scan.bytes || merged.is_empty()) {
            let take_over = match (over.peek(), base.peek()?) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((key, _)), Some((stored, _))) => *key <= stored,
            };
            let row = if take_over {
                let Some((key, value)) = over.next() else {
                    break;
                };
                if base.peek()?.is_some_and(|(stored, _)| stored == key) {
                    base.next()?;
                }
                value.clone().map(|value| (key.clone(), value))
            } else {
                base.next()?
            };
            if let Some(row) = row {
                bytes += row.0.len() + row.1.len();
                merged.push(row);
            }
        }
        Ok(merged)
    }
}

/// The base's rows, a page at a time: written rows may hide any number of them.
struct Pages<'a> {
    base: &'a dyn Read,
    table: Table,
    scan: Scan,
    page: std::collections::VecDeque<Row>,
    done: bool,
}

impl<'a> Pages<'a> {
    const ROWS: usize = 64;

    fn new(base: &'a dyn Read, table: Table, scan: &Scan) -> Self {
        Self {
            base,
            table,
            scan: scan.clone(),
            page: Default::default(),
            done: false,
        }
    }
    fn fill(&mut self) -> Result<(), StoreError> {
        if !self.page.is_empty() || self.done {
            return Ok(());
        }
        let rows = self.scan.rows.clamp(1, Self::ROWS);
        let page = self.base.scan(self.table, &self.scan.clone().rows(rows))?;
        match page.last() {
            None => self.done = true,
            Some((last, _)) => {
                let mut next = last.to_vec();
                next.push(0);
                self.scan.from = next.into();
            }
        }
        self.page = page.into();
        Ok(())
    }
    fn peek(&mut self) -> Result<Option<&Row>, StoreError> {
        self.fill()?;
        Ok(self.page.front())
    }
    fn next(&mut self) -> Result<Option<Row>, StoreError> {
        self.fill()?;
        Ok(self.page.pop_front())
    }
}
