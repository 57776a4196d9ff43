//! The committed log as a stream.

use super::convert::bytes_of;
use super::proto::{Block, BlocksRequest};
use crate::handle::NodeHandle;
use bytes::Bytes;
use crypto::{Height, codec};
use std::sync::Arc;
use std::time::Duration;
use storage::{CommitRow, Log};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tonic::Status;

/// Rows read at a time.
const PAGE: usize = 64;
/// Bytes read at a time, batches included, but for the last block.
const PAGE_BYTES: usize = 1 << 20;
/// Most streams at a time: each holds a page, and perhaps a block whose batches are as long again.
const STREAMS: usize = 64;
/// How long a block may wait for its reader. One who only is slow takes one now and then.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between looks for a row that is about to be written.
const SOON: Duration = Duration::from_millis(5);
/// Blocks ready for a slow reader, besides those of a page.
const AHEAD: usize = 1;

/// What a stream sends.
pub(super) type Item = Result<Block, Status>;

/// Who reads the log at the moment.
#[derive(Clone)]
pub(super) struct Readers(Arc<Semaphore>);

impl Readers {
    /// Nobody yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS)))
    }

    /// Begins a stream.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED if there are too many.
    pub(super) fn stream(
        &self,
        handle: NodeHandle,
        request: BlocksRequest,
    ) -> Result<mpsc::Receiver<Item>, Status> {
        let Ok(permit) = self.0.clone().try_acquire_owned() else {
            return Err(Status::resource_exhausted(format!(
                "{STREAMS} streams of blocks are open: try again later, or ask another node"
            )));
        };
        let (out, blocks) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            send(handle, request, out).await;
            drop(permit);
        });
        Ok(blocks)
    }
}

/// Sends blocks until the log ends (or for ever), the reader leaves or takes none for too long, or the
/// node stops.
async fn send(handle: NodeHandle, request: BlocksRequest, out: mpsc::Sender<Item>) {
    let mut next = Height(request.from.max(1));
    let mut executed = handle.executed();
    let stop = handle.shutdown();
    let log = handle.log();
    loop {
        let end = *executed.borrow_and_update();
        while next <= end {
            let page = match read(&log, next, end, request.batches).await {
                Ok(page) => page,
                Err(status) => {
                    pass(&out, Err(status), PATIENCE).await;
                    return;
                }
            };
            if page.is_empty() {
                // Executed before its row is written, which happens within milliseconds.
                tokio::select! {
                    () = tokio::time::sleep(SOON) => continue,
                    () = stop.cancelled() => return,
                }
            }
            for block in page {
                next = Height(block.height).next();
                if !pass(&out, Ok(block), PATIENCE).await {
                    return;
                }
            }
        }
        if !request.follow {
            return;
        }
        tokio::select! {
            changed = executed.changed() => if changed.is_err() { return },
            () = out.closed() => return,
            () = stop.cancelled() => return,
        }
    }
}

/// False: the reader has left, or takes nothing.
async fn pass(out: &mpsc::Sender<Item>, item: Item, patience: Duration) -> bool {
    matches!(timeout(patience, out.send(item)).await, Ok(Ok(())))
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
