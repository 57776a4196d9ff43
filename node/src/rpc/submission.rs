//! A transaction that was sent, until there is an answer.

use super::answers::Kind;
use super::connection::Connection;
use super::convert::{bytes_of, invalid, receipt};
use super::held::{Held, Room};
use super::ledger::LedgerService;
use super::outbox::Sender;
use super::proto::{
    Failure, Receipt, SubmitRequest, TaggedRequest, TaggedResponse, Wait, tagged_response,
};
use super::{outcome, refusal};
use crypto::Transaction;
use engine::Reply;
use futures::stream::{FuturesUnordered, unfold};
use futures::{FutureExt as _, StreamExt as _};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Status, Streaming};

/// How long a request of a stream may wait: a stream has no deadline of its own for each.
const STREAM_DEADLINE: Duration = Duration::from_secs(30);
/// A body that is longer does not wait for room, since it takes some itself.
const MAY_WAIT: usize = 8 << 10;

/// One that was checked as far as it can be alone.
struct Submission {
    transaction: Transaction,
    wait: engine::Wait,
    /// How long its outcome may be, if that may be long.
    longest: Option<usize>,
}

impl Submission {
    /// Room for its outcome, if that may be long; waits for it until then.
    async fn room(
        &self,
        connection: &Arc<Connection>,
        end: Instant,
    ) -> Result<Option<Room>, Status> {
        let Some(most) = self.longest else {
            return Ok(None);
        };
        let bytes = connection.expected.of(most);
        let room = match self.transaction.body.len() {
            ..=MAY_WAIT => connection.reserve_by(Kind::Outcome, bytes, end).await?,
            _ => connection.try_reserve(Kind::Outcome, bytes)?,
        };
        Ok(Some(room))
    }
}

/// One of a stream, with a place for its answer.
struct Tagged {
    tag: u64,
    end: Instant,
    place: mpsc::OwnedPermit<(TaggedResponse, Held)>,
    /// With room for what there may be to tell; or why it is not taken.
    taken: Result<(Submission, Option<Room>), Status>,
}

impl LedgerService {
    /// Submits one, and waits for its outcome.
    pub(super) async fn submit_one(
        &self,
        request: SubmitRequest,
        connection: &Arc<Connection>,
        end: Instant,
    ) -> Result<(Receipt, Held), Status> {
        let submission = self.check(request)?;
        let room = submission.room(connection, end).await?;
        let receipt = self.execute(submission, end).await?;
        outcome::counted(connection, room, receipt)
    }

    /// Checks what the request alone tells.
    fn check(&self, request: SubmitRequest) -> Result<Submission, Status> {
        let wait = match request.wait() {
            Wait::Accepted => engine::Wait::Accepted,
            Wait::Committed | Wait::Unspecified => engine::Wait::Committed,
        };
        let transaction = request
            .transaction
            .ok_or_else(|| invalid("transaction is missing"))?;
        let transaction = Transaction::try_from(transaction)?;
        let body = self.info.admit(&transaction)?;
        let longest = match wait {
            // No more than that it was accepted is told.
            engine::Wait::Accepted => None,
            engine::Wait::Committed => outcome::longest(&body, &self.info),
        };
        Ok(Submission {
            transaction,
            wait,
            longest,
        })
    }

    async fn execute(&self, submission: Submission, end: Instant) -> Result<Receipt, Status> {
        let Submission {
            transaction, wait, ..
        } = submission;
        let id = bytes_of(&transaction.digest());
        match self.handle.submit(transaction, wait, end).await {
            Ok(Reply::Executed(done)) => receipt(&done),
            Ok(_) => Ok(Receipt {
                id,
                ..Receipt::default()
            }),
            Err(error) => Err(refusal::status(error)),
        }
    }

    async fn submit_tagged(
        self,
        tagged: Tagged,
        connection: Arc<Connection>,
    ) -> Result<(), Status> {
        let (outcome, room) = match tagged.taken {
            Ok((submission, room)) => (self.execute(submission, tagged.end).await, room),
            Err(why) => (Err(why), None),
        };
        let answer = outcome::counted(&connection, room, answer(tagged.tag, outcome))?;
        tagged.place.send(answer);
        Ok(())
    }

    /// The next of a stream, once there is a place for its answer, and room if it may be long. So
    /// answers wait for nobody, and none that is there is forgotten uncounted where it came from.
    async fn next(
        &self,
        requests: &mut Streaming<TaggedRequest>,
        connection: &Arc<Connection>,
        answers: &mpsc::Sender<(TaggedResponse, Held)>,
    ) -> Option<Tagged> {
        let place = answers.clone().reserve_owned().await.ok()?;
        let TaggedRequest { tag, request } = requests.message().await.ok()??;
        let end = Instant::now() + STREAM_DEADLINE;
        let checked = match request {
            Some(request) => self.check(request),
            None => Err(invalid("request is missing")),
        };
        let taken = match checked {
            Ok(submission) => {
                let room = submission.room(connection, end).await;
                room.map(|room| (submission, room))
            }
            Err(why) => Err(why),
        };
        Some(Tagged {
            tag,
            end,
            place,
            taken,
        })
    }

    /// Answers a stream until the client closes it, breaks it, or the node stops.
    pub(super) async fn serve_stream(
        self,
        requests: Streaming<TaggedRequest>,
        connection: Arc<Connection>,
        answers: Sender<TaggedResponse>,
    ) {
        let (stop, out) = (self.handle.shutdown(), answers.messages);
        let (service, to, ready) = (&self, &connection, &out);
        // What one has waited for is not lost while others are answered.
        let mut requests = pin!(unfold(requests, |mut requests| async move {
            let next = service.next(&mut requests, to, ready).await?;
            Some((next, requests))
        }));
        let mut running = FuturesUnordered::new();
        let mut open = true;
        while open || !running.is_empty() {
            tokio::select! {
                next = requests.next(), if open => match next {
                    Some(next) => {
                        running.push(self.clone().submit_tagged(next, connection.clone()).boxed());
                    }
                    None => open = false,
                },
                Some(given) = running.next(), if !running.is_empty() => {
                    if let Err(untold) = given {
                        answers.end.send(untold).ok();
                        return;
                    }
                }
                () = stop.cancelled(), if open => open = false,
                () = out.closed() => return,
            }
        }
    }
}

fn answer(tag: u64, outcome: Result<Receipt, Status>) -> TaggedResponse {
    let outcome = match outcome {
        Ok(receipt) => tagged_response::Outcome::Receipt(receipt),
        Err(status) => tagged_response::Outcome::Failure(Failure {
            code: status.code().into(),
            message: status.message().to_owned(),
            retry_after_ms: refusal::retry_after(&status),
        }),
    };
    TaggedResponse {
        tag,
        outcome: Some(outcome),
    }
}
