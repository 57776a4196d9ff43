//! What is counted for the messages of a call that are on their way through the encoder.

use super::held::Held;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tonic::Response;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Purse(Mutex<Option<Held>>);

impl Purse {
    /// A message is given to the encoder.
    pub(super) fn add(&self, held: Held) {
        let mut purse = self.lock();
        match &mut *purse {
            Some(all) => all.merge(held),
            None => *purse = Some(held),
        }
    }

    /// So many bytes have come out of it; `None` if nothing was counted for them.
    pub(super) fn take(&self, bytes: usize) -> Option<Held> {
        let mut purse = self.lock();
        let held = purse.as_mut().filter(|all| all.bytes() > 0)?;
        Some(held.split(bytes))
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

    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
