//! A simulated machine: its disk, which outlives the process, and the process, if it is up.

use super::Scenario;
use super::event::Event;
use crypto::{Height, NodeId, Time};
use engine::Machine;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use storage::memory::Image;
use storage::{
    Executor, ExecutorConfig, FlushPolicy, GroupCommit, Job, Limits, Log, Memory, MemorySafetyFile,
    PayloadOf, Safety, SafetyFile as _, SafetyPolicy, Store, Verdict, verdict,
};

/// What outlives a process.
pub struct Disk {
    /// `data/log`.
    pub log: Arc<Memory>,
    /// `data/state`.
    pub state: Arc<Memory>,
    /// The safety file.
    pub safety: MemorySafetyFile,
}

/// A disk as it was.
#[derive(Clone, Debug)]
pub struct Past {
    log: Image,
    state: Image,
    safety: Option<Safety>,
}

impl Disk {
    /// A copy of what is durable now.
    #[must_use]
    pub fn past(&mut self) -> Past {
        Past {
            log: self.log.image(),
            state: self.state.image(),
            safety: self.safety.read().ok().flatten(),
        }
    }
    /// Puts a copy in the place of what is there.
    pub fn restore(&mut self, past: Past, first: &Safety) {
        self.log = Arc::new(self.log.from_image(past.log));
        self.state = Arc::new(self.state.from_image(past.state));
        self.safety = MemorySafetyFile::create(&past.safety.unwrap_or(*first));
    }
}

/// A running process.
pub struct Life<M> {
    /// The node.
    pub machine: M,
    /// Its storage thread.
    pub group: GroupCommit,
    /// Writes that wait for the storage thread.
    pub waiting: Vec<Job<u64>>,
    /// Writes under way.
    pub writing: Option<Vec<Job<u64>>>,
    /// Its executor thread.
    pub executor: Executor,
    /// How far it may execute.
    pub execute_to: Height,
    /// Whether it executes now.
    pub executing: bool,
    /// The wake-up that is under way.
    pub armed: Option<Time>,
    /// Ticks at one and the same time: many are a busy loop.
    pub ticks: (Time, u32),
    /// Steps that it took.
    pub steps: u64,
    /// Boundaries left before it crashes.
    pub countdown: Option<u64>,
    /// Whether it has recovered: caught up with what it had executed.
    pub recovering: bool,
}

/// A machine with its process.
pub struct Host<M> {
    /// Who.
    pub id: NodeId,
    /// Its disk.
    pub disk: Disk,
    /// Its process.
    pub life: Option<Life<M>>,
    /// Counts processes: completions for an old one are lost.
    pub incarnation: u64,
    /// What its clock shows beyond the true time.
    pub clock: Time,
    /// Nothing reaches it before.
    pub paused: Time,
    /// What waits meanwhile.
    pub line: VecDeque<Event>,
    /// How much longer each input takes.
    pub slow: Time,
    /// Peers it believes to be connected to.
    pub peers: BTreeSet<NodeId>,
    /// It stays down for the rest of the run.
    pub retired: bool,
    /// Highest height it ever executed: below, it executes again.
    pub executed: Height,
}

impl<M: Machine> Host<M> {
    /// A machine with an empty disk, as `genesis` leaves it.
    #[must_use]
    pub fn new(id: NodeId, safety: &Safety, clock: Time) -> Self {
        Self {
            id,
            disk: Disk {
                log: Arc::new(Memory::log()),
                state: Arc::new(Memory::state()),
                safety: MemorySafetyFile::create(safety),
            },
            life: None,
            incarnation: 0,
            clock,
            paused: Time(0),
            line: VecDeque::new(),
            slow: Time(0),
            peers: BTreeSet::new(),
            retired: false,
            executed: Height(0),
        }
    }
    /// Whether what is for its process has to wait now.
    #[must_use]
    pub fn makes_wait(&self, now: Time) -> bool {
        self.paused > now || !self.line.is_empty()
    }
    /// What its clock shows.
    #[must_use]
    pub fn local(&self, now: Time) -> Time {
        now.plus(self.clock)
    }
    /// When its clock will show this.
    #[must_use]
    pub fn global(&self, local: Time) -> Time {
        local.since(self.clock)
    }
}

/// What a process needs of its disk before the machine can start.
pub struct Opened {
    /// The log.
    pub log: Log,
    /// The storage thread.
    pub group: GroupCommit,
    /// The executor.
    pub executor: Executor,
}

impl Disk {
    /// Opens it, as the program does.
    ///
    /// # Errors
    /// Why the node must not start.
    pub fn open(
        &mut self,
        first: &Safety,
        policy: SafetyPolicy,
        limits: &Limits,
        plan: &Scenario,
        payload_of: PayloadOf,
    ) -> Result<Opened, String> {
        let log = Log::new(Arc::clone(&self.log) as Arc<dyn Store>, payload_of);
        let fence = log.fence().map_err(|e| e.to_string())?;
        let file = self.safety.read().map_err(|e| e.to_string())?;
        if let Verdict::Refuse(why) = verdict(fence, file.as_ref(), first.chain, first.key) {
            return Err(why.to_string());
        }
        let store = Arc::clone(&self.log) as Arc<dyn Store>;
        let last = file.unwrap_or(*first);
        let group = GroupCommit::new(store, Box::new(self.safety.clone()), last, policy)
            .map_err(|e| e.to_string())?;
        let config = executor_config(limits, plan);
        let state = Arc::clone(&self.state) as Arc<dyn Store>;
        let executor = Executor::open(log.clone(), state, config).map_err(|e| e.to_string())?;
        Ok(Opened {
            log,
            group,
            executor,
        })
    }
    /// A process that did not start lets go of it, and its faults end. What it had written is lost, as far as
    /// it was not flushed: it would do so again.
    pub fn stop(&self) {
        self.log.crash(|all| all);
        self.state.crash(|_| 0);
        self.safety.crash();
    }
}

/// Flushes often enough that crashes fall before, between and behind them.
pub fn executor_config(limits: &Limits, plan: &Scenario) -> ExecutorConfig {
    ExecutorConfig {
        flush: FlushPolicy {
            bytes: 1 << (8 + plan.seed % 8),
            ..FlushPolicy::default()
        },
        step_bytes: 1 << (6 + plan.seed % 12),
        ..ExecutorConfig::new(*limits)
    }
}
