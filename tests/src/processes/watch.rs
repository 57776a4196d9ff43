//! What the nodes' processes hold: memory and open files, sampled while they run.

use super::failures::broken;
use anyhow::Result;
use quorate::cli::process;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Time between samples.
const EVERY: Duration = Duration::from_millis(100);
/// How much more a node may hold after a round than after the first, everything being healed: more is a leak.
/// RocksDB's write buffers, which fill up by and by, are less.
const GROWTH: Caps = Caps {
    memory: 192 << 20,
    files: 128,
};

/// What a node may hold.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Resident memory, in bytes.
    pub memory: u64,
    /// Open files, sockets among them.
    pub files: usize,
}

impl Default for Caps {
    /// Far above what a node needs, and far below what one that leaks would come to: RocksDB's write
    /// buffers and the caps of pool and queues in `node.toml` add up to less.
    fn default() -> Self {
        Self {
            memory: 512 << 20,
            files: 512,
        }
    }
}

/// The most that any node was seen to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Most {
    /// Resident memory, in bytes.
    pub memory: u64,
    /// Open files.
    pub files: usize,
}

/// Watches processes until it is dropped.
pub struct Watch {
    pid_files: Arc<[PathBuf]>,
    most: Arc<Mutex<Most>>,
    _sampler: JoinSet<()>,
}

impl Watch {
    /// The processes that these files name, whenever they are started.
    #[must_use]
    pub fn start(pid_files: Vec<PathBuf>) -> Self {
        let pid_files: Arc<[PathBuf]> = pid_files.into();
        let most = Arc::new(Mutex::new(Most::default()));
        let (seen, files) = (most.clone(), pid_files.clone());
        let mut sampler = JoinSet::new();
        sampler.spawn(async move {
            loop {
                note(&seen, look(&files));
                sleep(EVERY).await;
            }
        });
        Self {
            pid_files,
            most,
            _sampler: sampler,
        }
    }

    /// The most since it was last asked for, now included.
    #[must_use]
    pub fn take(&self) -> Most {
        let mut most = self.most.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *most).max(self.now())
    }

    /// What they hold now, at most.
    #[must_use]
    pub fn now(&self) -> Most {
        look(&self.pid_files)
    }
}

impl Most {
    /// The greater of both.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            files: self.files.max(other.files),
        }
    }

    /// Judges it.
    ///
    /// # Errors
    /// Which cap was passed; or that nothing was seen, which says nothing.
    pub fn within(self, caps: Caps) -> Result<()> {
        if self.memory == 0 || self.files == 0 {
            return Err(broken("S11", "nobody saw what the nodes hold"));
        }
        if self.memory > caps.memory {
            let (held, cap) = (self.memory >> 20, caps.memory >> 20);
            return Err(broken(
                "S11",
                format!("a node held {held} MiB, more than {cap}"),
            ));
        }
        if self.files > caps.files {
            let (held, cap) = (self.files, caps.files);
            return Err(broken(
                "S11",
                format!("a node held {held} files open, more than {cap}"),
            ));
        }
        Ok(())
    }

    /// Judges what was held when all was healed by what was held when it was first.
    ///
    /// # Errors
    /// What has grown.
    pub fn grown(self, first: Self) -> Result<()> {
        let caps = Caps {
            memory: first.memory.saturating_add(GROWTH.memory),
            files: first.files.saturating_add(GROWTH.files),
        };
        let grown = self.within(caps);
        grown
            .map_err(|error| error.context("since the first round, after which all was healed too"))
    }
}

fn note(most: &Mutex<Most>, now: Most) {
    let mut most = most.lock().unwrap_or_else(PoisonError::into_inner);
    *most = most.max(now);
}

/// The most that any of them holds now.
fn look(pid_files: &[PathBuf]) -> Most {
    let each = pid_files.iter().filter_map(|path| sample(path));
    each.fold(Most::default(), Most::max)
}

fn sample(pid_file: &Path) -> Option<Most> {
    // One that is dead has left its file, and no process of that number.
    let text = std::fs::read_to_string(pid_file).ok()?;
    let usage = text.trim().parse().ok().and_then(process::usage)?;
    let files = std::fs::read_dir(format!("/proc/{}/fd", text.trim()));
    Some(Most {
        memory: usage.memory,
        files: files.map_or(0, Iterator::count),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn what_this_process_holds_is_seen_and_judged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        std::fs::write(&path, std::process::id().to_string()).unwrap();
        let held: Vec<_> = (0..100)
            .map(|_| std::fs::File::open(&path).unwrap())
            .collect();
        let watch = Watch::start(vec![path]);
        sleep(EVERY * 5).await;
        drop(held);
        let most = watch.take();
        assert!(most.files > 100 && most.memory > 1 << 20, "{most:?}");
        assert!(most.within(Caps::default()).is_ok());
        let (memory, files) = (1 << 20, 100);
        let broken = most
            .within(Caps {
                memory,
                ..Caps::default()
            })
            .unwrap_err();
        assert!(broken.to_string().contains("MiB"), "{broken}");
        let broken = most
            .within(Caps {
                files,
                ..Caps::default()
            })
            .unwrap_err();
        assert!(broken.to_string().contains("files"), "{broken}");
    }
    #[test]
    fn what_nobody_saw_is_no_proof_and_what_grows_is_found() {
        let held = |memory, files| Most { memory, files };
        for unseen in [held(0, 0), held(1 << 20, 0), held(0, 10)] {
            let broken = unseen.within(Caps::default()).unwrap_err();
            assert!(broken.to_string().contains("nobody saw"), "{broken}");
        }
        let first = held(60 << 20, 80);
        assert!(first.grown(first).is_ok());
        assert!(held(first.memory + GROWTH.memory, 208).grown(first).is_ok());
        for more in [held(first.memory + GROWTH.memory + 1, 80), held(1, 209)] {
            let broken = more.grown(first).unwrap_err();
            assert!(
                broken.to_string().contains("since the first round"),
                "{broken}"
            );
        }
        // Who runs nothing holds nothing, at most.
        assert_eq!(look(&["no such file".into()]), Most::default());
    }
}
