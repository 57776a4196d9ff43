//! The gRPC service `quorate.v1.Ledger`.

use super::convert::{bytes_of, invalid, public_key, receipt};
use super::deadline::deadline;
use super::proto::{
    BlocksRequest, Consistency, Failure, GetReceiptRequest, Lie, Peer, RangeRequest, RangeResponse,
    Receipt, SessionRequest, SessionResponse, StatusRequest, StatusResponse, SubmitRequest,
    TaggedRequest, TaggedResponse, Wait, ledger_server::Ledger, tagged_response,
};
use super::{NodeInfo, blocks, range, refusal};
use crate::handle::{NodeHandle, RequestError};
use crypto::{Height, PublicKey, Transaction};
use engine::Reply;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Unanswered requests of one stream; the next one waits in the connection.
const STREAM_REQUESTS: usize = 4096;
/// Answers of one stream that wait for the connection.
const STREAM_ANSWERS: usize = 1024;
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

    async fn submit_tagged(self, tagged: TaggedRequest) -> TaggedResponse {
        let end = Instant::now() + STREAM_DEADLINE;
        let outcome = match tagged.request {
            Some(request) => self.submit_one(request, end).await,
            None => Err(invalid("request is missing")),
        };
        let outcome = match outcome {
            Ok(receipt) => tagged_response::Outcome::Receipt(receipt),
            Err(status) => tagged_response::Outcome::Failure(Failure {
                code: status.code().into(),
                message: status.message().to_owned(),
                retry_after_ms: refusal::retry_after(&status),
            }),
        };
        TaggedResponse {
            tag: tagged.tag,
            outcome: Some(outcome),
        }
    }

    /// Answers a stream until the client closes it, breaks it, or the node stops.
    async fn serve_stream(
        self,
        mut requests: Streaming<TaggedRequest>,
        answers: mpsc::Sender<Result<TaggedResponse, Status>>,
    ) {
        let stop = self.handle.shutdown();
        let mut running = FuturesUnordered::new();
        let mut open = true;
        while open || !running.is_empty() {
            tokio::select! {
                request = requests.message(), if open && running.len() < STREAM_REQUESTS => {
                    match request {
                        Ok(Some(request)) => running.push(self.clone().submit_tagged(request)),
                        Ok(None) => open = false,
                        Err(_) => return,
                    }
                }
                Some(answer) = running.next(), if !running.is_empty() => {
                    if answers.send(Ok(answer)).await.is_err() {
                        return;
                    }
                }
                () = stop.cancelled() => open = false,
            }
        }
    }
}

#[tonic::async_trait]
impl Ledger for LedgerService {
    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<Receipt>, Status> {
        let end = deadline(request.metadata());
        let receipt = self.submit_one(request.into_inner(), end).await?;
        Ok(Response::new(receipt))
    }

    type SubmitStreamStream = ReceiverStream<Result<TaggedResponse, Status>>;

    async fn submit_stream(
        &self,
        request: Request<Streaming<TaggedRequest>>,
    ) -> Result<Response<Self::SubmitStreamStream>, Status> {
        let (answers, out) = mpsc::channel(STREAM_ANSWERS);
        tokio::spawn(self.clone().serve_stream(request.into_inner(), answers));
        Ok(Response::new(ReceiverStream::new(out)))
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
        let request = request.into_inner();
        if request.consistency() != Consistency::Local {
            let height = self.handle.read(end).await.map_err(refusal::status)?;
            self.executed(height, end).await?;
        }
        let state = self.handle.state();
        let info = self.info.clone();
        let answer = range::blocking(move || range::read(&state, &request, &info)).await?;
        Ok(Response::new(answer))
    }

    type BlocksStream = blocks::Blocks;

    async fn blocks(
        &self,
        request: Request<BlocksRequest>,
    ) -> Result<Response<Self::BlocksStream>, Status> {
        let client = request.remote_addr();
        let handle = self.handle.clone();
        let blocks = self.readers.stream(handle, request.into_inner(), client)?;
        Ok(Response::new(blocks))
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
