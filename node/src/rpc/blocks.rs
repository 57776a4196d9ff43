//! The committed log as a stream.

use super::convert::bytes_of;
use super::proto::{Block, BlocksRequest};
use crate::handle::NodeHandle;
use bytes::Bytes;
use crypto::{Height, codec};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use storage::{CommitRow, Log};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::Stream;
use tonic::Status;

/// Rows read at a time.
const PAGE: usize = 64;
/// Bytes read at a time, batches included, but for the last block.
const PAGE_BYTES: usize = 1 << 20;
/// Most streams at a time: each holds a page, and perhaps a few blocks whose batches are as long again.
const STREAMS: usize = 64;
/// Of these, those of one connection: few, so that it does not shut out the others.
const SHARE: usize = 8;
/// How long a block may wait for its reader. One who only is slow takes one now and then.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between looks for a row that is about to be written.
const SOON: Duration = Duration::from_millis(5);
/// Blocks ready for a slow reader, besides those of a page.
const AHEAD: usize = 1;

/// Who reads the log at the moment.
#[derive(Clone)]
pub(super) struct Readers {
    all: Arc<Semaphore>,
    /// What each connection has of its own, while a stream of it is there.
    shares: Arc<Mutex<HashMap<Option<SocketAddr>, Weak<Semaphore>>>>,
}

impl Readers {
    /// Nobody yet.
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(STREAMS)),
            shares: Arc::default(),
        }
    }

    /// Begins a stream for the client at this address.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED if there are too many.
    pub(super) fn stream(
        &self,
        handle: NodeHandle,
        request: BlocksRequest,
        client: Option<SocketAddr>,
    ) -> Result<Blocks, Status> {
        let permits = self.permits(client)?;
        let (out, blocks) = mpsc::channel(AHEAD);
        let (tell, end) = oneshot::channel();
        tokio::spawn(async move {
            if let Err(why) = send(handle, request, &out).await {
                tell.send(why).ok();
            }
        });
        Ok(Blocks {
            blocks,
            end,
            _permits: permits,
        })
    }

    fn permits(&self, client: Option<SocketAddr>) -> Result<[OwnedSemaphorePermit; 2], Status> {
        let permit = |of: Arc<Semaphore>, whose: &str, most: usize| {
            of.try_acquire_owned().map_err(|_| {
                Status::resource_exhausted(format!(
                    "{most} streams of blocks are open {whose}: end one, try again later, or ask \
                     another node"
                ))
            })
        };
        // The share first: who has used up his own does not stand in the way of others.
        Ok([
            permit(self.share(client), "on this connection", SHARE)?,
            permit(self.all.clone(), "here", STREAMS)?,
        ])
    }

    fn share(&self, client: Option<SocketAddr>) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.retain(|_, share| share.strong_count() > 0);
        let known = shares.get(&client).and_then(Weak::upgrade);
        let share = known.unwrap_or_else(|| Arc::new(Semaphore::new(SHARE)));
        shares.insert(client, Arc::downgrade(&share));
        share
    }
}

/// A stream. What it holds is given back when the answer is gone, and not before: until then the
/// connection may keep blocks that its reader does not take.
pub(super) struct Blocks {
    blocks: mpsc::Receiver<Block>,
    /// Why it ends before the log does.
    end: oneshot::Receiver<Status>,
    _permits: [OwnedSemaphorePermit; 2],
}

impl Stream for Blocks {
    type Item = Result<Block, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let block = ready!(self.blocks.poll_recv(context));
        Poll::Ready(match block {
            Some(block) => Some(Ok(block)),
            // Sent before the channel closes, or never.
            None => self.end.try_recv().ok().map(Err),
        })
    }
}

/// Sends blocks until the log ends (or for ever), or the reader leaves.
///
/// # Errors
/// If the log cannot be read, the reader takes none for too long, or the node stops.
async fn send(
    handle: NodeHandle,
    request: BlocksRequest,
    out: &mpsc::Sender<Block>,
) -> Result<(), Status> {
    let mut next = Height(request.from.max(1));
    let mut executed = handle.executed();
    let stop = handle.shutdown();
    let log = handle.log();
    loop {
        let end = *executed.borrow_and_update();
        while next <= end {
            let page = read(&log, next, end, request.batches).await?;
            if page.is_empty() {
                // Executed before its row is written, which happens within milliseconds.
                tokio::select! {
                    () = tokio::time::sleep(SOON) => continue,
                    () = stop.cancelled() => return Err(stops()),
                }
            }
            for block in page {
                next = Height(block.height).next();
                if !pass(out, block, PATIENCE).await? {
                    return Ok(());
                }
            }
        }
        if !request.follow {
            return Ok(());
        }
        tokio::select! {
            changed = executed.changed() => if changed.is_err() { return Err(stops()) },
            () = out.closed() => return Ok(()),
            () = stop.cancelled() => return Err(stops()),
        }
    }
}

fn stops() -> Status {
    Status::unavailable("this node shuts down: ask another")
}

/// False: the reader has left.
///
/// # Errors
/// DEADLINE_EXCEEDED if he takes nothing.
async fn pass(out: &mpsc::Sender<Block>, block: Block, patience: Duration) -> Result<bool, Status> {
    let height = block.height;
    match timeout(patience, out.send(block)).await {
        Ok(taken) => Ok(taken.is_ok()),
        Err(_) => Err(Status::deadline_exceeded(format!(
            "no block was taken for {patience:?}: ask again from height {height} on"
        ))),
    }
}

/// The next page; empty if the log has not come so far yet. Reads happen on the blocking pool: the disk may be slow.
async fn read(log: &Log, from: Height, to: Height, batches: bool) -> Result<Vec<Block>, Status> {
    let log = log.clone();
    let page = tokio::task::spawn_blocking(move || {
        let rows = log.commits(from, PAGE, PAGE_BYTES).map_err(failed)?;
        let (mut page, mut bytes) = (Vec::new(), 0);
        for row in rows.into_iter().take_while(|row| row.height <= to) {
            let block = block(&log, row, batches)?;
            bytes += size(&block);
            page.push(block);
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        Ok(page)
    });
    page.await.map_err(failed)?
}

fn block(log: &Log, row: CommitRow, with_batches: bool) -> Result<Block, Status> {
    let references = row.payload.references();
    let batches = if with_batches {
        let batches = log.batches(&row).map_err(failed)?;
        batches.iter().map(|batch| batch.bytes().clone()).collect()
    } else {
        Vec::new()
    };
    Ok(Block {
        height: row.height.0,
        history: bytes_of(&row.history),
        payload: codec::encode(&row.payload).into(),
        proof: row.proof,
        transactions: references.iter().map(|it| u64::from(it.count)).sum(),
        batches,
    })
}

fn size(block: &Block) -> usize {
    let batches: usize = block.batches.iter().map(Bytes::len).sum();
    batches + block.payload.len() + block.proof.len()
}

fn failed(error: impl std::fmt::Display) -> Status {
    Status::internal(format!(
        "the log cannot be read: {error}; see the node's log"
    ))
}

#[cfg(test)]
mod tests;
