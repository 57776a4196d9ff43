//! A node around a toy machine: real threads, a real network, stores in memory.
#![allow(clippy::unwrap_used)]

use super::network::NetworkConfig;
use super::network::hello::{Hello, WIRE_VERSION};
use super::network::peer::{LaneLimits, PeerConfig};
use super::*;
use crate::handle::{NodeHandle, RequestError};
use crate::own_address::own_addresses;
use bytes::Bytes;
use consensus::Window;
use crypto::{
    ChainId, Digest, Epoch, FaultModel, Height, Kind, NodeId, NodeSet, PublicKey, Reject,
    SecretKey, Slot, Time, Transaction, View,
};
use engine::{Class, Effect, Ingress, Input, Machine, Refusal, Reply, RequestId, Status};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storage::memory::Fault;
use storage::{
    Executor, ExecutorConfig, GroupCommit, Limits, Memory, MemorySafetyFile, Safety, SafetyPolicy,
    Table, WriteBatch,
};
use tokio::time::{Instant, sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);

/// What the toy was told, for the tests.
#[derive(Default)]
struct Seen {
    frames: Vec<(NodeId, Bytes)>,
    cancelled: Vec<RequestId>,
    ticks: u64,
    shutdown: bool,
}

/// Answers a read once a write for it is durable; tells its peers of each; never answers an await.
struct Toy {
    me: NodeId,
    seen: Arc<Mutex<Seen>>,
    reads: BTreeMap<u64, RequestId>,
    tick_at: Option<Time>,
    halt_on_read: bool,
    /// Answers reads at the tick only.
    hold: bool,
    /// Wants a tick soon after it is told to stop.
    relent: bool,
    /// Proofs that it found when it started.
    proven: Vec<(NodeId, Slot)>,
}

impl Machine for Toy {
    type Checked = Bytes;

    fn step(&mut self, now: Time, input: Input<Bytes>, out: &mut Vec<Effect>) {
        let mut seen = self.seen.lock().unwrap();
        match input {
            Input::Message { from, message } => seen.frames.push((from, message)),
            Input::Read { .. } if self.halt_on_read => {
                let reason = "told to".to_owned();
                out.push(Effect::Halt { reason });
            }
            Input::Read { request } => {
                let mut batch = WriteBatch::new();
                batch.put(Table::Record, request.0.to_be_bytes().to_vec(), vec![1]);
                self.reads.insert(request.0, request);
                let (token, sync, view) = (request.0, true, View(1));
                out.push(Effect::Write {
                    token,
                    batch,
                    sync,
                    view,
                });
            }
            Input::Written { .. } if self.hold => {}
            Input::Written { token } => {
                let request = self.reads.remove(&token).unwrap();
                let reply = Reply::ReadAt(Height(token));
                out.push(Effect::Reply { request, reply });
                let (class, frame) = (Class::Control, Bytes::from(token.to_be_bytes().to_vec()));
                out.push(Effect::Broadcast { class, frame });
            }
            Input::Cancel { request } => seen.cancelled.push(request),
            Input::Tick if self.tick_at.is_some_and(|at| at <= now) => {
                seen.ticks += 1;
                self.tick_at = None;
                for (token, request) in std::mem::take(&mut self.reads) {
                    let reply = Reply::ReadAt(Height(token));
                    out.push(Effect::Reply { request, reply });
                }
            }
            Input::Shutdown => {
                seen.shutdown = true;
                if self.relent {
                    self.tick_at = Some(now.plus(Time::millis(100)));
                }
            }
            _ => {}
        }
    }
    fn deadline(&self) -> Option<Time> {
        self.tick_at
    }
    fn window(&self) -> Window {
        let (views, heights) = ((View(0), View(9)), (Height(0), Height(9)));
        let epoch = Epoch(0);
        Window {
            epoch,
            views,
            heights,
        }
    }
    fn sizes(&self) -> Vec<crypto::Size> {
        Vec::new()
    }
    fn status(&self) -> Status {
        Status {
            node: self.me,
            fault_model: FaultModel::Byzantine,
            protocol: "toy",
            consensus: consensus::Status {
                view: View(1),
                leader: None,
                height: Height(0),
                history: Digest::ZERO,
                timeouts: 0,
                waiting: None,
            },
            state_height: Height(0),
            state_digest: Digest::ZERO,
            pending: mempool::Stats::default(),
            connected: NodeSet::EMPTY,
            requests: self.reads.len(),
            evidence: self.proven.clone(),
            may_end: self.reads.is_empty(),
            waiting: None,
        }
    }
}

/// Takes every frame and no transaction.
struct Open;

impl Ingress for Open {
    type Checked = Bytes;

    fn admit(&self, _: NodeId, frame: &Bytes, _: &Window) -> Result<Bytes, Reject> {
        Ok(frame.clone())
    }
    fn checks_signatures(&self) -> bool {
        true
    }
    fn admit_transactions(
        &self,
        list: Vec<Transaction>,
    ) -> Vec<Result<mempool::CheckedTransaction, Reject>> {
        list.iter().map(|_| Err(Reject::BadSignature)).collect()
    }
}

struct Node {
    handle: NodeHandle,
    seen: Arc<Mutex<Seen>>,
    log: Arc<Memory>,
    state: Arc<Memory>,
}

fn network(me: u16, addresses: &[SocketAddr]) -> NetworkConfig {
    let key = |node: u16| SecretKey::from_seed(&[node as u8 + 1; 32]);
    let limits = LaneLimits {
        frame: 64 << 10,
        outgoing: 1 << 20,
        incoming: 1 << 20,
    };
    let peers = (0..addresses.len() as u16).filter(|node| *node != me);
    NetworkConfig {
        me: NodeId(me),
        key: key(me),
        listen: addresses[me as usize],
        peers: peers
            .map(|node| PeerConfig {
                node: NodeId(node),
                key: key(node).public(),
                address: addresses[node as usize].to_string(),
            })
            .collect(),
        hello: Hello {
            wire: WIRE_VERSION,
            chain: ChainId::default(),
            protocol: "toy".into(),
            build: "test".into(),
        },
        control: limits,
        bulk: limits,
    }
}

async fn start(
    me: u16,
    addresses: &[SocketAddr],
    change: impl FnOnce(&mut Toy),
) -> anyhow::Result<Node> {
    let (log, state) = (Arc::new(Memory::log()), Arc::new(Memory::state()));
    let typed = storage::Log::new(log.clone(), |_| None);
    let first = Safety::genesis(ChainId::default(), PublicKey([1; 32]));
    let file = Box::new(MemorySafetyFile::create(&first));
    let limits = Limits::default();
    let config = RuntimeConfig {
        clock: Clock::start(),
        network: network(me, addresses),
        log: typed.clone(),
        group: GroupCommit::new(log.clone(), file, first, SafetyPolicy::EachFence).unwrap(),
        executor: Executor::open(typed, state.clone(), ExecutorConfig::new(limits)).unwrap(),
        limits,
        requests: 100,
        verify_threads: 1,
        metrics: Arc::new(metrics::Metrics::new()),
    };
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut toy = Toy {
        me: NodeId(me),
        seen: seen.clone(),
        reads: BTreeMap::new(),
        tick_at: None,
        halt_on_read: false,
        hold: false,
        relent: false,
        proven: Vec::new(),
    };
    change(&mut toy);
    let handle = run(toy, Vec::new(), Arc::new(Open), config).await?;
    Ok(Node {
        handle,
        seen,
        log,
        state,
    })
}

async fn stop(node: &Node) -> Result<(), String> {
    node.handle.shutdown().cancel();
    timeout(PATIENCE, node.handle.stopped()).await.unwrap()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_goes_through_a_durable_write_and_reaches_the_peer() {
    let addresses = own_addresses(2);
    let a = start(0, &addresses, |_| {}).await.unwrap();
    let b = start(1, &addresses, |_| {}).await.unwrap();
    until("connected", || {
        a.handle.peers()[0].connected && b.handle.peers()[0].connected
    })
    .await;
    let heights = [a.handle.read(soon()).await, a.handle.read(soon()).await];
    assert_eq!(heights, [Ok(Height(1)), Ok(Height(2))]);
    assert_eq!(a.log.unsynced(), 0);
    until("told", || b.seen.lock().unwrap().frames.len() == 2).await;
    assert_eq!(b.seen.lock().unwrap().frames[0].0, NodeId(0));
    assert!(
        a.handle
            .metrics()
            .encode()
            .contains("quorate_connections 1")
    );
    assert_eq!(stop(&a).await, Ok(()));
    assert!(a.seen.lock().unwrap().shutdown, "the machine hears of it");
    assert!(a.state.flushes() > 0, "the state is flushed");
    let refused = a.handle.read(soon()).await;
    assert_eq!(refused, Err(RequestError::Refused(Refusal::ShuttingDown)));
    assert_eq!(stop(&b).await, Ok(()));
}

/// It may have died before it could tell of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proofs_of_former_runs_are_counted_when_a_node_starts() {
    let lie = |node: u16, view| {
        let slot = Slot {
            kind: Kind::Vote,
            epoch: Epoch(0),
            view: View(view),
            height: Height(1),
        };
        (NodeId(node), slot)
    };
    let proven = |toy: &mut Toy| toy.proven = vec![lie(2, 1), lie(2, 7), lie(3, 1)];
    let node = start(0, &own_addresses(1), proven).await.unwrap();
    let metrics = node.handle.metrics();
    assert_eq!(metrics.evidence.get(), 3);
    let told = metrics.encode();
    for line in [
        r#"lies_total{node="2",kind="vote"} 2"#,
        r#"lies_total{node="3",kind="vote"} 1"#,
    ] {
        assert!(told.contains(line), "{told}");
    }
    assert_eq!(stop(&node).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passed_deadline_cancels_the_request() {
    let node = start(0, &own_addresses(1), |_| {}).await.unwrap();
    let soon = Instant::now() + Duration::from_millis(30);
    let answer = node.handle.await_receipt(PublicKey([1; 32]), 1, soon).await;
    assert_eq!(answer, Err(RequestError::Deadline));
    until("cancelled", || {
        !node.seen.lock().unwrap().cancelled.is_empty()
    })
    .await;
    assert_eq!(stop(&node).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_comes_when_the_machine_wants_one_and_no_other() {
    let at = |toy: &mut Toy| toy.tick_at = Some(Time::millis(50));
    let node = start(0, &own_addresses(1), at).await.unwrap();
    until("ticked", || node.seen.lock().unwrap().ticks == 1).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(node.seen.lock().unwrap().ticks, 1);
    assert_eq!(stop(&node).await, Ok(()));
}

/// Who asked before the end is answered, unless that takes too long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_stop_answers_those_who_wait() {
    for relent in [true, false] {
        let hold = |toy: &mut Toy| (toy.hold, toy.relent) = (true, relent);
        let node = start(0, &own_addresses(1), hold).await.unwrap();
        let handle = node.handle.clone();
        let read = tokio::spawn(async move { handle.read(soon()).await });
        until("asked", || node.handle.status().requests == 1).await;
        let stopping = Instant::now();
        assert_eq!(stop(&node).await, Ok(()));
        let took = stopping.elapsed();
        let refused = Err(RequestError::Refused(Refusal::ShuttingDown));
        let expected = if relent {
            Ok(Height(1))
        } else {
            refused.clone()
        };
        assert_eq!(read.await.unwrap(), expected);
        assert_eq!(node.handle.read(soon()).await, refused);
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_stops_the_node_with_a_reason() {
    let node = start(0, &own_addresses(1), |_| {}).await.unwrap();
    node.log.fail(Fault::Sync, 0);
    let answer = node.handle.read(soon()).await;
    assert!(answer.is_err(), "a write that failed was acknowledged");
    let reason = timeout(PATIENCE, node.handle.stopped()).await.unwrap();
    assert!(reason.unwrap_err().contains("failed to"));
    assert!(node.handle.shutdown().is_cancelled());
}

/// What it said of itself before it died is not what it says now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_machine_hangs_is_not_ready() {
    let node = start(0, &own_addresses(1), |_| {}).await.unwrap();
    node.handle.read(soon()).await.unwrap();
    assert_eq!(node.handle.status().waiting, None);
    let (seen, handle) = (node.seen.clone(), node.handle.clone());
    let (locks, locked) = tokio::sync::oneshot::channel();
    let held = std::thread::spawn(move || {
        // The toy's steps wait for this lock.
        let _held = seen.lock().unwrap();
        locks.send(()).unwrap();
        let end = std::time::Instant::now() + PATIENCE;
        while handle.status().waiting.is_none() && std::time::Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        handle.status().waiting.clone()
    });
    locked.await.unwrap();
    let handle = node.handle.clone();
    let read = tokio::spawn(async move { handle.read(soon()).await });
    let why = tokio::task::spawn_blocking(|| held.join().unwrap()).await;
    assert!(
        why.unwrap()
            .unwrap()
            .contains("the machine has not come back")
    );
    read.await.unwrap().unwrap();
    until("ready again", || node.handle.status().waiting.is_none()).await;
    assert_eq!(stop(&node).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_halts_stops_the_node_with_its_reason() {
    let halt = |toy: &mut Toy| toy.halt_on_read = true;
    let node = start(0, &own_addresses(1), halt).await.unwrap();
    node.handle.read(soon()).await.unwrap_err();
    let reason = timeout(PATIENCE, node.handle.stopped()).await.unwrap();
    assert_eq!(reason, Err("told to".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_one_line_that_names_it() {
    let addresses = own_addresses(1);
    let taken = std::net::TcpListener::bind(addresses[0]).unwrap();
    let Err(error) = start(0, &addresses, |_| {}).await else {
        panic!("it started")
    };
    let port = addresses[0].port().to_string();
    assert!(error.to_string().contains(&port), "{error}");
    drop(taken);
    // So does another node, whose sockets libp2p would share without a word.
    let addresses = own_addresses(1);
    let node = start(0, &addresses, |_| {}).await.unwrap();
    assert!(start(0, &addresses, |_| {}).await.is_err());
    assert_eq!(stop(&node).await, Ok(()));
}
