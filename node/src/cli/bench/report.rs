//! The card: what was measured, under which conditions.

use super::load::{Measured, Plan};
use super::process;
use crate::cli::VERSION;
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

    /// CPU time since then; memory as it is now.
    pub(super) fn since(self, before: &Self) -> Self {
        let spent = |now: process::Usage, then: &process::Usage| process::Usage {
            cpu: now.cpu - then.cpu,
            ..now
        };
        let nodes = self.nodes.into_iter().zip(&before.nodes);
        Self {
            nodes: nodes.map(|(now, then)| spent(now, then)).collect(),
            client: spent(self.client, &before.client),
        }
    }
}

/// All that a result must state. Field names are stable.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: &'static str,
    machine: String,
    cores: usize,
    nodes: u32,
    protocol: String,
    fault_model: String,
    value_bytes: usize,
    operations: usize,
    signed: bool,
    pub(super) synced: bool,
    encrypted: bool,
    executed: bool,
    mode: String,
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
    client_cpu_us_per_transaction: f64,
    nodes_memory_mib: Vec<f64>,
    faults: &'static str,
}

impl Report {
    /// `all`: transactions of the whole run, warm-up included, over which CPU time is spread.
    pub(super) fn new(
        plan: &Plan,
        status: &StatusResponse,
        measured: Measured,
        cost: Cost,
        all: u64,
    ) -> Self {
        let seconds = plan.duration.as_secs_f64();
        let achieved = measured.completed as f64 / seconds;
        let each = |cpu: f64| cpu * 1e6 / all.max(1) as f64;
        let nodes_cpu: f64 = cost.nodes.iter().map(|node| node.cpu).sum();
        let quantile = |q: f64| measured.latency.value_at_quantile(q) as f64 / 1000.0;
        Self {
            version: VERSION,
            machine: process::machine(),
            cores: process::cores(),
            nodes: status.n,
            protocol: status.protocol.clone(),
            fault_model: status.fault_model.clone(),
            value_bytes: plan.size,
            operations: plan.operations,
            // There is no way to switch these off: a figure without them would be another system's.
            // Only a cluster whose disk is memory syncs nothing.
            signed: true,
            synced: true,
            encrypted: true,
            executed: true,
            mode: match plan.rate {
                Some(rate) => format!("open loop at {rate} tx/s"),
                None => format!("closed loop, {} outstanding", plan.outstanding),
            },
            seconds,
            clients: plan.clients,
            offered_per_second: measured.offered as f64 / seconds,
            achieved_per_second: achieved,
            operations_per_second: achieved * plan.operations as f64,
            requests: measured.offered,
            committed: measured.committed,
            failed: measured.failures.values().sum(),
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
            max_ms: measured.latency.max() as f64 / 1000.0,
            failures: measured.failures,
            nodes_cpu_us_per_transaction: (!cost.nodes.is_empty()).then(|| each(nodes_cpu)),
            client_cpu_us_per_transaction: each(cost.client.cpu),
            nodes_memory_mib: cost
                .nodes
                .iter()
                .map(|node| (node.memory as f64 / f64::from(1 << 20)).round())
                .collect(),
            faults: "none",
        }
    }

    /// Names the file.
    pub(super) fn name(&self) -> String {
        format!("{}-{}-{}ops", self.protocol, self.nodes, self.operations)
    }

    /// As one object.
    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and strings are JSON")
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut rows = self.conditions();
        rows.extend(self.results());
        let line = |(name, value): &(&str, String)| format!("{name:<15}{value}");
        rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn conditions(&self) -> Vec<(&'static str, String)> {
        let yes = |is: bool| if is { "yes" } else { "no" };
        let honest = format!(
            "signed {}, synced {}, encrypted {}, executed {}",
            yes(self.signed),
            yes(self.synced),
            yes(self.encrypted),
            yes(self.executed)
        );
        let cluster = format!(
            "{} nodes, {} ({})",
            self.nodes, self.fault_model, self.protocol
        );
        let load = format!("{}, {} keys, {} s", self.mode, self.clients, self.seconds);
        vec![
            ("quorate", self.version.into()),
            (
                "machine",
                format!("{} ({} usable)", self.machine, self.cores),
            ),
            ("cluster", cluster),
            (
                "transaction",
                format!("{} x {} bytes", self.operations, self.value_bytes),
            ),
            ("honest", honest),
            ("load", load),
            ("faults", self.faults.into()),
        ]
    }

    fn results(&self) -> Vec<(&'static str, String)> {
        let latency = format!(
            "p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, max {:.1} ms",
            self.p50_ms, self.p99_ms, self.p999_ms, self.max_ms
        );
        let achieved = format!(
            "{:.0} tx/s, {:.0} op/s",
            self.achieved_per_second, self.operations_per_second
        );
        let nodes = match self.nodes_cpu_us_per_transaction {
            Some(cpu) => format!("{cpu:.0} us of all nodes"),
            None => "unknown (the nodes run elsewhere)".into(),
        };
        let client = self.client_cpu_us_per_transaction;
        let mut rows = vec![
            ("offered", format!("{:.0} tx/s", self.offered_per_second)),
            ("achieved", achieved),
            ("latency", latency),
            ("lost", format!("{} of {}", self.failed, self.requests)),
        ];
        let causes = self.failures.iter();
        rows.extend(causes.map(|(cause, count)| ("", format!("{count} x {cause}"))));
        rows.push((
            "CPU each tx",
            format!("{nodes}, {client:.0} us of the client"),
        ));
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
}
