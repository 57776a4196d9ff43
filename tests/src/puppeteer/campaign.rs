//! Many plays: on several threads, with what they reached added up, and each failure with its seed.

use super::{Counts, Manner, Outcome, Plan, Rare, Troupe, play};
use crate::check::Violation;
use crate::report::Section;
use crypto::Time;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Seeds that a thread takes at a time.
const SHARE: u64 = 256;
/// How often a campaign tells how far it is.
const NEWS: Duration = Duration::from_secs(30);

/// Plays after which each rare state has to have been reached.
pub const ENOUGH: u64 = 20_000;

/// What to play.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// All but the seed.
    pub plan: Plan,
    /// Which seeds.
    pub seeds: Range<u64>,
    /// On how many threads.
    pub jobs: usize,
    /// Begin no seed after so long.
    pub limit: Option<Duration>,
    /// Stop after so many failures.
    pub failures: usize,
    /// Play each so many-th seed twice, with every message checked, and compare; 0: none.
    pub twice: u64,
}

/// What is told meanwhile.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// A seed broke a property.
    Broken(Plan, &'a Violation),
    /// So far, in this time.
    Sofar(&'a Report, Duration),
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// All but the seed.
    pub plan: Plan,
    /// The first seed.
    pub first: u64,
    /// Seeds played.
    pub seeds: u64,
    /// Of these, how many twice.
    pub twice: u64,
    /// Rare states.
    pub counts: Counts,
    /// Broken properties.
    pub failures: Vec<(u64, Violation)>,
    /// Heights committed under attack, of all plays.
    pub heights: u64,
    /// Views of the attacks.
    pub views: u64,
    /// Steps of all cores, and of these under attack.
    pub steps: (u64, u64),
    /// Most views until all had committed something new, once all was well.
    pub healing: u64,
    /// Wall time.
    pub wall: Duration,
}

impl Report {
    fn new(plan: Plan, first: u64) -> Self {
        Self {
            plan,
            first,
            seeds: 0,
            twice: 0,
            counts: Counts::default(),
            failures: Vec::new(),
            heights: 0,
            views: 0,
            steps: (0, 0),
            healing: 0,
            wall: Duration::ZERO,
        }
    }
    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        self.counts.add(outcome.rares);
        self.heights += outcome.heights;
        self.views += outcome.views;
        self.steps.0 += outcome.steps.0;
        self.steps.1 += outcome.steps.1;
        self.healing = self.healing.max(outcome.healing);
        self.failures
            .extend(outcome.violation.map(|violation| (seed, violation)));
    }
    fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.twice += other.twice;
        self.counts.merge(&other.counts);
        self.heights += other.heights;
        self.views += other.views;
        self.steps.0 += other.steps.0;
        self.steps.1 += other.steps.1;
        self.healing = self.healing.max(other.healing);
        self.failures.extend(other.failures);
    }
    /// Plays in a second.
    #[must_use]
    pub fn rate(&self, wall: Duration) -> f64 {
        self.seeds as f64 / wall.as_secs_f64().max(1e-9)
    }
    /// Rare states that were never reached.
    #[must_use]
    pub fn never(&self) -> Vec<Rare> {
        self.counts.never(self.plan.protocol)
    }
    /// For the report of a soak run.
    #[must_use]
    pub fn section(&self) -> Section {
        let part = format!("puppeteer, {}", self.plan.name());
        let mut section = Section::new(part, self.wall.as_secs_f64())
            .ran(self.seeds, ENOUGH)
            .from(self.first, self.seeds)
            .figure("plays", self.seeds as f64)
            .figure("plays a second", self.rate(self.wall))
            .figure(
                "plays that commit under attack",
                self.counts.of(Rare::Committed) as f64,
            )
            .figure("views of attack", self.views as f64)
            .figure("steps of the cores", self.steps.0 as f64)
            .figure(
                "healthy views until all commit anew, at most",
                self.healing as f64,
            );
        section.counters = self.counts.list(self.plan.protocol);
        for (seed, it) in &self.failures {
            let what = format!("{} broken: {}", it.property, it.what);
            section.fail(what, self.plan.with(*seed).command());
        }
        section
    }
    /// The figures, one a line.
    #[must_use]
    pub fn text(&self) -> String {
        let each = |sum: u64| sum as f64 / self.seeds.max(1) as f64;
        let committed = self.counts.of(Rare::Committed);
        format!(
            "{}{}: {} plays in {:.1} s ({:.0} a second), {} of them twice; each {:.1} views and {:.0} steps, {:.0} of them under attack; \
             {committed} commit under attack, {:.2} heights each; all have committed anew within {} healthy views; \
             {} violations\n",
            self.counts.table(self.plan.protocol),
            self.plan.name(),
            self.seeds,
            self.wall.as_secs_f64(),
            self.rate(self.wall),
            self.twice,
            each(self.views),
            each(self.steps.0),
            each(self.steps.1),
            each(self.heights),
            self.healing,
            self.failures.len(),
        )
    }
}

impl Campaign {
    /// Plays. `tell` hears of each failure at once.
    #[must_use]
    pub fn run(&self, tell: &(dyn Fn(News<'_>) + Sync)) -> Report {
        let begun = Instant::now();
        let next = AtomicU64::new(self.seeds.start);
        let all = Mutex::new((Report::new(self.plan, self.seeds.start), Duration::ZERO));
        let is_late = || self.limit.is_some_and(|limit| begun.elapsed() >= limit);
        let work = || {
            let troupe = Troupe::of(self.plan.nodes);
            loop {
                let from = next.fetch_add(SHARE, Ordering::Relaxed);
                if from >= self.seeds.end || is_late() {
                    return;
                }
                let mut share = Report::new(self.plan, from);
                for seed in from..self.seeds.end.min(from + SHARE) {
                    let outcome = self.one(seed, &troupe, &mut share.twice);
                    if let Some(violation) = &outcome.violation {
                        tell(News::Broken(self.plan.with(seed), violation));
                    }
                    share.add(seed, outcome);
                }
                let mut all = all.lock().expect("nobody panics while holding it");
                let (report, told) = &mut *all;
                report.merge(share);
                if begun.elapsed() >= *told + NEWS {
                    *told = begun.elapsed();
                    tell(News::Sofar(report, begun.elapsed()));
                }
                if report.failures.len() >= self.failures {
                    next.store(self.seeds.end, Ordering::Relaxed);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(work);
            }
        });
        let (mut report, _) = all.into_inner().expect("nobody panics while holding it");
        report.wall = begun.elapsed();
        report
    }

    /// One seed. What breaks has to break again with every message checked.
    fn one(&self, seed: u64, troupe: &Troupe, twice: &mut u64) -> Outcome {
        let plan = self.plan.with(seed);
        let mut outcome = play(plan, troupe, Manner::default());
        let again = self.twice > 0 && seed.is_multiple_of(self.twice);
        if again || outcome.violation.is_some() {
            *twice += 1;
            let checked = Manner {
                checked: true,
                in_words: false,
            };
            let other = play(plan, troupe, checked);
            if (other.trace, &other.violation) != (outcome.trace, &outcome.violation) {
                let what = format!(
                    "two plays of one seed differ: {:x}, {:?}, and, checked, {:x}, {:?}",
                    outcome.trace, outcome.violation, other.trace, other.violation
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
