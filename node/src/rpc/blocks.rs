//! The committed log as a stream.

use super::answers::Kind;
use super::arrival::PREFIX;
use super::connection::Connection;
use super::convert::bytes_of;
use super::held::{Held, Room};
use super::outbox::Outbox;
use super::proto::{Block, BlocksRequest};
use crate::handle::NodeHandle;
use bytes::Bytes;
use crypto::{Height, codec};
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;
use storage::{CommitRow, Log};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tonic::Status;

/// Rows read at a time, without batches.
const PAGE: usize = 64;
/// And bytes, but for the last row.
const PAGE_BYTES: usize = 1 << 20;
/// More than a batch's name has in a block, and what stands before a batch.
const NAME: usize = 80;
/// More than a block has besides its batches, their names and its proof.
const ROW: usize = 256;
/// Most streams at a time: each holds a page, besides blocks that are counted.
const STREAMS: usize = 64;
/// Of these, those of connections that have one already: else a few would have them all.
const MORE: usize = STREAMS / 2;
/// And those of one connection.
pub(super) const SHARE: usize = 8;
/// How long who finds no room waits for those who are cut off to be gone.
const MOMENT: Duration = Duration::from_secs(1);
/// How long a block may wait for its reader, unless others find no room. One who only is slow takes one
/// now and then.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between looks for a row that is about to be written.
const SOON: Duration = Duration::from_millis(5);
/// Blocks ready for a slow reader, besides those of a page.
const AHEAD: usize = 1;

/// Who reads the log at the moment.
#[derive(Clone)]
pub(super) struct Readers {
    all: Arc<Semaphore>,
    more: Arc<Semaphore>,
}

/// The places of a stream: on its connection, here, and among those that are not their
/// connection's only one. Given back when the answer is gone, and not before.
pub(super) type Places = (
    OwnedSemaphorePermit,
    OwnedSemaphorePermit,
    Option<OwnedSemaphorePermit>,
);

/// A block with what counts it.
type Counted = (Block, Held);

/// A stream of blocks.
pub(super) type Blocks = Outbox<Block, Places>;

impl Readers {
    /// Nobody yet.
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(STREAMS)),
            more: Arc::new(Semaphore::new(MORE)),
        }
    }

    /// Begins a stream on this connection.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED if there are too many.
    pub(super) async fn stream(
        &self,
        handle: NodeHandle,
        request: BlocksRequest,
        connection: Arc<Connection>,
    ) -> Result<Blocks, Status> {
        let places = self.places(&connection).await?;
        let (out, blocks) = Outbox::new(AHEAD, places);
        tokio::spawn(async move {
            if let Err(why) = send(handle, request, &connection, &out.messages).await {
                out.end.send(why).ok();
            }
        });
        Ok(blocks)
    }

    async fn places(&self, connection: &Connection) -> Result<Places, Status> {
        let full = |whose: &str, most: usize| {
            Status::resource_exhausted(format!(
                "{most} streams of blocks are open {whose}: end one, try again later, or ask \
                 another node"
            ))
        };
        let place = |of: &Arc<Semaphore>| of.clone().try_acquire_owned();
        // The own first: who has used them up does not stand in the way of others.
        let own = place(&connection.streams).map_err(|_| full("on this connection", SHARE))?;
        let first = connection.streams.available_permits() + 1 == SHARE;
        let more = (!first).then(|| place(&self.more)).transpose();
        let more = more.map_err(|_| full("on connections that have others", MORE))?;
        let here = match place(&self.all) {
            Ok(here) => here,
            Err(_) => {
                connection.make_room(Kind::Block);
                let here = timeout(MOMENT, self.all.clone().acquire_owned()).await;
                let here = here.map_err(|_| full("here", STREAMS))?;
                here.expect("it is never closed")
            }
        };
        Ok((own, here, more))
    }
}

/// Sends blocks until the log ends (or for ever), or the reader leaves.
///
/// # Errors
/// If the log cannot be read, the reader takes none for too long, or the node stops.
async fn send(
    handle: NodeHandle,
    request: BlocksRequest,
    to: &Arc<Connection>,
    out: &mpsc::Sender<Counted>,
) -> Result<(), Status> {
    let mut next = Height(request.from.max(1));
    let mut executed = handle.executed();
    let stop = handle.shutdown();
    let log = handle.log();
    loop {
        let end = *executed.borrow_and_update();
        while next <= end {
            let page = read(&log, next, end).await?;
            if page.is_empty() {
                // Executed before its row is written, which happens within milliseconds.
                tokio::select! {
                    () = tokio::time::sleep(SOON) => continue,
                    () = stop.cancelled() => return Err(stops()),
                }
            }
            for row in page {
                next = row.height.next();
                let bytes = longest(&row, request.batches);
                let Some((place, room)) = place(out, to, (row.height, bytes), PATIENCE).await?
                else {
                    return Ok(());
                };
                let block = block(&log, row, request.batches).await?;
                let bytes = PREFIX + block.encoded_len();
                place.send((block, room.answer(bytes)));
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

/// Waits until there is room for the block of a height; `None`: the reader has left.
///
/// # Errors
/// DEADLINE_EXCEEDED if he takes nothing.
async fn place<'a>(
    out: &'a mpsc::Sender<Counted>,
    to: &Arc<Connection>,
    (height, bytes): (Height, usize),
    patience: Duration,
) -> Result<Option<(mpsc::Permit<'a, Counted>, Room)>, Status> {
    let both = async {
        // What waits for its place takes no room yet.
        let place = out.reserve().await.ok()?;
        Some((place, to.reserve(Kind::Block, bytes).await))
    };
    let found = tokio::select! {
        found = timeout(patience, both) => found,
        () = out.closed() => Ok(None),
    };
    found.map_err(|_| {
        Status::deadline_exceeded(format!(
            "no block was taken for {patience:?}: ask again from height {height} on"
        ))
    })
}

/// The next rows; none if the log has not come so far yet. Reads happen on the blocking pool: the disk may be slow.
async fn read(log: &Log, from: Height, to: Height) -> Result<Vec<CommitRow>, Status> {
    let log = log.clone();
    let page = tokio::task::spawn_blocking(move || {
        let rows = log.commits(from, PAGE, PAGE_BYTES).map_err(failed)?;
        Ok(rows
            .into_iter()
            .take_while(|row| row.height <= to)
            .collect())
    });
    page.await.map_err(failed)?
}

/// The block of a row, with its batches if they are wanted: those are read here, one block's at a time.
async fn block(log: &Log, row: CommitRow, with_batches: bool) -> Result<Block, Status> {
    if !with_batches {
        return Ok(block_of(row, Vec::new()));
    }
    let log = log.clone();
    let read = tokio::task::spawn_blocking(move || {
        let batches = log.batches(&row).map_err(failed)?;
        let batches = batches.iter().map(|batch| batch.bytes().clone());
        Ok(block_of(row, batches.collect()))
    });
    read.await.map_err(failed)?
}

fn block_of(row: CommitRow, batches: Vec<Bytes>) -> Block {
    let references = row.payload.references();
    Block {
        height: row.height.0,
        history: bytes_of(&row.history),
        payload: codec::encode(&row.payload).into(),
        transactions: references.iter().map(|it| u64::from(it.count)).sum(),
        proof: row.proof,
        batches,
    }
}

/// The most bytes that the block of a row may have.
fn longest(row: &CommitRow, with_batches: bool) -> usize {
    let references = row.payload.references();
    let batches = references.iter().map(|it| match with_batches {
        true => NAME + it.bytes as usize,
        false => NAME,
    });
    batches.sum::<usize>() + row.proof.len() + ROW
}

fn failed(error: impl std::fmt::Display) -> Status {
    Status::internal(format!(
        "the log cannot be read: {error}; see the node's log"
    ))
}

#[cfg(test)]
mod tests;
