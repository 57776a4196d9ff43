//! Fills a node's log by a seed, and notes in the trace what it promised (`quorate_tests::power`): the
//! process whose power fails.

use anyhow::Result;
use clap::Parser;
use quorate_tests::power::writer::Work;
use std::path::PathBuf;
use storage::SafetyPolicy;

#[derive(Parser)]
struct Args {
    /// The data directory.
    #[arg(long)]
    data: PathBuf,
    /// The trace.
    #[arg(long)]
    trace: PathBuf,
    /// What the groups are.
    #[arg(long)]
    seed: u64,
    /// How many to write.
    #[arg(long)]
    groups: u64,
    /// Write the safety file for promises only.
    #[arg(long)]
    each_promise: bool,
    /// Make the directory first.
    #[arg(long)]
    make: bool,
    /// End in order; else as if killed.
    #[arg(long)]
    orderly: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let work = Work {
        data: &args.data,
        trace: &args.trace,
        seed: args.seed,
        groups: args.groups,
        policy: match args.each_promise {
            true => SafetyPolicy::EachPromise,
            false => SafetyPolicy::EachFence,
        },
    };
    if args.make {
        work.make()?;
    }
    work.run(args.orderly)
}
