//! Runs the simulator: `sim --seeds 0..50000 --jobs 2`, or one seed with its trace: `sim --seed 7`.

use clap::Parser;
use quorate_tests::sim::campaign::{self, Campaign, MEDIAN_PAYLOADS};
use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

/// Simulates whole clusters under faults, one for each seed, and checks what they promise.
#[derive(Parser)]
#[command(after_help = "Example: sim --seeds 0..1000 --jobs 2")]
struct Args {
    /// Which seeds, for instance 0..1000.
    #[arg(long, value_parser = range, default_value = "0..1000")]
    seeds: Range<u64>,
    /// One seed, with the end of its trace in words.
    #[arg(long)]
    seed: Option<u64>,
    /// Lines of the trace to print.
    #[arg(long, default_value_t = 400)]
    lines: usize,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Begin no seed after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Stop after so many failures.
    #[arg(long, default_value_t = 10)]
    failures: usize,
    /// The protocol.
    #[arg(long, default_value = "hotstuff", value_parser = ["hotstuff"])]
    protocol: String,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("write it as 0..1000")?;
    let number = |text: &str| text.parse::<u64>().map_err(|e| e.to_string());
    Ok(number(from)?..number(to)?)
}

fn main() -> ExitCode {
    let args = Args::parse();
    campaign::quiet_panics();
    match args.seed {
        Some(seed) => one(seed, args.lines),
        None => many(&args),
    }
}

fn one(seed: u64, lines: usize) -> ExitCode {
    let outcome = campaign::run(seed, true);
    let from = outcome.tail.len().saturating_sub(lines);
    for line in &outcome.tail[from..] {
        println!("{line}");
    }
    println!("{:#?}", quorate_tests::sim::Scenario::draw(seed));
    println!(
        "seed {seed}: trace {:016x}, {} heights, {} with payload, {} events, {:.3} s of virtual time",
        outcome.trace,
        outcome.heights,
        outcome.payloads,
        outcome.events,
        outcome.time.0 as f64 / 1e9
    );
    match outcome.violation {
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

fn many(args: &Args) -> ExitCode {
    let campaign = Campaign {
        seeds: args.seeds.clone(),
        jobs: args.jobs,
        limit: args.seconds.map(Duration::from_secs),
        failures: args.failures,
        twice: 16,
    };
    let report = campaign.run(&|seed, violation| {
        println!(
            "seed {seed}: {} broken: {}",
            violation.property, violation.what
        );
        println!("    replay: {}", campaign::replay(seed));
    });
    print!("{}", report.text());
    let mut sound = report.failures.is_empty();
    // A short run need not reach what is rare.
    if report.seeds >= 1_000 {
        for what in report.never() {
            println!("never: {}", what.text());
            sound = false;
        }
    }
    if report.median_payloads() < MEDIAN_PAYLOADS {
        println!(
            "the median seed commits {} payloads, fewer than {MEDIAN_PAYLOADS}",
            report.median_payloads()
        );
        sound = false;
    }
    if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
