//! Rows that are not in the store behind them: writes in memory, laid over what is read.

use crate::{Op, Read, Row, Scan, StoreError, Table, WriteBatch};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

/// The last write of each row of the state; `None`: it is removed.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    tables: [BTreeMap<Bytes, Option<Bytes>>; Table::STATE.len()],
}

impl Layer {
    /// Lays one write over those before.
    pub(crate) fn insert(&mut self, table: Table, key: Bytes, value: Option<Bytes>) {
        self.tables[index(table)].insert(key, value);
    }
    /// What is known of a row here: `Some(None)` if it was removed.
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Option<&Option<Bytes>> {
        self.tables[index(table)].get(key)
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.tables.iter().all(BTreeMap::is_empty)
    }
    /// Moves all of another layer over what is here.
    pub(crate) fn absorb(&mut self, other: Layer) {
        for (mine, theirs) in self.tables.iter_mut().zip(other.tables) {
            if mine.is_empty() {
                *mine = theirs;
            } else {
                mine.extend(theirs);
            }
        }
    }
    /// The rows of a table, in order.
    pub(crate) fn rows(&self, table: Table) -> &BTreeMap<Bytes, Option<Bytes>> {
        &self.tables[index(table)]
    }
    /// How many rows it has, and bytes of all keys and values.
    pub(crate) fn size(&self) -> (usize, usize) {
        let rows = self.tables.iter().flatten();
        let bytes = |(key, value): (&Bytes, &Option<Bytes>)| {
            key.len() + value.as_ref().map_or(0, Bytes::len)
        };
        rows.fold((0, 0), |(count, sum), row| (count + 1, sum + bytes(row)))
    }
    /// The first rows in the order of tables and keys, which is the cheapest to insert.
    pub(crate) fn first(&self, rows: usize) -> WriteBatch {
        let tables = Table::STATE.into_iter().zip(&self.tables);
        let all = tables.flat_map(|(table, rows)| rows.iter().map(move |row| (table, row)));
        let mut batch = WriteBatch::new();
        for (table, (key, value)) in all.take(rows) {
            match value {
                Some(value) => batch.put(table, key.clone(), value.clone()),
                None => batch.delete(table, key.clone()),
            }
        }
        batch
    }
    /// Forgets the first rows.
    pub(crate) fn remove_first(&mut self, rows: usize) {
        let mut left = rows;
        for table in &mut self.tables {
            while left > 0 && table.pop_first().is_some() {
                left -= 1;
            }
        }
    }
}

impl From<WriteBatch> for Layer {
    fn from(batch: WriteBatch) -> Self {
        let mut layer = Self::default();
        for op in batch.into_ops() {
            match op {
                Op::Put(table, key, value) => layer.insert(table, key, Some(value)),
                Op::Delete(table, key) => layer.insert(table, key, None),
                Op::DeleteRange(..) => unreachable!("the state machine removes rows one by one"),
            }
        }
        layer
    }
}

fn index(table: Table) -> usize {
    let place = Table::STATE.iter().position(|other| *other == table);
    place.expect("only tables of the state are laid over")
}

/// A layer and what it is laid over, read as one.
pub(crate) struct Over<'a> {
    pub(crate) layer: &'a Layer,
    pub(crate) base: &'a dyn Read,
}

impl Read for Over<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.layer.get(table, key) {
            Some(written) => Ok(written.clone()),
            None => self.base.get(table, key),
        }
    }
    /// Ascending only: nothing reads the state backwards. Stops early at the end of what the base
    /// gave.
    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        assert!(!scan.reverse, "a layer is scanned upwards");
        let written = self.layer.rows(table);
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
    page: VecDeque<Row>,
    done: bool,
}

impl<'a> Pages<'a> {
    const ROWS: usize = 64;

    fn new(base: &'a dyn Read, table: Table, scan: &Scan) -> Self {
        Self {
            base,
            table,
            scan: scan.clone(),
            page: VecDeque::new(),
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
