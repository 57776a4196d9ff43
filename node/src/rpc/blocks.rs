//! The committed log as a stream.

use super::convert::bytes_of;
use super::proto::{Block, BlocksRequest};
use crate::handle::NodeHandle;
use crypto::{Height, Payload, codec};
use storage::{CommitRow, Log};
use tokio::sync::mpsc;
use tonic::Status;

/// Rows read at a time.
const PAGE: usize = 64;
/// Bytes read at a time.
const PAGE_BYTES: usize = 1 << 20;
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
    let log = Log::new(handle.log());
    loop {
        // What is executed is committed and complete in the log.
        let end = *executed.borrow_and_update();
        while next <= end {
            let page = match read(&log, next, end, request.batches).await {
                Ok(page) => page,
                Err(status) => {
                    out.send(Err(status)).await.ok();
                    return;
                }
            };
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

/// The next page; never empty. Reads happen on the blocking pool: the disk may be slow.
async fn read(log: &Log, from: Height, to: Height, batches: bool) -> Result<Vec<Block>, Status> {
    let log = log.clone();
    let page = tokio::task::spawn_blocking(move || {
        let rows = log.commits(from, PAGE, PAGE_BYTES).map_err(failed)?;
        let rows = rows.into_iter().take_while(|row| row.height <= to);
        rows.map(|row| block(&log, row, batches))
            .collect::<Result<Vec<_>, Status>>()
    });
    let page = page.await.map_err(failed)??;
    if page.is_empty() {
        return Err(Status::out_of_range(format!(
            "height {from} is not in this node's log any more: begin with a later one"
        )));
    }
    Ok(page)
}

fn block(log: &Log, row: CommitRow, with_batches: bool) -> Result<Block, Status> {
    let mut batches = Vec::new();
    let transactions = match &row.payload {
        Payload::Refs(refs) => {
            if with_batches {
                for reference in refs {
                    let batch = log.batch(&reference.digest).map_err(failed)?;
                    batches.push(batch.ok_or_else(|| failed("a committed batch is missing"))?);
                }
            }
            refs.iter()
                .map(|reference| u64::from(reference.count))
                .sum()
        }
        Payload::Inline(list) => {
            let mut count = 0;
            for bytes in list {
                let batch = crypto::SealedBatch::open(bytes.clone()).map_err(failed)?;
                count += batch.batch().transactions.len() as u64;
            }
            if with_batches {
                batches.clone_from(list);
            }
            count
        }
    };
    Ok(Block {
        height: row.height.0,
        history: bytes_of(&row.history),
        payload: codec::encode(&row.payload).into(),
        proof: row.proof,
        transactions,
        batches,
    })
}

fn failed(error: impl std::fmt::Display) -> Status {
    Status::internal(format!(
        "the log cannot be read: {error}; see the node's log"
    ))
}
