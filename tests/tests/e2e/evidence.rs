//! A validator that lies over the network: real nodes tell who it was, and whoever has the genesis
//! file checks their proof, without a node.

use crate::command_line::{fails, run};
use crate::world::{
    PATIENCE, World, Writer, fresh_session, hotstuff as hotstuff_testnet, own, pbft, put,
};
use bytes::Bytes;
use consensus::replica::{Checkpoint, Wire};
use consensus::{Protocol, hotstuff, pbft as pbft_protocol};
use crypto::{Context, Digest, Epoch, Height, NodeId, Reject, Signature, Statement, View, codec};
use engine::{Class, Frame};
use genesis::{Home, Loaded, Testnet};
use quorate::runtime::metrics::Metrics;
use quorate::runtime::network::hello::{Hello, WIRE_VERSION};
use quorate::runtime::network::peer::{LaneLimits, PeerConfig, Permit};
use quorate::runtime::network::{Network, NetworkConfig, Sink};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Who lies.
const LIAR: usize = 3;

/// Hears nothing.
struct Deaf;

impl Sink for Deaf {
    fn frame(&self, _: NodeId, _: Class, _: Bytes, _: Permit) {}
    fn touched(&self, _: NodeId, _: bool) {}
    fn rejected(&self, _: NodeId, _: Reject) {}
}

/// Has a validator's keys and place in the network, and says what it likes.
struct Liar {
    loaded: Loaded,
    context: Context,
    network: Network,
    stop: CancellationToken,
}

impl Liar {
    async fn start(home: &Home) -> Self {
        let loaded = home.load().unwrap();
        let genesis = &loaded.genesis;
        let peers = (0..).map(NodeId).zip(&genesis.validators);
        let peers = peers.map(|(node, validator)| PeerConfig {
            node,
            key: validator.network_key,
            address: validator.address.clone(),
        });
        let lane = LaneLimits {
            frame: 1 << 20,
            outgoing: 2 << 20,
            incoming: 2 << 20,
        };
        let config = NetworkConfig {
            me: loaded.me,
            key: crypto::SecretKey::from_seed(&loaded.network_key.seed()),
            listen: loaded.config.listen.p2p,
            peers: peers.filter(|peer| peer.node != loaded.me).collect(),
            hello: Hello {
                wire: WIRE_VERSION,
                chain: genesis.chain_id(),
                protocol: genesis.protocol.name().to_owned(),
                build: "a liar".to_owned(),
            },
            control: lane,
            bulk: lane,
        };
        let stop = CancellationToken::new();
        let (metrics, tasks) = (Arc::new(Metrics::new()), TaskTracker::new());
        let network = Network::start(config, Arc::new(Deaf), metrics, stop.clone(), &tasks);
        Self {
            network: network.await.unwrap(),
            context: genesis.context(),
            loaded,
            stop,
        }
    }

    fn sign(&self, statement: &Statement) -> Signature {
        let key = &self.loaded.consensus_key;
        key.sign(&statement.digest(&self.context))
    }

    /// Votes for two blocks in one view.
    fn votes(&self, view: u64) -> [Bytes; 2] {
        [1, 2].map(|block| {
            let mut vote = hotstuff::message::Vote {
                epoch: Epoch(0),
                view: View(view),
                height: Height(1),
                block: Digest([block; 32]),
                author: self.loaded.me,
                signature: Signature::NONE,
            };
            vote.signature = self.sign(&vote.statement());
            frame::<hotstuff::HotStuff>(Wire::Protocol(hotstuff::Message::Vote(vote)))
        })
    }

    /// Says two things about the state at one height.
    fn checkpoints<P: Protocol>(&self, height: u64) -> [Bytes; 2] {
        [1, 2].map(|state| {
            let mut it = Checkpoint {
                node: self.loaded.me,
                height: Height(height),
                history: Digest::ZERO,
                state: Digest([state; 32]),
                signature: Signature::NONE,
            };
            it.signature = self.sign(&it.statement(&self.context));
            frame::<P>(Wire::Checkpoint(it))
        })
    }

    /// Tells a node both, until it knows.
    async fn lie(&self, world: &World, to: usize, frames: [Bytes; 2]) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            for frame in &frames {
                let to = NodeId(to as u16);
                self.network.send(to, Class::Control, frame.clone());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            if let Some(known) = proven(world, to) {
                return known;
            }
            assert!(Instant::now() < end, "node{to} noticed nothing");
        }
    }
}

fn frame<P: Protocol>(message: Wire<P::Message>) -> Bytes {
    codec::encode(&Frame::<P::Message>::Replica(message)).into()
}

/// What a node's `/status` says of liars.
fn evidence(world: &World, node: usize) -> Value {
    let (_, text) = world.http(node, "/status");
    let status: Value = serde_json::from_str(&text).unwrap();
    status["evidence"].clone()
}

/// The same, once there is something and its proof is on disk, which takes a moment longer.
fn proven(world: &World, node: usize) -> Option<Value> {
    let known = evidence(world, node);
    if known == Value::Array(Vec::new()) {
        return None;
    }
    let listed = says(&arguments(world.cluster.home(node), &[]));
    (!listed.starts_with("no evidence")).then_some(known)
}

/// Arguments of `quorate inspect evidence`.
fn arguments<'a>(home: &'a Home, what: &[&'a str]) -> Vec<&'a str> {
    let home = home.dir().to_str().unwrap();
    [&["inspect", "evidence", "--home", home], what].concat()
}

fn says(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn verify<'a>(file: &'a Path, genesis: &'a Path) -> [&'a str; 5] {
    let (file, genesis) = (file.to_str().unwrap(), genesis.to_str().unwrap());
    ["inspect", "verify", file, "--genesis", genesis]
}

/// What a third party has: a genesis file and nothing else.
fn stranger(world: &World) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let genesis = dir.path().join("genesis.toml");
    fs::copy(world.cluster.home(1).genesis_toml(), &genesis).unwrap();
    (dir, genesis)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_is_named_and_a_stranger_can_check_the_proof() {
    let mut world = World::start(4).await;
    world.cluster.stop(LIAR).await.unwrap();
    let liar = Liar::start(world.cluster.home(LIAR)).await;
    let known = liar.lie(&world, 0, liar.votes(900_000)).await;
    let expected = r#"[{"node":3,"kind":"vote","epoch":0,"view":900000,"height":0}]"#;
    assert_eq!(known, serde_json::from_str::<Value>(expected).unwrap());
    assert_eq!(world.metric(0, "quorate_evidence_total"), 1);
    let name = "quorate_lies_total{node=\"3\",kind=\"vote\"}";
    assert_eq!(world.metric(0, name), 1);
    let home = world.cluster.home(0).clone();
    let log = fs::read_to_string(home.log_file()).unwrap();
    let line = log.lines().find(|line| line.contains("contradicting"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    for part in ["node=3", "vote in view 900000"] {
        assert!(line.contains(part), "{line}");
    }
    let status = says(&["client", "--endpoint", world.cluster.rpc(0), "status"]);
    assert!(
        status.contains("liars         node 3 (1 proof)"),
        "{status}"
    );
    assert_eq!(
        evidence(&world, 1),
        Value::Array(Vec::new()),
        "it was not told"
    );

    // The node runs.
    let listed = says(&arguments(&home, &[]));
    let sentence = "node 3 signed two contradicting statements: vote in view 900000, epoch 0";
    assert!(listed.starts_with(&format!("1  {sentence}\n")), "{listed}");
    let none = says(&arguments(world.cluster.home(1), &[]));
    assert!(none.starts_with("no evidence"), "{none}");
    assert!(none.contains("try their homes"), "{none}");
    let (dir, genesis) = stranger(&world);
    let file = dir.path().join("liar.json");
    let out = ["--out", file.to_str().unwrap()];
    let wrote = says(&arguments(&home, &out));
    assert!(
        wrote.contains(sentence) && wrote.contains("number 1 of 1"),
        "{wrote}"
    );
    fails(&arguments(&home, &out), 1, &["liar.json", "choose another"]);
    let other = [out[0], "other.json", "--number", "2"];
    fails(
        &arguments(&home, &other),
        1,
        &["no evidence number 2", "1 to 1"],
    );
    fails(
        &arguments(world.cluster.home(1), &out),
        1,
        &["caught nobody", "try their homes"],
    );
    let proven = says(&verify(&file, &genesis));
    assert!(
        proven.starts_with(&format!("proven: {sentence}")),
        "{proven}"
    );
    altered_files_are_refused(&file, &genesis);

    // The others go on, and what is known outlives a kill.
    let client = world.client(&[0]);
    let mut session = fresh_session(&client).await;
    put(&client, &mut session, "still", "alive").await.unwrap();
    world.cluster.kill(0).await.unwrap();
    assert_eq!(says(&arguments(&home, &[])), listed);
    world.cluster.start(0).unwrap();
    put(&client, &mut session, "and", "again").await.unwrap();
    assert_eq!(evidence(&world, 0), known);
    liar.stop.cancel();
    world.agrees(&[0, 1, 2]).await;
    world.end().await;
}

/// The unit tests flip every bit; here it is the program that refuses, with a sentence.
fn altered_files_are_refused(file: &Path, genesis: &Path) {
    let text = fs::read_to_string(file).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let digits = |pointer: &str| value.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    let altered = file.with_extension("altered");
    let refused = |from: &str, to: &str, says: &str| {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text, "{from}");
        fs::write(&altered, other).unwrap();
        fails(&verify(&altered, genesis), 1, &["liar.altered", says]);
    };
    let flipped = |pointer: &str| {
        let from = digits(pointer);
        let last = if from.ends_with('0') { "1" } else { "0" };
        let to = format!("{}{last}", &from[..from.len() - 1]);
        (from, to)
    };
    for (pointer, says) in [
        ("/chain", "about chain"),
        ("/accused/key", "is not that of node 3"),
        ("/statements/0/content", "first signature"),
        ("/statements/0/signature", "first signature"),
        ("/statements/1/content", "second signature"),
        ("/statements/1/signature", "second signature"),
    ] {
        let (from, to) = flipped(pointer);
        refused(&from, &to, says);
    }
    refused("\"node\": 3", "\"node\": 2", "is not that of node 2");
    refused("\"epoch\": 0", "\"epoch\": 1", "about epoch 1");
    refused("\"view\": 900000", "\"view\": 900001", "different slots");
    refused(
        "\"kind\": \"vote\"",
        "\"kind\": \"proposal\"",
        "different slots",
    );
    refused("node 3 signed", "node 2 signed", "line 3 is not what");
    refused("{", "", "no evidence file");

    let lost = file.with_extension("lost");
    fails(&verify(&lost, genesis), 1, &["liar.lost", "check the path"]);
    fails(&verify(file, &lost), 1, &["liar.lost"]);
    let other = file.with_file_name("other");
    says(&["genesis", "--out", other.to_str().unwrap()]);
    let other = other.join("node0/genesis.toml");
    fails(
        &verify(file, &other),
        1,
        &["about chain", "check --genesis"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_is_named_under_pbft() {
    let mut world = World::of(pbft, 4).await;
    world.cluster.stop(LIAR).await.unwrap();
    let liar = Liar::start(world.cluster.home(LIAR)).await;
    let frames = liar.checkpoints::<pbft_protocol::Pbft>(1_280);
    liar.lie(&world, 2, frames).await;
    liar.stop.cancel();
    let (dir, genesis) = stranger(&world);
    let file = dir.path().join("liar.json");
    says(&arguments(
        world.cluster.home(2),
        &["--out", file.to_str().unwrap()],
    ));
    let proven = says(&[&verify(&file, &genesis)[..], &["--json"]].concat());
    let proven: Value = serde_json::from_str(&proven).unwrap();
    assert_eq!(proven["node"], 3);
    assert_eq!(proven["kind"], "checkpoint");
    assert_eq!(proven["height"], 1_280);
    assert_eq!(
        proven["key"],
        liar.loaded.consensus_key.public().to_string()
    );
    world.end().await;
}

/// A live attack: whoever was told both things can prove it, at once and later.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_adversary_did_is_proven_to_a_stranger() {
    let testnet = Testnet {
        tenure: 8,
        ..own(hotstuff_testnet, 4)
    };
    let world = World::attacked(&testnet, &[(LIAR, "equivocate")]).await;
    let honest = world.but(LIAR);
    let writer = Writer::start(world.client(&honest), "attacked");
    let end = Instant::now() + PATIENCE;
    let witness = loop {
        if let Some(node) = honest.iter().find(|it| proven(&world, **it).is_some()) {
            break *node;
        }
        assert!(Instant::now() < end, "nobody noticed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let (dir, genesis) = stranger(&world);
    let file = dir.path().join("liar.json");
    let home = world.cluster.home(witness);
    says(&arguments(home, &["--out", file.to_str().unwrap()]));
    let proven = says(&verify(&file, &genesis));
    assert!(proven.starts_with("proven: node 3 signed two"), "{proven}");
    assert!(!writer.finish().await.is_empty());
    world.agrees(&honest).await;
    for node in honest {
        let known = evidence(&world, node);
        let liars = known.as_array().unwrap().iter().map(|lie| &lie["node"]);
        assert!(liars.clone().all(|node| *node == LIAR), "S10: {known}");
        assert!(liars.count() <= 16, "S11: {known}");
    }
    world.end().await;
}

#[test]
fn evidence_is_looked_for_in_a_place_that_is_named() {
    for what in [&["evidence"][..], &["log"], &["verify"], &["safety"]] {
        let said = run(&[&["inspect"], what].concat());
        assert_eq!(said.status.code(), Some(2), "{what:?}");
        let text = String::from_utf8(said.stderr).unwrap();
        assert!(text.contains("--home is missing"), "{text}");
    }
    for what in [
        &["verify", "liar.json"][..],
        &["verify", "--genesis", "genesis.toml"],
        &[
            "verify",
            "liar.json",
            "--genesis",
            "genesis.toml",
            "--home",
            "node0",
        ],
        &[
            "--home",
            "node0",
            "verify",
            "liar.json",
            "--genesis",
            "genesis.toml",
        ],
        &["evidence", "--home", "node0", "--number", "2"],
    ] {
        let said = run(&[&["inspect"], what].concat());
        assert_eq!(said.status.code(), Some(2), "{what:?}");
    }
}
