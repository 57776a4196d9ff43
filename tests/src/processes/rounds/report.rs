//! What came of rounds: in lines for people, and as it is serialised for programs.

use super::{BOUND, Campaign, more};
use crate::processes::book::Tally;
use crate::processes::pauses::Slept;
use crate::processes::{Broken, Cast, Most, Plan, Told, attack};
use crate::report::{Section, Table};
use genesis::Protocol;
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
    /// How often, in each way. If nothing at all, the round is void as an attack.
    pub told: Told,
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
    /// How many attacks there are to be played.
    #[serde(skip)]
    attacks: usize,
    /// The same as `protocol`.
    #[serde(skip)]
    kind: Protocol,
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
            told: Told::new(),
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
    /// Whether some were to lie, and told nothing but the truth.
    #[must_use]
    pub fn is_void(&self) -> bool {
        !self.lies.is_empty() && self.told.is_empty()
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
            attacks: campaign.attack.count(campaign.setup.protocol),
            kind: campaign.setup.protocol,
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
        let replay = if self.last_words {
            campaign.replay_all(self.rounds.len().max(1) as u64)
        } else {
            campaign.replay_round(self.at, &self.cast)
        };
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
        let attacks = self.attacks();
        let (what, ran, of) = if self.cast.is_empty() {
            ("fault rounds", rounds, rounds)
        } else {
            let played = attacks.iter().filter(|it| it.void < it.rounds).count();
            (
                "fault rounds with liars",
                played as u64,
                self.attacks as u64,
            )
        };
        let part = format!("{what} on real processes, {}", self.protocol);
        let mut section = Section::new(part, self.seconds)
            .ran(ran, of)
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
        if !self.cast.is_empty() {
            let sum = |of: fn(&Played) -> u64| attacks.iter().map(of).sum::<u64>() as f64;
            section = section
                .figure("liars with a proof against them", self.proven.len() as f64)
                .figure("rounds void, since nothing was told", sum(|it| it.void))
                .figure("ways to lie", sum(|it| it.ways.len() as u64))
                .figure("of them told", sum(Played::told));
        }
        section.table = table(&attacks);
        if let Some(failure) = &self.failure {
            section.fail(failure.to_string(), failure.replay.clone());
        }
        section
    }

    /// What was played, by name.
    fn attacks(&self) -> Vec<Played> {
        let mut all: BTreeMap<&str, Played> = BTreeMap::new();
        for round in &self.rounds {
            let names: BTreeSet<&str> = round.lies.values().map(String::as_str).collect();
            for name in names {
                let new = || Played::new(self.kind, name);
                all.entry(name).or_insert_with(new).add(round);
            }
        }
        all.into_values().collect()
    }

    /// What clients asked for in all rounds, and what was answered of it.
    #[must_use]
    pub fn operations(&self) -> (u64, u64) {
        let asked = self.rounds.iter().map(|round| round.operations).sum();
        let answered = self.rounds.iter().map(|round| round.answered).sum();
        (asked, answered)
    }
}

/// What became of an attack, and what clients got of the honest ones meanwhile.
struct Played {
    name: String,
    by: BTreeSet<usize>,
    rounds: u64,
    /// Of these, those in which nothing was told.
    void: u64,
    operations: u64,
    answered: u64,
    slowest_ms: u64,
    /// All that it has, and how often each was told. Where several attacks share a round, theirs too as
    /// far as they are called the same.
    ways: BTreeMap<&'static str, u64>,
}

impl Played {
    fn new(protocol: Protocol, name: &str) -> Self {
        let ways = attack::ways(protocol, name).into_iter();
        Self {
            name: name.to_owned(),
            by: BTreeSet::new(),
            rounds: 0,
            void: 0,
            operations: 0,
            answered: 0,
            slowest_ms: 0,
            ways: ways.map(|way| (way, 0)).collect(),
        }
    }
    fn add(&mut self, round: &Round) {
        let liars = round.lies.iter().filter(|(_, name)| **name == self.name);
        self.by.extend(liars.map(|(node, _)| *node));
        let mut told = 0;
        for (way, count) in &mut self.ways {
            let fresh = round.told.get(*way).copied().unwrap_or(0);
            *count += fresh;
            told += fresh;
        }
        self.rounds += 1;
        self.void += u64::from(told == 0);
        self.operations += round.operations;
        self.answered += round.answered;
        self.slowest_ms = self.slowest_ms.max(round.slowest_ms);
    }
    /// How many of its ways were told.
    fn told(&self) -> u64 {
        self.ways.values().filter(|count| **count > 0).count() as u64
    }
    fn row(&self) -> Vec<String> {
        let by: Vec<_> = self.by.iter().map(|node| format!("node{node}")).collect();
        let ways = self.ways.iter();
        let ways: Vec<_> = ways.map(|(way, count)| format!("{way}: {count}")).collect();
        let figures = [
            self.rounds,
            self.void,
            self.operations,
            self.answered,
            self.slowest_ms,
        ];
        let words = [self.name.clone(), by.join(" ")].into_iter();
        let figures = figures.map(|it| it.to_string());
        words.chain(figures).chain([ways.join(", ")]).collect()
    }
}

fn table(attacks: &[Played]) -> Option<Table> {
    let head = [
        "attack",
        "by",
        "rounds",
        "of them void",
        "operations",
        "answered",
        "slowest, ms",
        "lies, to each who was told",
    ];
    let head = head.map(str::to_owned).to_vec();
    let rows: Vec<_> = attacks.iter().map(Played::row).collect();
    (!rows.is_empty()).then_some(Table { head, rows })
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
        for (i, (way, count)) in self.told.iter().enumerate() {
            let before = if i == 0 { ": " } else { ", " };
            write!(f, "{before}{way} {count}")?;
        }
        if self.is_void() {
            f.write_str(": VOID, nothing was told")?;
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
        if let Some(table) = table(&self.attacks()) {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::processes::{Attack, Setup};

    fn round(seed: u64, name: &str, told: &[(&str, u64)]) -> Round {
        let plan = Plan::draw(seed, 4, 1, Duration::from_secs(1));
        let none = Duration::ZERO;
        let mut round = Round::new(seed, &plan, &Tally::default(), 0, none);
        round.lies = Cast::from([(3, name.to_owned())]);
        let told = told.iter().map(|(way, count)| ((*way).to_owned(), *count));
        round.told = told.collect();
        round
    }

    #[test]
    fn a_round_in_which_nothing_was_told_counts_as_no_attack() {
        let setup = Setup::smallest(Protocol::Pbft, 0);
        let campaign = Campaign::new(setup, 3).attacked(Attack::Any);
        let mut report = Report::of(&campaign);
        let vote = [("another vote", 7)];
        let rounds = [
            round(0, "double-vote", &vote),
            round(1, "double-vote", &[]),
            round(2, "forge", &[]),
        ];
        let void: Vec<bool> = rounds.iter().map(Round::is_void).collect();
        assert_eq!(void, [false, true, true]);
        assert!(
            rounds[0]
                .to_string()
                .contains("double-vote: another vote 7 |")
        );
        assert!(
            rounds[2]
                .to_string()
                .contains("forge: VOID, nothing was told")
        );
        for round in rounds {
            report.begins(round.seed, &round.lies);
            report.took_place(round);
        }
        let section = report.section();
        assert_eq!(
            (section.ran, section.of),
            (1, Attack::Any.count(Protocol::Pbft) as u64)
        );
        let rows = section.table.unwrap().rows;
        assert_eq!(rows[0][..4], ["double-vote", "node3", "2", "1"]);
        let lies = "a view given up in another way: 0, another vote: 7";
        assert_eq!(rows[0].last().unwrap(), lies);
        assert_eq!(rows[1][..4], ["forge", "node3", "1", "1"]);
    }
}
