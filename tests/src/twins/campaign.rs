//! Many schedules, on several threads.

use super::instance::Members;
use super::world::{How, World};
use super::{Cast, Facts, Outcome, Protocol, Schedule, Space, Split, Twinned};
use crate::check::Violation;
use crate::report::Section;
use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use crypto::Time;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How many schedules a thread takes at once.
const CHUNK: usize = 64;
/// How often a campaign tells how far it is, in schedules.
const NEWS: u64 = 100_000;

/// Which schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// All of a space, up to symmetry.
    All(Space),
    /// Of all of a space each so many-th, from one on: whoever has time for a part plays another one each
    /// time.
    Shard {
        /// Of what.
        space: Space,
        /// Which, from 0 on.
        shard: u64,
        /// Of how many.
        of: u64,
    },
    /// So many of it, drawn from a seed.
    Sample {
        /// From what.
        space: Space,
        /// How many.
        count: u64,
        /// From which seed.
        seed: u64,
    },
}

impl Plan {
    /// All of a space.
    ///
    /// # Errors
    /// In words, if that is too much.
    pub fn all(space: Space) -> Result<Self, String> {
        space.is_enumerable()?;
        Ok(Self::All(space))
    }
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::All(space) => space.classes(),
            Self::Shard { space, shard, of } => (space.classes() + of - 1 - shard) / of,
            Self::Sample { count, .. } => *count,
        }
    }
    /// In words.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::All(space) => format!("all schedules of {}", space.text()),
            Self::Shard { space, shard, of } => {
                format!("shard {shard} of {of} of all schedules of {}", space.text())
            }
            Self::Sample { space, seed, .. } => {
                format!("schedules of {}, drawn from seed {seed}", space.text())
            }
        }
    }
    /// The schedules.
    #[must_use]
    pub fn schedules(&self) -> Box<dyn Iterator<Item = Schedule> + Send> {
        match *self {
            Self::All(space) => Box::new(space.canonical()),
            Self::Shard { space, shard, of } => {
                let all = space.canonical();
                Box::new(all.skip(shard as usize).step_by(of as usize))
            }
            Self::Sample { space, count, seed } => {
                let mut lots = ChaCha12Rng::seed_from_u64(seed);
                Box::new((0..count).map(move |_| drawn(&space, &mut lots)))
            }
        }
    }
}

/// Splits that cut nobody off from a quorum, or none at all, are as likely as all others together: where
/// the network falls to pieces in each view nothing ever comes about.
fn drawn(space: &Space, lots: &mut ChaCha12Rng) -> Schedule {
    let mut draw = || {
        let number = u32::try_from(lots.next_u64() % u64::from(space.rounds()));
        let mut round = space.round(number.expect("less than the number of rounds"));
        if lots.next_u64() & 1 == 0 {
            round.splits = round.splits.map(|it| with_quorum(it, space.cast));
        }
        round
    };
    Schedule {
        cast: space.cast,
        warm: space.warm,
        rounds: (0..space.views).map(|_| draw()).collect(),
    }
}

/// The split itself if one of its sides has a quorum of members, else none.
fn with_quorum(split: Split, cast: Cast) -> Split {
    let members = |away: bool| {
        let of = (0..cast.instances()).filter(|i| (split.side() >> i & 1 == 1) == away);
        let mut members: Vec<_> = of.map(|i| cast.member(i)).collect();
        members.sort_unstable();
        members.dedup();
        members.len()
    };
    let faulty = (cast.nodes() - 1) / 3;
    let enough = |members: usize| 2 * members > cast.nodes() + faulty;
    if enough(members(false)) || enough(members(true)) {
        split
    } else {
        Split::NONE
    }
}

/// What to play.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// Which protocol.
    pub protocol: Protocol,
    /// Which schedules.
    pub plan: Plan,
    /// Judge this property only.
    pub only: Option<&'static str>,
    /// On how many threads.
    pub jobs: usize,
    /// Begin none after so long.
    pub limit: Option<Duration>,
    /// Stop after so many failures.
    pub failures: usize,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Schedules played.
    pub schedules: u64,
    /// In how many of them an honest member committed by a certificate of the scheduled views.
    pub early: u64,
    /// In how many something proposed in the scheduled views was committed, then or later.
    pub kept: u64,
    /// In how many the twins were accused.
    pub accused: u64,
    /// How many committed something new first in which view behind the scheduled ones.
    pub views: [u64; 6],
    /// Messages delivered.
    pub messages: u64,
    /// What is broken.
    pub failures: Vec<(Schedule, Violation)>,
    /// Wall time.
    pub wall: Duration,
}

impl Report {
    fn add(&mut self, schedule: &Schedule, outcome: Outcome) {
        let facts = outcome.facts;
        self.schedules += 1;
        self.early += u64::from(facts.early);
        self.kept += u64::from(facts.kept);
        self.accused += u64::from(facts.accused);
        self.messages += facts.messages;
        match outcome.violation {
            Some(violation) => self.failures.push((schedule.clone(), violation)),
            None => self.views[(facts.views as usize).min(self.views.len() - 1)] += 1,
        }
    }
    fn merge(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.early += other.early;
        self.kept += other.kept;
        self.accused += other.accused;
        self.messages += other.messages;
        for (all, its) in self.views.iter_mut().zip(other.views) {
            *all += its;
        }
        self.failures.extend(other.failures);
    }
    /// Schedules a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.schedules as f64 / self.wall.as_secs_f64().max(1e-9)
    }
    /// The figures.
    #[must_use]
    pub fn text(&self) -> String {
        let share = |count: u64| 100.0 * count as f64 / self.schedules.max(1) as f64;
        format!(
            "{} schedules in {:.1} s ({:.0} a second, {:.0} messages each): {} ({:.1}%) commit by \
             certificates of the scheduled views, {} ({:.1}%) what was proposed there; twins are accused \
             in {} ({:.1}%); first commit behind them in view {:?}; {} violations\n",
            self.schedules,
            self.wall.as_secs_f64(),
            self.rate(),
            self.messages as f64 / self.schedules.max(1) as f64,
            self.early,
            share(self.early),
            self.kept,
            share(self.kept),
            self.accused,
            share(self.accused),
            self.views,
            self.failures.len(),
        )
    }
}

impl Campaign {
    /// What came of it, for the report of a soak run.
    #[must_use]
    pub fn section(&self, report: &Report) -> Section {
        // There is no end of what is drawn.
        let of = match self.plan {
            Plan::Sample { .. } => report.schedules,
            _ => self.plan.count(),
        };
        let part = format!("twins, {}: {}", self.protocol.name(), self.plan.text());
        let mut section = Section::new(part, report.wall.as_secs_f64())
            .ran(report.schedules, of)
            .figure("schedules", report.schedules as f64)
            .figure("a second", report.rate())
            .figure("messages", report.messages as f64);
        let counted = [
            (
                "committed by certificates of the scheduled views",
                report.early,
            ),
            ("committed what was proposed there", report.kept),
            ("twins accused", report.accused),
        ];
        section.counters = counted.map(|(what, times)| (what.to_owned(), times)).into();
        for (schedule, it) in &report.failures {
            let what = format!("{}: {}", it.property, it.what);
            section.fail(what, replay(self.protocol, schedule, self.only));
        }
        section
    }
    /// Plays one schedule of its protocol, with its course in words.
    #[must_use]
    pub fn play(protocol: Protocol, schedule: &Schedule, only: Option<&'static str>) -> Outcome {
        match protocol {
            Protocol::HotStuff => told::<HotStuff>(schedule, only),
            Protocol::Pbft => told::<Pbft>(schedule, only),
        }
    }
    /// Plays all. `tell` hears of each failure, and now and then how far it is.
    #[must_use]
    pub fn run(&self, tell: &(dyn Fn(&str) + Sync)) -> Report {
        match self.protocol {
            Protocol::HotStuff => self.all::<HotStuff>(tell),
            Protocol::Pbft => self.all::<Pbft>(tell),
        }
    }

    fn part<P: Twinned>(
        &self,
        members: &Members,
        chunk: &[Schedule],
        tell: &(dyn Fn(&str) + Sync),
    ) -> Report {
        let mut part = Report::default();
        for (i, schedule) in chunk.iter().enumerate() {
            let how = How {
                only: self.only,
                // Checks cost as much as all the rest.
                thorough: i == 0,
                verbose: false,
            };
            let outcome = one::<P>(members, schedule, how);
            if let Some(it) = &outcome.violation {
                tell(&failure(self.protocol, schedule, self.only, it));
            }
            part.add(schedule, outcome);
        }
        part
    }
    fn all<P: Twinned>(&self, tell: &(dyn Fn(&str) + Sync)) -> Report {
        let begun = Instant::now();
        let schedules = Mutex::new(self.plan.schedules());
        let stop = AtomicBool::new(false);
        let report = Mutex::new(Report::default());
        let work = || {
            let mut members = None;
            let late = || self.limit.is_some_and(|limit| begun.elapsed() >= limit);
            while !stop.load(Ordering::Relaxed) && !late() {
                let chunk: Vec<Schedule> = {
                    let mut schedules = schedules.lock().expect("nobody panics while holding it");
                    schedules.by_ref().take(CHUNK).collect()
                };
                let Some(first) = chunk.first() else { return };
                let nodes = first.cast.nodes();
                let members = members.get_or_insert_with(|| Members::new::<P>(nodes));
                let part = self.part::<P>(members, &chunk, tell);
                let mut report = report.lock().expect("nobody panics while holding it");
                let before = report.schedules / NEWS;
                report.merge(part);
                if report.schedules / NEWS > before {
                    let (done, all) = (report.schedules, self.plan.count());
                    let rate = done as f64 / begun.elapsed().as_secs_f64().max(1e-9);
                    tell(&format!("{done} of {all} schedules, {rate:.0} a second"));
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
        report.wall = begun.elapsed();
        report
    }
}

/// What is broken by which schedule, and how to see it again.
#[must_use]
pub fn failure(
    protocol: Protocol,
    schedule: &Schedule,
    only: Option<&'static str>,
    it: &Violation,
) -> String {
    let replay = replay(protocol, schedule, only);
    let (property, what) = (it.property, &it.what);
    format!("{property} broken by {schedule}: {what}\n    replay: {replay}")
}

/// The command that plays a schedule again.
fn replay(protocol: Protocol, schedule: &Schedule, only: Option<&'static str>) -> String {
    let (name, cast) = (protocol.name(), schedule.cast);
    let cast = if cast == Cast::FOUR {
        String::new()
    } else {
        format!(" --nodes {} --twins {}", cast.nodes(), cast.twins())
    };
    let only = only.map_or(String::new(), |it| format!(" --only {it}"));
    format!(
        "cargo run --release -p quorate-tests --bin twins -- --protocol {name}{cast}{only} \
         --schedule {schedule}"
    )
}

/// Plays a schedule with words.
fn told<P: Twinned>(schedule: &Schedule, only: Option<&'static str>) -> Outcome {
    let members = Members::new::<P>(schedule.cast.nodes());
    let how = How {
        only,
        thorough: true,
        verbose: true,
    };
    one::<P>(&members, schedule, how)
}

/// Plays a schedule with these members; what panics has broken something, too.
pub(super) fn one<P: Twinned>(members: &Members, schedule: &Schedule, how: How) -> Outcome {
    let play = || World::<P>::new(members, schedule, how).run();
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let short = || panic.downcast_ref::<&str>().map(|it| (*it).to_owned());
        let violation = Violation {
            property: "panic",
            at: Time(0),
            what: text.or_else(short).unwrap_or_default(),
        };
        Outcome {
            violation: Some(violation),
            facts: Facts::default(),
            words: Vec::new(),
        }
    })
}
