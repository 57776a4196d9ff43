//! Files and directories as processes see them, and as far as they were synced.

use super::trace::{Descriptor, Record};
use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

/// Whether the sync of the file or directory at a path is heard of: a disk that is deaf to some of them is
/// what a judge has to notice.
pub type Heard = fn(&str) -> bool;

/// `fallocate` leaves the length as it is.
const KEEP_SIZE: i32 = 1;
/// `fallocate` makes zeros of what is there.
const PUNCH_HOLE: i32 = 2;
const CREATE: i32 = 0o100;
const EMPTY: i32 = 0o1000;

/// A change of a file that is not durable yet.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write(u64, Bytes),
    Resize(u64),
    Zero(u64, u64),
}

impl Change {
    pub(super) fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write(at, bytes) => {
                let (at, end) = (*at as usize, *at as usize + bytes.len());
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[at..end].copy_from_slice(bytes);
            }
            Change::Resize(len) => to.resize(*len as usize, 0),
            Change::Zero(at, len) => {
                let end = to.len().min((at + len) as usize);
                if let Some(hole) = to.get_mut(*at as usize..end) {
                    hole.fill(0);
                }
            }
        }
    }
}

/// A file: what is durable of it, and what was done since, with the times.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub durable: Vec<u8>,
    pub pending: Vec<(u64, Change)>,
}

impl File {
    fn now(&self) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        self.pending
            .iter()
            .for_each(|(_, change)| change.apply(&mut bytes));
        bytes
    }
}

/// Names that come or go together: a rename is one change.
pub(super) type Names = Vec<(String, Option<usize>)>;

/// A directory, in the same way.
#[derive(Clone, Debug, Default)]
pub(super) struct Dir {
    pub durable: BTreeMap<String, usize>,
    now: BTreeMap<String, usize>,
    pub pending: Vec<(u64, Names)>,
}

#[derive(Clone, Debug)]
pub(super) enum Inode {
    File(File),
    Dir(Dir),
}

/// A file system that follows a trace.
pub struct Disk {
    pub(super) inodes: Vec<Inode>,
    open: HashMap<Descriptor, (usize, String)>,
    syncs: HashMap<(u32, u64), (usize, u64)>,
    now: u64,
    heard: Heard,
}

impl Disk {
    /// An empty one, whose only directory is the traced one.
    #[must_use]
    pub fn new(heard: Heard) -> Self {
        Self {
            inodes: vec![Inode::Dir(Dir::default())],
            open: HashMap::new(),
            syncs: HashMap::new(),
            now: 0,
            heard,
        }
    }

    /// One that has followed these records.
    ///
    /// # Errors
    /// See [`Disk::follow`].
    pub fn after(records: &[Record], heard: Heard) -> Result<Self> {
        let mut disk = Self::new(heard);
        records.iter().try_for_each(|it| disk.follow(it))?;
        Ok(disk)
    }

    /// Follows one record.
    ///
    /// # Errors
    /// If it does not fit what came before: something was not recorded.
    pub fn follow(&mut self, record: &Record) -> Result<()> {
        self.now += 1;
        match record {
            Record::Open(fd, path, flags) => self.open(*fd, path, *flags),
            Record::Write(fd, at, bytes) => self.change(*fd, Change::Write(*at, bytes.clone())),
            Record::Truncate(fd, len) => self.change(*fd, Change::Resize(*len)),
            Record::Allocate(fd, mode, at, len) => self.allocate(*fd, *mode, *at, *len),
            Record::SyncBegin(fd, number) => {
                let (inode, _) = self.open.get(fd).context("a sync of no file")?;
                self.syncs.insert((fd.0, *number), (*inode, self.now));
                Ok(())
            }
            Record::SyncEnd(fd, number) => {
                let begun = self.syncs.remove(&(fd.0, *number));
                let (inode, begun) = begun.context("a sync that did not begin")?;
                let (_, path) = self.open.get(fd).context("a sync of no file")?;
                if (self.heard)(path) {
                    self.settle(inode, begun);
                }
                Ok(())
            }
            Record::Rename(from, to) => self.rename(from, to),
            Record::MakeDir(path) => self.enter(path, Inode::Dir(Dir::default())).map(drop),
            Record::Unlink(path) | Record::RemoveDir(path) => {
                ensure!(self.find(path).is_some(), "{path} goes, and was not made");
                let (dir, name) = self.parent(path)?;
                self.names(dir, vec![(name, None)])
            }
            Record::Note(..) => Ok(()),
        }
    }

    fn open(&mut self, fd: Descriptor, path: &str, flags: i32) -> Result<()> {
        let inode = match self.find(path) {
            Some(inode) => inode,
            None if flags & CREATE != 0 => self.enter(path, Inode::File(File::default()))?,
            None => bail!("{path} was opened, but not made"),
        };
        self.open.insert(fd, (inode, path.to_owned()));
        if flags & EMPTY != 0 {
            self.change(fd, Change::Resize(0))?;
        }
        Ok(())
    }

    fn allocate(&mut self, fd: Descriptor, mode: i32, at: u64, len: u64) -> Result<()> {
        if mode & PUNCH_HOLE != 0 {
            return self.change(fd, Change::Zero(at, len));
        }
        ensure!(mode & !KEEP_SIZE == 0, "fallocate with mode {mode}");
        if mode & KEEP_SIZE == 0 {
            let (inode, _) = self.open.get(&fd).context("a change of no file")?;
            let Inode::File(file) = &self.inodes[*inode] else {
                bail!("a change of a directory");
            };
            let long = file.now().len() as u64;
            self.change(fd, Change::Resize(long.max(at + len)))?;
        }
        Ok(())
    }

    fn change(&mut self, fd: Descriptor, change: Change) -> Result<()> {
        let (inode, path) = self.open.get(&fd).context("a change of no file")?;
        let Inode::File(file) = &mut self.inodes[*inode] else {
            bail!("{path} is a directory, and written to");
        };
        file.pending.push((self.now, change));
        Ok(())
    }

    /// What was done before `begun` is durable now.
    fn settle(&mut self, inode: usize, begun: u64) {
        match &mut self.inodes[inode] {
            Inode::File(file) => {
                let covered = file
                    .pending
                    .iter()
                    .take_while(|(at, _)| *at < begun)
                    .count();
                for (_, change) in file.pending.drain(..covered) {
                    change.apply(&mut file.durable);
                }
            }
            Inode::Dir(dir) => {
                let covered = dir.pending.iter().take_while(|(at, _)| *at < begun).count();
                for (_, names) in dir.pending.drain(..covered) {
                    rename(&mut dir.durable, &names);
                }
            }
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let ((dir, old), (other, new)) = (self.parent(from)?, self.parent(to)?);
        ensure!(dir == other, "{from} goes to another directory");
        let inode = self.find(from).context("a rename of nothing")?;
        self.names(dir, vec![(old, None), (new, Some(inode))])
    }

    /// A new inode at a path.
    fn enter(&mut self, path: &str, inode: Inode) -> Result<usize> {
        let (dir, name) = self.parent(path)?;
        let number = self.inodes.len();
        self.inodes.push(inode);
        self.names(dir, vec![(name, Some(number))])?;
        Ok(number)
    }

    fn names(&mut self, dir: usize, names: Names) -> Result<()> {
        let Inode::Dir(dir) = &mut self.inodes[dir] else {
            bail!("a file has no names in it");
        };
        rename(&mut dir.now, &names);
        dir.pending.push((self.now, names));
        Ok(())
    }

    fn find(&self, path: &str) -> Option<usize> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        parts.try_fold(0, |at, part| {
            let Inode::Dir(dir) = &self.inodes[at] else {
                return None;
            };
            dir.now.get(part).copied()
        })
    }

    fn parent(&self, path: &str) -> Result<(usize, String)> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = self.find(dir);
        let dir = dir.with_context(|| format!("{path} is in no directory"))?;
        Ok((dir, name.to_owned()))
    }

    /// Compares what processes should see with what there is: whatever was done and not recorded shows.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self, root: &Path) -> Result<()> {
        self.compare_dir(0, root)
    }

    fn compare_dir(&self, inode: usize, path: &Path) -> Result<()> {
        let Inode::Dir(dir) = &self.inodes[inode] else {
            bail!("{} is a file in the trace", path.display());
        };
        let mut there = BTreeSet::new();
        for entry in fs::read_dir(path)? {
            let name = entry?.file_name().into_string();
            let name = name.ok().context("a name that is no text")?;
            // RocksDB's own log, and what a node prints: others write them.
            if !name.starts_with("LOG") && name != "node.log" {
                there.insert(name);
            }
        }
        let known: BTreeSet<String> = dir.now.keys().cloned().collect();
        ensure!(
            there == known,
            "{}: {there:?}, not {known:?}",
            path.display()
        );
        for (name, inode) in &dir.now {
            let path = path.join(name);
            match &self.inodes[*inode] {
                Inode::Dir(_) => self.compare_dir(*inode, &path)?,
                Inode::File(file) => {
                    let same = fs::read(&path)? == file.now();
                    ensure!(same, "{} is not what was written", path.display());
                }
            }
        }
        Ok(())
    }
}

pub(super) fn rename(to: &mut BTreeMap<String, usize>, names: &Names) {
    for (name, inode) in names {
        match inode {
            Some(inode) => to.insert(name.clone(), *inode),
            None => to.remove(name),
        };
    }
}
