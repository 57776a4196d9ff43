//! What waits of a kind on a connection, and whether it is taken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How many bytes a second a client has to take at least, once his patience is used up.
const PACE: usize = 256 << 10;

/// See the module.
pub(super) struct Account {
    /// What is free.
    pub(super) room: Arc<Semaphore>,
    flow: Mutex<Flow>,
}

/// How it is taken.
///
/// Not by its oldest byte, which the connection alone knows, but by what waited at some time: so much
/// has to be taken in the patience that a client has anyhow, and what it takes at the least pace. Else
/// he could hold for ever what he does not take, and take other things. And a client who has taken
/// nothing at all, of whatever, has patience only.
#[derive(Debug)]
struct Flow {
    waiting: usize,
    /// Of those that waited `since` then, so many may still be there.
    due: usize,
    /// How many they were.
    whole: usize,
    since: Instant,
}

impl Flow {
    fn new(now: Instant) -> Self {
        Self {
            waiting: 0,
            due: 0,
            whole: 0,
            since: now,
        }
    }

    fn gave(&mut self, bytes: usize, now: Instant) {
        let first = self.waiting == 0;
        self.waiting += bytes;
        if first {
            self.begin(now);
        }
    }

    fn taken(&mut self, bytes: usize, now: Instant) {
        self.waiting -= bytes;
        self.due = self.due.saturating_sub(bytes);
        if self.due == 0 {
            self.begin(now);
        }
    }

    fn begin(&mut self, now: Instant) {
        (self.due, self.whole, self.since) = (self.waiting, self.waiting, now);
    }

    /// By how much the client has used up his patience; `None`: by nothing. `took`: when he last took
    /// any byte, of any kind.
    fn late(&self, patience: Duration, took: Instant, now: Instant) -> Option<Duration> {
        if self.waiting == 0 {
            return None;
        }
        let pace = Duration::from_millis(self.whole as u64 * 1_000 / PACE as u64);
        let ends = [
            self.since.max(took) + patience,
            self.since + patience + pace,
        ];
        let late = ends.map(|end| now.checked_duration_since(end));
        late.into_iter().flatten().max()
    }
}

impl Account {
    /// With room for so many bytes.
    pub(super) fn new(cap: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(cap)),
            flow: Mutex::new(Flow::new(Instant::now())),
        }
    }

    /// So many bytes wait now.
    pub(super) fn gave(&self, bytes: usize) {
        self.flow().gave(bytes, Instant::now());
    }

    /// So many do not wait any longer.
    pub(super) fn taken(&self, bytes: usize) {
        self.flow().taken(bytes, Instant::now());
    }

    /// By how much the client has used up his patience with what waits; `None`: by nothing. `took`: when
    /// he last took anything.
    pub(super) fn late(&self, patience: Duration, took: Instant) -> Option<Duration> {
        self.flow().late(patience, took, Instant::now())
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);
    const SECOND: Duration = Duration::from_secs(1);

    /// Takes so many bytes each second, and some of others; when that became too little for what waited.
    fn given_up(waiting: usize, takes: usize, others: bool) -> Option<u32> {
        let start = Instant::now();
        let mut flow = Flow::new(start);
        flow.gave(waiting, start);
        let mut took = start;
        for second in 1..=100 {
            let now = start + second * SECOND;
            if flow.late(PATIENCE, took, now).is_some() {
                return Some(second);
            }
            let taken = takes.min(flow.waiting);
            flow.taken(taken, now);
            // Others come: it is always full.
            flow.gave(taken, now);
            if taken > 0 || others {
                took = now;
            }
        }
        None
    }

    #[test]
    fn who_takes_nothing_has_patience_only() {
        assert_eq!(given_up(1, 0, false), Some(5));
        assert_eq!(given_up(16 << 20, 0, false), Some(5));
    }

    /// All that he has takes him a minute.
    #[test]
    fn who_is_slow_and_takes_some_all_the_time_is_not_given_up() {
        assert_eq!(given_up(16 << 20, PACE, false), None);
        assert_eq!(given_up(16 << 20, 2 * PACE, false), None);
        assert_eq!(given_up(1 << 20, PACE, false), None);
    }

    #[test]
    fn who_takes_a_byte_now_and_then_is_given_up() {
        // Sixteen MiB at the least pace, and patience.
        assert_eq!(given_up(16 << 20, 1, false), Some(5 + 64));
        assert_eq!(given_up(1 << 20, 1, false), Some(5 + 4));
        assert_eq!(given_up(100, 1, false), Some(5));
        assert_eq!(given_up(100, 25, false), None);
    }

    /// As who takes the bytes of one stream, and lets another lie.
    #[test]
    fn who_lets_lie_what_he_has_and_takes_other_things_is_given_up() {
        assert_eq!(given_up(16 << 20, 0, true), Some(5 + 64));
    }

    #[test]
    fn where_nothing_waits_nobody_is_late() {
        let start = Instant::now();
        let mut flow = Flow::new(start);
        assert_eq!(flow.late(PATIENCE, start, start + 100 * SECOND), None);
        flow.gave(100, start + 50 * SECOND);
        let took = start;
        assert_eq!(flow.late(PATIENCE, took, start + 54 * SECOND), None);
        let late = flow.late(PATIENCE, took, start + 57 * SECOND);
        assert_eq!(late, Some(2 * SECOND));
        flow.taken(100, start + 57 * SECOND);
        assert_eq!(flow.late(PATIENCE, took, start + 100 * SECOND), None);
    }
}
