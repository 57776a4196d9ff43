//! A store in memory in which something happens at each scan, for tests.

use bytes::Bytes;
use std::sync::Arc;
use storage::{Memory, Read, Row, Scan, Statistics, Store, StoreError, Table, WriteBatch};

/// Does this with its store after each scan of a table, and only then returns what was found.
pub(crate) struct Hooked<F>(pub(crate) Arc<Memory>, pub(crate) F);

impl<F: Fn(&Memory, Table) + Send + Sync + 'static> Read for Hooked<F> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.0.get(table, key)
    }
    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        let rows = self.0.scan(table, scan)?;
        (self.1)(&self.0, table);
        Ok(rows)
    }
}

impl<F: Fn(&Memory, Table) + Send + Sync + 'static> Store for Hooked<F> {
    fn snapshot(&self) -> Box<dyn Read + '_> {
        self.0.snapshot()
    }
    fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        self.0.write(batch)
    }
    fn sync(&self) -> Result<(), StoreError> {
        self.0.sync()
    }
    fn flush(&self, wait: bool) -> Result<(), StoreError> {
        self.0.flush(wait)
    }
    fn statistics(&self) -> Statistics {
        self.0.statistics()
    }
}
