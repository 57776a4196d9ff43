//! What is needed of etcd's gRPC, version 3: its messages with only the fields that are used.

use prost::Message;
use std::time::Duration;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// `etcdserverpb.PutRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct PutRequest {
    /// Which key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: bytes::Bytes,
    /// Its new value.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: bytes::Bytes,
}

/// `etcdserverpb.PutResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct PutResponse {}

/// `etcdserverpb.RangeRequest`: linearizable, since `serializable` is left out.
#[derive(Clone, PartialEq, Message)]
pub struct RangeRequest {
    /// Which key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: bytes::Bytes,
}

/// `etcdserverpb.RangeResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct RangeResponse {
    /// The key, if it is there.
    #[prost(message, repeated, tag = "2")]
    pub kvs: Vec<KeyValue>,
}

/// `mvccpb.KeyValue`.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// Its value.
    #[prost(bytes = "bytes", tag = "5")]
    pub value: bytes::Bytes,
}

/// `etcdserverpb.StatusRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct StatusRequest {}

/// `etcdserverpb.StatusResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct StatusResponse {
    /// Who answers.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
    /// The member that leads; 0 if none does.
    #[prost(uint64, tag = "4")]
    pub leader: u64,
}

/// `etcdserverpb.ResponseHeader`.
#[derive(Clone, PartialEq, Message)]
pub struct ResponseHeader {
    /// The member that answers.
    #[prost(uint64, tag = "2")]
    pub member_id: u64,
    /// How often the store was written.
    #[prost(int64, tag = "3")]
    pub revision: i64,
}

/// One connection to a member.
#[derive(Clone)]
pub struct Connection(pub Channel);

impl Connection {
    /// `etcdserverpb.KV/Put`.
    pub async fn put(
        &self,
        request: PutRequest,
        patience: Duration,
    ) -> Result<PutResponse, Status> {
        self.call(request, "/etcdserverpb.KV/Put", patience).await
    }

    /// `etcdserverpb.KV/Range`.
    pub async fn range(
        &self,
        request: RangeRequest,
        patience: Duration,
    ) -> Result<RangeResponse, Status> {
        self.call(request, "/etcdserverpb.KV/Range", patience).await
    }

    /// `etcdserverpb.Maintenance/Status`.
    pub async fn status(&self, patience: Duration) -> Result<StatusResponse, Status> {
        let path = "/etcdserverpb.Maintenance/Status";
        self.call(StatusRequest {}, path, patience).await
    }

    async fn call<Q, A>(
        &self,
        message: Q,
        path: &'static str,
        patience: Duration,
    ) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut client = tonic::client::Grpc::new(self.0.clone());
        let ready = client.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = Request::new(message);
        request.set_timeout(patience);
        let path = PathAndQuery::from_static(path);
        let codec = ProstCodec::<Q, A>::default();
        let call = tokio::time::timeout(patience, client.unary(request, path, codec)).await;
        let answer = call.map_err(|_| Status::deadline_exceeded("no answer"))??;
        Ok(answer.into_inner())
    }
}
