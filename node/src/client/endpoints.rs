//! Endpoints that stand in for one another, and the calls that any of them can answer.

use super::error::{ClientError, describe};
use crate::rpc::proto::{
    self, BlocksRequest, Consistency, RangeRequest, RangeResponse, Receipt, StatusResponse, Wait,
    ledger_client::LedgerClient,
};
use crypto::{PublicKey, Transaction};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// Longest answer that is accepted: a range of the largest page, with room to spare.
const MAX_ANSWER: usize = 64 << 20;
/// Flow-control windows: wide enough that a load of 512-byte transactions never waits for one.
const WINDOW: u32 = 4 << 20;
/// The first pause before a second attempt; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// One node's RPC service.
pub(super) type Ledger = LedgerClient<Channel>;

/// A client of a cluster. It asks one endpoint and turns to the next when that one fails.
pub struct Client {
    ledgers: Vec<(String, Ledger)>,
    current: AtomicUsize,
    timeout: Duration,
}

impl Client {
    /// A client of these endpoints (URLs), each call to be answered within `timeout`. Connects when
    /// first used.
    ///
    /// # Errors
    /// [`ClientError::BadEndpoint`].
    pub fn new<S: AsRef<str>>(urls: &[S], timeout: Duration) -> Result<Self, ClientError> {
        if urls.is_empty() {
            return Err(ClientError::BadEndpoint(String::new()));
        }
        let ledgers = urls
            .iter()
            .map(|url| Ok((url.as_ref().to_owned(), connect(url.as_ref())?)))
            .collect::<Result<_, ClientError>>()?;
        Ok(Self {
            ledgers,
            current: AtomicUsize::new(0),
            timeout,
        })
    }

    /// The service that is asked first now.
    pub(super) fn ledger(&self) -> Ledger {
        let current = self.current.load(Ordering::Relaxed) % self.ledgers.len();
        self.ledgers[current].1.clone()
    }

    /// Submits a transaction, the same one again and again until its outcome is known or time is
    /// over: it takes effect once.
    ///
    /// # Errors
    /// As [`ClientError`]; after a time-out the outcome is unknown.
    pub async fn submit(
        &self,
        transaction: &Transaction,
        wait: Wait,
    ) -> Result<Receipt, ClientError> {
        let request = proto::SubmitRequest {
            transaction: Some(transaction.into()),
            wait: wait.into(),
        };
        self.call(request, |mut ledger, request| async move {
            ledger.submit(request).await
        })
        .await
    }

    /// The next sequence of a client, and what a transaction must name.
    ///
    /// # Errors
    /// As [`ClientError`].
    pub async fn next_sequence(
        &self,
        client: PublicKey,
    ) -> Result<proto::SessionResponse, ClientError> {
        let request = proto::SessionRequest {
            client: client.0.to_vec().into(),
        };
        self.call(request, |mut ledger, request| async move {
            ledger.session(request).await
        })
        .await
    }

    /// The receipt of an earlier transaction.
    ///
    /// # Errors
    /// As [`ClientError`].
    pub async fn receipt(&self, client: PublicKey, sequence: u64) -> Result<Receipt, ClientError> {
        let request = proto::GetReceiptRequest {
            client: client.0.to_vec().into(),
            sequence,
        };
        self.call(request, |mut ledger, request| async move {
            ledger.get_receipt(request).await
        })
        .await
    }

    /// Reads keys.
    ///
    /// # Errors
    /// As [`ClientError`].
    pub async fn range(&self, request: RangeRequest) -> Result<RangeResponse, ClientError> {
        self.call(request, |mut ledger, request| async move {
            ledger.range(request).await
        })
        .await
    }

    /// The newest value of one key; `None` if it has none.
    ///
    /// # Errors
    /// As [`ClientError`].
    pub async fn get(
        &self,
        key: &[u8],
        consistency: Consistency,
    ) -> Result<Option<proto::KeyValue>, ClientError> {
        let request = RangeRequest {
            key: key.to_vec().into(),
            limit: 1,
            consistency: consistency.into(),
            ..RangeRequest::default()
        };
        Ok(self.range(request).await?.kvs.into_iter().next())
    }

    /// The committed log from a height on.
    ///
    /// # Errors
    /// As [`ClientError`], for the opening of the stream.
    pub async fn blocks(
        &self,
        request: BlocksRequest,
    ) -> Result<tonic::Streaming<proto::Block>, ClientError> {
        self.attempts(&request, true, |mut ledger, request| async move {
            ledger.blocks(request).await
        })
        .await
    }

    /// The state of the node that is asked first now.
    ///
    /// # Errors
    /// As [`ClientError`].
    pub async fn status(&self) -> Result<StatusResponse, ClientError> {
        let request = proto::StatusRequest {};
        self.call(request, |mut ledger, request| async move {
            ledger.status(request).await
        })
        .await
    }

    async fn call<Q, A, F, R>(&self, request: Q, ask: F) -> Result<A, ClientError>
    where
        Q: Clone,
        F: Fn(Ledger, Request<Q>) -> R,
        R: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        self.attempts(&request, false, ask).await
    }

    /// Asks one endpoint after the other until one answers, one refuses for good, or time is over.
    async fn attempts<Q, A, F, R>(
        &self,
        request: &Q,
        endless: bool,
        ask: F,
    ) -> Result<A, ClientError>
    where
        Q: Clone,
        F: Fn(Ledger, Request<Q>) -> R,
        R: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        let end = Instant::now() + self.timeout;
        let mut pause = FIRST_PAUSE;
        let mut why = Why::default();
        for attempt in 1.. {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let current = self.current.load(Ordering::Relaxed) % self.ledgers.len();
            let (url, ledger) = &self.ledgers[current];
            let share = self.share(left, attempt);
            let mut question = Request::new(request.clone());
            if !endless {
                question.set_timeout(share);
            }
            let status = match timeout(share, ask(ledger.clone(), question)).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) if !may_pass(&status) => {
                    return Err(ClientError::Refused(Box::new(status)));
                }
                Ok(Err(status)) => status,
                Err(_) => no_answer(),
            };
            why.add(url, &status);
            self.turn(current);
            let wait = retry_after(&status).unwrap_or(pause).max(FIRST_PAUSE);
            let left = end.saturating_duration_since(Instant::now());
            // With other endpoints to ask, only a full round of failures makes it pause.
            if self.ledgers.len() == 1 || attempt % self.ledgers.len() == 0 {
                sleep(wait.min(left)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        let last = why.said.unwrap_or_else(|| "nothing was tried".into());
        Err(ClientError::Timeout { last })
    }

    /// How much of the time that is left this attempt may take: with others to turn to, not all of
    /// it, since a node that hangs answers nothing at all.
    fn share(&self, left: Duration, attempt: usize) -> Duration {
        let others = self.ledgers.len().saturating_sub(attempt) as u32;
        left / (others + 1)
    }

    /// Turns away from an endpoint that failed, unless somebody else did already.
    fn turn(&self, failed: usize) {
        let next = (failed + 1) % self.ledgers.len();
        // Another call may have turned first; then its choice stands.
        let _ = self
            .current
            .compare_exchange(failed, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// A lazily connected service.
pub(super) fn connect(url: &str) -> Result<Ledger, ClientError> {
    let bad = || ClientError::BadEndpoint(url.to_owned());
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| bad())?;
    if endpoint.uri().scheme_str() != Some("http") || endpoint.uri().host().is_none() {
        return Err(bad());
    }
    let channel = endpoint
        .connect_timeout(Duration::from_secs(2))
        .tcp_nodelay(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .connect_lazy();
    Ok(LedgerClient::new(channel).max_decoding_message_size(MAX_ANSWER))
}

/// Why attempts failed, for the error in the end: what a node said last, if one said anything, and
/// else what was noticed here last.
#[derive(Default)]
struct Why {
    said: Option<String>,
    /// A node said it.
    told: bool,
}

impl Why {
    fn add(&mut self, url: &str, status: &Status) {
        // No node of ours cancels: tonic does, on both sides, when a request's time is over.
        let told = !was_made_here(status) && status.code() != Code::Cancelled;
        if told || !self.told {
            let said = format!("{url}: {}", describe(status));
            (self.said, self.told) = (Some(said), told);
        }
    }
}

/// The status of an attempt whose time is over: the code is that of tonic's own time-outs.
fn no_answer() -> Status {
    Status::cancelled("no answer")
}

/// A status with a source was made here, not by the node: its connection broke under way.
fn was_made_here(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// Whether the same request may fare better later or elsewhere.
fn may_pass(status: &Status) -> bool {
    was_made_here(status)
        || matches!(
            status.code(),
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Cancelled
        )
}

/// What the node asked for in `retry-after-ms`.
fn retry_after(status: &Status) -> Option<Duration> {
    let value = status.metadata().get(crate::rpc::RETRY_AFTER)?;
    let ms: u64 = value.to_str().ok()?.parse().ok()?;
    Some(Duration::from_millis(ms.min(10_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the final error says after these attempts.
    fn last(attempts: &[(&str, Status)]) -> Option<String> {
        let mut why = Why::default();
        for (url, status) in attempts {
            why.add(url, status);
        }
        why.said
    }

    fn broken() -> Status {
        Status::from_error(Box::new(std::io::Error::other("broken")))
    }

    #[test]
    fn what_a_node_said_last_outlasts_what_was_noticed_here() {
        let said = last(&[
            ("a", broken()),
            ("b", Status::unavailable("no leader")),
            ("c", Status::resource_exhausted("no room")),
            ("d", no_answer()),
            ("e", broken()),
        ]);
        assert_eq!(said.as_deref(), Some("c: no room"));
    }

    #[test]
    fn where_no_node_says_anything_the_error_is_what_was_noticed_last() {
        assert_eq!(last(&[]), None);
        let said = last(&[("a", no_answer()), ("b", broken())]);
        assert_eq!(said.as_deref(), Some("b: broken"));
        let said = last(&[("a", broken()), ("b", no_answer())]);
        assert_eq!(said.as_deref(), Some("b: no answer"));
    }
}
