//! Starts and stops the servers.

use super::accept::{self, CappedListener, Owes};
use super::answers::{Answers, Caps};
use super::arrival::{InTime, PATIENCE};
use super::blocks::Readers;
use super::departure::Counting;
use super::ledger::LedgerService;
use super::proto::ledger_server::LedgerServer;
use super::{NodeInfo, admin};
use crate::handle::NodeHandle;
use anyhow::{Context as _, Result};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// Calls of one connection at a time.
const CALLS: u32 = 1024;
/// Flow-control windows.
const WINDOW: u32 = 4 << 20;
/// A request besides its transaction's body.
const OVERHEAD: usize = 1024;
/// A request that has not even arrived by then is dropped: above the longest that one may wait.
const STALLED: Duration = Duration::from_secs(65);
/// How often the health service learns of the node's state.
const HEALTH: Duration = Duration::from_millis(500);
/// How long open calls may take to end when the node stops.
const GRACE: Duration = Duration::from_secs(2);

/// Bound before the node starts, so that a taken port is told at once.
pub struct Listeners {
    rpc: TcpListener,
    admin: TcpListener,
}

impl Listeners {
    /// Binds both ports.
    ///
    /// # Errors
    /// If one is taken or may not be used: names it.
    pub async fn bind(rpc: SocketAddr, admin: SocketAddr) -> Result<Self> {
        Ok(Self {
            rpc: bind("rpc", rpc)?,
            admin: bind("admin", admin)?,
        })
    }

    /// Where they listen: RPC and HTTP.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.rpc.local_addr()?, self.admin.local_addr()?))
    }
}

fn bind(what: &str, address: SocketAddr) -> Result<TcpListener> {
    accept::listen(address).with_context(|| {
        format!(
            "cannot listen on {address} ({what}): stop what uses the port, or change `{what}` in \
             node.toml"
        )
    })
}

/// Serves until the node stops, then lets open calls end for a moment.
///
/// # Errors
/// If a server fails.
pub async fn serve(listeners: Listeners, handle: NodeHandle, info: NodeInfo) -> Result<()> {
    serve_with(listeners, handle, info, Answers::new(Caps::NODE)).await
}

async fn serve_with(
    listeners: Listeners,
    handle: NodeHandle,
    info: NodeInfo,
    answers: Arc<Answers>,
) -> Result<()> {
    let stop = handle.shutdown();
    let (health, health_service) = tonic_health::server::health_reporter();
    let watch = tokio::spawn(report_health(health, handle.clone(), answers.clone()));
    let admin = admin::serve(listeners.admin, handle.clone(), info.clone(), stop.clone());
    let most = info.caps.connections;
    let ledger = counted(handle, info, &answers);
    let connections = CappedListener::new(listeners.rpc, most, Owes::Preface, PATIENCE);
    let connections = connections.into_stream(answers);
    let rpc = Server::builder()
        .timeout(STALLED)
        .max_concurrent_streams(CALLS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .add_service(health_service)
        .add_service(ledger)
        .serve_with_incoming_shutdown(Box::pin(connections), stop.clone().cancelled_owned());
    let both = async {
        tokio::try_join!(
            async { rpc.await.context("the RPC server failed") },
            async { admin.await.context("the HTTP server failed") }
        )
    };
    let result = tokio::select! {
        result = both => result.map(|_| ()),
        () = grace(&stop) => Ok(()),
    };
    watch.abort();
    result
}

/// The gRPC service without connections, for who calls it himself.
#[must_use]
pub fn ledger(
    handle: NodeHandle,
    info: NodeInfo,
) -> impl Service<
    http::Request<Body>,
    Response = http::Response<Body>,
    Error = Infallible,
    Future: Send + 'static,
> + NamedService
+ Clone
+ Send
+ Sync
+ 'static {
    counted(handle, info, &Answers::new(Caps::NODE))
}

fn counted(
    handle: NodeHandle,
    info: NodeInfo,
    answers: &Arc<Answers>,
) -> Counting<InTime<LedgerServer<LedgerService>>> {
    let largest = info.transaction_bytes() + OVERHEAD;
    let service = LedgerServer::new(LedgerService {
        handle,
        info,
        readers: Readers::new(),
    });
    let service = InTime::new(service.max_decoding_message_size(largest));
    Counting::new(service, answers)
}

/// A client that keeps a stream open must not keep the node from stopping.
async fn grace(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

async fn report_health(reporter: HealthReporter, handle: NodeHandle, answers: Arc<Answers>) {
    let name = <LedgerServer<LedgerService> as NamedService>::NAME;
    loop {
        let status = match handle.status().waiting {
            None => ServingStatus::Serving,
            Some(_) => ServingStatus::NotServing,
        };
        reporter.set_service_status(name, status).await;
        let metrics = handle.metrics();
        metrics.queue("answer_bytes", answers.waiting());
        tokio::time::sleep(HEALTH).await;
    }
}

#[cfg(test)]
mod tests;
