//! What the nodes themselves count: read from `/metrics` before and after.

use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest answer that is read, in bytes.
const LONGEST: u64 = 4 << 20;

/// The counters of a node, by name and labels as they are printed.
type Counters = BTreeMap<String, u64>;

/// The counters of all nodes whose metrics can be reached.
#[derive(Clone, Debug, Default)]
pub(super) struct Scrape(BTreeMap<String, Counters>);

/// What happened between two scrapes, of all those nodes together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Counted {
    /// Nodes that answered both times.
    pub(super) nodes: usize,
    /// Bytes of frames that nodes sent to one another.
    pub(super) network_bytes: u64,
    /// Syncs of write-ahead logs, as RocksDB counts them.
    pub(super) syncs: u64,
    /// Bytes of keys and values written to logs.
    pub(super) log_bytes: u64,
    /// Transactions executed, once for each node.
    pub(super) transactions: u64,
    /// What disturbed the run.
    pub(super) faults: Faults,
}

/// What disturbed the run, counted by the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Faults {
    /// Views or terms that a node gave up.
    pub(super) timeouts: u64,
    /// The most leader changes that one node saw.
    pub(super) leader_changes: u64,
    /// Peers that went out of touch of a node.
    pub(super) disconnects: u64,
    /// Frames that were not sent, since a queue was full.
    pub(super) dropped_frames: u64,
    /// Proofs that a validator lied.
    pub(super) evidence: u64,
    /// Nodes that started again: their counters fell.
    pub(super) restarts: u64,
    /// Nodes that answered before and not after.
    pub(super) lost: u64,
}

impl Scrape {
    /// Asks the operator's HTTP of each node, `http://host:port`. Who does not answer is left out.
    pub(super) async fn of(urls: &[String]) -> Self {
        let asked = urls.iter().map(|url| async move {
            let text = timeout(PATIENCE, get(url, "/metrics")).await.ok()??;
            Some((url.clone(), parse(&text)))
        });
        let answers = futures::future::join_all(asked).await;
        Self(answers.into_iter().flatten().collect())
    }

    /// What happened since then; `None` if no node answered then.
    pub(super) fn since(&self, before: &Self) -> Option<Counted> {
        if before.0.is_empty() {
            return None;
        }
        let mut counted = Counted {
            nodes: 0,
            network_bytes: 0,
            syncs: 0,
            log_bytes: 0,
            transactions: 0,
            faults: Faults::default(),
        };
        for (url, then) in &before.0 {
            match self.0.get(url) {
                Some(now) => counted.add(now, then),
                None => counted.faults.lost += 1,
            }
        }
        Some(counted)
    }
}

impl Counted {
    fn add(&mut self, now: &Counters, then: &Counters) {
        let of = |all: &Counters, name: &str, label: &str| -> u64 {
            let named = all.iter().filter(|(key, _)| {
                let (found, labels) = key.split_once('{').unwrap_or((key, ""));
                found.strip_prefix("quorate_") == Some(name) && labels.contains(label)
            });
            named.map(|(_, value)| value).sum()
        };
        let grown = |name, label| of(now, name, label).saturating_sub(of(then, name, label));
        self.nodes += 1;
        self.network_bytes += grown("bytes_total", "direction=\"out\"");
        self.syncs += grown("wal_syncs_total", "");
        self.log_bytes += grown("log_bytes_total", "");
        self.transactions += grown("transactions_total", "");
        let faults = &mut self.faults;
        faults.timeouts += grown("timeouts", "");
        faults.leader_changes = faults.leader_changes.max(grown("leader_changes_total", ""));
        faults.disconnects += grown("disconnects_total", "");
        faults.dropped_frames += grown("dropped_frames_total", "");
        faults.evidence += grown("evidence_total", "");
        let syncs = |all| of(all, "wal_syncs_total", "");
        faults.restarts += u64::from(syncs(now) < syncs(then));
    }
}

impl Faults {
    /// In words.
    pub(super) fn describe(&self) -> String {
        let all = [
            (self.timeouts, "view time-outs"),
            (self.leader_changes, "leader changes"),
            (self.disconnects, "lost connections"),
            (self.dropped_frames, "dropped frames"),
            (self.evidence, "proofs of lies"),
            (self.restarts, "restarted nodes"),
            (self.lost, "nodes that no longer answer"),
        ];
        let seen: Vec<_> = all
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if seen.is_empty() {
            return "none seen: no view time-out, leader change or lost connection".into();
        }
        seen.join(", ")
    }
}

/// The body of an answer; `None` if there is none, or it is no 200.
pub(super) async fn get(url: &str, path: &str) -> Option<String> {
    let host = url.strip_prefix("http://")?;
    let mut stream = TcpStream::connect(host).await.ok()?;
    // HTTP/1.0: the answer comes in one piece, and its end is the end of the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut text = String::new();
    stream.take(LONGEST).read_to_string(&mut text).await.ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    (head.split(' ').nth(1) == Some("200")).then(|| body.to_owned())
}

/// Whole numbers only: what is counted, not what is measured.
fn parse(text: &str) -> Counters {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn scrape(nodes: &[(&str, &str)]) -> Scrape {
        Scrape(
            nodes
                .iter()
                .map(|(url, text)| ((*url).to_owned(), parse(text)))
                .collect(),
        )
    }

    const BEFORE: &str = "# HELP quorate_bytes Bytes\nquorate_bytes_total{class=\"bulk\",direction=\"out\"} 100\nquorate_bytes_total{class=\"bulk\",direction=\"in\"} 7\nquorate_wal_syncs_total 10\nquorate_timeouts 1\nquorate_sync_seconds_sum 0.25\n";
    const AFTER: &str = "quorate_bytes_total{class=\"bulk\",direction=\"out\"} 150\nquorate_bytes_total{class=\"control\",direction=\"out\"} 20\nquorate_bytes_total{class=\"bulk\",direction=\"in\"} 99\nquorate_wal_syncs_total 14\nquorate_timeouts 3\nquorate_leader_changes_total 1\n";

    #[test]
    fn what_grew_is_summed_over_labels_and_nodes() {
        let before = scrape(&[("a", BEFORE), ("b", BEFORE)]);
        let after = scrape(&[("a", AFTER), ("b", AFTER)]);
        let counted = after.since(&before).unwrap();
        assert_eq!((counted.nodes, counted.network_bytes), (2, 140));
        assert_eq!(counted.syncs, 8);
        assert_eq!(counted.faults.timeouts, 4);
        assert_eq!(counted.faults.leader_changes, 1);
        assert_eq!(
            counted.faults.describe(),
            "4 view time-outs, 1 leader changes"
        );
    }

    #[test]
    fn a_node_that_restarted_or_is_gone_is_a_fault() {
        let before = scrape(&[("a", AFTER), ("b", AFTER)]);
        let faults = scrape(&[("a", BEFORE)]).since(&before).unwrap().faults;
        assert_eq!((faults.restarts, faults.lost), (1, 1));
    }

    #[test]
    fn without_an_answer_nothing_is_claimed() {
        assert!(scrape(&[("a", AFTER)]).since(&scrape(&[])).is_none());
    }
}
