//! Writes what the fuzzers' corpora begin with: real values, the same each time.
//!
//! `cargo run --release -p quorate-tests --features e2e --bin seed-corpora -- tests/fuzz/corpus`, whenever a
//! format has changed. What the fuzzers have found since lies beside them and stays.

use anyhow::Context as _;
use clap::Parser;
use quorate_tests::fuzz::{TARGETS, seeds};
use std::fs;
use std::path::{Path, PathBuf};

/// How the names of seeds begin.
const SEED: &str = "seed-";

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
        forget(&folder)?;
        let seeds = seeds(target.name);
        for (i, bytes) in seeds.iter().enumerate() {
            let file = folder.join(format!("{SEED}{i:02}"));
            fs::write(&file, bytes).with_context(|| file.display().to_string())?;
        }
        println!("{}: {}", target.name, seeds.len());
    }
    Ok(())
}

/// Removes the seeds of an earlier time.
fn forget(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(SEED) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
