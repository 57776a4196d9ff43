//! A node's data directory: whose it is, in which format, and that only one process uses it.

use crate::names::{make_dir, sync_dir};
use crate::{RealSafetyFile, Refusal, Safety, SafetyError, StoreError};
use crypto::{ChainId, PublicKey};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;
use thiserror::Error;

/// How often a start tries again while somebody only looks, and how long it waits between.
const TRIES: usize = 100;
const PAUSE: Duration = Duration::from_millis(5);

/// The data format that this program reads and writes.
pub const FORMAT: u32 = 2;

/// Whose data they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The chain.
    pub chain: ChainId,
    /// The node's consensus key.
    pub key: PublicKey,
    /// The protocol's name, for instance `hotstuff`.
    pub protocol: String,
}

/// Why a data directory is not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// There is none.
    #[error("{0} is no data directory: make one with `quorate genesis`")]
    Missing(String),
    /// `genesis` over an existing one.
    #[error("{0} exists already: it holds a node's data and is not overwritten")]
    Exists(String),
    /// Another process has it.
    #[error("{path} is in use by process {owner}: stop it first")]
    Locked {
        /// The directory.
        path: String,
        /// The other process, as it says.
        owner: String,
    },
    /// Others look at it, and do not end.
    #[error(
        "{path} cannot be locked, since another program looks at it: end that, or try again later"
    )]
    Watched {
        /// The directory.
        path: String,
    },
    /// Written by another version.
    #[error(
        "{path} has data format {found}, this program knows {FORMAT} only: use the program that wrote it, or \
         begin anew with an empty directory"
    )]
    OtherFormat {
        /// The directory.
        path: String,
        /// Its format.
        found: u32,
    },
    /// Of another chain, node or protocol.
    #[error(
        "{path} belongs to {what} {found}, not {expected}: check --home, or move that directory away"
    )]
    Foreign {
        /// The directory.
        path: String,
        /// What differs.
        what: &'static str,
        /// What it says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// A file `FORMAT` that none of ours wrote.
    #[error(
        "{path}/FORMAT is damaged ({why}): restore the directory from a backup, or replace the node"
    )]
    Damaged {
        /// The directory.
        path: String,
        /// Which line.
        why: String,
    },
    /// The file system refused.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: String,
        /// What it said.
        error: std::io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The safety file.
    #[error(transparent)]
    Safety(#[from] SafetyError),
    /// It may not vote.
    #[error("{path}: {refusal}")]
    Refused {
        /// The directory.
        path: String,
        /// Why.
        refusal: Refusal,
    },
}

/// A locked data directory. The lock ends with it.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes one, with the first safety file. Only `genesis` calls this.
    ///
    /// # Errors
    /// [`OpenError::Exists`], [`OpenError::Io`].
    pub fn create(path: &Path, identity: &Identity) -> Result<(), OpenError> {
        let format = path.join("FORMAT");
        if format.exists() {
            return Err(OpenError::Exists(path.display().to_string()));
        }
        make_dir(path).map_err(|error| io(path, error))?;
        RealSafetyFile::create(
            &path.join("safety"),
            &Safety::genesis(identity.chain, identity.key),
        )?;
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&format)?;
            file.write_all(describe(identity).as_bytes())?;
            file.sync_all()?;
            sync_dir(path)
        };
        write().map_err(|error| io(&format, error))
    }
    /// Locks it and checks whose it is. Nothing in it is changed.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, identity: &Identity) -> Result<Self, OpenError> {
        check(path, &read_format(path)?, identity)?;
        let lock = lock(path)?;
        Ok(Self {
            path: path.into(),
            _lock: lock,
        })
    }
    /// Checks whose it is, and tells which process has it, if one does. Nothing is changed, and it
    /// stays unlocked.
    ///
    /// # Errors
    /// See [`OpenError`]; that it is in use is none.
    pub fn look(path: &Path, identity: &Identity) -> Result<Option<String>, OpenError> {
        check(path, &read_format(path)?, identity)?;
        let name = path.join("LOCK");
        let mut file = match File::open(&name) {
            // No node has ever opened it.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| io(&name, error))?,
        };
        let free = try_flock(&file, FlockOperation::NonBlockingLockShared);
        let free = free.map_err(|error| io(&name, error))?;
        Ok((!free).then(|| owner(&mut file)))
    }
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// The safety file's place.
    #[must_use]
    pub fn safety(&self) -> PathBuf {
        self.path.join("safety")
    }
    /// The log's place.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }
    /// The state's place.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.path.join("state")
    }
}

fn io(path: &Path, error: std::io::Error) -> OpenError {
    OpenError::Io {
        path: path.display().to_string(),
        error,
    }
}

fn read_format(path: &Path) -> Result<String, OpenError> {
    let format = path.join("FORMAT");
    match fs::read_to_string(&format) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(OpenError::Missing(path.display().to_string()))
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(OpenError::Damaged {
            path: path.display().to_string(),
            why: "no text".into(),
        }),
        other => other.map_err(|error| io(&format, error)),
    }
}

fn describe(identity: &Identity) -> String {
    let Identity {
        chain,
        key,
        protocol,
    } = identity;
    format!("quorate-data {FORMAT}\nchain {chain}\nkey {key}\nprotocol {protocol}\n")
}

fn check(path: &Path, text: &str, identity: &Identity) -> Result<(), OpenError> {
    let damaged = |why: &str| OpenError::Damaged {
        path: path.display().to_string(),
        why: why.into(),
    };
    let mut lines = text.lines();
    let mut field = |name: &'static str| {
        let line = lines.next().and_then(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.strip_prefix(' '))
            .ok_or_else(|| damaged(&format!("no line `{name} ...`")))
    };
    let found = field("quorate-data")?
        .parse()
        .map_err(|_| damaged("no format number"))?;
    // Another format may hold anything below its first line.
    if found != FORMAT {
        return Err(OpenError::OtherFormat {
            path: path.display().to_string(),
            found,
        });
    }
    let expected = [
        ("chain", identity.chain.to_string()),
        ("key", identity.key.to_string()),
        ("protocol", identity.protocol.clone()),
    ];
    for (what, expected) in expected {
        let found = field(what)?;
        if found != expected {
            return Err(OpenError::Foreign {
                path: path.display().to_string(),
                what,
                found: found.into(),
                expected,
            });
        }
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let name = path.join("LOCK");
    let fail = |error| io(&name, error);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(fail)?;
    let shown = || path.display().to_string();
    match take(&file).map_err(fail)? {
        Taken::Yes => {}
        Taken::ByNode => {
            return Err(OpenError::Locked {
                path: shown(),
                owner: owner(&mut file),
            });
        }
        // Who is named there has ended.
        Taken::ByWatchers => return Err(OpenError::Watched { path: shown() }),
    }
    let note = |file: &mut File| {
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())
    };
    note(&mut file).map_err(fail)?;
    Ok(file)
}

/// Whether a lock was got.
enum Taken {
    Yes,
    /// Another has it for himself.
    ByNode,
    /// Others share it.
    ByWatchers,
}

/// Locks it for this process alone.
fn take(file: &File) -> std::io::Result<Taken> {
    for _ in 0..TRIES {
        if try_flock(file, FlockOperation::NonBlockingLockExclusive)? {
            return Ok(Taken::Yes);
        }
        // Those who only look share it, for a moment: a node shares it with nobody.
        if !try_flock(file, FlockOperation::NonBlockingLockShared)? {
            return Ok(Taken::ByNode);
        }
        flock(file, FlockOperation::Unlock)?;
        sleep(PAUSE);
    }
    Ok(Taken::ByWatchers)
}

/// False: it is locked by another.
fn try_flock(file: &File, how: FlockOperation) -> std::io::Result<bool> {
    match flock(file, how) {
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        other => other.map(|()| true).map_err(Into::into),
    }
}

/// Who has it locked, as he says.
fn owner(lock: &mut File) -> String {
    let mut owner = String::new();
    let _ = lock.read_to_string(&mut owner); // only to be of help
    match owner.trim() {
        "" => "unknown".into(),
        owner => owner.into(),
    }
}

#[cfg(feature = "rocksdb")]
mod stores {
    use super::{Directory, Identity, OpenError, io, make_dir};
    use crate::log::check_fences;
    use crate::rocks::{Recovery, Rocks, open_log, open_state};
    use crate::{
        GroupCommit, RealSafetyFile, Refusal, Safety, SafetyFile as _, SafetyPolicy, Verdict,
        verdict,
    };
    use std::path::Path;
    use std::sync::Arc;

    /// A data directory with its stores, of a node that may vote. Fields are dropped in order: the
    /// lock last.
    pub struct Data {
        /// The state.
        pub state: Arc<Rocks>,
        /// The log.
        pub log: Arc<Rocks>,
        /// How the log was recovered.
        pub recovery: Recovery,
        /// What the safety file says.
        pub safety: Safety,
        file: Option<RealSafetyFile>,
        policy: SafetyPolicy,
        _directory: Directory,
    }

    impl Data {
        /// Opens all of a node's data, whose safety file is written by `policy`.
        ///
        /// # Errors
        /// [`OpenError::Refused`] if promises may be lost; see [`OpenError`].
        pub fn open(
            path: &Path,
            identity: &Identity,
            policy: SafetyPolicy,
        ) -> Result<Self, OpenError> {
            let directory = Directory::open(path, identity)?;
            let refused = |refusal| OpenError::Refused {
                path: path.display().to_string(),
                refusal,
            };
            let mut file = RealSafetyFile::open(&directory.safety())?;
            let safety = file.read()?.ok_or_else(|| refused(Refusal::Missing))?;
            let check =
                |database| match verdict(database, Some(&safety), identity.chain, identity.key) {
                    Verdict::Start => Ok(()),
                    Verdict::Refuse(refusal) => Err(refused(refusal)),
                };
            // Before RocksDB creates an empty one in the place of one that is lost.
            if !directory.log().join("CURRENT").exists() {
                check(0)?;
            }
            // RocksDB makes it as well, but sees to the names in it only.
            make_dir(&directory.log()).map_err(|error| io(&directory.log(), error))?;
            let (log, recovery) = open_log(&directory.log(), safety.fence, policy)?;
            check(check_fences(&log)?)?;
            let log = Arc::new(log);
            let state = Arc::new(open_state(&directory.state(), Arc::clone(&log))?);
            Ok(Self {
                state,
                log,
                recovery,
                safety,
                file: Some(file),
                policy,
                _directory: directory,
            })
        }
        /// The group commit over the log and the safety file; once.
        ///
        /// # Errors
        /// If fences are missing.
        ///
        /// # Panics
        /// If called again.
        pub fn group_commit(&mut self) -> Result<GroupCommit, crate::CommitError> {
            let file = self.file.take().expect("the group commit is made once");
            GroupCommit::new(self.log.clone(), Box::new(file), self.safety, self.policy)
        }
    }
}

#[cfg(feature = "rocksdb")]
pub use stores::Data;

#[cfg(test)]
mod tests;
