//! The command line: one module a command.

mod bench;
mod client;
pub mod cluster;
mod genesis;
mod inspect;
mod key;
mod node;
mod output;
pub mod process;
mod testnet;

pub use client::transaction;
pub use node::serve_home;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use std::time::Duration;

/// Version, commit and build profile.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("QUORATE_COMMIT"),
    ", ",
    env!("QUORATE_PROFILE"),
    ")"
);

/// A replicated key-value store for 4 to 100 nodes that may lie (or only crash).
#[derive(Debug, Parser)]
#[command(
    name = "quorate",
    version = VERSION,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Example: a cluster of four nodes on this machine\n  quorate testnet\n\nExit status: 0 done, 1 failed (one line on stderr says what to do), 2 wrong usage."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Testnet(testnet::Args),
    Genesis(genesis::Args),
    Key(key::Args),
    Node(node::Args),
    Client(client::Args),
    Bench(bench::Args),
    Inspect(inspect::Args),
}

/// Flags that contradict one another: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// Most that a flag takes for a length of time: no clock can say when one without bound is over.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A length of time as a flag gives it: 300ms, 2h30m.
fn duration(text: &str) -> Result<Duration, String> {
    let length = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if length > LONGEST {
        return Err("longer than a year: leave the flag out, or take less".into());
    }
    Ok(length)
}

/// Parses the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Testnet(args) => testnet::run(args),
        Command::Genesis(args) => genesis::run(&args),
        Command::Key(args) => key::run(args),
        Command::Node(args) => node::run(&args),
        Command::Client(args) => client::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Inspect(args) => inspect::run(&args),
    };
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    if output::reader_left(&error) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {}", output::one_line(&format!("{error:#}")));
    ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
}
