//! Plays schedules of Twins: `twins --views 3`, or one of them in words: `twins --schedule b05.a1e.c00`.

use clap::Parser;
use quorate_tests::sim::campaign::quiet_panics;
use quorate_tests::twins::{Campaign, Cast, PROPERTIES, Plan, Protocol, Schedule, Space};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Members that run twice under one key, over a network that shows the ones to some and the others to
/// others: all schedules of so many views, up to symmetry.
#[derive(Parser)]
#[command(after_help = "Example: twins --views 3 --jobs 2")]
struct Args {
    /// The protocol: hotstuff or pbft.
    #[arg(long, default_value = "hotstuff", value_parser = Protocol::named)]
    protocol: Protocol,
    /// Scheduled views.
    #[arg(long, default_value_t = 3)]
    views: u8,
    /// Splits of the network within a view that may differ: 1, 2 or 3.
    #[arg(long, default_value_t = 1)]
    phases: u8,
    /// Calm views come first, so that all are locked and have committed.
    #[arg(long)]
    warm: bool,
    /// Not all schedules, but each so many-th: `2/8` is the third of eight parts.
    #[arg(long, value_parser = shard)]
    shard: Option<(u64, u64)>,
    /// Not all schedules, but so many drawn from the seed.
    #[arg(long)]
    sample: Option<u64>,
    /// See --sample.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Members.
    #[arg(long, default_value_t = 4)]
    nodes: u8,
    /// Members that run twice.
    #[arg(long, default_value_t = 1)]
    twins: u8,
    /// Judge this property only, for instance S1.
    #[arg(long, value_parser = property)]
    only: Option<&'static str>,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Begin no schedule after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Append what came of it to this file, for the report of a soak run.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Stop after so many failures.
    #[arg(long, default_value_t = 10)]
    failures: usize,
    /// One schedule, with its course in words.
    #[arg(long)]
    schedule: Option<String>,
    /// Hunt this planted bug, or `all`, in a build that has them (`make mutants` makes one).
    #[arg(long)]
    planted: Option<String>,
}

impl Args {
    fn plan(&self, cast: Cast) -> Result<Plan, String> {
        let (views, phases) = (usize::from(self.views), usize::from(self.phases));
        let space = Space::new(cast, views, phases, self.warm)?;
        match (self.sample, self.shard) {
            (Some(_), Some(_)) => Err("a sample has no shards".into()),
            (None, None) => Plan::all(space),
            (None, Some((shard, of))) => {
                space.is_enumerable()?;
                Ok(Plan::Shard { space, shard, of })
            }
            (Some(count), None) => Ok(Plan::Sample {
                space,
                count,
                seed: self.seed,
            }),
        }
    }
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    let parts = text.split_once('/');
    let parts = parts.and_then(|(shard, of)| Some((shard.parse().ok()?, of.parse().ok()?)));
    parts
        .filter(|(shard, of)| shard < of)
        .ok_or_else(|| "write it as 2/8".into())
}

fn property(name: &str) -> Result<&'static str, String> {
    let found = PROPERTIES.into_iter().find(|it| *it == name);
    found.ok_or_else(|| format!("one of {}", PROPERTIES.join(", ")))
}

fn main() -> ExitCode {
    let args = Args::parse();
    quiet_panics();
    match perform(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("twins: {why}");
            ExitCode::from(2)
        }
    }
}

fn perform(args: &Args) -> Result<bool, String> {
    let cast = Cast::new(args.nodes, args.twins)?;
    match (&args.schedule, &args.planted) {
        (Some(text), planted) => {
            let schedule = Schedule::parse(text, cast)?;
            planted::choose(args.protocol, planted.as_deref())?;
            Ok(one(args, &schedule))
        }
        (None, Some(name)) => planted::hunt(args, name, args.plan(cast)?),
        (None, None) => many(args, args.plan(cast)?),
    }
}

fn one(args: &Args, schedule: &Schedule) -> bool {
    let outcome = Campaign::play(args.protocol, schedule, args.only);
    print!("{}", schedule.text());
    for line in &outcome.words {
        println!("{line}");
    }
    match &outcome.violation {
        None => println!("{:?}", outcome.facts),
        Some(it) => println!("{} broken: {}", it.property, it.what),
    }
    outcome.violation.is_none()
}

fn many(args: &Args, plan: Plan) -> Result<bool, String> {
    let campaign = Campaign {
        protocol: args.protocol,
        plan,
        only: args.only,
        jobs: args.jobs,
        limit: args.seconds.map(Duration::from_secs),
        failures: args.failures,
    };
    let report = campaign.run(&|news| eprintln!("{news}"));
    print!("{}: {}", args.protocol.name(), report.text());
    if let Some(file) = &args.report {
        let appended = campaign.section(&report).append(file);
        appended.map_err(|why| format!("the report cannot be written: {why}"))?;
    }
    let whole = args.seconds.is_some() || report.schedules == plan.count();
    if !whole {
        println!("{} schedules were to be played", plan.count());
    }
    Ok(whole && report.failures.is_empty())
}

#[cfg(planted)]
mod planted {
    use super::{Args, Plan, Protocol};
    use quorate_tests::twins::hunt::{Hunt, named};

    pub fn choose(protocol: Protocol, name: Option<&str>) -> Result<(), String> {
        match name.map(|it| named(protocol, it)).transpose()?.as_deref() {
            None => Ok(()),
            Some([bug]) => {
                crypto::planted::choose(Some(*bug));
                Ok(())
            }
            Some(_) => Err("one schedule is played with one bug".into()),
        }
    }
    /// Whether all that were hunted are found.
    pub fn hunt(args: &Args, name: &str, plan: Plan) -> Result<bool, String> {
        let bugs = named(args.protocol, name)?;
        let hunt = Hunt {
            protocol: args.protocol,
            plan,
            jobs: args.jobs,
        };
        let hunted = hunt.run(&bugs, &|news| eprintln!("{news}"));
        println!("bug                schedules  killed by");
        hunted.iter().for_each(|it| println!("{}", it.line()));
        let lost = hunted.iter().filter(|it| !it.is_found(args.protocol));
        lost.clone()
            .for_each(|it| println!("FAILED: {:?} is not found as it has to be", it.bug));
        Ok(lost.count() == 0)
    }
}

#[cfg(not(planted))]
mod planted {
    use super::{Args, Plan, Protocol};

    const NONE: &str = "this program is built without planted bugs";

    pub fn choose(_: Protocol, name: Option<&str>) -> Result<(), String> {
        name.map_or(Ok(()), |_| Err(NONE.into()))
    }
    pub fn hunt(_: &Args, _: &str, _: Plan) -> Result<bool, String> {
        Err(NONE.into())
    }
}
