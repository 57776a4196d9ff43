//! What the fuzzers have found so far, replayed; and a little fuzzing of its own, always the same.

#![allow(clippy::unwrap_used)]

use quorate_tests::fuzz::{TARGETS, Target, mutated};
use quorate_tests::sim::Chance;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long each target is fuzzed at most; `QUORATE_FUZZ_SECONDS` makes it longer.
const WHILE: Duration = Duration::from_millis(500);
/// How often at most, if nothing else is asked for: a fast machine need do no more.
const TIMES: u64 = 2_000;

fn corpus(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("fuzz/corpus").join(name)
}

/// All files of a target's corpus, in order of names.
fn members(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(corpus(target.name)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
    paths.into_iter().map(read).collect()
}

#[test]
fn what_the_fuzzers_found_is_handled() {
    for target in TARGETS {
        let members = members(target);
        assert!(!members.is_empty(), "{} has a corpus", target.name);
        for (path, bytes) in members {
            // Seen only if it fails: which one it was.
            println!("{}", path.display());
            (target.run)(&bytes);
        }
    }
}

#[test]
fn what_is_made_of_it_is_handled() {
    let asked = std::env::var("QUORATE_FUZZ_SECONDS").ok();
    let asked = asked.map(|it| Duration::from_secs(it.parse().unwrap()));
    let (most, times) = asked.map_or((WHILE, TIMES), |it| (it, u64::MAX));
    for target in TARGETS {
        let members: Vec<_> = members(target).into_iter().map(|(_, it)| it).collect();
        let begun = Instant::now();
        for seed in 0..times {
            if begun.elapsed() > most {
                break;
            }
            println!("{}, seed {seed}", target.name);
            (target.run)(&mutated(&members, &mut Chance::of(seed, target.name)));
        }
    }
}

#[test]
fn every_target_has_a_fuzzer_and_every_corpus_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for target in TARGETS {
        let fuzzer = folder.join(format!("fuzz_targets/{}.rs", target.name));
        let fuzzer = fs::read_to_string(fuzzer).unwrap();
        assert!(fuzzer.contains(&format!("\"{}\"", target.name)));
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)));
    }
    for entry in fs::read_dir(folder.join("corpus")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // That of the RPC runs where the program is built for tests of real processes.
        let left_out = name == "rpc" && !cfg!(feature = "e2e");
        assert!(
            left_out || TARGETS.iter().any(|it| it.name == name),
            "{name}"
        );
    }
}
