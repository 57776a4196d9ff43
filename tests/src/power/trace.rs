//! The trace that `tests/recorder` writes, and what is noted in it.

use super::record::{HEAD, Head, Kind};
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

/// A file descriptor of a process.
pub type Descriptor = (u32, i32);

/// What was done. Paths are below the traced directory, which is the empty one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Opened, and made or emptied if the flags say so.
    Open(Descriptor, String, i32),
    /// Written there.
    Write(Descriptor, u64, Bytes),
    /// Cut or made so long.
    Truncate(Descriptor, u64),
    /// `fallocate`: mode, where, how much.
    Allocate(Descriptor, i32, u64, u64),
    /// A sync, with its number, that covers what was done before.
    SyncBegin(Descriptor, u64),
    /// It is done.
    SyncEnd(Descriptor, u64),
    /// From, to.
    Rename(String, String),
    /// A file's name.
    Unlink(String),
    /// A new directory.
    MakeDir(String),
    /// An empty one goes.
    RemoveDir(String),
    /// Noted by somebody: what happened, which one.
    Note(u8, u64),
}

/// Records in their order.
#[derive(Clone, Debug)]
pub struct Trace {
    /// All of them.
    pub records: Vec<Record>,
}

impl Trace {
    /// Reads a trace of what was done below `root`.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(file: &Path, root: &Path) -> Result<Self> {
        let bytes = Bytes::from(std::fs::read(file)?);
        let root = root.to_str().context("a path that is no text")?;
        let (mut at, mut records) = (0, Vec::new());
        while at < bytes.len() {
            let head = Head::decode(&bytes[at..]).context("no record")?;
            let first = at + HEAD;
            let second = first + head.first as usize;
            at = second + head.second as usize;
            ensure!(at <= bytes.len(), "the trace is cut");
            let (first, second) = (bytes.slice(first..second), bytes.slice(second..at));
            records.push(record(&head, first, &second, root)?);
        }
        Ok(Self { records })
    }
}

fn record(head: &Head, first: Bytes, second: &[u8], root: &str) -> Result<Record> {
    let fd = (head.pid, head.fd);
    Ok(match head.kind {
        Kind::Open => Record::Open(fd, below(&first, root)?, i32::try_from(head.a)?),
        Kind::Write => Record::Write(fd, head.a, first),
        Kind::Truncate => Record::Truncate(fd, head.a),
        Kind::Allocate => Record::Allocate(fd, head.fd2, head.a, head.b),
        Kind::SyncBegin => Record::SyncBegin(fd, head.a),
        Kind::SyncEnd => Record::SyncEnd(fd, head.a),
        Kind::Rename => Record::Rename(below(&first, root)?, below(second, root)?),
        Kind::Unlink => Record::Unlink(below(&first, root)?),
        Kind::MakeDir => Record::MakeDir(below(&first, root)?),
        Kind::RemoveDir => Record::RemoveDir(below(&first, root)?),
        Kind::Mark => Record::Note(u8::try_from(head.a)?, head.b),
    })
}

fn below(path: &[u8], root: &str) -> Result<String> {
    let path = std::str::from_utf8(path).context("a path that is no text")?;
    let rest = path.strip_prefix(root).context("a path elsewhere")?;
    let parts = rest.split('/').filter(|part| !matches!(*part, "" | "."));
    let parts: Vec<&str> = parts.collect();
    ensure!(!parts.contains(&".."), "{path} is not resolved");
    Ok(parts.join("/"))
}

/// A hand that notes something in a trace, between what processes do to files.
pub struct Notes(File);

impl Notes {
    /// Of this trace.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(trace: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(trace);
        Ok(Self(file.context("the trace")?))
    }

    /// No process changes or records anything as long as this lives: one that is killed meanwhile has made no
    /// change that it did not record.
    ///
    /// # Errors
    /// If the trace cannot be locked.
    pub fn hold(&self) -> Result<Held<'_>> {
        flock(&self.0, FlockOperation::LockExclusive).context("the trace")?;
        Ok(Held(&self.0))
    }

    /// Notes what happened, and which one, before it returns.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note(&self, what: u8, which: u64) -> Result<()> {
        let head = Head {
            kind: Kind::Mark,
            pid: std::process::id(),
            fd: -1,
            fd2: 0,
            a: what.into(),
            b: which,
            first: 0,
            second: 0,
        };
        // One call: others append to the same file.
        let written = (&self.0).write(&head.encode())?;
        ensure!(written == HEAD, "the trace is full");
        Ok(())
    }
}

/// A locked trace.
pub struct Held<'a>(&'a File);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // It ends with the file at the latest.
        let _ = flock(self.0, FlockOperation::Unlock);
    }
}
