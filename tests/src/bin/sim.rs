//! Runs the simulator: `sim --seeds 0..50000 --jobs 2`, or one seed with its trace: `sim --seed 7`.

use clap::Parser;
use quorate_tests::adversary::Tally;
use quorate_tests::report::{Failure, Section, Table};
use quorate_tests::sim::campaign::{self, Campaign, MEDIAN_PAYLOADS, News, Report, seeds};
use quorate_tests::sim::{Protocol, Scenario, attack, shrink};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Simulates whole clusters under faults, one for each seed, and checks what they promise.
#[derive(Parser)]
#[command(after_help = "Example: sim --seeds 0..1000 --jobs 2")]
struct Args {
    /// Which seeds, for instance 0..1000.
    #[arg(long, value_parser = seeds, default_value = "0..1000")]
    seeds: Range<u64>,
    /// One seed, with the end of its trace in words.
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: look for a smaller scenario that breaks the same, and show that one.
    #[arg(long, requires = "seed")]
    shrink: bool,
    /// Lines of the trace to print.
    #[arg(long, default_value_t = 400)]
    lines: usize,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Begin no seed after so many seconds; --attack all: shared by all attacks.
    #[arg(long)]
    seconds: Option<u64>,
    /// Stop after so many failures.
    #[arg(long, default_value_t = 10)]
    failures: usize,
    /// Hunt this planted bug, or `all`, in a build that has them: `make mutants`.
    #[arg(long)]
    planted: Option<String>,
    /// List the planted bugs that a unit test has to find, each with that test.
    #[arg(long)]
    units: bool,
    /// With --planted: a bug survives that so many seeds do not show.
    #[arg(long, default_value_t = 5_000)]
    most: u64,
    /// With --planted: hunt from so many first seeds, of which the median counts.
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// This attack in every run, or `all`: one line for each.
    #[arg(long)]
    attack: Option<String>,
    /// With --attack: how many nodes, of which f lie.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(4..=13))]
    nodes: u16,
    /// Append what came of it to this file, for the report of a soak run.
    #[arg(long)]
    report: Option<PathBuf>,
    /// The protocol.
    #[arg(long, default_value = "hotstuff", value_parser = Protocol::named)]
    protocol: Protocol,
}

fn main() -> ExitCode {
    let args = Args::parse();
    campaign::quiet_panics();
    if args.units {
        return units(args.protocol);
    }
    if let Some(name) = &args.attack {
        return attack(name, &args);
    }
    match (&args.planted, args.seed) {
        (Some(name), None) => hunt(name, &args),
        (Some(name), Some(seed)) => one_planted(name, seed, &args),
        (None, Some(seed)) => show(Scenario::draw(args.protocol, seed), &args),
        (None, None) => many(&args),
    }
}

#[cfg(planted)]
fn hunt(name: &str, args: &Args) -> ExitCode {
    use quorate_tests::mutants::{self, Hunt};
    let bugs = match mutants::named(args.protocol, name) {
        Ok(bugs) => bugs,
        Err(why) => return refuse(&why),
    };
    let hunt = Hunt {
        protocol: args.protocol,
        most: args.most,
        starts: args.starts,
        jobs: args.jobs,
    };
    let report = hunt.run(&bugs, &|line| eprintln!("{line}"));
    print!("{}", report.text());
    let section = report.section();
    for failure in &section.failures {
        println!("FAILED: {}", failure.what);
    }
    finish(args, &section, section.failures.is_empty())
}

#[cfg(planted)]
fn one_planted(name: &str, seed: u64, args: &Args) -> ExitCode {
    match quorate_tests::mutants::named(args.protocol, name).as_deref() {
        Ok([bug]) => {
            crypto::planted::choose(Some(*bug));
            let plan = quorate_tests::mutants::plan(args.protocol, *bug, seed);
            show(plan, args)
        }
        Ok(_) => refuse("one seed is run with one bug"),
        Err(why) => refuse(why),
    }
}

#[cfg(planted)]
fn units(protocol: Protocol) -> ExitCode {
    for (bug, test) in quorate_tests::mutants::by_unit_test(protocol) {
        println!("{bug:?} {test}");
    }
    ExitCode::SUCCESS
}

#[cfg(not(planted))]
fn units(_: Protocol) -> ExitCode {
    refuse("this program is built without planted bugs: use `make mutants`")
}

#[cfg(not(planted))]
fn hunt(_: &str, _: &Args) -> ExitCode {
    refuse("this program is built without planted bugs: use `make mutants`")
}

#[cfg(not(planted))]
fn one_planted(_: &str, _: u64, _: &Args) -> ExitCode {
    refuse("this program is built without planted bugs: use `make mutants`")
}

fn attack(name: &str, args: &Args) -> ExitCode {
    let all = attack::names(args.protocol);
    let names: Vec<&str> = match name {
        "all" => all,
        name if all.contains(&name) => vec![name],
        _ => {
            let all = all.join(" ");
            return refuse(&format!("no attack is called {name}; these are: {all}"));
        }
    };
    let nodes = usize::from(args.nodes);
    if let (Some(seed), [name]) = (args.seed, &names[..]) {
        return show(Scenario::attacked(args.protocol, seed, nodes, name), args);
    }
    let begun = Instant::now();
    let (attacks, mut ran) = (names.len() as u64, 0);
    let mut all = Report::new(args.protocol, args.seeds.start);
    let mut failed = Vec::new();
    let head = [
        "attack, and its ways",
        "seeds",
        "lies",
        "taken",
        "refused",
        "proven",
        "payloads",
        "failed",
    ];
    let head: Vec<String> = head.map(str::to_owned).to_vec();
    println!("{}", line(&head));
    let mut table = Table {
        head,
        rows: Vec::new(),
    };
    let each = args
        .seconds
        .map(|all| Duration::from_secs(all) / names.len() as u32);
    for name in names {
        let (campaign, report) = campaign(args, Some((name.to_owned(), nodes)), each);
        for row in rows(name, &report) {
            println!("{}", line(&row));
            table.rows.push(row);
        }
        ran += report.seeds.min(attack::MANY);
        let whole = report.seeds >= attack::ENOUGH;
        let unmet = attack::unmet(args.protocol, name, &report.caught, whole);
        for unmet in unmet.into_iter().chain(idle(&report)) {
            println!("FAILED: {name}: {unmet}");
            failed.push(Failure {
                what: format!("{name}: {unmet}"),
                replay: String::new(),
            });
        }
        let replay = |seed| campaign.replay(seed);
        failed.extend(report.section(&replay).failures);
        all.merge(&report);
    }
    let mut section = all.section(&|_| String::new());
    section.part = format!("adversaries, {}, {nodes} nodes", args.protocol.name());
    section.seconds = begun.elapsed().as_secs_f64();
    // Of each attack so many, from the first on.
    section.seeds = None;
    section.failures = failed;
    section.table = Some(table);
    // More of one attack make up for no other.
    let section = section.ran(ran, attacks * attack::MANY);
    let sound = section.failures.is_empty();
    finish(args, &section, sound)
}

/// That so little is committed that a campaign proves nothing.
fn idle(report: &Report) -> Option<String> {
    let median = report.median_payloads();
    (median < MEDIAN_PAYLOADS)
        .then(|| format!("the median seed commits {median} payloads, fewer than {MEDIAN_PAYLOADS}"))
}

/// What an attack came to, and each of its ways.
fn rows(name: &str, report: &Report) -> Vec<Vec<String>> {
    let counts = |it: &Tally| [it.told, it.taken, it.refused].map(|it| it.to_string());
    let mut all = vec![name.to_owned(), report.seeds.to_string()];
    all.extend(counts(&report.caught.all()));
    all.extend([
        report.caught.proven.to_string(),
        report.median_payloads().to_string(),
        report.failures.len().to_string(),
    ]);
    let each = report.caught.ways.iter().map(|(way, it)| {
        let mut row = vec![format!("- {way}"), String::new()];
        row.extend(counts(it));
        row.resize(all.len(), String::new());
        row
    });
    let each: Vec<_> = each.collect();
    std::iter::once(all).chain(each).collect()
}

/// A row of the table of attacks.
fn line(cells: &[String]) -> String {
    let (name, numbers) = cells.split_first().expect("every row has a name");
    let numbers = numbers.iter().map(|it| format!(" {it:>9}"));
    format!("{name:<62}{}", numbers.collect::<String>())
}

/// Appends to the report, if there is one.
fn finish(args: &Args, section: &Section, sound: bool) -> ExitCode {
    let appended = args.report.as_ref().map(|file| section.append(file));
    if let Some(Err(why)) = appended {
        return refuse(&format!("the report cannot be written: {why}"));
    }
    if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("sim: {why}");
    ExitCode::from(2)
}

/// The smallest scenario found that breaks what this one does; itself if it breaks nothing.
fn shrunk(plan: Scenario) -> Scenario {
    let Some(first) = campaign::run_plan(plan.clone(), false).violation else {
        return plan;
    };
    println!("{} broken; without losing that:", first.property);
    let mut breaks = |plan: &Scenario| {
        let found = campaign::run_plan(plan.clone(), false).violation;
        found.is_some_and(|it| it.property == first.property)
    };
    shrink::shrink(plan, &mut breaks, &|what| println!("    {what}"))
}

fn show(mut plan: Scenario, args: &Args) -> ExitCode {
    if args.shrink {
        plan = shrunk(plan);
    }
    let seed = plan.seed;
    let outcome = campaign::run_plan(plan.clone(), true);
    let from = outcome.tail.len().saturating_sub(args.lines);
    for line in &outcome.tail[from..] {
        println!("{line}");
    }
    let again = campaign::run_plan(plan.clone(), false).trace;
    println!("{plan:#?}");
    println!(
        "seed {seed}: trace {:016x}, {} heights, {} with payload, {} events, {:.3} s of virtual time",
        outcome.trace,
        outcome.heights,
        outcome.payloads,
        outcome.events,
        outcome.time.0 as f64 / 1e9
    );
    match outcome.violation {
        None if again != outcome.trace => {
            println!("determinism broken: run again, its trace is {again:016x}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
        Some(it) => {
            println!(
                "{} broken at {:.6} ms: {}",
                it.property,
                it.at.0 as f64 / 1e6,
                it.what
            );
            ExitCode::FAILURE
        }
    }
}

/// Runs the seeds, and tells of failures and of how far it is.
fn campaign(
    args: &Args,
    attack: Option<(String, usize)>,
    limit: Option<Duration>,
) -> (Campaign, Report) {
    let campaign = Campaign {
        protocol: args.protocol,
        attack,
        seeds: args.seeds.clone(),
        jobs: args.jobs,
        limit,
        failures: args.failures,
        twice: 16,
    };
    let report = campaign.run(&|news| match news {
        News::Broken(seed, violation) => {
            println!(
                "seed {seed}: {} broken: {}",
                violation.property, violation.what
            );
            println!("    replay: {}", campaign.replay(seed));
        }
        News::Sofar(report, wall) => {
            eprintln!(
                "{} seeds, {:.1} a second, {} violations",
                report.seeds,
                report.seeds as f64 / wall.as_secs_f64().max(1e-9),
                report.failures.len()
            );
        }
    });
    (campaign, report)
}

fn many(args: &Args) -> ExitCode {
    let (campaign, report) = campaign(args, None, args.seconds.map(Duration::from_secs));
    let mut section = report.section(&|seed| campaign.replay(seed));
    print!("{}", report.text());
    // A short run need not reach what is rare.
    if report.seeds >= campaign::ENOUGH {
        for what in report.never() {
            println!("never: {}", what.text());
            section.fail(format!("never: {}", what.text()), "");
        }
    }
    if let Some(what) = idle(&report) {
        println!("{what}");
        section.fail(what, "");
    }
    let sound = section.failures.is_empty();
    finish(args, &section, sound)
}
