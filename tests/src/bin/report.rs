//! Makes one page of what the parts of a soak run have appended: `report soak.jsonl --commit abc`
//! writes `soak.md` and `soak.json` beside it. It fails if a part did.

use clap::Parser;
use quorate_tests::report::Report;
use std::path::PathBuf;
use std::process::ExitCode;

/// Makes one page of the sections of a soak run.
#[derive(Parser)]
struct Args {
    /// The sections, one a line.
    sections: PathBuf,
    /// Of which commit.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// How many parts were begun: as many sections there have to be, at least.
    #[arg(long, default_value_t = 0)]
    parts: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let text = std::fs::read_to_string(&args.sections)?;
    let report = Report::read(&args.commit, args.parts, &text).map_err(anyhow::Error::msg)?;
    let page = report.markdown();
    std::fs::write(args.sections.with_extension("md"), &page)?;
    let json = serde_json::to_string_pretty(&report)?;
    std::fs::write(args.sections.with_extension("json"), json)?;
    print!("{page}");
    Ok(if report.failures() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
