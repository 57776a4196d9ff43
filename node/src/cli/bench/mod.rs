//! `quorate bench`: what a cluster achieves, and what it costs.

mod climb;
mod load;
mod report;
mod requests;
mod scrape;

use super::cluster::{self, Cluster};
use super::output::{progress, say};
use super::process;
use super::{Usage, genesis as genesis_command};
use crate::client::Client;
use crate::rpc::proto::Consistency;
use anyhow::{Context as _, Result, bail};
use load::{Measured, Plan, Shared};
use report::{Cost, Observed, Report};
use requests::Kind;
use scrape::Scrape;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Most values that fit a transaction of the default limits with room for keys.
const LARGEST: usize = 1 << 20;
/// How long the benchmark's own cluster may take to commit.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures throughput and latency, open loop: latency counts from when a request was due.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: a cluster of its own, at 1,000 transactions a second\n  quorate bench --rate 1000 --duration 20s\nExample: as fast as it goes, 64 operations a transaction\n  quorate bench --rate max --ops 64\nExample: how much it carries, in steps of 5 seconds\n  quorate bench --rate climb --duration 5s\nExample: reads that see every acknowledged write, 256 at a time\n  quorate bench --gets linearizable --rate max --outstanding 256\nExample: a running cluster\n  quorate bench --endpoint http://127.0.0.1:7001 --endpoint http://127.0.0.1:7011 --rate 500"
)]
pub(super) struct Args {
    /// Nodes of a running cluster; without, a cluster of its own is started in a temporary directory.
    #[arg(long, value_name = "URL", conflicts_with_all = ["nodes", "fault_model", "protocol", "commit_quorum", "election_quorum", "client_auth", "lease_drift"])]
    endpoint: Vec<String>,
    #[command(flatten)]
    shape: genesis_command::Shape,
    /// Get keys, one a request, instead of putting them. They are put before the time counts.
    #[arg(long, value_name = "CONSISTENCY", conflicts_with = "ops")]
    gets: Option<Gets>,
    /// Ask only the node that leads when the load begins, not all.
    #[arg(long)]
    at_leader: bool,
    /// Requests a second; or max; or climb: step by step, each --duration long, until the
    /// cluster loses some or its p99 is above --p99.
    #[arg(long, value_name = "N|max|climb", default_value = "1000", value_parser = rate)]
    rate: Rate,
    /// Bytes of each value.
    #[arg(long, value_name = "BYTES", default_value_t = 512)]
    size: usize,
    /// Operations of each transaction.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=128))]
    ops: u16,
    /// How long is measured.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = super::duration)]
    duration: Duration,
    /// How long the load runs before that.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = super::duration)]
    warmup: Duration,
    /// Most that p99 may be while --rate climb goes on.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = super::duration)]
    p99: Duration,
    /// Client keys that sign.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,
    /// Requests on the way at --rate max [default: as many as hold 4 MiB of values, 64 to 2048].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    outstanding: Option<u32>,
    /// Also write the result as JSON to a file in this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
}

/// `--rate`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rate {
    /// Requests a second.
    At(f64),
    Max,
    Climb,
}

/// `--gets`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Gets {
    /// Each sees every write that was acknowledged before it began.
    Linearizable,
    /// What the node that is asked has executed.
    Local,
}

impl From<Gets> for Consistency {
    fn from(gets: Gets) -> Self {
        match gets {
            Gets::Linearizable => Self::Linearizable,
            Gets::Local => Self::Local,
        }
    }
}

fn rate(text: &str) -> Result<Rate, String> {
    match text {
        "max" => return Ok(Rate::Max),
        "climb" => return Ok(Rate::Climb),
        _ => {}
    }
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(Rate::At(rate)),
        _ => Err("give requests a second, max or climb".into()),
    }
}

pub(super) fn run(args: Args) -> Result<()> {
    if args.size == 0 || args.size.saturating_mul(args.ops.into()) > LARGEST {
        let why =
            format!("--size times --ops must be 1 to {LARGEST} bytes: one transaction holds them");
        return Err(Usage(why).into());
    }
    if args.duration < Duration::from_secs(1) {
        return Err(Usage("--duration must be at least 1s".into()).into());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(process::cores().min(4))
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(execute(args))
}

async fn execute(args: Args) -> Result<()> {
    if !args.endpoint.is_empty() {
        let target = Target::running(&args.endpoint).await?;
        return result(&args, &target).await?.finish(&args);
    }
    let directory = Temporary::new()?;
    let ports = cluster::free_ports(args.shape.nodes())?;
    let built = genesis_command::build(&args.shape.choose()?.testnet(ports))?;
    cluster::create(&directory.0, &built)?;
    let program = std::env::current_exe().context("cannot find the own program")?;
    let mut cluster = Cluster::open(&program, &directory.0)?;
    cluster.start_all()?;
    progress("waiting for the cluster to commit");
    let result = tokio::select! {
        result = own(&args, &mut cluster, &directory.0) => result,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let stopped = cluster.stop_all().await;
    progress("");
    let result = result?;
    stopped?;
    result.finish(&args)
}

/// What is measured: where its nodes are, as far as that is known.
struct Target {
    /// RPC.
    endpoints: Vec<String>,
    /// The operator's HTTP of those nodes that let themselves be asked.
    http: Vec<String>,
    /// Their processes, if they run here.
    pids: Vec<u32>,
    on_disk: Option<bool>,
}

impl Target {
    /// A cluster that runs somewhere. Nodes serve HTTP one port above RPC unless their `node.toml`
    /// says otherwise: whoever answers there with the same chain is asked for his metrics.
    async fn running(endpoints: &[String]) -> Result<Self> {
        let client = Client::new(endpoints, Duration::from_secs(5))?;
        let chain = hex::encode(client.status().await?.chain);
        let mut http = Vec::new();
        for url in endpoints {
            let Some(above) = one_port_above(url) else {
                continue;
            };
            let asked =
                tokio::time::timeout(Duration::from_secs(2), scrape::get(&above, "/status"));
            if asked
                .await
                .ok()
                .flatten()
                .is_some_and(|said| said.contains(&chain))
            {
                http.push(above);
            }
        }
        Ok(Self {
            endpoints: endpoints.to_vec(),
            http,
            pids: Vec::new(),
            on_disk: None,
        })
    }
}

fn one_port_above(url: &str) -> Option<String> {
    let (host, port) = url.trim_end_matches('/').rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    Some(format!("{host}:{}", port.checked_add(1)?))
}

/// One measurement, or those of a climb.
enum Outcome {
    One(Box<Report>),
    Climb(climb::Climb),
}

impl Outcome {
    fn finish(&self, args: &Args) -> Result<()> {
        let (name, table, json) = match self {
            Self::One(report) => (report.name(), report.table(), report.json()),
            Self::Climb(climb) => (climb.name(), climb.table(), climb.json()),
        };
        say(if args.json { &json } else { &table })?;
        let Some(dir) = &args.out else { return Ok(()) };
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let path = free_name(dir, &name);
        std::fs::write(&path, json + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("written to {}", path.display());
        Ok(())
    }
}

async fn result(args: &Args, target: &Target) -> Result<Outcome> {
    Ok(match args.rate {
        Rate::Climb => Outcome::Climb(climb::climb(args, target).await?),
        Rate::At(rate) => Outcome::One(Box::new(measure(args, target, Some(rate)).await?)),
        Rate::Max => Outcome::One(Box::new(measure(args, target, None).await?)),
    })
}

/// Measures the benchmark's own cluster.
async fn own(args: &Args, cluster: &mut Cluster, directory: &Path) -> Result<Outcome> {
    cluster.ready(PATIENCE).await?;
    let nodes = 0..cluster.n();
    let target = Target {
        endpoints: cluster.endpoints(),
        http: nodes
            .clone()
            .map(|node| cluster.http(node).to_owned())
            .collect(),
        pids: nodes.filter_map(|node| cluster.pid(node)).collect(),
        on_disk: Some(process::on_disk(directory)),
    };
    let result = result(args, &target).await;
    if let Some((node, why)) = cluster.ended() {
        bail!("node{node} stopped during the benchmark: {why}");
    }
    result
}

/// Runs the load and says what came of it. `rate`: `None` is max.
async fn measure(args: &Args, target: &Target, rate: Option<f64>) -> Result<Report> {
    let client = Client::new(&target.endpoints, Duration::from_secs(5))?;
    let signed = requests::forged_is_refused(&target.endpoints[0]).await;
    let before = client.status().await?;
    let plan = Plan {
        kind: kind(args, target).await?,
        rate,
        duration: args.duration,
        warmup: args.warmup,
        clients: args.clients.into(),
        outstanding: args.outstanding.map_or_else(
            || outstanding(args.size * usize::from(args.ops)),
            |n| n as usize,
        ),
    };
    let loaded = match args.at_leader {
        true => vec![leader(&target.endpoints).await?],
        false => target.endpoints.clone(),
    };
    let total = args.warmup + args.duration;
    let terminal = std::io::stderr().is_terminal();
    let show = |shared: &Shared, elapsed: Duration| {
        if terminal {
            progress(&format!(
                "{:>5.1} s of {:.0} s  {} asked  {} done",
                elapsed.as_secs_f64().min(total.as_secs_f64()),
                total.as_secs_f64(),
                shared.requests.load(Ordering::Relaxed),
                shared.done.load(Ordering::Relaxed)
            ));
        }
    };
    let counted = Scrape::of(&target.http).await;
    let cost = Cost::now(&target.pids);
    let (measured, all) = load::run(&loaded, plan.clone(), show).await?;
    progress("");
    refuse_zero(&measured)?;
    let seen = Observed {
        cost: Cost::now(&target.pids).since(&cost),
        counted: Scrape::of(&target.http).await.since(&counted),
        after: client.status().await?,
        before,
        signed,
        on_disk: target.on_disk,
    };
    Ok(Report::new(&plan, args.size, seen, measured, all))
}

/// What to ask; for gets, once what they read is written.
async fn kind(args: &Args, target: &Target) -> Result<Kind> {
    let Some(gets) = args.gets else {
        return Ok(Kind::Puts {
            operations: args.ops.into(),
            size: args.size,
        });
    };
    progress("writing what is to be read");
    Ok(Kind::Gets {
        consistency: gets.into(),
        keys: requests::keep(&target.endpoints, args.size).await?,
    })
}

/// How long a cluster may be without a leader: one that was just started elects its first.
const ELECTION: Duration = Duration::from_secs(10);
/// How often it is asked meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// The endpoint of the node that says it leads.
async fn leader(endpoints: &[String]) -> Result<String> {
    let end = Instant::now() + ELECTION;
    loop {
        for url in endpoints {
            let status = Client::new(&[url], Duration::from_secs(5))?.status().await;
            if status.is_ok_and(|status| status.leader == Some(status.node)) {
                return Ok(url.clone());
            }
        }
        if Instant::now() >= end {
            bail!("none of the endpoints leads: name all nodes, or leave --at-leader out");
        }
        sleep(LOOK).await;
    }
}

/// Enough to keep the cluster busy, and not so much that it all waits in its queues.
fn outstanding(bytes: usize) -> usize {
    ((4 << 20) / bytes.max(1)).clamp(64, 2048)
}

/// A zero without its cause helps nobody.
fn refuse_zero(measured: &Measured) -> Result<()> {
    if measured.completed > 0 && measured.committed > 0 {
        return Ok(());
    }
    let worst = measured.failures.iter().max_by_key(|(_, count)| **count);
    match worst {
        Some((cause, count)) => bail!("nothing was done in time: {count} times {cause}"),
        None if measured.offered == 0 => {
            bail!("nothing was asked: the time was too short for the rate")
        }
        None => bail!(
            "no answer came while it was measured, all of them after: the cluster is overloaded; \
             lower the rate or measure for longer"
        ),
    }
}

/// An earlier result is never overwritten.
fn free_name(dir: &Path, name: &str) -> PathBuf {
    (1..)
        .map(|i| dir.join(format!("{name}-{i}.json")))
        .find(|path| !path.exists())
        .expect("there are more numbers than files")
}

/// A directory that is deleted in the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|error| anyhow::anyhow!("the system gives no randomness: {error}"))?;
        // A benchmark that syncs to memory would be a lie: then rather the current directory.
        let temporary = std::env::temp_dir();
        let parent = if process::on_disk(&temporary) {
            temporary
        } else {
            std::env::current_dir().context("there is no current directory")?
        };
        let path = parent.join(format!("quorate-bench-{}", hex::encode(random)));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be deleted stays for the system's own tidying.
        std::fs::remove_dir_all(&self.0).ok();
    }
}
