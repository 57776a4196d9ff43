//! A real Quorate cluster of the crash-fault model: loaded by `quorate bench`, killed by hand.

use crate::directory;
use crate::store::{Asks, Card, Load, NODES, PATIENCE, Put, Running, Store, VALUE, key, value};
use anyhow::{Context as _, Result, bail};
use crypto::{FaultModel, Hasher, SecretKey};
use genesis::{ClientAuth, Protocol, Testnet};
use quorate::cli::cluster::{self, Cluster};
use quorate::client::{Client, Session};
use quorate::rpc::proto::{SubmitRequest, Wait, ledger_client::LedgerClient};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use storage::{Operation, Request};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, Endpoint};

/// Client keys that put at one node while a leader dies.
const SESSIONS: u64 = 16;
/// How long one load of filling runs.
const FILLING: Duration = Duration::from_secs(5);

/// Quorate, to be started.
pub struct Ours {
    /// The program.
    pub program: PathBuf,
    /// Whether clients sign.
    pub signed: bool,
}

/// Its processes, and their directory, which is deleted in the end.
pub struct Nodes {
    cluster: Cluster,
    program: PathBuf,
    _directory: TempDir,
}

/// What the program says it is.
///
/// # Errors
/// If it cannot be run.
pub fn version(program: &Path) -> Result<String> {
    let output = std::process::Command::new(program)
        .arg("--version")
        .output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Ours {
    fn client_auth(&self) -> &'static str {
        if self.signed { "signed" } else { "none" }
    }
}

impl Store for Ours {
    type Running = Nodes;

    fn name(&self) -> String {
        let signed = if self.signed { "signed" } else { "unsigned" };
        format!("quorate {signed}")
    }

    async fn start(&self) -> Result<Nodes> {
        let directory = directory("quorate")?;
        let testnet = Testnet {
            fault_model: FaultModel::Crash,
            protocol: Protocol::Raft,
            client_auth: if self.signed {
                ClientAuth::Signed
            } else {
                ClientAuth::None
            },
            ..Testnet::new(cluster::free_ports(NODES)?)
        };
        cluster::create(directory.path(), &testnet.build()?)?;
        let mut nodes = Nodes {
            cluster: Cluster::open(&self.program, directory.path())?,
            program: self.program.clone(),
            _directory: directory,
        };
        nodes.start_all()?;
        nodes.cluster.ready(PATIENCE).await?;
        Ok(nodes)
    }

    async fn measure(&self, load: Load) -> Result<Card> {
        let mut flags = vec!["--nodes".to_owned(), NODES.to_string()];
        flags.extend(["--fault-model", "crash", "--client-auth"].map(str::to_owned));
        flags.push(self.client_auth().into());
        bench(&self.program, &flags, load).await
    }
}

/// Runs `quorate bench`.
async fn bench(program: &Path, flags: &[String], load: Load) -> Result<Card> {
    let mut command = Command::new(program);
    command
        .args(["bench", "--json", "--rate", "max"])
        .args(flags);
    for (flag, value) in [
        ("--size", VALUE.to_string()),
        ("--clients", load.clients.to_string()),
        ("--outstanding", load.clients.to_string()),
        ("--duration", format!("{}ms", load.duration.as_millis())),
        ("--warmup", format!("{}ms", load.warmup.as_millis())),
    ] {
        command.args([flag, &value]);
    }
    if load.asks == Asks::Get {
        command.args(["--gets", "linearizable"]);
    }
    if load.at_leader {
        command.arg("--at-leader");
    }
    let output = command.kill_on_drop(true).output().await?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let card: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let number = |name: &str| -> Result<f64> {
        let value = card[name].as_f64();
        value.with_context(|| format!("quorate bench does not tell {name}"))
    };
    Ok(Card {
        per_second: number("achieved_per_second")?,
        p50_ms: number("p50_ms")?,
        p99_ms: number("p99_ms")?,
        // Of a cluster that `bench` did not start it is unknown.
        servers_us: number("nodes_cpu_us_per_transaction").unwrap_or(f64::NAN),
        client_us: number("client_cpu_us_per_transaction")?,
        failed: number("failed")? as u64,
    })
}

impl Running for Nodes {
    type Client = Submitter;

    async fn clients(&self) -> Result<Vec<Submitter>> {
        let mut clients = Vec::new();
        for url in self.cluster.endpoints() {
            clients.push(Submitter::new(&url, clients.len() as u64).await?);
        }
        Ok(clients)
    }

    async fn leader(&self) -> Result<usize> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            for node in 0..NODES {
                let status = self.cluster.status(node).await;
                if status.is_some_and(|status| status.leader == Some(status.node)) {
                    return Ok(node);
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!("no node says that it leads")
    }

    async fn fill(&mut self, puts: u64) -> Result<u64> {
        let load = Load {
            asks: Asks::Put,
            clients: 256,
            at_leader: false,
            duration: FILLING,
            warmup: Duration::ZERO,
        };
        let endpoints = self.cluster.endpoints().into_iter();
        let flags: Vec<String> = endpoints
            .flat_map(|url| ["--endpoint".into(), url])
            .collect();
        loop {
            let status = self
                .cluster
                .status(0)
                .await
                .context("node0 does not answer")?;
            if status.executed >= puts {
                return Ok(status.executed);
            }
            bench(&self.program, &flags, load).await?;
        }
    }

    async fn kill(&mut self, node: usize) -> Result<()> {
        self.cluster.kill(node).await
    }

    async fn kill_all(&mut self) -> Result<()> {
        self.cluster.kill_all().await
    }

    fn start_all(&mut self) -> Result<()> {
        self.cluster.start_all()
    }
}

/// Submits to one node, each transaction once.
#[derive(Clone)]
pub struct Submitter {
    ledger: LedgerClient<Channel>,
    sessions: Arc<Vec<Mutex<Session>>>,
}

impl Submitter {
    async fn new(url: &str, node: u64) -> Result<Self> {
        let channel = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true);
        let client = Client::new(&[url], PATIENCE)?;
        let mut sessions = Vec::new();
        for i in 0..SESSIONS {
            let mut seed = Hasher::new("quorate/v1/versus-etcd");
            let key = SecretKey::from_seed(&seed.number(node).number(i).finish().0);
            sessions.push(Mutex::new(Session::open(&client, key).await?));
        }
        Ok(Self {
            ledger: LedgerClient::new(channel.connect_lazy()),
            sessions: Arc::new(sessions),
        })
    }
}

impl Put for Submitter {
    async fn put(&self, number: u64, patience: Duration) -> Result<(), String> {
        let operation = Operation::Put {
            key: key(number).into(),
            value: value(&mut ChaCha8Rng::seed_from_u64(number)),
        };
        let session = &self.sessions[number as usize % self.sessions.len()];
        let body = Request::all(vec![operation]).encode();
        let transaction = session.lock().await.sign(body);
        let mut request = tonic::Request::new(SubmitRequest {
            transaction: Some((&transaction).into()),
            wait: Wait::Committed.into(),
        });
        request.set_timeout(patience);
        let submitted = timeout(patience, self.ledger.clone().submit(request)).await;
        match submitted {
            Ok(Ok(receipt)) => {
                session.lock().await.observe(receipt.into_inner().height);
                Ok(())
            }
            Ok(Err(status)) => Err(format!("{:?}: {}", status.code(), status.message())),
            Err(_) => Err("no answer".into()),
        }
    }
}
