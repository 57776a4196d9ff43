//! Many runs: on several threads, with their counters added up, and each failure with its seed.

use super::attack::{Attackable, Attacked};
use super::{Caught, Counters, Honest, Outcome, Protocol, Scenario, Sometimes, System, World};
use crate::check::Violation;
use crate::report::Section;
use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use consensus::raft::Raft;
use crypto::Time;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Payload commits that the median seed must reach, lest a campaign prove nothing.
pub const MEDIAN_PAYLOADS: u64 = 50;

/// Seeds after which each rare state has to have been reached.
pub const ENOUGH: u64 = 1_000;

/// Runs a seed. `verbose`: with the trace in words.
#[must_use]
pub fn run(protocol: Protocol, seed: u64, verbose: bool) -> Outcome {
    run_plan(Scenario::draw(protocol, seed), verbose)
}

/// Runs a scenario.
#[must_use]
pub fn run_plan(plan: Scenario, verbose: bool) -> Outcome {
    dispatch(plan, verbose, None)
}

/// Runs a scenario and judges one property only.
#[must_use]
pub fn run_plan_only(plan: Scenario, property: &'static str) -> Outcome {
    dispatch(plan, false, Some(property))
}

fn dispatch(plan: Scenario, verbose: bool, only: Option<&'static str>) -> Outcome {
    match plan.protocol {
        Protocol::HotStuff => world::<HotStuff>(plan, verbose, only),
        Protocol::Pbft => world::<Pbft>(plan, verbose, only),
        Protocol::Raft => world::<Raft>(plan, verbose, only),
    }
}

fn world<P: Attackable>(plan: Scenario, verbose: bool, only: Option<&'static str>) -> Outcome {
    match plan.attack.clone() {
        None => {
            let system = Honest::<P>::of(&plan);
            finish(World::new(plan, system, verbose), only)
        }
        Some(attack) => {
            let system = Attacked::<P>::of(&plan, &attack);
            finish(World::new(plan, system, verbose), only)
        }
    }
}

fn finish<S: System>(world: World<S>, only: Option<&'static str>) -> Outcome {
    match only {
        Some(property) => world.only(property).run(),
        None => world.run(),
    }
}

/// Seeds as they are written on the command line: `0..1000`.
///
/// # Errors
/// How to write them.
pub fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("write it as 0..1000")?;
    let number = |text: &str| text.parse::<u64>().map_err(|e| e.to_string());
    Ok(number(from)?..number(to)?)
}

/// Keeps panics of the machines out of the log: they are reported as violations.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Which protocol.
    pub protocol: Protocol,
    /// Which attack of how many nodes' f liars; `None`: all are honest.
    pub attack: Option<(String, usize)>,
    /// Which seeds.
    pub seeds: Range<u64>,
    /// On how many threads.
    pub jobs: usize,
    /// Begin no seed after so long.
    pub limit: Option<Duration>,
    /// Stop after so many failures.
    pub failures: usize,
    /// Run each so many-th seed twice and compare the traces; 0: none.
    pub twice: u64,
}

/// How often a campaign tells how far it is, in seeds.
const NEWS: u64 = 1_000;

/// What is told while a campaign runs.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// A seed broke a property.
    Broken(u64, &'a Violation),
    /// So far, in this time.
    Sofar(&'a Report, Duration),
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of which protocol.
    pub protocol: Protocol,
    /// The first seed.
    pub first: u64,
    /// Seeds run.
    pub seeds: u64,
    /// Rare states.
    pub counters: Counters,
    /// Broken properties.
    pub failures: Vec<(u64, Violation)>,
    /// Payload commits of each run, sorted.
    pub payloads: Vec<u64>,
    /// Committed heights of all runs.
    pub heights: u64,
    /// Events of all runs.
    pub events: u64,
    /// Virtual time of all runs, in seconds.
    pub virtual_seconds: f64,
    /// Lies told in all runs, and what honest nodes made of them.
    pub caught: Caught,
    /// Wall time.
    pub wall: Duration,
}

impl Report {
    /// Of nothing yet.
    #[must_use]
    pub fn new(protocol: Protocol, first: u64) -> Self {
        Self {
            protocol,
            first,
            seeds: 0,
            counters: Counters::default(),
            failures: Vec::new(),
            payloads: Vec::new(),
            heights: 0,
            events: 0,
            virtual_seconds: 0.0,
            caught: Caught::default(),
            wall: Duration::ZERO,
        }
    }
    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        self.counters.add(&outcome.counters);
        self.failures
            .extend(outcome.violation.map(|violation| (seed, violation)));
        self.payloads.push(outcome.payloads);
        self.heights += outcome.heights;
        self.events += outcome.events;
        self.caught.add(&outcome.caught);
        self.virtual_seconds += outcome.time.0 as f64 / 1e9;
    }
    /// Takes over all but the failures of another one, which are told with their own replay commands.
    pub fn merge(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.counters.add(&other.counters);
        self.payloads.extend(&other.payloads);
        self.payloads.sort_unstable();
        self.heights += other.heights;
        self.events += other.events;
        self.virtual_seconds += other.virtual_seconds;
        self.caught.add(&other.caught);
        self.wall += other.wall;
    }
    /// Payload commits of the median run.
    #[must_use]
    pub fn median_payloads(&self) -> u64 {
        self.payloads
            .get(self.payloads.len() / 2)
            .copied()
            .unwrap_or(0)
    }
    /// Rare states that were never reached.
    #[must_use]
    pub fn never(&self) -> Vec<Sometimes> {
        self.counters.never(self.protocol)
    }
    /// For the report of a soak run.
    #[must_use]
    pub fn section(&self, replay: &dyn Fn(u64) -> String) -> Section {
        let wall = self.wall.as_secs_f64();
        let mut section = Section::new(format!("simulator, {}", self.protocol.name()), wall)
            .ran(self.seeds, ENOUGH)
            .from(self.first, self.seeds)
            .figure("seeds", self.seeds as f64)
            .figure("seeds a second", self.seeds as f64 / wall.max(1e-9))
            .figure("hours of virtual time", self.virtual_seconds / 3_600.0)
            .figure("events", self.events as f64)
            .figure("heights", self.heights as f64)
            .figure(
                "payload commits of the median seed",
                self.median_payloads() as f64,
            );
        section.counters = self.counters.list(self.protocol);
        for (seed, it) in &self.failures {
            let what = format!("{} broken: {}", it.property, it.what);
            section.fail(what, replay(*seed));
        }
        section
    }
    /// The figures, one a line.
    #[must_use]
    pub fn text(&self) -> String {
        let wall = self.wall.as_secs_f64();
        format!(
            "{}{} seeds in {wall:.1} s ({:.1} a second), {:.1} s of virtual time, {} events, {} heights; \
             payload commits a seed: median {}, least {}; {} violations\n",
            self.counters.table(self.protocol),
            self.seeds,
            self.seeds as f64 / wall.max(1e-9),
            self.virtual_seconds,
            self.events,
            self.heights,
            self.median_payloads(),
            self.payloads.first().copied().unwrap_or(0),
            self.failures.len(),
        )
    }
}

impl Campaign {
    /// Runs it. `tell` hears of each failure at once.
    #[must_use]
    pub fn run(&self, tell: &(dyn Fn(News<'_>) + Sync)) -> Report {
        let begun = Instant::now();
        let next = AtomicU64::new(self.seeds.start);
        let stop = AtomicBool::new(false);
        let report = Mutex::new(Report::new(self.protocol, self.seeds.start));
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                if self.limit.is_some_and(|limit| begun.elapsed() >= limit) {
                    return;
                }
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= self.seeds.end {
                    return;
                }
                let outcome = self.one(seed);
                if let Some(violation) = &outcome.violation {
                    tell(News::Broken(seed, violation));
                }
                let mut report = report.lock().expect("nobody panics while holding it");
                report.add(seed, outcome);
                if report.seeds.is_multiple_of(NEWS) {
                    tell(News::Sofar(&report, begun.elapsed()));
                }
                if report.failures.len() >= self.failures {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(work);
            }
        });
        let mut report = report.into_inner().expect("nobody panics while holding it");
        report.payloads.sort_unstable();
        report.wall = begun.elapsed();
        report
    }

    /// The command that replays a seed.
    #[must_use]
    pub fn replay(&self, seed: u64) -> String {
        let protocol = self.protocol.name();
        let attack = self.attack.as_ref();
        let attack = attack.map(|(name, nodes)| format!(" --attack {name} --nodes {nodes}"));
        let attack = attack.unwrap_or_default();
        format!(
            "cargo run --release -p quorate-tests --bin sim -- --protocol {protocol}{attack} --seed {seed}"
        )
    }

    fn one(&self, seed: u64) -> Outcome {
        let plan = match &self.attack {
            Some((name, nodes)) => Scenario::attacked(self.protocol, seed, *nodes, name),
            None => Scenario::draw(self.protocol, seed),
        };
        let mut outcome = run_plan(plan.clone(), false);
        if self.twice > 0 && seed.is_multiple_of(self.twice) && outcome.violation.is_none() {
            let again = run_plan(plan, false).trace;
            if again != outcome.trace {
                let what = format!(
                    "two runs of one seed differ: {:x} and {again:x}",
                    outcome.trace
                );
                outcome.violation = Some(Violation {
                    property: "determinism",
                    at: Time(0),
                    what,
                });
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enough for scenarios with and without each fault.
    const SEEDS: Range<u64> = 0..24;

    fn each() -> impl Iterator<Item = (Protocol, u64)> {
        let of = |protocol| SEEDS.map(move |seed| (protocol, seed));
        Protocol::ALL.into_iter().flat_map(of)
    }

    #[test]
    fn a_seed_run_twice_takes_the_same_course() {
        let mut traces = Vec::new();
        for (protocol, seed) in each() {
            let (once, again) = (run(protocol, seed, false), run(protocol, seed, false));
            assert_eq!(once.trace, again.trace, "seed {seed}");
            assert_eq!(
                (once.events, once.time, once.heights),
                (again.events, again.time, again.heights),
                "seed {seed}"
            );
            traces.push(once.trace);
        }
        traces.sort_unstable();
        traces.dedup();
        assert_eq!(traces.len(), each().count(), "every seed has its own");
    }

    #[test]
    fn words_change_nothing() {
        for (protocol, seed) in each().step_by(6) {
            let trace = |verbose| run(protocol, seed, verbose).trace;
            assert_eq!(trace(false), trace(true), "seed {seed}");
        }
    }

    #[test]
    fn a_campaign_adds_up_and_ends_where_it_is_told() {
        let protocol = Protocol::HotStuff;
        let campaign = Campaign {
            attack: None,
            protocol,
            seeds: SEEDS,
            jobs: 2,
            limit: None,
            failures: 1,
            twice: 4,
        };
        let report = campaign.run(&|news| {
            if let News::Broken(seed, violation) = news {
                panic!("seed {seed}: {violation:?}");
            }
        });
        assert_eq!(report.seeds, SEEDS.end);
        let heights: u64 = SEEDS.map(|seed| run(protocol, seed, false).heights).sum();
        assert_eq!(report.heights, heights);
    }
}
