//! Requests that arrive slowly.
//!
//! What has come of a message that is not complete counts against a budget of all connections, and
//! has a deadline: else clients who send all but the last byte of many requests would fill the
//! node's memory for as long as they like. A message that comes in one piece costs nothing here.

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;
use tonic::{Code, Status};

/// Bytes of messages that are not complete, of all clients.
const BUDGET: usize = 64 << 20;
/// How long a message may take from its first byte to its last.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// A flag and four bytes of length stand before each message.
pub(super) const PREFIX: usize = 5;

/// A service whose requests are held to this.
#[derive(Clone)]
pub(super) struct InTime<S> {
    service: S,
    budget: Arc<Semaphore>,
}

impl<S> InTime<S> {
    pub(super) fn new(service: S) -> Self {
        Self {
            service,
            budget: Arc::new(Semaphore::new(BUDGET)),
        }
    }
}

impl<S: NamedService> NamedService for InTime<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for InTime<S>
where
    S: Service<http::Request<Arriving>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> S::Future {
        let budget = self.budget.clone();
        let request = request.map(|body| Arriving::new(body, budget, PATIENCE));
        self.service.call(request)
    }
}

/// Where in a stream of messages it is.
#[derive(Default)]
struct Position {
    prefix: [u8; PREFIX],
    /// Bytes of the message under way, its prefix included.
    read: usize,
}

impl Position {
    fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let whole = if self.read < PREFIX {
                PREFIX
            } else {
                self.whole()
            };
            let taken = bytes.len().min(whole - self.read);
            if self.read < PREFIX {
                self.prefix[self.read..self.read + taken].copy_from_slice(&bytes[..taken]);
            }
            self.read += taken;
            bytes = &bytes[taken..];
            if self.read >= PREFIX && self.read == self.whole() {
                self.read = 0;
            }
        }
    }
    /// Bytes of the message, once its prefix is there.
    fn whole(&self) -> usize {
        let [_, length @ ..] = self.prefix;
        PREFIX + u32::from_be_bytes(length) as usize
    }
}

/// A request's body as it comes.
pub(super) struct Arriving {
    body: Body,
    budget: Arc<Semaphore>,
    patience: Duration,
    at: Position,
    held: Option<OwnedSemaphorePermit>,
    until: Option<Pin<Box<Sleep>>>,
}

impl Arriving {
    fn new(body: Body, budget: Arc<Semaphore>, patience: Duration) -> Self {
        Self {
            body,
            budget,
            patience,
            at: Position::default(),
            held: None,
            until: None,
        }
    }

    /// Accounts for what has come.
    fn came(&mut self, bytes: &[u8]) -> Result<(), Status> {
        let before = self.at.read;
        self.at.advance(bytes);
        let same = before + bytes.len() == self.at.read;
        if self.at.read == 0 || !same {
            (self.held, self.until) = (None, None);
        }
        if self.at.read == 0 {
            return Ok(());
        }
        let patience = self.patience;
        self.until
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        let held = self
            .held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(self.at.read - held).unwrap_or(u32::MAX);
        let more = self.budget.clone().try_acquire_many_owned(more);
        let more = more.map_err(|_| {
            super::refusal::later(
                Code::ResourceExhausted,
                "too many requests are half sent: try again in 100 ms".into(),
                crypto::Time::millis(100),
            )
        })?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let came = frame.data_ref().map_or(Ok(()), |bytes| this.came(bytes));
                Poll::Ready(Some(came.map(|()| frame)))
            }
            Poll::Pending => {
                let until = this.until.as_mut();
                match until.map(|until| until.as_mut().poll(context)) {
                    Some(Poll::Ready(())) => Poll::Ready(Some(Err(late()))),
                    _ => Poll::Pending,
                }
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn late() -> Status {
    Status::deadline_exceeded(
        "the request did not arrive whole in time: it was not taken; send it again",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::future::poll_fn;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::ReceiverStream;

    const SHORT: Duration = Duration::from_millis(50);

    fn message(length: usize) -> Vec<u8> {
        [&[0][..], &(length as u32).to_be_bytes(), &vec![7; length]].concat()
    }

    #[test]
    fn the_position_is_known_however_the_bytes_are_cut() {
        let all = [message(3), message(0), message(300), message(1)].concat();
        let ends = [8, 13, 318, 324];
        for size in [1, 2, 3, 5, 7, 64, 1_000] {
            let mut at = Position::default();
            let mut seen = 0;
            for piece in all.chunks(size) {
                at.advance(piece);
                seen += piece.len();
                let begun = ends.iter().rfind(|end| **end <= seen).unwrap_or(&0);
                assert_eq!(at.read, seen - begun, "after {seen} bytes by {size}");
            }
        }
    }

    type Sender = mpsc::Sender<Result<Bytes, Status>>;

    fn arriving(budget: &Arc<Semaphore>) -> (Sender, Arriving) {
        let (sender, receiver) = mpsc::channel(8);
        let body = axum::body::Body::from_stream(ReceiverStream::new(receiver));
        let arriving = Arriving::new(Body::new(body), budget.clone(), SHORT);
        (sender, arriving)
    }

    async fn next(arriving: &mut Arriving) -> Option<Result<Frame<Bytes>, Status>> {
        poll_fn(|context| Pin::new(&mut *arriving).poll_frame(context)).await
    }

    #[tokio::test]
    async fn half_a_message_has_a_deadline_and_a_whole_one_has_none() {
        let budget = Arc::new(Semaphore::new(1_000));
        let (sender, mut body) = arriving(&budget);
        sender.send(Ok(message(100).into())).await.unwrap();
        assert!(next(&mut body).await.unwrap().is_ok());
        let silent = tokio::time::timeout(2 * SHORT, next(&mut body)).await;
        assert!(silent.is_err(), "a stream may be silent between messages");

        let half = Bytes::from(message(100)).slice(..50);
        sender.send(Ok(half)).await.unwrap();
        assert!(next(&mut body).await.unwrap().is_ok());
        assert_eq!(budget.available_permits(), 950);
        let late = next(&mut body).await.unwrap().unwrap_err();
        assert_eq!(late.code(), Code::DeadlineExceeded);
        drop(body);
        assert_eq!(budget.available_permits(), 1_000);
    }

    #[tokio::test]
    async fn dribbling_does_not_move_the_deadline() {
        let (sender, mut body) = arriving(&Arc::new(Semaphore::new(1_000)));
        tokio::spawn(async move {
            for byte in message(100) {
                if sender.send(Ok(vec![byte].into())).await.is_err() {
                    return;
                }
                tokio::time::sleep(SHORT / 10).await;
            }
        });
        let refused = loop {
            match next(&mut body).await.unwrap() {
                Ok(_) => {}
                Err(status) => break status,
            }
        };
        assert_eq!(refused.code(), Code::DeadlineExceeded);
    }

    #[tokio::test]
    async fn beyond_the_budget_only_half_messages_are_refused() {
        let budget = Arc::new(Semaphore::new(100));
        let half = Bytes::from(message(200)).slice(..80);
        let (first, mut one) = arriving(&budget);
        first.send(Ok(half.clone())).await.unwrap();
        assert!(next(&mut one).await.unwrap().is_ok());

        let (second, mut two) = arriving(&budget);
        second.send(Ok(half)).await.unwrap();
        let full = next(&mut two).await.unwrap().unwrap_err();
        assert_eq!(full.code(), Code::ResourceExhausted);

        let (third, mut whole) = arriving(&budget);
        third.send(Ok(message(500).into())).await.unwrap();
        assert!(next(&mut whole).await.unwrap().is_ok());

        let rest = Bytes::from(message(200)).slice(80..);
        first.send(Ok(rest)).await.unwrap();
        assert!(next(&mut one).await.unwrap().is_ok());
        assert_eq!(budget.available_permits(), 100);
    }
}
