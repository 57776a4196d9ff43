//! The simulator's safety file.

use super::{ENCODED, SLOT, Safety, SafetyError, SafetyFile};
use std::sync::{Arc, Mutex, PoisonError};

/// Two slots in memory. Clones share them, so the simulator keeps one while the node has another.
#[derive(Clone, Default)]
pub struct MemorySafetyFile {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// What is on the disk: empty, or both slots.
    bytes: Vec<u8>,
    last: Option<LastWrite>,
    fail: Option<u64>,
    writes: u64,
}

struct LastWrite {
    slot: usize,
    old: Vec<u8>,
    new: [u8; ENCODED],
}

impl MemorySafetyFile {
    /// As `genesis` leaves it.
    #[must_use]
    pub fn create(first: &Safety) -> Self {
        let file = Self::default();
        file.with(|inner| {
            inner.bytes = vec![0; 2 * SLOT];
            inner.put(first, true);
            inner.last = None;
        });
        file
    }
    /// No file at all.
    #[must_use]
    pub fn missing() -> Self {
        Self::default()
    }
    /// The write after so many that succeed fails, and so do all later ones, until
    /// [`MemorySafetyFile::crash`]. It leaves the old slot, or what [`MemorySafetyFile::tear`] makes of it.
    pub fn fail_write_after(&self, writes: u64) {
        self.with(|inner| inner.fail = Some(writes));
    }
    /// The machine goes down in the middle of the last write, be it failed or not yet relied on: its
    /// first `kept` bytes reach the disk, the others are as before. Whether there was such a write.
    pub fn tear(&self, kept: usize) -> bool {
        self.with(|inner| {
            let Some(write) = inner.last.take() else {
                return false;
            };
            let kept = kept.min(ENCODED);
            let at = write.slot * SLOT;
            let place = &mut inner.bytes[at..at + ENCODED];
            place[..kept].copy_from_slice(&write.new[..kept]);
            place[kept..].copy_from_slice(&write.old[kept..]);
            true
        })
    }
    /// The machine goes down and comes up again: faults end.
    pub fn crash(&self) {
        self.with(|inner| {
            inner.fail = None;
            inner.last = None;
        });
    }
    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.with(|inner| inner.bytes.clone())
    }
    /// Replaces the file's bytes: an older copy, or damage.
    pub fn set_bytes(&self, bytes: Vec<u8>) {
        self.with(|inner| {
            inner.bytes = bytes;
            inner.last = None;
        });
    }
    /// How often it was written.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.with(|inner| inner.writes)
    }
    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn put(&mut self, safety: &Safety, succeeds: bool) {
        let (slot, new) = (Safety::free_slot(&self.bytes), safety.encode());
        let place = &mut self.bytes[slot * SLOT..slot * SLOT + ENCODED];
        self.last = Some(LastWrite {
            slot,
            old: place.to_vec(),
            new,
        });
        if succeeds {
            place.copy_from_slice(&new);
        }
    }
}

impl SafetyFile for MemorySafetyFile {
    fn read(&mut self) -> Result<Option<Safety>, SafetyError> {
        Ok(self.with(|inner| Safety::newest(&inner.bytes)))
    }
    fn write(&mut self, safety: &Safety) -> Result<(), SafetyError> {
        let failed = |why: &str| SafetyError::Failed {
            path: "(memory)".into(),
            what: "written",
            why: why.into(),
        };
        self.with(|inner| {
            if inner.bytes.len() < 2 * SLOT {
                return Err(failed("there is none"));
            }
            match &mut inner.fail {
                Some(0) => {
                    inner.put(safety, false);
                    return Err(failed("injected"));
                }
                Some(left) => *left -= 1,
                None => {}
            }
            inner.writes += 1;
            inner.put(safety, true);
            Ok(())
        })
    }
}
