//! What pauses did to others: a replica that slept ran out of memory when it woke (bft-smart #27), and
//! a leader that slept answered reads as if it had not (etcd #20418).

use super::clients::put;
use super::failures::broken;
use super::lab::PATIENCE;
use super::rounds::{BOUND, watch};
use super::{Caps, Lab, Most};
use anyhow::{Context as _, Result};
use crypto::{Hasher, SecretKey};
use quorate::client::{Client, Session};
use quorate::rpc::proto::Consistency;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Clients who write while a replica sleeps, each as fast as it is served.
const WRITERS: u64 = 16;
/// Bytes of a value that they write.
const VALUE: usize = 4_096;
/// Keys of one of them.
const KEYS: u64 = 64;
/// Reads that wait for a sleeping leader.
const READS: usize = 32;
/// Until these have reached it.
const ARRIVED: Duration = Duration::from_millis(100);

/// A sleep under load.
#[derive(Clone, Copy, Debug)]
pub struct Slept {
    /// Who slept.
    pub node: usize,
    /// For how long.
    pub span: Duration,
    /// Transactions that were acknowledged meanwhile.
    pub missed: u64,
    /// All had executed the same so long after it woke.
    pub caught_up: Duration,
    /// The most that any node held.
    pub most: Most,
}

impl fmt::Display for Slept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "node{} slept for {:?} through {} transactions of {VALUE} bytes, had them {:.1} s after it woke, and no node held more than {} MiB",
            self.node,
            self.span,
            self.missed,
            self.caught_up.as_secs_f64(),
            self.most.memory >> 20
        )
    }
}

/// Puts a node to sleep while clients write to the others as fast as these take it. It has all once it
/// is awake, and nobody's memory has grown past its cap.
///
/// # Errors
/// If the others made no progress, if it does not catch up, or if a cap was passed.
pub async fn under_load(lab: &mut Lab, node: usize, span: Duration, caps: Caps) -> Result<Slept> {
    let watch = watch(lab);
    let others: Vec<usize> = (0..lab.n()).filter(|other| *other != node).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let client = lab.client(&others, PATIENCE)?;
        let session = session(&client, "writer", number).await?;
        let (stop, written) = (stop.clone(), written.clone());
        writers.spawn(write(client, session, number, stop, written));
    }
    let count = || written.load(Ordering::Relaxed);
    sleep(Duration::from_millis(500)).await;
    lab.pause(&[node]);
    let before = count();
    sleep(span).await;
    let missed = count() - before;
    lab.wake(&[node]);
    let woke = Instant::now();
    // It has to catch up while the load goes on, too.
    sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);
    writers.join_all().await;
    lab.agrees(Instant::now() + BOUND).await?;
    let caught_up = woke.elapsed();
    let most = watch.take();
    most.within(caps)?;
    if missed == 0 {
        let what = format!("nothing was acknowledged in {span:?} while node{node} slept");
        return Err(broken("L1", what));
    }
    Ok(Slept {
        node,
        span,
        missed,
        caught_up,
        most,
    })
}

async fn write(
    client: Client,
    mut session: Session,
    number: u64,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
) {
    for i in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("load/{number}/{}", i % KEYS);
        let value = format!("{i:>VALUE$}");
        match put(&client, &mut session, &key, value).await {
            Ok(_) => drop(written.fetch_add(1, Ordering::Relaxed)),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// So many times: the leader sleeps, another value is acknowledged without it, reads reach it in its
/// sleep, and it wakes. Each of them began after that write, so none may miss it (S9).
///
/// # Errors
/// A read that does, or a request that is not answered.
pub async fn stale_reads(lab: &mut Lab, times: u64) -> Result<()> {
    for time in 0..times {
        let leader = lab.some_leader().await?;
        let others: Vec<usize> = (0..lab.n()).filter(|other| *other != leader).collect();
        let key = format!("stale/{time}");
        let client = lab.client(&others, PATIENCE)?;
        let mut session = session(&client, "stale", time).await?;
        let before = put(&client, &mut session, &key, "old".into()).await?;
        let asked = Arc::new(lab.client(&[leader], PATIENCE)?);
        // It leads, and has just answered by what entitles it to.
        let first = asked.get(key.as_bytes(), Consistency::Linearizable).await?;
        judge(
            leader,
            &key,
            first.as_ref().map(|pair| &pair.value[..]),
            b"old",
        )?;
        lab.pause(&[leader]);
        let after = put(&client, &mut session, &key, "new".into()).await;
        let after = after.context("the others do not go on while the leader sleeps")?;
        assert!(after.height > before.height, "one height holds both");
        let mut reads = JoinSet::new();
        for _ in 0..READS {
            let (asked, key) = (asked.clone(), key.clone());
            reads.spawn(async move { asked.get(key.as_bytes(), Consistency::Linearizable).await });
        }
        sleep(ARRIVED).await;
        lab.wake(&[leader]);
        while let Some(read) = reads.join_next().await {
            let found = read?.context("a leader that slept does not answer")?;
            judge(
                leader,
                &key,
                found.as_ref().map(|pair| &pair.value[..]),
                b"new",
            )?;
        }
    }
    lab.agrees(Instant::now() + BOUND).await
}

fn judge(node: usize, key: &str, found: Option<&[u8]>, expected: &[u8]) -> Result<()> {
    if found == Some(expected) {
        return Ok(());
    }
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (found, expected) = (found.map(text), text(expected));
    let what =
        format!("node{node} answers {found:?} for {key} after {expected:?} was acknowledged");
    Err(broken("S9", what))
}

async fn session(client: &Client, purpose: &str, number: u64) -> Result<Session> {
    let mut hasher = Hasher::new("quorate/rounds/pauses");
    let seed = hasher.bytes(purpose.as_bytes()).number(number).finish();
    Ok(Session::open(client, SecretKey::from_seed(&seed.0)).await?)
}
