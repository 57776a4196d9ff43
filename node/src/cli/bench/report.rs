//! The card: what was measured, under which conditions.

use super::load::{Measured, Plan};
use super::requests::Kind;
use super::scrape::{Counted, Faults};
use crate::cli::VERSION;
use crate::cli::process;
use crate::rpc::proto::StatusResponse;
use serde::Serialize;

/// CPU time and memory of the nodes and the client.
#[derive(Clone, Debug, Default)]
pub(super) struct Cost {
    nodes: Vec<process::Usage>,
    client: process::Usage,
}

impl Cost {
    /// So far.
    pub(super) fn now(pids: &[u32]) -> Self {
        Self {
            nodes: pids.iter().filter_map(|pid| process::usage(*pid)).collect(),
            client: process::usage(std::process::id()).unwrap_or_default(),
        }
    }

    /// CPU time and bytes since then; memory as it is now.
    pub(super) fn since(self, before: &Self) -> Self {
        let spent = |now: process::Usage, then: &process::Usage| process::Usage {
            cpu: now.cpu - then.cpu,
            written: now.written.saturating_sub(then.written),
            ..now
        };
        let nodes = self.nodes.into_iter().zip(&before.nodes);
        Self {
            nodes: nodes.map(|(now, then)| spent(now, then)).collect(),
            client: spent(self.client, &before.client),
        }
    }
}

/// What was seen of the cluster besides the answers to the load.
pub(super) struct Observed {
    /// Before the load.
    pub(super) before: StatusResponse,
    /// After it.
    pub(super) after: StatusResponse,
    /// Whether a transaction with a forged signature was refused; `None`: nobody could say.
    pub(super) signed: Option<bool>,
    /// Whether the nodes' data are on a disk and not in memory; `None` if they are elsewhere.
    pub(super) on_disk: Option<bool>,
    /// What the nodes counted; `None` if their metrics are out of reach.
    pub(super) counted: Option<Counted>,
    /// CPU time and memory.
    pub(super) cost: Cost,
}

/// All that a result must state. Field names are stable. `None`: could not be observed from here.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: &'static str,
    machine: String,
    cores: usize,
    nodes: u32,
    protocol: String,
    fault_model: String,
    /// `put`, `linearizable get` or `local get`.
    request: &'static str,
    value_bytes: usize,
    operations: usize,
    /// A forged transaction was refused.
    signed: Option<bool>,
    /// The nodes synced their write-ahead logs, to a disk.
    synced: Option<bool>,
    /// Always: a node speaks nothing but Noise to its peers.
    encrypted: bool,
    /// The digest of the state moved; for gets, while their keys were written.
    executed: bool,
    mode: String,
    target_per_second: Option<f64>,
    seconds: f64,
    clients: usize,
    offered_per_second: f64,
    achieved_per_second: f64,
    operations_per_second: f64,
    requests: u64,
    committed: u64,
    failed: u64,
    failures: std::collections::BTreeMap<String, u64>,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
    nodes_cpu_us_per_transaction: Option<f64>,
    nodes_cpu_us_per_operation: Option<f64>,
    client_cpu_us_per_transaction: f64,
    nodes_memory_mib: Vec<f64>,
    disk_bytes_per_transaction: Option<f64>,
    network_bytes_per_transaction: Option<f64>,
    log_bytes_per_transaction: Option<f64>,
    syncs_per_transaction: Option<f64>,
    /// How many nodes told what they counted.
    nodes_observed: usize,
    faults: Option<Faults>,
}

impl Report {
    /// `size`: bytes of a value; `all`: requests done in the whole run, warm-up included, over which costs are spread.
    pub(super) fn new(
        plan: &Plan,
        size: usize,
        seen: Observed,
        measured: Measured,
        all: u64,
    ) -> Self {
        let operations = plan.kind.operations();
        let seconds = plan.duration.as_secs_f64();
        let achieved = measured.completed as f64 / seconds;
        let all = all.max(1) as f64;
        let nodes = &seen.cost.nodes;
        let known = |sum: f64| (!nodes.is_empty()).then_some(sum / all);
        let cpu = known(nodes.iter().map(|node| node.cpu).sum::<f64>() * 1e6);
        let counted = seen.counted.as_ref();
        let each = |count: fn(&Counted) -> u64| counted.map(|it| count(it) as f64 / all);
        let quantile = |q: f64| measured.latency.value_at_quantile(q) as f64 / 1000.0;
        let (before, status) = (&seen.before, &seen.after);
        Self {
            version: VERSION,
            machine: process::machine(),
            cores: process::cores(),
            nodes: status.n,
            protocol: status.protocol.clone(),
            fault_model: status.fault_model.clone(),
            request: plan.kind.name(),
            value_bytes: size,
            operations,
            signed: seen.signed,
            synced: match plan.kind {
                Kind::Puts { .. } => counted.map(|it| it.syncs > 0 && seen.on_disk != Some(false)),
                // Nothing is written.
                Kind::Gets { .. } => None,
            },
            encrypted: true,
            executed: status.state_digest != before.state_digest,
            mode: match plan.rate {
                Some(rate) => format!("open loop at {rate}/s"),
                None => format!("closed loop, {} outstanding", plan.outstanding),
            },
            target_per_second: plan.rate,
            seconds,
            clients: plan.clients,
            offered_per_second: measured.offered as f64 / seconds,
            achieved_per_second: achieved,
            operations_per_second: achieved * operations as f64,
            requests: measured.offered,
            committed: measured.committed,
            failed: measured.failures.values().sum(),
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
            max_ms: measured.latency.max() as f64 / 1000.0,
            failures: measured.failures,
            nodes_cpu_us_per_transaction: cpu,
            nodes_cpu_us_per_operation: cpu.map(|cpu| cpu / operations as f64),
            client_cpu_us_per_transaction: seen.cost.client.cpu * 1e6 / all,
            nodes_memory_mib: nodes
                .iter()
                .map(|node| (node.memory as f64 / f64::from(1 << 20)).round())
                .collect(),
            disk_bytes_per_transaction: known(nodes.iter().map(|node| node.written as f64).sum()),
            network_bytes_per_transaction: each(|it| it.network_bytes),
            log_bytes_per_transaction: each(|it| it.log_bytes),
            syncs_per_transaction: each(|it| it.syncs),
            nodes_observed: counted.map_or(0, |it| it.nodes),
            faults: seen.counted.map(|it| it.faults),
        }
    }

    /// Why this is beyond what the cluster carries; `None` if it carries it: receipts for at least
    /// 99.9%, none refused, and a p99 within the bound.
    pub(super) fn overload(&self, p99_ms: f64) -> Option<String> {
        if self.failed > 0 {
            return Some(format!("{} of {} lost", self.failed, self.requests));
        }
        if (self.committed as f64) < 0.999 * self.requests as f64 {
            return Some(format!("{} of {} committed", self.committed, self.requests));
        }
        (self.p99_ms > p99_ms).then(|| format!("p99 above {p99_ms:.0} ms"))
    }

    /// One line of a table of steps; its head is [`Report::STEP_HEAD`].
    pub(super) fn step(&self, verdict: &str) -> String {
        let cpu = self
            .nodes_cpu_us_per_transaction
            .map_or("?".into(), |cpu| format!("{cpu:.0}"));
        format!(
            "{:>8.0} {:>9.0} {:>9.1} {:>9.1} {:>9.1} {:>6} {cpu:>9}  {verdict}",
            self.offered_per_second,
            self.achieved_per_second,
            self.p50_ms,
            self.p99_ms,
            self.p999_ms,
            self.failed,
        )
    }

    /// Names the columns of [`Report::step`].
    pub(super) const STEP_HEAD: &str =
        " offered  achieved    p50 ms    p99 ms  p99.9 ms   lost CPU us ea.";

    /// Names the file.
    pub(super) fn name(&self) -> String {
        let what = match self.unit() {
            "get" => format!("{}s", self.request.replace(' ', "-")),
            _ => format!("{}ops", self.operations),
        };
        format!("{}-{}-{what}", self.protocol, self.nodes)
    }

    /// As one object.
    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and strings are JSON")
    }

    /// As a value, for a list of several.
    pub(super) fn value(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("numbers and strings are JSON")
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut rows = self.conditions();
        rows.extend(self.results());
        let line = |(name, value): &(&str, String)| format!("{name:<15}{value}");
        rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn conditions(&self) -> Vec<(&'static str, String)> {
        let yes = |is: Option<bool>| match is {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "unknown",
        };
        let mut honest = format!(
            "signed {} (a forged transaction was sent), synced {} (the nodes' counters), \
             executed {} (the state's digest), encrypted yes (by construction)",
            yes(self.signed),
            yes(self.synced),
            yes(Some(self.executed)),
        );
        if self.unit() == "get" {
            honest = "each get found what was put before, encrypted yes (by construction)".into();
        }
        let cluster = format!(
            "{} nodes, {} ({})",
            self.nodes, self.fault_model, self.protocol
        );
        let mut load = format!("{}, {} s", self.mode, self.seconds);
        if self.unit() == "tx" {
            load += &format!(", {} client keys", self.clients);
        }
        vec![
            ("quorate", self.version.into()),
            (
                "machine",
                format!("{} ({} usable)", self.machine, self.cores),
            ),
            ("cluster", cluster),
            (
                "request",
                format!(
                    "{} x {} of {} bytes",
                    self.operations, self.request, self.value_bytes
                ),
            ),
            ("honest", honest),
            ("load", load),
            ("faults", self.describe_faults()),
        ]
    }

    fn describe_faults(&self) -> String {
        match &self.faults {
            Some(faults) if self.nodes_observed == self.nodes as usize => faults.describe(),
            Some(faults) => format!(
                "{} (of {} nodes that could be asked)",
                faults.describe(),
                self.nodes_observed
            ),
            None => "unknown (no node's /metrics could be reached)".into(),
        }
    }

    /// What a request is called.
    fn unit(&self) -> &'static str {
        if self.request == "put" { "tx" } else { "get" }
    }

    fn results(&self) -> Vec<(&'static str, String)> {
        let unit = self.unit();
        let latency = format!(
            "p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, max {:.1} ms",
            self.p50_ms, self.p99_ms, self.p999_ms, self.max_ms
        );
        let achieved = format!(
            "{:.0} {unit}/s, {:.0} op/s",
            self.achieved_per_second, self.operations_per_second
        );
        let nodes = match self.nodes_cpu_us_per_transaction {
            Some(cpu) => format!(
                "{cpu:.0} us of all nodes ({:.0} us an operation)",
                self.nodes_cpu_us_per_operation.unwrap_or(cpu)
            ),
            None => "unknown (the nodes run elsewhere)".into(),
        };
        let client = self.client_cpu_us_per_transaction;
        let mut rows = vec![
            (
                "offered",
                format!("{:.0} {unit}/s", self.offered_per_second),
            ),
            ("achieved", achieved),
            ("latency", latency),
            ("lost", format!("{} of {}", self.failed, self.requests)),
        ];
        let causes = self.failures.iter();
        rows.extend(causes.map(|(cause, count)| ("", format!("{count} x {cause}"))));
        rows.push(("CPU each", format!("{nodes}, {client:.0} us of the client")));
        rows.extend(self.traffic());
        if !self.nodes_memory_mib.is_empty() {
            let list: Vec<_> = self
                .nodes_memory_mib
                .iter()
                .map(|m| format!("{m:.0}"))
                .collect();
            rows.push(("memory", format!("{} MiB", list.join(", "))));
        }
        rows
    }

    /// What each request cost all nodes together in bytes and syncs, as far as it is known.
    fn traffic(&self) -> Option<(&'static str, String)> {
        let network = self.network_bytes_per_transaction?;
        let (syncs, log) = (self.syncs_per_transaction?, self.log_bytes_per_transaction?);
        let disk = self
            .disk_bytes_per_transaction
            .map_or(String::new(), |disk| format!(" ({disk:.0} to disk)"));
        let text =
            format!("{network:.0} bytes sent, {log:.0} bytes logged{disk}, {syncs:.3} syncs");
        Some(("bytes each", text))
    }
}
