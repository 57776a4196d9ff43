//! The fuzzers' corpora, replayed: the seeds, which are real values, and what `tests/fuzz.sh keep` chose of all
//! that the fuzzers have found. And a little fuzzing of its own, always the same.

#![allow(clippy::unwrap_used)]

use quorate_tests::fuzz::{TARGETS, Target, mutated};
use quorate_tests::sim::Chance;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long each target is fuzzed at most; `QUORATE_FUZZ_SECONDS` makes it longer.
const WHILE: Duration = Duration::from_millis(500);
/// How often at most, if nothing else is asked for: a fast machine need do no more.
const TIMES: u64 = 2_000;
/// What all corpora together may have.
const MOST_BYTES: usize = 1 << 20;

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
            let _ = (target.run)(&bytes);
        }
    }
}

/// A corpus that nobody can read any more would reach nothing, and nobody would see it.
#[test]
fn the_seeds_are_read_as_what_they_are_meant_to_be() {
    let least = least();
    for target in TARGETS {
        let seeds = members(target).into_iter().filter(|(path, _)| {
            let name = path.file_name().unwrap();
            name.to_string_lossy().starts_with("seed-")
        });
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, bytes) in seeds {
            let found: BTreeSet<_> = (target.run)(&bytes).into_iter().collect();
            for kind in found {
                *counts.entry(kind).or_default() += 1;
            }
        }
        let name = target.name;
        let stated = least.get(name);
        let stated = stated.unwrap_or_else(|| panic!("corpora.txt says nothing of {name}"));
        for (kind, least) in stated {
            let count = counts.get(kind.as_str()).copied().unwrap_or(0);
            assert!(
                count >= *least,
                "{name}: {count} seeds are read as `{kind}`, not {least}. If a format was changed, make them anew, and \
                 let the fuzzers find the rest again (`make fuzz`, `tests/fuzz.sh keep`): cargo run --release \
                 -p quorate-tests --features e2e --bin seed-corpora -- tests/fuzz/corpus; all: {counts:?}"
            );
        }
        let new = counts.keys().find(|it| !stated.contains_key(**it));
        assert!(
            new.is_none(),
            "{name}: corpora.txt does not say how many seeds are `{new:?}`: {counts:?}"
        );
    }
}

/// How many seeds of each target are read as what, at least.
fn least() -> BTreeMap<String, BTreeMap<String, usize>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(here.join("testdata/corpora.txt")).unwrap();
    let mut all: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    let mut target = String::new();
    let lines = text.lines();
    for line in lines.filter(|it| !it.starts_with('#') && !it.is_empty()) {
        if let Some(entry) = line.strip_prefix("    ") {
            let (count, kind) = entry.trim().split_once(' ').unwrap();
            let counts = all.entry(target.clone()).or_default();
            counts.insert(kind.to_owned(), count.parse().unwrap());
        } else {
            line.clone_into(&mut target);
        }
    }
    all
}

#[test]
fn the_corpora_are_small() {
    let sizes = TARGETS.iter().flat_map(members).map(|(_, it)| it.len());
    let bytes: usize = sizes.sum();
    assert!(bytes <= MOST_BYTES, "{bytes} bytes: `tests/fuzz.sh keep`");
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
            let input = mutated(&members, &mut Chance::of(seed, target.name));
            let _ = (target.run)(&input);
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
        assert!(
            TARGETS.iter().any(|it| it.name == name),
            "nothing replays {name}: are the tests built without --features quorate-tests/e2e?"
        );
    }
}
