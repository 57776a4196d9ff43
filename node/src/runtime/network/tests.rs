#![allow(clippy::unwrap_used)]

use super::*;
use crate::own_address::own_addresses;
use crypto::{ChainId, Digest};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, timeout};

const LIMITS: LaneLimits = LaneLimits {
    frame: 64 << 10,
    outgoing: 1 << 20,
    incoming: 1 << 20,
};
const PATIENCE: Duration = Duration::from_secs(60);

/// What a node's sink saw.
#[derive(Default)]
struct Seen {
    frames: Mutex<Vec<(NodeId, Class, Bytes)>>,
    held: Mutex<Vec<Permit>>,
    hold: std::sync::atomic::AtomicBool,
    touched: Mutex<Vec<(NodeId, bool)>>,
    rejected: Mutex<Vec<(NodeId, Reject)>>,
}

impl Sink for Seen {
    fn frame(&self, from: NodeId, class: Class, frame: Bytes, permit: Permit) {
        self.frames.lock().unwrap().push((from, class, frame));
        if self.hold.load(std::sync::atomic::Ordering::Relaxed) {
            self.held.lock().unwrap().push(permit);
        }
    }
    fn touched(&self, node: NodeId, connected: bool) {
        self.touched.lock().unwrap().push((node, connected));
    }
    fn rejected(&self, from: NodeId, reject: Reject) {
        self.rejected.lock().unwrap().push((from, reject));
    }
}

struct Node {
    network: Network,
    seen: Arc<Seen>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Node {
    async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        timeout(PATIENCE, self.tasks.wait()).await.unwrap();
    }
    fn is_connected(&self, to: u16) -> bool {
        self.network
            .peers()
            .iter()
            .any(|peer| peer.node == NodeId(to) && peer.connected)
    }
    fn frames(&self) -> usize {
        self.seen.frames.lock().unwrap().len()
    }
}

fn key(node: u16) -> SecretKey {
    SecretKey::from_seed(&[u8::try_from(node).unwrap() + 1; 32])
}

fn hello(chain: u8) -> Hello {
    let (protocol, build) = ("hotstuff".to_owned(), "test".to_owned());
    Hello {
        wire: hello::WIRE_VERSION,
        chain: ChainId(Digest([chain; 32])),
        protocol,
        build,
    }
}

async fn start_with(
    me: u16,
    addresses: &[SocketAddr],
    change: impl FnOnce(&mut NetworkConfig),
) -> Node {
    let peers = (0..addresses.len() as u16)
        .filter(|node| *node != me)
        .map(|node| PeerConfig {
            node: NodeId(node),
            key: key(node).public(),
            address: addresses[node as usize].to_string(),
        });
    let mut config = NetworkConfig {
        me: NodeId(me),
        key: key(me),
        listen: addresses[me as usize],
        peers: peers.collect(),
        hello: hello(1),
        control: LIMITS,
        bulk: LIMITS,
    };
    change(&mut config);
    let (seen, metrics) = (Arc::new(Seen::default()), Arc::new(Metrics::new()));
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let network = Network::start(config, seen.clone(), metrics.clone(), stop.clone(), &tasks)
        .await
        .unwrap();
    Node {
        network,
        seen,
        metrics,
        stop,
        tasks,
    }
}

async fn start(me: u16, addresses: &[SocketAddr]) -> Node {
    start_with(me, addresses, |_| {}).await
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_exchange_frames_of_both_classes_in_order() {
    let addresses = own_addresses(3);
    let mut nodes = Vec::new();
    for me in 0..3 {
        nodes.push(start(me, &addresses).await);
    }
    until("all connected", || {
        nodes
            .iter()
            .all(|node| node.network.peers().iter().all(|peer| peer.connected))
    })
    .await;
    // Bulk streams have no event of their own: repeat until the first one comes through.
    until("bulk is open", || {
        nodes[2]
            .network
            .send(NodeId(0), Class::Bulk, Bytes::from_static(b"?"));
        nodes[0].frames() > 0
    })
    .await;
    for i in 0..1_000_u32 {
        let frame = Bytes::copy_from_slice(&i.to_le_bytes());
        nodes[1].network.broadcast(Class::Control, &frame);
    }
    let received = |node: &Node| -> Vec<u32> {
        let frames = node.seen.frames.lock().unwrap();
        let control = frames
            .iter()
            .filter(|f| f.0 == NodeId(1) && f.1 == Class::Control);
        control
            .map(|f| u32::from_le_bytes(f.2[..].try_into().unwrap()))
            .collect()
    };
    until("all frames", || {
        received(&nodes[0]).len() + received(&nodes[2]).len() >= 2_000
    })
    .await;
    assert_eq!(received(&nodes[0]), (0..1_000).collect::<Vec<_>>());
    assert_eq!(received(&nodes[2]), (0..1_000).collect::<Vec<_>>());
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_not_in_genesis_is_dropped() {
    let addresses = own_addresses(2);
    let honest = start(1, &addresses).await;
    let foreign = start_with(0, &addresses, |config| config.key = key(77)).await;
    until("refused", || {
        honest.metrics.refused_connections("not_a_validator") > 0
    })
    .await;
    assert!(!honest.is_connected(0));
    assert!(honest.seen.touched.lock().unwrap().is_empty());
    foreign.stop().await;
    // The port still serves who belongs to it.
    let member = start(0, &addresses).await;
    until("connected", || {
        honest.is_connected(0) && member.is_connected(1)
    })
    .await;
    honest.stop().await;
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_chain_version_or_protocol_is_dropped() {
    type Change = fn(&mut Hello);
    let different: [(&str, Change); 3] = [
        ("other_chain", |h| h.chain = ChainId(Digest([2; 32]))),
        ("other_version", |h| h.wire += 1),
        ("other_protocol", |h| h.protocol = "raft".into()),
    ];
    for (reason, change) in different {
        let addresses = own_addresses(2);
        let ours = start(1, &addresses).await;
        let theirs = start_with(0, &addresses, |config| change(&mut config.hello)).await;
        until(reason, || ours.metrics.refused_connections(reason) > 0).await;
        until(reason, || theirs.metrics.refused_connections(reason) > 0).await;
        assert!(ours.seen.touched.lock().unwrap().is_empty());
        assert!(theirs.seen.touched.lock().unwrap().is_empty());
        ours.stop().await;
        theirs.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_port_is_dropped_and_counted() {
    let addresses = own_addresses(2);
    let node = start(0, &addresses).await;
    for _ in 0..8 {
        let mut socket = tokio::net::TcpStream::connect(node.network.address())
            .await
            .unwrap();
        socket.write_all(&[0xff; 4_096]).await.ok();
        let mut rest = Vec::new();
        // The node hangs up: with an end or a reset, but it does.
        timeout(PATIENCE, socket.read_to_end(&mut rest))
            .await
            .unwrap()
            .ok();
    }
    until("counted", || {
        node.metrics.refused_connections("handshake") >= 8
    })
    .await;
    let peer = start(1, &addresses).await;
    until("connected", || node.is_connected(1)).await;
    node.stop().await;
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_strangers_do_not_keep_validators_out() {
    let addresses = own_addresses(2);
    let node = start(1, &addresses).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(
            tokio::net::TcpStream::connect(node.network.address())
                .await
                .unwrap(),
        );
    }
    until("the rest is refused", || {
        node.metrics.refused_connections("too_many") > 0
    })
    .await;
    let peer = start(0, &addresses).await;
    until("connected", || node.is_connected(0)).await;
    node.stop().await;
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversized_frame_ends_the_stream_and_is_counted() {
    let addresses = own_addresses(2);
    let small = start(0, &addresses).await;
    let large = start_with(1, &addresses, |config| config.control.frame = 1 << 20).await;
    until("connected", || {
        small.is_connected(1) && large.is_connected(0)
    })
    .await;
    large
        .network
        .send(NodeId(0), Class::Control, Bytes::from(vec![7; 100 << 10]));
    until("rejected", || {
        !small.seen.rejected.lock().unwrap().is_empty()
    })
    .await;
    assert_eq!(
        small.seen.rejected.lock().unwrap()[0],
        (NodeId(1), Reject::TooLong)
    );
    assert_eq!(small.frames(), 0);
    // It opens another stream, and honest frames pass.
    until("a later frame", || {
        large
            .network
            .send(NodeId(0), Class::Control, Bytes::from_static(b"fine"));
        small.frames() > 0
    })
    .await;
    small.stop().await;
    large.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_connect_again_after_either_side_restarts() {
    let addresses = own_addresses(2);
    let mut nodes = [start(0, &addresses).await, start(1, &addresses).await];
    until("connected", || {
        nodes[0].is_connected(1) && nodes[1].is_connected(0)
    })
    .await;
    for restarted in [1_usize, 0] {
        let other = 1 - restarted;
        let fresh = {
            let [a, b] = nodes;
            let (gone, stays) = if restarted == 0 { (a, b) } else { (b, a) };
            gone.stop().await;
            until("noticed", || !stays.is_connected(restarted as u16)).await;
            let back = start(restarted as u16, &addresses).await;
            until("again", || {
                back.is_connected(other as u16) && stays.is_connected(restarted as u16)
            })
            .await;
            if restarted == 0 {
                [back, stays]
            } else {
                [stays, back]
            }
        };
        nodes = fresh;
    }
    let seen: Vec<_> = nodes[0].seen.touched.lock().unwrap().clone();
    assert!(seen.contains(&(NodeId(1), true)));
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_sends_faster_than_it_is_processed_is_not_read_on() {
    let addresses = own_addresses(2);
    let slow = start(0, &addresses).await;
    let fast = start(1, &addresses).await;
    slow.seen
        .hold
        .store(true, std::sync::atomic::Ordering::Relaxed);
    until("connected", || fast.is_connected(0)).await;
    let frame = Bytes::from(vec![1; 32 << 10]);
    for _ in 0..400 {
        fast.network.send(NodeId(0), Class::Control, frame.clone());
        sleep(Duration::from_millis(1)).await;
    }
    sleep(Duration::from_millis(200)).await;
    let bytes = slow.frames() * frame.len();
    assert!(
        bytes <= LIMITS.incoming + (64 << 10),
        "{bytes} bytes unprocessed"
    );
    assert!(fast.network.waiting(Class::Control) <= LIMITS.outgoing);
    // Once they are processed, it goes on.
    let before = slow.frames();
    slow.seen
        .hold
        .store(false, std::sync::atomic::Ordering::Relaxed);
    slow.seen.held.lock().unwrap().clear();
    until("more", || slow.frames() > before).await;
    slow.stop().await;
    fast.stop().await;
}

/// Forwards connections to a port; while it is frozen, bytes neither pass nor are refused.
async fn proxy(to: SocketAddr, mut frozen: tokio::sync::watch::Receiver<bool>) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            frozen.wait_for(|frozen| !frozen).await.unwrap();
            let far = tokio::net::TcpStream::connect(to).await.unwrap();
            let ((a, b), (c, d)) = (near.into_split(), far.into_split());
            tokio::spawn(forward(a, d, frozen.clone()));
            tokio::spawn(forward(c, b, frozen.clone()));
        }
    });
    port
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut frozen: tokio::sync::watch::Receiver<bool>,
) {
    let mut buffer = [0; 4_096];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        if frozen.wait_for(|frozen| !frozen).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_falls_silent_is_given_up_and_made_anew() {
    let addresses = own_addresses(2);
    let (freeze, frozen) = tokio::sync::watch::channel(false);
    let callee = start(1, &addresses).await;
    let through = proxy(addresses[1], frozen).await;
    let caller = start_with(0, &addresses, |config| {
        config.peers[0].address = format!("127.0.0.1:{through}");
    })
    .await;
    let both = || caller.is_connected(1) && callee.is_connected(0);
    until("connected", both).await;
    freeze.send_replace(true);
    until("given up", || {
        !caller.is_connected(1) && !callee.is_connected(0)
    })
    .await;
    freeze.send_replace(false);
    until("connected again", both).await;
    until("a frame", || {
        caller
            .network
            .send(NodeId(1), Class::Control, Bytes::from_static(b"again"));
        callee.frames() > 0
    })
    .await;
    caller.stop().await;
    callee.stop().await;
}

#[test]
fn a_full_control_queue_drops_the_oldest_and_a_full_bulk_queue_the_newest() {
    use super::queue::{Overflow, Queue};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let cases = [
        (Overflow::DropOldest, [1_u8, 2, 3]),
        (Overflow::DropNewest, [0, 1, 2]),
    ];
    for (overflow, kept) in cases {
        let queue = Queue::new(3, overflow);
        assert_eq!(
            queue.push(Bytes::from_static(b"x")),
            1,
            "closed until connected"
        );
        queue.open();
        let dropped: usize = (0..4_u8)
            .map(|i| queue.push(Bytes::copy_from_slice(&[i])))
            .sum();
        assert_eq!((dropped, queue.bytes()), (1, 3));
        assert_eq!(
            queue.push(Bytes::from_static(b"long")),
            1,
            "longer than the queue"
        );
        let taken = runtime.block_on(queue.take(1_024));
        assert_eq!(taken.iter().map(|frame| frame[0]).collect::<Vec<_>>(), kept);
    }
}

#[test]
fn a_hello_that_is_none_is_told_from_one_that_differs() {
    let ours = hello(1);
    assert_eq!(ours.check(&ours.encode()), Ok(ours.clone()));
    assert_eq!(ours.check(&hello(2).encode()), Err(hello::Mismatch::Chain));
    assert_eq!(ours.check(b"GET / HTTP/1.1"), Err(hello::Mismatch::NoHello));
    assert_eq!(
        ours.check(&[0; hello::MAX_HELLO + 1]),
        Err(hello::Mismatch::NoHello)
    );
    let boast = Hello {
        build: "x".repeat(10_000),
        ..ours.clone()
    };
    assert!(boast.encode().len() <= hello::MAX_HELLO && ours.check(&boast.encode()).is_ok());
}

/// What becomes of the stream has to be known as the connection's, or nobody closes a silent one.
#[tokio::test]
async fn a_stream_that_comes_before_its_connection_is_known_waits_for_it() {
    let config = PeerConfig {
        node: NodeId(1),
        key: key(1).public(),
        address: "127.0.0.1:1".into(),
    };
    let peer = Peer::new(&config, libp2p::PeerId::random(), LIMITS, LIMITS);
    let mut known = std::pin::pin!(peer.connected());
    let shortly = Duration::from_millis(20);
    assert!(timeout(shortly, &mut known).await.is_err());
    let id = libp2p::swarm::ConnectionId::new_unchecked(7);
    peer.connection.send_replace(Some(id));
    assert_eq!(timeout(PATIENCE, known).await.unwrap(), id);
}

/// Its connection was made before the end of the one before was heard of.
#[tokio::test]
async fn a_silent_stream_is_that_of_the_newest_connection_and_not_of_one_that_is_gone() {
    let id = libp2p::swarm::ConnectionId::new_unchecked;
    let (known, mut connection) = tokio::sync::watch::channel(Some(id(1)));
    let mut silent = futures::stream::pending::<()>();
    let shortly = Duration::from_millis(1);
    let mut heard = std::pin::pin!(super::stream::heard(&mut silent, &mut connection, shortly));
    assert!(futures::poll!(heard.as_mut()).is_pending());
    known.send_replace(Some(id(2)));
    assert_eq!(timeout(PATIENCE, heard).await.unwrap(), Err(Some(id(2))));
}
