//! Nodes that lie: real processes under attack.

use crate::command_line::fails;
use crate::world::{PATIENCE, World, Writer, get, hotstuff, pbft, program};
use genesis::Testnet;
use quorate::cli::cluster;
use quorate::client::Client;
use quorate::rpc::proto::Consistency;
use rustix::process::{Pid, Signal, kill_process};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// Proofs against the liar that an honest node has.
fn proofs(world: &World, honest: &[usize]) -> u64 {
    let proofs = |node: &usize| world.metric(*node, "quorate_evidence_total");
    honest.iter().map(proofs).sum()
}

/// While somebody writes at the honest nodes, `liar` attacks until `shows` itself at them; then all
/// that was acknowledged is there, and they agree.
async fn withstands(
    testnet: &Testnet,
    (liar, name): (usize, &str),
    shows: impl Fn(&World, &[usize]) -> bool,
) {
    let world = World::attacked(testnet, &[(liar, name)]).await;
    let honest = world.but(liar);
    let writer = Writer::start(world.client(&honest), "attacked");
    let end = Instant::now() + PATIENCE;
    while !shows(&world, &honest) {
        assert!(Instant::now() < end, "{name} by node{liar} shows nowhere");
        sleep(Duration::from_millis(100)).await;
    }
    // And they go on.
    let height = world.reaches(honest[0], 0).await.height;
    world.reaches(honest[0], height + 20).await;
    let acknowledged = writer.finish().await;
    assert!(!acknowledged.is_empty());
    world
        .reaches(honest[0], acknowledged.last().unwrap().height)
        .await;
    let client = world.client(&[honest[0]]);
    for write in &acknowledged {
        let found = get(&client, &write.key, Consistency::Local).await;
        assert_eq!(found.as_ref(), Some(&write.value), "{}", write.key);
    }
    world.agrees(&honest).await;
    world.end().await;
}

#[tokio::test]
async fn a_leader_of_hotstuff_that_equivocates_is_found_out_and_stops_nobody() {
    let testnet = Testnet {
        tenure: 8,
        ..hotstuff(cluster::free_ports(4).unwrap())
    };
    let proven = |world: &World, honest: &[usize]| proofs(world, honest) > 0;
    withstands(&testnet, (3, "equivocate"), proven).await;
}

/// It leads the first view. What it told whom, nobody can prove: each was told one thing only. But
/// it is deposed.
#[tokio::test]
async fn a_primary_of_pbft_that_equivocates_is_deposed_and_stops_nobody() {
    let testnet = pbft(cluster::free_ports(4).unwrap());
    let deposed = |world: &World, honest: &[usize]| {
        let timeouts = |node: &usize| world.metric(*node, "quorate_timeouts");
        honest.iter().all(|node| timeouts(node) > 0)
    };
    withstands(&testnet, (1, "equivocate"), deposed).await;
}

#[tokio::test]
async fn a_member_of_pbft_that_votes_twice_is_found_out_and_stops_nobody() {
    let testnet = pbft(cluster::free_ports(4).unwrap());
    let proven = |world: &World, honest: &[usize]| proofs(world, honest) > 0;
    withstands(&testnet, (3, "double-vote"), proven).await;
}

/// `quorate testnet` with these liars, while somebody writes at the honest nodes: it says at once who lies
/// and how, and then of whom there is a proof: of no honest node, and sooner or later of `proven`. The
/// writer is served.
async fn the_testnet_tells(nodes: usize, liars: &[(usize, &str)], proven: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(program());
    command.args(["testnet", "--base-port", "0", "--nodes", &nodes.to_string()]);
    command.arg("--dir").arg(dir.path().join("net"));
    for (node, name) in liars {
        command.args(["--adversary", &format!("{node}:{name}")]);
    }
    command.stdout(Stdio::piped()).kill_on_drop(true);
    let mut testnet = command.spawn().unwrap();
    let mut lines = BufReader::new(testnet.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = timeout(PATIENCE, lines.next_line()).await;
        line.expect("it says something")
            .unwrap()
            .expect("it goes on")
    };
    let ready = next().await;
    let words = ready.split(' ');
    let urls: Vec<&str> = words.filter(|it| it.starts_with("http://")).collect();
    assert_eq!(urls.len(), nodes, "{ready}");
    for (node, name) in liars {
        assert_eq!(next().await, format!("       node{node} lies: {name}"));
    }
    let lies = |name: &str| liars.iter().any(|it| name == format!("node{}", it.0));
    let honest = (0..nodes).filter(|it| !lies(&format!("node{it}")));
    let honest: Vec<&str> = honest.map(|it| urls[it]).collect();
    let writer = Writer::start(Client::new(&honest, PATIENCE).unwrap(), "attacked");
    let end = Instant::now() + PATIENCE;
    loop {
        let line = next().await;
        let accused = line.split_once("  proven liars: ").map_or("", |it| it.1);
        assert!(accused.split_whitespace().all(lies), "{line}");
        if accused.split_whitespace().any(|it| it == proven) {
            break;
        }
        assert!(Instant::now() < end, "{proven} is not found out: {line}");
    }
    writer.writes(20).await;
    writer.finish().await;
    let pid = Pid::from_raw(testnet.id().unwrap().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        last = line;
    }
    assert_eq!(last, "stopped");
    assert!(testnet.wait().await.unwrap().success());
}

#[tokio::test]
async fn the_testnet_names_its_liar_as_it_is_found_out() {
    the_testnet_tells(4, &[(3, "equivocate")], "node3").await;
}

/// The first leads when all begins. Each of the honest ones hears one of its stories only, so that none
/// has to have a proof; of the other's two votes everybody has.
#[tokio::test]
async fn the_testnet_names_both_of_its_liars_and_seven_nodes_withstand_them() {
    let liars = [(0, "equivocate"), (6, "double-vote")];
    the_testnet_tells(7, &liars, "node6").await;
}

#[test]
fn who_is_to_lie_is_looked_at_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("net");
    let dir = dir.to_str().unwrap();
    let refused = |more: &[&str], says: &[&str]| {
        let base = ["testnet", "--dir", dir, "--fresh", "--base-port", "0"];
        fails(&[&base[..], more].concat(), 2, says);
    };
    refused(&["--adversary", "4:equivocate"], &["node0 to node3"]);
    refused(&["--adversary", "3:nonsense"], &["nonsense", "equivocate"]);
    let raft = ["--adversary", "1:equivocate", "--fault-model", "crash"];
    refused(&raft, &["--fault-model byzantine"]);
}
