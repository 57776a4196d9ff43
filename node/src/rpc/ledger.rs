//! The gRPC service `quorate.v1.Ledger`.

use super::answers::Kind;
use super::arrival::PREFIX;
use super::connection::Connection;
use super::convert::{bytes_of, invalid, public_key, receipt};
use super::deadline::deadline;
use super::held::Held;
use super::outbox::{Outbox, Sender};
use super::proto::{
    BlocksRequest, Consistency, Failure, GetReceiptRequest, Lie, Peer, RangeRequest, RangeResponse,
    Receipt, SessionRequest, SessionResponse, StatusRequest, StatusResponse, SubmitRequest,
    TaggedRequest, TaggedResponse, Wait, ledger_server::Ledger, tagged_response,
};
use super::purse::Purse;
use super::{NodeInfo, blocks, range, refusal};
use crate::handle::{NodeHandle, RequestError};
use crypto::{Height, PublicKey, Transaction};
use engine::Reply;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::OwnedPermit;
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status, Streaming};

/// Requests of one stream whose answers the connection has not asked for; the next one waits in it.
const STREAM_REQUESTS: usize = 4096;
/// How long a request of a stream may wait: a stream has no deadline of its own for each.
const STREAM_DEADLINE: Duration = Duration::from_secs(30);

/// The service.
#[derive(Clone)]
pub(super) struct LedgerService {
    pub(super) handle: NodeHandle,
    pub(super) info: NodeInfo,
    pub(super) readers: blocks::Readers,
}

impl LedgerService {
    /// Checks what the request alone tells, then submits.
    async fn submit_one(&self, request: SubmitRequest, end: Instant) -> Result<Receipt, Status> {
        let wait = match request.wait() {
            Wait::Accepted => engine::Wait::Accepted,
            Wait::Committed | Wait::Unspecified => engine::Wait::Committed,
        };
        let transaction = request
            .transaction
            .ok_or_else(|| invalid("transaction is missing"))?;
        let transaction = Transaction::try_from(transaction)?;
        self.info.admit(&transaction)?;
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
        tagged: TaggedRequest,
        connection: Arc<Connection>,
    ) -> Result<(TaggedResponse, Held), Status> {
        let end = Instant::now() + STREAM_DEADLINE;
        let outcome = match tagged.request {
            Some(request) => self.submit_one(request, end).await,
            None => Err(invalid("request is missing")),
        };
        let counted = |outcome| {
            let answer = answer(tagged.tag, outcome);
            let held = connection.admit(Kind::Outcome, PREFIX + answer.encoded_len());
            held.map(|held| (answer, held))
        };
        // That there is no room for the outcome is short.
        counted(outcome).or_else(|full| counted(Err(full)))
    }

    /// Answers a stream until the client closes it, breaks it, or the node stops.
    async fn serve_stream(
        self,
        mut requests: Streaming<TaggedRequest>,
        connection: Arc<Connection>,
        answers: Sender<TaggedResponse>,
    ) {
        let (stop, out) = (self.handle.shutdown(), answers.messages);
        let mut running = FuturesUnordered::new();
        let mut open = true;
        while open || !running.is_empty() {
            // A request is taken once there is a place for its answer. So answers wait for nobody,
            // and none that is there is forgotten uncounted where it came from.
            let next = async {
                let place = out.clone().reserve_owned().await.ok()?;
                let request = requests.message().await.ok()??;
                Some((place, request))
            };
            tokio::select! {
                next = next, if open => match next {
                    Some((place, request)) => {
                        let submit = self.clone().submit_tagged(request, connection.clone());
                        running.push(submit.map(move |answer| give(place, answer)));
                    }
                    None => open = false,
                },
                Some(given) = running.next(), if !running.is_empty() => {
                    if let Err(full) = given {
                        answers.end.send(full).ok();
                        return;
                    }
                }
                () = stop.cancelled(), if open => open = false,
                () = out.closed() => return,
            }
        }
    }
}

fn give(
    place: OwnedPermit<(TaggedResponse, Held)>,
    answer: Result<(TaggedResponse, Held), Status>,
) -> Result<(), Status> {
    answer.map(|answer| drop(place.send(answer)))
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

#[tonic::async_trait]
impl Ledger for LedgerService {
    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<Receipt>, Status> {
        let end = deadline(request.metadata());
        let receipt = self.submit_one(request.into_inner(), end).await?;
        Ok(Response::new(receipt))
    }

    type SubmitStreamStream = Outbox<TaggedResponse>;

    async fn submit_stream(
        &self,
        request: Request<Streaming<TaggedRequest>>,
    ) -> Result<Response<Self::SubmitStreamStream>, Status> {
        let connection = Connection::of(&request);
        let (answers, out) = Outbox::new(STREAM_REQUESTS, ());
        let served = self
            .clone()
            .serve_stream(request.into_inner(), connection, answers);
        tokio::spawn(served);
        Ok(out.response())
    }

    async fn session(
        &self,
        request: Request<SessionRequest>,
    ) -> Result<Response<SessionResponse>, Status> {
        let client = public_key("client", &request.into_inner().client)?;
        let state = self.handle.state();
        let session = range::blocking(move || state.session(&client).map_err(range::failed));
        let session = session.await?;
        Ok(Response::new(SessionResponse {
            next_sequence: session.next,
            height: session.applied.height.0,
            lifetime: self.info.limits.lifetime,
            chain: bytes_of(&self.info.chain.0),
            unsigned: self.info.unsigned(),
        }))
    }

    async fn get_receipt(
        &self,
        request: Request<GetReceiptRequest>,
    ) -> Result<Response<Receipt>, Status> {
        let end = deadline(request.metadata());
        let request = request.into_inner();
        let client = public_key("client", &request.client)?;
        // The question is put to the machine before the state is looked at: what is executed after
        // the look is told by the machine, so one look is enough.
        let found = tokio::select! {
            biased;
            found = self.handle.await_receipt(client, request.sequence, end) => found,
            Some(stored) = self.stored_receipt(client, request.sequence) => Ok(stored?),
        };
        match found {
            Ok(found) => Ok(Response::new(receipt(&found)?)),
            Err(RequestError::Deadline) => Err(Status::deadline_exceeded(format!(
                "no transaction of this client with sequence {} was executed here in time: ask \
                 again later, or send it again",
                request.sequence
            ))),
            Err(error) => Err(refusal::status(error)),
        }
    }

    async fn range(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<RangeResponse>, Status> {
        let end = deadline(request.metadata());
        let connection = Connection::of(&request);
        let request = request.into_inner();
        if request.consistency() != Consistency::Local {
            let height = self.handle.read(end).await.map_err(refusal::status)?;
            self.executed(height, end).await?;
        }
        let room = connection.reserve(Kind::Range, self.info.range_bytes());
        let room = timeout_at(end, room).await;
        let room = room.map_err(|_| connection.full())?;
        let (state, info) = (self.handle.state(), self.info.clone());
        let read = range::blocking(move || {
            let answer = range::read(&state, &request, &info)?;
            let held = room.answer(PREFIX + answer.encoded_len());
            Ok((answer, held))
        });
        let (answer, held) = read.await?;
        let purse = Arc::new(Purse::default());
        purse.add(held);
        Ok(purse.response(answer))
    }

    type BlocksStream = blocks::Blocks;

    async fn blocks(
        &self,
        request: Request<BlocksRequest>,
    ) -> Result<Response<Self::BlocksStream>, Status> {
        let connection = Connection::of(&request);
        let (handle, request) = (self.handle.clone(), request.into_inner());
        let blocks = self.readers.stream(handle, request, connection).await?;
        Ok(blocks.response())
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(self.report()))
    }
}

impl LedgerService {
    /// Waits until this height is executed here. The machine answers a read only then; what it
    /// cannot know is how far the reader's view of the state has come.
    async fn executed(&self, height: Height, end: Instant) -> Result<(), Status> {
        let mut executed = self.handle.executed();
        let reached = timeout_at(end, executed.wait_for(|now| *now >= height)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Status::unavailable("this node shuts down: ask another")),
            Err(_) => Err(Status::deadline_exceeded(format!(
                "height {height} is not executed here yet: try again, or read with LOCAL"
            ))),
        }
    }

    /// The receipt of what is executed already; `None` if it is not.
    async fn stored_receipt(
        &self,
        client: PublicKey,
        sequence: u64,
    ) -> Option<Result<storage::Receipt, Status>> {
        let state = self.handle.state();
        let look = move || state.receipt(&client, sequence).map_err(range::failed);
        range::blocking(look).await.transpose()
    }

    fn report(&self) -> StatusResponse {
        let status = self.handle.status();
        let peers = self.info.others(status.node).map(|node| Peer {
            node: node.0.into(),
            connected: status.connected.contains(node),
        });
        let evidence = status.evidence.iter().map(|(node, slot)| Lie {
            node: node.0.into(),
            kind: slot.kind.name().to_owned(),
            epoch: slot.epoch.0,
            view: slot.view.0,
            height: slot.height.0,
        });
        StatusResponse {
            node: status.node.0.into(),
            chain: bytes_of(&self.info.chain.0),
            fault_model: status.fault_model.to_string(),
            protocol: status.protocol.to_owned(),
            n: self.info.quorums.n as u32,
            f: self.info.quorums.f as u32,
            quorum: self.info.quorums.commit as u32,
            election_quorum: self.info.quorums.election as u32,
            view: status.consensus.view.0,
            leader: status.consensus.leader.map(|leader| leader.0.into()),
            height: status.consensus.height.0,
            history: bytes_of(&status.consensus.history),
            state_height: status.state_height.0,
            state_digest: bytes_of(&status.state_digest),
            pending: status.pending.transactions as u64,
            peers: peers.collect(),
            waiting: status.waiting.clone().unwrap_or_default(),
            executed: self.handle.metrics().transactions.get(),
            evidence: evidence.collect(),
        }
    }
}
