//! Clients that ask for much and take nothing, over real connections.
#![allow(clippy::unwrap_used)]

mod outcomes;

use super::*;
use crate::handle::Shared;
use crate::logged::logged;
use crate::rpc::proto::{
    Block, BlocksRequest, Consistency, RangeRequest, RangeResponse, ledger_client::LedgerClient,
};
use crate::runtime::metrics::Metrics;
use crate::runtime::pulse::Pulse;
use crate::runtime::requests::{Answer, Question, Requests};
use bytes::Bytes;
use crypto::{
    Batch, ChainId, Digest, FaultModel, Height, NodeId, NodeSet, PublicKey, Signature, Time,
    Transaction, View,
};
use engine::{Reply, Status};
use futures::future::join_all;
use genesis::{Genesis, Ports, Rpc, Testnet};
use std::sync::{Arc, Mutex, RwLock};
use storage::{
    Executor, ExecutorConfig, Limits, Log, Memory, Operation, Outcome, Receipt, StateReader,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Streaming};

const PATIENCE: Duration = Duration::from_secs(30);
/// How many answers are asked for and not taken.
const ASKED: usize = 400;
/// The memory that they may cost, in bytes: what is counted and what the allocator keeps for later.
const MEMORY: usize = 160 << 20;
/// Tests that measure the memory of the process are alone in it, as far as this file goes.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// Between two outcomes of the node.
const PACE: Duration = Duration::from_millis(2);
/// The longest value, and so about the longest answer.
const VALUE: usize = 1 << 20;
/// Heights in the log, each with a batch that puts such a value.
const HEIGHTS: u64 = 8;

fn put(chain: ChainId, sequence: u64) -> Transaction {
    let operation = Operation::Put {
        key: Bytes::from_static(b"key"),
        value: vec![7; VALUE].into(),
    };
    Transaction {
        format: crypto::transaction::FORMAT,
        chain,
        client: PublicKey([1; 32]),
        sequence,
        expires: Height(100),
        body: storage::Request::all(vec![operation]).encode(),
        signature: Signature::NONE,
    }
}

/// A log of puts.
fn log(chain: ChainId) -> Log {
    logged((1..=HEIGHTS).map(|number| {
        let batch = Batch {
            author: NodeId(0),
            number,
            expires: Height(100),
            transactions: vec![put(chain, number)],
        };
        batch.seal()
    }))
}

fn status() -> Status {
    Status {
        node: NodeId(0),
        fault_model: FaultModel::Byzantine,
        protocol: "toy",
        consensus: consensus::Status {
            view: View(1),
            leader: None,
            height: Height(HEIGHTS),
            history: Digest::ZERO,
            timeouts: 0,
            waiting: None,
        },
        state_height: Height(HEIGHTS),
        state_digest: Digest::ZERO,
        pending: mempool::Stats::default(),
        connected: NodeSet::EMPTY,
        requests: 0,
        evidence: Vec::new(),
        may_end: true,
        waiting: None,
    }
}

/// What became of a transaction: if it reads, it read the longest value.
fn receipt(transaction: &Transaction) -> Receipt {
    let request = storage::kv::validate(&transaction.body, &Limits::default()).unwrap();
    let pair = storage::kv::Pair {
        key: Bytes::from_static(b"key"),
        value: vec![7; VALUE].into(),
        created: 1,
        modified: 1,
        version: 1,
    };
    let reply = match &request.then[0] {
        Operation::Range { .. } => storage::kv::Reply::Range {
            pairs: vec![pair],
            more: false,
        },
        _ => storage::kv::Reply::Delete { existed: true },
    };
    Receipt {
        client: transaction.client,
        sequence: transaction.sequence,
        transaction: transaction.digest(),
        outcome: Outcome::Done {
            succeeded: true,
            replies: Some(vec![reply]),
        },
        revision: 1,
        height: Height(1),
        index: 0,
        repeated: false,
    }
}

/// A node without a machine: it executes the log, and answers submissions out of thin air.
fn node(log: Log) -> NodeHandle {
    let limits = Limits::default();
    let state = Arc::new(Memory::state());
    let mut executor = Executor::open(log.clone(), state, ExecutorConfig::new(limits)).unwrap();
    while executor.applied().height < Height(HEIGHTS) {
        executor.step(Time(1), Height(HEIGHTS)).unwrap();
    }
    let (tell, executed) = watch::channel(Height(HEIGHTS));
    // The log goes on for ever, as far as anybody knows.
    std::mem::forget(tell);
    let requests = Arc::new(Requests::new(10_000));
    let (submit, submitted) = std::sync::mpsc::channel();
    let ask = move |question| {
        if let Question::Submit {
            request,
            transaction,
            ..
        } = question
        {
            submit.send((request, transaction)).unwrap();
        }
    };
    let asked = requests.clone();
    // Not all at once: an outcome that nobody has looked at yet is no answer that nobody takes.
    std::thread::spawn(move || {
        for (request, transaction) in submitted {
            std::thread::sleep(PACE);
            let reply = Reply::Executed(receipt(&transaction));
            asked.answer(request, Answer::Reply(reply));
        }
    });
    let shared = Shared {
        ask: Box::new(ask),
        requests,
        status: Arc::new(RwLock::new(Arc::new(status()))),
        pulse: Arc::new(Pulse::new()),
        state: StateReader::new(executor.state(), limits),
        log,
        executed,
        metrics: Arc::new(Metrics::new()),
        stop: CancellationToken::new(),
        gone: CancellationToken::new(),
        peers: Box::new(Vec::new),
        network_address: ([127, 0, 0, 1], 0).into(),
        done: Mutex::new(None),
    };
    NodeHandle {
        shared: Arc::new(shared),
    }
}

struct Server {
    _alone: tokio::sync::MutexGuard<'static, ()>,
    url: String,
    chain: ChainId,
    handle: NodeHandle,
    answers: Arc<Answers>,
}

/// So that no test waits for long.
const CAPS: Caps = Caps {
    patience: Duration::from_millis(300),
    ..Caps::NODE
};

/// So that nobody is cut off.
const ENDLESS: Caps = Caps {
    patience: Duration::from_secs(3_600),
    ..Caps::NODE
};

async fn server() -> Server {
    server_with(CAPS).await
}

async fn server_with(caps: Caps) -> Server {
    let alone = ALONE.lock().await;
    let built = Testnet::new(Ports::series(7000, 4).unwrap())
        .build_from(&[7; 32])
        .unwrap();
    let genesis: Arc<Genesis> = Arc::new(built.genesis);
    let chain = genesis.chain_id();
    let handle = node(log(chain));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listeners = Listeners::bind(any, any).await.unwrap();
    let (rpc, _) = listeners.addresses().unwrap();
    let info = NodeInfo::new(genesis, Rpc::default());
    let answers = Answers::new(caps);
    tokio::spawn(serve_with(listeners, handle.clone(), info, answers.clone()));
    let url = format!("http://{rpc}");
    Server {
        _alone: alone,
        url,
        chain,
        handle,
        answers,
    }
}

/// A connection that is given little at a time unless its client takes it.
async fn narrow(url: &str) -> Channel {
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    endpoint
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(65_535)
        .connect()
        .await
        .unwrap()
}

async fn honest(url: &str) -> LedgerClient<Channel> {
    let channel = Endpoint::from_shared(url.to_owned()).unwrap();
    LedgerClient::new(channel.connect().await.unwrap()).max_decoding_message_size(64 << 20)
}

fn range_request() -> RangeRequest {
    RangeRequest {
        key: Bytes::from_static(b"key"),
        consistency: Consistency::Local.into(),
        ..RangeRequest::default()
    }
}

/// Asks for a range, and lets whatever is answered lie where it is.
async fn ask_range(channel: Channel) -> Result<Response<Streaming<RangeResponse>>, tonic::Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<RangeRequest, RangeResponse>::default();
    let path = PathAndQuery::from_static("/quorate.v1.Ledger/Range");
    grpc.server_streaming(Request::new(range_request()), path, codec)
        .await
}

async fn ask_blocks(channel: Channel) -> Result<Response<Streaming<Block>>, tonic::Status> {
    let request = BlocksRequest {
        from: 1,
        follow: true,
        batches: true,
    };
    let mut ledger = LedgerClient::new(channel).max_decoding_message_size(64 << 20);
    ledger.blocks(request).await
}

/// Waits until so many bytes wait for clients.
async fn until(server: &Server, enough: impl Fn(usize) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !enough(server.answers.waiting()) {
        assert!(Instant::now() < end, "{} bytes", server.answers.waiting());
        sleep(Duration::from_millis(10)).await;
    }
}

/// Bytes of memory that this process has.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}

/// The most that was held more than before, in a while.
async fn held_more_than(before: usize) -> usize {
    let mut most = 0;
    for _ in 0..30 {
        sleep(Duration::from_millis(100)).await;
        most = most.max(resident().saturating_sub(before));
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_that_nobody_takes_hold_little_memory() {
    let server = server().await;
    let channel = narrow(&server.url).await;
    let first = honest(&server.url).await.range(range_request()).await;
    assert_eq!(first.unwrap().into_inner().kvs[0].value.len(), VALUE);
    let before = resident();
    let asked: Vec<_> = (0..ASKED)
        .map(|_| tokio::spawn(ask_range(channel.clone())))
        .collect();
    let held = held_more_than(before).await;
    assert!(held < MEMORY, "{} MiB for {ASKED} ranges", held >> 20);
    let counted = server.answers.waiting();
    assert!((14 << 20..=16 << 20).contains(&counted), "{counted} bytes");
    // Another connection has none of that.
    let other = timeout(PATIENCE, async {
        honest(&server.url).await.range(range_request()).await
    });
    assert_eq!(other.await.unwrap().unwrap().into_inner().kvs.len(), 1);
    asked.iter().for_each(tokio::task::JoinHandle::abort);
    server.handle.shutdown().cancel();
}

/// Nine connections have more than the room of the node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_is_cut_off_when_the_node_has_no_room() {
    let server = server().await;
    let mut asked = Vec::new();
    for _ in 0..9 {
        let channel = narrow(&server.url).await;
        let calls = (0..20).map(|_| tokio::spawn(ask_range(channel.clone())));
        asked.extend(calls);
    }
    let full = Caps::NODE.node - VALUE;
    until(&server, |waiting| waiting >= full).await;
    for _ in 0..20 {
        let range = async { honest(&server.url).await.range(range_request()).await };
        let read = timeout(PATIENCE, range).await.unwrap();
        assert_eq!(read.unwrap().into_inner().kvs.len(), 1);
    }
    assert!(server.answers.waiting() <= Caps::NODE.node);
    asked.iter().for_each(tokio::task::JoinHandle::abort);
    server.handle.shutdown().cancel();
}

/// A reader of the log gets in whoever is there.
async fn an_honest_reader_gets_in(url: &str) {
    let end = Instant::now() + PATIENCE;
    loop {
        let channel = narrow(url).await;
        let why = match timeout(PATIENCE, ask_blocks(channel)).await.unwrap() {
            Ok(blocks) => {
                let block = timeout(PATIENCE, blocks.into_inner().message()).await;
                assert_eq!(block.unwrap().unwrap().unwrap().height, 1);
                return;
            }
            Err(why) => why,
        };
        assert_eq!(why.code(), Code::ResourceExhausted);
        assert!(Instant::now() < end, "never let in: {why}");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Fills the node's room for ranges; nobody is cut off.
async fn full_of_ranges() -> (Server, Vec<tokio::task::JoinHandle<()>>) {
    let server = server_with(ENDLESS).await;
    let mut asked = Vec::new();
    for _ in 0..9 {
        let channel = narrow(&server.url).await;
        asked.extend((0..20).map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { drop(ask_range(channel).await.map(forget)) })
        }));
    }
    let full = Caps::NODE.node - 2 * VALUE;
    until(&server, |waiting| waiting >= full).await;
    (server, asked)
}

/// Keeps an answer for ever, without a look at it.
fn forget<T>(answer: T) {
    std::mem::forget(answer);
}

/// Who has taken all is not told to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_no_room_is_told_whose_answers_are_in_the_way() {
    let (server, asked) = full_of_ranges().await;
    let mut request = Request::new(range_request());
    request.set_timeout(Duration::from_millis(500));
    let why = honest(&server.url).await.range(request).await.unwrap_err();
    assert_eq!(why.code(), Code::ResourceExhausted, "{why}");
    assert!(why.message().contains("other clients"), "{why}");
    asked.iter().for_each(tokio::task::JoinHandle::abort);
    server.handle.shutdown().cancel();
}

/// However many long ones wait, on this connection and on others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_range_does_not_wait_for_room_for_a_long_one() {
    let (server, mut asked) = full_of_ranges().await;
    let channel = Endpoint::from_shared(server.url.clone()).unwrap();
    let channel = channel.initial_connection_window_size(64 << 20);
    let channel = channel.connect().await.unwrap();
    asked.extend((0..30).map(|_| {
        let channel = channel.clone();
        tokio::spawn(async move { drop(ask_range(channel).await.map(forget)) })
    }));
    let mut ledger = LedgerClient::new(channel);
    for _ in 0..20 {
        let short = RangeRequest {
            key: Bytes::from_static(b"none"),
            ..range_request()
        };
        let mut request = Request::new(short);
        request.set_timeout(Duration::from_secs(5));
        let read = ledger.range(request).await.unwrap();
        assert!(read.into_inner().kvs.is_empty());
    }
    asked.iter().for_each(tokio::task::JoinHandle::abort);
    server.handle.shutdown().cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_connections_do_not_take_all_streams_of_blocks() {
    let server = server().await;
    let mut open = Vec::new();
    for _ in 0..8 {
        let channel = narrow(&server.url).await;
        open.extend(join_all((0..8).map(|_| ask_blocks(channel.clone()))).await);
    }
    an_honest_reader_gets_in(&server.url).await;
    server.handle.shutdown().cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_blocks_that_take_nothing_make_room_for_others() {
    let server = server().await;
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(ask_blocks(narrow(&server.url).await).await.unwrap());
    }
    an_honest_reader_gets_in(&server.url).await;
    server.handle.shutdown().cancel();
}
