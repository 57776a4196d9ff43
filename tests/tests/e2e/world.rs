//! A cluster in a directory of its own, and what a client of it sees.

use crypto::{FaultModel, SecretKey};
use genesis::{Ports, Protocol, Testnet};
use quorate::cli::cluster::{self, Cluster};
use quorate::client::{Client, ClientError, Session};
use quorate::rpc::proto::{Block, BlocksRequest, Consistency, Receipt, StatusResponse};
use quorate_tests::processes::{Caps, Watch, own_address};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use storage::{Operation, Request};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// How long anything may take here: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// So often at most a leader is given up for one that is gone. Once is enough on a machine that has nothing
/// else to do; each further time takes longer, so that this many are no matter of a slow disk.
pub const GIVEN_UP: u64 = 10;

/// The program under test, beside the tests' own: `target/release/quorate`.
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("QUORATE_PROGRAM") {
        return path.into();
    }
    let own = std::env::current_exe().unwrap();
    let path = own.parent().unwrap().parent().unwrap().join("quorate");
    assert!(
        path.is_file(),
        "{} is missing: cargo build --release -p quorate",
        path.display()
    );
    path
}

/// A cluster and its directory, which is deleted in the end.
pub struct World {
    pub cluster: Cluster,
    pub dir: tempfile::TempDir,
    /// What its honest nodes hold: judged in the end. Nobody watches before they are started.
    watch: Option<Watch>,
}

/// A testnet of this kind at an address of its own: no connection of anybody can take a port of a node
/// that is down for a moment.
pub fn own(kind: fn(Vec<Ports>) -> Testnet, nodes: usize) -> Testnet {
    let (host, port) = own_address();
    let ports = Ports::series(port, nodes).unwrap();
    Testnet {
        host,
        ..kind(ports)
    }
}

/// A testnet under HotStuff: of four nodes one may lie.
pub fn hotstuff(ports: Vec<Ports>) -> Testnet {
    Testnet::new(ports)
}

/// A testnet under PBFT: of four nodes one may lie.
pub fn pbft(ports: Vec<Ports>) -> Testnet {
    Testnet {
        protocol: Protocol::Pbft,
        ..Testnet::new(ports)
    }
}

/// A testnet under Raft: of three nodes one may crash.
pub fn raft(ports: Vec<Ports>) -> Testnet {
    Testnet {
        fault_model: FaultModel::Crash,
        protocol: Protocol::Raft,
        ..Testnet::new(ports)
    }
}

impl World {
    /// A running cluster under HotStuff that has committed.
    pub async fn start(nodes: usize) -> Self {
        Self::start_with(nodes, |_, text| text).await
    }

    /// A running cluster of this kind that has committed.
    pub async fn of(kind: fn(Vec<Ports>) -> Testnet, nodes: usize) -> Self {
        Self::build(&own(kind, nodes), |_, text| text).await
    }

    /// The same, after `configure` has rewritten the text of each node's `node.toml`.
    pub async fn start_with(nodes: usize, configure: impl Fn(usize, String) -> String) -> Self {
        Self::build(&own(hotstuff, nodes), configure).await
    }

    /// A running cluster with nodes that lie.
    pub async fn attacked(testnet: &Testnet, liars: &[(usize, &str)]) -> Self {
        let mut world = Self::lay_out(testnet, |_, text| text);
        for (node, name) in liars {
            world.cluster.disguise(*node, name).unwrap();
        }
        world.begin().await
    }

    async fn build(testnet: &Testnet, configure: impl Fn(usize, String) -> String) -> Self {
        Self::lay_out(testnet, configure).begin().await
    }

    /// A cluster whose files are there, started. `dir` is deleted in the end.
    pub async fn resume(cluster: Cluster, dir: tempfile::TempDir) -> Self {
        let watch = None;
        let world = Self {
            cluster,
            dir,
            watch,
        };
        world.begin().await
    }

    /// Starts all nodes, and waits until they commit and each is in touch with all others: whatever
    /// a test does to one of them next finds it up.
    async fn begin(mut self) -> Self {
        self.cluster.start_all().unwrap();
        let honest = self.all().into_iter();
        let honest = honest.filter(|node| !self.cluster.lies(*node));
        let files = honest.map(|node| self.cluster.home(node).pid_file());
        self.watch = Some(Watch::start(files.collect()));
        self.ready().await;
        let joined = self.cluster.joined(PATIENCE).await;
        self.is_fine(joined);
        self
    }

    /// A cluster's files.
    fn lay_out(testnet: &Testnet, configure: impl Fn(usize, String) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let built = testnet.build().unwrap();
        cluster::create(dir.path(), &built).unwrap();
        for node in 0..built.nodes.len() {
            let path = dir.path().join(format!("node{node}/node.toml"));
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, configure(node, text)).unwrap();
        }
        let cluster = Cluster::open(&program(), dir.path()).unwrap();
        let watch = None;
        Self {
            cluster,
            dir,
            watch,
        }
    }

    /// Waits until it commits.
    pub async fn ready(&mut self) {
        let ready = self.cluster.ready(PATIENCE).await;
        self.is_fine(ready);
    }

    fn is_fine<T>(&self, outcome: anyhow::Result<T>) {
        if let Err(error) = outcome {
            self.print_logs();
            panic!("{error:#}");
        }
    }

    /// All nodes.
    pub fn all(&self) -> Vec<usize> {
        (0..self.cluster.n()).collect()
    }

    /// All nodes but one.
    pub fn but(&self, node: usize) -> Vec<usize> {
        self.all().into_iter().filter(|one| *one != node).collect()
    }

    /// A client of these nodes, in this order.
    pub fn client(&self, nodes: &[usize]) -> Client {
        let urls: Vec<&str> = nodes.iter().map(|node| self.cluster.rpc(*node)).collect();
        Client::new(&urls, PATIENCE).unwrap()
    }

    /// The same, whose requests have so long.
    pub fn client_within(&self, nodes: &[usize], deadline: Duration) -> Client {
        let urls: Vec<&str> = nodes.iter().map(|node| self.cluster.rpc(*node)).collect();
        Client::new(&urls, deadline).unwrap()
    }

    /// Waits until this node has executed this height; what it says of itself then.
    pub async fn reaches(&self, node: usize, height: u64) -> StatusResponse {
        let end = Instant::now() + PATIENCE;
        loop {
            let said = match self.cluster.status(node).await {
                Some(status) if status.state_height >= height => return status,
                said => said,
            };
            if Instant::now() > end {
                self.print_logs();
                panic!("node{node} did not reach height {height}: {said:?}");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Who leads now, as a node sees it.
    pub async fn leader(&self, asked: usize) -> usize {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.cluster.status(asked).await;
            // On a busy machine Raft may just be electing another one.
            if let Some(leader) = status.and_then(|status| status.leader) {
                return leader as usize;
            }
            assert!(Instant::now() < end, "node{asked} knows of no leader");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until somebody else leads, as a node sees it.
    pub async fn another_leads(&self, asked: usize, gone: usize) {
        let end = Instant::now() + PATIENCE;
        // In his turn he who is gone leads again, until he is given up.
        while self.leader(asked).await == gone {
            assert!(Instant::now() < end, "node{gone} leads for ever");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// How often any of these has given a leader up, at most.
    pub fn given_up(&self, nodes: &[usize]) -> u64 {
        let each = nodes
            .iter()
            .map(|node| self.metric(*node, "quorate_timeouts"));
        each.max().unwrap()
    }

    /// The operator's HTTP: status code and body.
    pub fn http(&self, node: usize, path: &str) -> (u16, String) {
        let host = self.cluster.http(node).strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let code = text.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        (code, body.to_owned())
    }

    /// A counter of `/metrics`.
    pub fn metric(&self, node: usize, name: &str) -> u64 {
        let (_, text) = self.http(node, "/metrics");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no metric {name}"))
            .trim()
            .parse()
            .unwrap()
    }

    /// A node's whole log.
    pub async fn blocks(&self, node: usize) -> Vec<Block> {
        let request = BlocksRequest {
            from: 1,
            follow: false,
            batches: false,
        };
        let mut stream = self.client(&[node]).blocks(request).await.unwrap();
        let mut blocks = Vec::new();
        while let Some(block) = stream.message().await.unwrap() {
            blocks.push(block);
        }
        blocks
    }

    /// S1 and S5 on what the nodes themselves tell: equal history at equal height, and equal state
    /// once all have executed the same.
    pub async fn agrees(&self, nodes: &[usize]) {
        let mut logs = Vec::new();
        for node in nodes {
            logs.push((*node, self.blocks(*node).await));
        }
        let (first, longest) = logs.iter().max_by_key(|(_, blocks)| blocks.len()).unwrap();
        for (node, blocks) in &logs {
            for (ours, theirs) in blocks.iter().zip(longest) {
                assert_eq!(ours.height, theirs.height);
                let height = ours.height;
                assert_eq!(
                    ours.history, theirs.history,
                    "nodes {node} and {first} at {height}"
                );
            }
        }
        let top = longest.last().map_or(0, |block| block.height);
        let mut digests: BTreeMap<u64, Vec<(usize, Vec<u8>)>> = BTreeMap::new();
        for node in nodes {
            let status = self.reaches(*node, top).await;
            let digest = status.state_digest.to_vec();
            digests
                .entry(status.state_height)
                .or_default()
                .push((*node, digest));
        }
        for (height, list) in digests {
            let same = list.iter().all(|(_, digest)| *digest == list[0].1);
            assert!(same, "states differ at height {height}: {list:?}");
        }
    }

    /// Stops all nodes, and expects each to end as it should, and none to have held more than it may.
    pub async fn end(mut self) {
        if let Some(watch) = &self.watch {
            watch.take().within(Caps::default()).unwrap();
        }
        for node in 0..self.cluster.n() {
            if self.cluster.pid(node).is_some() {
                let status = self.cluster.stop(node).await.unwrap();
                assert!(status.success(), "node{node} ended with {status}");
            }
        }
    }

    fn print_logs(&self) {
        for node in 0..self.cluster.n() {
            let text = std::fs::read_to_string(self.cluster.home(node).log_file());
            println!("--- node{node}\n{}", text.unwrap_or_default());
        }
    }
}

/// A session with a key that nobody has used.
pub async fn fresh_session(client: &Client) -> Session {
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")
        .unwrap()
        .read_exact(&mut seed)
        .unwrap();
    Session::open(client, SecretKey::from_seed(&seed))
        .await
        .unwrap()
}

/// Writes one value.
pub async fn put(
    client: &Client,
    session: &mut Session,
    key: &str,
    value: &str,
) -> Result<Receipt, ClientError> {
    let operation = Operation::Put {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
    };
    let body = Request::all(vec![operation]).encode();
    session.execute(client, body).await
}

/// Reads one value.
pub async fn get(client: &Client, key: &str, consistency: Consistency) -> Option<String> {
    let pair = client.get(key.as_bytes(), consistency).await.unwrap()?;
    Some(String::from_utf8(pair.value.to_vec()).unwrap())
}

/// Someone who writes without pause until told to stop.
pub struct Writer {
    stop: Arc<AtomicBool>,
    /// How many of his writes were acknowledged.
    count: watch::Receiver<usize>,
    task: JoinHandle<Vec<Acknowledged>>,
}

/// A write that a node acknowledged as committed.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    pub key: String,
    pub value: String,
    pub height: u64,
}

impl Writer {
    /// Writes `name/0`, `name/1`, ... with one request on the way at a time. A request whose time
    /// is over counts as nothing: it may have taken effect or not.
    pub fn start(client: Client, name: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (counted, count) = watch::channel(0);
        let (stopped, name) = (stop.clone(), name.to_owned());
        let task = tokio::spawn(async move {
            let mut session = fresh_session(&client).await;
            let mut acknowledged = Vec::new();
            for i in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let (key, value) = (format!("{name}/{i}"), format!("value {i}"));
                match put(&client, &mut session, &key, &value).await {
                    Ok(receipt) => {
                        acknowledged.push(Acknowledged {
                            key,
                            value,
                            height: receipt.height,
                        });
                        counted.send_replace(acknowledged.len());
                    }
                    Err(_) => sleep(Duration::from_millis(20)).await,
                }
            }
            acknowledged
        });
        Self { stop, count, task }
    }

    /// Waits until so many more of his writes are acknowledged.
    pub async fn writes(&self, more: usize) {
        let mut count = self.count.clone();
        let goal = *count.borrow() + more;
        let waited = timeout(PATIENCE, count.wait_for(|now| *now >= goal)).await;
        let reached = waited.is_ok_and(|counted| counted.is_ok());
        let had = *self.count.borrow();
        assert!(reached, "{had} writes were acknowledged, not {goal}");
    }

    /// What was acknowledged. Ends its writing.
    pub async fn finish(self) -> Vec<Acknowledged> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}
