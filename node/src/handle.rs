//! What the rest of the program (RPC, HTTP, command line, tests) may ask of a running node.

use crate::runtime::metrics::Metrics;
use crate::runtime::pulse::Pulse;
use crate::runtime::requests::{Answer, Question, Requests};
use crypto::{Height, NodeId, PublicKey, Reject, Time, Transaction};
use engine::{Refusal, Reply, RequestId, Status, Wait};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use storage::{Log, Receipt, StateReader};
use thiserror::Error;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum RequestError {
    /// The transaction is not valid: format, chain, key, signature or limits.
    #[error("{0}")]
    Invalid(Reject),
    /// The node does not take it now, and why.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The deadline passed. The outcome of a transaction is unknown: ask for its receipt, or send
    /// the same one again; it takes effect once.
    #[error("the deadline passed; the outcome is unknown")]
    Deadline,
}

/// A peer's connection, for `/status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Who.
    pub node: NodeId,
    /// Its address in the genesis file.
    pub address: String,
    /// Whether its streams are up now.
    pub connected: bool,
    /// How long it has been so.
    pub since: Duration,
}

/// A running node. Cheap to clone; holds no lock across an await.
#[derive(Clone)]
pub struct NodeHandle {
    pub(crate) shared: Arc<Shared>,
}

/// What all clones share.
pub(crate) struct Shared {
    /// Puts a question to the machine (through verification, where it needs some).
    pub(crate) ask: Box<dyn Fn(Question) + Send + Sync>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) status: Arc<RwLock<Arc<Status>>>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) state: StateReader,
    pub(crate) log: Log,
    pub(crate) executed: watch::Receiver<Height>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: CancellationToken,
    /// Cancelled when the machine has ended: nobody is answered any more.
    pub(crate) gone: CancellationToken,
    pub(crate) peers: Box<dyn Fn() -> Vec<PeerInfo> + Send + Sync>,
    pub(crate) network_address: SocketAddr,
    pub(crate) done: Mutex<Option<oneshot::Receiver<Result<(), String>>>>,
}

impl NodeHandle {
    /// Submits a transaction and waits for [`Reply::Accepted`] or [`Reply::Executed`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn submit(
        &self,
        transaction: Transaction,
        wait: Wait,
        deadline: Instant,
    ) -> Result<Reply, RequestError> {
        self.ask(deadline, |request| Question::Submit {
            request,
            transaction,
            wait,
        })
        .await
    }

    /// Waits until a linearizable read may be served from the local state.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn read(&self, deadline: Instant) -> Result<Height, RequestError> {
        match self
            .ask(deadline, |request| Question::Read { request })
            .await?
        {
            Reply::ReadAt(height) => Ok(height),
            other => Err(unexpected(&other)),
        }
    }

    /// Waits for the receipt of a transaction that was sent before, here or elsewhere.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn await_receipt(
        &self,
        client: PublicKey,
        sequence: u64,
        deadline: Instant,
    ) -> Result<Receipt, RequestError> {
        let question = |request| Question::Await {
            request,
            client,
            sequence,
        };
        match self.ask(deadline, question).await? {
            Reply::Executed(receipt) => Ok(receipt),
            other => Err(unexpected(&other)),
        }
    }

    /// The machine's state a moment ago (a snapshot, taken at most every few milliseconds). A machine
    /// that hangs tells nothing any more: then that is what the node waits for.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        let status = self
            .shared
            .status
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match self.shared.pulse.stopped() {
            None => status,
            why => Arc::new(Status {
                waiting: why,
                ..(*status).clone()
            }),
        }
    }

    /// The key-value state as far as it is executed here.
    #[must_use]
    pub fn state(&self) -> StateReader {
        self.shared.state.clone()
    }

    /// The log: committed blocks, batches, proofs.
    #[must_use]
    pub fn log(&self) -> Log {
        self.shared.log.clone()
    }

    /// Follows the highest executed height.
    #[must_use]
    pub fn executed(&self) -> watch::Receiver<Height> {
        self.shared.executed.clone()
    }

    /// The node's metrics and their registry.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        self.shared.metrics.clone()
    }

    /// Cancel it to stop the node; it is cancelled when the node stops of itself.
    #[must_use]
    pub fn shutdown(&self) -> CancellationToken {
        self.shared.stop.clone()
    }

    /// The other validators and their connections, by id.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        (self.shared.peers)()
    }

    /// Where this node listens for its peers (the port is real even if 0 was asked for).
    #[must_use]
    pub fn network_address(&self) -> SocketAddr {
        self.shared.network_address
    }

    /// Waits until the node has stopped: cleanly, or by a failure after which going on would be
    /// unsafe. The first caller gets the outcome; later ones are told that it is gone.
    ///
    /// # Errors
    /// The reason of the failure, one line for the operator.
    pub async fn stopped(&self) -> Result<(), String> {
        let done = self
            .shared
            .done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match done {
            Some(done) => done
                .await
                .unwrap_or_else(|_| Err("a thread of the node died".into())),
            None => {
                self.shared.stop.cancelled().await;
                Ok(())
            }
        }
    }

    async fn ask(
        &self,
        deadline: Instant,
        question: impl FnOnce(RequestId) -> Question,
    ) -> Result<Reply, RequestError> {
        let shared = &self.shared;
        if shared.stop.is_cancelled() {
            return Err(RequestError::Refused(Refusal::ShuttingDown));
        }
        let Some((mut waiting, answer)) = shared.requests.open() else {
            let full = Refusal::Full {
                retry_after: Time::millis(50),
                what: "the list of requests in flight",
            };
            return Err(RequestError::Refused(full));
        };
        (shared.ask)(question(waiting.request()));
        // Whoever leaves early (deadline, client gone) drops `waiting`, which tells the machine.
        waiting.cancel_with(shared.clone());
        let answered = tokio::select! {
            answered = timeout_at(deadline, answer) => answered,
            // Those who wait already are answered while the node hands over.
            () = shared.gone.cancelled() => {
                return Err(RequestError::Refused(Refusal::ShuttingDown));
            }
        };
        match answered {
            Ok(Ok(Answer::Reply(Reply::Refused(why)))) => Err(RequestError::Refused(why)),
            Ok(Ok(Answer::Reply(reply))) => Ok(reply),
            Ok(Ok(Answer::Rejected(reject))) => Err(RequestError::Invalid(reject)),
            Ok(Err(_)) => Err(RequestError::Refused(Refusal::ShuttingDown)),
            Err(_) => Err(RequestError::Deadline),
        }
    }
}

/// The machine answered with another kind of reply than the request calls for.
fn unexpected(reply: &Reply) -> RequestError {
    RequestError::Refused(Refusal::Invalid(format!("unexpected reply {reply:?}")))
}
