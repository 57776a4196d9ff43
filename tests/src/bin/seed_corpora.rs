//! Writes what the fuzzers' corpora begin with: real values, the same each time.
//!
//! `cargo run -p quorate-tests --bin seed-corpora -- DIR`; then `cargo fuzz cmin` keeps what is needed.

use anyhow::Context as _;
use clap::Parser;
use quorate_tests::fuzz::{TARGETS, seeds};
use std::fs;
use std::path::PathBuf;

/// Writes what the fuzzers' corpora begin with.
#[derive(Parser)]
struct Arguments {
    /// Where each target gets a folder.
    dir: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Arguments { dir } = Arguments::parse();
    for target in TARGETS {
        let folder = dir.join(target.name);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let seeds = seeds(target.name);
        for (i, bytes) in seeds.iter().enumerate() {
            let file = folder.join(format!("seed-{i:02}"));
            fs::write(&file, bytes).with_context(|| file.display().to_string())?;
        }
        println!("{}: {}", target.name, seeds.len());
    }
    Ok(())
}
