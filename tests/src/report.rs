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
    /// The command that shows it again; empty: the whole part has to be run again.
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
    /// Appends it to a file.
    ///
    /// # Errors
    /// What the file system says.
    pub fn append(&self, file: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(file)?;
        let line = serde_json::to_string(self).map_err(io::Error::other)?;
        writeln!(file, "{line}")
    }
    fn markdown(&self, page: &mut String) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "\n## {}\n\nRan for {}.",
            self.part,
            span(self.seconds)
        );
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
            let _ = writeln!(page, "\n**Failed**: {what}");
            if !replay.is_empty() {
                let _ = writeln!(page, "\n    {replay}");
            }
        }
    }
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
    /// What ran, in order.
    pub sections: Vec<Section>,
}

impl Report {
    /// Reads the sections that the parts have appended.
    ///
    /// # Errors
    /// Which line is none.
    pub fn read(commit: &str, text: &str) -> Result<Self, String> {
        let section = |(i, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|e| format!("line {}: {e}", i + 1))
        };
        let lines = text.lines().enumerate();
        Ok(Self {
            commit: commit.to_owned(),
            sections: lines.map(section).collect::<Result<_, _>>()?,
        })
    }
    /// How many failures there are.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.sections.iter().map(|it| it.failures.len()).sum()
    }
    /// The page.
    #[must_use]
    pub fn markdown(&self) -> String {
        let seconds = self.sections.iter().map(|it| it.seconds).sum();
        let mut page = format!(
            "# Soak report\n\nCommit {}; {} parts in {}; {} failures.\n",
            self.commit,
            self.sections.len(),
            span(seconds),
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
            .figure("seeds", 12_345.0)
            .figure("seeds a second", 13.25);
        good.counters.push(("views opened".into(), 1_000));
        let mut bad = Section::new("rounds, raft", 7_260.0);
        bad.table = Some(Table {
            head: vec!["round".into(), "operations".into()],
            rows: vec![vec!["1".into(), "200".into()]],
        });
        bad.fail("S8 broken: a write is lost", "rounds --seed 7");
        vec![good, bad]
    }

    #[test]
    fn what_parts_append_is_what_the_page_tells() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("soak.jsonl");
        for section in sections() {
            section.append(&file).unwrap();
        }
        let report = Report::read("abc", &std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(report.sections, sections());
        assert_eq!(report.failures(), 1);
        let page = report.markdown();
        for line in [
            "Commit abc; 2 parts in 2 h 2 min; 1 failures.",
            "## simulator, pbft",
            "12,345 seeds, 13.2 seeds a second.",
            "| views opened | 1,000 |",
            "| round | operations |",
            "| 1 | 200 |",
            "**Failed**: S8 broken: a write is lost",
            "    rounds --seed 7",
        ] {
            assert!(page.contains(line), "{line}\n\n{page}");
        }
    }

    #[test]
    fn a_line_that_is_no_section_is_named() {
        let good = serde_json::to_string(&Section::new("a", 1.0)).unwrap();
        let error = Report::read("abc", &format!("{good}\nnonsense\n")).unwrap_err();
        assert!(error.starts_with("line 2: "), "{error}");
    }
}
