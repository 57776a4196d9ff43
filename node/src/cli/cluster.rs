//! The nodes of a testnet as real processes: for `quorate testnet`, the benchmark and the tests.

use crate::client::{Client, Session};
use crate::rpc::proto::{Receipt, StatusResponse, Wait};
use anyhow::{Context as _, Result, anyhow, bail};
use crypto::{KeyFile, Transaction};
use genesis::{BuiltTestnet, Genesis, Home, NodeConfig, Ports};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use storage::names::{make_dir, sync_tree};
use storage::{Directory, Operation, Request};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

/// Marks a directory that a testnet may delete.
const MARK: &str = ".quorate-testnet";
/// How long a node may take to stop when asked.
const STOP: Duration = Duration::from_secs(10);
/// An attempt to commit: then it is looked whether all still run.
const ATTEMPT: Duration = Duration::from_millis(500);
/// How often nodes that start are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A testnet's directory and its running processes. Dropped, it kills what still runs.
pub struct Cluster {
    program: PathBuf,
    /// The program that runs the nodes that lie.
    liar: PathBuf,
    dir: PathBuf,
    genesis: Genesis,
    nodes: Vec<Node>,
}

/// One node of it.
struct Node {
    home: Home,
    rpc: String,
    http: String,
    child: Option<Child>,
    /// How it lies, if it does.
    adversary: Option<String>,
}

/// Ports for so many nodes that are free now.
///
/// # Errors
/// If the system has none left.
pub fn free_ports(nodes: usize) -> Result<Vec<Ports>> {
    let listeners: Vec<TcpListener> = (0..3 * nodes)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<std::io::Result<_>>()
        .context("no free port on 127.0.0.1")?;
    let ports: Vec<u16> = listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect::<std::io::Result<_>>()?;
    let chunks = ports.chunks_exact(3);
    Ok(chunks
        .map(|three| Ports {
            p2p: three[0],
            rpc: three[1],
            http: three[2],
        })
        .collect())
}

/// Writes homes, safety files and the client's key into a directory that is new or empty.
///
/// # Errors
/// If anything is there already, or cannot be written.
pub fn create(dir: &Path, built: &BuiltTestnet) -> Result<()> {
    make_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    fs::write(
        dir.join(MARK),
        "made by `quorate`; --fresh may delete what is here\n",
    )
    .with_context(|| format!("cannot write to {}", dir.display()))?;
    for (home, node) in built.write(dir)?.iter().zip(&built.nodes) {
        let identity = crate::assemble::identity(&built.genesis, node.consensus_key.public());
        Directory::create(&home.data(&node.config), &identity)?;
    }
    // A node that has promised something must not lose its keys with the power.
    sync_tree(dir).with_context(|| format!("cannot sync {}", dir.display()))
}

/// Deletes a testnet: only what one consists of, and only if the directory is marked as one.
///
/// # Errors
/// If it is no testnet, or cannot be deleted.
pub fn delete(dir: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(());
    };
    let entries: Vec<_> = entries.collect::<std::io::Result<_>>()?;
    if entries.is_empty() {
        return Ok(());
    }
    if !dir.join(MARK).is_file() {
        bail!(
            "{} is not a testnet, so --fresh does not delete it: choose another --dir",
            dir.display()
        );
    }
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let node = name
            .strip_prefix("node")
            .is_some_and(|i| i.parse::<u16>().is_ok());
        if node {
            fs::remove_dir_all(&path)
        } else if name == "client.key" || name == MARK {
            fs::remove_file(&path)
        } else {
            Ok(())
        }
        .with_context(|| format!("cannot delete {}", path.display()))?;
    }
    Ok(())
}

/// The program that runs nodes that lie: beside the one that runs the others.
fn liar(program: &Path) -> PathBuf {
    program.with_file_name("quorate-adversary")
}

/// Whether a testnet is there.
#[must_use]
pub fn exists(dir: &Path) -> bool {
    dir.join("node0").is_dir()
}

impl Cluster {
    /// The testnet in a directory; nothing runs yet. `program` is the `quorate` to run.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn open(program: &Path, dir: &Path) -> Result<Self> {
        let genesis = Genesis::load(&Home::new(dir.join("node0")).genesis_toml())?;
        let nodes = (0..genesis.n()).map(|i| {
            let home = Home::new(dir.join(format!("node{i}")));
            let config = NodeConfig::load(&home.node_toml())?;
            Ok(Node {
                home,
                rpc: format!("http://{}", config.listen.rpc),
                http: format!("http://{}", config.listen.http),
                child: None,
                adversary: None,
            })
        });
        Ok(Self {
            nodes: nodes.collect::<Result<_>>()?,
            program: program.to_owned(),
            liar: liar(program),
            dir: dir.to_owned(),
            genesis,
        })
    }

    /// From its next start on, a node lies in the way of this name: another program runs it, with
    /// the keys of all that lie.
    ///
    /// # Errors
    /// If there is no such node, or that program is not built.
    pub fn disguise(&mut self, node: usize, name: &str) -> Result<()> {
        let n = self.n();
        let node = self.nodes.get_mut(node).with_context(|| {
            format!(
                "there is no node{node}: the nodes are node0 to node{}",
                n - 1
            )
        })?;
        if !self.liar.is_file() {
            bail!(
                "{} is missing, which runs the nodes that lie: build it with\n  cargo build --release -p quorate-tests --features e2e --bin quorate-adversary",
                self.liar.display()
            );
        }
        let protocol = self.genesis.protocol.name();
        let list = std::process::Command::new(&self.liar)
            .args(["--list", protocol])
            .output()
            .with_context(|| format!("cannot run {}", self.liar.display()))?;
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        let names = list.lines().filter_map(|line| line.split(' ').next());
        let names: Vec<_> = names.collect();
        if !names.contains(&name) {
            let known = names.join(", ");
            bail!("no node of {protocol} lies in the way of {name}: choose one of {known}");
        }
        node.adversary = Some(name.to_owned());
        Ok(())
    }

    /// The nodes that lie, and how.
    pub fn adversaries(&self) -> impl Iterator<Item = (usize, &str)> {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter_map(|(i, node)| Some((i, node.adversary.as_deref()?)))
    }

    /// Whether a node lies.
    #[must_use]
    pub fn lies(&self, node: usize) -> bool {
        self.nodes[node].adversary.is_some()
    }

    /// What all nodes agree on.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// How many nodes it has.
    #[must_use]
    pub fn n(&self) -> usize {
        self.nodes.len()
    }

    /// A node's RPC address.
    #[must_use]
    pub fn rpc(&self, node: usize) -> &str {
        &self.nodes[node].rpc
    }

    /// All RPC addresses.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.rpc.clone()).collect()
    }

    /// A node's HTTP address for the operator.
    #[must_use]
    pub fn http(&self, node: usize) -> &str {
        &self.nodes[node].http
    }

    /// A node's home.
    #[must_use]
    pub fn home(&self, node: usize) -> &Home {
        &self.nodes[node].home
    }

    /// The file of the client's key.
    #[must_use]
    pub fn client_key(&self) -> PathBuf {
        self.dir.join("client.key")
    }

    /// The process of a running node.
    #[must_use]
    pub fn pid(&self, node: usize) -> Option<u32> {
        self.nodes[node].child.as_ref().and_then(Child::id)
    }

    /// Starts a node. What it prints goes to its `node.log`.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn start(&mut self, node: usize) -> Result<()> {
        let liars = self.nodes.iter().filter(|it| it.adversary.is_some());
        let homes = liars.map(|it| it.home.dir().as_os_str().to_owned());
        let accomplices: Vec<_> = homes.collect();
        let node = &mut self.nodes[node];
        let path = node.home.log_file();
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("cannot write {}", path.display()))?;
        let mut command = match &node.adversary {
            None => {
                let mut command = Command::new(&self.program);
                command.arg("node");
                command
            }
            Some(name) => {
                let mut command = Command::new(&self.liar);
                command.args(["--as", name]);
                command.args(
                    accomplices
                        .iter()
                        .flat_map(|home| [OsStr::new("--ring"), home]),
                );
                command
            }
        };
        let child = command
            .args(["--until-stdin-closes", "--home"])
            .arg(node.home.dir())
            // Open as long as this process lives: when it dies, even by kill -9, the node stops.
            .stdin(Stdio::piped())
            .stdout(log.try_clone().context("cannot share the log file")?)
            .stderr(log)
            // Ctrl-C at the terminal is for this process, which stops its nodes in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot run a node's program")?;
        node.child = Some(child);
        Ok(())
    }

    /// Starts all nodes that do not run.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn start_all(&mut self) -> Result<()> {
        for node in 0..self.n() {
            if self.nodes[node].child.is_none() {
                self.start(node)?;
            }
        }
        Ok(())
    }

    /// Kills a node: it gets no chance to tidy up. Waits until it is gone.
    ///
    /// # Errors
    /// If it does not run.
    pub async fn kill(&mut self, node: usize) -> Result<()> {
        let child = self.nodes[node].child.take();
        let mut child = child.with_context(|| format!("node{node} does not run"))?;
        child.kill().await.context("cannot kill the node")
    }

    /// Kills all that run at once: none learns of the others' death. Waits until they are gone.
    ///
    /// # Errors
    /// If one cannot be killed.
    pub async fn kill_all(&mut self) -> Result<()> {
        let running: Vec<usize> = (0..self.n())
            .filter(|node| self.pid(*node).is_some())
            .collect();
        for node in &running {
            self.signal(*node, Signal::KILL)?;
        }
        for node in running {
            self.kill(node).await?;
        }
        Ok(())
    }

    /// Sends a signal to a running node.
    ///
    /// # Errors
    /// If it does not run.
    pub fn signal(&self, node: usize, signal: Signal) -> Result<()> {
        let pid = self
            .pid(node)
            .and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
        let pid = pid.with_context(|| format!("node{node} does not run"))?;
        kill_process(pid, signal).context("cannot signal the node")
    }

    /// Asks a node to stop, and waits until it has.
    ///
    /// # Errors
    /// If it does not run, or does not stop in time (then it is killed).
    pub async fn stop(&mut self, node: usize) -> Result<ExitStatus> {
        self.signal(node, Signal::TERM)?;
        let child = self.nodes[node].child.take();
        let mut child = child.with_context(|| format!("node{node} does not run"))?;
        match timeout(STOP, child.wait()).await {
            Ok(status) => status.context("cannot wait for the node"),
            Err(_) => {
                child.kill().await.context("cannot kill the node")?;
                bail!("node{node} did not stop within {STOP:?} and was killed")
            }
        }
    }

    /// Stops all that run, at once.
    ///
    /// # Errors
    /// The first node that does not stop in time; the others are stopped all the same.
    pub async fn stop_all(&mut self) -> Result<()> {
        let running: Vec<usize> = (0..self.n())
            .filter(|node| self.pid(*node).is_some())
            .collect();
        for node in &running {
            // One that is gone meanwhile needs no signal.
            self.signal(*node, Signal::TERM).ok();
        }
        let mut result = Ok(());
        for node in running {
            if let Some(mut child) = self.nodes[node].child.take()
                && timeout(STOP, child.wait()).await.is_err()
            {
                child.kill().await.ok();
                result = result.and(Err(anyhow!(
                    "node{node} did not stop within {STOP:?} and was killed"
                )));
            }
        }
        result
    }

    /// A node that ended since it was last asked, and why.
    pub fn ended(&mut self) -> Option<(usize, String)> {
        for (i, node) in self.nodes.iter_mut().enumerate() {
            let Some(child) = &mut node.child else {
                continue;
            };
            if let Ok(Some(status)) = child.try_wait() {
                node.child = None;
                let said = last_error(&node.home.log_file());
                return Some((i, said.unwrap_or_else(|| status.to_string())));
            }
        }
        None
    }

    /// Waits until the cluster has committed a transaction, submitted with the client's key.
    ///
    /// # Errors
    /// If a node ends, or time is over: says why.
    pub async fn ready(&mut self, patience: Duration) -> Result<Receipt> {
        let end = Instant::now() + patience;
        let client = Client::new(&self.endpoints(), ATTEMPT)?;
        let mut signed = None;
        loop {
            self.all_run()?;
            match self.commit_one(&client, &mut signed).await {
                Ok(receipt) => return Ok(receipt),
                Err(error) if Instant::now() >= end => {
                    return Err(error.context(self.why_not().await));
                }
                Err(_) => sleep(LOOK).await,
            }
        }
    }

    /// Waits until each node answers and is in touch with all others. Those that lie owe neither.
    ///
    /// # Errors
    /// If a node ends, or time is over: says which lacks what.
    pub async fn joined(&mut self, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        loop {
            self.all_run()?;
            match self.apart().await {
                None => return Ok(()),
                Some(lack) if Instant::now() >= end => bail!("the nodes did not join: {lack}"),
                Some(_) => sleep(LOOK).await,
            }
        }
    }

    /// What an honest node lacks to be in touch with all others.
    async fn apart(&self) -> Option<String> {
        for node in (0..self.n()).filter(|node| !self.lies(*node)) {
            let Some(status) = self.status(node).await else {
                return Some(format!("node{node} does not answer"));
            };
            let mut owed = status
                .peers
                .iter()
                .filter(|peer| !self.lies(peer.node as usize));
            if let Some(peer) = owed.find(|peer| !peer.connected) {
                return Some(format!("node{node} is not in touch with node{}", peer.node));
            }
        }
        None
    }

    fn all_run(&mut self) -> Result<()> {
        match self.ended() {
            Some((node, why)) => bail!("node{node} stopped: {why}"),
            None => Ok(()),
        }
    }

    /// Submits the transaction that is `signed`, or signs one: the same in all attempts, since one
    /// whose time was over may take effect yet, and another beside it would be a second write.
    async fn commit_one(
        &self,
        client: &Client,
        signed: &mut Option<Transaction>,
    ) -> Result<Receipt> {
        let transaction = match signed.take() {
            Some(transaction) => transaction,
            None => self.sign_one(client).await?,
        };
        let outcome = client.submit(&transaction, Wait::Committed).await;
        let refused = outcome.as_ref().is_err_and(|error| {
            // Its sequence is another's, or its expiry past: it never takes effect.
            matches!(error.code(), Code::AlreadyExists | Code::FailedPrecondition)
        });
        if !refused {
            *signed = Some(transaction);
        }
        Ok(outcome?)
    }

    async fn sign_one(&self, client: &Client) -> Result<Transaction> {
        let key = KeyFile::read(&self.client_key())?;
        let mut session = Session::open(client, key).await?;
        let operation = Operation::Put {
            key: "quorate/started".into(),
            value: session.next_sequence().to_string().into(),
        };
        Ok(session.sign(Request::all(vec![operation]).encode()))
    }

    /// The state of a node; `None` if it does not answer.
    pub async fn status(&self, node: usize) -> Option<StatusResponse> {
        let client = Client::new(&[self.rpc(node)], Duration::from_millis(300)).ok()?;
        client.status().await.ok()
    }

    /// What the nodes wait for.
    async fn why_not(&self) -> String {
        let mut said = Vec::new();
        for node in 0..self.n() {
            match self.status(node).await {
                None => said.push(format!("node{node} does not answer")),
                Some(status) if !status.waiting.is_empty() => {
                    said.push(format!("node{node}: {}", status.waiting));
                }
                Some(_) => {}
            }
        }
        format!("the cluster did not commit ({})", said.join("; "))
    }
}

/// The error with which a node ended, if that is the last line of its log.
fn last_error(path: &Path) -> Option<String> {
    let text = fs::read(path).ok()?;
    let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).into_owned();
    let line = tail.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.trim().strip_prefix("error: ")?.to_owned())
}
