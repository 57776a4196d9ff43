//! What may be found after power is back: all that was synced, and of the rest what chance leaves.

use super::disk::{Change, Dir, Disk, File, Inode, rename};
use crate::sim::Chance;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What a disk writes at once.
const PAGE: u64 = 4096;

/// What becomes of all that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is lost.
    Lost,
    /// It is kept.
    Kept,
    /// Each file and directory has a fate of its own, by chance.
    Mixed,
}

/// What becomes of changes of names.
#[derive(Clone, Copy)]
enum Journal {
    /// Those before a time are kept, in whatever directory: file systems with a journal.
    Until(u64),
    /// Those before a time of its own in each directory. Stores rely on more: that those of one directory keep
    /// their order, as they do on all that these run on.
    Apart,
}

impl Disk {
    /// Writes into an empty directory what the disk may hold if power fails now.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn image(&self, fate: Fate, chance: &mut Chance, into: &Path) -> io::Result<()> {
        let journal = match fate {
            Fate::Lost => Journal::Until(0),
            Fate::Kept => Journal::Until(u64::MAX),
            Fate::Mixed if chance.one_in(4) => Journal::Apart,
            Fate::Mixed => {
                let times = self.times();
                let until = times.get(chance.index(times.len() + 1)).copied();
                Journal::Until(until.unwrap_or(u64::MAX))
            }
        };
        let drawn = Drawn { fate, journal };
        drawn.dir(self, 0, chance, into)
    }

    /// When names changed for which no sync came yet.
    fn times(&self) -> Vec<u64> {
        let dirs = self.inodes.iter().filter_map(|inode| match inode {
            Inode::Dir(dir) => Some(dir.pending.iter().map(|(at, _)| *at)),
            Inode::File(_) => None,
        });
        let times: BTreeSet<u64> = dirs.flatten().collect();
        times.into_iter().collect()
    }
}

struct Drawn {
    fate: Fate,
    journal: Journal,
}

impl Drawn {
    fn dir(&self, disk: &Disk, at: usize, chance: &mut Chance, into: &Path) -> io::Result<()> {
        let Inode::Dir(dir) = &disk.inodes[at] else {
            unreachable!("only directories are gone into");
        };
        for (name, inode) in self.names(dir, chance) {
            let path = into.join(name);
            match &disk.inodes[inode] {
                Inode::Dir(_) => {
                    fs::create_dir(&path)?;
                    self.dir(disk, inode, chance, &path)?;
                }
                Inode::File(file) => {
                    fs::write(&path, self.file(file, chance))?;
                    // Key files are for their owner only.
                    fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
                }
            }
        }
        Ok(())
    }

    fn names(&self, dir: &Dir, chance: &mut Chance) -> BTreeMap<String, usize> {
        let mut names = dir.durable.clone();
        let kept = match self.journal {
            Journal::Until(until) => dir.pending.iter().filter(|(at, _)| *at < until).count(),
            Journal::Apart => chance.index(dir.pending.len() + 1),
        };
        for (_, change) in &dir.pending[..kept] {
            rename(&mut names, change);
        }
        names
    }

    fn file(&self, file: &File, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = file.durable.clone();
        let count = file.pending.len();
        let kept = match self.fate {
            Fate::Lost => 0,
            Fate::Kept => count,
            Fate::Mixed if count == 0 => 0,
            Fate::Mixed => match chance.below(6) {
                0 => 0,
                1 => count,
                2 => chance.index(count + 1),
                3 => return torn(file, chance),
                _ => return pages(file, chance),
            },
        };
        for (_, change) in &file.pending[..kept] {
            change.apply(&mut bytes);
        }
        bytes
    }
}

/// Some changes, and of the next one the first bytes.
fn torn(file: &File, chance: &mut Chance) -> Vec<u8> {
    let mut bytes = file.durable.clone();
    let whole = chance.index(file.pending.len());
    for (_, change) in &file.pending[..whole] {
        change.apply(&mut bytes);
    }
    if let Change::Write(at, all) = &file.pending[whole].1 {
        let part = all.slice(..chance.index(all.len() + 1));
        Change::Write(*at, part).apply(&mut bytes);
    }
    bytes
}

/// Pages reach the disk in any order: of each the first so many changes are kept, whatever becomes of the
/// others. What lies below the file's length, and never came, is zeros.
fn pages(file: &File, chance: &mut Chance) -> Vec<u8> {
    let mut bytes = file.durable.clone();
    // Changes of the length are in the journal; they are taken as kept, with all before them.
    let write = |change: &Change| matches!(change, Change::Write(..));
    let cut = file.pending.iter().rposition(|(_, change)| !write(change));
    let (before, after) = file.pending.split_at(cut.map_or(0, |at| at + 1));
    before
        .iter()
        .for_each(|(_, change)| change.apply(&mut bytes));
    let mut pages: BTreeMap<u64, Vec<Change>> = BTreeMap::new();
    let mut end = bytes.len() as u64;
    for (_, change) in after {
        let Change::Write(at, all) = change else {
            continue;
        };
        let (mut at, mut rest) = (*at, all.clone());
        end = end.max(at + rest.len() as u64);
        while !rest.is_empty() {
            let room = (PAGE - at % PAGE).min(rest.len() as u64);
            let piece = rest.split_to(room as usize);
            pages
                .entry(at / PAGE)
                .or_default()
                .push(Change::Write(at, piece));
            at += room;
        }
    }
    // One page that is late, or as many as not.
    let late = chance.one_in(2).then(|| chance.index(pages.len()));
    for (i, changes) in pages.values().enumerate() {
        let kept = match late {
            Some(late) if late == i => chance.index(changes.len()),
            Some(_) => changes.len(),
            None => chance.index(changes.len() + 1),
        };
        changes[..kept]
            .iter()
            .for_each(|change| change.apply(&mut bytes));
    }
    // The length may be on disk before what it counts.
    if chance.one_in(2) && (bytes.len() as u64) < end {
        bytes.resize(end as usize, 0);
    }
    bytes
}
