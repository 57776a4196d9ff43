//! Clients' requests in flight: capped, each answered once.

use crate::handle::Shared;
use crypto::{PublicKey, Reject, Transaction};
use engine::{Reply, RequestId, Wait};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// What a client asks.
#[derive(Debug)]
pub enum Question {
    /// Take this transaction.
    Submit {
        /// The request.
        request: RequestId,
        /// Not yet checked.
        transaction: Transaction,
        /// How long he waits.
        wait: Wait,
    },
    /// From which height on may the local state answer?
    Read {
        /// The request.
        request: RequestId,
    },
    /// The receipt of an earlier transaction.
    Await {
        /// The request.
        request: RequestId,
        /// Whose.
        client: PublicKey,
        /// Which.
        sequence: u64,
    },
    /// He does not wait any longer.
    Cancel {
        /// The request.
        request: RequestId,
        /// Its place, until the machine has heard of it.
        slot: Slot,
    },
}

/// What he is told.
#[derive(Debug)]
pub enum Answer {
    /// By the machine.
    Reply(Reply),
    /// By the checks before it.
    Rejected(Reject),
}

/// The place of a request among those that may be in flight. It is free again when the request is
/// answered or given up, and nothing of it waits any more, neither for a check nor for the machine.
pub type Slot = Arc<OwnedSemaphorePermit>;

struct Entry {
    answer: oneshot::Sender<Answer>,
    asked: Instant,
    admitted: Option<Instant>,
    slot: Slot,
}

/// When an answered request was asked, and when its transaction had passed its checks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) asked: Instant,
    pub(crate) admitted: Option<Instant>,
}

/// All requests that wait for an answer.
pub struct Requests {
    next: AtomicU64,
    permits: Arc<Semaphore>,
    waiting: Mutex<HashMap<RequestId, Entry>>,
}

impl Requests {
    /// At most `cap` at a time.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self {
            next: AtomicU64::new(1),
            permits: Arc::new(Semaphore::new(cap)),
            waiting: Mutex::new(HashMap::new()),
        }
    }

    /// Opens a request; `None` when too many wait.
    pub(crate) fn open(self: &Arc<Self>) -> Option<(Waiting, oneshot::Receiver<Answer>)> {
        let permit = self.permits.clone().try_acquire_owned().ok()?;
        let request = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
        let (answer, receiver) = oneshot::channel();
        let entry = Entry {
            answer,
            asked: Instant::now(),
            admitted: None,
            slot: Arc::new(permit),
        };
        self.lock().insert(request, entry);
        Some((
            Waiting {
                request,
                requests: self.clone(),
                tell: None,
            },
            receiver,
        ))
    }

    /// The slot of a request, to be kept while something of it waits; `None` if nobody waits for it
    /// any longer.
    pub(crate) fn slot(&self, request: RequestId) -> Option<Slot> {
        self.lock().get(&request).map(|entry| entry.slot.clone())
    }

    /// Notes that its transaction passed its checks and passes it on, unless nobody waits any
    /// longer; returns how long the checks took. Whoever leaves after this is heard of after this:
    /// `pass_on` runs under the lock, so the machine never hears of a request behind its end. It gets
    /// the slot: what is passed on waits, too, whoever leaves.
    pub(crate) fn admitted(
        &self,
        request: RequestId,
        pass_on: impl FnOnce(Slot),
    ) -> Option<Duration> {
        let mut waiting = self.lock();
        let entry = waiting.get_mut(&request)?;
        let now = Instant::now();
        entry.admitted = Some(now);
        let took = now.duration_since(entry.asked);
        pass_on(entry.slot.clone());
        Some(took)
    }

    /// Answers one; `None` if nobody waits for it any longer.
    pub(crate) fn answer(&self, request: RequestId, answer: Answer) -> Option<Times> {
        let entry = self.lock().remove(&request)?;
        let times = Times {
            asked: entry.asked,
            admitted: entry.admitted,
        };
        // He may leave in this very moment; there is nothing left to tell him.
        entry.answer.send(answer).ok();
        Some(times)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RequestId, Entry>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by the one who waits. Dropped before the answer, it takes the request back.
pub(crate) struct Waiting {
    request: RequestId,
    requests: Arc<Requests>,
    tell: Option<Arc<Shared>>,
}

impl Waiting {
    pub(crate) fn request(&self) -> RequestId {
        self.request
    }

    /// From now on a drop tells the machine as well.
    pub(crate) fn cancel_with(&mut self, shared: Arc<Shared>) {
        self.tell = Some(shared);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let waited = self.requests.lock().remove(&self.request);
        if let (Some(entry), Some(shared)) = (waited, self.tell.take()) {
            (shared.ask)(Question::Cancel {
                request: self.request,
                slot: entry.slot,
            });
        }
    }
}
