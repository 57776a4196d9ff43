//! The gRPC service `quorate.v1.Ledger`.

use super::answers::Kind;
use super::arrival::PREFIX;
use super::connection::Connection;
use super::convert::{bytes_of, public_key, receipt};
use super::deadline::deadline;
use super::held::{Held, SHORT};
use super::outbox::Outbox;
use super::proto::{
    BlocksRequest, Consistency, GetReceiptRequest, Lie, Peer, RangeRequest, RangeResponse, Receipt,
    SessionRequest, SessionResponse, StatusRequest, StatusResponse, SubmitRequest, TaggedRequest,
    TaggedResponse, ledger_server::Ledger,
};
use super::purse::Purse;
use super::{NodeInfo, blocks, outcome, range, refusal};
use crate::handle::{NodeHandle, RequestError};
use crypto::{Height, PublicKey};
use prost::Message as _;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status, Streaming};

/// Requests of one stream whose answers the connection has not asked for; the next one waits in it.
const STREAM_REQUESTS: usize = 4096;

/// The service.
#[derive(Clone)]
pub(super) struct LedgerService {
    pub(super) handle: NodeHandle,
    pub(super) info: NodeInfo,
    pub(super) readers: blocks::Readers,
}

#[tonic::async_trait]
impl Ledger for LedgerService {
    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<Receipt>, Status> {
        let end = deadline(request.metadata());
        let connection = Connection::of(&request);
        let told = self.submit_one(request.into_inner(), &connection, end);
        Ok(Purse::of(told.await?))
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
        let connection = Connection::of(&request);
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
            Ok(found) => {
                let told = outcome::counted(&connection, None, receipt(&found)?)?;
                Ok(Purse::of(told))
            }
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
        let answer = self.read(&connection, request, end).await?;
        Ok(Purse::of(answer))
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

    /// Reads a range, and counts what it finds.
    async fn read(
        &self,
        connection: &Arc<Connection>,
        request: RangeRequest,
        end: Instant,
    ) -> Result<(RangeResponse, Held), Status> {
        // How long it is nobody knows before it is read, and most are much shorter than they could be.
        let leave = timeout_at(end, connection.read()).await;
        let leave = leave.map_err(|_| range::busy())?;
        let (state, info, asked) = (self.handle.state(), self.info.clone(), request.clone());
        let to = connection.clone();
        let found = range::blocking(move || {
            let answer = range::read(&state, &asked, &info)?;
            let bytes = PREFIX + answer.encoded_len();
            let kind = if bytes < SHORT {
                Kind::Short
            } else {
                Kind::Range
            };
            let held = to.admit(kind, bytes).ok();
            drop(leave);
            Ok(held.map(|held| (answer, held)))
        });
        if let Some(found) = found.await? {
            return Ok(found);
        }
        // There is no room for it: what was read is gone, and read again when there is.
        let most = range::longest(&request, &self.info);
        let room = connection.reserve_by(Kind::Range, most, end).await?;
        let (state, info) = (self.handle.state(), self.info.clone());
        range::blocking(move || {
            let answer = range::read(&state, &request, &info)?;
            let held = room.answer(PREFIX + answer.encoded_len());
            Ok((answer, held))
        })
        .await
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
