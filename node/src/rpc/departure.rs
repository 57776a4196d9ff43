//! Answers that leave slowly: each piece of one is counted until its connection has got rid of it.

use super::answers::{Answers, Kind};
use super::connection::Connection;
use super::held::{Held, SHORT};
use super::purse::Purse;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;

/// A service whose answers are counted: see [`super::answers`].
#[derive(Clone)]
pub(super) struct Counting<S> {
    service: S,
    /// Of those who call without one.
    within: Arc<Connection>,
}

impl<S> Counting<S> {
    pub(super) fn new(service: S, answers: &Arc<Answers>) -> Self {
        Self {
            service,
            within: answers.connect(None),
        }
    }
}

impl<S: NamedService> NamedService for Counting<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Counting<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let known = request.extensions().get::<Option<Arc<Connection>>>();
        let connection = known.cloned().flatten();
        let connection = connection.unwrap_or_else(|| self.within.clone());
        request.extensions_mut().insert(connection.clone());
        let answer = self.service.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            let purse = answer.extensions_mut().remove::<Arc<Purse>>();
            let purse = purse.unwrap_or_default();
            Ok(answer.map(|body| {
                Body::new(Leaving {
                    body,
                    connection,
                    purse,
                    refused: false,
                })
            }))
        })
    }
}

/// An answer's body as it leaves.
struct Leaving {
    body: Body,
    connection: Arc<Connection>,
    purse: Arc<Purse>,
    /// Whether it has ended before its time.
    refused: bool,
}

impl Leaving {
    /// Counts a piece, which may have been counted as a message before.
    fn count(&self, bytes: Bytes) -> Result<Bytes, Status> {
        let mut held = self.purse.take(bytes.len());
        if held.is_empty() {
            let short = bytes.len() < SHORT;
            let kind = if short { Kind::Short } else { Kind::Outcome };
            held.push(self.connection.admit(kind, bytes.len())?);
        }
        Ok(Held::attach(held, bytes))
    }
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.refused {
            return Poll::Ready(None);
        }
        let frame = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end),
        };
        let frame = match frame.into_data().map(|bytes| this.count(bytes)) {
            Ok(Ok(bytes)) => Frame::data(bytes),
            Ok(Err(status)) => {
                this.refused = true;
                let mut trailers = http::HeaderMap::new();
                // Its message is ours and short: it fits into a header.
                status.add_header(&mut trailers).ok();
                Frame::trailers(trailers)
            }
            Err(trailers) => trailers,
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.refused || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
