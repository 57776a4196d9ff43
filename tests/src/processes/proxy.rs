//! One TCP connection that is carried through this process, and what can befall each of its two byte
//! streams.

use crate::sim::Chance;
use bytes::Bytes;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// Bytes taken at a time.
const CHUNK: usize = 16 << 10;
/// Chunks on their way in one direction; with more, the sender is not read on.
const CHUNKS: usize = 64;

/// What befalls the bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    Sound,
    /// They arrive late, in order: by `least`, and up to `jitter` more.
    Delay {
        /// At least.
        least: Duration,
        /// And at most so much more.
        jitter: Duration,
    },
    /// They are held, and so is the connection's end, until that is over.
    Stall,
    /// Connections break with a reset at both ends, and so do new ones.
    Reset,
    /// Half open: connections are accepted, and what is sent disappears. Since bytes are missing, such
    /// a connection is reset when that is over.
    Swallow,
}

impl Fault {
    /// Whether an end that breaks is noticed by the other.
    fn passes(&self) -> bool {
        !matches!(self, Fault::Stall | Fault::Swallow)
    }
}

/// One direction between two nodes, whoever of them dialed.
#[derive(Debug)]
pub(super) struct Lane {
    fault: watch::Sender<Fault>,
    carried: AtomicU64,
    seed: u64,
}

impl Lane {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            fault: watch::Sender::default(),
            carried: AtomicU64::new(0),
            seed,
        }
    }
    pub(super) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
    pub(super) fn fault(&self) -> Fault {
        *self.fault.borrow()
    }
    /// Bytes that arrived.
    pub(super) fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }
    async fn until(&self, holds: impl Fn(&Fault) -> bool) {
        let mut fault = self.fault.subscribe();
        // The sender lives as long as `self`.
        fault.wait_for(|now| holds(now)).await.ok();
    }
}

/// Carries a connection until one of its ends closes it, or a fault does. `there` is the direction
/// away from who dialed.
pub(super) async fn carry(
    mut near: TcpStream,
    target: SocketAddr,
    there: Arc<Lane>,
    back: Arc<Lane>,
) {
    if [&there, &back]
        .iter()
        .any(|lane| lane.fault() == Fault::Reset)
    {
        return reset(near);
    }
    let Ok(mut far) = TcpStream::connect(target).await else {
        return reset(near);
    };
    // Without it small messages wait for each other, which no link does.
    near.set_nodelay(true).ok();
    far.set_nodelay(true).ok();
    {
        let (near_read, near_write) = near.split();
        let (far_read, far_write) = far.split();
        let streams = async {
            tokio::try_join!(
                pump(near_read, far_write, &there, &back),
                pump(far_read, near_write, &back, &there)
            )
        };
        tokio::select! {
            ended = streams => if ended.is_ok() {
                return;
            },
            () = there.until(|fault| *fault == Fault::Reset) => {}
            () = back.until(|fault| *fault == Fault::Reset) => {}
        }
    }
    reset(near);
    reset(far);
}

/// Closes with a reset instead of an end of stream.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().ok();
}

/// One of the two streams. An end that breaks is news of the other direction, and held with it.
async fn pump(
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    along: &Lane,
    against: &Lane,
) -> io::Result<()> {
    let (queue, waiting) = mpsc::channel(CHUNKS);
    tokio::try_join!(take(from, along, queue), give(waiting, to, along, against))?;
    Ok(())
}

async fn take(
    mut from: ReadHalf<'_>,
    lane: &Lane,
    queue: mpsc::Sender<(Instant, Bytes)>,
) -> io::Result<()> {
    let mut chance = Chance::of(lane.seed, "jitter");
    let mut buffer = vec![0; CHUNK];
    let mut last = Instant::now();
    let mut swallowed = false;
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            () = lane.until(|fault| *fault != Fault::Swallow), if swallowed => {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        };
        let count = match (read, lane.fault()) {
            (Ok(count), Fault::Swallow) if count > 0 => {
                swallowed = true;
                continue;
            }
            (Ok(0), Fault::Swallow) => {
                lane.until(Fault::passes).await;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            (Ok(0), _) => return Ok(()),
            (Ok(count), _) => count,
            (Err(error), _) => {
                lane.until(Fault::passes).await;
                return Err(error);
            }
        };
        let late = match lane.fault() {
            Fault::Delay { least, jitter } => {
                let most = u64::try_from(jitter.as_micros()).unwrap_or(u64::MAX);
                least + Duration::from_micros(chance.below(most))
            }
            _ => Duration::ZERO,
        };
        last = last.max(Instant::now() + late);
        let chunk = Bytes::copy_from_slice(&buffer[..count]);
        if queue.send((last, chunk)).await.is_err() {
            return Ok(());
        }
    }
}

async fn give(
    mut waiting: mpsc::Receiver<(Instant, Bytes)>,
    mut to: WriteHalf<'_>,
    along: &Lane,
    against: &Lane,
) -> io::Result<()> {
    while let Some((due, chunk)) = waiting.recv().await {
        sleep_until(due).await;
        along.until(|fault| *fault != Fault::Stall).await;
        if let Err(error) = to.write_all(&chunk).await {
            against.until(Fault::passes).await;
            return Err(error);
        }
        along
            .carried
            .fetch_add(chunk.len() as u64, Ordering::Relaxed);
    }
    along.until(|fault| *fault != Fault::Stall).await;
    to.shutdown().await
}

#[cfg(test)]
mod tests;
