//! `quorate key`: keys of clients and nodes.

use super::output::say;
use anyhow::{Context as _, Result};
use crypto::{KeyFile, SecretKey};
use std::path::{Path, PathBuf};
use storage::names::make_dir;
use zeroize::Zeroizing;

/// Makes and shows keys.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  quorate key new --out keys\n  quorate key show keys"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a consensus, a network and a client key; none is overwritten.
    #[command(after_help = "Example:\n  quorate key new --out keys")]
    New {
        /// Where to.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Print the public keys in a directory.
    #[command(after_help = "Example:\n  quorate key show testnet/node0/keys")]
    Show {
        /// Where they are.
        dir: PathBuf,
    },
}

const NAMES: [&str; 3] = ["consensus", "network", "client"];

pub(super) fn run(args: Args) -> Result<()> {
    match args.command {
        Command::New { out } => new(&out),
        Command::Show { dir } => show(&dir),
    }
}

fn new(out: &Path) -> Result<()> {
    make_dir(out).with_context(|| format!("cannot make {}", out.display()))?;
    for name in NAMES {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut seed[..])
            .map_err(|error| anyhow::anyhow!("the system gives no randomness: {error}"))?;
        KeyFile::create(&file(out, name), &SecretKey::from_seed(&seed))?;
    }
    show(out)
}

fn show(dir: &Path) -> Result<()> {
    let there: Vec<_> = NAMES
        .into_iter()
        .filter(|name| file(dir, name).exists())
        .collect();
    if there.is_empty() {
        anyhow::bail!(
            "{} holds no key: make some with `quorate key new --out {}`",
            dir.display(),
            dir.display()
        );
    }
    for name in there {
        let key = KeyFile::read(&file(dir, name))?;
        say(format!("{name:<9} {}", key.public()))?;
    }
    Ok(())
}

fn file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.key"))
}
