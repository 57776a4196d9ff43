//! Opening, also after a crash.
//!
//! A loss of power keeps what was synced, and of the rest any sectors. What is behind the first record that is not
//! whole is cut, as nothing of it was released: if the safety file tells how far the log was, and that is before;
//! or else if it looks like sectors that never came, and nothing shows that they were synced. All other damage is
//! refused, and nothing is changed.

use super::options::Tuning;
use super::wal::{self, Break};
use super::{Kind, Rocks, store_error};
use crate::log::fence;
use crate::{SafetyPolicy, StoreError, Table};
use rocksdb::{DB, DBRecoveryMode, DEFAULT_COLUMN_FAMILY_NAME};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// How a log was recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// As usual.
    Clean,
    /// The write-ahead log was cut where it broke, behind all that was released.
    Cut,
}

/// Opens `data/log`, or creates it. Nothing up to the fence `told` may be missing, which the safety file tells; and
/// if by this policy it does not tell the last one, nothing that seems to have been synced.
///
/// # Errors
/// [`StoreError::Damaged`] if released promises are lost, [`StoreError::Failed`].
pub fn open_log(
    path: &Path,
    told: u64,
    policy: SafetyPolicy,
) -> Result<(Rocks, Recovery), StoreError> {
    let recovery = match first_break(path)? {
        None => Recovery::Clean,
        Some((found, tables)) => {
            if let Some(why) = why_not_cut(&found, &tables, told, policy) {
                return Err(StoreError::Damaged {
                    at: path.display().to_string(),
                    what: format!("{:06}.log at byte {}: {why}", found.file, found.at),
                    way_out: Kind::Log.way_out(),
                });
            }
            wal::cut(path, &found).map_err(|error| failed(path, "cut", &error))?;
            Recovery::Cut
        }
    };
    let strict = Tuning::log(DBRecoveryMode::TolerateCorruptedTailRecords);
    Ok((open(path, strict, false)?, recovery))
}

fn failed(path: &Path, what: &'static str, error: &io::Error) -> StoreError {
    StoreError::Failed {
        at: path.display().to_string(),
        what,
        why: error.to_string(),
    }
}

/// What the tables have.
struct Tables {
    /// Up to this sequence number. All before was synced when they were written.
    sequence: u64,
    /// The last fence.
    fence: u64,
}

/// Where the write-ahead log breaks, if it does, and what the tables have.
fn first_break(path: &Path) -> Result<Option<(Break, Tables)>, StoreError> {
    let failed = |error| failed(path, "read", &error);
    let files = wal::files(path).map_err(failed)?;
    let found = wal::first_break(path, &files, None).map_err(failed)?;
    if found.is_none() && !wal::begins_empty(path, &files).map_err(failed)? {
        return Ok(None);
    }
    let only_tables = tables(path)?;
    let tables = Tables {
        sequence: only_tables.db().latest_sequence_number(),
        fence: fence(&only_tables)?,
    };
    // A file whose records are all in the tables may be there still, or again.
    let oldest = only_tables.oldest_wal()?;
    let needed = &files[files.partition_point(|file| *file < oldest)..];
    let found = wal::first_break(path, needed, Some(tables.sequence)).map_err(failed)?;
    Ok(found.map(|found| (found, tables)))
}

/// What speaks against cutting a log there.
fn why_not_cut(found: &Break, tables: &Tables, told: u64, policy: SafetyPolicy) -> Option<String> {
    let fence = found.fence.unwrap_or(tables.fence);
    let left = format!("what is left ends at fence {fence}");
    if fence < told {
        return Some(format!("{left}, but {told} was released"));
    }
    if fence < found.synced {
        return Some(format!("{left}, but {} was synced", found.synced));
    }
    if let Some(missing) = found.missing.filter(|it| *it <= tables.sequence) {
        let last = tables.sequence;
        return Some(format!(
            "sequence number {missing} is missing, but {last} was synced"
        ));
    }
    let acknowledged = policy == SafetyPolicy::EachPromise && !found.torn;
    acknowledged.then(|| {
        "no loss of power leaves that, and entries that this node acknowledged may be behind it"
            .into()
    })
}

/// Opens `data/log` to look at it, also while a node runs. Writing to it fails.
///
/// # Errors
/// [`StoreError`].
pub fn open_log_read_only(path: &Path) -> Result<Rocks, StoreError> {
    open(path, Tuning::log(DBRecoveryMode::PointInTime), true)
}

/// Opens a log to look at its tables, without the write-ahead log.
fn tables(path: &Path) -> Result<Rocks, StoreError> {
    let mut tuning = Tuning::log(DBRecoveryMode::PointInTime);
    // Where none lies.
    tuning.db.set_wal_dir(path.join(".."));
    open(path, tuning, true)
}

fn open(path: &Path, tuning: Tuning, read_only: bool) -> Result<Rocks, StoreError> {
    let families = Table::LOG.map(|table| (table.name(), tuning.family(table)));
    let db = match read_only {
        true => DB::open_cf_with_opts_for_read_only(&tuning.db, path, families, false),
        false => DB::open_cf_with_opts(&tuning.db, path, families),
    };
    let db =
        db.map_err(|error| store_error(&path.display().to_string(), Kind::Log, "open", &error))?;
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
