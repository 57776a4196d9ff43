//! Who fills a node's log, group by group, by a seed: whoever has the seed knows all rows.

use super::trace::Notes;
use crate::sim::Chance;
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use crypto::{ChainId, Digest, Hasher, Height, PublicKey, View};
use std::collections::BTreeMap;
use std::path::Path;
use storage::directory::Data;
use storage::{
    Directory, Identity, Job, Op, Read, RecordAt, SafetyPolicy, Scan, Store as _, Table, WriteBatch,
};

/// Noted once the directory is made.
pub const MADE: u8 = 1;
/// Noted before a group is written.
pub const BEGUN: u8 = 2;
/// Noted once the fence behind a group is released: this group and all before it are promised.
pub const RELEASED: u8 = 3;

/// Where each group leaves its number.
const LAST: RecordAt = RecordAt::Latest(1);
/// Tables in which it writes: all of the log but `Meta`, which is the group commit's.
const TABLES: [Table; 5] = [
    Table::Record,
    Table::Guard,
    Table::Commit,
    Table::Batch,
    Table::Checkpoint,
];

/// All rows of a log, but for its fences.
pub type Rows = BTreeMap<(&'static str, Bytes), Bytes>;

/// What one call writes.
pub struct Group {
    /// The rows.
    pub batch: WriteBatch,
    /// Whether a promise waits for it.
    pub sync: bool,
    /// Whether memtables are full behind it: tables are written, and the write-ahead log begins anew.
    pub flush: bool,
}

/// Whose data they are.
#[must_use]
pub fn identity() -> Identity {
    Identity {
        chain: ChainId::default(),
        key: PublicKey([1; 32]),
        protocol: "hotstuff".into(),
    }
}

/// The group of a seed with this number, from 1 on.
#[must_use]
pub fn group(seed: u64, number: u64) -> Group {
    let mut chance = chance_of(seed, number);
    let mut batch = WriteBatch::new();
    batch.put(Table::Record, LAST.key(), number.to_le_bytes().to_vec());
    for i in 0..chance.between(1, 4) {
        let table = chance.pick(&TABLES);
        let bytes = match chance.below(12) {
            0 => chance.between(4_000, 30_000),
            1..=3 => chance.between(500, 4_000),
            _ => chance.between(1, 200),
        };
        batch.put(table, key(table, number, i), noise(&mut chance, bytes));
    }
    if chance.one_in(4) && number > 1 {
        // Rows of a group before it, if it wrote so many.
        let (older, table) = (number - chance.between(1, number.min(9) - 1), TABLES[0]);
        batch.delete(table, key(table, older, 0));
    }
    if chance.one_in(12) {
        let from = Height(number.saturating_sub(3));
        batch.delete_range(Table::Record, RecordAt::range(&(from..Height(number))));
    }
    Group {
        batch,
        sync: chance.one_in(2),
        flush: chance.one_in(25),
    }
}

/// A stream for each group: none changes what another draws.
fn chance_of(seed: u64, number: u64) -> Chance {
    Chance::of(seed.wrapping_mul(1_000_003).wrapping_add(number), "power")
}

fn key(table: Table, number: u64, i: u64) -> Bytes {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&i.to_be_bytes());
    digest[8] = table as u8;
    RecordAt::Height(Height(number), Digest(digest)).key()
}

fn noise(chance: &mut Chance, len: u64) -> Vec<u8> {
    let words = (0..len.div_ceil(32)).flat_map(|_| chance.bytes());
    words.take(len as usize).collect()
}

/// Does to the rows what a batch does to the log.
pub fn apply(rows: &mut Rows, batch: WriteBatch) {
    for op in batch.into_ops() {
        match op {
            Op::Put(table, key, value) => {
                rows.insert((table.name(), key), value);
            }
            Op::Delete(table, key) => {
                rows.remove(&(table.name(), key));
            }
            Op::DeleteRange(table, from, until) => {
                rows.retain(|(name, key), _| *name != table.name() || *key < from || *key >= until);
            }
        }
    }
}

/// Does to the rows what these groups of a seed do.
pub fn apply_groups(rows: &mut Rows, seed: u64, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        apply(rows, group(seed, number).batch);
    }
}

/// One digest of all rows.
#[must_use]
pub fn digest(rows: &Rows) -> Digest {
    let mut hasher = Hasher::new("quorate/power/rows");
    for ((table, key), value) in rows {
        hasher.bytes(table.as_bytes()).bytes(key).bytes(value);
    }
    hasher.finish()
}

/// What is in a log.
///
/// # Errors
/// If it cannot be read.
pub fn rows(log: &impl Read) -> Result<Rows> {
    let mut rows = Rows::new();
    for table in TABLES {
        let found = log.scan(table, &Scan::all())?;
        rows.extend(
            found
                .into_iter()
                .map(|(key, row)| ((table.name(), key), row)),
        );
    }
    Ok(rows)
}

/// The last group in these rows; 0 before the first.
///
/// # Errors
/// If it is no number.
pub fn last(rows: &Rows) -> Result<u64> {
    let Some(row) = rows.get(&(Table::Record.name(), LAST.key())) else {
        return Ok(0);
    };
    let bytes = row.as_ref().try_into().context("the group is no number")?;
    Ok(u64::from_le_bytes(bytes))
}

/// What a writer is to do.
pub struct Work<'a> {
    /// The data directory.
    pub data: &'a Path,
    /// Where to note what it promised.
    pub trace: &'a Path,
    /// What the groups are.
    pub seed: u64,
    /// How many.
    pub groups: u64,
    /// When the safety file is written.
    pub policy: SafetyPolicy,
}

impl Work<'_> {
    /// Makes the directory, as `genesis` does.
    ///
    /// # Errors
    /// If it cannot.
    pub fn make(&self) -> Result<()> {
        Directory::create(self.data, &identity())?;
        Notes::open(self.trace)?.note(MADE, 0)
    }

    /// Goes on from what is there, and notes what it promises. An orderly end is a promise, too; else
    /// everything stays as it is, for who ends the process.
    ///
    /// # Errors
    /// If the store fails, or what is there is not of this seed.
    pub fn run(&self, orderly: bool) -> Result<()> {
        let notes = Notes::open(self.trace)?;
        let mut data = Data::open(self.data, &identity(), self.policy)?;
        let mut commits = data.group_commit()?;
        let first = last(&rows(&*data.log)?)? + 1;
        for number in first..first + self.groups {
            let group = group(self.seed, number);
            notes.note(BEGUN, number)?;
            let done = commits.commit(vec![Job {
                token: number,
                batch: group.batch,
                sync: group.sync,
                view: View(number / 5),
            }])?;
            ensure!(done.tokens == [number], "another group was written");
            if done.fence.is_some() {
                notes.note(RELEASED, number)?;
            }
            if group.flush {
                // As it comes in a node: others write on meanwhile.
                data.log.flush(false)?;
            }
        }
        if orderly {
            commits.finish()?;
            notes.note(RELEASED, first + self.groups - 1)?;
        } else {
            // Nothing is closed.
            std::process::exit(0);
        }
        Ok(())
    }
}
