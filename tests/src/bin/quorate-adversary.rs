//! A node that lies, as a real process: `quorate-adversary --home testnet/node3 --as equivocate`. It is
//! what `quorate testnet --adversary 3:equivocate` runs; nothing of it is in the program itself.

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use crypto::{Ed25519, NodeId};
use engine::Setup;
use genesis::{Home, Loaded, Protocol};
use quorate::assemble::{Recovering, Running, start_as};
use quorate::cli::serve_home;
use quorate_tests::adversary::{self, Disguised, Fluent, Ring};
use quorate_tests::processes::Diary;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Runs a node that lies, until Ctrl-C or SIGTERM.
#[derive(Parser)]
#[command(
    after_help = "Example: of four nodes, node3 proposes one thing to some and another to others\n  quorate testnet --adversary 3:equivocate"
)]
struct Args {
    /// The node's directory.
    #[arg(long, value_name = "DIR", required_unless_present = "list")]
    home: Option<PathBuf>,
    /// How it lies.
    #[arg(long = "as", value_name = "NAME", required_unless_present = "list")]
    name: Option<String>,
    /// The directory of another node that lies, whose key it may use; may be repeated.
    #[arg(long, value_name = "DIR")]
    ring: Vec<PathBuf>,
    /// List the ways to lie in a protocol.
    #[arg(long, value_name = "PROTOCOL", value_parser = list)]
    list: Option<String>,
    /// Stop when stdin ends.
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(list) = &args.list {
        print!("{list}");
        return ExitCode::SUCCESS;
    }
    let (Some(home), Some(name)) = (&args.home, &args.name) else {
        unreachable!("the command line demands them where there is no --list");
    };
    let lie = async |loaded| start(loaded, home, name, &args.ring).await;
    match serve_home(home, args.until_stdin_closes, lie) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The catalogue of a protocol, a line each.
fn list(protocol: &str) -> Result<String, String> {
    fn of<P: Fluent>() -> String {
        let line = |it: adversary::Entry<P>| format!("{:<18} {}\n", it.name, it.about);
        adversary::catalogue().into_iter().map(line).collect()
    }
    match protocol {
        "hotstuff" => Ok(of::<HotStuff>()),
        "pbft" => Ok(of::<Pbft>()),
        _ => Err("lies are known in hotstuff and in pbft".into()),
    }
}

async fn start(loaded: Loaded, home: &Path, name: &str, ring: &[PathBuf]) -> Result<Running> {
    let diary = Diary::open(home, name);
    match loaded.genesis.protocol {
        Protocol::Hotstuff => start_liar::<HotStuff>(loaded, name, ring, diary).await,
        Protocol::Pbft => start_liar::<Pbft>(loaded, name, ring, diary).await,
        Protocol::Raft => bail!("Raft withstands no liar, so there is nothing to show"),
    }
}

async fn start_liar<P: Fluent>(
    loaded: Loaded,
    name: &str,
    homes: &[PathBuf],
    diary: Diary,
) -> Result<Running> {
    let adversary = adversary::named::<P>(name).map_err(anyhow::Error::msg)?;
    let me = loaded.me;
    let ring = Arc::new(ring(&loaded, homes)?);
    tracing::warn!("node {me} lies: {name}");
    tokio::spawn(diary.keep(ring.clone()));
    start_as::<P, _>(loaded, |(engine, effects): Recovering<_>, now| {
        let seed = now.0 ^ u64::from(std::process::id());
        let mut liar = Disguised::liar(engine, me, adversary, ring, seed);
        let mut out = Vec::new();
        liar.disguise(now, effects, &mut out);
        (liar, out)
    })
    .await
}

/// The own key and those of the accomplices.
fn ring(loaded: &Loaded, homes: &[PathBuf]) -> Result<Ring> {
    let setup = Setup::new(&loaded.genesis, &loaded.config, loaded.me, [0; 32]);
    let mut keys = BTreeMap::new();
    let mut add = |loaded: &Loaded| -> Option<NodeId> {
        let key = crypto::SecretKey::from_seed(&loaded.consensus_key.seed());
        keys.insert(loaded.me, Arc::new(key)).map(|_| loaded.me)
    };
    add(loaded);
    for home in homes {
        add(&accomplice(home)?);
    }
    let verifier = setup.verifier(Arc::new(Ed25519));
    let config = setup.config;
    Ok(Ring::new(keys, verifier, config.leaders, config.timing))
}

fn accomplice(home: &Path) -> Result<Loaded> {
    let loaded = Home::new(home).load();
    loaded.with_context(|| format!("the accomplice in {}", home.display()))
}
