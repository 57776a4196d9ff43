//! The machine's inbox. Its channel has no cap of its own, so that storage and machine can never
//! wait for each other; every source has one: permits for peers' frames, slots for clients'
//! requests, and as many completions as the machine asked for.

use super::network::peer::Permit;
use super::requests::Slot;
use engine::Input;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

/// What an input takes of its source's cap until it is processed.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    _frame: Option<Permit>,
    _request: Option<Slot>,
}

impl From<Permit> for Taken {
    fn from(frame: Permit) -> Self {
        Self {
            _frame: Some(frame),
            ..Self::default()
        }
    }
}

impl From<Slot> for Taken {
    fn from(request: Slot) -> Self {
        Self {
            _request: Some(request),
            ..Self::default()
        }
    }
}

/// An input, and what is released once it is processed; `None`: the end.
type Event<C> = Option<(Input<C>, Taken)>;

/// The sending side.
pub(crate) struct Inbox<C> {
    sender: Sender<Event<C>>,
    waiting: Arc<AtomicUsize>,
}

impl<C> Clone for Inbox<C> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            waiting: self.waiting.clone(),
        }
    }
}

impl<C> Inbox<C> {
    /// Both sides.
    pub(crate) fn new() -> (Self, Outlet<C>) {
        let (sender, receiver) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        (
            Self {
                sender,
                waiting: waiting.clone(),
            },
            Outlet { receiver, waiting },
        )
    }

    /// Posts an input. Without effect once the machine has stopped.
    pub(crate) fn post(&self, input: Input<C>) {
        self.send(Some((input, Taken::default())));
    }

    /// Posts a peer's or a client's input; what it takes is released when it is processed.
    pub(crate) fn post_held(&self, input: Input<C>, taken: impl Into<Taken>) {
        self.send(Some((input, taken.into())));
    }

    /// Ends the machine behind all that was posted before.
    pub(crate) fn stop(&self) {
        self.send(None);
    }

    fn send(&self, event: Event<C>) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // Nobody listens any more when the node stops.
        self.sender.send(event).ok();
    }
}

/// The receiving side.
pub(crate) struct Outlet<C> {
    receiver: Receiver<Event<C>>,
    waiting: Arc<AtomicUsize>,
}

impl<C> Outlet<C> {
    /// Waits for an input, at most so long, then takes what else is there, up to `most`. False: the end.
    pub(crate) fn take(
        &self,
        patience: Duration,
        most: usize,
        into: &mut Vec<(Input<C>, Taken)>,
    ) -> bool {
        let first = match self.receiver.recv_timeout(patience) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        let mut taken = 0;
        let mut goes_on = true;
        for event in std::iter::once(first).chain(self.receiver.try_iter()) {
            taken += 1;
            match event {
                Some(input) => into.push(input),
                None => goes_on = false,
            }
            if taken >= most || !goes_on {
                break;
            }
        }
        self.waiting.fetch_sub(taken, Ordering::Relaxed);
        goes_on
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}
