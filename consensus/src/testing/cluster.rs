//! A whole cluster of replicas in their shells, over a network and disks that the test rules. It
//! judges what it sees: one history, one statement a slot, proofs that convince, one leader a term,
//! fresh reads, and what else the protocol promises ([`Subject`]).

use super::{Image, Members, Net, Subject};
use crate::replica::{Fence, LogOp, Replica, ShellConfig, Wire};
use crate::{Evidence, Input, ReadId, Retry, Status};
use crypto::*;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Decides on a message whether it is lost.
pub type Filter<P> = Box<dyn FnMut(NodeId, NodeId, &<P as crate::Protocol>::Message) -> bool>;

/// How long a sync takes, unless it is told.
const SYNC: Time = Time(100_000);

/// A machine: its disk, which outlives the process, and the process, if it is up.
pub(super) struct Node<P: Subject> {
    pub shell: Option<Replica<P>>,
    /// Survives a crash.
    pub durable: Image<P>,
    /// Written, not yet synced.
    pub written: Vec<(Fence, Vec<LogOp<P>>)>,
    /// Tells events of an earlier life.
    pub life: u64,
    /// Batches that were submitted and are not committed here.
    pub open: BTreeSet<u64>,
    /// How long a sync takes.
    pub sync: Time,
    /// Stopped for a while; what has come meanwhile.
    pub paused: Option<Vec<Event<P>>>,
}

pub(super) enum Event<P: Subject> {
    Deliver {
        from: NodeId,
        to: NodeId,
        message: Arc<Wire<P::Message>>,
    },
    Durable {
        node: NodeId,
        life: u64,
        fence: Fence,
    },
    Input {
        node: NodeId,
        life: u64,
        input: Input<P>,
    },
}

/// The cluster.
pub struct Cluster<P: Subject> {
    pub craft: Members<P>,
    pub now: Time,
    pub net: Net,
    pub rng: ChaCha12Rng,
    pub(super) nodes: Vec<Node<P>>,
    pub(super) queue: BTreeMap<(Time, u64), Event<P>>,
    count: u64,
    /// What was committed at a height, by whoever was first.
    pub(super) history: BTreeMap<Height, Digest>,
    /// The highest height with payload that anybody has committed.
    pub(super) ordered: Height,
    /// Every statement ever signed by each key.
    pub(super) ledger: BTreeMap<(NodeId, Slot), Digest>,
    /// Who led a term.
    pub(super) leaders: BTreeMap<View, NodeId>,
    /// What was committed when a read arrived: no answer may be below.
    pub(super) fresh: BTreeMap<ReadId, Height>,
    /// Messages by name.
    pub sent: BTreeMap<&'static str, u64>,
    pub reads: Vec<(NodeId, ReadId, Result<Height, Retry>)>,
    pub evidence: Vec<Evidence>,
    /// Decides on a message whether it is lost.
    pub filter: Option<Filter<P>>,
    /// Whom no checkpoints of the shell reach.
    pub lose_checkpoints: BTreeSet<u16>,
    /// Crash a node at its k-th sync.
    pub crash_at_sync: BTreeMap<u16, u64>,
}

impl<P: Subject> Cluster<P> {
    pub fn seeded(craft: Members<P>, seed: u64) -> Self {
        let n = craft.n();
        let node = |_| Node {
            shell: None,
            durable: Image::new(craft.anchor()),
            written: Vec::new(),
            life: 0,
            open: BTreeSet::new(),
            sync: SYNC,
            paused: None,
        };
        let mut cluster = Self {
            nodes: (0..n).map(node).collect(),
            craft,
            now: Time(0),
            net: Net::default(),
            rng: ChaCha12Rng::seed_from_u64(seed),
            queue: BTreeMap::new(),
            count: 0,
            history: BTreeMap::new(),
            ordered: Height(0),
            ledger: BTreeMap::new(),
            leaders: BTreeMap::new(),
            fresh: BTreeMap::new(),
            sent: BTreeMap::new(),
            reads: Vec::new(),
            evidence: Vec::new(),
            filter: None,
            lose_checkpoints: BTreeSet::new(),
            crash_at_sync: BTreeMap::new(),
        };
        (0..n).for_each(|i| cluster.start(i));
        cluster
    }
    pub fn n(&self) -> u16 {
        self.nodes.len() as u16
    }
    pub(super) fn push(&mut self, at: Time, event: Event<P>) {
        self.count += 1;
        self.queue.insert((at, self.count), event);
    }
    pub(super) fn node(&self, i: u16) -> &Node<P> {
        &self.nodes[i as usize]
    }
    pub(super) fn node_mut(&mut self, i: u16) -> &mut Node<P> {
        &mut self.nodes[i as usize]
    }

    // ---- processes and disks ----

    pub fn start(&mut self, i: u16) {
        let mut out = Vec::new();
        let (config, signer) = (self.craft.config(i), self.craft.signer(i));
        let now = self.now;
        let node = self.node_mut(i);
        assert!(node.shell.is_none());
        node.life += 1;
        let stored = node.durable.stored();
        let shell = ShellConfig {
            checkpoint_every: P::CHECKPOINTS,
        };
        let shell = Replica::recover(config, &shell, signer, now, stored, &mut out).unwrap();
        node.shell = Some(shell);
        self.take(i, out);
        self.tell_pending(i);
        let again: Vec<_> = self.durable(i).unstable().collect();
        for (height, state) in again {
            self.input(i, Input::Executed { height, state });
        }
        for j in 0..self.n() {
            if j != i && self.up(j) {
                self.input(i, Input::Connected { peer: NodeId(j) });
                self.input(j, Input::Connected { peer: NodeId(i) });
            }
        }
    }
    /// What was not synced is gone.
    pub fn crash(&mut self, i: u16) {
        let node = self.node_mut(i);
        node.shell = None;
        node.written.clear();
    }
    /// It stops where it is (SIGSTOP).
    pub fn pause(&mut self, i: u16) {
        self.node_mut(i).paused = Some(Vec::new());
    }
    /// It goes on: first with what is put in now, then with what has come meanwhile.
    pub fn wake(&mut self, i: u16) {
        let waited = self.node_mut(i).paused.take();
        for event in waited.into_iter().flatten() {
            self.push(self.now.plus(Time(1)), event);
        }
    }
    /// The disk of a node takes as long as this from now on.
    pub fn slow_disk(&mut self, i: u16, sync: Time) {
        self.node_mut(i).sync = sync;
    }
    pub fn up(&self, i: u16) -> bool {
        self.node(i).shell.is_some()
    }
    /// What would survive a crash now.
    pub fn durable(&self, i: u16) -> &Image<P> {
        &self.node(i).durable
    }

    // ---- the network ----

    pub fn isolate(&mut self, i: u16) {
        for j in 0..self.n() {
            self.net.cut.extend([(i, j), (j, i)]);
        }
    }
    /// The network is well again.
    pub fn heal(&mut self) {
        self.net = Net::default();
        self.filter = None;
    }
    /// All is well again: the network, the disks, and who was down starts.
    pub fn mend(&mut self) {
        self.heal();
        self.crash_at_sync.clear();
        for i in 0..self.n() {
            self.slow_disk(i, SYNC);
            if !self.up(i) {
                self.start(i);
            }
        }
    }
    pub fn inject(&mut self, from: u16, to: u16, message: P::Message) {
        let (from, to) = (NodeId(from), NodeId(to));
        let message = Arc::new(Wire::Protocol(message));
        self.push(self.now, Event::Deliver { from, to, message });
    }

    // ---- work ----

    pub fn input(&mut self, i: u16, input: Input<P>) {
        let (node, life) = (NodeId(i), self.node(i).life);
        self.push(self.now, Event::Input { node, life, input });
    }
    /// A batch that every pool knows.
    pub fn submit(&mut self, number: u64) {
        for i in 0..self.n() {
            self.node_mut(i).open.insert(number);
            self.tell_pending(i);
        }
    }
    /// A linearizable read.
    pub fn read(&mut self, i: u16, number: u64) {
        let id = ReadId(number);
        self.fresh.insert(id, self.ordered);
        self.input(i, Input::Read { id });
    }
    /// What was answered to a read.
    pub fn answer(&self, number: u64) -> Option<Result<Height, Retry>> {
        let of = |(_, id, at): &(NodeId, ReadId, Result<Height, Retry>)| {
            (*id == ReadId(number)).then_some(*at)
        };
        self.reads.iter().find_map(of)
    }
    /// Hands over to whoever is best.
    pub fn transfer(&mut self, i: u16) {
        self.input(i, Input::Transfer { to: None });
    }

    // ---- time ----

    pub fn run(&mut self, span: Time) {
        let end = self.now.plus(span);
        let mut still = 0;
        while let Some(at) = self.next().filter(|at| *at <= end) {
            still = if at > self.now { 0 } else { still + 1 };
            assert!(still < 100_000, "it spins at {at:?}: {:?}", self.statuses());
            self.now = at.max(self.now);
            self.one();
        }
        self.now = end;
    }
    /// Runs until the test is satisfied; panics after `span`.
    pub fn run_until(&mut self, span: Time, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let end = self.now.plus(span);
        while !done(self) {
            assert!(
                self.now < end,
                "{what}: not within {span:?}: {:#?}",
                self.statuses()
            );
            self.run(Time::millis(1));
        }
    }

    // ---- what it looks like ----

    pub fn statuses(&self) -> Vec<Option<Status>> {
        let status = |node: &Node<P>| node.shell.as_ref().map(Replica::status);
        self.nodes.iter().map(status).collect()
    }
    pub fn protocol(&self, i: u16) -> &P {
        self.node(i).shell.as_ref().unwrap().protocol()
    }
    pub fn height(&self, i: u16) -> u64 {
        self.protocol(i).status().height.0
    }
    pub fn view(&self, i: u16) -> u64 {
        self.protocol(i).status().view.0
    }
    /// Whether node `i` has committed everything submitted.
    pub fn done(&self, i: u16) -> bool {
        self.node(i).open.is_empty()
    }
    pub fn all_done(&self) -> bool {
        (0..self.n()).all(|i| !self.up(i) || self.done(i))
    }
    pub(super) fn draw(&mut self, below: u64) -> u64 {
        self.rng.next_u64() % below
    }
}
