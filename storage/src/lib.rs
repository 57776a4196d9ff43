//! The store, the safety file and the key-value state machine.
//!
//! A [`Store`] is ordered tables of bytes: RocksDB behind the feature `rocksdb`, or [`memory`] with
//! faults for the simulator. [`log`] lays out what must survive, [`group`] makes it durable,
//! [`safety`] tells whether it did. [`kv`] is the state machine, and [`execute`] runs it over the
//! committed log.

pub mod directory;
pub mod execute;
pub mod group;
pub mod kv;
mod layer;
pub mod log;
pub mod memory;
pub mod names;
pub mod reader;
#[cfg(feature = "rocksdb")]
pub mod rocks;
pub mod safety;
mod staged;
pub mod store;

#[cfg(feature = "rocksdb")]
pub use directory::Data;
pub use directory::{Directory, Identity, OpenError};
pub use execute::{Applied, ExecuteError, Executed, Executor, ExecutorConfig, FlushPolicy};
pub use group::{CommitError, GroupCommit, Job};
pub use kv::{
    Compare, End, HEIGHT_READS, HEIGHT_RESULTS, Limits, Operation, Outcome, Receipt, Request, Span,
};
pub use log::{Commit, CommitRow, Log, PayloadOf, RecordAt};
pub use memory::Memory;
pub use reader::StateReader;
pub use safety::{
    MemorySafetyFile, RealSafetyFile, Refusal, Safety, SafetyError, SafetyFile, SafetyPolicy,
    Verdict, verdict,
};
pub use store::{
    Op, REBUILD_STATE, REPLACE_NODE, Read, Row, Scan, Statistics, Store, StoreError, Table,
    WriteBatch, successor,
};
