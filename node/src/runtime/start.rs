//! Starting and stopping a node.

use super::clock::Clock;
use super::driver::{Driver, Outward};
use super::failure::Failure;
use super::inbox::Inbox;
use super::metrics::Metrics;
use super::network::{Network, NetworkConfig};
use super::occasionally::Occasionally;
use super::requests::Requests;
use super::verify::Verification;
use super::{executor_thread, storage_thread};
use crate::handle::{NodeHandle, Shared};
use anyhow::Context as _;
use engine::{Effect, Ingress, Input, Machine};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use storage::{Executor, GroupCommit, Limits, StateReader, Store};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Between the news of the shutdown and the end of the machine: its last messages leave.
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
    pub log: Arc<dyn Store>,
    /// `data/state`.
    pub state: Arc<dyn Store>,
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
    let failure = Failure::new(stop.clone());
    let network_stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let metrics = config.metrics;
    let requests = Arc::new(Requests::new(config.requests));
    let (inbox, outlet) = Inbox::new();
    let window = Arc::new(RwLock::new(machine.window()));
    let status = Arc::new(RwLock::new(Arc::new(machine.status())));

    let verification = Arc::new(Verification::new(
        ingress,
        window.clone(),
        inbox.clone(),
        requests.clone(),
        metrics.clone(),
    ));
    let network = Network::start(
        config.network,
        verification.clone(),
        metrics.clone(),
        network_stop.clone(),
        &tasks,
    )
    .await?;
    let no_thread = "cannot start a thread";
    let mut checkers = verification
        .start(config.verify_threads, &failure)
        .context(no_thread)?;
    let (storage, writers) = storage_thread::start(
        config.group,
        config.log.clone(),
        inbox.clone(),
        metrics.clone(),
        &failure,
    )
    .context(no_thread)?;
    let (executor, executed, executing) =
        executor_thread::start(config.executor, config.clock, inbox.clone(), &failure)
            .context(no_thread)?;
    let outward = Outward {
        network: network.clone(),
        storage,
        executor,
        requests: requests.clone(),
        metrics: metrics.clone(),
        failure: failure.clone(),
        commits: VecDeque::new(),
        log: Occasionally::default(),
    };
    let waiting = {
        let verification = verification.clone();
        Box::new(move || verification.waiting())
    };
    let (clock, shown) = (config.clock, status.clone());
    let driver = Driver {
        machine,
        clock,
        outlet,
        window,
        status: shown,
        waiting,
        outward,
    };
    let machine = failure
        .spawn("machine", move || driver.run(effects))
        .context(no_thread)?;

    let (finished, done) = oneshot::channel();
    let address = network.address();
    let asked = verification.clone();
    let shared = Shared {
        ask: Box::new(move |question| asked.ask(question)),
        requests,
        status,
        state: StateReader::new(config.state, config.limits),
        log: config.log,
        executed,
        metrics,
        stop: stop.clone(),
        peers: Box::new(move || network.peers()),
        network_address: address,
        done: Mutex::new(Some(done)),
    };
    checkers.push(machine);
    checkers.extend(writers);
    checkers.push(executing);
    tokio::spawn(async move {
        stop.cancelled().await;
        wind_down(
            &inbox,
            &verification,
            &failure,
            &network_stop,
            &tasks,
            checkers,
        )
        .await;
        // Nobody may wait for the outcome.
        finished.send(failure.reason().map_or(Ok(()), Err)).ok();
    });
    Ok(NodeHandle {
        shared: Arc::new(shared),
    })
}

/// Ends all threads in the order of the data: network, checks, machine, log, state.
async fn wind_down<I: Ingress>(
    inbox: &Inbox<I::Checked>,
    verification: &Verification<I>,
    failure: &Failure,
    network_stop: &CancellationToken,
    tasks: &TaskTracker,
    threads: Vec<JoinHandle<()>>,
) {
    if failure.reason().is_some() {
        // The process ends at once: nothing more is worth doing, and some of it could harm.
        network_stop.cancel();
        verification.close();
        inbox.stop();
        return;
    }
    inbox.post(Input::Shutdown);
    sleep(FAREWELL).await;
    network_stop.cancel();
    verification.close();
    inbox.stop();
    tasks.close();
    if timeout(PATIENCE, tasks.wait()).await.is_err() {
        tracing::debug!("some network tasks did not end in time");
    }
    let joined = spawn_blocking(move || {
        // A thread that panicked has said so by failing the node.
        threads.into_iter().for_each(|thread| drop(thread.join()));
    });
    if joined.await.is_err() {
        failure.fail("the threads could not be joined");
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
