#![allow(clippy::unwrap_used)]

use super::*;
use crypto::{Batch, ChainId, Digest, NodeId, Payload, PublicKey, Signature, Transaction};
use storage::{Memory, Read, Row, Scan, Statistics, Store, StoreError, Table, WriteBatch};
use tokio_stream::StreamExt as _;
use tonic::Code;

const BATCH: usize = 400 << 10;

/// Heights of one batch each, of about [`BATCH`] bytes.
fn log_of(heights: u64) -> Log {
    let store = Arc::new(Memory::log());
    let mut history = Digest::ZERO;
    for height in (1..=heights).map(Height) {
        let transaction = Transaction {
            format: crypto::transaction::FORMAT,
            chain: ChainId::default(),
            client: PublicKey([1; 32]),
            sequence: height.0,
            expires: height,
            body: vec![0; BATCH].into(),
            signature: Signature::NONE,
        };
        let sealed = Batch {
            author: NodeId(0),
            number: height.0,
            expires: height,
            transactions: vec![transaction],
        }
        .seal();
        let reference = sealed.reference();
        let payload = Payload::Refs(vec![reference]);
        history = payload.extend_history(&history, height);
        let mut write = WriteBatch::new();
        let key = storage::log::batch_key(&reference.digest);
        write.put(Table::Batch, key, sealed.bytes().clone());
        let proof = Bytes::new();
        CommitRow {
            height,
            payload,
            history,
            proof,
        }
        .put(&mut write);
        store.write(write).unwrap();
    }
    Log::new(store, |_| None)
}

/// A store in which a row lands between two reads.
struct Late(Memory, Mutex<Option<WriteBatch>>);

impl Read for Late {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.0.get(table, key)
    }
    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        let rows = self.0.scan(table, scan)?;
        if let Some(late) = self.1.lock().unwrap().take() {
            self.0.write(late)?;
        }
        Ok(rows)
    }
}

impl Store for Late {
    fn snapshot(&self) -> Box<dyn Read + '_> {
        self.0.snapshot()
    }
    fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        self.0.write(batch)
    }
    fn sync(&self) -> Result<(), StoreError> {
        self.0.sync()
    }
    fn flush(&self, wait: bool) -> Result<(), StoreError> {
        self.0.flush(wait)
    }
    fn statistics(&self) -> Statistics {
        self.0.statistics()
    }
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
    let store = Late(Memory::log(), Mutex::new(Some(write)));
    let log = Log::new(Arc::new(store), |_| None);
    let page = read(&log, Height(1), Height(1), false).await.unwrap();
    assert!(page.is_empty(), "not yet");
    let page = read(&log, Height(1), Height(1), false).await.unwrap();
    assert_eq!(page[0].height, 1);
}

/// What a reader who takes nothing would make the node keep.
#[tokio::test]
async fn a_page_is_short_whatever_the_blocks_hold() {
    let (log, last) = (log_of(20), Height(20));
    for batches in [true, false] {
        let (mut next, mut pages) = (Height(1), 0);
        while next <= last {
            let page = read(&log, next, last, batches).await.unwrap();
            let bytes: usize = page.iter().flat_map(|it| &it.batches).map(Bytes::len).sum();
            assert!(bytes < PAGE_BYTES + 2 * BATCH, "{bytes} bytes at {next}");
            for block in page {
                assert_eq!(block.height, next.0);
                assert_eq!(block.batches.len(), usize::from(batches));
                next = next.next();
            }
            pages += 1;
        }
        assert_eq!(pages, if batches { 7 } else { 1 });
    }
}

#[tokio::test]
async fn a_reader_who_takes_nothing_is_given_up() {
    let patience = Duration::from_millis(50);
    let (out, mut blocks) = mpsc::channel(AHEAD);
    assert!(pass(&out, Block::default(), patience).await.unwrap());
    let late = pass(&out, Block::default(), patience).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert!(blocks.recv().await.is_some());
    let slow = async {
        tokio::time::sleep(patience).await;
        blocks.recv().await
    };
    assert!(pass(&out, Block::default(), patience).await.unwrap());
    let (passed, taken) = tokio::join!(pass(&out, Block::default(), 100 * patience), slow);
    assert!(passed.unwrap() && taken.is_some(), "slow, but there");
    drop(blocks);
    let passed = pass(&out, Block::default(), patience).await;
    assert!(!passed.unwrap(), "he has left");
}

/// Or its reader would take what he has for the whole log.
#[tokio::test]
async fn a_stream_that_was_given_up_ends_with_the_reason() {
    let readers = Readers::new();
    let (out, blocks) = mpsc::channel(AHEAD);
    let (tell, end) = oneshot::channel();
    let mut stream = Blocks {
        blocks,
        end,
        _permits: readers.permits(None).unwrap(),
    };
    out.send(Block::default()).await.unwrap();
    tell.send(stops()).unwrap();
    drop(out);
    assert!(stream.next().await.unwrap().is_ok());
    let last = stream.next().await.unwrap().unwrap_err();
    assert_eq!(last.code(), Code::Unavailable);
}

#[test]
fn no_connection_has_all_the_streams() {
    let readers = Readers::new();
    let client = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
    let mut open = Vec::new();
    for port in 0..8 {
        for _ in 0..SHARE {
            open.push(readers.permits(client(port)).unwrap());
        }
        let refusal = readers.permits(client(port)).unwrap_err().to_string();
        assert!(
            refusal.contains(if port < 7 { "on this connection" } else { "8" }),
            "{refusal}"
        );
    }
    let refusal = readers.permits(client(8)).unwrap_err().to_string();
    assert!(
        refusal.contains("64 streams of blocks are open here"),
        "{refusal}"
    );
    open.pop();
    assert!(readers.permits(client(8)).is_ok());
    drop(open);
    assert!(readers.permits(client(9)).is_ok());
    assert_eq!(
        readers.shares.lock().unwrap().len(),
        1,
        "nothing of who left"
    );
}
