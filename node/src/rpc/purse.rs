//! What is counted for the messages of a call that are on their way through the encoder.

use super::held::Held;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tonic::Response;

/// See the module. In the order of the messages, which may be of several kinds; of each run of one kind
/// there is one.
#[derive(Debug, Default)]
pub(super) struct Purse(Mutex<VecDeque<Held>>);

impl Purse {
    /// A message is given to the encoder.
    pub(super) fn add(&self, held: Held) {
        let mut purse = self.lock();
        match purse.back_mut() {
            Some(last) if last.kind() == held.kind() => last.merge(held),
            _ => purse.push_back(held),
        }
    }

    /// So many bytes have come out of it: what was counted for them, if anything was.
    pub(super) fn take(&self, bytes: usize) -> Vec<Held> {
        let mut purse = self.lock();
        let (mut taken, mut left) = (Vec::new(), bytes);
        while left > 0
            && let Some(first) = purse.front_mut()
        {
            let part = first.split(left);
            left -= part.bytes();
            taken.push(part);
            if first.bytes() == 0 {
                purse.pop_front();
            }
        }
        taken
    }

    /// An answer of one message, with what counts it.
    pub(super) fn of<T>((message, held): (T, Held)) -> Response<T> {
        let purse = Arc::new(Self::default());
        purse.add(held);
        purse.response(message)
    }

    /// An answer whose messages this counts.
    pub(super) fn response<T>(self: Arc<Self>, message: T) -> Response<T> {
        let mut response = Response::new(message);
        response.extensions_mut().insert(self);
        response
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
