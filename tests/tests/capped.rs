//! S11 where the simulator cannot look: no collection that lives from one step to the next is forgotten.
//! `testdata/capped.txt` names each with what caps it, and the checker knows every cap that it names.

#![allow(clippy::unwrap_used)]

use quorate_tests::check::Caps;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where machines keep their state.
const FOLDERS: [&str; 7] = [
    "consensus/src/common",
    "consensus/src/hotstuff",
    "consensus/src/pbft",
    "consensus/src/raft",
    "consensus/src/replica",
    "mempool/src",
    "node/engine/src",
];
/// What is said or handed over, and kept by nobody as it is: what it may hold is checked when it comes.
const PASSES: [&str; 5] = [
    "message.rs",
    "certificate.rs",
    "input.rs",
    "claims.rs",
    "effect.rs",
];
/// What grows.
const COLLECTIONS: [&str; 5] = ["Vec<", "VecDeque<", "BTreeMap<", "BTreeSet<", "BinaryHeap<"];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap().into()
}

/// The collections among the fields of the structures of a file: `Structure.field`.
fn fields(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut of = None;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let place = words.iter().position(|word| *word == "struct");
        if let Some(name) = place
            .and_then(|at| words.get(at + 1))
            .filter(|_| line.ends_with('{'))
        {
            of = name.split(['<', '{']).next();
        } else if line.starts_with('}') {
            of = None;
        } else if let (Some(of), Some((field, kind))) = (of, line.split_once(": ")) {
            let field = field.split_whitespace().next_back().unwrap_or_default();
            let plain = !line.trim_start().starts_with("//");
            if plain && COLLECTIONS.iter().any(|it| kind.contains(it)) {
                found.push(format!("{of}.{field}"));
            }
        }
    }
    found
}

fn in_the_code() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            if !file.ends_with(".rs") || PASSES.contains(&file.as_str()) {
                continue;
            }
            let text = fs::read_to_string(root().join(folder).join(&file)).unwrap();
            let named = |field| format!("{folder}/{file} {field}");
            all.extend(fields(&text).into_iter().map(named));
        }
    }
    all
}

/// Each collection with what caps it.
fn listed() -> Vec<(String, String)> {
    let list = fs::read_to_string(root().join("tests/testdata/capped.txt")).unwrap();
    let mut file = "";
    let mut all = Vec::new();
    for line in list
        .lines()
        .filter(|it| !it.starts_with('#') && !it.is_empty())
    {
        let Some(entry) = line.strip_prefix("    ") else {
            file = line;
            continue;
        };
        let (field, why) = entry.split_once(' ').unwrap();
        all.push((format!("{file} {field}"), why.trim().to_owned()));
    }
    all
}

#[test]
fn every_collection_has_a_cap_or_a_reason() {
    let code = in_the_code();
    let listed: BTreeSet<String> = listed().into_iter().map(|(field, _)| field).collect();
    let new: Vec<_> = code.difference(&listed).collect();
    assert!(new.is_empty(), "nothing is said of what caps {new:#?}");
    let gone: Vec<_> = listed.difference(&code).collect();
    assert!(gone.is_empty(), "there is no {gone:#?}");
}

#[test]
fn every_cap_that_is_named_is_judged_and_every_one_that_is_judged_is_named() {
    let caps = [
        Caps::hotstuff(4, false),
        Caps::pbft(4, false, 128),
        Caps::raft(4, false),
    ];
    let judged: BTreeSet<&str> = caps
        .iter()
        .flat_map(|it| it.names().map(|it| it.0))
        .collect();
    let listed = listed();
    let quoted = |why: &str| -> Vec<String> {
        why.split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let named: BTreeSet<String> = listed.iter().flat_map(|(_, why)| quoted(why)).collect();
    for name in &named {
        assert!(judged.contains(name.as_str()), "nobody judges `{name}`");
    }
    for name in judged {
        assert!(named.contains(name), "`{name}` is of no collection");
    }
}

#[test]
fn a_collection_is_seen_wherever_it_stands() {
    let text = "/// A.\npub(crate) struct One<P> {\n    /// many: Vec<u8>\n    pub(crate) many: Vec<u8>,\n    \
                few: u8,\n    map: Option<BTreeMap<u8, P>>,\n}\nfn f() {\n    let v: Vec<u8> = x;\n}\n";
    assert_eq!(fields(text), ["One.many", "One.map"]);
}
