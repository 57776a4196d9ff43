#![allow(clippy::unwrap_used)]

use super::*;
use crate::hooked::Hooked;
use crate::logged::logged;
use crate::rpc::answers::{Answers, Caps};
use crypto::{Batch, ChainId, Digest, NodeId, Payload, PublicKey, Signature, Transaction};
use std::sync::Mutex;
use storage::{Memory, Store as _, Table, WriteBatch};
use tokio_stream::StreamExt as _;
use tonic::Code;

const BATCH: usize = 400 << 10;

/// Heights of one batch each, of about [`BATCH`] bytes.
fn log_of(heights: u64) -> Log {
    logged((1..=heights).map(Height).map(|height| {
        let transaction = Transaction {
            format: crypto::transaction::FORMAT,
            chain: ChainId::default(),
            client: PublicKey([1; 32]),
            sequence: height.0,
            expires: height,
            body: vec![0; BATCH].into(),
            signature: Signature::NONE,
        };
        let batch = Batch {
            author: NodeId(0),
            number: height.0,
            expires: height,
            transactions: vec![transaction],
        };
        batch.seal()
    }))
}

/// A height is executed a moment before its row is written, which may be just while it is read.
#[tokio::test]
async fn a_row_that_is_written_meanwhile_is_waited_for() {
    let payload = Payload::Refs(Vec::new());
    let mut write = WriteBatch::new();
    CommitRow {
        height: Height(1),
        history: payload.extend_history(&Digest::ZERO, Height(1)),
        payload,
        proof: Bytes::new(),
    }
    .put(&mut write);
    let late = Mutex::new(Some(write));
    let land = move |log: &Memory, _: Table| {
        if let Some(write) = late.lock().unwrap().take() {
            log.write(write).unwrap();
        }
    };
    let log = Log::new(Arc::new(Hooked(Arc::new(Memory::log()), land)), |_| None);
    let page = read(&log, Height(1), Height(1)).await.unwrap();
    assert!(page.is_empty(), "not yet");
    let page = read(&log, Height(1), Height(1)).await.unwrap();
    assert_eq!(page[0].height, Height(1));
}

/// What waits on a connection may take so much.
const CAPS: Caps = Caps {
    connection: 1_000,
    node: 2_000,
    patience: Duration::from_millis(50),
};

/// Room is taken before a block is read.
#[tokio::test]
async fn no_block_is_longer_than_was_thought() {
    let log = log_of(20);
    let rows = read(&log, Height(1), Height(19)).await.unwrap();
    assert_eq!(rows.len(), 19);
    for batches in [true, false] {
        for row in &rows {
            let most = longest(row, batches);
            let block = block(&log, row.clone(), batches).await.unwrap();
            let bytes = PREFIX + block.encoded_len();
            assert_eq!(block.batches.len(), usize::from(batches));
            assert!((bytes..bytes + 2 * ROW).contains(&most), "{bytes}, {most}");
        }
    }
}

/// Passes a block of so many bytes on.
async fn pass(
    out: &mpsc::Sender<(Block, Held)>,
    to: &Arc<Connection>,
    bytes: usize,
    patience: Duration,
) -> Result<bool, Status> {
    let found = place(out, to, (Height(1), bytes), patience).await?;
    Ok(found
        .map(|(place, room)| place.send((Block::default(), room.answer(bytes))))
        .is_some())
}

#[tokio::test]
async fn a_reader_who_takes_nothing_is_given_up() {
    let patience = Duration::from_millis(50);
    let to = Answers::new(CAPS).connect(None);
    let (out, mut blocks) = mpsc::channel(AHEAD);
    assert!(pass(&out, &to, 1, patience).await.unwrap());
    let late = pass(&out, &to, 1, patience).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert!(blocks.recv().await.is_some());
    let slow = async {
        tokio::time::sleep(patience).await;
        blocks.recv().await
    };
    assert!(pass(&out, &to, 1, patience).await.unwrap());
    let (passed, taken) = tokio::join!(pass(&out, &to, 1, 100 * patience), slow);
    assert!(passed.unwrap() && taken.is_some(), "slow, but there");
    drop(blocks);
    let passed = pass(&out, &to, 1, patience).await;
    assert!(!passed.unwrap(), "he has left");
}

/// The connection may have taken a block from us, and kept it.
#[tokio::test]
async fn a_reader_whose_connection_is_full_waits_for_what_it_holds() {
    let patience = Duration::from_millis(50);
    let to = Answers::new(CAPS).connect(None);
    let (out, mut blocks) = mpsc::channel(AHEAD);
    assert!(pass(&out, &to, 600, patience).await.unwrap());
    let (_, held) = blocks.recv().await.unwrap();
    assert!(pass(&out, &to, 600, patience).await.is_err());
    drop(held);
    assert!(pass(&out, &to, 600, patience).await.unwrap());
    // One that is longer than all room goes alone.
    drop(blocks.recv().await);
    assert!(pass(&out, &to, 9_000, patience).await.unwrap());
}

/// Or its reader would take what he has for the whole log.
#[tokio::test]
async fn a_stream_that_was_given_up_ends_with_the_reason() {
    let to = Answers::new(CAPS).connect(None);
    let (out, mut stream) = Outbox::new(AHEAD, ());
    let passed = pass(&out.messages, &to, 1, PATIENCE).await;
    assert!(passed.unwrap());
    out.end.send(stops()).unwrap();
    drop(out.messages);
    assert!(stream.next().await.unwrap().is_ok());
    let last = stream.next().await.unwrap().unwrap_err();
    assert_eq!(last.code(), Code::Unavailable);
}

#[tokio::test]
async fn no_few_connections_have_all_the_streams() {
    let (readers, answers) = (Readers::new(), Answers::new(CAPS));
    let mut open = Vec::new();
    let refused = |why: Status, says: &str| {
        assert_eq!(why.code(), Code::ResourceExhausted);
        assert!(why.message().contains(says), "{why}");
    };
    for _ in 0..8 {
        let connection = answers.connect(None);
        for _ in 0..=SHARE {
            match readers.places(&connection).await {
                Ok(places) => open.push((connection.clone(), places)),
                Err(why) if connection.streams.available_permits() == 0 => {
                    refused(why, "8 streams of blocks are open on this");
                }
                Err(why) => refused(why, "32 streams of blocks are open on connections"),
            }
        }
    }
    assert_eq!(open.len(), MORE + 8);
    // The others are for those who have none.
    for _ in open.len()..STREAMS {
        let connection = answers.connect(None);
        let places = readers.places(&connection).await.unwrap();
        open.push((connection, places));
    }
    let late = answers.connect(None);
    let why = readers.places(&late).await.unwrap_err();
    refused(why, "64 streams of blocks are open here");
    open.pop();
    assert!(readers.places(&late).await.is_ok());
    drop(open);
    for _ in 0..SHARE {
        assert!(readers.places(&late).await.is_ok(), "all is given back");
    }
}
