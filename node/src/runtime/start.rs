//! Starting and stopping a node.

use super::clock::Clock;
use super::driver::{Driver, Outward, tell_of_lie};
use super::failure::Failure;
use super::inbox::Inbox;
use super::metrics::Metrics;
use super::network::{Network, NetworkConfig};
use super::occasionally::Occasionally;
use super::pulse::Pulse;
use super::requests::Requests;
use super::verify::Verification;
use super::{executor_thread, storage_thread};
use crate::handle::{NodeHandle, Shared};
use anyhow::Context as _;
use crypto::Height;
use engine::{Effect, Ingress, Input, Machine, Status};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use storage::{Executor, GroupCommit, Limits, Log, StateReader, Store};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the machine may hand over and answer those who wait, once it is to stop.
const HANDOVER: Duration = Duration::from_secs(1);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(5);
/// Between that and the end of the machine: its last messages leave.
const FAREWELL: Duration = Duration::from_millis(150);
/// Network tasks that have not ended by then are left alone.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a node runs on.
pub struct RuntimeConfig {
    /// The clock by which the machine was made.
    pub clock: Clock,
    /// The network.
    pub network: NetworkConfig,
    /// `data/log`.
    pub log: Log,
    /// The log's group commit.
    pub group: GroupCommit,
    /// The executor, opened on both stores.
    pub executor: Executor,
    /// Of the genesis file, for reads.
    pub limits: Limits,
    /// Most requests of clients at a time.
    pub requests: usize,
    /// Threads that check batches and transactions.
    pub verify_threads: usize,
    /// Metrics; the caller may have registered more.
    pub metrics: Arc<Metrics>,
}

/// Runs a machine, an honest node or one that wraps it. `effects` are those of its start.
///
/// # Errors
/// A taken port, no thread left: one line that says what.
pub async fn run<M, I>(
    machine: M,
    effects: Vec<Effect>,
    ingress: Arc<I>,
    config: RuntimeConfig,
) -> anyhow::Result<NodeHandle>
where
    M: Machine,
    I: Ingress<Checked = M::Checked>,
{
    let stop = CancellationToken::new();
    let metrics = config.metrics.clone();
    let requests = Arc::new(Requests::new(config.requests));
    let (inbox, outlet) = Inbox::new();
    let window = Arc::new(RwLock::new(machine.window()));
    let status = machine.status();
    let lies = status.evidence.iter();
    lies.for_each(|about| tell_of_lie(&metrics, *about));
    let status = Arc::new(RwLock::new(Arc::new(status)));
    let (asking, counting) = (requests.clone(), metrics.clone());
    let verification = Verification::new(ingress, window.clone(), inbox.clone(), asking, counting);
    let mut parts = Parts::new(inbox, verification, status.clone(), stop.clone());
    let network = Network::start(
        config.network,
        parts.verification.clone(),
        metrics.clone(),
        parts.network_stop.clone(),
        &parts.tasks,
    )
    .await?;
    let state = StateReader::new(config.executor.state(), config.limits);
    let log = config.log;
    let (outward, executed) = parts
        .start_workers(
            Disks {
                group: config.group,
                log: Arc::clone(log.store()),
                executor: config.executor,
            },
            (config.clock, config.verify_threads),
            (network.clone(), requests.clone(), metrics.clone()),
        )
        .context("cannot start a thread")?;
    let checks = parts.verification.clone();
    let pulse = Arc::new(Pulse::new());
    let driver = Driver {
        machine,
        clock: config.clock,
        outlet,
        window,
        status: status.clone(),
        pulse: pulse.clone(),
        waiting: Box::new(move || checks.waiting()),
        outward,
    };
    let machine = parts.failure.spawn("machine", move || driver.run(effects));
    parts
        .threads
        .push(machine.context("cannot start a thread")?);

    let (address, checks) = (network.address(), parts.verification.clone());
    let shared = Shared {
        ask: Box::new(move |question| checks.ask(question)),
        requests,
        status,
        pulse,
        state,
        log,
        executed,
        metrics,
        stop: stop.clone(),
        gone: parts.gone.clone(),
        peers: Box::new(move || network.peers()),
        network_address: address,
        done: Mutex::new(Some(parts.wind_down_after(stop))),
    };
    Ok(NodeHandle {
        shared: Arc::new(shared),
    })
}

/// What the threads of the disk own.
struct Disks {
    group: GroupCommit,
    log: Arc<dyn Store>,
    executor: Executor,
}

/// What has to be ended.
struct Parts<I: Ingress> {
    inbox: Inbox<I::Checked>,
    verification: Arc<Verification<I>>,
    failure: Failure,
    network_stop: CancellationToken,
    status: Arc<RwLock<Arc<Status>>>,
    /// Cancelled once nobody is answered any more.
    gone: CancellationToken,
    tasks: TaskTracker,
    threads: Vec<JoinHandle<()>>,
}

impl<I: Ingress> Parts<I> {
    fn new(
        inbox: Inbox<I::Checked>,
        verification: Verification<I>,
        status: Arc<RwLock<Arc<Status>>>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            inbox,
            verification: Arc::new(verification),
            failure: Failure::new(stop),
            network_stop: CancellationToken::new(),
            status,
            gone: CancellationToken::new(),
            tasks: TaskTracker::new(),
            threads: Vec::new(),
        }
    }

    /// Starts all threads but the machine's, for which it returns where its effects go.
    fn start_workers(
        &mut self,
        disks: Disks,
        (clock, verify_threads): (Clock, usize),
        (network, requests, metrics): (Network, Arc<Requests>, Arc<Metrics>),
    ) -> std::io::Result<(Outward, watch::Receiver<Height>)> {
        let failure = &self.failure;
        let checkers = self.verification.start(verify_threads, failure)?;
        let (inbox, counting) = (self.inbox.clone(), metrics.clone());
        let (storage, writers) =
            storage_thread::start(disks.group, disks.log, inbox, counting, failure)?;
        let (executor, executed, executing) =
            executor_thread::start(disks.executor, clock, self.inbox.clone(), failure)?;
        self.threads.extend(checkers.into_iter().chain(writers));
        self.threads.push(executing);
        let outward = Outward {
            network,
            storage,
            executor,
            requests,
            metrics,
            failure: self.failure.clone(),
            commits: VecDeque::new(),
            log: Occasionally::default(),
        };
        Ok((outward, executed))
    }

    /// Ends everything once the node is to stop; tells how it ended.
    fn wind_down_after(self, stop: CancellationToken) -> oneshot::Receiver<Result<(), String>> {
        let (finished, done) = oneshot::channel();
        tokio::spawn(async move {
            stop.cancelled().await;
            let gone = self.gone.clone();
            let outcome = self.wind_down().await;
            gone.cancel();
            // Perhaps nobody waits for it.
            finished.send(outcome).ok();
        });
        done
    }

    fn may_end(&self) -> bool {
        let status = self.status.read().unwrap_or_else(PoisonError::into_inner);
        status.may_end || self.failure.reason().is_some()
    }

    /// Ends everything in the order of the data: network, checks, machine, log, state.
    async fn wind_down(self) -> Result<(), String> {
        if let Some(reason) = self.failure.reason() {
            // The process ends at once: nothing more is worth doing, and some of it could harm.
            self.network_stop.cancel();
            self.verification.close();
            self.inbox.stop();
            return Err(reason);
        }
        self.inbox.post(Input::Shutdown);
        let end = Instant::now() + HANDOVER;
        while !self.may_end() && Instant::now() < end {
            sleep(LOOK).await;
        }
        sleep(FAREWELL).await;
        self.network_stop.cancel();
        self.verification.close();
        self.inbox.stop();
        self.tasks.close();
        if timeout(PATIENCE, self.tasks.wait()).await.is_err() {
            tracing::debug!("some network tasks did not end in time");
        }
        let threads = self.threads;
        let joined = spawn_blocking(move || {
            // A thread that panicked has said so by failing the node.
            threads.into_iter().for_each(|thread| drop(thread.join()));
        });
        if joined.await.is_err() {
            return Err("the threads could not be joined".into());
        }
        self.failure.reason().map_or(Ok(()), Err)
    }
}

/// Stops the node on SIGTERM and SIGINT. A second signal ends the process without waiting.
///
/// # Errors
/// The system refuses to hand over signals.
pub fn stop_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let mut stopping = false;
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if std::mem::replace(&mut stopping, true) {
                std::process::exit(1);
            }
            tracing::info!("stopping on {name}");
            stop.cancel();
        }
    });
    Ok(())
}
