//! Runs the puppeteer: `puppeteer --protocol pbft --nodes 7 --seeds 0..1000000 --jobs 2`, or one seed in
//! words: `puppeteer --nodes 4 --tenure 4 --seed 7`.

use clap::Parser;
use quorate_tests::puppeteer::campaign::{Campaign, ENOUGH, News};
use quorate_tests::puppeteer::{Manner, Plan, Protocol, Troupe, play};
use quorate_tests::sim::campaign::{quiet_panics, seeds};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Lets liars who know everything direct the cores of honest members, one play for each seed, and
/// checks what those promise.
#[derive(Parser)]
#[command(
    after_help = "Example: puppeteer --protocol hotstuff --nodes 7 --seeds 0..100000 --jobs 2"
)]
struct Args {
    /// The protocol: hotstuff or pbft; both, if none is named.
    #[arg(long, value_parser = protocol)]
    protocol: Option<Protocol>,
    /// Members: 4 or 7; both, if none is named.
    #[arg(long, value_parser = clap::value_parser!(u16).range(4..=7))]
    nodes: Option<u16>,
    /// Views of a tenure of HotStuff; 1 and 4, if none is named. (PBFT has no tenures.)
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=4))]
    tenure: Option<u64>,
    /// Which seeds, of each of these.
    #[arg(long, value_parser = seeds, default_value = "0..10000")]
    seeds: Range<u64>,
    /// One seed, in words.
    #[arg(long)]
    seed: Option<u64>,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Begin no seed after so many seconds, in all.
    #[arg(long)]
    seconds: Option<u64>,
    /// Append what came of it to this file, for the report of a soak run.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Stop after so many failures.
    #[arg(long, default_value_t = 10)]
    failures: usize,
    /// Hunt this planted bug, or `all`, in a build that has them: `make mutants`.
    #[arg(long)]
    planted: Option<String>,
    /// With --planted: a bug survives that so many seeds do not show.
    #[arg(long, default_value_t = 400_000)]
    most: u64,
    /// With --planted: hunt from so many first seeds, of which the median counts.
    #[arg(long, default_value_t = 5)]
    starts: usize,
}

fn protocol(text: &str) -> Result<Protocol, String> {
    match Protocol::named(text)? {
        Protocol::Raft => Err("Raft is not made for liars".into()),
        other => Ok(other),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    quiet_panics();
    let plans: Vec<Plan> = Plan::all()
        .into_iter()
        .filter(|plan| args.protocol.is_none_or(|it| it == plan.protocol))
        .filter(|plan| args.nodes.is_none_or(|it| it == plan.nodes))
        .filter(|plan| {
            let tenures = plan.protocol == Protocol::HotStuff;
            !tenures || args.tenure.is_none_or(|it| it == plan.tenure)
        })
        .collect();
    if plans.is_empty() {
        return refuse("there are 4 or 7 nodes, and tenures of 1 or 4 views");
    }
    let sound = match (&args.planted, args.seed) {
        (Some(name), None) => hunt(name, &plans, &args),
        (Some(name), Some(seed)) => one_planted(name, &plans, seed),
        (None, Some(seed)) => one(&plans, seed),
        (None, None) => many(&plans, &args),
    };
    match sound {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => refuse(&why),
    }
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("puppeteer: {why}");
    ExitCode::from(2)
}

#[cfg(planted)]
fn hunt(name: &str, plans: &[Plan], args: &Args) -> Result<bool, String> {
    use quorate_tests::puppeteer::hunt::{Hunt, named};
    let mut sound = true;
    for plan in plans {
        let hunt = Hunt {
            plan: *plan,
            most: args.most,
            starts: args.starts,
            jobs: args.jobs,
        };
        let (text, survivors) = hunt.run(&named(plan.protocol, name)?);
        print!("{text}");
        for bug in &survivors {
            println!("FAILED: {bug:?} is not found as it has to be");
        }
        sound &= survivors.is_empty();
    }
    Ok(sound)
}

#[cfg(planted)]
fn one_planted(name: &str, plans: &[Plan], seed: u64) -> Result<bool, String> {
    use quorate_tests::puppeteer::hunt::named;
    let [bug] = named(plans[0].protocol, name)?[..] else {
        return Err("one seed is played with one bug".into());
    };
    crypto::planted::choose(Some(bug));
    one(plans, seed)
}

#[cfg(not(planted))]
fn hunt(_: &str, _: &[Plan], _: &Args) -> Result<bool, String> {
    Err("this program is built without planted bugs: use `make mutants`".into())
}

#[cfg(not(planted))]
fn one_planted(_: &str, _: &[Plan], _: u64) -> Result<bool, String> {
    Err("this program is built without planted bugs: use `make mutants`".into())
}

fn one(plans: &[Plan], seed: u64) -> Result<bool, String> {
    let [plan] = plans else {
        return Err("one seed needs --protocol, --nodes and, under hotstuff, --tenure".into());
    };
    let manner = Manner {
        checked: true,
        in_words: true,
    };
    let troupe = Troupe::of(plan.nodes);
    let outcome = play(plan.with(seed), &troupe, manner);
    let again = play(plan.with(seed), &troupe, Manner::default());
    for line in &outcome.story {
        println!("{line}");
    }
    println!(
        "seed {seed}: trace {:016x}, {} heights in {} views of attack, {} healthy views, {} steps",
        outcome.trace, outcome.heights, outcome.views, outcome.healing, outcome.steps.0
    );
    if let Some(it) = &outcome.violation {
        println!("{} broken: {}", it.property, it.what);
    }
    let same = (again.trace, &again.violation) == (outcome.trace, &outcome.violation);
    if !same {
        println!(
            "determinism broken: played again, its trace is {:016x}, and {:?} is broken",
            again.trace, again.violation
        );
    }
    Ok(same && outcome.violation.is_none())
}

fn many(plans: &[Plan], args: &Args) -> Result<bool, String> {
    let mut sound = true;
    let (mut plays, mut begun) = (0, Duration::ZERO);
    for plan in plans {
        let limit = args.seconds.map(Duration::from_secs);
        let campaign = Campaign {
            plan: *plan,
            seeds: args.seeds.clone(),
            jobs: args.jobs,
            limit: limit.map(|all| all / plans.len() as u32),
            failures: args.failures,
            twice: 1024,
        };
        let report = campaign.run(&|news| match news {
            News::Broken(plan, violation) => {
                let (property, what) = (violation.property, &violation.what);
                println!("seed {}: {property} broken: {what}", plan.seed);
                println!("    replay: {}", plan.command());
            }
            News::Sofar(report, wall) => {
                eprintln!(
                    "{}: {} plays, {:.0} a second, {} violations",
                    report.plan.name(),
                    report.seeds,
                    report.rate(wall),
                    report.failures.len()
                );
            }
        });
        print!("{}", report.text());
        let mut section = report.section();
        // Too few need not reach what is rare.
        if report.seeds >= ENOUGH {
            for rare in report.never() {
                println!("never: {}", rare.text());
                section.fail(format!("never: {}", rare.text()), "");
            }
        }
        if let Some(Err(why)) = args.report.as_ref().map(|file| section.append(file)) {
            return Err(format!("the report cannot be written: {why}"));
        }
        sound &= section.failures.is_empty();
        plays += report.seeds;
        begun += report.wall;
    }
    let rate = plays as f64 / begun.as_secs_f64().max(1e-9);
    println!("{plays} plays in all, {rate:.0} a second");
    Ok(sound)
}
