//! The committed log as a stream.

use super::convert::bytes_of;
use super::proto::{Block, BlocksRequest};
use crate::handle::NodeHandle;
use crypto::{Height, codec};
use std::time::Duration;
use storage::{CommitRow, Log};
use tokio::sync::mpsc;
use tonic::Status;

/// Rows read at a time.
const PAGE: usize = 64;
/// Bytes read at a time.
const PAGE_BYTES: usize = 1 << 20;
/// Between looks for a row that is about to be written.
const SOON: Duration = Duration::from_millis(5);
/// Blocks ready for a slow reader.
pub(super) const AHEAD: usize = 16;

/// Sends blocks until the log ends (or for ever), the reader leaves or the node stops.
pub(super) async fn send(
    handle: NodeHandle,
    request: BlocksRequest,
    out: mpsc::Sender<Result<Block, Status>>,
) {
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
                    out.send(Err(status)).await.ok();
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
                if out.send(Ok(block)).await.is_err() {
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

/// The next page; empty if the log has not come so far yet. Reads happen on the blocking pool: the disk may be slow.
async fn read(log: &Log, from: Height, to: Height, batches: bool) -> Result<Vec<Block>, Status> {
    let log = log.clone();
    let page = tokio::task::spawn_blocking(move || {
        let rows = log.commits(from, PAGE, PAGE_BYTES).map_err(failed)?;
        if rows.is_empty()
            && let Some(last) = log.last_commit().map_err(failed)?
            && last.height >= from
        {
            return Err(Status::out_of_range(format!(
                "height {from} is not in this node's log any more: begin with a later one"
            )));
        }
        let rows = rows.into_iter().take_while(|row| row.height <= to);
        rows.map(|row| block(&log, row, batches))
            .collect::<Result<Vec<_>, Status>>()
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

fn failed(error: impl std::fmt::Display) -> Status {
    Status::internal(format!(
        "the log cannot be read: {error}; see the node's log"
    ))
}
