//! Nodes that lie: real processes under attack.

use crate::command_line::{fails, run};
use crate::world::{PATIENCE, World, Writer, get, hotstuff, own, pbft, program};
use genesis::Testnet;
use quorate::rpc::proto::Consistency;
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
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
        ..own(hotstuff, 4)
    };
    let proven = |world: &World, honest: &[usize]| proofs(world, honest) > 0;
    withstands(&testnet, (3, "equivocate"), proven).await;
}

/// It leads the first view. What it told whom, nobody can prove: each was told one thing only. But
/// it is deposed.
#[tokio::test]
async fn a_primary_of_pbft_that_equivocates_is_deposed_and_stops_nobody() {
    let testnet = own(pbft, 4);
    let deposed = |world: &World, honest: &[usize]| {
        let timeouts = |node: &usize| world.metric(*node, "quorate_timeouts");
        honest.iter().all(|node| timeouts(node) > 0)
    };
    withstands(&testnet, (1, "equivocate"), deposed).await;
}

#[tokio::test]
async fn a_member_of_pbft_that_votes_twice_is_found_out_and_stops_nobody() {
    let testnet = own(pbft, 4);
    let proven = |world: &World, honest: &[usize]| proofs(world, honest) > 0;
    withstands(&testnet, (3, "double-vote"), proven).await;
}

/// What a line of `quorate testnet` accuses of lies, and who is said to hold a proof.
fn accused(line: &str) -> Vec<(&str, Vec<&str>)> {
    let list = line.split_once("  proven liars: ").map(|it| it.1);
    let each = list.into_iter().flat_map(|list| list.split(", "));
    let parts = each.map(|it| it.strip_suffix(')').unwrap().split_once(" (proof at "));
    parts
        .map(|it| it.unwrap())
        .map(|(liar, holders)| (liar, holders.split(' ').collect()))
        .collect()
}

fn height(line: &str) -> Option<u64> {
    line.strip_prefix("height ")?
        .split(' ')
        .next()?
        .parse()
        .ok()
}

/// What `quorate testnet` prints, line by line.
struct Told {
    testnet: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Told {
    fn start(dir: &Path, more: &[String]) -> Self {
        let mut command = Command::new(program());
        command.args(["testnet", "--base-port", "0"]).args(more);
        command.arg("--dir").arg(dir);
        command.stdout(Stdio::piped()).kill_on_drop(true);
        let mut testnet = command.spawn().unwrap();
        let lines = BufReader::new(testnet.stdout.take().unwrap()).lines();
        Self { testnet, lines }
    }

    async fn next(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        line.expect("it says something")
            .unwrap()
            .expect("it goes on")
    }

    /// Stops it; everything that it says until then.
    async fn stop(mut self) -> Vec<String> {
        let pid = Pid::from_raw(self.testnet.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let mut said = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            said.push(line);
        }
        assert_eq!(said.last().unwrap(), "stopped");
        assert!(self.testnet.wait().await.unwrap().success());
        said
    }
}

/// `quorate testnet` with these liars and nothing else: it says at once who lies and how, and then of whom
/// there is a proof, and where: of no honest node, and sooner or later of `proven`. Whoever holds it exports
/// it, for anyone to check; and the heights go on growing.
async fn the_testnet_tells(protocol: &str, nodes: usize, liars: &[(usize, &str)], proven: usize) {
    let dir = tempfile::tempdir().unwrap();
    let net = dir.path().join("net");
    let nodes_and_protocol = format!("--nodes {nodes} --protocol {protocol}");
    let mut arguments: Vec<String> = nodes_and_protocol.split(' ').map(str::to_owned).collect();
    let as_flag = |it: &(usize, &str)| ["--adversary".into(), format!("{}:{}", it.0, it.1)];
    arguments.extend(liars.iter().flat_map(as_flag));
    let mut told = Told::start(&net, &arguments);
    let ready = told.next().await;
    assert!(ready.starts_with("ready: ") && ready.contains(protocol));
    for (node, name) in liars {
        assert_eq!(told.next().await, format!("       node{node} lies: {name}"));
    }
    let load = told.next().await;
    assert!(load.contains("100 puts a second at node"), "{load}");
    let lies = |name: &str| liars.iter().any(|it| name == format!("node{}", it.0));
    assert!(!load.split([' ', ';']).any(lies), "{load}");
    let end = Instant::now() + PATIENCE;
    let (holder, reached) = loop {
        let line = told.next().await;
        let accused = accused(&line);
        assert!(accused.iter().all(|it| lies(it.0)), "{line}");
        let found = accused.iter().find(|it| it.0 == format!("node{proven}"));
        if let Some((_, holders)) = found {
            assert!(!holders.iter().any(|it| lies(it)), "{line}");
            break (holders[0].to_owned(), height(&line).unwrap());
        }
        assert!(
            Instant::now() < end,
            "node{proven} is not found out: {line}"
        );
    };
    let home = |name: &str| net.join(name).to_str().unwrap().to_owned();
    let file = dir.path().join("liar.json").to_str().unwrap().to_owned();
    let export = ["inspect", "--home", &home(&holder), "evidence"];
    let listed = run(&export);
    let listed = String::from_utf8(listed.stdout).unwrap();
    // With two liars the first in its list may be the other.
    let number = listed
        .lines()
        .find(|it| it.contains(&format!("node {proven} signed two")))
        .and_then(|it| it.split(' ').next())
        .unwrap_or_else(|| panic!("{holder} lists no proof: {listed}"));
    let wrote = run(&[&export[..], &["--number", number, "--out", &file]].concat());
    assert!(wrote.status.success(), "{wrote:?}");
    let genesis = format!("{}/genesis.toml", home(&holder));
    let checked = run(&["inspect", "verify", &file, "--genesis", &genesis]);
    let checked = String::from_utf8(checked.stdout).unwrap();
    let sentence = format!("proven: node {proven} signed two contradicting statements");
    assert!(checked.starts_with(&sentence), "{checked}");
    loop {
        let line = told.next().await;
        if height(&line).is_some_and(|height| height >= reached + 20) {
            break;
        }
        assert!(Instant::now() < end, "it stands still: {line}");
    }
    told.stop().await;
}

#[tokio::test]
async fn the_testnet_names_its_liar_as_it_is_found_out() {
    the_testnet_tells("hotstuff", 4, &[(3, "equivocate")], 3).await;
}

/// It is never the primary, as long as nobody fails: what it has to lie with is votes.
#[tokio::test]
async fn a_testnet_of_pbft_names_its_liar_though_it_never_leads() {
    the_testnet_tells("pbft", 4, &[(3, "equivocate")], 3).await;
}

#[tokio::test]
async fn the_testnet_names_both_of_its_liars_and_seven_nodes_withstand_them() {
    let liars = [(0, "equivocate"), (6, "double-vote")];
    the_testnet_tells("hotstuff", 7, &liars, 6).await;
}

/// Where nobody asked for a load there is none, but for those who lie.
#[tokio::test]
async fn a_testnet_writes_nothing_of_its_own_where_that_is_not_wanted() {
    for lies in [&[][..], &["--adversary", "3:equivocate", "--load", "0"]] {
        let dir = tempfile::tempdir().unwrap();
        let arguments: Vec<String> = lies.iter().map(|it| (*it).to_owned()).collect();
        let mut told = Told::start(&dir.path().join("net"), &arguments);
        let mut said = Vec::new();
        // The first three reports: of the load above there would be two hundred puts in them.
        while said.iter().filter_map(|it: &String| height(it)).count() < 3 {
            said.push(told.next().await);
        }
        said.extend(told.stop().await);
        assert!(!said.iter().any(|it| it.contains("puts")), "{said:?}");
        let top = said.iter().filter_map(|it| height(it)).max().unwrap();
        assert!(top < 5, "{said:?}");
    }
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
