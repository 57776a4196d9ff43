//! What waits to be sent to one peer in one class: bounded by bytes, filled without ever waiting.

use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What to drop when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest: a later vote or time-out says more than an earlier one.
    DropOldest,
    /// The newest: a transfer that has begun is worth more than one that has not.
    DropNewest,
}

#[derive(Debug, Default)]
struct Inner {
    frames: VecDeque<Bytes>,
    bytes: usize,
    open: bool,
}

/// The queue. Closed while the peer is not connected: what is sent then is dropped at once, since
/// protocols send again what still matters when a peer connects.
#[derive(Debug)]
pub struct Queue {
    inner: Mutex<Inner>,
    filled: Notify,
    cap: usize,
    overflow: Overflow,
}

impl Queue {
    /// A closed queue of at most `cap` bytes.
    #[must_use]
    pub fn new(cap: usize, overflow: Overflow) -> Self {
        Self {
            inner: Mutex::default(),
            filled: Notify::new(),
            cap,
            overflow,
        }
    }

    /// Adds a frame; returns how many frames were dropped because of it (itself counted).
    pub fn push(&self, frame: Bytes) -> usize {
        let mut inner = self.lock();
        if !inner.open || frame.len() > self.cap {
            return 1;
        }
        let mut dropped = 0;
        while inner.bytes + frame.len() > self.cap {
            if self.overflow == Overflow::DropNewest {
                return 1;
            }
            let Some(oldest) = inner.frames.pop_front() else {
                break;
            };
            inner.bytes -= oldest.len();
            dropped += 1;
        }
        inner.bytes += frame.len();
        inner.frames.push_back(frame);
        drop(inner);
        self.filled.notify_one();
        dropped
    }

    /// Opens it, empty.
    pub fn open(&self) {
        *self.lock() = Inner {
            open: true,
            ..Inner::default()
        };
    }

    /// Closes it and forgets what it holds; returns how many frames that were.
    pub fn close(&self) -> usize {
        std::mem::take(&mut *self.lock()).frames.len()
    }

    /// Takes frames of up to `budget` bytes, at least one; waits while there is none.
    pub async fn take(&self, budget: usize) -> Vec<Bytes> {
        loop {
            let taken = self.take_waiting(budget);
            if !taken.is_empty() {
                return taken;
            }
            // A permit is stored when a push comes between: none is missed.
            self.filled.notified().await;
        }
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn take_waiting(&self, budget: usize) -> Vec<Bytes> {
        let mut inner = self.lock();
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(frame) = inner.frames.front() {
            if !taken.is_empty() && bytes + frame.len() > budget {
                break;
            }
            bytes += frame.len();
            taken.extend(inner.frames.pop_front());
        }
        inner.bytes -= bytes;
        taken
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
