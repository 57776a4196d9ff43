//! What came of rounds: in lines for people, and as it is serialised for programs.

use super::{BOUND, Campaign, more};
use crate::processes::book::Tally;
use crate::processes::pauses::Slept;
use crate::processes::{Attack, Broken, Cast, Most, Plan};
use crate::report::{Section, Table};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// One round.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// Its seed.
    pub seed: u64,
    /// What was done to the cluster.
    pub faults: String,
    /// Who lied, and how.
    pub lies: Cast,
    /// What clients asked for.
    pub operations: u64,
    /// Of these, what was answered with a result.
    pub answered: u64,
    /// Writes of unique keys that were acknowledged, and found again.
    pub kept: usize,
    /// The longest that an answer took, in milliseconds.
    pub slowest_ms: u64,
    /// All nodes served so long after everything was healed, in milliseconds.
    pub back_ms: u64,
    /// Requests without a result, by gRPC code.
    pub failures: BTreeMap<String, u64>,
    /// The most memory of a node, in bytes.
    pub memory: u64,
    /// The most open files of a node.
    pub files: usize,
}

/// The first thing that was found wrong; nothing is run after it.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// The property, if it is one.
    pub property: Option<&'static str>,
    /// What happened.
    pub what: String,
    /// The seed of the round, if it was one.
    pub seed: Option<u64>,
    /// How to run that again.
    pub replay: String,
    /// Where the nodes' logs and data are.
    pub kept: Option<PathBuf>,
}

/// All rounds of a campaign.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Who ordered.
    pub protocol: &'static str,
    /// How many nodes.
    pub nodes: usize,
    /// Each round.
    pub rounds: Vec<Round>,
    /// The liars of whom an honest node has a proof.
    pub proven: BTreeSet<usize>,
    /// Real time, in seconds.
    pub seconds: f64,
    /// The most memory of a node, in bytes.
    pub memory: u64,
    /// The most open files of a node.
    pub files: usize,
    /// What a pause under load came to, if there was one.
    pub pause: Option<String>,
    /// What was found.
    pub failure: Option<Failure>,
    /// The round under way.
    #[serde(skip)]
    at: u64,
    /// Who lies in it.
    #[serde(skip)]
    cast: Cast,
    /// Rounds that it takes until all that the attack consists of was played.
    #[serde(skip)]
    ways: usize,
    /// All rounds are over.
    #[serde(skip)]
    pub(super) last_words: bool,
}

impl Round {
    pub(super) fn new(seed: u64, plan: &Plan, tally: &Tally, kept: usize, back: Duration) -> Self {
        Self {
            seed,
            faults: plan.to_string(),
            lies: Cast::new(),
            operations: tally.operations,
            answered: tally.answered,
            kept,
            slowest_ms: millis(tally.slowest),
            back_ms: millis(back),
            failures: tally.failures.clone(),
            memory: 0,
            files: 0,
        }
    }
    pub(super) fn held(&mut self, most: Most) {
        (self.memory, self.files) = (most.memory, most.files);
    }
}

impl Report {
    pub(super) fn of(campaign: &Campaign) -> Self {
        Self {
            protocol: campaign.setup.protocol.name(),
            nodes: campaign.setup.nodes,
            rounds: Vec::new(),
            proven: BTreeSet::new(),
            seconds: 0.0,
            memory: 0,
            files: 0,
            pause: None,
            failure: None,
            at: campaign.setup.seed,
            cast: Cast::new(),
            ways: campaign.attack.ways(campaign.setup.protocol),
            last_words: false,
        }
    }
    pub(super) fn begins(&mut self, seed: u64, cast: &Cast) {
        (self.at, self.cast) = (seed, cast.clone());
    }
    pub(super) fn took_place(&mut self, round: Round) {
        self.held(Most {
            memory: round.memory,
            files: round.files,
        });
        self.rounds.push(round);
    }
    pub(super) fn held(&mut self, most: Most) {
        let mut held = self.most();
        more(&mut held, most);
        (self.memory, self.files) = (held.memory, held.files);
    }
    pub(super) fn most(&self) -> Most {
        Most {
            memory: self.memory,
            files: self.files,
        }
    }
    pub(super) fn slept(&mut self, slept: &Slept) {
        self.pause = Some(slept.to_string());
    }
    pub(super) fn failed(
        &mut self,
        campaign: &Campaign,
        error: &anyhow::Error,
        kept: Option<PathBuf>,
    ) {
        let first = if self.last_words {
            campaign.setup.seed
        } else {
            self.at
        };
        let rounds = if self.last_words {
            self.rounds.len().max(1)
        } else {
            1
        };
        let Campaign {
            setup,
            span,
            clients,
            attack,
            ..
        } = campaign;
        let mut replay = format!(
            "rounds --protocol {} --nodes {} --seed {first} --rounds {rounds} --span {} --clients {clients}",
            setup.protocol.name(),
            setup.nodes,
            span.as_secs_f64(),
        );
        if self.last_words && *attack == Attack::Any {
            replay += " --adversary any";
        } else {
            let liars = self.cast.iter();
            replay.extend(liars.map(|(node, name)| format!(" --adversary {node}:{name}")));
        }
        self.failure = Some(Failure {
            property: error.downcast_ref::<Broken>().map(|broken| broken.property),
            what: format!("{error:#}"),
            seed: (!self.last_words).then_some(self.at),
            replay,
            kept,
        });
    }

    /// Its section in the report of a soak run.
    #[must_use]
    pub fn section(&self) -> Section {
        let (asked, answered) = self.operations();
        let kept: usize = self.rounds.iter().map(|round| round.kept).sum();
        let slowest = self.rounds.iter().map(|round| round.back_ms).max();
        let rounds = self.rounds.len() as u64;
        let (what, of) = if self.cast.is_empty() {
            ("fault rounds", rounds)
        } else {
            ("fault rounds with liars", self.ways as u64)
        };
        let part = format!("{what} on real processes, {}", self.protocol);
        let mut section = Section::new(part, self.seconds)
            .ran(rounds, of)
            .figure("nodes", self.nodes as f64)
            .figure("rounds", self.rounds.len() as f64)
            .figure("operations", asked as f64)
            .figure("of them answered", answered as f64)
            .figure("unique writes found again", kept as f64)
            .figure(
                "ms until all served again, at most",
                slowest.unwrap_or_default() as f64,
            )
            .figure("MiB held by a node, at most", (self.memory >> 20) as f64)
            .figure("files open at a node, at most", self.files as f64);
        section.table = self.attacks();
        if !self.cast.is_empty() {
            section = section.figure("liars with a proof against them", self.proven.len() as f64);
        }
        if let Some(failure) = &self.failure {
            section.fail(failure.to_string(), failure.replay.clone());
        }
        section
    }

    /// What was played by whom, if anybody lied, and what clients got of the honest ones meanwhile.
    fn attacks(&self) -> Option<Table> {
        let lies = self.rounds.iter().flat_map(|round| &round.lies);
        let mut liars: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (node, name) in lies {
            liars.entry(name).or_default().insert(format!("node{node}"));
        }
        let rows = liars.into_iter().map(|(name, liars)| {
            let told = |it: &&Round| it.lies.values().any(|it| it == name);
            let rounds: Vec<&Round> = self.rounds.iter().filter(told).collect();
            let sum = |of: fn(&Round) -> u64| rounds.iter().map(|it| of(it)).sum::<u64>();
            let figures = [
                rounds.len() as u64,
                sum(|it| it.operations),
                sum(|it| it.answered),
                rounds
                    .iter()
                    .map(|it| it.slowest_ms)
                    .max()
                    .unwrap_or_default(),
            ];
            let liars: Vec<String> = liars.into_iter().collect();
            let words = [name.to_owned(), liars.join(" ")];
            words
                .into_iter()
                .chain(figures.map(|it| it.to_string()))
                .collect()
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let head = [
            "attack",
            "by",
            "rounds",
            "operations",
            "answered",
            "slowest, ms",
        ];
        let head = head.map(str::to_owned).to_vec();
        (!rows.is_empty()).then_some(Table { head, rows })
    }

    /// What clients asked for in all rounds, and what was answered of it.
    #[must_use]
    pub fn operations(&self) -> (u64, u64) {
        let asked = self.rounds.iter().map(|round| round.operations).sum();
        let answered = self.rounds.iter().map(|round| round.answered).sum();
        (asked, answered)
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {} operations, {} answered, {} kept, slowest {} ms, all serve after {} ms, {} MiB, {} files",
            self.seed,
            self.operations,
            self.answered,
            self.kept,
            self.slowest_ms,
            self.back_ms,
            self.memory >> 20,
            self.files
        )?;
        for (code, count) in &self.failures {
            write!(f, ", {count} {code}")?;
        }
        for (node, name) in &self.lies {
            write!(f, " | node{node} lies: {name}")?;
        }
        write!(f, " | {}", self.faults)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (asked, answered) = self.operations();
        let kept: usize = self.rounds.iter().map(|round| round.kept).sum();
        let slowest = self.rounds.iter().map(|round| round.back_ms).max();
        write!(
            f,
            "{}, {} nodes: {} rounds in {:.0} s, {asked} operations, {answered} answered, {kept} kept, \
             all serve within {} ms of {} ms, at most {} MiB and {} files a node",
            self.protocol,
            self.nodes,
            self.rounds.len(),
            self.seconds,
            slowest.unwrap_or_default(),
            BOUND.as_millis(),
            self.memory >> 20,
            self.files
        )?;
        if let Some(table) = self.attacks() {
            write!(f, "\n{}proven liars: {:?}", table.markdown(), self.proven)?;
        }
        if let Some(pause) = &self.pause {
            write!(f, "\n{pause}")?;
        }
        if let Some(failure) = &self.failure {
            write!(f, "\n{failure}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seed {
            Some(seed) => write!(f, "FAILED: seed {seed}: {}", self.what)?,
            None => write!(f, "FAILED: after all rounds: {}", self.what)?,
        }
        write!(f, "\n    replay: {}", self.replay)?;
        if let Some(kept) = &self.kept {
            write!(f, "\n    logs and data: {}", kept.display())?;
        }
        Ok(())
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
