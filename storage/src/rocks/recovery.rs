//! Opening, also after a crash.
//!
//! RocksDB's default recovery silently drops acknowledged records behind a bad one. So a log is
//! opened with the strict mode first, which forgives a cut tail only. Where that finds damage, the
//! point-in-time state is looked at without changing anything, and taken only if no released fence
//! is missing from it.

use super::options::Tuning;
use super::{Kind, Rocks, store_error};
use crate::log::check_fences;
use crate::{StoreError, Table};
use rocksdb::{DB, DBRecoveryMode, DEFAULT_COLUMN_FAMILY_NAME, ErrorKind};
use std::path::Path;
use std::sync::Arc;

/// How a log was recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// As usual.
    Clean,
    /// The write-ahead log has a bad record behind the last released fence.
    PointInTime,
}

/// Opens `data/log`, or creates it. Nothing up to the fence `released` may be missing; where that
/// is not known, nothing that seems damaged is taken.
///
/// # Errors
/// [`StoreError::Damaged`] if released promises are lost, [`StoreError::Failed`].
pub fn open_log(path: &Path, released: Option<u64>) -> Result<(Rocks, Recovery), StoreError> {
    let strict = open(path, DBRecoveryMode::TolerateCorruptedTailRecords, false);
    let first = match strict {
        Ok(log) => return Ok((log, Recovery::Clean)),
        Err(error) if error.kind() != ErrorKind::Corruption => {
            return Err(store_error(
                &path.display().to_string(),
                Kind::Log,
                "open",
                &error,
            ));
        }
        Err(error) => error,
    };
    let failed = |error| store_error(&path.display().to_string(), Kind::Log, "open", &error);
    let damaged = |what| StoreError::Damaged {
        at: path.display().to_string(),
        what,
        way_out: Kind::Log.way_out(),
    };
    let Some(released) = released else {
        return Err(damaged(format!(
            "{first}; entries that this node acknowledged may be behind it"
        )));
    };
    let recovered = {
        let view = open(path, DBRecoveryMode::PointInTime, true).map_err(failed)?;
        check_fences(&view)?
    };
    if recovered < released {
        return Err(damaged(format!(
            "{first}; what is left ends at fence {recovered}, but {released} was released"
        )));
    }
    let log = open(path, DBRecoveryMode::PointInTime, false).map_err(failed)?;
    Ok((log, Recovery::PointInTime))
}

/// Opens `data/log` to look at it, also while a node runs. Writing to it fails.
///
/// # Errors
/// [`StoreError`].
pub fn open_log_read_only(path: &Path) -> Result<Rocks, StoreError> {
    open(path, DBRecoveryMode::PointInTime, true)
        .map_err(|error| store_error(&path.display().to_string(), Kind::Log, "open", &error))
}

fn open(path: &Path, mode: DBRecoveryMode, read_only: bool) -> Result<Rocks, rocksdb::Error> {
    let tuning = Tuning::log(mode);
    let families = Table::LOG.map(|table| (table.name(), tuning.family(table)));
    let db = match read_only {
        true => DB::open_cf_with_opts_for_read_only(&tuning.db, path, families, false)?,
        false => DB::open_cf_with_opts(&tuning.db, path, families)?,
    };
    Ok(Rocks::new(db, Kind::Log, path, tuning))
}

/// Opens `data/state`, or creates it. It keeps `log`, to sync it before it flushes on close.
///
/// # Errors
/// [`StoreError`]: delete it, it is rebuilt.
pub fn open_state(path: &Path, log: Arc<Rocks>) -> Result<Rocks, StoreError> {
    let mut state = state(path, false)?;
    state.ahead = Some(log);
    Ok(state)
}

/// Opens `data/state` to look at it, as far as it was flushed, while no node runs. Writing to it
/// fails.
///
/// # Errors
/// [`StoreError`].
pub fn open_state_read_only(path: &Path) -> Result<Rocks, StoreError> {
    state(path, true)
}

fn state(path: &Path, read_only: bool) -> Result<Rocks, StoreError> {
    let tuning = Tuning::state();
    let only = [(DEFAULT_COLUMN_FAMILY_NAME, tuning.db.clone())];
    let db = match read_only {
        true => DB::open_cf_with_opts_for_read_only(&tuning.db, path, only, false),
        false => DB::open_cf_with_opts(&tuning.db, path, only),
    };
    let db =
        db.map_err(|error| store_error(&path.display().to_string(), Kind::State, "open", &error))?;
    Ok(Rocks::new(db, Kind::State, path, tuning))
}
