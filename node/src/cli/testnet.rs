//! `quorate testnet`: a cluster of real processes on this machine.

mod load;

use super::cluster::{self, Cluster};
use super::output::say;
use super::{Usage, genesis as genesis_command};
use crate::rpc::proto::StatusResponse;
use anyhow::{Context as _, Result};
use crypto::FaultModel;
use genesis::Genesis;
use load::Load;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// How long a cluster may take to commit its first transaction.
const PATIENCE: Duration = Duration::from_secs(30);

/// Views that a leader keeps in a testnet with nodes that lie, so that these soon lead, too
/// (HotStuff).
const SHORT_TENURE: u64 = 64;

/// Starts a cluster on this machine: real node processes that really sync.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: four nodes, then a write and a read in another terminal\n  quorate testnet\n  quorate client put hello world\n  quorate client --endpoint http://127.0.0.1:7021 get hello\n\nNode i listens at base port + 10 i (peers), + 1 (gRPC), + 2 (HTTP: /status, /metrics).\nRun again, it goes on with the data in --dir. Ctrl-C stops all nodes cleanly."
)]
pub(super) struct Args {
    #[command(flatten)]
    shape: genesis_command::Shape,
    /// Where the nodes live.
    #[arg(long, value_name = "DIR", default_value = "./testnet")]
    dir: PathBuf,
    /// The first node's first port; 0 picks free ones.
    #[arg(long, value_name = "PORT")]
    base_port: Option<u16>,
    /// Stop after this time.
    #[arg(long, value_name = "TIME", value_parser = super::duration)]
    duration: Option<Duration>,
    /// Node ID lies in the way of NAME, for instance 3:equivocate; may be repeated. The program
    /// quorate-adversary, beside this one, lists the names.
    #[arg(long, value_name = "ID:NAME", value_parser = adversary)]
    adversary: Vec<(usize, String)>,
    /// Write so many small values a second at the honest nodes; 0: none. By default 100 with --adversary,
    /// since who is given nothing to order has nothing to lie about, and none without.
    #[arg(long, value_name = "PUTS", value_parser = clap::value_parser!(u32).range(0..=i64::from(load::MOST)))]
    load: Option<u32>,
    /// Delete the testnet in --dir first.
    #[arg(long)]
    fresh: bool,
}

pub(super) fn run(args: Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(execute(args))
}

async fn execute(args: Args) -> Result<()> {
    prepare(&args)?;
    let program = std::env::current_exe().context("cannot find the own program")?;
    let mut cluster = Cluster::open(&program, &args.dir)?;
    if let Some(warning) = cluster.genesis().warning() {
        eprintln!("warning: {warning}");
    }
    disguise(&mut cluster, &args.adversary)?;
    let mut stop = Stop::new(args.duration)?;
    let load = load::rate(args.load, !args.adversary.is_empty());
    let result = watch(&mut cluster, &args.dir, load, &mut stop).await;
    let stopped = cluster.stop_all().await;
    result?;
    stopped?;
    Ok(say("stopped")?)
}

/// A node and how it lies.
fn adversary(text: &str) -> Result<(usize, String), String> {
    let parts = text.split_once(':');
    let (node, name) = parts.ok_or("write it as ID:NAME, for instance 3:equivocate")?;
    let node = node
        .parse()
        .map_err(|_| format!("{node} is no node's number"))?;
    Ok((node, name.to_owned()))
}

/// Lets nodes lie.
fn disguise(cluster: &mut Cluster, adversaries: &[(usize, String)]) -> Result<()> {
    if adversaries.is_empty() {
        return Ok(());
    }
    let genesis = cluster.genesis();
    let faults = genesis.validator_set().quorums().f;
    if genesis.fault_model == FaultModel::Crash {
        let why = "the crash fault model withstands no node that lies: leave --adversary out, or start a testnet with --fault-model byzantine";
        return Err(Usage(why.into()).into());
    }
    for (node, name) in adversaries {
        let disguised = cluster.disguise(*node, name);
        disguised.map_err(|why| Usage(why.to_string()))?;
    }
    let liars = cluster.adversaries().count();
    if liars > faults {
        eprintln!("warning: {liars} nodes lie, and {faults} may: expect the others to disagree");
    }
    Ok(())
}

/// Makes the testnet, unless it is there and may be continued.
fn prepare(args: &Args) -> Result<()> {
    let choice = args.shape.choose()?;
    if args.fresh {
        cluster::delete(&args.dir)?;
    }
    if !cluster::exists(&args.dir) {
        let nodes = args.shape.nodes();
        let ports = match args.base_port.unwrap_or(genesis_command::BASE_PORT) {
            0 => cluster::free_ports(nodes)?,
            base => genesis::Ports::series(base, nodes).map_err(Usage)?,
        };
        let mut testnet = choice.testnet(ports);
        if !args.adversary.is_empty() {
            testnet.tenure = SHORT_TENURE;
        }
        let built = genesis_command::build(&testnet)?;
        return cluster::create(&args.dir, &built);
    }
    let path = genesis::Home::new(args.dir.join("node0")).genesis_toml();
    let there = Genesis::load(&path)?;
    args.shape.agrees(&there).map_err(|differs| {
        let dir = args.dir.display();
        Usage(format!(
            "the testnet in {dir} {differs}: leave the option out, or start over with --fresh"
        ))
    })?;
    if args.base_port.is_some() {
        eprintln!("note: the testnet is continued; its ports stay as they are");
    }
    Ok(())
}

/// Until it is time to stop: start, say so, report.
async fn watch(cluster: &mut Cluster, dir: &Path, load: u32, stop: &mut Stop) -> Result<()> {
    cluster.start_all()?;
    tokio::select! {
        ready = cluster.ready(PATIENCE) => ready.map(|_| ())?,
        () = stop.wait() => return Ok(()),
    }
    say(ready_line(cluster))?;
    for (node, name) in cluster.adversaries() {
        say(format!("       node{node} lies: {name}"))?;
    }
    let nodes: Vec<_> = load::honest(cluster)
        .map(|it| format!("node{it}"))
        .collect();
    // Of liars nothing can be expected.
    let load = if nodes.is_empty() { 0 } else { load };
    if load > 0 {
        let nodes = nodes.join(" ");
        say(format!(
            "       {load} puts a second at {nodes}; --load 0 writes none"
        ))?;
    }
    let _load = Load::start(cluster, load)?;
    say(commands(cluster, dir))?;
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut before = Totals::default();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.wait() => return Ok(()),
        }
        while let Some((node, why)) = cluster.ended() {
            let home = cluster.home(node).dir().display().to_string();
            say(format!(
                "node{node} stopped: {why}; start it again with `{} node --home {home}`",
                me()
            ))?;
        }
        tokio::select! {
            reported = report(cluster, &mut before) => reported?,
            () = stop.wait() => return Ok(()),
        }
    }
}

/// What was counted so far, for rates.
#[derive(Default)]
struct Totals {
    executed: u64,
    at: Option<Instant>,
}

async fn report(cluster: &Cluster, before: &mut Totals) -> Result<()> {
    let asked = load::honest(cluster).map(|node| cluster.status(node));
    let answers = futures::future::join_all(asked).await;
    let answers: Vec<_> = answers.into_iter().flatten().collect();
    let Some(status) = answers.iter().max_by_key(|status| status.height) else {
        return Ok(say("no node answers")?);
    };
    let now = Instant::now();
    let seconds = before.at.map_or(1.0, |at| (now - at).as_secs_f64());
    // A node that was started again counts from zero; so does the first report.
    let fresh = match before.at {
        Some(_) => status.executed.saturating_sub(before.executed),
        None => 0,
    };
    *before = Totals {
        executed: status.executed,
        at: Some(now),
    };
    let leader = status
        .leader
        .map_or("unknown".into(), |leader| format!("node{leader}"));
    let waiting = match &status.waiting[..] {
        "" => String::new(),
        waiting => format!("  waiting: {waiting}"),
    };
    Ok(say(format!(
        "height {}  view {}  leader {leader}  {:.0} tx/s{waiting}{}",
        status.height,
        status.view,
        fresh as f64 / seconds,
        proven(&answers)
    ))?)
}

/// Whose lies somebody can prove, and who can.
fn proven(answers: &[StatusResponse]) -> String {
    let mut liars: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for answer in answers {
        for lie in &answer.evidence {
            liars.entry(lie.node).or_default().insert(answer.node);
        }
    }
    if liars.is_empty() {
        return String::new();
    }
    let names = liars.iter().map(|(liar, holders)| {
        let holders: Vec<_> = holders.iter().map(|node| format!("node{node}")).collect();
        format!("node{liar} (proof at {})", holders.join(" "))
    });
    let names: Vec<_> = names.collect();
    format!("  proven liars: {}", names.join(", "))
}

fn ready_line(cluster: &Cluster) -> String {
    let genesis = cluster.genesis();
    format!(
        "ready: {} nodes, {} ({}), {}, rpc {}",
        genesis.n(),
        genesis.fault_model,
        genesis.protocol,
        genesis.survives(),
        cluster.endpoints().join(" ")
    )
}

/// What can be pasted into another terminal.
fn commands(cluster: &Cluster, dir: &Path) -> String {
    let key =
        std::path::absolute(dir.join("client.key")).unwrap_or_else(|_| dir.join("client.key"));
    let other = cluster.n() / 2;
    let me = me();
    format!(
        "try:   {me} client --endpoint {} --key {} put hello world\n       {me} client --endpoint {} get hello",
        cluster.rpc(0),
        key.display(),
        cluster.rpc(other)
    )
}

/// The program as the user can call it from anywhere.
fn me() -> String {
    let called = std::env::args().next().unwrap_or_else(|| "quorate".into());
    if !called.contains('/') {
        return called;
    }
    let path = std::path::absolute(&called).unwrap_or_else(|_| called.into());
    path.display().to_string()
}

/// When to stop: Ctrl-C, SIGTERM, or after a while.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    end: Option<Instant>,
}

impl Stop {
    fn new(duration: Option<Duration>) -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot watch for Ctrl-C")?,
            terminate: signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?,
            end: duration.map(|duration| Instant::now() + duration),
        })
    }

    async fn wait(&mut self) {
        let end = self.end;
        let over = async move {
            match end {
                Some(end) => sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = over => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::proto::Lie;

    #[test]
    fn a_liar_is_named_with_those_who_can_prove_it() {
        let knows = |node, liars: &[u32]| StatusResponse {
            node,
            evidence: liars
                .iter()
                .map(|liar| Lie {
                    node: *liar,
                    ..Lie::default()
                })
                .collect(),
            ..StatusResponse::default()
        };
        assert_eq!(proven(&[knows(0, &[]), knows(1, &[])]), "");
        let answers = [knows(2, &[3, 3]), knows(0, &[]), knows(1, &[6, 3])];
        assert_eq!(
            proven(&answers),
            "  proven liars: node3 (proof at node1 node2), node6 (proof at node1)"
        );
    }
}
