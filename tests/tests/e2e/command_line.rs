//! Bad input to the program: one line that names the thing and the way out, and the right status.

use crate::world::{PATIENCE, World, fresh_session, program, put};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program with these arguments.
pub fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    command
        .args(arguments)
        .env_remove("QUORATE_KEY")
        .env_remove("QUORATE_LOG");
    command.output().unwrap()
}

/// Expects failure with one line on stderr that says all of this.
pub fn fails(arguments: &[&str], status: i32, says: &[&str]) {
    let output = run(arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
    let errors: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{arguments:?}: {text}");
    assert_eq!(
        text.lines().last(),
        Some(errors[0]),
        "{arguments:?}: {text}"
    );
    for part in says {
        assert!(
            errors[0].contains(part),
            "{arguments:?}: {part:?} is not in {:?}",
            errors[0]
        );
    }
}

fn genesis(dir: &Path) {
    let base = "21000";
    let output = run(&[
        "genesis",
        "--out",
        dir.to_str().unwrap(),
        "--base-port",
        base,
    ]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in [
        vec!["testnet"],
        vec!["genesis"],
        vec!["key"],
        vec!["key", "new"],
        vec!["key", "show"],
        vec!["node"],
        vec!["client"],
        vec!["client", "put"],
        vec!["client", "get"],
        vec!["client", "delete"],
        vec!["client", "range"],
        vec!["client", "txn"],
        vec!["client", "receipt"],
        vec!["client", "blocks"],
        vec!["client", "status"],
        vec!["bench"],
        vec!["inspect"],
        vec!["inspect", "log"],
        vec!["inspect", "safety"],
        vec!["inspect", "state"],
        vec!["inspect", "evidence"],
        vec!["inspect", "verify"],
    ] {
        let output = run(&[&command[..], &["--help"]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command:?}");
        assert!(text.contains("Example"), "{command:?}: {text}");
    }
}

#[test]
fn the_version_names_commit_and_profile() {
    let text = String::from_utf8(run(&["--version"]).stdout).unwrap();
    assert!(text.starts_with("quorate 0."), "{text}");
    assert!(text.contains("release"), "{text}");
}

#[test]
fn a_time_that_no_clock_can_hold_is_refused() {
    for command in [
        ["testnet", "--duration"].as_slice(),
        &["bench", "--duration"],
        &["client", "--endpoint", "127.0.0.1:1", "status", "--timeout"],
    ] {
        let output = run(&[command, &["500000000000years"]].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{command:?}: {text}");
        assert!(text.contains("longer than a year"), "{command:?}: {text}");
    }
}

#[test]
fn data_of_another_protocol_are_refused() {
    for (protocol, other) in [
        ("hotstuff", "pbft"),
        ("pbft", "hotstuff"),
        ("pbft", "raft"),
        ("raft", "pbft"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let net = dir.path().join("net");
        let out = net.to_str().unwrap();
        let made = run(&["genesis", "--out", out, "--protocol", protocol]);
        assert!(made.status.success());
        let home = net.join("node0");
        let format = home.join("data/FORMAT");
        let line = |name: &str| format!("protocol {name}");
        let text = std::fs::read_to_string(&format).unwrap();
        assert!(text.contains(&line(protocol)), "{text}");
        std::fs::write(&format, text.replace(&line(protocol), &line(other))).unwrap();
        let home = home.to_str().unwrap();
        let says = ["data", &*format!("belongs to {}", line(other)), protocol];
        fails(&["node", "--home", home], 1, &says);
        fails(&["inspect", "--home", home, "log"], 1, &says);
    }
}

#[test]
fn contradictions_are_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x");
    let out = out.to_str().unwrap();
    let raft = [
        "genesis",
        "--out",
        out,
        "--fault-model",
        "byzantine",
        "--protocol",
        "raft",
    ];
    fails(&raft, 2, &["raft", "byzantine"]);
    let pbft = [
        "genesis",
        "--out",
        out,
        "--fault-model",
        "crash",
        "--protocol",
        "pbft",
    ];
    fails(&pbft, 2, &["raft", "crash"]);
    let crash = [
        "genesis",
        "--out",
        out,
        "--nodes",
        "5",
        "--fault-model",
        "crash",
    ];
    for (flags, words) in [
        (
            &["--commit-quorum", "2"][..],
            ["commit_quorum", "4 or more"],
        ),
        (
            &["--election-quorum", "2"],
            ["election_quorum", "two leaders"],
        ),
        (&["--lease-drift", "0"], ["lease_drift", "1 to 90"]),
    ] {
        fails(&[&crash[..], flags].concat(), 2, &words);
    }
    for (flags, words) in [
        (["--commit-quorum", "3"], ["commit_quorum", "crash"]),
        (["--client-auth", "none"], ["client_auth", "crash"]),
    ] {
        fails(
            &[&["genesis", "--out", out][..], &flags].concat(),
            2,
            &words,
        );
    }
    fails(
        &["bench", "--ops", "128", "--size", "1000000"],
        2,
        &["--size"],
    );
    assert_eq!(run(&["genesis"]).status.code(), Some(2));
    assert_eq!(run(&["no-such-command"]).status.code(), Some(2));
}

#[test]
fn nothing_is_deleted_that_is_no_testnet() {
    let dir = tempfile::tempdir().unwrap();
    let precious = dir.path().join("precious");
    fs::write(&precious, "data").unwrap();
    let path = dir.path().to_str().unwrap();
    fails(
        &["testnet", "--dir", path, "--fresh"],
        1,
        &["is not a testnet"],
    );
    assert!(precious.is_file());
    fails(&["genesis", "--out", path], 1, &["is not empty"]);
}

#[test]
fn a_bad_home_is_named_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("net");
    genesis(&root);
    let home = root.join("node0");
    let node = ["node", "--home", home.to_str().unwrap()];

    let missing = root.join("node9");
    fails(
        &["node", "--home", missing.to_str().unwrap()],
        1,
        &["node9", "quorate genesis"],
    );

    let key = home.join("keys/consensus.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    fails(&node, 1, &["consensus.key", "chmod 600"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    let toml = home.join("node.toml");
    let text = fs::read_to_string(&toml).unwrap();
    fs::write(&toml, format!("{text}\n[surprise]\nx = 1\n")).unwrap();
    fails(&node, 1, &["node.toml", "surprise"]);
    fs::write(&toml, &text).unwrap();

    let open = text.replace("127.0.0.1:21001", "0.0.0.0:21001");
    assert_ne!(open, text);
    fs::write(&toml, open).unwrap();
    fails(&node, 1, &["listen.rpc", "insecure"]);
    fs::write(&toml, &text).unwrap();

    let taken = TcpListener::bind("127.0.0.1:21001").unwrap();
    fails(&node, 1, &["127.0.0.1:21001", "node.toml"]);
    drop(taken);

    // Another node's data.
    let (own, other) = (home.join("data"), root.join("node1/data"));
    fs::rename(&own, root.join("kept")).unwrap();
    fs::rename(&other, &own).unwrap();
    fails(&node, 1, &["data", "belongs to"]);
    fs::remove_dir_all(&own).unwrap();
    fails(&node, 1, &["data", "quorate genesis"]);
    fs::rename(root.join("kept"), &own).unwrap();

    let safety = own.join("safety");
    fs::remove_file(&safety).unwrap();
    fails(&node, 1, &["safety file is missing"]);
}

#[tokio::test]
async fn a_second_process_is_kept_from_a_nodes_data() {
    let world = World::start(4).await;
    let home = world.cluster.home(0).dir();
    // Its ports are taken as well: give it others.
    let copy = tempfile::tempdir().unwrap();
    for entry in ["genesis.toml", "keys", "data"] {
        std::os::unix::fs::symlink(home.join(entry), copy.path().join(entry)).unwrap();
    }
    let text = fs::read_to_string(home.join("node.toml")).unwrap();
    let mut lines = Vec::new();
    for line in text.lines() {
        let address = ["p2p = ", "rpc = ", "http = "]
            .into_iter()
            .find(|key| line.starts_with(key));
        lines.push(address.map_or(line.to_owned(), |key| format!("{key}\"127.0.0.1:0\"")));
    }
    fs::write(copy.path().join("node.toml"), lines.join("\n")).unwrap();
    let pid = world.cluster.pid(0).unwrap().to_string();
    fails(
        &["node", "--home", copy.path().to_str().unwrap()],
        1,
        &["in use", &pid],
    );
    world.end().await;
}

#[tokio::test]
async fn the_client_does_what_its_help_says() {
    let world = World::start(4).await;
    let key = world.cluster.client_key();
    let with = |arguments: &[&str]| {
        let common = [
            "client",
            "--endpoint",
            world.cluster.rpc(1),
            "--key",
            key.to_str().unwrap(),
        ];
        let output = run(&[&common[..], arguments].concat());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(with(&["put", "hello", "world"]).starts_with("committed at height "));
    assert_eq!(with(&["get", "hello"]), "world\n");
    assert_eq!(with(&["get", "nothing"]), "");
    let pair: serde_json::Value = serde_json::from_str(&with(&["get", "hello", "--json"])).unwrap();
    assert_eq!(
        (&pair["key"], &pair["value"]),
        (&"hello".into(), &"world".into())
    );
    for i in 0..3 {
        with(&["put", &format!("user/{i}"), &format!("v{i}")]);
    }
    assert_eq!(
        with(&["range", "user/", "--limit", "2"]),
        "user/0\tv0\nuser/1\tv1\n"
    );

    let file = world.dir.path().join("transaction.json");
    let text = r#"{"if": [{"key": "hello", "value": "world"}], "then": [{"delete": "hello"}, {"get": "user/2"}]}"#;
    fs::write(&file, text).unwrap();
    assert!(with(&["txn", file.to_str().unwrap()]).contains("user/2\tv2"));
    assert!(with(&["txn", file.to_str().unwrap()]).contains("conditions did not hold"));
    assert_eq!(with(&["get", "hello"]), "");

    assert!(with(&["receipt", "1"]).starts_with("committed at height "));
    let status: serde_json::Value = serde_json::from_str(&with(&["status", "--json"])).unwrap();
    let (_, http) = world.http(1, "/status");
    let http: serde_json::Value = serde_json::from_str(&http).unwrap();
    let fields = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(fields(&status), fields(&http));
    let blocks = with(&["blocks", "--json"]);
    assert_eq!(
        blocks.lines().count() as u64,
        world.blocks(1).await.len() as u64
    );

    world.end().await;
}

#[tokio::test]
async fn whoever_follows_the_log_sees_each_block_as_it_commits() {
    let world = World::start(4).await;
    let follow = |flags: &[&str]| {
        let mut command = Command::new(program());
        command
            .args(["client", "--endpoint", world.cluster.rpc(2), "blocks"])
            .args(["--follow", "--json"])
            .args(flags)
            .stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut child = follow(&["--from", "1"]);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, heights) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in lines {
            let block: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            sender.send(block["height"].as_u64().unwrap()).ok();
        }
    });
    let client = world.client(&[0]);
    let mut session = fresh_session(&client).await;
    let mut expected = 1;
    for i in 0..3 {
        let receipt = put(&client, &mut session, &format!("k{i}"), "v").await;
        let height = receipt.unwrap().height;
        while expected <= height {
            assert_eq!(heights.recv_timeout(PATIENCE), Ok(expected));
            expected += 1;
        }
    }
    // He leaves; the node serves the next one.
    child.kill().unwrap();
    child.wait().unwrap();
    let mut again = follow(&["--from", "2"]);
    let mut first = String::new();
    BufReader::new(again.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(first.contains("\"height\":2"), "{first}");
    again.kill().unwrap();
    again.wait().unwrap();
    world.end().await;
}

#[tokio::test]
async fn logs_are_json_if_so_configured() {
    let configure = |_, text: String| text.replace("format = \"text\"", "format = \"json\"");
    let mut world = World::start_with(4, configure).await;
    world.cluster.stop(3).await.unwrap();
    let text = fs::read_to_string(world.cluster.home(3).log_file()).unwrap();
    let mut said = Vec::new();
    for line in text.lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["timestamp"].is_string(), "{line}");
        assert!(event["level"].is_string(), "{line}");
        said.push(event["message"].as_str().unwrap().to_owned());
    }
    for event in ["started", "stopping on SIGTERM", "stopped"] {
        assert!(
            said.iter().any(|message| message == event),
            "{event}: {said:?}"
        );
    }
    world.end().await;
}

#[tokio::test]
async fn the_client_turns_away_from_what_does_not_answer() {
    let world = World::start(4).await;
    let (dead, alive) = ("http://127.0.0.1:1", world.cluster.rpc(0));
    let output = run(&[
        "client",
        "--endpoint",
        dead,
        "--endpoint",
        alive,
        "get",
        "quorate/started",
    ]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1\n");
    let impatient = ["client", "--endpoint", dead, "--timeout", "1s", "get", "x"];
    fails(&impatient, 1, &["127.0.0.1:1"]);
    fails(
        &["client", "--endpoint", "nonsense", "get", "x"],
        1,
        &["nonsense", "http://"],
    );
    fails(&["client", "put", "a", "b"], 1, &["--key", "QUORATE_KEY"]);
    world.end().await;
}

#[test]
fn a_benchmark_measures_what_it_states() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(program())
        .args([
            "bench",
            "--rate",
            "200",
            "--duration",
            "2s",
            "--warmup",
            "500ms",
            "--json",
        ])
        .arg("--out")
        .arg(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["signed"], true, "a forged transaction was refused");
    assert_eq!(report["executed"], true);
    assert_eq!(report["nodes_observed"], 4);
    assert!(report["synced"].is_boolean(), "{report}");
    assert!(report["faults"]["timeouts"].is_u64(), "{report}");
    for cost in [
        "network_bytes_per_transaction",
        "log_bytes_per_transaction",
        "syncs_per_transaction",
        "nodes_cpu_us_per_operation",
    ] {
        assert!(report[cost].as_f64().unwrap() > 0.0, "{cost}: {report}");
    }
    // A value of 512 bytes goes to three others and to four logs.
    assert!(report["network_bytes_per_transaction"].as_f64().unwrap() > 3.0 * 512.0);
    assert!(report["log_bytes_per_transaction"].as_f64().unwrap() > 4.0 * 512.0);
    let files: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(files.len(), 1);
    let path = files[0].as_ref().unwrap().path();
    let written: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(written, report);
}

#[test]
fn a_benchmark_of_reads_finds_what_it_wrote() {
    for consistency in ["linearizable", "local"] {
        let mut command = Command::new(program());
        command.args(["bench", "--gets", consistency, "--rate", "max"]);
        command.args([
            "--at-leader",
            "--duration",
            "1s",
            "--warmup",
            "200ms",
            "--json",
        ]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["request"], format!("{consistency} get"));
        assert_eq!(report["failed"], 0, "each key was there: {report}");
        assert!(report["committed"].as_u64().unwrap() > 0, "{report}");
        assert_eq!(report["executed"], true, "its keys were put before");
        assert_eq!(
            report["log_bytes_per_transaction"], 0.0,
            "a read logs nothing"
        );
    }
}
