//! The operator's HTTP, on loopback: /healthz, /readyz, /status, /metrics.

use super::NodeInfo;
use super::accept::{CappedListener, Owes};
use crate::handle::NodeHandle;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// How long a request may take to arrive, and the next one to begin. Scrapers ask every 15 seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// `/status`. Field names are stable.
#[derive(Debug, Serialize)]
struct Report {
    node: u16,
    chain: String,
    fault_model: String,
    protocol: &'static str,
    n: usize,
    f: usize,
    quorum: usize,
    election_quorum: usize,
    view: u64,
    leader: Option<u16>,
    height: u64,
    history: String,
    state_height: u64,
    state_digest: String,
    pending: usize,
    peers: Vec<Peer>,
    evidence: Vec<Lie>,
    waiting: Option<String>,
}

#[derive(Debug, Serialize)]
struct Peer {
    node: u16,
    connected: bool,
}

/// A slot for which a node signed two contradicting statements.
#[derive(Debug, Serialize)]
struct Lie {
    node: u16,
    kind: &'static str,
    epoch: u64,
    view: u64,
    height: u64,
}

type Shared = Arc<(NodeHandle, NodeInfo)>;

/// Serves until `stop`.
///
/// # Errors
/// If the listener fails for good.
pub(super) async fn serve(
    listener: TcpListener,
    handle: NodeHandle,
    info: NodeInfo,
    stop: CancellationToken,
) -> io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .with_state(Arc::new((handle, info)));
    let listener = CappedListener::new(listener, CONNECTIONS, Owes::Requests, PATIENCE);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

async fn ready(State(shared): State<Shared>) -> (StatusCode, String) {
    match &shared.0.status().waiting {
        None => (StatusCode::OK, "ok\n".into()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn status(State(shared): State<Shared>) -> Json<Report> {
    let (handle, info) = &*shared;
    let status = handle.status();
    let peers = info
        .others(status.node)
        .map(|node| Peer {
            node: node.0,
            connected: status.connected.contains(node),
        })
        .collect();
    let evidence = status.evidence.iter().map(|(node, slot)| Lie {
        node: node.0,
        kind: slot.kind.name(),
        epoch: slot.epoch.0,
        view: slot.view.0,
        height: slot.height.0,
    });
    Json(Report {
        node: status.node.0,
        chain: info.chain.to_string(),
        fault_model: status.fault_model.to_string(),
        protocol: status.protocol,
        n: info.quorums.n,
        f: info.quorums.f,
        quorum: info.quorums.commit,
        election_quorum: info.quorums.election,
        view: status.consensus.view.0,
        leader: status.consensus.leader.map(|leader| leader.0),
        height: status.consensus.height.0,
        history: status.consensus.history.to_string(),
        state_height: status.state_height.0,
        state_digest: status.state_digest.to_string(),
        pending: status.pending.transactions,
        peers,
        evidence: evidence.collect(),
        waiting: status.waiting.clone(),
    })
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.0.metrics().encode())
}
