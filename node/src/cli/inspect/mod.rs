//! `quorate inspect`: what a node's disk says. Nothing in it is written.

mod evidence;
mod log;
mod safety;
mod state;
mod verify;

use super::Usage;
use anyhow::{Result, bail};
use crypto::{Height, KeyFile, PublicKey};
use genesis::{Genesis, Home, NodeConfig};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::rocks::{open_log_read_only, open_state_read_only};
use storage::{CommitRow, Directory, Log, Memory, REPLACE_NODE, Safety, Store};

/// Commits read at a time.
const PAGE: usize = 256;
/// Bytes of commits read at a time.
const PAGE_BYTES: usize = 8 << 20;

/// Looks into a node's data, read-only.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  quorate inspect --home testnet/node0 log --from 100\n  quorate inspect --home testnet/node0 safety\n  quorate inspect --home testnet/node0 state\n  quorate inspect --home testnet/node0 verify\n  quorate inspect --home testnet/node0 evidence --out liar.json\n  quorate inspect verify liar.json --genesis testnet/node0/genesis.toml"
)]
pub(super) struct Args {
    /// The node's directory.
    #[arg(long, value_name = "DIR", global = true)]
    home: Option<PathBuf>,
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
    /// Print how far the state is, or its keys; of a node that is stopped.
    #[command(
        after_help = "Example:\n  quorate inspect --home testnet/node0 state\n  quorate inspect --home testnet/node0 state --prefix user/ --limit 10"
    )]
    State {
        /// Print the keys that begin so ('' for all) with their values.
        #[arg(long, value_name = "PREFIX")]
        prefix: Option<String>,
        /// Print at most so many.
        #[arg(long, value_name = "N", requires = "prefix")]
        limit: Option<u64>,
    },
    /// Print which validators signed two contradicting statements, as far as this node has seen both,
    /// or write the proof of it to a file that convinces a third party.
    #[command(
        after_help = "Example:\n  quorate inspect --home testnet/node0 evidence\n  quorate inspect --home testnet/node0 evidence --number 2 --out liar.json"
    )]
    Evidence {
        /// Write one proof to this new file.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Which one, as they are listed.
        #[arg(long, value_name = "N", requires = "out", default_value_t = 1)]
        number: usize,
    },
    /// Check the whole log: heights, histories, batches, clients' signatures, and for each height
    /// the proof that a quorum committed it. Or check a file of evidence, without any node.
    #[command(
        after_help = "Example:\n  quorate inspect --home testnet/node0 verify\n  quorate inspect verify liar.json --genesis genesis.toml"
    )]
    Verify {
        /// What `quorate inspect evidence` wrote: needs the genesis file only.
        #[arg(value_name = "FILE", requires = "genesis")]
        file: Option<PathBuf>,
        /// The genesis file of the chain that the evidence is about.
        #[arg(long, value_name = "GENESIS", requires = "file")]
        genesis: Option<PathBuf>,
    },
}

pub(super) fn run(args: &Args) -> Result<()> {
    if let Command::Verify {
        file: Some(file),
        genesis: Some(genesis),
    } = &args.command
    {
        if args.home.is_some() {
            return usage("evidence is checked against the genesis file alone: leave out --home");
        }
        return evidence::verify(file, genesis, args.json);
    }
    let Some(home) = &args.home else {
        return usage("--home is missing: name the node's directory, such as testnet/node0");
    };
    let node = Node::open(home)?;
    match &args.command {
        Command::Log { from, limit } => log::print(&node, Height(*from), *limit, args.json),
        Command::Safety => safety::print(&node, args.json),
        Command::State { prefix, limit } => {
            state::print(&node, prefix.as_deref(), *limit, args.json)
        }
        Command::Evidence { out: None, .. } => evidence::print(&node, args.json),
        Command::Evidence {
            out: Some(out),
            number,
        } => evidence::export(&node, *number, out, args.json),
        Command::Verify { .. } => verify::print(&node, args.json),
    }
}

fn usage(why: &str) -> Result<()> {
    Err(Usage(why.into()).into())
}

/// A node's files.
struct Node {
    genesis: Genesis,
    key: PublicKey,
    data: PathBuf,
    /// The process that has the data, if one does.
    owner: Option<String>,
}

impl Node {
    fn open(home: &Path) -> Result<Self> {
        let home = Home::new(home);
        let config = NodeConfig::load(&home.node_toml())?;
        let genesis = Genesis::load(&home.genesis_toml())?;
        let key = KeyFile::read(&home.consensus_key())?.public();
        let data = home.data(&config);
        readable(&data)?;
        readable(&data.join("FORMAT"))?;
        let owner = Directory::look(&data, &crate::assemble::identity(&genesis, key))?;
        Ok(Self {
            genesis,
            key,
            data,
            owner,
        })
    }

    /// The newest valid content of the safety file; `None` if there is none.
    fn safety(&self) -> Result<Option<Safety>> {
        let path = self.data.join("safety");
        readable(&path)?;
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Safety::newest(&bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => bail!("cannot read {}: {error}", path.display()),
        }
    }

    fn typed(&self, store: Arc<dyn Store>) -> Log {
        Log::new(store, crate::assemble::payload_of(self.genesis.protocol))
    }

    /// The log; an empty one if the node has never run.
    fn log(&self) -> Result<Log> {
        let path = self.data.join("log");
        if there(&path)? {
            return Ok(self.typed(Arc::new(open_log_read_only(&path)?)));
        }
        match self.safety()?.map_or(0, |safety| safety.fence) {
            0 => Ok(self.typed(Arc::new(Memory::log()))),
            fence => bail!(
                "{} is missing, but fence {fence} was released: {REPLACE_NODE}",
                path.display()
            ),
        }
    }

    /// The state as far as it was flushed; an empty one if it was not, or was deleted: the node
    /// makes it from the log.
    fn state(&self) -> Result<Arc<dyn Store>> {
        let path = self.data.join("state");
        Ok(match there(&path)? {
            true => Arc::new(open_state_read_only(&path)?),
            false => Arc::new(Memory::state()),
        })
    }
}

/// Whether there is a database.
fn there(path: &Path) -> Result<bool> {
    let current = path.join("CURRENT");
    readable(path)?;
    readable(&current)?;
    Ok(current.exists())
}

/// A file that may not be read is told before the database fails on it in its own words.
fn readable(path: &Path) -> Result<()> {
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => bail!(
            "{} may not be read: run as the user who runs the node",
            path.display()
        ),
        // Whoever needs it says what is wrong with it.
        _ => Ok(()),
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
