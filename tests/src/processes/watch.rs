//! What the nodes' processes hold: memory and open files, sampled while they run.

use super::failures::broken;
use anyhow::Result;
use quorate::cli::process;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Time between samples.
const EVERY: Duration = Duration::from_millis(100);

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
    most: Arc<Mutex<Most>>,
    _sampler: JoinSet<()>,
}

impl Watch {
    /// The processes that these files name, whenever they are started.
    #[must_use]
    pub fn start(pid_files: Vec<PathBuf>) -> Self {
        let most = Arc::new(Mutex::new(Most::default()));
        let seen = most.clone();
        let mut sampler = JoinSet::new();
        sampler.spawn(async move {
            loop {
                for path in &pid_files {
                    sample(path, &seen);
                }
                sleep(EVERY).await;
            }
        });
        Self {
            most,
            _sampler: sampler,
        }
    }

    /// The most since it was last asked for.
    #[must_use]
    pub fn take(&self) -> Most {
        std::mem::take(&mut *self.most.lock().unwrap_or_else(PoisonError::into_inner))
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
    /// Which cap was passed.
    pub fn within(self, caps: Caps) -> Result<()> {
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
}

fn sample(pid_file: &PathBuf, most: &Mutex<Most>) {
    // One that is dead has left its file, and no process of that number.
    let text = std::fs::read_to_string(pid_file).unwrap_or_default();
    let Some(usage) = text.trim().parse().ok().and_then(process::usage) else {
        return;
    };
    let files = std::fs::read_dir(format!("/proc/{}/fd", text.trim()));
    let now = Most {
        memory: usage.memory,
        files: files.map_or(0, Iterator::count),
    };
    let mut most = most.lock().unwrap_or_else(PoisonError::into_inner);
    *most = most.max(now);
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
}
