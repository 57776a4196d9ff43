//! What a dead leader costs, and how long it takes until all are back.

use crate::store::{NODES, PATIENCE, Put, Running, Store};
use anyhow::{Context as _, Result, bail};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Requests a second while the leader dies.
const RATE: u32 = 200;
/// Requests before it dies.
const BEFORE: u32 = 3 * RATE;
/// Requests after.
const AFTER: u32 = 6 * RATE;
/// Deadline of each: above every time-out of an election.
const DEADLINE: Duration = Duration::from_secs(5);

/// What clients saw of a leader's death.
#[derive(Clone, Copy, Debug)]
pub struct DeadLeader {
    /// The longest time without a success, in milliseconds.
    pub gap_ms: f64,
    /// Requests that failed though they had time.
    pub failed: u64,
}

/// Kills the leader of a new cluster under a load of [`RATE`] puts a second. Only the two others
/// are asked, so what counts is the election and not who finds out that a port is closed.
pub async fn dead_leader<S: Store>(store: &S) -> Result<DeadLeader> {
    let mut cluster = store.start().await?;
    let leader = cluster.leader().await?;
    let mut clients = cluster.clients().await?;
    clients.remove(leader);
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    let mut killed = None;
    for number in 0..BEFORE + AFTER {
        sleep_until(start + Duration::from_secs(1) * number / RATE).await;
        if number == BEFORE {
            cluster.kill(leader).await?;
            killed = Some(Instant::now());
        }
        let client = clients[number as usize % clients.len()].clone();
        tasks.spawn(async move {
            let put = client.put(number.into(), DEADLINE).await;
            (put, Instant::now())
        });
    }
    let killed = killed.context("the leader was killed")?;
    let (mut done, mut refused) = (vec![start], Vec::new());
    while let Some(answer) = tasks.join_next().await {
        match answer.context("a client failed")? {
            (Ok(()), at) => done.push(at),
            (Err(why), _) => refused.push(why),
        }
    }
    cluster.kill_all().await?;
    done.sort_unstable();
    if done.last().is_none_or(|last| *last < killed) {
        let why = refused.first().map_or("", |why| why);
        bail!("nothing was put after the leader's death: {why}");
    }
    if let Some(why) = refused.first() {
        eprintln!(
            "{}: {} puts failed, for instance: {why}",
            store.name(),
            refused.len()
        );
    }
    let gaps = done.windows(2).map(|two| two[1] - two[0]);
    Ok(DeadLeader {
        gap_ms: gaps.max().unwrap_or_default().as_secs_f64() * 1000.0,
        failed: refused.len() as u64,
    })
}

/// Puts so many values, kills all nodes and starts them again: seconds until a put is acknowledged.
pub async fn restart<S: Store>(store: &S, puts: u64) -> Result<f64> {
    let mut cluster = store.start().await?;
    cluster.fill(puts).await?;
    let clients = cluster.clients().await?;
    cluster.kill_all().await?;
    let start = Instant::now();
    cluster.start_all()?;
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn(async move {
            let mut number = puts;
            while client.put(number, Duration::from_secs(1)).await.is_err() {
                number += NODES as u64;
                sleep(Duration::from_millis(5)).await;
            }
        });
    }
    let first = tokio::time::timeout(PATIENCE, tasks.join_next()).await;
    let took = start.elapsed();
    tasks.shutdown().await;
    cluster.kill_all().await?;
    first.context("the cluster does not come back")?;
    Ok(took.as_secs_f64())
}
