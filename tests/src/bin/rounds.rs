//! Rounds of faults on real processes: `rounds --protocol pbft --rounds 100 --seed 7 --seconds 600`, and
//! with nodes that lie meanwhile: `rounds --adversary 3:equivocate`, `rounds --nodes 7 --adversary any`.

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use genesis::Protocol;
use quorate_tests::processes::{Attack, Campaign, Setup};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Kills, pauses and disconnects the processes of a cluster while clients work on it, round by round,
/// and checks what it promises: each node serves again once all is healed, what was acknowledged is
/// still there (S8), and what clients saw is linearizable (S9). If some lie, that is said of the honest
/// ones and their clients.
#[derive(Parser)]
#[command(after_help = "Example: rounds --protocol pbft --rounds 100 --seed 7 --seconds 600")]
struct Args {
    /// Who orders: hotstuff, pbft or raft.
    #[arg(long, default_value = "hotstuff", value_parser = protocol)]
    protocol: Protocol,
    /// How many nodes; by default as few as survive one fault.
    #[arg(long)]
    nodes: Option<usize>,
    /// How many rounds, at most.
    #[arg(long, default_value_t = 10)]
    rounds: u64,
    /// The seed of the first round; each other has the next one.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Begin no round after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Seconds of faults in each round.
    #[arg(long, default_value_t = 4.0)]
    span: f64,
    /// How many clients.
    #[arg(long, default_value_t = 6)]
    clients: usize,
    /// Node ID lies in the way of NAME, for instance 3:equivocate; may be repeated. Or `any`: as many
    /// as may lie, in each round in another way (hotstuff, pbft).
    #[arg(long, value_name = "ID:NAME", conflicts_with = "pause")]
    adversary: Vec<String>,
    /// In the end the leader sleeps for so many seconds under load, if nobody lies; 0: it does not.
    #[arg(long, default_value_t = 60)]
    pause: u64,
    /// Answer reads by lease, on clocks that run apart by so many percent (raft).
    #[arg(long)]
    lease_drift: Option<u8>,
    /// Write the report as JSON to this file, too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Append what came of it to this file, for the report of a soak run.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Keep the nodes' logs and data here: a directory that is new or empty.
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn protocol(name: &str) -> Result<Protocol, String> {
    let all = [Protocol::Hotstuff, Protocol::Pbft, Protocol::Raft];
    let found = all.into_iter().find(|it| it.name() == name);
    found.ok_or_else(|| format!("no protocol is called {name}: hotstuff, pbft or raft"))
}

impl Args {
    fn campaign(&self) -> Result<Campaign> {
        let smallest = Setup::smallest(self.protocol, self.seed);
        let setup = Setup {
            nodes: self.nodes.unwrap_or(smallest.nodes),
            lease_drift: self.lease_drift,
            ..smallest
        };
        let span = Duration::try_from_secs_f64(self.span).context("--span")?;
        if span < Duration::from_millis(100) || span > Duration::from_secs(600) {
            bail!("--span is between 0.1 and 600 seconds");
        }
        let limit = self.seconds.map(Duration::from_secs);
        let pause = (self.pause > 0).then(|| Duration::from_secs(self.pause));
        let attack = Attack::read(&self.adversary, &setup)?;
        let campaign = Campaign {
            span,
            clients: self.clients,
            limit,
            pause,
            dir: self.dir.clone(),
            ..Campaign::new(setup, self.rounds)
        };
        Ok(campaign.attacked(attack))
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let report = args.campaign()?.run(&|round| println!("{round}")).await;
    println!("{report}");
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &args.report {
        let appended = report.section().append(path);
        appended.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(match report.failure {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use quorate_tests::processes::Cast;

    fn campaign(words: &str) -> Campaign {
        let words = words.split_whitespace();
        let args = Args::try_parse_from(["rounds"].into_iter().chain(words));
        args.unwrap().campaign().unwrap()
    }

    /// The same as far as it matters to what happens: where files go, and when to stop, is left out.
    fn same(command: &str, wanted: &Campaign) {
        let (build, words) = command.split_once("/release/rounds ").unwrap();
        assert!(build.starts_with(
            "cargo build --release --workspace --bins --features quorate-tests/e2e && "
        ));
        let wanted = Campaign {
            limit: None,
            dir: None,
            ..wanted.clone()
        };
        assert_eq!(format!("{:?}", campaign(words)), format!("{wanted:?}"));
    }

    #[test]
    fn a_command_that_plays_rounds_again_plays_the_same() {
        let bare = "--protocol raft --seed 7 --rounds 9 --span 2.5 --seconds 60 --lease-drift 10 --pause 3";
        let raft = campaign(bare);
        same(&raft.replay_all(9), &raft);
        let mut one = raft.clone();
        (one.setup.seed, one.rounds, one.pause) = (9, 1, None);
        same(&raft.replay_round(9, &Cast::new()), &one);

        let any = campaign("--protocol pbft --nodes 7 --clients 2 --adversary any");
        same(&any.replay_all(10), &any);
        let cast = any.attack.cast(&any.setup, 4);
        let mut one = any.clone();
        (one.setup.seed, one.rounds) = (4, 1);
        one.attack = Attack::Named(cast.clone());
        same(&any.replay_round(4, &cast), &one);

        let named = campaign("--adversary 3:equivocate --rounds 2");
        same(&named.replay_all(2), &named);
    }
}
