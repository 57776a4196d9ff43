//! The load on etcd: what `quorate bench --rate max` is for ours. One call a request, since etcd
//! has no stream of puts.

use crate::etcd::Member;
use crate::proto::{PutRequest, RangeRequest};
use crate::store::{Asks, Card, Load, PATIENCE, key, value};
use anyhow::{Context as _, Result, anyhow};
use hdrhistogram::Histogram;
use quorate::cli::process;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Different keys that puts write.
const KEYS: u64 = 100_000;
/// Different keys that gets read.
const KEPT: u64 = 10_000;
/// Puts at a time while they are written.
const AT_ONCE: usize = 256;

/// What one client saw.
struct Seen {
    /// Of the time that is measured, in microseconds.
    latency: Histogram<u64>,
    /// Answers while it was measured.
    completed: u64,
    /// Answers in all.
    all: u64,
    failed: u64,
}

/// Writes what gets are to find.
pub async fn keep(connections: &[Member]) -> Result<()> {
    put_all(connections, AT_ONCE, KEPT).await
}

/// Puts this many keys, from 0 on, by so many clients.
pub async fn put_all(connections: &[Member], clients: usize, puts: u64) -> Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let member = connections[client % connections.len()].clone();
        let next = next.clone();
        tasks.spawn(async move {
            let mut random = ChaCha8Rng::seed_from_u64(client as u64);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= puts {
                    return Ok(());
                }
                let request = PutRequest {
                    key: key(number).into(),
                    value: value(&mut random),
                };
                member.0.put(request, PATIENCE).await?;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        let done: Result<(), tonic::Status> = done.context("a client failed")?;
        done.map_err(|status| anyhow!("etcd refused a put: {}", status.message()))?;
    }
    Ok(())
}

/// Runs the load over these connections. `pids` are the servers.
pub async fn run(connections: &[Member], pids: &[u32], load: Load) -> Result<Card> {
    let servers = || -> f64 {
        let used = pids.iter().filter_map(|pid| process::usage(*pid));
        used.map(|usage| usage.cpu).sum()
    };
    let client = || process::usage(std::process::id()).map_or(0.0, |usage| usage.cpu);
    let before = (servers(), client());
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for i in 0..load.clients {
        let member = connections[i % connections.len()].clone();
        tasks.spawn(one(member, i as u64, start, load));
    }
    let mut sum = Seen::new()?;
    while let Some(seen) = tasks.join_next().await {
        sum.add(seen.context("a client failed")??)?;
    }
    let all = sum.all.max(1) as f64;
    let quantile = |q: f64| sum.latency.value_at_quantile(q) as f64 / 1000.0;
    Ok(Card {
        per_second: sum.completed as f64 / load.duration.as_secs_f64(),
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
        servers_us: (servers() - before.0) * 1e6 / all,
        client_us: (client() - before.1) * 1e6 / all,
        failed: sum.failed,
    })
}

/// One client: the next request when the last one is answered.
async fn one(member: Member, seed: u64, start: Instant, load: Load) -> Result<Seen> {
    let measured = load.warmup..load.warmup + load.duration;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut seen = Seen::new()?;
    loop {
        let asked = start.elapsed();
        if asked >= measured.end {
            return Ok(seen);
        }
        let done = ask(&member, load.asks, &mut random).await;
        let answered = start.elapsed();
        seen.all += u64::from(done);
        if measured.contains(&asked) {
            seen.failed += u64::from(!done);
            let took = (answered - asked).as_micros() as u64;
            if done {
                seen.latency.saturating_record(took.max(1));
            }
        }
        seen.completed += u64::from(done && measured.contains(&answered));
        if !done {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Whether it was done; a get has to find its key.
async fn ask(member: &Member, asks: Asks, random: &mut ChaCha8Rng) -> bool {
    match asks {
        Asks::Put => {
            let request = PutRequest {
                key: key(random.next_u64() % KEYS).into(),
                value: value(random),
            };
            member.0.put(request, PATIENCE).await.is_ok()
        }
        Asks::Get => {
            let request = RangeRequest {
                key: key(random.next_u64() % KEPT).into(),
            };
            let answer = member.0.range(request, PATIENCE).await;
            answer.is_ok_and(|answer| !answer.kvs.is_empty())
        }
    }
}

impl Seen {
    fn new() -> Result<Self> {
        Ok(Self {
            latency: Histogram::new_with_bounds(1, 120_000_000, 3).context("histogram")?,
            completed: 0,
            all: 0,
            failed: 0,
        })
    }

    fn add(&mut self, other: Self) -> Result<()> {
        self.latency.add(other.latency).context("histograms")?;
        self.completed += other.completed;
        self.all += other.all;
        self.failed += other.failed;
        Ok(())
    }
}
