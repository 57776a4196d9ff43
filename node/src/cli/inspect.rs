//! `quorate inspect`: what a node's disk says. Nothing is written.

use super::output::say;
use anyhow::{Context as _, Result, bail};
use crypto::{Digest, Height, Payload, SealedBatch, Transaction};
use genesis::{Genesis, Home, NodeConfig};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use storage::rocks::open_log_read_only;
use storage::{CommitRow, Log, RealSafetyFile, SafetyFile as _, Verdict, verdict};

/// Commits read at a time.
const PAGE: usize = 256;
/// Bytes of commits read at a time.
const PAGE_BYTES: usize = 8 << 20;

/// Looks into a node's data, read-only.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  quorate inspect --home testnet/node0 log --from 100\n  quorate inspect --home testnet/node0 safety\n  quorate inspect --home testnet/node0 verify"
)]
pub(super) struct Args {
    /// The node's directory.
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// Print JSON, one object a line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the committed heights.
    #[command(
        after_help = "Example:\n  quorate inspect --home testnet/node0 log --from 100 --limit 10"
    )]
    Log {
        /// The first height.
        #[arg(long, value_name = "HEIGHT", default_value_t = 1)]
        from: u64,
        /// Print at most so many.
        #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
        limit: u64,
    },
    /// Print what the safety file says, and whether the node may vote.
    #[command(after_help = "Example:\n  quorate inspect --home testnet/node0 safety")]
    Safety,
    /// Check that heights, histories, batches and clients' signatures fit together.
    #[command(after_help = "Example:\n  quorate inspect --home testnet/node0 verify")]
    Verify,
}

/// A node's files.
struct Node {
    genesis: Genesis,
    data: PathBuf,
    home: Home,
}

impl Node {
    fn log(&self) -> Result<Log> {
        let store = open_log_read_only(&self.data.join("log"))?;
        Ok(Log::new(Arc::new(store)))
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    let home = Home::new(&args.home);
    let config = NodeConfig::load(&home.node_toml())?;
    let node = Node {
        genesis: Genesis::load(&home.genesis_toml())?,
        data: home.data(&config),
        home,
    };
    match args.command {
        Command::Log { from, limit } => log(&node, from, limit, args.json),
        Command::Safety => safety(&node, args.json),
        Command::Verify => verify(&node, args.json),
    }
}

/// Calls `each` with every commit from a height on, until it is told to stop.
fn commits(log: &Log, from: Height, mut each: impl FnMut(CommitRow) -> Result<bool>) -> Result<()> {
    let mut next = from;
    loop {
        let page = log.commits(next, PAGE, PAGE_BYTES)?;
        if page.is_empty() {
            return Ok(());
        }
        for row in page {
            next = row.height.next();
            if !each(row)? {
                return Ok(());
            }
        }
    }
}

fn log(node: &Node, from: u64, limit: u64, as_json: bool) -> Result<()> {
    let mut left = limit;
    commits(&node.log()?, Height(from.max(1)), |row| {
        if left == 0 {
            return Ok(false);
        }
        left -= 1;
        say(if as_json {
            row_object(&row).to_string()
        } else {
            row_line(&row)
        })?;
        Ok(true)
    })
}

fn row_object(row: &CommitRow) -> Value {
    let payload = match &row.payload {
        Payload::Refs(refs) => refs
            .iter()
            .map(|r| {
                json!({
                    "author": r.author.0,
                    "number": r.number,
                    "digest": r.digest.to_string(),
                    "bytes": r.bytes,
                    "transactions": r.count,
                    "expires": r.expires.0,
                })
            })
            .collect::<Vec<_>>(),
        Payload::Inline(list) => list.iter().map(|b| json!({ "bytes": b.len() })).collect(),
    };
    json!({
        "height": row.height.0,
        "history": row.history.to_string(),
        "payload": payload,
        "proof": hex::encode(&row.proof),
    })
}

fn row_line(row: &CommitRow) -> String {
    let (batches, transactions, bytes) = match &row.payload {
        Payload::Refs(refs) => (
            refs.len(),
            refs.iter()
                .map(|r| u64::from(r.count))
                .sum::<u64>()
                .to_string(),
            refs.iter().map(|r| u64::from(r.bytes)).sum::<u64>(),
        ),
        Payload::Inline(list) => {
            let bytes = list.iter().map(|b| b.len() as u64).sum();
            (list.len(), "?".into(), bytes)
        }
    };
    let history = row.history.to_string();
    let short = history.get(..16).unwrap_or(&history);
    format!(
        "height {}  batches {batches}  transactions {transactions}  bytes {bytes}  history {short}",
        row.height
    )
}

fn safety(node: &Node, as_json: bool) -> Result<()> {
    let path = node.data.join("safety");
    let said = RealSafetyFile::open(&path)?.read()?;
    let database = if node.data.join("log/CURRENT").exists() {
        node.log()?.fence()?
    } else {
        0
    };
    let key = crypto::KeyFile::read(&node.home.consensus_key())?.public();
    let verdict = match verdict(database, said.as_ref(), node.genesis.chain_id(), key) {
        Verdict::Start => "may vote".to_owned(),
        Verdict::Refuse(refusal) => refusal.to_string(),
    };
    if as_json {
        let file = said.map(|s| {
            json!({
                "chain": s.chain.to_string(),
                "key": s.key.to_string(),
                "epoch": s.epoch.0,
                "view": s.view.0,
                "fence": s.fence,
            })
        });
        let object = json!({ "file": file, "database_fence": database, "verdict": verdict });
        return Ok(say(object.to_string())?);
    }
    match said {
        Some(s) => say(format!(
            "chain           {}\nkey             {}\nepoch           {}\nview            {}\nfence           {}",
            s.chain, s.key, s.epoch, s.view, s.fence
        ))?,
        None => say(format!("{}: no valid slot", path.display()))?,
    }
    Ok(say(format!(
        "database fence  {database}\nverdict         {verdict}"
    ))?)
}

/// What the log claims of itself, checked. Whether a quorum signed it is for the proofs.
fn verify(node: &Node, as_json: bool) -> Result<()> {
    let log = node.log()?;
    let mut history = Digest::ZERO;
    let mut expected = Height(1);
    let mut transactions = 0;
    commits(&log, expected, |row| {
        if row.height != expected {
            bail!("height {expected} is missing: restore the node's data, or replace the node");
        }
        let extended = row.payload.extend_history(&history, row.height);
        if extended != row.history {
            bail!(
                "the history at height {} does not follow from the one before",
                row.height
            );
        }
        history = extended;
        expected = row.height.next();
        transactions += batches(&log, node, &row)?;
        Ok(true)
    })?;
    let heights = expected.previous();
    if as_json {
        let object = json!({
            "heights": heights.0,
            "transactions": transactions,
            "history": history.to_string(),
        });
        return Ok(say(object.to_string())?);
    }
    Ok(say(format!(
        "{heights} heights with {transactions} transactions fit together; history {history}"
    ))?)
}

fn batches(log: &Log, node: &Node, row: &CommitRow) -> Result<u64> {
    let height = row.height;
    let sealed: Vec<SealedBatch> = match &row.payload {
        Payload::Refs(refs) => refs
            .iter()
            .map(|reference| {
                let bytes = log.batch(&reference.digest)?;
                let bytes =
                    bytes.with_context(|| format!("a batch of height {height} is missing"))?;
                let batch = SealedBatch::open(bytes)
                    .with_context(|| format!("a batch of height {height} is damaged"))?;
                if batch.reference() != *reference {
                    bail!("a batch of height {height} is not the one that was ordered");
                }
                Ok(batch)
            })
            .collect::<Result<_>>()?,
        Payload::Inline(list) => list
            .iter()
            .map(|bytes| {
                SealedBatch::open(bytes.clone())
                    .with_context(|| format!("a batch of height {height} is damaged"))
            })
            .collect::<Result<_>>()?,
    };
    let mut count = 0;
    for batch in sealed {
        let list = &batch.batch().transactions;
        let chain = node.genesis.chain_id();
        let checks = Transaction::check_all(list, &chain, &crypto::Ed25519);
        if let Some(bad) = checks.iter().find_map(|check| check.err()) {
            bail!("a transaction of height {height} is not valid: {bad}");
        }
        count += list.len() as u64;
    }
    Ok(count)
}
