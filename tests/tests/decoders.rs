//! Whatever reads bytes or text that others may have written is fuzzed: `testdata/decoders.txt` names each
//! such function with the targets that reach it, or says why there is none.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Item, Meta, Type};

/// Where the program is.
const FOLDERS: [&str; 7] = [
    "crypto/src",
    "consensus/src",
    "mempool/src",
    "storage/src",
    "genesis/src",
    "node/engine/src",
    "node/src",
];
/// What is called where something is read.
const CALLED: [&str; 13] = [
    "decode",
    "decode_from_slice",
    "decode_to_slice",
    "deserialize",
    "from_be_bytes",
    "from_hex",
    "from_le_bytes",
    "from_ne_bytes",
    "from_reader",
    "from_slice",
    "from_str",
    "parse",
    "parse_duration",
];
/// What is written by hand where it is derived elsewhere: it reads what it is handed.
const WRITTEN: [&str; 3] = ["deserialize", "from_str", "try_from"];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap().into()
}

/// The functions that read, as `Type::function` or `function`, by file.
#[derive(Default)]
struct Found {
    all: BTreeSet<(String, String)>,
    file: String,
    of: Vec<String>,
    function: Option<String>,
}

impl Found {
    fn folder(&mut self, root: &Path, folder: &str) {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = format!("{folder}/{name}");
            if ["tests", "tests.rs", "testing"].contains(&name.as_str()) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                self.folder(root, &path);
            } else if name.ends_with(".rs") {
                self.read(&path, &fs::read_to_string(entry.path()).unwrap());
            }
        }
    }

    fn read(&mut self, file: &str, text: &str) {
        file.clone_into(&mut self.file);
        self.visit_file(&syn::parse_file(text).unwrap());
    }

    fn inside(&mut self, name: &str, visit: impl FnOnce(&mut Self)) {
        let path: Vec<&str> = self.of.iter().map(String::as_str).chain([name]).collect();
        let outer = self.function.clone();
        // Of functions in functions the outer one is named.
        self.function.get_or_insert_with(|| path.join("::"));
        if WRITTEN.contains(&name) {
            self.reads();
        }
        visit(self);
        self.function = outer;
    }

    fn calls(&mut self, name: &str) {
        if CALLED.contains(&name) {
            self.reads();
        }
    }

    fn reads(&mut self) {
        if let Some(function) = &self.function {
            self.all.insert((self.file.clone(), function.clone()));
        }
    }
}

/// Whether it is there for tests only.
fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|it| match &it.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        Meta::Path(path) => path.is_ident("test"),
        Meta::NameValue(_) => false,
    })
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Mod(it) => &it.attrs,
            Item::Fn(it) => &it.attrs,
            Item::Impl(it) => &it.attrs,
            _ => &[],
        };
        if !for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }
    fn visit_item_impl(&mut self, it: &'ast syn::ItemImpl) {
        let name = match &*it.self_ty {
            Type::Path(path) => path.path.segments.last().unwrap().ident.to_string(),
            _ => "impl".into(),
        };
        self.of.push(name);
        visit::visit_item_impl(self, it);
        self.of.pop();
    }
    fn visit_item_fn(&mut self, it: &'ast syn::ItemFn) {
        let name = it.sig.ident.to_string();
        self.inside(&name, |this| visit::visit_item_fn(this, it));
    }
    fn visit_impl_item_fn(&mut self, it: &'ast syn::ImplItemFn) {
        let name = it.sig.ident.to_string();
        self.inside(&name, |this| visit::visit_impl_item_fn(this, it));
    }
    fn visit_expr(&mut self, it: &'ast Expr) {
        match it {
            Expr::MethodCall(it) => self.calls(&it.method.to_string()),
            // Called, or handed over to be called.
            Expr::Path(it) => self.calls(&it.path.segments.last().unwrap().ident.to_string()),
            _ => {}
        }
        visit::visit_expr(self, it);
    }
}

/// What is said of each.
fn listed() -> BTreeMap<(String, String), String> {
    let list = fs::read_to_string(root().join("tests/testdata/decoders.txt")).unwrap();
    let mut file = "";
    let mut all = BTreeMap::new();
    let lines = list.lines();
    for line in lines.filter(|it| !it.starts_with('#') && !it.is_empty()) {
        let Some(entry) = line.strip_prefix("    ") else {
            file = line;
            continue;
        };
        let (function, said) = entry.split_once(' ').unwrap();
        all.insert((file.into(), function.into()), said.trim().to_owned());
    }
    all
}

#[test]
fn every_decoder_has_a_fuzzer_or_a_reason() {
    let mut found = Found::default();
    for folder in FOLDERS {
        found.folder(&root(), folder);
    }
    let listed = listed();
    let known: BTreeSet<_> = listed.keys().cloned().collect();
    let new: Vec<_> = found.all.difference(&known).collect();
    assert!(new.is_empty(), "which target fuzzes {new:#?}");
    let gone: Vec<_> = known.difference(&found.all).collect();
    assert!(gone.is_empty(), "nothing is read by {gone:#?}");
    for ((file, function), said) in listed {
        // Reasons stand in brackets.
        if said.starts_with('(') && said.ends_with(')') {
            continue;
        }
        for target in said.split_whitespace() {
            let fuzzer = format!("tests/fuzz/fuzz_targets/{target}.rs");
            let there = root().join(fuzzer).exists();
            assert!(there, "{file}, {function}: there is no target {target}");
        }
    }
}

#[test]
fn whoever_reads_is_seen_wherever_he_stands() {
    let mut found = Found::default();
    found.read(
        "a.rs",
        "fn one() { let x = codec::decode::<T>(bytes)?; }
        fn two() { text.map(serde_json::from_str); }
        fn three() { macro_free(); }
        impl Four { fn read(&self) { self.text.trim().parse::<u64>().ok() } fn other(&self) {} }
        impl<'de> Deserialize<'de> for Five<T> { fn deserialize(d: D) {} }
        mod six { fn seven() { fn inner() { u64::from_le_bytes(x) } } }
        #[cfg(test)] mod tests { fn eight() { decode(x) } }
        #[test] fn nine() { decode(x) }",
    );
    let names: Vec<_> = found.all.iter().map(|it| it.1.as_str()).collect();
    assert_eq!(
        names,
        ["Five::deserialize", "Four::read", "one", "seven", "two"]
    );
}
