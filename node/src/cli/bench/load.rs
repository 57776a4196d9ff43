//! The load: requests that fall due at their times, whatever the cluster does.

use super::requests::{Answer, Asker, Hearer, Kind, connect};
use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long answers are awaited after the last request fell due.
const DRAIN: Duration = Duration::from_secs(15);
/// Longest latency that is told apart, in microseconds.
const LONGEST: u64 = 120_000_000;

/// What to do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// What is asked.
    pub(super) kind: Kind,
    /// Requests a second; `None`: as many as are answered, with `outstanding` on the way.
    pub(super) rate: Option<f64>,
    /// How long is measured.
    pub(super) duration: Duration,
    /// How long the load runs before.
    pub(super) warmup: Duration,
    /// Client keys in all.
    pub(super) clients: usize,
    /// Unanswered requests of all connections, at `rate` `None`.
    pub(super) outstanding: usize,
}

/// What came of it.
pub(super) struct Measured {
    /// Requests that fell due while it was measured.
    pub(super) offered: u64,
    /// Answers that came while it was measured.
    pub(super) completed: u64,
    /// Of `offered`: those that were done at all.
    pub(super) committed: u64,
    /// Of `offered`: those that were refused or lost, by cause.
    pub(super) failures: BTreeMap<String, u64>,
    /// From due to answer, in microseconds, of `committed`.
    pub(super) latency: Histogram<u64>,
}

/// What all connections share.
pub(super) struct Shared {
    plan: Plan,
    start: Instant,
    height: AtomicU64,
    /// Requests done so far, warm-up included: for progress.
    pub(super) done: AtomicU64,
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
/// how many requests were done in all, warm-up included.
pub(super) async fn run(
    endpoints: &[String],
    plan: Plan,
    progress: impl Fn(&Shared, Duration),
) -> Result<(Measured, u64)> {
    let mut connections = Vec::new();
    let clients = plan.clients.div_ceil(endpoints.len()).max(1);
    for (seed, url) in (0..).zip(endpoints) {
        connections.push(connect(url, plan.kind, clients, seed).await?);
    }
    let height = connections.iter().map(|(asker, _)| asker.height()).max();
    let shared = Arc::new(Shared {
        plan,
        start: Instant::now(),
        height: AtomicU64::new(height.unwrap_or(0)),
        done: AtomicU64::new(0),
        requests: AtomicU64::new(0),
        over: AtomicBool::new(false),
    });
    let total = connections.len();
    let mut tasks = tokio::task::JoinSet::new();
    for (index, (asker, hearer)) in connections.into_iter().enumerate() {
        tasks.spawn(connection(shared.clone(), index, total, asker, hearer));
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
    Ok((sum, shared.done.load(Ordering::Relaxed)))
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

/// One request on its way.
struct Sent {
    tag: u64,
    due: Duration,
}

async fn connection(
    shared: Arc<Shared>,
    index: usize,
    total: usize,
    asker: Asker,
    hearer: Hearer,
) -> Result<Measured> {
    let (sent, log) = mpsc::unbounded_channel();
    // At a given rate the load is open: nobody waits for a permit, and they only pile up.
    let permits = Arc::new(Semaphore::new(
        (shared.plan.outstanding / total).clamp(1, Semaphore::MAX_PERMITS / 2),
    ));
    let receiver = tokio::spawn(receive(shared.clone(), hearer, log, permits.clone()));
    send(&shared, index, total, asker, sent, &permits).await;
    receiver.await.context("the task of the answers failed")?
}

/// Asks each request when it is due: late only if the connection is congested, and then its
/// latency counts from when it was due.
async fn send(
    shared: &Shared,
    index: usize,
    total: usize,
    mut asker: Asker,
    sent: mpsc::UnboundedSender<Sent>,
    permits: &Semaphore,
) {
    let step = shared.plan.rate.map(|rate| total as f64 / rate);
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
        shared.requests.fetch_add(1, Ordering::Relaxed);
        // The record of it comes first, or its answer might.
        if sent.send(Sent { tag, due }).is_err() {
            return;
        }
        if !asker.ask(tag, shared.height.load(Ordering::Relaxed)).await {
            return;
        }
    }
}

/// Hears the answers until all have come, or time is over.
async fn receive(
    shared: Arc<Shared>,
    mut hearer: Hearer,
    mut log: mpsc::UnboundedReceiver<Sent>,
    permits: Arc<Semaphore>,
) -> Result<Measured> {
    let mut measured = Measured::new()?;
    let mut open: BTreeMap<u64, Duration> = BTreeMap::new();
    let mut broken = None;
    loop {
        let answer = match timeout_at(shared.end() + DRAIN, hearer.next()).await {
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
        let Some((tag, answer)) = answer else { break };
        let Some(due) = open.remove(&tag) else {
            continue;
        };
        let now = shared.start.elapsed();
        match answer {
            Answer::Done(height) => {
                permits.add_permits(1);
                shared.height.fetch_max(height, Ordering::Relaxed);
                shared.done.fetch_add(1, Ordering::Relaxed);
                measured.completed += u64::from(shared.measured(now));
                if shared.measured(due) {
                    measured.committed += 1;
                    let took = now.saturating_sub(due).as_micros() as u64;
                    measured.latency.saturating_record(took.max(1));
                }
            }
            Answer::Failed(cause, retry_after) => {
                let wait = retry_after.max(Duration::from_millis(10));
                let permits = permits.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    permits.add_permits(1);
                });
                if shared.measured(due) {
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
