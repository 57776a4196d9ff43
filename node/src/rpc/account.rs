//! What waits of a kind on a connection, and how fast it is taken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// See the module.
pub(super) struct Account {
    /// What is free.
    pub(super) room: Arc<Semaphore>,
    flow: Mutex<Flow>,
}

/// How fast it is taken. Not by its oldest byte, which the connection alone knows, but by how long it
/// takes for as many bytes as waited at some time.
struct Flow {
    waiting: usize,
    /// Of those that waited `since` then, so many may still be there.
    due: usize,
    since: Instant,
}

impl Account {
    /// With room for so many bytes.
    pub(super) fn new(cap: usize) -> Self {
        let flow = Flow {
            waiting: 0,
            due: 0,
            since: Instant::now(),
        };
        Self {
            room: Arc::new(Semaphore::new(cap)),
            flow: Mutex::new(flow),
        }
    }

    /// So many bytes wait now.
    pub(super) fn gave(&self, bytes: usize) {
        let mut flow = self.flow();
        if flow.waiting == 0 {
            (flow.due, flow.since) = (bytes, Instant::now());
        }
        flow.waiting += bytes;
    }

    /// So many do not wait any longer.
    pub(super) fn taken(&self, bytes: usize) {
        let mut flow = self.flow();
        flow.waiting -= bytes;
        flow.due = flow.due.saturating_sub(bytes);
        if flow.due == 0 {
            (flow.due, flow.since) = (flow.waiting, Instant::now());
        }
    }

    /// How long what waits has waited; `None` if nothing does.
    pub(super) fn waits(&self) -> Option<Duration> {
        let flow = self.flow();
        (flow.waiting > 0).then(|| flow.since.elapsed())
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
