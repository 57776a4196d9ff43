//! A library to be preloaded (`LD_PRELOAD`): it stands before the calls by which a process changes files,
//! and appends a record of each to the file `QUORATE_TRACE`, of what lies below the directory
//! `QUORATE_TRACED`. Without these two it does nothing.
//!
//! The order of the records is the order of the calls: a change is made and recorded under one lock. A sync
//! has two records, since it covers what was written before it began, and nobody may rely on it before it
//! ended. Several processes may share a trace: each appends a record in one call, and what one does because
//! of what another did comes after it.
//!
//! The calls are made as system calls, not through the C library, so little has to be found first; and
//! nothing here allocates, since an allocator may open files. `sync_file_range` promises nothing, and so is
//! not looked at. Writes through `FILE`, through duplicates of a descriptor and through mappings do not come by
//! here, and RocksDB's `LOG` is left out; whoever reads a trace compares what it should have led to with what
//! there is, and so learns of what was missed.

mod calls;
mod paths;
pub mod record;
mod trace;

pub use calls::*;
