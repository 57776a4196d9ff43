//! A cluster whose nodes reach each other through links that can fail, and what is done to its
//! processes.

use super::failures::broken;
use super::{Cast, Links};
use anyhow::{Context as _, Result, ensure};
use crypto::{Hasher, Quorums};
use genesis::{Genesis, Ports, Protocol, Testnet};
use quorate::cli::cluster::{self, Cluster};
use quorate::client::Client;
use quorate::rpc::proto::StatusResponse;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// The first port of a lab.
const PORT: u16 = 10_000;
/// Time for a cluster to start, and for a request to get its answer where none is expected to fail.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What a lab shall be.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Who orders.
    pub protocol: Protocol,
    /// How many nodes.
    pub nodes: usize,
    /// Leaders answer reads by lease, on clocks that run apart by so much, in percent.
    pub lease_drift: Option<u8>,
    /// Views that a leader keeps, if not as many as usual (HotStuff).
    pub tenure: Option<u64>,
    /// Its keys, and the chances of its links.
    pub seed: u64,
}

impl Setup {
    /// The smallest cluster that survives a fault.
    #[must_use]
    pub fn smallest(protocol: Protocol, seed: u64) -> Self {
        let nodes = if protocol == Protocol::Raft { 3 } else { 4 };
        Self {
            protocol,
            nodes,
            lease_drift: None,
            tenure: None,
            seed,
        }
    }

    /// How many of its nodes may be faulty.
    #[must_use]
    pub fn faults(&self) -> usize {
        Quorums::of(self.protocol.fault_model(), self.nodes).f
    }
}

/// A running cluster.
pub struct Lab {
    /// Its processes.
    pub cluster: Cluster,
    /// The only way between them.
    pub links: Links,
    dir: PathBuf,
    /// Deletes it in the end.
    guard: Option<TempDir>,
}

/// The program under test: `QUORATE_PROGRAM`, or the `quorate` that was built beside this program.
///
/// # Errors
/// If there is none.
pub fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("QUORATE_PROGRAM") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().context("where this program is")?;
    let beside = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join("quorate"));
    let found = beside.into_iter().find(|path| path.is_file());
    found.context("no `quorate` beside this program: cargo build --release -p quorate")
}

/// A loopback address that nobody else has: no connection of anybody can take a port of a node that
/// is down for a moment.
#[must_use]
pub fn own_address() -> (IpAddr, u16) {
    static LABS: AtomicU16 = AtomicU16::new(0);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, 64 | high & 63, middle, low);
    let lab = LABS.fetch_add(1, Ordering::Relaxed);
    (host.into(), PORT + lab % 200 * 200)
}

impl Lab {
    /// Starts a cluster and waits until it commits. Its files are in `dir`, or in a directory that is
    /// deleted in the end ([`Lab::keep`]).
    ///
    /// # Errors
    /// If it cannot be made, or does not commit.
    pub async fn start(setup: Setup, dir: Option<&Path>) -> Result<Self> {
        let guard = dir.is_none().then(TempDir::new).transpose()?;
        let dir = match (dir, &guard) {
            (Some(dir), _) => dir.to_owned(),
            (None, Some(guard)) => guard.path().to_owned(),
            (None, None) => unreachable!("there is a directory if none was given"),
        };
        let links = write_homes(setup, &dir).await?;
        let cluster = Cluster::open(&program()?, &dir)?;
        let mut lab = Self {
            cluster,
            links,
            dir,
            guard,
        };
        lab.cluster.start_all()?;
        match lab.cluster.ready(PATIENCE).await {
            Ok(_) => Ok(lab),
            Err(error) => Err(lab.kept(error)),
        }
    }

    /// How many nodes it has.
    #[must_use]
    pub fn n(&self) -> usize {
        self.cluster.n()
    }

    /// How many may be faulty.
    #[must_use]
    pub fn f(&self) -> usize {
        self.cluster.genesis().quorums().f
    }

    /// Those who do not lie.
    #[must_use]
    pub fn honest(&self) -> Vec<usize> {
        let all = 0..self.n();
        all.filter(|node| !self.cluster.lies(*node)).collect()
    }

    /// From now on these lie, each in its way: they are killed, and start anew as liars.
    ///
    /// # Errors
    /// If the program of liars is not built, or knows no such way.
    pub async fn disguise(&mut self, cast: &Cast) -> Result<()> {
        let now = self.cluster.adversaries();
        if now.eq(cast.iter().map(|(node, name)| (*node, name.as_str()))) {
            return Ok(());
        }
        for (node, name) in cast {
            self.cluster.disguise(*node, name)?;
        }
        let liars: Vec<usize> = cast.keys().copied().collect();
        self.kill(&liars).await?;
        self.start_again(&liars)
    }

    /// The liars of whom an honest node holds a proof.
    ///
    /// # Errors
    /// If an honest one is accused (S10).
    pub async fn proven(&self) -> Result<BTreeSet<usize>> {
        let mut proven = BTreeSet::new();
        for node in self.honest() {
            let status = self.cluster.status(node).await;
            let lies = status.iter().flat_map(|it| &it.evidence);
            proven.extend(lies.map(|lie| lie.node as usize));
        }
        match proven.iter().find(|node| !self.cluster.lies(**node)) {
            Some(node) => Err(broken("S10", format!("node{node} is honest, and accused"))),
            None => Ok(proven),
        }
    }

    /// Leaves its files where they are when it ends; where that is.
    pub fn keep(&mut self) -> PathBuf {
        if let Some(guard) = self.guard.take() {
            return guard.keep();
        }
        self.dir.clone()
    }

    /// A client of these nodes, in this order.
    ///
    /// # Errors
    /// None that a cluster's own addresses can cause.
    pub fn client(&self, nodes: &[usize], deadline: Duration) -> Result<Client> {
        let urls: Vec<&str> = nodes.iter().map(|node| self.cluster.rpc(*node)).collect();
        Ok(Client::new(&urls, deadline)?)
    }

    /// Who leads, as the first honest one says who knows it and answers.
    pub async fn leader(&self) -> Option<usize> {
        for node in self.honest() {
            if let Some(leader) = self.cluster.status(node).await.and_then(|it| it.leader) {
                return Some(leader as usize);
            }
        }
        None
    }

    /// Waits until somebody leads.
    ///
    /// # Errors
    /// If nobody does in time.
    pub async fn some_leader(&self) -> Result<usize> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(leader) = self.leader().await {
                return Ok(leader);
            }
            sleep(Duration::from_millis(20)).await;
        }
        Err(broken("L1", format!("nobody leads: {}", self.said().await)))
    }

    /// Kills these at once, if they run: kill -9.
    ///
    /// # Errors
    /// If one cannot be killed.
    pub async fn kill(&mut self, nodes: &[usize]) -> Result<()> {
        let running: Vec<usize> = nodes
            .iter()
            .copied()
            .filter(|node| self.cluster.pid(*node).is_some())
            .collect();
        // None learns of another's death before its own.
        for node in &running {
            self.cluster.signal(*node, Signal::KILL)?;
        }
        for node in running {
            self.cluster.kill(node).await?;
        }
        Ok(())
    }

    /// Starts these, if they do not run.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn start_again(&mut self, nodes: &[usize]) -> Result<()> {
        for node in nodes {
            if self.cluster.pid(*node).is_none() {
                self.cluster.start(*node)?;
            }
        }
        Ok(())
    }

    /// Puts these to sleep, if they run.
    pub fn pause(&self, nodes: &[usize]) {
        for node in nodes {
            self.cluster.signal(*node, Signal::STOP).ok();
        }
    }

    /// Wakes them.
    pub fn wake(&self, nodes: &[usize]) {
        for node in nodes {
            self.cluster.signal(*node, Signal::CONT).ok();
        }
    }

    /// Ends all faults: links, sleep and death.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn heal(&mut self) -> Result<()> {
        let all: Vec<usize> = (0..self.n()).collect();
        self.links.heal();
        self.wake(&all);
        self.start_again(&all)
    }

    /// Whether all that should run do.
    ///
    /// # Errors
    /// One that ended by itself, and why.
    pub fn alive(&mut self) -> Result<()> {
        match self.cluster.ended() {
            None => Ok(()),
            Some((node, why)) => Err(broken("process", format!("node{node} ended: {why}"))),
        }
    }

    /// Waits until all honest ones have executed the same height, and judges what they say of it: equal
    /// histories and equal states (S1, S5). Liars sleep meanwhile: they might never let them rest.
    ///
    /// # Errors
    /// If they differ, or do not get there in time.
    pub async fn agrees(&mut self, end: Instant) -> Result<()> {
        let all = 0..self.n();
        let liars: Vec<usize> = all.filter(|node| self.cluster.lies(*node)).collect();
        self.pause(&liars);
        let agreed = self.rests(end).await;
        self.wake(&liars);
        agreed
    }

    async fn rests(&mut self, end: Instant) -> Result<()> {
        let honest = self.honest();
        loop {
            self.alive()?;
            let mut all = Vec::new();
            for node in &honest {
                all.extend(self.cluster.status(*node).await);
            }
            if all.len() == honest.len() && same(&all)? {
                return Ok(());
            }
            if Instant::now() > end {
                let said = self.said().await;
                return Err(broken(
                    "L2",
                    format!("not all have executed the same: {said}"),
                ));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// What all nodes say of themselves: their `/status`.
    pub async fn said(&self) -> String {
        let mut text = String::new();
        for node in 0..self.n() {
            let said = http(self.cluster.http(node), "/status").await;
            let said = said.unwrap_or_else(|error| format!("no answer: {error:#}"));
            write!(text, "\n  node{node}: {said}").ok();
        }
        text
    }

    /// Stops all nodes in order.
    ///
    /// # Errors
    /// One that does not stop in time, or not as it should.
    pub async fn end(mut self) -> Result<()> {
        for node in 0..self.n() {
            let stopped = match self.cluster.stop(node).await {
                Ok(status) if status.success() => continue,
                Ok(status) => broken("process", format!("node{node} ended with {status}")),
                Err(error) => error,
            };
            return Err(self.kept(stopped));
        }
        Ok(())
    }

    /// An error that says where its files are, which are kept.
    fn kept(&mut self, error: anyhow::Error) -> anyhow::Error {
        let dir = self.keep();
        error.context(format!("logs and data: {}", dir.display()))
    }
}

/// Writes the homes of a testnet. Each node's genesis file names its peers by the ports of its own
/// links to them, which is no part of the chain.
async fn write_homes(setup: Setup, dir: &Path) -> Result<Links> {
    let (host, port) = own_address();
    let usual = Testnet::new(Ports::series(port, setup.nodes).map_err(anyhow::Error::msg)?);
    let testnet = Testnet {
        host,
        fault_model: setup.protocol.fault_model(),
        protocol: setup.protocol,
        lease_drift: setup.lease_drift,
        tenure: setup.tenure.unwrap_or(usual.tenure),
        ..usual
    };
    let seed = Hasher::new("quorate/rounds/keys")
        .number(setup.seed)
        .finish();
    let built = testnet.build_from(&seed.0)?;
    cluster::create(dir, &built)?;
    let nodes: Vec<SocketAddr> = built
        .nodes
        .iter()
        .map(|node| node.config.listen.p2p)
        .collect();
    let links = Links::between(host, &nodes, setup.seed).await?;
    for from in 0..setup.nodes {
        let mut spec = (*built.genesis).clone();
        for (to, validator) in spec.validators.iter_mut().enumerate() {
            if to != from {
                validator.address = links.address(from, to).to_string();
            }
        }
        let genesis = Genesis::new(spec)?;
        ensure!(
            genesis.chain_id() == built.genesis.chain_id(),
            "addresses are part of the chain"
        );
        let path = dir.join(format!("node{from}/genesis.toml"));
        std::fs::write(&path, genesis.to_toml())?;
    }
    Ok(links)
}

/// Whether all stand at the same height.
fn same(all: &[StatusResponse]) -> Result<bool> {
    let [first, others @ ..] = all else {
        return Ok(true);
    };
    for other in others {
        if first.height == other.height && first.history != other.history {
            let what = format!(
                "nodes {} and {} at height {}",
                first.node, other.node, first.height
            );
            return Err(broken("S1", what));
        }
        let height = first.state_height;
        if height == other.state_height && first.state_digest != other.state_digest {
            let what = format!("nodes {} and {} at height {height}", first.node, other.node);
            return Err(broken("S5", what));
        }
    }
    let at = |it: &StatusResponse| (it.height, it.state_height);
    let executed = first.height == first.state_height;
    Ok(executed && others.iter().all(|other| at(other) == at(first)))
}

/// The body of an answer of a node's HTTP.
async fn http(url: &str, path: &str) -> Result<String> {
    let host = url.strip_prefix("http://").context("an http address")?;
    let ask = async {
        let mut stream = TcpStream::connect(host).await?;
        let question = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(question.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(Duration::from_secs(5), ask)
        .await
        .context("silent")??;
    let (_, body) = answer.split_once("\r\n\r\n").context("no HTTP")?;
    Ok(body.trim().to_owned())
}
