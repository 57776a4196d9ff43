//! The only clock: monotonic, since the start of the process.

use crypto::Time;
use std::time::{Duration, Instant};

/// Cheap to copy. All parts of a node share one.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Begins now, at [`Time`] zero.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since.
    #[must_use]
    pub fn now(&self) -> Time {
        Time(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long it is until then; zero if it is past.
    #[must_use]
    pub fn until(&self, then: Time) -> Duration {
        Duration::from_nanos(then.since(self.now()).0)
    }
}
