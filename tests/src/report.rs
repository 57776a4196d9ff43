//! The report of a soak run: every part appends a section to one file, in JSON, a line each, and the
//! program `report` makes one page of them, in Markdown for people and in JSON for machines.

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

/// What one part did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Which, for instance `simulator, pbft`.
    pub part: String,
    /// How long it ran, in seconds of wall time.
    pub seconds: f64,
    /// Scenarios that it ran: seeds, plays, schedules, rounds, bugs.
    pub ran: u64,
    /// Of how many, if that is known; or how many it takes until all that is rare is to be seen.
    pub of: u64,
    /// The command that runs it again.
    #[serde(default)]
    pub command: String,
    /// Its first and last seed, if it has such.
    #[serde(default)]
    pub seeds: Option<(u64, u64)>,
    /// Its figures: seeds, events, virtual time, ...
    pub figures: Vec<Figure>,
    /// Rare states, and how often they were reached.
    pub counters: Vec<(String, u64)>,
    /// What does not fit a list of figures.
    pub table: Option<Table>,
    /// What went wrong.
    pub failures: Vec<Failure>,
}

/// A figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it counts, with its unit.
    pub name: String,
    /// How much.
    pub value: f64,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What stands above its columns.
    pub head: Vec<String>,
    /// Its rows, as wide as the head.
    pub rows: Vec<Vec<String>>,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What.
    pub what: String,
    /// The command that shows it again; empty: [`Section::command`].
    pub replay: String,
}

impl Section {
    /// A section without content.
    #[must_use]
    pub fn new(part: impl Into<String>, seconds: f64) -> Self {
        Self {
            part: part.into(),
            seconds,
            ..Self::default()
        }
    }
    /// Says how many scenarios it ran, and of how many. None at all is a failure.
    #[must_use]
    pub fn ran(mut self, ran: u64, of: u64) -> Self {
        (self.ran, self.of) = (ran, of);
        if ran == 0 {
            self.fail("nothing ran", "");
        }
        self
    }
    /// Says which seeds it ran: so many, from one on.
    #[must_use]
    pub fn from(mut self, first: u64, count: u64) -> Self {
        self.seeds = count.checked_sub(1).map(|more| (first, first + more));
        self
    }
    /// Adds a figure.
    #[must_use]
    pub fn figure(mut self, name: &str, value: f64) -> Self {
        let name = name.to_owned();
        self.figures.push(Figure { name, value });
        self
    }
    /// Adds a failure.
    pub fn fail(&mut self, what: impl Into<String>, replay: impl Into<String>) {
        let (what, replay) = (what.into(), replay.into());
        self.failures.push(Failure { what, replay });
    }
    /// Appends it to a file, as what this process did.
    ///
    /// # Errors
    /// What the file system says.
    pub fn append(&self, file: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(file)?;
        let section = Self {
            command: command(),
            ..self.clone()
        };
        let line = serde_json::to_string(&section).map_err(io::Error::other)?;
        writeln!(file, "{line}")
    }
    /// Whether it ran too little for all that is to be seen.
    fn is_short(&self) -> bool {
        self.ran < self.of
    }
    fn markdown(&self, page: &mut String) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "\n## {}\n\nRan {} scenarios of at least {}, in {}.",
            self.part,
            number(self.ran as f64),
            number(self.of as f64),
            span(self.seconds)
        );
        if let Some((first, last)) = self.seeds {
            let _ = writeln!(
                page,
                "Seeds {} to {}.",
                number(first as f64),
                number(last as f64)
            );
        }
        if self.is_short() {
            let _ = writeln!(page, "**Too few**: what is rare was not judged.");
        }
        if !self.figures.is_empty() {
            let list = self.figures.iter();
            let list = list.map(|it| format!("{} {}", number(it.value), it.name));
            let _ = writeln!(page, "{}.", list.collect::<Vec<_>>().join(", "));
        }
        if let Some(table) = &self.table {
            let _ = write!(page, "\n{}", table.markdown());
        }
        if !self.counters.is_empty() {
            let _ = writeln!(page, "\n<details><summary>Sometimes</summary>\n");
            let head = vec!["state".to_owned(), "times".to_owned()];
            let rows = self.counters.iter();
            let rows = rows.map(|(what, times)| vec![what.clone(), number(*times as f64)]);
            let rows = rows.collect();
            let _ = write!(page, "{}", Table { head, rows }.markdown());
            let _ = writeln!(page, "\n</details>");
        }
        for Failure { what, replay } in &self.failures {
            let again = if replay.is_empty() {
                &self.command
            } else {
                replay
            };
            let _ = writeln!(page, "\n**Failed**: {what}\n\n    {again}");
        }
    }
}

/// How this process was started, as it is started from the root of the tree; the report is left out.
fn command() -> String {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let program = Path::new(&program).file_stem().unwrap_or_default();
    let build = if cfg!(planted) {
        "RUSTFLAGS='--cfg planted' cargo run --profile planted --target-dir target/planted"
    } else {
        "cargo run --release"
    };
    let mut command = format!(
        "{build} -p quorate-tests --features e2e --bin {} --",
        program.display()
    );
    while let Some(it) = arguments.next() {
        if it == "--report" {
            arguments.next();
        } else {
            command.push(' ');
            command.push_str(&it);
        }
    }
    command
}

impl Table {
    /// In Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = vec!["---".to_owned(); self.head.len()];
        let rows: String = self.rows.iter().map(|it| row(it)).collect();
        format!("{}{}{rows}", row(&self.head), row(&rule))
    }
}

/// A whole report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Of which commit.
    pub commit: String,
    /// How many parts were begun; each has a section or more.
    pub parts: usize,
    /// What ran, in order.
    pub sections: Vec<Section>,
}

impl Report {
    /// Reads the sections that the parts have appended.
    ///
    /// # Errors
    /// Which line is none.
    pub fn read(commit: &str, parts: usize, text: &str) -> Result<Self, String> {
        let section = |(i, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|e| format!("line {}: {e}", i + 1))
        };
        let lines = text.lines().enumerate();
        Ok(Self {
            commit: commit.to_owned(),
            parts,
            sections: lines.map(section).collect::<Result<_, _>>()?,
        })
    }
    /// How many failures there are.
    #[must_use]
    pub fn failures(&self) -> usize {
        let told: usize = self.sections.iter().map(|it| it.failures.len()).sum();
        told + self.parts.saturating_sub(self.sections.len())
    }
    /// The page.
    #[must_use]
    pub fn markdown(&self) -> String {
        let seconds = self.sections.iter().map(|it| it.seconds).sum();
        let mut page = format!(
            "# Soak report\n\nCommit {}; {} parts of {} or more, {} scenarios in {}; {} parts too short to judge what is \
             rare; {} failures.\n",
            self.commit,
            self.sections.len(),
            self.parts,
            number(self.sections.iter().map(|it| it.ran).sum::<u64>() as f64),
            span(seconds),
            self.sections.iter().filter(|it| it.is_short()).count(),
            self.failures()
        );
        self.sections.iter().for_each(|it| it.markdown(&mut page));
        page
    }
}

/// Seconds in words.
fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..120 => format!("{seconds:.0} s"),
        120..7_200 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
    }
}

/// A number with its thousands apart; small ones that are not whole, to one digit.
fn number(value: f64) -> String {
    if value.fract() != 0.0 && value.abs() < 1_000.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 {
        text.insert(0, '-');
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sections() -> Vec<Section> {
        let mut good = Section::new("simulator, pbft", 75.0)
            .ran(12_345, 1_000)
            .from(1_000, 12_345)
            .figure("seeds", 12_345.0)
            .figure("seeds a second", 13.25);
        good.counters.push(("views opened".into(), 1_000));
        let mut bad = Section::new("rounds, raft", 7_260.0).ran(3, 20);
        bad.table = Some(Table {
            head: vec!["round".into(), "operations".into()],
            rows: vec![vec!["1".into(), "200".into()]],
        });
        bad.fail("S8 broken: a write is lost", "rounds --seed 7");
        bad.fail("never: a rare state", "");
        bad.command = "cargo run --bin rounds".into();
        vec![good, bad]
    }

    #[test]
    fn what_parts_append_is_what_the_page_tells() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("soak.jsonl");
        for section in sections() {
            section.append(&file).unwrap();
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let report = Report::read("abc", 2, &text).unwrap();
        assert_eq!(report.failures(), 2);
        let told = |it: &Section| Section {
            command: command(),
            ..it.clone()
        };
        let told: Vec<_> = sections().iter().map(told).collect();
        assert_eq!(report.sections, told);
        let page = Report {
            sections: sections(),
            ..report
        };
        let page = page.markdown();
        for line in [
            "Commit abc; 2 parts of 2 or more, 12,348 scenarios in 2 h 2 min; 1 parts too short to judge",
            "## simulator, pbft",
            "Ran 12,345 scenarios of at least 1,000, in 75 s.\nSeeds 1,000 to 13,344.",
            "Ran 3 scenarios of at least 20, in 2 h 1 min.\n**Too few**",
            "12,345 seeds, 13.2 seeds a second.",
            "| views opened | 1,000 |",
            "| round | operations |",
            "| 1 | 200 |",
            "**Failed**: S8 broken: a write is lost",
            "    rounds --seed 7",
            "**Failed**: never: a rare state\n\n    cargo run --bin rounds",
        ] {
            assert!(page.contains(line), "{line}\n\n{page}");
        }
    }

    #[test]
    fn a_part_that_told_nothing_or_ran_nothing_has_failed() {
        let nothing = Section::new("twins, pbft", 1.0).ran(0, 10);
        assert_eq!(nothing.failures.len(), 1);
        let line = serde_json::to_string(&sections()[0]).unwrap();
        let failures = |parts| Report::read("abc", parts, &line).unwrap().failures();
        assert_eq!((failures(1), failures(2)), (0, 1));
    }

    #[test]
    fn a_line_that_is_no_section_is_named() {
        let good = serde_json::to_string(&Section::new("a", 1.0)).unwrap();
        let error = Report::read("abc", 1, &format!("{good}\nnonsense\n")).unwrap_err();
        assert!(error.starts_with("line 2: "), "{error}");
    }
}
