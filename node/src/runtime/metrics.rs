//! What an operator watches: counted here, read by `/metrics`.

use crypto::{Kind, NodeId, Reject};
use engine::{Class, Status};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// One label with a fixed name.
type Label = [(&'static str, &'static str); 1];
/// Class and direction of bytes.
type Labels = [(&'static str, &'static str); 2];
/// Who lied, and about what.
type Accused = [(&'static str, String); 2];

/// A stage on the way of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From submission to the end of its checks.
    Admit,
    /// From its checks to the commit of its height here.
    Order,
    /// From the commit to the receipt.
    Execute,
    /// From submission to receipt.
    Total,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Order => "order",
            Self::Execute => "execute",
            Self::Total => "total",
        }
    }
}

/// All metrics of a node and their registry. Updated without locks, but for the first use of a label.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Seconds of each group commit: write, sync and safety file.
    pub sync_seconds: Histogram,
    /// Group commits.
    pub groups: Counter,
    /// Writes in them.
    pub writes: Counter,
    /// Their bytes.
    pub written_bytes: Counter,
    /// Committed transactions, as ordered (no-ops included).
    pub transactions: Counter,
    /// Committed batches: transactions by batches is how well they are gathered.
    pub batches: Counter,
    /// Proofs that a validator lied, as far as they are kept.
    pub evidence: Counter,
    /// Peers that went out of touch.
    pub disconnects: Counter,
    /// Leaders that followed another one.
    pub leader_changes: Counter,
    lies: Family<Accused, Counter>,
    view: Gauge,
    height: Gauge,
    executed_height: Gauge,
    executor_lag: Gauge,
    timeouts: Gauge,
    connections: Gauge,
    queues: Family<Label, Gauge>,
    rejects: Family<Label, Counter>,
    refused_connections: Family<Label, Counter>,
    dropped_frames: Family<Label, Counter>,
    bytes: Family<Labels, Counter>,
    stages: Family<Label, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let seconds = || Histogram::new(exponential_buckets(50e-6, 2.0, 18));
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("quorate")),
            sync_seconds: seconds(),
            groups: Counter::default(),
            writes: Counter::default(),
            written_bytes: Counter::default(),
            transactions: Counter::default(),
            batches: Counter::default(),
            evidence: Counter::default(),
            disconnects: Counter::default(),
            leader_changes: Counter::default(),
            lies: Family::default(),
            view: Gauge::default(),
            height: Gauge::default(),
            executed_height: Gauge::default(),
            executor_lag: Gauge::default(),
            timeouts: Gauge::default(),
            connections: Gauge::default(),
            queues: Family::default(),
            rejects: Family::default(),
            refused_connections: Family::default(),
            dropped_frames: Family::default(),
            bytes: Family::default(),
            stages: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(100e-6, 2.0, 18))
            }),
        };
        metrics.register_all();
        metrics.register_disturbances();
        metrics
    }

    fn register_all(&self) {
        self.register(|r| {
            r.register(
                "sync_seconds",
                "Group commit: write, sync, safety file",
                self.sync_seconds.clone(),
            );
            r.register("groups", "Group commits", self.groups.clone());
            r.register("writes", "Writes in group commits", self.writes.clone());
            r.register(
                "written_bytes",
                "Bytes written to the log",
                self.written_bytes.clone(),
            );
            r.register(
                "transactions",
                "Committed transactions",
                self.transactions.clone(),
            );
            r.register("batches", "Committed batches", self.batches.clone());
            r.register(
                "evidence",
                "Proofs that a validator lied",
                self.evidence.clone(),
            );
            r.register("view", "Current view or term", self.view.clone());
            r.register("height", "Committed height", self.height.clone());
            r.register(
                "executed_height",
                "Executed height",
                self.executed_height.clone(),
            );
            r.register(
                "executor_lag",
                "Committed heights not yet executed",
                self.executor_lag.clone(),
            );
            r.register(
                "timeouts",
                "View changes or elections since the start",
                self.timeouts.clone(),
            );
            r.register("connections", "Peers in touch", self.connections.clone());
            r.register("queue", "What waits, by queue", self.queues.clone());
            r.register(
                "rejects",
                "Peers' messages refused, by reason",
                self.rejects.clone(),
            );
            r.register(
                "refused_connections",
                "Connections refused, by reason",
                self.refused_connections.clone(),
            );
            r.register(
                "dropped_frames",
                "Frames not sent, by class",
                self.dropped_frames.clone(),
            );
            r.register(
                "bytes",
                "Bytes of frames, by class and direction",
                self.bytes.clone(),
            );
            r.register(
                "stage_seconds",
                "Submission to receipt, by stage",
                self.stages.clone(),
            );
        });
    }

    fn register_disturbances(&self) {
        self.register(|r| {
            r.register(
                "disconnects",
                "Peers that went out of touch",
                self.disconnects.clone(),
            );
            r.register(
                "leader_changes",
                "Leaders that followed another one",
                self.leader_changes.clone(),
            );
            r.register(
                "lies",
                "Proofs that a validator lied, by liar and kind of statement",
                self.lies.clone(),
            );
        });
    }

    /// Registers more metrics under the same prefix.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// All of them in the text format of Prometheus.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        text::encode(&mut out, &registry).expect("writing to a string does not fail");
        out
    }

    /// Takes over what the machine says of itself.
    pub fn observe(&self, status: &Status) {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.view.set(number(status.consensus.view.0));
        self.height.set(number(status.consensus.height.0));
        self.executed_height.set(number(status.state_height.0));
        let lag = status
            .consensus
            .height
            .0
            .saturating_sub(status.state_height.0);
        self.executor_lag.set(number(lag));
        self.timeouts.set(number(status.consensus.timeouts));
        self.queue("transactions", status.pending.transactions);
        self.queue("batches", status.pending.batches);
        self.queue("batch_bytes", status.pending.batch_bytes);
        self.queue("requests", status.requests);
    }

    /// Sets the length of a queue.
    pub fn queue(&self, name: &'static str, length: usize) {
        self.queues
            .get_or_create(&[("queue", name)])
            .set(i64::try_from(length).unwrap_or(i64::MAX));
    }

    /// Sets the number of peers in touch.
    pub fn connections(&self, count: usize) {
        self.connections
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a peer's fault.
    pub fn reject(&self, reject: Reject) {
        self.rejects
            .get_or_create(&[("reason", reject.name())])
            .inc();
    }

    /// Counts a proof that a validator lied about a statement of this kind.
    pub fn lie(&self, node: NodeId, kind: Kind) {
        self.evidence.inc();
        self.lies
            .get_or_create(&[("node", node.to_string()), ("kind", kind.name().to_owned())])
            .inc();
    }

    /// Counts a connection that was refused.
    pub fn refused_connection(&self, reason: &'static str) {
        self.refused_connections
            .get_or_create(&[("reason", reason)])
            .inc();
    }

    /// How many connections were refused for this reason.
    #[must_use]
    pub fn refused_connections(&self, reason: &'static str) -> u64 {
        self.refused_connections
            .get_or_create(&[("reason", reason)])
            .get()
    }

    /// How many of a peer's messages were refused for this reason.
    #[must_use]
    pub fn rejects(&self, reject: Reject) -> u64 {
        self.rejects
            .get_or_create(&[("reason", reject.name())])
            .get()
    }

    /// Counts frames that were not sent.
    pub fn dropped_frames(&self, class: Class, count: usize) {
        if count > 0 {
            self.dropped_frames
                .get_or_create(&[("class", class_name(class))])
                .inc_by(count as u64);
        }
    }

    /// Counts bytes of frames sent.
    pub fn sent(&self, class: Class, bytes: usize) {
        self.bytes
            .get_or_create(&[("class", class_name(class)), ("direction", "out")])
            .inc_by(bytes as u64);
    }

    /// Counts bytes of frames received.
    pub fn received(&self, class: Class, bytes: usize) {
        self.bytes
            .get_or_create(&[("class", class_name(class)), ("direction", "in")])
            .inc_by(bytes as u64);
    }

    /// Observes how long a stage took.
    pub fn stage(&self, stage: Stage, took: Duration) {
        self.stages
            .get_or_create(&[("stage", stage.name())])
            .observe(took.as_secs_f64());
    }
}

/// The class's name in metrics, logs and protocol names.
#[must_use]
pub const fn class_name(class: Class) -> &'static str {
    match class {
        Class::Control => "control",
        Class::Bulk => "bulk",
    }
}
