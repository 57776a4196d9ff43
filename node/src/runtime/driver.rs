//! The machine's thread: takes what waits, steps, then begins what came out of all of it.

use super::clock::Clock;
use super::executor_thread;
use super::failure::Failure;
use super::inbox::{Outlet, Taken};
use super::metrics::{Metrics, Stage};
use super::network::Network;
use super::occasionally::Occasionally;
use super::pulse::Pulse;
use super::requests::{Answer, Requests, Times};
use super::storage_thread::Task;
use consensus::Window;
use crypto::{Height, NodeId, Slot, Time};
use engine::{Class, Effect, Input, Machine, Reply, RequestId, Status};
use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Inputs stepped before their effects begin: more would delay the first of them.
const BATCH: usize = 128;
/// The operator's snapshot is at most this old while the node works.
const SNAPSHOT: Duration = Duration::from_millis(20);
/// How long a machine sleeps that wants nothing.
const FOREVER: Duration = Duration::from_secs(3_600);
/// A deadline that a tick has not moved is tried again after this, not at once.
const AGAIN: Duration = Duration::from_millis(1);
/// Heights whose time of commit is remembered, for the stages of transactions.
const COMMITS: usize = 4_096;

/// Everything that effects go to.
pub(crate) struct Outward {
    pub(crate) network: Network,
    pub(crate) storage: Sender<Task>,
    pub(crate) executor: Sender<executor_thread::Order>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) failure: Failure,
    pub(crate) commits: VecDeque<(Height, Instant)>,
    pub(crate) log: Occasionally,
}

/// The machine and what surrounds it.
pub(crate) struct Driver<M: Machine> {
    pub(crate) machine: M,
    pub(crate) clock: Clock,
    pub(crate) outlet: Outlet<M::Checked>,
    pub(crate) window: Arc<RwLock<Window>>,
    pub(crate) status: Arc<RwLock<Arc<Status>>>,
    pub(crate) pulse: Arc<Pulse>,
    /// Lengths of the queues in front of the machine.
    pub(crate) waiting: Box<dyn Fn() -> usize + Send>,
    pub(crate) outward: Outward,
}

impl<M: Machine> Driver<M> {
    /// Runs until the inbox says stop. `effects`: of the machine's start.
    pub(crate) fn run(mut self, mut effects: Vec<Effect>) {
        let mut inputs = Vec::with_capacity(BATCH);
        let mut stale = true;
        let mut published: Option<Instant> = None;
        self.outward.begin_all(&mut effects);
        loop {
            let mut patience = self
                .machine
                .deadline()
                .map_or(FOREVER, |at| self.clock.until(at));
            if stale {
                let age = published.map_or(SNAPSHOT, |at| at.elapsed());
                patience = patience.min(SNAPSHOT.saturating_sub(age));
            }
            self.pulse.rests();
            let goes_on = self.outlet.take(patience, BATCH, &mut inputs);
            self.pulse.works();
            let active = !inputs.is_empty() | self.step_all(&mut inputs, &mut effects);
            self.outward.begin_all(&mut effects);
            stale |= active;
            if !goes_on {
                self.publish();
                self.pulse.rests();
                return;
            }
            if stale && published.is_none_or(|at| at.elapsed() >= SNAPSHOT) {
                self.publish();
                (stale, published) = (false, Some(Instant::now()));
            }
        }
    }

    /// Steps all inputs, then a tick if one is due; true if it was.
    fn step_all(
        &mut self,
        inputs: &mut Vec<(Input<M::Checked>, Taken)>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        for (input, taken) in inputs.drain(..) {
            self.machine.step(self.clock.now(), input, effects);
            drop(taken);
        }
        let now = self.clock.now();
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        let ticked = due(self.machine.deadline());
        if ticked {
            self.machine.step(now, Input::Tick, effects);
            if due(self.machine.deadline()) {
                // A machine that does not move its deadline must not burn a core.
                std::thread::sleep(AGAIN);
            }
        }
        let window = self.machine.window();
        if *self.window.read().unwrap_or_else(PoisonError::into_inner) != window {
            *self.window.write().unwrap_or_else(PoisonError::into_inner) = window;
        }
        ticked
    }

    fn publish(&self) {
        let status = Arc::new(self.machine.status());
        let (metrics, network) = (&self.outward.metrics, &self.outward.network);
        metrics.observe(&status);
        metrics.queue("inbox", self.outlet.len());
        metrics.queue("verify", (self.waiting)());
        metrics.queue("send_control_bytes", network.waiting(Class::Control));
        metrics.queue("send_bulk_bytes", network.waiting(Class::Bulk));
        let mut shared = self.status.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *shared, status);
        self.outward
            .tell_of_changes(&before.consensus, &shared.consensus);
    }
}

/// Tells the operator of a proof: when it is found, and when a start finds it, since the node may have
/// ended in between.
pub(super) fn tell_of_lie(metrics: &Metrics, (node, slot): (NodeId, Slot)) {
    metrics.lie(node, slot.kind);
    tracing::warn!(
        %node, %slot, epoch = %slot.epoch,
        "a validator signed two contradicting statements: `quorate inspect evidence` has the proof"
    );
}

impl Outward {
    fn begin_all(&mut self, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            self.begin(effect);
        }
    }

    fn begin(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, class, frame } => self.network.send(to, class, frame),
            Effect::Broadcast { class, frame } => self.network.broadcast(class, &frame),
            Effect::Write {
                token,
                batch,
                sync,
                view,
            } => {
                self.store(Task::Write {
                    token,
                    batch,
                    sync,
                    view,
                });
            }
            Effect::Load { token, query } => self.store(Task::Load { token, query }),
            Effect::Execute { to, handed } => {
                if self.executor.send((to, handed)).is_err() {
                    self.failure.fail("the executor has stopped");
                }
            }
            Effect::Reply { request, reply } => self.reply(request, reply),
            Effect::Evidence(evidence) => {
                tell_of_lie(&self.metrics, evidence.about());
            }
            Effect::Rejected { from, reject } => {
                self.metrics.reject(reject);
                if let Some(left_out) = self.log.may(&format!("{from} {}", reject.name())) {
                    tracing::debug!(%from, left_out, "refused a message: {reject}");
                }
            }
            Effect::Notice(text) => tracing::warn!("{text}"),
            Effect::Committed {
                height,
                batches,
                transactions,
            } => {
                self.metrics.batches.inc_by(batches.len() as u64);
                self.metrics.transactions.inc_by(transactions as u64);
                if self.commits.len() >= COMMITS {
                    self.commits.pop_front();
                }
                self.commits.push_back((height, Instant::now()));
            }
            Effect::Halt { reason } => self.failure.fail(reason),
        }
    }

    fn store(&self, task: Task) {
        if self.storage.send(task).is_err() {
            self.failure.fail("the storage thread has stopped");
        }
    }

    fn reply(&mut self, request: RequestId, reply: Reply) {
        let executed = match &reply {
            Reply::Executed(receipt) => Some(receipt.height),
            _ => None,
        };
        let times = self.requests.answer(request, Answer::Reply(reply));
        if let (
            Some(height),
            Some(Times {
                asked,
                admitted: Some(admitted),
            }),
        ) = (executed, times)
        {
            self.metrics.stage(Stage::Total, asked.elapsed());
            let at = self
                .commits
                .binary_search_by_key(&height, |(height, _)| *height);
            if let Ok(index) = at {
                let committed = self.commits[index].1;
                self.metrics
                    .stage(Stage::Order, committed.saturating_duration_since(admitted));
                self.metrics.stage(Stage::Execute, committed.elapsed());
            }
        }
    }

    /// A new leader after time-outs is worth a line; a leader in turn is not.
    fn tell_of_changes(&self, before: &consensus::Status, now: &consensus::Status) {
        if before.leader.is_some() && now.leader.is_some() && now.leader != before.leader {
            self.metrics.leader_changes.inc();
        }
        if now.timeouts > before.timeouts
            && let Some(left_out) = self.log.may("view change")
        {
            let leader = now
                .leader
                .map_or("unknown".into(), |leader| leader.to_string());
            tracing::info!(view = %now.view, leader, height = %now.height, left_out, "view change");
        }
    }
}
