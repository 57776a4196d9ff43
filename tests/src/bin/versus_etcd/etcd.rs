//! A real etcd cluster, as its package installs it: default settings, on loopback.

use crate::proto::{Connection, PutRequest};
use crate::store::{Asks, Card, Load, NODES, PATIENCE, Put, Running, Store, key, value};
use crate::{closed_loop, directory};
use anyhow::{Context as _, Result, bail};
use quorate::cli::cluster::free_ports;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use tonic::transport::Endpoint;

/// Puts at a time while a cluster is filled.
const FILLERS: usize = 256;

/// etcd, to be started.
pub struct Etcd {
    /// HTTP/2 connections of a load.
    pub connections: usize,
}

/// Its processes, and their directory, which is deleted in the end.
pub struct Members {
    urls: Vec<String>,
    peers: Vec<String>,
    children: Vec<Option<Child>>,
    connections: usize,
    // Dropped last: nobody writes there any more.
    directory: TempDir,
}

/// The version that is installed.
///
/// # Errors
/// A sentence, if none is.
pub fn version() -> Result<String> {
    let output = std::process::Command::new("etcd").arg("--version").output();
    let output = output.context(
        "etcd is not installed, so there is nothing to compare with: apt-get install etcd-server",
    )?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|l| l.strip_prefix("etcd Version: "));
    Ok(line.context("etcd does not tell its version")?.to_owned())
}

impl Store for Etcd {
    type Running = Members;

    fn name(&self) -> String {
        "etcd".into()
    }

    async fn start(&self) -> Result<Members> {
        let ports = free_ports(NODES)?;
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let mut members = Members {
            urls: ports.iter().map(|p| url(p.rpc)).collect(),
            peers: ports.iter().map(|p| url(p.p2p)).collect(),
            children: ports.iter().map(|_| None).collect(),
            connections: self.connections,
            directory: directory("etcd")?,
        };
        members.start_all()?;
        members.leader().await?;
        let first = connect(&members.urls[0]).await?;
        let put = first.put(0, PATIENCE).await;
        put.map_err(|why| anyhow::anyhow!("etcd does not serve: {why}"))?;
        Ok(members)
    }

    async fn measure(&self, load: Load) -> Result<Card> {
        let mut members = self.start().await?;
        let card = members.load(load).await;
        members.kill_all().await?;
        card
    }
}

impl Members {
    async fn load(&self, load: Load) -> Result<Card> {
        let urls = match load.at_leader {
            true => vec![self.urls[self.leader().await?].clone()],
            false => self.urls.clone(),
        };
        let mut connections = Vec::new();
        for i in 0..self.connections.min(load.clients).max(urls.len()) {
            connections.push(connect(&urls[i % urls.len()]).await?);
        }
        if load.asks == Asks::Get {
            closed_loop::keep(&connections).await?;
        }
        let children = self.children.iter().flatten();
        let pids: Vec<u32> = children.filter_map(Child::id).collect();
        closed_loop::run(&connections, &pids, load).await
    }

    fn spawn(&self, node: usize) -> Result<Child> {
        let path = |name: String| self.directory.path().join(name);
        let path_of_log = path(format!("n{node}.log"));
        let log = File::options()
            .create(true)
            .append(true)
            .open(path_of_log)?;
        let all: Vec<String> = (0..NODES)
            .map(|i| format!("n{i}={}", self.peers[i]))
            .collect();
        // It dies with this process, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "etcd"]);
        command.args(["--name", &format!("n{node}"), "--data-dir"]);
        command.arg(path(format!("n{node}")));
        for flag in ["--listen-client-urls", "--advertise-client-urls"] {
            command.args([flag, &self.urls[node]]);
        }
        for flag in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
            command.args([flag, &self.peers[node]]);
        }
        command.args(["--initial-cluster", &all.join(",")]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?);
        command.stderr(log).kill_on_drop(true);
        command.spawn().context("cannot run etcd by setpriv")
    }
}

impl Running for Members {
    type Client = Member;

    async fn clients(&self) -> Result<Vec<Member>> {
        let clients = self.urls.iter().map(|url| {
            let channel = endpoint(url)?.connect_lazy();
            Ok(Member(Connection(channel)))
        });
        clients.collect()
    }

    async fn leader(&self) -> Result<usize> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            for (node, url) in self.urls.iter().enumerate() {
                let Ok(member) = connect(url).await else {
                    continue;
                };
                let status = member.0.status(Duration::from_secs(1)).await;
                let header = status.ok().and_then(|s| Some((s.header?, s.leader)));
                if header.is_some_and(|(header, leader)| header.member_id == leader) {
                    return Ok(node);
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!("etcd elects no leader: see {}", said(self.directory.path()))
    }

    async fn fill(&mut self, puts: u64) -> Result<u64> {
        let mut connections = Vec::new();
        for i in 0..self.connections {
            connections.push(connect(&self.urls[i % NODES]).await?);
        }
        closed_loop::put_all(&connections, FILLERS, puts).await?;
        Ok(puts)
    }

    async fn kill(&mut self, node: usize) -> Result<()> {
        let child = self.children[node].take();
        let mut child = child.with_context(|| format!("member {node} does not run"))?;
        child.kill().await.context("cannot kill etcd")
    }

    async fn kill_all(&mut self) -> Result<()> {
        for child in self.children.iter_mut().flatten() {
            child.start_kill().context("cannot kill etcd")?;
        }
        for node in 0..NODES {
            if self.children[node].is_some() {
                self.kill(node).await?;
            }
        }
        Ok(())
    }

    fn start_all(&mut self) -> Result<()> {
        for node in 0..NODES {
            if self.children[node].is_none() {
                self.children[node] = Some(self.spawn(node)?);
            }
        }
        Ok(())
    }
}

/// The last line that each member logged.
fn said(directory: &Path) -> String {
    let last = (0..NODES).filter_map(|node| {
        let text = std::fs::read_to_string(directory.join(format!("n{node}.log"))).ok()?;
        Some(text.lines().last()?.to_owned())
    });
    last.collect::<Vec<_>>().join("; ")
}

/// A connection to a member.
#[derive(Clone)]
pub struct Member(pub Connection);

impl Put for Member {
    async fn put(&self, number: u64, patience: Duration) -> Result<(), String> {
        let mut random = ChaCha8Rng::seed_from_u64(number);
        let request = PutRequest {
            key: key(number).into(),
            value: value(&mut random),
        };
        let put = self.0.put(request, patience).await;
        put.map(|_| ())
            .map_err(|status| format!("{:?}: {}", status.code(), status.message()))
    }
}

fn endpoint(url: &str) -> Result<Endpoint> {
    // As our own client has it.
    const WINDOW: u32 = 4 << 20;
    let endpoint = Endpoint::from_shared(url.to_owned()).context("a URL of our own")?;
    Ok(endpoint
        .connect_timeout(Duration::from_secs(2))
        .tcp_nodelay(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW))
}

async fn connect(url: &str) -> Result<Member> {
    let channel = endpoint(url)?.connect().await;
    let channel = channel.with_context(|| format!("cannot connect to etcd at {url}"))?;
    Ok(Member(Connection(channel)))
}
