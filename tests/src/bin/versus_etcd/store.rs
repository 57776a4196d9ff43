//! What is asked of both stores alike.

use anyhow::Result;
use bytes::Bytes;
use rand_core::Rng;
use std::future::Future;
use std::time::Duration;

/// Nodes of each cluster.
pub const NODES: usize = 3;
/// Bytes of each value.
pub const VALUE: usize = 256;
/// How long anything may take that is no measurement.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A load in a closed loop: each client sends its next request when the last one is answered.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What each request is.
    pub asks: Asks,
    /// Requests on the way.
    pub clients: usize,
    /// Whether only the leader is asked, or all nodes in turn.
    pub at_leader: bool,
    /// How long is measured.
    pub duration: Duration,
    /// How long the load runs before.
    pub warmup: Duration,
}

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Write one value.
    Put,
    /// Read one value, linearizably, of a key that was put before.
    Get,
}

/// What a load achieved.
#[derive(Clone, Copy, Debug)]
pub struct Card {
    /// Answers a second.
    pub per_second: f64,
    /// Half of the latencies are below, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 are.
    pub p99_ms: f64,
    /// Processor time of all servers together for each answer, in microseconds.
    pub servers_us: f64,
    /// Of the client.
    pub client_us: f64,
    /// Requests that were refused or lost.
    pub failed: u64,
}

/// A store that can be measured.
pub trait Store {
    /// A running cluster of it.
    type Running: Running;
    /// What its column is called.
    fn name(&self) -> String;
    /// Starts a new cluster in an empty directory on disk, and waits until it serves.
    async fn start(&self) -> Result<Self::Running>;
    /// Loads a new cluster, which is gone afterwards.
    async fn measure(&self, load: Load) -> Result<Card>;
}

/// A cluster that runs. Dropped, it is killed and deleted.
pub trait Running {
    /// A client of one node.
    type Client: Put;
    /// A client of each node, which connects when first used.
    async fn clients(&self) -> Result<Vec<Self::Client>>;
    /// Who leads now.
    async fn leader(&self) -> Result<usize>;
    /// Puts so many values one by one; how many there are now.
    async fn fill(&mut self, puts: u64) -> Result<u64>;
    /// Kills a node as `kill -9` does, and waits until it is gone.
    async fn kill(&mut self, node: usize) -> Result<()>;
    /// Kills all nodes so, at once.
    async fn kill_all(&mut self) -> Result<()>;
    /// Starts all nodes that do not run; returns at once.
    fn start_all(&mut self) -> Result<()>;
}

/// Puts at one node.
pub trait Put: Clone + Send + Sync + 'static {
    /// Puts one value, asked once; the error is what the node said.
    fn put(
        &self,
        number: u64,
        patience: Duration,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

/// The name of a key: 14 bytes, as `quorate bench` has them.
pub fn key(number: u64) -> String {
    format!("bench/{number:08}")
}

/// Bytes that do not compress.
pub fn value(random: &mut impl Rng) -> Bytes {
    let mut value = vec![0; VALUE];
    random.fill_bytes(&mut value);
    value.into()
}
