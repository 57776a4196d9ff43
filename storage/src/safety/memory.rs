//! The simulator's safety file.

use super::{SLOT, Safety, SafetyError, SafetyFile};
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
    /// The last write's slot, and what it held before.
    last: Option<(usize, Vec<u8>)>,
    fail: Option<u64>,
    writes: u64,
}

impl MemorySafetyFile {
    /// As `genesis` leaves it.
    #[must_use]
    pub fn create(first: &Safety) -> Self {
        let file = Self::default();
        file.with(|inner| {
            inner.bytes = vec![0; 2 * SLOT];
            inner.put(first);
            inner.last = None;
        });
        file
    }
    /// No file at all.
    #[must_use]
    pub fn missing() -> Self {
        Self::default()
    }
    /// The write after so many more fails, and leaves the old slot.
    pub fn fail_write_after(&self, writes: u64) {
        self.with(|inner| inner.fail = Some(writes));
    }
    /// The machine went down in the middle of the last write: its first `kept` bytes made it.
    pub fn tear(&self, kept: usize) {
        self.with(|inner| {
            if let Some((slot, old)) = inner.last.take() {
                let kept = kept.min(old.len());
                let at = slot * SLOT;
                inner.bytes[at + kept..at + old.len()].copy_from_slice(&old[kept..]);
            }
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
    fn put(&mut self, safety: &Safety) {
        let encoded = safety.encode();
        let at = safety.slot() * SLOT;
        let place = &mut self.bytes[at..at + encoded.len()];
        self.last = Some((safety.slot(), place.to_vec()));
        place.copy_from_slice(&encoded);
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
            if let Some(left) = &mut inner.fail {
                if *left == 0 {
                    return Err(failed("injected"));
                }
                *left -= 1;
            }
            inner.writes += 1;
            inner.put(safety);
            Ok(())
        })
    }
}
