//! The result: one row a measurement, one column a store, and what is to be reached.

use std::collections::BTreeMap;

/// What is measured, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// One client, which puts at the leader.
    OnePuts,
    /// Its median latency.
    OneP50,
    /// Its 99th percentile.
    OneP99,
    /// 256 clients, which put at all nodes.
    Puts,
    /// Their median latency.
    PutP50,
    /// Their 99th percentile.
    PutP99,
    /// Processor time of the servers for each put.
    PutServers,
    /// Of the client.
    PutClient,
    /// 256 clients, which get linearizably at all nodes.
    Gets,
    /// Their median latency.
    GetP50,
    /// Their 99th percentile.
    GetP99,
    /// Processor time of the servers for each get.
    GetServers,
    /// Of the client.
    GetClient,
    /// Requests of these loads that failed.
    Failed,
    /// After the leader's death: the longest time without a success.
    Gap,
    /// Requests that failed then.
    GapFailed,
    /// From the start of all killed nodes to the first put.
    Restart,
}

impl Row {
    /// What it is, the digits behind its point, and what Raft mode has to reach.
    fn words(self) -> (&'static str, usize, &'static str) {
        match self {
            Self::OnePuts => ("1 client, puts/s", 0, ""),
            Self::OneP50 => ("  p50, ms", 2, "<= 0.6 unsigned"),
            Self::OneP99 => ("  p99, ms", 2, ""),
            Self::Puts => ("256 clients, puts/s", 0, ">= 15,000; signed >= 10,000"),
            Self::PutP50 => ("  p50, ms", 1, ""),
            Self::PutP99 => ("  p99, ms", 1, ""),
            Self::PutServers => ("  CPU of all servers a put, us", 0, "<= 80 unsigned"),
            Self::PutClient => ("  CPU of the client a put, us", 0, ""),
            Self::Gets => ("256 clients, linearizable gets/s", 0, ">= 15,000"),
            Self::GetP50 => ("  p50, ms", 1, ""),
            Self::GetP99 => ("  p99, ms", 1, ""),
            Self::GetServers => ("  CPU of all servers a get, us", 0, ""),
            Self::GetClient => ("  CPU of the client a get, us", 0, ""),
            Self::Failed => ("failed requests of all these", 0, "0"),
            Self::Gap => ("kill -9 of the leader at 200 puts/s: gap, ms", 0, "<= 500"),
            Self::GapFailed => ("  failed requests", 0, "0"),
            Self::Restart => ("kill -9 of all: serving after, s", 2, "<= 1"),
        }
    }
}

/// Values by row and store, one a round.
#[derive(Default)]
pub struct Table {
    stores: Vec<String>,
    values: BTreeMap<(Row, String), Vec<f64>>,
}

impl Table {
    /// Notes a value.
    pub fn add(&mut self, row: Row, store: &str, value: f64) {
        eprintln!("  {}: {value:.2}", row.words().0.trim());
        if !self.stores.iter().any(|known| known == store) {
            self.stores.push(store.to_owned());
        }
        self.values
            .entry((row, store.to_owned()))
            .or_default()
            .push(value);
    }

    /// In Markdown: medians, with the lowest and highest of several rounds. `restart`: puts before
    /// the restart.
    pub fn text(&self, restart: u64) -> String {
        let mut lines = vec![
            format!("| | {} | target |", self.stores.join(" | ")),
            format!("|---|{}---|", "---|".repeat(self.stores.len())),
        ];
        let mut rows: Vec<Row> = self.values.keys().map(|(row, _)| *row).collect();
        rows.dedup();
        for row in rows {
            let (what, digits, target) = row.words();
            let after = match row {
                Row::Restart => format!(" ({restart} puts)"),
                _ => String::new(),
            };
            let cells = self.stores.iter().map(|store| {
                let values = self.values.get(&(row, store.clone()));
                values.map_or("".into(), |values| cell(values, digits))
            });
            let cells = cells.collect::<Vec<_>>().join(" | ");
            lines.push(format!("| {what}{after} | {cells} | {target} |"));
        }
        lines.join("\n")
    }
}

/// The median, and between which values it lies.
fn cell(values: &[f64], digits: usize) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    match (sorted.first(), sorted.last()) {
        (Some(low), Some(high)) if low != high => {
            format!("{median:.digits$} ({low:.digits$}-{high:.digits$})")
        }
        _ => format!("{median:.digits$}"),
    }
}
