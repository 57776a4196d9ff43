//! Raft mode held against a real etcd: the same loads, each store alone on this machine, in turns.
//! `tests/etcd.sh` runs it.

mod closed_loop;
mod etcd;
mod faults;
mod ours;
mod proto;
mod store;
mod table;

use anyhow::{Result, ensure};
use clap::Parser;
use etcd::Etcd;
use ours::Ours;
use quorate::cli::process;
use std::path::PathBuf;
use std::time::Duration;
use store::{Asks, Load, Store};
use table::{Row, Table};
use tempfile::TempDir;

/// As the nodes' program has it: the client takes no more of the processor than ours.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures a real etcd and Quorate's Raft mode and prints both beside the target.
#[derive(Parser)]
struct Args {
    /// The program that is measured [default: beside this one].
    #[arg(long)]
    program: Option<PathBuf>,
    /// How often everything is measured; the table has medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each load is measured, in seconds.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// How long it runs before, in seconds.
    #[arg(long, default_value_t = 3)]
    warmup: u64,
    /// Puts before all nodes are killed and started again; 0 leaves that out.
    #[arg(long, default_value_t = 300_000)]
    restart: u64,
    /// HTTP/2 connections of the load on etcd.
    #[arg(long, default_value_t = 12)]
    connections: usize,
    /// Only these columns: etcd, unsigned, signed.
    #[arg(long, value_delimiter = ',', default_values = ["etcd", "unsigned", "signed"])]
    only: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    tokio::select! {
        done = compare(&args) => done,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    }
}

async fn compare(args: &Args) -> Result<()> {
    let etcd_version = etcd::version()?;
    let program = match &args.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("quorate"),
    };
    let version = ours::version(&program)?;
    let etcd = Etcd {
        connections: args.connections,
    };
    let unsigned = Ours {
        program: program.clone(),
        signed: false,
    };
    let signed = Ours {
        program,
        signed: true,
    };
    let mut table = Table::default();
    let mut failures = 0;
    for round in 1..=args.rounds {
        for name in &args.only {
            eprintln!("round {round} of {}: {name}", args.rounds);
            let done = match &name[..] {
                "etcd" => measure(args, &etcd, &mut table).await,
                "unsigned" => measure(args, &unsigned, &mut table).await,
                "signed" => measure(args, &signed, &mut table).await,
                other => anyhow::bail!("{other}: no such column"),
            };
            if let Err(error) = done {
                failures += 1;
                eprintln!("measuring {name} in round {round} ended early: {error:#}");
            }
        }
    }
    println!("etcd {etcd_version}, {version}");
    println!(
        "{}; {} rounds of {} s",
        process::machine(),
        args.rounds,
        args.seconds
    );
    println!("{}", table.text(args.restart));
    ensure!(
        failures == 0,
        "{failures} measurements ended early, so their rows have fewer values"
    );
    Ok(())
}

/// All that is measured of one store, once.
async fn measure<S: Store>(args: &Args, store: &S, table: &mut Table) -> Result<()> {
    let load = |asks, clients, at_leader| Load {
        asks,
        clients,
        at_leader,
        duration: Duration::from_secs(args.seconds),
        warmup: Duration::from_secs(args.warmup),
    };
    let name = store.name();
    let mut tell = |row, value: f64| table.add(row, &name, value);
    let card = store.measure(load(Asks::Put, 1, true)).await?;
    tell(Row::OnePuts, card.per_second);
    tell(Row::OneP50, card.p50_ms);
    tell(Row::OneP99, card.p99_ms);
    let mut failed = card.failed;
    let card = store.measure(load(Asks::Put, 256, false)).await?;
    tell(Row::Puts, card.per_second);
    tell(Row::PutP50, card.p50_ms);
    tell(Row::PutP99, card.p99_ms);
    tell(Row::PutServers, card.servers_us);
    tell(Row::PutClient, card.client_us);
    failed += card.failed;
    let card = store.measure(load(Asks::Get, 256, false)).await?;
    tell(Row::Gets, card.per_second);
    tell(Row::GetP50, card.p50_ms);
    tell(Row::GetP99, card.p99_ms);
    tell(Row::GetServers, card.servers_us);
    tell(Row::GetClient, card.client_us);
    tell(Row::Failed, (failed + card.failed) as f64);
    let dead = faults::dead_leader(store).await?;
    tell(Row::Gap, dead.gap_ms);
    tell(Row::GapFailed, dead.failed as f64);
    if args.restart > 0 {
        tell(Row::Restart, faults::restart(store, args.restart).await?);
    }
    Ok(())
}

/// An empty directory that is deleted when dropped, on a disk: a sync to memory would be a lie.
fn directory(name: &str) -> Result<TempDir> {
    let prefix = format!("versus-{name}-");
    let directory = tempfile::Builder::new().prefix(&prefix).tempdir()?;
    ensure!(
        process::on_disk(directory.path()),
        "{} is in memory: set TMPDIR to a directory on disk",
        directory.path().display()
    );
    Ok(directory)
}
