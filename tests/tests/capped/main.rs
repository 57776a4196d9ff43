//! S11 where the simulator cannot look: no collection that lives from one step to the next is forgotten.
//! `testdata/capped.txt` names each with what caps it, and the checker knows every cap that it names.

#![allow(clippy::unwrap_used)]

mod types;

use quorate_tests::check::Caps;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use types::{Definition, Types};

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
/// What is said or handed over: what it may hold is checked when it comes. Whatever somebody else keeps of
/// it is looked at there.
const PASSES: [&str; 5] = [
    "message.rs",
    "certificate.rs",
    "input.rs",
    "claims.rs",
    "effect.rs",
];
/// What is defined elsewhere, or by macros, and holds nothing but what it names, or always as much.
const FOREIGN: [&str; 31] = [
    "Arc",
    "BTreeMap",
    "BTreeSet",
    "Box",
    "Bytes",
    "ChaCha12Rng",
    "Epoch",
    "Fn",
    "Height",
    "Mutex",
    "NodeId",
    "NonZeroU64",
    "Option",
    "PhantomData",
    "Range",
    "Result",
    "Send",
    "SigningKey",
    "String",
    "Sync",
    "Vec",
    "VecDeque",
    "View",
    "bool",
    "str",
    "u128",
    "u16",
    "u32",
    "u64",
    "u8",
    "usize",
];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap().into()
}

/// What is empty whenever a machine rests, and so holds nothing on.
fn passes(why: &str) -> bool {
    why.starts_with("ends with ") || why.starts_with("empty between ")
}

/// The collections in all that machines keep: in the types of their folders, and in whatever types these
/// hold, wherever those are defined. Fields that `list` says are empty at rest are not looked into.
fn kept(types: &Types, list: &BTreeMap<String, String>) -> BTreeSet<String> {
    let of_machines = |it: &&Definition| {
        let (folder, name) = it.file.rsplit_once('/').unwrap_or_default();
        FOLDERS.contains(&folder) && !PASSES.contains(&name)
    };
    let mut open: Vec<&Definition> = types.all().filter(of_machines).collect();
    let (mut seen, mut all, mut unknown) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    while let Some(definition) = open.pop() {
        if !seen.insert(std::ptr::from_ref(definition)) {
            continue;
        }
        for field in &definition.fields {
            let name = format!("{} {}", definition.file, field.name);
            let why = list.get(&name).map_or("", String::as_str);
            if field.grows {
                all.insert(name.clone());
            }
            if !passes(why) {
                let (held, foreign) = types.held(definition, field);
                open.extend(held);
                let unheard = foreign.iter().filter(|it| !FOREIGN.contains(&it.as_str()));
                unknown.extend(unheard.map(|it| format!("{name}: {it}")));
            }
        }
    }
    assert!(unknown.is_empty(), "what are {unknown:#?}");
    all
}

/// Each collection with what caps it.
fn listed() -> BTreeMap<String, String> {
    let list = fs::read_to_string(root().join("tests/testdata/capped.txt")).unwrap();
    let mut file = "";
    let mut all = BTreeMap::new();
    for line in list
        .lines()
        .filter(|it| !it.starts_with('#') && !it.is_empty())
    {
        let Some(entry) = line.strip_prefix("    ") else {
            file = line;
            continue;
        };
        let (field, why) = entry.split_once(' ').unwrap();
        all.insert(format!("{file} {field}"), why.trim().to_owned());
    }
    all
}

#[test]
fn every_collection_has_a_cap_or_a_reason() {
    let list = listed();
    let code = kept(&Types::read(&root()), &list);
    let listed: BTreeSet<String> = list.into_keys().collect();
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
    let named: BTreeSet<String> = listed.values().flat_map(|why| quoted(why)).collect();
    for name in &named {
        assert!(judged.contains(name.as_str()), "nobody judges `{name}`");
    }
    for name in judged {
        assert!(named.contains(name), "`{name}` is of no collection");
    }
}

#[test]
fn a_collection_is_seen_wherever_it_stands() {
    let mut types = Types::default();
    types.file(
        "mempool/src/one.rs",
        "use crypto::Far as Other; use super::two::Three;
        /// Many: Vec<u8>.
        pub(crate) struct One<P: Whole> {
            pub(crate) many: Vec<
                u8,
            >,
            few: u8,
            map: Option<BTreeMap<u8, P>>,
            on: Box<dyn Idea>,
            other: (Other, P::Part, Three),
            rest: Two,
            said: Vec<Said>,
        }
        struct Two(u8, Arc<[u8]>);
        fn f() { let v: Vec<u8> = x; }",
    );
    types.file(
        "mempool/src/message.rs",
        "pub enum Said { Nothing, All(VecDeque<u8>), Some { names: BTreeSet<u8>, few: u8 }, More(Deep) }
        pub struct Deep { deep: Vec<u8> }
        pub struct Unsaid { nobody: Vec<u8> }",
    );
    types.file(
        "crypto/src/far.rs",
        "pub struct Far { far: Vec<Far> } pub struct Part(Vec<u8>); pub struct Three { not: Vec<u8> }
        impl Idea for Mine {} struct Mine { mine: String }",
    );
    types.file("mempool/src/two/mod.rs", "type Three = Vec<u8>;");
    let found = |list: &[(String, String)]| -> Vec<String> {
        let list = list.iter().cloned().collect();
        let all = kept(&types, &list).into_iter();
        all.map(|it| it.rsplit_once(' ').unwrap().1.to_owned())
            .collect()
    };
    let others = ["Far.far", "Mine.mine", "Part.0"];
    let said = ["Deep.deep", "Said::All.0", "Said::Some.names"];
    let own = ["One.many", "One.map", "One.said", "Two.1", "Three"];
    assert_eq!(found(&[]), [&others[..], &said, &own].concat());
    // What is gone by the end of a step holds nothing on.
    let gone = ["mempool/src/one.rs One.said", "ends with the step"].map(str::to_owned);
    assert_eq!(found(&[gone.into()]), [&others[..], &own].concat());
}
