//! The rules of the house (ARCHITECTURE.md, section 1), held by tests.

#![allow(clippy::unwrap_used)]

use cargo_metadata::{Metadata, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Without I/O, clock, threads and entropy, by crate and folder.
const PURE: [(&str, &str); 4] = [
    ("crypto", "crypto"),
    ("consensus", "consensus"),
    ("mempool", "mempool"),
    ("engine", "node/engine"),
];

/// Who may use whom; `quorate-tests` may use all, and nobody uses it.
const MAY_USE: [(&str, &[&str]); 8] = [
    ("crypto", &[]),
    ("quorate-recorder", &[]),
    ("genesis", &["crypto"]),
    ("consensus", &["crypto"]),
    ("mempool", &["crypto"]),
    ("storage", &["crypto"]),
    (
        "engine",
        &["crypto", "consensus", "mempool", "storage", "genesis"],
    ),
    (
        "quorate",
        &[
            "crypto",
            "consensus",
            "mempool",
            "storage",
            "genesis",
            "engine",
        ],
    ),
];

/// What brings I/O, clocks, threads or entropy; no pure crate names any of it, not even for tests.
const RUNTIME: [&str; 14] = [
    "tokio",
    "tokio-util",
    "tokio-stream",
    "futures",
    "libp2p",
    "libp2p-stream",
    "rocksdb",
    "tonic",
    "axum",
    "rustix",
    "getrandom",
    "rand",
    "tracing",
    "anyhow",
];

const LONGEST_FILE: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .into()
}

fn metadata() -> Metadata {
    let manifest = root().join("Cargo.toml");
    MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .unwrap()
}

/// All Rust files below a folder.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Files that are tests: `tests.rs`, and all below a folder `tests` inside a crate's `src` or
/// beside it. The crate `tests` itself is not excused.
fn is_test(path: &Path) -> bool {
    let inside = path.strip_prefix(root()).unwrap();
    inside.file_name().is_some_and(|name| name == "tests.rs")
        || inside
            .parent()
            .unwrap()
            .components()
            .skip(1)
            .any(|part| part.as_os_str() == "tests")
}

#[test]
fn crates_use_only_whom_they_may() {
    let rules: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    let metadata = metadata();
    let ours: BTreeSet<String> = metadata
        .packages
        .iter()
        .map(|p| p.name.to_string())
        .collect();
    let mut broken = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        if name == "quorate-tests" {
            continue;
        }
        let Some(allowed) = rules.get(name) else {
            broken.push(format!("{name} has no rule"));
            continue;
        };
        for used in package
            .dependencies
            .iter()
            .map(|dependency| dependency.name.as_str())
        {
            if ours.contains(used) && !allowed.contains(&used) {
                broken.push(format!("{name} uses {used}"));
            }
        }
    }
    assert!(ours.len() > rules.len(), "all crates are seen: {ours:?}");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn pure_crates_name_no_runtime() {
    let metadata = metadata();
    for (name, _) in PURE {
        let package = metadata
            .packages
            .iter()
            .find(|p| p.name.as_str() == name)
            .unwrap();
        let used: BTreeSet<&str> = package
            .dependencies
            .iter()
            .map(|d| d.name.as_str())
            .collect();
        for banned in RUNTIME {
            assert!(!used.contains(banned), "{name} uses {banned}");
        }
    }
}

/// One line for each way out of a pure crate, and the path under which clippy must report it.
const BANNED: [(&str, &str); 12] = [
    ("std::time::Instant::now();", "std::time::Instant::now"),
    (
        "std::time::SystemTime::now();",
        "std::time::SystemTime::now",
    ),
    ("std::thread::spawn(|| ());", "std::thread::spawn"),
    (
        "std::thread::sleep(std::time::Duration::ZERO);",
        "std::thread::sleep",
    ),
    ("std::fs::read(\"x\").ok();", "std::fs::read"),
    ("std::fs::write(\"x\", \"y\").ok();", "std::fs::write"),
    ("std::fs::File::open(\"x\").ok();", "std::fs::File"),
    (
        "std::net::TcpStream::connect(\"x\").ok();",
        "std::net::TcpStream",
    ),
    ("std::env::var(\"x\").ok();", "std::env::var"),
    (
        "std::process::Command::new(\"x\");",
        "std::process::Command",
    ),
    (
        "std::collections::HashMap::<u8, u8>::new();",
        "std::collections::HashMap",
    ),
    (
        "std::collections::HashSet::<u8>::new();",
        "std::collections::HashSet",
    ),
];

/// Runs clippy as `make test` does on a crate of its own with this body; what it printed, and
/// whether it passed.
fn clippy(config: &Path, body: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("src")).unwrap();
    fs::copy(config, dir.path().join("clippy.toml")).unwrap();
    let manifest =
        "[package]\nname = \"probe\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
    fs::write(
        dir.path().join("src/lib.rs"),
        format!("pub fn probe() {{\n{body}\n}}\n"),
    )
    .unwrap();
    let out = Command::new(env!("CARGO"))
        .args([
            "clippy",
            "--offline",
            "--quiet",
            "--",
            "-D",
            "warnings",
            "-W",
            "clippy::too_many_lines",
        ])
        .current_dir(dir.path())
        .env("CARGO_TARGET_DIR", dir.path().join("target"))
        .env_remove("CLIPPY_CONF_DIR")
        .output()
        .unwrap();
    (
        out.status.success(),
        String::from_utf8_lossy(&out.stderr).into_owned(),
    )
}

#[test]
fn a_banned_call_in_a_pure_crate_fails_the_lints() {
    let config = root().join("crypto/clippy.toml");
    for (_, folder) in PURE {
        let same = fs::read(root().join(folder).join("clippy.toml")).unwrap();
        assert_eq!(
            same,
            fs::read(&config).unwrap(),
            "{folder}/clippy.toml differs from crypto's"
        );
    }
    let body: Vec<String> = BANNED
        .iter()
        .map(|(line, _)| format!("    let _ = {{ {line} }};"))
        .collect();
    let (passed, report) = clippy(&config, &body.join("\n"));
    assert!(!passed, "clippy let all of them pass");
    for (line, path) in BANNED {
        let method = format!("use of a disallowed method `{path}`");
        let kind = format!("use of a disallowed type `{path}`");
        assert!(
            report.contains(&method) || report.contains(&kind),
            "{line} passes:\n{report}"
        );
    }
    let (passed, report) = clippy(
        &config,
        "let _ = std::collections::BTreeMap::<u8, u8>::new();",
    );
    assert!(passed, "what is allowed fails:\n{report}");
}

#[test]
fn a_long_function_fails_the_lints() {
    let line = "    let _ = 1 + 1;\n";
    let mut configs: Vec<PathBuf> = PURE.iter().map(|(_, folder)| root().join(folder)).collect();
    configs.push(root());
    for config in configs {
        let text = fs::read_to_string(config.join("clippy.toml")).unwrap();
        assert!(
            text.contains("too-many-lines-threshold = 70"),
            "{}",
            config.display()
        );
    }
    let config = root().join("clippy.toml");
    assert!(clippy(&config, &line.repeat(68)).0, "70 lines pass");
    let (passed, report) = clippy(&config, &line.repeat(71));
    assert!(
        !passed && report.contains("too many lines"),
        "71 lines pass:\n{report}"
    );
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(
        manifest.contains("too_many_lines = \"warn\""),
        "the lint is on"
    );
}

#[test]
fn files_are_short_enough_to_be_one_thing() {
    let all = sources(&root());
    assert!(all.len() > 20, "all files are seen");
    let mut long = Vec::new();
    for path in all.iter().filter(|path| !is_test(path)) {
        let text = fs::read_to_string(path).unwrap();
        let code = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap()
            .lines()
            .count();
        if code > LONGEST_FILE {
            long.push(format!("{}: {code} lines", path.display()));
        }
    }
    assert!(long.is_empty(), "more than {LONGEST_FILE} lines: {long:#?}");
}

#[test]
fn protocols_never_use_each_other() {
    const PROTOCOLS: [&str; 3] = ["hotstuff", "pbft", "raft"];
    let folder = |name: &str| root().join("consensus/src").join(name);
    let built: Vec<&str> = PROTOCOLS
        .into_iter()
        .filter(|name| folder(name).is_dir())
        .collect();
    assert!(built.contains(&"hotstuff"));
    for one in built {
        for path in sources(&folder(one)) {
            let text = fs::read_to_string(&path).unwrap();
            for other in PROTOCOLS.iter().filter(|other| **other != one) {
                let path_of_other = format!("{other}::");
                let mut paths = text.match_indices(&path_of_other);
                // Not the end of a longer name.
                let named = paths.any(|(at, _)| !text[..at].ends_with(char::is_alphanumeric));
                assert!(!named, "{} uses {other}", path.display());
            }
        }
    }
}

/// Whoever knows one protocol's folder finds the same things in the others' (ARCHITECTURE.md,
/// section 3). Raft signs nothing, and elects: it has fewer files.
#[test]
fn protocol_folders_mirror_one_another() {
    let files = |name: &str, own: &[&str]| -> BTreeSet<String> {
        let folder = root().join("consensus/src").join(name);
        let mut files: BTreeSet<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|file| file.ends_with(".rs"))
            .collect();
        for noun in own {
            assert!(files.remove(&format!("{noun}.rs")), "{name} has no {noun}");
        }
        files
    };
    let hotstuff = files("hotstuff", &["block"]);
    assert_eq!(files("pbft", &["slot", "pace"]), hotstuff);
    let raft = files("raft", &["entry", "progress"]);
    assert!(raft.is_subset(&hotstuff), "{raft:?}");
}

#[test]
fn only_the_codec_names_bincode() {
    let own = [
        root().join("crypto/src/codec.rs"),
        root().join("tests/tests/tidy.rs"),
    ];
    for path in sources(&root()).iter().filter(|path| !own.contains(path)) {
        let text = fs::read_to_string(path).unwrap();
        assert!(
            !text.contains("bincode::"),
            "{} names bincode",
            path.display()
        );
    }
}

/// A test that is switched off proves nothing, and a stub is no feature.
#[test]
fn nothing_is_stubbed_or_switched_off() {
    let marks = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[", "ignore"),
    ];
    for path in sources(&root()) {
        let text = fs::read_to_string(&path).unwrap();
        for mark in marks {
            assert!(!text.contains(mark), "{}: {mark}", path.display());
        }
    }
}
