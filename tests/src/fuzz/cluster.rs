//! A small cluster in virtual time, for the fuzzers: four whole nodes, one of which is in a liar's
//! hands. The network is perfect and the disks fast but where the fuzzer says otherwise. It is
//! the simulator with no chance in it: all that happens follows from the fuzzer's bytes.

use super::forge::Forge;
use super::plan::plan;
use crate::sim::host::{Disk, Opened};
use crate::sim::{Honest, Scenario, System, mock};
use bytes::Bytes;
use crypto::{Digest, FaultModel, Height, NodeId, Signature, Time, Transaction, transaction};
use engine::{Effect, Engine, Input, Machine, Query, Reply, RequestId, Wait};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use storage::{
    Commit, Executor, GroupCommit, Job, Memory, MemorySafetyFile, Operation, Request, Safety, Store,
};

/// How many nodes.
pub const NODES: u16 = 4;
/// The one in a liar's hands.
pub const LIAR: NodeId = NodeId(3);
/// Frames remembered, from which liars make others.
const SEEN: usize = 256;
/// A message's way from node to node.
pub(super) const DELAY: Time = Time(1_000_000);
/// What a disk takes for anything.
const DISK: Time = Time(50_000);
/// As many steps at one moment are a busy loop, as many in all a storm.
const MOST_AT_ONCE: usize = 2_000;
const MOST_STEPS: u32 = 400_000;

/// What happens to one node.
enum Event {
    Frame { from: NodeId, frame: Bytes },
    Link { peer: NodeId, up: bool },
    Written,
    Loaded { token: u64, query: Query },
    Execute,
}

/// A running process.
struct Process<P: Forge> {
    engine: Engine<P>,
    group: GroupCommit,
    executor: Executor,
    waiting: Vec<Job<u64>>,
    execute_to: Height,
    executing: bool,
}

/// A machine.
struct Node<P: Forge> {
    disk: Disk,
    process: Option<Process<P>>,
    /// Counts processes: what is under way for an old one is lost.
    incarnation: u64,
    /// Whether its disk answers no write.
    stalled: bool,
    /// Whom it cannot reach.
    cut: BTreeSet<NodeId>,
}

/// See the module.
pub struct Cluster<P: Forge> {
    /// How a node is started.
    pub system: Honest<P>,
    plan: Scenario,
    now: Time,
    nodes: Vec<Node<P>>,
    queue: BTreeMap<(Time, u64), (NodeId, u64, Event)>,
    steps: u64,
    /// Frames that were sent, oldest first.
    pub seen: VecDeque<Bytes>,
    /// What the liar's node would have sent, since its hands took it: whom, and what.
    pub caught: VecDeque<(Option<NodeId>, Bytes)>,
    /// Whether its frames leave as they are; else they are caught.
    pub liar_speaks: bool,
    /// Answers that were not looked at yet.
    replies: BTreeMap<RequestId, Reply>,
    requests: u64,
    /// Whether what honest nodes commit must agree: whoever lies under Raft breaks that.
    judged: bool,
    /// What honest nodes committed and executed, by height.
    histories: BTreeMap<Height, Digest>,
    states: BTreeMap<Height, Digest>,
}

impl<P: Forge> Cluster<P> {
    /// At genesis, all nodes up and in touch.
    #[must_use]
    pub fn new() -> Self {
        let mut cluster = Self::down();
        for id in ids() {
            cluster.start(id);
        }
        cluster
    }
    /// One node alone, started from this disk.
    ///
    /// # Errors
    /// Why it refuses to start.
    pub fn alone(id: NodeId, disk: Disk) -> Result<Self, String> {
        let mut cluster = Self::down();
        cluster.judged = false;
        cluster.nodes[id.index()].disk = disk;
        cluster.try_start(id)?;
        Ok(cluster)
    }
    fn down() -> Self {
        let plan = plan::<P>();
        let system = Honest::<P>::of(&plan);
        let node = |id| Node {
            disk: disk(&system.safety(NodeId(id))),
            process: None,
            incarnation: 0,
            stalled: false,
            cut: BTreeSet::new(),
        };
        Self {
            nodes: (0..NODES).map(node).collect(),
            system,
            plan,
            now: Time::millis(1_000),
            queue: BTreeMap::new(),
            steps: 0,
            seen: VecDeque::new(),
            caught: VecDeque::new(),
            liar_speaks: true,
            replies: BTreeMap::new(),
            requests: 0,
            judged: P::PROTOCOL.fault_model() == FaultModel::Byzantine,
            histories: BTreeMap::new(),
            states: BTreeMap::new(),
        }
    }
    /// The time-outs and the like.
    #[must_use]
    pub fn plan(&self) -> &Scenario {
        &self.plan
    }
    /// The engine of a node that is up.
    #[must_use]
    pub fn engine(&self, id: NodeId) -> Option<&Engine<P>> {
        let process = self.nodes[id.index()].process.as_ref();
        process.map(|process| &process.engine)
    }

    /// A node's disk.
    #[must_use]
    pub fn disk(&self, id: NodeId) -> &Disk {
        &self.nodes[id.index()].disk
    }

    /// Moves to a node's disk all that it has executed.
    pub fn flush(&mut self, id: NodeId) {
        if let Some(process) = &mut self.nodes[id.index()].process {
            let flushed = process.executor.flush(true);
            flushed.expect("memory does not fail");
        }
    }
    /// What a node that is up has executed, for readers.
    #[must_use]
    pub fn state(&self, id: NodeId) -> Option<Arc<dyn Store>> {
        let process = self.nodes[id.index()].process.as_ref();
        process.map(|process| process.executor.state())
    }

    /// Starts a node that is down, from its disk.
    ///
    /// # Panics
    /// If it refuses: no disk here loses what was synced.
    pub fn start(&mut self, id: NodeId) {
        self.try_start(id)
            .unwrap_or_else(|why| panic!("node {id} refuses to start: {why}"));
    }
    fn try_start(&mut self, id: NodeId) -> Result<(), String> {
        let Self {
            nodes,
            system,
            plan,
            now,
            ..
        } = self;
        let node = &mut nodes[id.index()];
        if node.process.is_some() {
            return Ok(());
        }
        node.incarnation += 1;
        let (process, effects) = open(system, plan, id, *now, &mut node.disk)?;
        node.process = Some(process);
        self.carry_out(id, effects);
        for peer in ids().filter(|peer| *peer != id) {
            self.link(id, peer);
        }
        Ok(())
    }
    /// Kills a node; its disk keeps what was synced, and `unsynced` what was not as well.
    pub fn kill(&mut self, id: NodeId, unsynced: bool) {
        let node = &mut self.nodes[id.index()];
        if node.process.take().is_none() {
            return;
        }
        let keep = |all| if unsynced { all } else { 0 };
        node.disk.log.crash(keep);
        node.disk.state.crash(|_| 0);
        node.disk.safety.crash();
        for peer in ids().filter(|peer| *peer != id) {
            self.push(
                Time(0),
                peer,
                Event::Link {
                    peer: id,
                    up: false,
                },
            );
        }
    }
    /// Cuts two nodes off one another, or mends it.
    pub fn cut(&mut self, one: NodeId, other: NodeId, cut: bool) {
        if one == other {
            return;
        }
        for (node, peer) in [(one, other), (other, one)] {
            let known = &mut self.nodes[node.index()].cut;
            let changed = if cut {
                known.insert(peer)
            } else {
                known.remove(&peer)
            };
            if changed && cut {
                self.push(Time(0), node, Event::Link { peer, up: false });
            }
        }
        self.link(one, other);
    }
    fn link(&mut self, one: NodeId, other: NodeId) {
        let up = |id: NodeId| self.nodes[id.index()].process.is_some();
        if up(one) && up(other) && !self.nodes[one.index()].cut.contains(&other) {
            self.push(
                DELAY,
                one,
                Event::Link {
                    peer: other,
                    up: true,
                },
            );
            self.push(
                DELAY,
                other,
                Event::Link {
                    peer: one,
                    up: true,
                },
            );
        }
    }
    /// Has a node's disk keep its answers back, or give them.
    pub fn stall(&mut self, id: NodeId, stalled: bool) {
        self.nodes[id.index()].stalled = stalled;
        if !stalled {
            self.push(DISK, id, Event::Written);
        }
    }
    /// Mends all that is cut, stalled and down.
    pub fn mend(&mut self) {
        for one in ids() {
            self.stall(one, false);
            self.start(one);
            for other in ids() {
                self.cut(one, other, false);
            }
        }
    }

    /// A frame comes to a node: whether it is up and lets it in.
    pub fn deliver(&mut self, to: NodeId, from: NodeId, frame: &Bytes) -> bool {
        let Some(engine) = self.engine(to) else {
            return false;
        };
        let window = engine.window();
        let admitted = self.system.ingress().admit(from, frame, &window);
        let Ok(message) = admitted else {
            return false;
        };
        self.input(to, Input::Message { from, message });
        true
    }
    /// A client puts a transaction to a node, which checks it first.
    pub fn submit(&mut self, id: NodeId, transaction: Transaction, wait: Wait) -> RequestId {
        let request = self.request();
        let mut checked = self.system.ingress().admit_transactions(vec![transaction]);
        if let Some(Ok(transaction)) = checked.pop() {
            let submit = Input::Submit {
                request,
                transaction,
                wait,
            };
            self.input(id, submit);
        }
        request
    }
    /// A transaction that puts one key.
    #[must_use]
    pub fn put(&self, client: u64, sequence: u64, expires: Height, value: Bytes) -> Transaction {
        let put = Operation::Put {
            key: Bytes::from_static(b"key"),
            value,
        };
        self.transaction(client, sequence, expires, &Request::all(vec![put]))
    }
    /// A transaction that a client has signed.
    #[must_use]
    pub fn transaction(
        &self,
        client: u64,
        sequence: u64,
        expires: Height,
        request: &Request,
    ) -> Transaction {
        let key = mock::key("hostile client", client);
        let mut it = Transaction {
            format: transaction::FORMAT,
            chain: self.system.safety(NodeId(0)).chain,
            client: key.public(),
            sequence,
            expires,
            body: request.encode(),
            signature: Signature::NONE,
        };
        it.signature = crate::sim::scheme(&self.plan).sign(&key, &it.digest());
        it
    }
    /// The name of another request.
    pub fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }
    /// What a request was answered.
    pub fn answer(&mut self, request: RequestId) -> Option<Reply> {
        self.replies.remove(&request)
    }

    /// Lets so much time pass.
    ///
    /// # Panics
    /// If what a node does never ends.
    pub fn run(&mut self, span: Time) {
        let end = self.now.plus(span);
        let (mut moment, mut left) = (None, 0);
        loop {
            let event = self.queue.first_key_value().map(|((at, _), _)| *at);
            let wake = self.wake();
            let tick = wake.filter(|(at, _)| event.is_none_or(|event| *at < event));
            let at = tick.map_or(event, |(at, _)| Some(at));
            let Some(at) = at.filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            if moment != Some(self.now) {
                // What was said and done before, as much as it is, is no loop.
                let due = self.queue.range(..=(self.now, u64::MAX)).count();
                (moment, left) = (Some(self.now), MOST_AT_ONCE + due);
            }
            assert!(left > 0, "step after step at one moment");
            left -= 1;
            assert!(self.steps < u64::from(MOST_STEPS), "a storm");
            match tick {
                Some((_, id)) => self.input(id, Input::Tick),
                None => self.next_event(),
            }
        }
        self.now = end;
    }
    /// Who wants to be woken first, and when.
    fn wake(&self) -> Option<(Time, NodeId)> {
        let up = ids().filter_map(|id| Some((self.engine(id)?.deadline()?, id)));
        up.min().map(|(at, id)| (at.max(self.now), id))
    }

    fn next_event(&mut self) {
        let Some((_, (id, incarnation, event))) = self.queue.pop_first() else {
            return;
        };
        let node = &self.nodes[id.index()];
        if node.process.is_none() {
            return;
        }
        let current = node.incarnation == incarnation;
        match event {
            Event::Frame { from, frame } if !node.cut.contains(&from) => {
                self.deliver(id, from, &frame);
            }
            Event::Frame { .. } => {}
            Event::Link { peer, up } => {
                let there = self.nodes[peer.index()].process.is_some() && !node.cut.contains(&peer);
                match up {
                    true if there => self.input(id, Input::Connected(peer)),
                    true => {}
                    false => self.input(id, Input::Disconnected(peer)),
                }
            }
            Event::Written if current => self.written(id),
            Event::Loaded { token, query } if current => {
                let log = &self.nodes[id.index()].disk.log;
                let rows = query.run(&**log);
                let rows = rows.expect("memory does not fail");
                self.input(id, Input::Loaded { token, rows });
            }
            Event::Execute if current => self.execute(id),
            Event::Written | Event::Loaded { .. } | Event::Execute => {}
        }
    }
    fn push(&mut self, after: Time, id: NodeId, event: Event) {
        self.steps += 1;
        let incarnation = self.nodes[id.index()].incarnation;
        let key = (self.now.plus(after), self.steps);
        self.queue.insert(key, (id, incarnation, event));
    }

    /// One step of a node, if it is up.
    pub fn input(&mut self, id: NodeId, input: Input<<Engine<P> as Machine>::Checked>) {
        let now = self.now;
        let Some(process) = &mut self.nodes[id.index()].process else {
            return;
        };
        self.steps += 1;
        let mut effects = Vec::new();
        process.engine.step(now, input, &mut effects);
        self.carry_out(id, effects);
        self.agree(id);
    }
    fn carry_out(&mut self, id: NodeId, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, frame, .. } => self.send(id, Some(to), frame),
                Effect::Broadcast { frame, .. } => self.send(id, None, frame),
                Effect::Write {
                    token,
                    batch,
                    sync,
                    view,
                } => {
                    if let Some(process) = &mut self.nodes[id.index()].process {
                        process.waiting.push(Job {
                            token,
                            batch,
                            sync,
                            view,
                        });
                    }
                    self.push(DISK, id, Event::Written);
                }
                Effect::Load { token, query } => {
                    self.push(DISK, id, Event::Loaded { token, query });
                }
                Effect::Execute { to, handed } => self.execute_up_to(id, to, handed),
                Effect::Reply { request, reply } => {
                    self.replies.insert(request, reply);
                }
                Effect::Evidence(it) => {
                    assert!(it.node == LIAR, "S10: {id} accuses {}", it.node);
                }
                Effect::Halt { reason } => assert!(!self.judged, "node {id} halts: {reason}"),
                Effect::Rejected { .. } | Effect::Notice(_) | Effect::Committed { .. } => {}
            }
        }
    }
    fn send(&mut self, id: NodeId, to: Option<NodeId>, frame: Bytes) {
        if self.seen.len() >= SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(frame.clone());
        if id == LIAR && !self.liar_speaks {
            if self.caught.len() >= SEEN {
                self.caught.pop_front();
            }
            return self.caught.push_back((to, frame));
        }
        for peer in ids().filter(|peer| *peer != id && to.is_none_or(|to| to == *peer)) {
            if !self.nodes[id.index()].cut.contains(&peer) {
                let frame = frame.clone();
                self.push(DELAY, peer, Event::Frame { from: id, frame });
            }
        }
    }

    fn written(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.index()];
        let Some(process) = node.process.as_mut().filter(|_| !node.stalled) else {
            return;
        };
        let jobs = std::mem::take(&mut process.waiting);
        if jobs.is_empty() {
            return;
        }
        let done = process.group.commit(jobs).expect("memory does not fail");
        for token in done.tokens {
            self.input(id, Input::Written { token });
        }
    }
    fn execute_up_to(&mut self, id: NodeId, to: Height, handed: Option<Commit>) {
        let Some(process) = &mut self.nodes[id.index()].process else {
            return;
        };
        process.execute_to = process.execute_to.max(to);
        process.executor.hand(handed);
        if !std::mem::replace(&mut process.executing, true) {
            self.push(DISK, id, Event::Execute);
        }
    }
    fn execute(&mut self, id: NodeId) {
        let now = self.now;
        let Some(process) = &mut self.nodes[id.index()].process else {
            return;
        };
        let done = match process.executor.step(now, process.execute_to) {
            Ok(done) => done,
            Err(why) => {
                assert!(!self.judged, "node {id} cannot execute: {why}");
                return self.kill(id, true);
            }
        };
        if done.is_empty() {
            process.executing = false;
            return;
        }
        let judged = self.judged && id != LIAR;
        for it in done.iter().filter(|_| judged) {
            let first = self.states.entry(it.height).or_insert(it.state);
            assert!(*first == it.state, "S5: height {} at {id}", it.height);
        }
        self.input(id, Input::Executed(done));
        self.push(DISK, id, Event::Execute);
    }

    /// Compares what an honest node has committed with what others had.
    fn agree(&mut self, id: NodeId) {
        let Some(engine) = self.engine(id).filter(|_| self.judged && id != LIAR) else {
            return;
        };
        let status = engine.status().consensus;
        let first = self.histories.entry(status.height);
        let first = first.or_insert(status.history);
        assert!(
            *first == status.history,
            "S1: height {} at {id}",
            status.height
        );
    }
}

/// All nodes.
pub fn ids() -> impl Iterator<Item = NodeId> {
    (0..NODES).map(NodeId)
}

/// An empty disk, as `genesis` leaves it.
#[must_use]
pub fn disk(first: &Safety) -> Disk {
    Disk {
        log: Arc::new(Memory::log()),
        state: Arc::new(Memory::state()),
        safety: MemorySafetyFile::create(first),
    }
}

/// Starts a process from a disk.
fn open<P: Forge>(
    system: &Honest<P>,
    plan: &Scenario,
    id: NodeId,
    now: Time,
    disk: &mut Disk,
) -> Result<(Process<P>, Vec<Effect>), String> {
    let first = system.safety(id);
    let policy = system.safety_policy();
    let opened = disk.open(&first, policy, system.limits(), plan, system.payload_of());
    let Opened {
        log,
        group,
        executor,
    } = opened?;
    let applied = executor.applied();
    let mut effects = Vec::new();
    let engine = system.start(id, now, &log, applied, &mut effects)?;
    let process = Process {
        engine,
        group,
        executor,
        waiting: Vec::new(),
        execute_to: applied.height,
        executing: false,
    };
    Ok((process, effects))
}
