//! What a node's disk says of itself, whole and damaged.

use crate::command_line::{fails, run};
use crate::world::{World, fresh_session, hotstuff, pbft, program, put};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use storage::rocks::open_log;
use storage::{CommitRow, Log, SafetyPolicy, Store as _, WriteBatch};

/// A cluster under HotStuff that holds `user/0` to `user/4`.
async fn written() -> World {
    written_to(World::start(4).await).await
}

async fn written_to(world: World) -> World {
    let client = world.client(&[0]);
    let mut session = fresh_session(&client).await;
    for i in 0..5 {
        let (key, value) = (format!("user/{i}"), format!("v{i}"));
        put(&client, &mut session, &key, &value).await.unwrap();
    }
    world
}

/// The homes of a cluster that was stopped.
async fn stopped() -> (tempfile::TempDir, PathBuf) {
    stop(written().await).await
}

async fn stop(mut world: World) -> (tempfile::TempDir, PathBuf) {
    for node in 0..4 {
        let status = world.cluster.stop(node).await.unwrap();
        assert!(status.success(), "node{node} ended with {status}");
    }
    let World { dir, .. } = world;
    let home = dir.path().join("node0");
    (dir, home)
}

fn arguments<'a>(home: &'a Path, what: &[&'a str]) -> Vec<&'a str> {
    [&["inspect", "--home", home.to_str().unwrap()], what].concat()
}

fn inspect(home: &Path, what: &[&str]) -> String {
    let output = run(&arguments(home, what));
    assert!(
        output.status.success(),
        "{what:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn a_stopped_node_shows_its_state_and_a_running_one_is_asked_instead() {
    let mut world = written().await;
    let home = world.cluster.home(0).dir().to_owned();
    let pid = world.cluster.pid(0).unwrap().to_string();
    let says = ["in use", &pid, "quorate client"];
    fails(&arguments(&home, &["state"]), 1, &says);
    assert!(inspect(&home, &["verify"]).contains("the node is running"));

    let status = world.cluster.stop(0).await.unwrap();
    assert!(status.success(), "{status}");
    let state = json(&inspect(&home, &["state", "--json"]));
    let height = state["height"].as_u64().unwrap();
    assert!(height > 0, "{state}");
    assert_eq!(state["log_height"], height);
    assert_eq!(state["revision"], 6, "five writes and that of the start");
    // Nothing was written meanwhile, so the others come to where it was, and no further.
    world.reaches(1, height).await;
    let (_, other) = world.http(1, "/status");
    let other = json(&other);
    assert_eq!(other["state_height"], height);
    assert_eq!(state["state_digest"], other["state_digest"]);
    assert_eq!(state["history"], other["history"]);

    let some = inspect(&home, &["state", "--prefix", "user/", "--limit", "2"]);
    assert_eq!(some, "user/0\tv0\nuser/1\tv1\n");
    let all = inspect(&home, &["state", "--prefix", ""]);
    assert_eq!(all.lines().count(), 6, "{all}");
    let key = world.cluster.client_key();
    let asked = run(&[
        "client",
        "--endpoint",
        world.cluster.rpc(1),
        "--key",
        key.to_str().unwrap(),
        "range",
        "user/",
        "--json",
    ]);
    let asked = String::from_utf8(asked.stdout).unwrap();
    assert_eq!(
        inspect(&home, &["state", "--prefix", "user/", "--json"]),
        asked
    );
    world.end().await;
}

/// Replaces the commit of a height by what `edit` makes of it, while `check` runs.
fn with_commit(
    home: &Path,
    height: u64,
    edit: impl FnOnce(&Log, &mut CommitRow),
    check: impl FnOnce(),
) {
    let log = home.join("data/log");
    let height = crypto::Height(height);
    let replace = |new: &dyn Fn(&Log, &CommitRow) -> CommitRow| {
        let (rocks, _) = open_log(&log, 0, SafetyPolicy::EachFence).unwrap();
        let rocks = std::sync::Arc::new(rocks);
        let typed = Log::new(rocks.clone(), |_| None);
        let row = typed.commit(height).unwrap().unwrap();
        let mut batch = WriteBatch::new();
        new(&typed, &row).put(&mut batch);
        rocks.write(batch).unwrap();
        rocks.sync().unwrap();
        row
    };
    let edit = std::cell::Cell::new(Some(edit));
    let before = replace(&|log, row| {
        let mut row = row.clone();
        edit.take().unwrap()(log, &mut row);
        row
    });
    check();
    replace(&|_, _| before.clone());
}

#[tokio::test]
async fn every_height_is_proven_to_a_third_party_and_an_altered_proof_is_refused() {
    is_proven(World::of(hotstuff, 4).await).await;
}

#[tokio::test]
async fn every_height_is_proven_to_a_third_party_under_pbft() {
    is_proven(World::of(pbft, 4).await).await;
}

async fn is_proven(world: World) {
    let (_dir, home) = stop(written_to(world).await).await;
    let verified = inspect(&home, &["verify"]);
    let found = json(&inspect(&home, &["verify", "--json"]));
    let heights = found["heights"].as_u64().unwrap();
    assert!(heights >= 6, "{found}");
    assert!(
        verified.contains(&format!("proofs: {heights} of {heights}")),
        "{verified}"
    );
    assert_eq!(found["proofs"], heights);
    assert_eq!(found["state_height"], heights);
    let lines = inspect(&home, &["log"]);
    assert_eq!(lines.lines().count() as u64, heights);

    let refused = |height: u64, edit: &dyn Fn(&Log, &mut CommitRow), says: &[&str]| {
        let what = format!("height {height}");
        let says: Vec<&str> = [&[&what[..]], says].concat();
        with_commit(&home, height, edit, || {
            fails(&arguments(&home, &["verify"]), 1, &says);
        });
    };
    for height in [1, heights / 2, heights] {
        // Wherever a bit flips: headers, digests, views, signers, signatures.
        for part in 0..8 {
            let flip = |_: &Log, row: &mut CommitRow| {
                let mut proof = row.proof.to_vec();
                let at = (proof.len() - 1) * part / 7;
                proof[at] ^= 1;
                row.proof = proof.into();
            };
            refused(height, &flip, &["proof"]);
        }
    }
    let none = |_: &Log, row: &mut CommitRow| row.proof.clear();
    refused(2, &none, &["proof"]);
    let of_another = |log: &Log, row: &mut CommitRow| {
        row.proof = log.commit(crypto::Height(3)).unwrap().unwrap().proof;
    };
    refused(2, &of_another, &["proof"]);
    // A payload of his own with a history that fits: only the proof tells.
    let forged = |log: &Log, row: &mut CommitRow| {
        let before = log.commit(row.height.previous()).unwrap().unwrap().history;
        row.payload = crypto::Payload::Refs(Vec::new());
        row.history = row.payload.extend_history(&before, row.height);
    };
    refused(heights, &forged, &["proof"]);

    assert_eq!(inspect(&home, &["verify"]), verified);
}

/// The newest file with this ending.
fn file(dir: &Path, ending: &str) -> PathBuf {
    let files = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap_or_else(|| panic!("no {ending} in {}", dir.display()))
}

/// Puts garbage into the middle of a file while `check` runs.
fn with_garbage(path: &Path, check: impl FnOnce()) {
    let whole = fs::read(path).unwrap();
    let mut bytes = whole.clone();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..] {
        *byte ^= 0x55;
    }
    fs::write(path, bytes).unwrap();
    check();
    fs::write(path, whole).unwrap();
}

fn without(path: &Path, check: impl FnOnce()) {
    let aside = path.with_extension("aside");
    fs::rename(path, &aside).unwrap();
    check();
    fs::rename(aside, path).unwrap();
}

#[tokio::test]
async fn damage_is_named_with_the_way_out() {
    let (dir, home) = stopped().await;
    let data = home.join("data");
    let refused = |what: &[&str], says: &[&str]| fails(&arguments(&home, what), 1, says);

    with_garbage(&file(&data.join("log"), ".log"), || {
        refused(&["verify"], &["data", "fence", "replace the node"]);
    });
    without(&data.join("log/CURRENT"), || {
        for what in ["log", "verify"] {
            refused(&[what], &["data/log", "is missing", "replace the node"]);
        }
        let said = inspect(&home, &["safety"]);
        assert!(said.contains("promises of this node are lost"), "{said}");
    });
    with_garbage(&file(&data.join("state"), ".sst"), || {
        for what in [&["state", "--prefix", ""][..], &["verify"]] {
            refused(what, &["data/state", "delete data/state"]);
        }
    });
    without(&data.join("state"), || {
        let said = inspect(&home, &["state"]);
        assert!(said.contains("again when it starts"), "{said}");
    });
    fs::write(data.join("safety.aside"), "").unwrap();
    without(&data.join("safety"), || {
        let said = inspect(&home, &["safety"]);
        assert!(said.contains("no valid slot"), "{said}");
        assert!(said.contains("replace the node"), "{said}");
        refused(&["verify"], &["safety file is missing"]);
    });
    with_garbage(&data.join("FORMAT"), || {
        for what in ["log", "safety", "state", "verify"] {
            refused(&[what], &["FORMAT is damaged", "replace the node"]);
        }
    });

    // Another node's data, none at all, and no home.
    let own = dir.path().join("own");
    fs::rename(&data, &own).unwrap();
    fs::rename(dir.path().join("node1/data"), &data).unwrap();
    for what in ["log", "safety", "state", "verify"] {
        refused(&[what], &["data", "belongs to key", "--home"]);
    }
    fs::remove_dir_all(&data).unwrap();
    for what in ["log", "safety", "state", "verify"] {
        refused(&[what], &["data", "quorate genesis"]);
    }
    let nowhere = dir.path().join("node9");
    fails(
        &arguments(&nowhere, &["log"]),
        1,
        &["node9", "quorate genesis"],
    );
}

#[test]
fn who_may_not_read_it_is_told_who_may() {
    let dir = tempfile::tempdir().unwrap();
    let net = dir.path().join("net");
    let made = run(&["genesis", "--out", net.to_str().unwrap()]);
    assert!(made.status.success());
    let home = net.join("node0");
    for what in [&["log"][..], &["state"], &["verify"]] {
        // A node that has never run has nothing, which is no fault.
        inspect(&home, what);
    }
    // Root may read all: then a user who may do nothing asks, with a program that he can reach.
    let nobody = 65_534;
    let copy = dir.path().join("quorate");
    fs::copy(program(), &copy).unwrap();
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    open(dir.path(), 0o755).unwrap();
    let is_root = chown(home.join("keys/consensus.key"), Some(nobody), None).is_ok();
    for (secret, mode) in [("data/safety", 0o000), ("data", 0o000)] {
        open(&home.join(secret), mode).unwrap();
        let mut command = Command::new(&copy);
        command.args(arguments(&home, &["safety"]));
        if is_root {
            command.uid(nobody);
        }
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(secret), "{text}");
        assert!(text.contains("run as the user who runs the node"), "{text}");
    }
    open(&home.join("data"), 0o700).unwrap();
}
