//! Many transactions on one stream: for load.

use super::endpoints::connect;
use super::{Client, ClientError};
use crate::rpc::proto::{Failure, Receipt, SubmitRequest, TaggedRequest, Wait, tagged_response};
use crypto::Transaction;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::rpc::proto::TaggedResponse;

/// Requests on their way to the connection.
const QUEUE: usize = 1024;

/// What became of one transaction of a stream.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Committed (or accepted, if no more was asked for).
    Done(Receipt),
    /// Not taken, or without effect: what was sent once only may be sent anew as another transaction.
    Failed(Failure),
    /// It may have been done, or will be: ask for its receipt, or send the same one again.
    Unknown(Failure),
}

impl Outcome {
    fn of(outcome: Option<tagged_response::Outcome>) -> Self {
        match outcome {
            Some(tagged_response::Outcome::Receipt(receipt)) => Self::Done(receipt),
            Some(tagged_response::Outcome::Failure(failure)) if was_refused(&failure) => {
                Self::Failed(failure)
            }
            Some(tagged_response::Outcome::Failure(failure)) => Self::Unknown(failure),
            None => Self::Unknown(Failure {
                code: Code::Internal.into(),
                message: "an answer without an outcome".into(),
                retry_after_ms: 0,
            }),
        }
    }
}

/// Whether the node says by this that the transaction had no effect.
fn was_refused(failure: &Failure) -> bool {
    matches!(
        Code::from(failure.code),
        Code::InvalidArgument
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::PermissionDenied
            | Code::ResourceExhausted
    )
}

/// A stream to one node: requests in, answers out in any order.
pub struct SubmitStream {
    requests: mpsc::Sender<TaggedRequest>,
    answers: Streaming<TaggedResponse>,
}

impl SubmitStream {
    /// Opens a stream, on a connection of its own, to the node of this URL.
    ///
    /// # Errors
    /// [`ClientError::BadEndpoint`], or what the node refused.
    pub async fn open(url: &str) -> Result<Self, ClientError> {
        Self::on(connect(url)?).await
    }

    /// Opens a stream to the node that the client asks first now.
    ///
    /// # Errors
    /// What the node refused.
    pub async fn of(client: &Client) -> Result<Self, ClientError> {
        Self::on(client.ledger()).await
    }

    async fn on(mut ledger: super::endpoints::Ledger) -> Result<Self, ClientError> {
        let (requests, queue) = mpsc::channel(QUEUE);
        let answers = ledger
            .submit_stream(ReceiverStream::new(queue))
            .await
            .map_err(refused)?
            .into_inner();
        Ok(Self { requests, answers })
    }

    /// The two halves, for two tasks.
    #[must_use]
    pub fn split(self) -> (SubmitSender, SubmitAnswers) {
        (SubmitSender(self.requests), SubmitAnswers(self.answers))
    }
}

/// The half that submits.
#[derive(Clone)]
pub struct SubmitSender(mpsc::Sender<TaggedRequest>);

impl SubmitSender {
    /// Submits one; the answer comes back with the tag. Waits while the connection is congested.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn submit(
        &self,
        tag: u64,
        transaction: &Transaction,
        wait: Wait,
    ) -> Result<(), ClientError> {
        let request = SubmitRequest {
            transaction: Some(transaction.into()),
            wait: wait.into(),
        };
        let request = TaggedRequest {
            tag,
            request: Some(request),
        };
        self.0
            .send(request)
            .await
            .map_err(|_| refused(Status::unavailable("the stream to the node broke")))
    }
}

/// The half that hears the answers.
pub struct SubmitAnswers(Streaming<TaggedResponse>);

impl SubmitAnswers {
    /// The next answer; `None` at the end of the stream.
    ///
    /// # Errors
    /// If the connection broke: the outcome of what is not answered is unknown.
    pub async fn next(&mut self) -> Result<Option<(u64, Outcome)>, ClientError> {
        let Some(answer) = self.0.message().await.map_err(refused)? else {
            return Ok(None);
        };
        Ok(Some((answer.tag, Outcome::of(answer.outcome))))
    }
}

fn refused(status: Status) -> ClientError {
    ClientError::Refused(Box::new(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_refused_is_not_unknown() {
        for (code, refused) in [
            (Code::InvalidArgument, true),
            (Code::AlreadyExists, true),
            (Code::FailedPrecondition, true),
            (Code::OutOfRange, true),
            (Code::PermissionDenied, true),
            (Code::ResourceExhausted, true),
            (Code::DeadlineExceeded, false),
            (Code::Unavailable, false),
            (Code::Cancelled, false),
            (Code::Internal, false),
        ] {
            let failure = Failure {
                code: code.into(),
                ..Failure::default()
            };
            let outcome = Outcome::of(Some(tagged_response::Outcome::Failure(failure)));
            assert_eq!(matches!(outcome, Outcome::Failed(_)), refused, "{code}");
            assert_eq!(matches!(outcome, Outcome::Unknown(_)), !refused, "{code}");
        }
        assert!(matches!(Outcome::of(None), Outcome::Unknown(_)));
    }
}
