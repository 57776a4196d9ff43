//! The messages of a stream that wait for their connection.

use super::held::Held;
use super::purse::Purse;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tonic::{Response, Status};

/// A stream of messages that are counted. What else it keeps is given back when the answer is gone.
pub(super) struct Outbox<T, K = ()> {
    messages: mpsc::Receiver<(T, Held)>,
    /// Why it ends before its time.
    end: oneshot::Receiver<Status>,
    purse: Arc<Purse>,
    _kept: K,
}

/// The other side.
pub(super) struct Sender<T> {
    /// Where messages go.
    pub(super) messages: mpsc::Sender<(T, Held)>,
    /// Where the reason goes if it ends early, before `messages` is dropped.
    pub(super) end: oneshot::Sender<Status>,
}

impl<T, K> Outbox<T, K> {
    /// For at most so many messages at a time.
    pub(super) fn new(places: usize, kept: K) -> (Sender<T>, Self) {
        let (sender, messages) = mpsc::channel(places);
        let (tell, end) = oneshot::channel();
        let outbox = Self {
            messages,
            end,
            purse: Arc::default(),
            _kept: kept,
        };
        let sender = Sender {
            messages: sender,
            end: tell,
        };
        (sender, outbox)
    }

    /// The answer that is this stream.
    pub(super) fn response(self) -> Response<Self> {
        self.purse.clone().response(self)
    }
}

impl<T, K: Unpin> Stream for Outbox<T, K> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(match ready!(self.messages.poll_recv(context)) {
            Some((message, held)) => {
                self.purse.add(held);
                Some(Ok(message))
            }
            None => self.end.try_recv().ok().map(Err),
        })
    }
}
