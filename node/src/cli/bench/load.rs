//! The load: transactions that fall due at their times, whatever the cluster does.

use crate::client::{Client, ClientError, Outcome, Session, SubmitStream};
use crate::client::{SubmitAnswers, SubmitSender};
use crate::rpc::proto::Wait;
use anyhow::{Context as _, Result};
use bytes::Bytes;
use crypto::SecretKey;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use storage::{Operation, Request};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::Code;

/// Different keys that the load writes.
const KEYS: u64 = 100_000;
/// How long answers are awaited after the last request fell due.
const DRAIN: Duration = Duration::from_secs(15);
/// Longest latency that is told apart, in microseconds.
const LONGEST: u64 = 120_000_000;

/// What to do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Transactions a second; `None`: as many as are answered, with `outstanding` on the way.
    pub(super) rate: Option<f64>,
    /// Bytes of each value.
    pub(super) size: usize,
    /// Operations of each transaction.
    pub(super) operations: usize,
    /// How long is measured.
    pub(super) duration: Duration,
    /// How long the load runs before.
    pub(super) warmup: Duration,
    /// Client keys in all.
    pub(super) clients: usize,
    /// Unanswered transactions of all connections, at `rate` `None`.
    pub(super) outstanding: usize,
}

/// What came of it.
pub(super) struct Measured {
    /// Requests that fell due while it was measured.
    pub(super) offered: u64,
    /// Receipts that came while it was measured.
    pub(super) completed: u64,
    /// Of `offered`: those whose receipt came at all.
    pub(super) committed: u64,
    /// Of `offered`: those that were refused or lost, by cause.
    pub(super) failures: BTreeMap<String, u64>,
    /// From due to receipt, in microseconds, of `committed`.
    pub(super) latency: Histogram<u64>,
}

/// What all connections share.
pub(super) struct Shared {
    plan: Plan,
    start: Instant,
    height: AtomicU64,
    /// Receipts so far, warm-up included: for progress.
    pub(super) receipts: AtomicU64,
    /// Requests so far.
    pub(super) requests: AtomicU64,
    over: AtomicBool,
}

impl Shared {
    fn measured(&self, at: Duration) -> bool {
        (self.plan.warmup..self.plan.warmup + self.plan.duration).contains(&at)
    }
    fn end(&self) -> Instant {
        self.start + self.plan.warmup + self.plan.duration
    }
}

/// Drives the endpoints and measures. `progress` is called about five times a second. Also tells
/// how many receipts came in all, warm-up included.
pub(super) async fn run(
    endpoints: &[String],
    plan: Plan,
    progress: impl Fn(&Shared, Duration),
) -> Result<(Measured, u64)> {
    let mut connections = Vec::new();
    let per_connection = plan.clients.div_ceil(endpoints.len()).max(1);
    for url in endpoints {
        let sessions = sessions(url, per_connection).await;
        let sessions = sessions.with_context(|| format!("cannot begin a session at {url}"))?;
        let stream = SubmitStream::open(url).await;
        let stream = stream.with_context(|| format!("cannot open a stream to {url}"))?;
        connections.push((sessions, stream));
    }
    let height = connections
        .iter()
        .flat_map(|(s, _)| s)
        .map(Session::height)
        .max();
    let shared = Arc::new(Shared {
        plan,
        start: Instant::now(),
        height: AtomicU64::new(height.unwrap_or(0)),
        receipts: AtomicU64::new(0),
        requests: AtomicU64::new(0),
        over: AtomicBool::new(false),
    });
    let total = connections.len();
    let mut tasks = tokio::task::JoinSet::new();
    for (index, (sessions, stream)) in connections.into_iter().enumerate() {
        tasks.spawn(connection(shared.clone(), index, total, sessions, stream));
    }
    let mut sum: Option<Measured> = None;
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            done = tasks.join_next() => match done {
                Some(measured) => {
                    let measured = measured.context("a task of the load failed")??;
                    sum = Some(match sum.take() {
                        Some(sum) => sum.plus(measured)?,
                        None => measured,
                    });
                }
                None => break,
            },
            _ = ticks.tick() => progress(&shared, shared.start.elapsed()),
        }
    }
    let sum = sum.context("there is no endpoint")?;
    Ok((sum, shared.receipts.load(Ordering::Relaxed)))
}

impl Measured {
    fn new() -> Result<Self> {
        Ok(Self {
            offered: 0,
            completed: 0,
            committed: 0,
            failures: BTreeMap::new(),
            latency: Histogram::new_with_bounds(1, LONGEST, 3).context("histogram")?,
        })
    }
    fn plus(mut self, other: Self) -> Result<Self> {
        self.offered += other.offered;
        self.completed += other.completed;
        self.committed += other.committed;
        for (cause, count) in other.failures {
            *self.failures.entry(cause).or_default() += count;
        }
        self.latency
            .add(other.latency)
            .context("histograms differ")?;
        Ok(self)
    }
}

/// Fresh keys with their sessions.
async fn sessions(url: &str, count: usize) -> Result<Vec<Session>, ClientError> {
    let client = Client::new(&[url], Duration::from_secs(10))?;
    let mut sessions = Vec::with_capacity(count);
    for _ in 0..count {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| ClientError::Nonsense(e.to_string()))?;
        sessions.push(Session::open(&client, SecretKey::from_seed(&seed)).await?);
    }
    Ok(sessions)
}

/// Whether a node refuses a transaction whose signature is forged; `None` if it could not be asked.
pub(super) async fn forged_is_refused(url: &str) -> Option<bool> {
    let session = sessions(url, 1).await.ok()?.pop();
    let operation = Operation::Delete {
        key: "bench/forged".into(),
    };
    let mut transaction = session?.sign(Request::all(vec![operation]).encode());
    transaction.signature.0[0] ^= 1;
    let client = Client::new(&[url], Duration::from_secs(5)).ok()?;
    match client.submit(&transaction, Wait::Accepted).await {
        Ok(_) => Some(false),
        Err(ClientError::Refused(status)) if status.message().contains("signature") => Some(true),
        Err(_) => None,
    }
}

/// One request on its way.
struct Sent {
    tag: u64,
    due: Duration,
}

async fn connection(
    shared: Arc<Shared>,
    index: usize,
    total: usize,
    sessions: Vec<Session>,
    stream: SubmitStream,
) -> Result<Measured> {
    let (sender, answers) = stream.split();
    let (sent, log) = mpsc::unbounded_channel();
    // At a given rate the load is open: nobody waits for a permit, and they only pile up.
    let permits = Arc::new(Semaphore::new(
        (shared.plan.outstanding / total).clamp(1, Semaphore::MAX_PERMITS / 2),
    ));
    let receiver = tokio::spawn(receive(shared.clone(), answers, log, permits.clone()));
    send(&shared, index, total, sessions, &sender, &sent, &permits).await;
    drop((sender, sent));
    receiver.await.context("the task of the answers failed")?
}

/// Submits each transaction when it is due: late only if the connection is congested, and then its
/// latency counts from when it was due.
async fn send(
    shared: &Shared,
    index: usize,
    total: usize,
    mut sessions: Vec<Session>,
    sender: &SubmitSender,
    sent: &mpsc::UnboundedSender<Sent>,
    permits: &Semaphore,
) {
    let step = shared.plan.rate.map(|rate| total as f64 / rate);
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ ((index as u64 + 1) << 32));
    let which = sessions.len();
    for tag in 0_u64.. {
        let due = match step {
            Some(step) => {
                let offset = step * index as f64 / total as f64;
                let due = Duration::from_secs_f64(offset + step * tag as f64);
                sleep_until(shared.start + due).await;
                due
            }
            None => {
                let free = timeout_at(shared.end(), permits.acquire()).await;
                let Ok(Ok(permit)) = free else { return };
                permit.forget();
                shared.start.elapsed()
            }
        };
        if shared.start + due >= shared.end() || shared.over.load(Ordering::Relaxed) {
            return;
        }
        let session = &mut sessions[tag as usize % which];
        session.observe(shared.height.load(Ordering::Relaxed));
        let transaction = session.sign(body(&shared.plan, &mut random));
        shared.requests.fetch_add(1, Ordering::Relaxed);
        // The record of it comes first, or its answer might.
        if sent.send(Sent { tag, due }).is_err() {
            return;
        }
        if sender
            .submit(tag, &transaction, Wait::Committed)
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Hears the answers until all have come, or time is over.
async fn receive(
    shared: Arc<Shared>,
    mut answers: SubmitAnswers,
    mut log: mpsc::UnboundedReceiver<Sent>,
    permits: Arc<Semaphore>,
) -> Result<Measured> {
    let mut measured = Measured::new()?;
    let mut open: BTreeMap<u64, Duration> = BTreeMap::new();
    let mut broken = None;
    loop {
        let answer = match timeout_at(shared.end() + DRAIN, answers.next()).await {
            Ok(Ok(Some(answer))) => Some(answer),
            Ok(Ok(None)) | Err(_) => None,
            Ok(Err(error)) => {
                broken = Some(error.to_string());
                None
            }
        };
        while let Ok(sent) = log.try_recv() {
            measured.offered += u64::from(shared.measured(sent.due));
            open.insert(sent.tag, sent.due);
        }
        let Some((tag, outcome)) = answer else { break };
        let Some(due) = open.remove(&tag) else {
            continue;
        };
        let now = shared.start.elapsed();
        match outcome {
            Outcome::Done(receipt) => {
                permits.add_permits(1);
                shared.height.fetch_max(receipt.height, Ordering::Relaxed);
                shared.receipts.fetch_add(1, Ordering::Relaxed);
                measured.completed += u64::from(shared.measured(now));
                if shared.measured(due) {
                    measured.committed += 1;
                    let took = now.saturating_sub(due).as_micros() as u64;
                    measured.latency.saturating_record(took.max(1));
                }
            }
            Outcome::Failed(failure) => {
                let wait = Duration::from_millis(failure.retry_after_ms.max(10));
                let permits = permits.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    permits.add_permits(1);
                });
                if shared.measured(due) {
                    let cause = format!("{:?}: {}", Code::from(failure.code), failure.message);
                    *measured.failures.entry(cause).or_default() += 1;
                }
            }
        }
    }
    // Whoever is left has no answer: the connection broke, or time is over.
    shared.over.fetch_or(broken.is_some(), Ordering::Relaxed);
    let lost = open.values().filter(|due| shared.measured(**due)).count() as u64;
    if let Some(cause) = broken {
        measured.failures.insert(cause, lost.max(1));
    } else if lost > 0 {
        let cause = format!("no answer within {DRAIN:?} after the end");
        measured.failures.insert(cause, lost);
    }
    Ok(measured)
}

/// Puts of distinct keys with values that do not compress.
fn body(plan: &Plan, random: &mut Random) -> Bytes {
    let first = random.next();
    let operations = (0..plan.operations as u64).map(|i| {
        let mut value = vec![0; plan.size];
        for chunk in value.chunks_mut(8) {
            let bytes = random.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Operation::Put {
            key: format!("bench/{:08}", (first % KEYS + i) % KEYS).into(),
            value: value.into(),
        }
    });
    Request::all(operations.collect()).encode()
}

/// xorshift64*: values to write need no better.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
