//! Whether the machine's thread still answers. What it last said of itself stays as it was when the
//! thread hangs, so a node whose engine is dead would go on calling itself ready.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// No step takes so long: one that does has a lock or a device that does not come back.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub(crate) struct Pulse {
    born: Instant,
    /// Since when the thread works on what it took, in milliseconds from `born`, plus one; 0: it waits
    /// for something to do.
    busy: AtomicU64,
}

impl Pulse {
    /// Of a thread that waits.
    pub(crate) fn new() -> Self {
        Self {
            born: Instant::now(),
            busy: AtomicU64::new(0),
        }
    }
    /// It has something to do.
    pub(crate) fn works(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.busy.store(now + 1, Ordering::Relaxed);
    }
    /// It waits for something to do.
    pub(crate) fn rests(&self) {
        self.busy.store(0, Ordering::Relaxed);
    }
    /// Why the node is not ready, if the thread does not come back from its work.
    pub(crate) fn stopped(&self) -> Option<String> {
        let since = self.busy.load(Ordering::Relaxed).checked_sub(1)?;
        let lasts = self
            .born
            .elapsed()
            .saturating_sub(Duration::from_millis(since));
        (lasts >= PATIENCE).then(|| {
            let seconds = lasts.as_secs();
            format!("the machine has not come back from a step for {seconds} s: restart this node")
        })
    }
}
