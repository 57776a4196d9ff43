//! A whole cluster of replicas in their shells, over a network and disks that the test rules.

use super::super::{HotStuff, Message, Proof, Record};
use super::craft::{Craft, batch};
use crate::replica::{Effect, Fence, LogOp, Replica, ReplicaInput, ShellConfig, Stored, Wire};
use crate::{
    Anchor, Committed, Evidence, Input, LeaderSchedule, Loaded, Message as _, Protocol as _,
    ReadId, Record as _, RecordKey, Retry, Status, To,
};
use crypto::*;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

type Shell = Replica<HotStuff>;
type Op = LogOp<HotStuff>;
type Filter = Box<dyn FnMut(NodeId, NodeId, &Message) -> bool>;

/// What a disk holds.
#[derive(Clone)]
pub struct Image {
    pub anchor: Anchor<Proof>,
    pub records: BTreeMap<RecordKey, Record>,
    guard: BTreeMap<Slot, Vec<u8>>,
    floors: BTreeMap<Kind, Slot>,
    fence: Fence,
}

impl Image {
    fn apply(&mut self, fence: Fence, ops: &[Op]) {
        self.fence = fence;
        for op in ops {
            match op {
                LogOp::Put(record) => {
                    self.records.insert(record.key(), record.clone());
                }
                LogOp::Guard(slot, bytes) => {
                    self.guard.insert(*slot, bytes.clone());
                }
                LogOp::DropGuard(slot) => {
                    self.guard.remove(slot);
                }
                LogOp::Floor(kind, slot) => {
                    self.floors.insert(*kind, *slot);
                }
                LogOp::Commit(c) => {
                    self.anchor.height = c.height;
                    self.anchor.history = c.history;
                    self.anchor.proof = Some(c.proof.clone());
                }
                LogOp::Truncate(_) | LogOp::Forget(_) | LogOp::Checkpoint(_) => {}
            }
        }
    }
    fn stored(&self) -> Stored<HotStuff> {
        let wanted = |key: &RecordKey| match key {
            RecordKey::Latest(_) => true,
            RecordKey::At(height, _) => *height >= self.anchor.height,
        };
        let records = self.records.iter().filter(|(key, _)| wanted(key));
        let mut stored = Stored::empty(self.anchor.clone());
        stored.records = records.map(|(_, record)| record.clone()).collect();
        stored.guard = self
            .guard
            .iter()
            .map(|(slot, bytes)| (*slot, bytes.clone()))
            .collect();
        stored.floors = self
            .floors
            .iter()
            .map(|(kind, slot)| (*kind, *slot))
            .collect();
        stored.fence = self.fence;
        stored
    }
}

struct Node {
    shell: Option<Shell>,
    /// Survives a crash.
    durable: Image,
    /// Written, not yet synced.
    written: Vec<(Fence, Vec<Op>)>,
    /// Tells events of an earlier life.
    life: u64,
    committed: BTreeSet<Digest>,
}

enum Event {
    Deliver {
        from: NodeId,
        to: NodeId,
        message: std::sync::Arc<Wire<Message>>,
    },
    Durable {
        node: NodeId,
        life: u64,
        fence: Fence,
    },
    Input {
        node: NodeId,
        life: u64,
        input: Input<HotStuff>,
    },
}

/// How the network treats messages.
pub struct Net {
    /// Least and most delay.
    pub delay: (Time, Time),
    /// Lost, of a hundred.
    pub loss: u64,
    /// Sent twice, of a hundred.
    pub twice: u64,
    /// Links that are cut.
    pub cut: BTreeSet<(u16, u16)>,
}

pub struct Cluster {
    pub craft: Craft,
    pub now: Time,
    pub net: Net,
    pub rng: ChaCha12Rng,
    /// How long a sync takes.
    pub sync: Time,
    nodes: Vec<Node>,
    queue: BTreeMap<(Time, u64), Event>,
    count: u64,
    /// Batches submitted, known to every pool.
    submitted: Vec<BatchRef>,
    /// What was committed at a height, by whoever was first.
    history: BTreeMap<Height, Digest>,
    /// Every statement ever signed by each key.
    ledger: BTreeMap<(NodeId, Slot), Digest>,
    /// Messages by name.
    pub sent: BTreeMap<&'static str, u64>,
    pub reads: Vec<(NodeId, ReadId, Result<Height, Retry>)>,
    pub evidence: Vec<Evidence>,
    /// Decides on a message whether it is lost.
    pub filter: Option<Filter>,
    /// Crash a node at its k-th sync.
    pub crash_at_sync: BTreeMap<u16, u64>,
}

impl Cluster {
    pub fn new(n: u16, leaders: LeaderSchedule) -> Self {
        Self::seeded(n, leaders, 1)
    }
    pub fn seeded(n: u16, leaders: LeaderSchedule, seed: u64) -> Self {
        let craft = Craft::new(n, leaders);
        let image = Image {
            anchor: craft.anchor(),
            records: BTreeMap::new(),
            guard: BTreeMap::new(),
            floors: BTreeMap::new(),
            fence: Fence::default(),
        };
        let node = |_| Node {
            shell: None,
            durable: image.clone(),
            written: Vec::new(),
            life: 0,
            committed: BTreeSet::new(),
        };
        let mut cluster = Self {
            nodes: (0..n).map(node).collect(),
            craft,
            now: Time(0),
            net: Net {
                delay: (Time(200_000), Time(200_000)),
                loss: 0,
                twice: 0,
                cut: BTreeSet::new(),
            },
            rng: ChaCha12Rng::seed_from_u64(seed),
            sync: Time(100_000),
            queue: BTreeMap::new(),
            count: 0,
            submitted: Vec::new(),
            history: BTreeMap::new(),
            ledger: BTreeMap::new(),
            sent: BTreeMap::new(),
            reads: Vec::new(),
            evidence: Vec::new(),
            filter: None,
            crash_at_sync: BTreeMap::new(),
        };
        for i in 0..n {
            cluster.start(i);
        }
        cluster
    }
    fn n(&self) -> u16 {
        self.nodes.len() as u16
    }
    fn push(&mut self, at: Time, event: Event) {
        self.count += 1;
        self.queue.insert((at, self.count), event);
    }

    // ---- what a test does ----

    pub fn start(&mut self, i: u16) {
        let mut out = Vec::new();
        let (config, signer) = (self.craft.config(i), self.craft.signer(i));
        let node = &mut self.nodes[i as usize];
        assert!(node.shell.is_none());
        node.life += 1;
        let stored = node.durable.stored();
        let shell = ShellConfig {
            checkpoint_every: None,
        };
        let shell = Shell::recover(config, &shell, signer, self.now, stored, &mut out).unwrap();
        self.nodes[i as usize].shell = Some(shell);
        self.take(i, out);
        self.tell_pending(i);
        for j in 0..self.n() {
            if j != i && self.nodes[j as usize].shell.is_some() {
                self.input(i, Input::Connected { peer: NodeId(j) });
                self.input(j, Input::Connected { peer: NodeId(i) });
            }
        }
    }
    /// What was not synced is gone.
    pub fn crash(&mut self, i: u16) {
        let node = &mut self.nodes[i as usize];
        node.shell = None;
        node.written.clear();
    }
    pub fn up(&self, i: u16) -> bool {
        self.nodes[i as usize].shell.is_some()
    }
    pub fn input(&mut self, i: u16, input: Input<HotStuff>) {
        let life = self.nodes[i as usize].life;
        self.push(
            self.now,
            Event::Input {
                node: NodeId(i),
                life,
                input,
            },
        );
    }
    pub fn submit(&mut self, number: u64) {
        self.submitted.push(batch(number));
        for i in 0..self.n() {
            self.tell_pending(i);
        }
    }
    pub fn isolate(&mut self, i: u16) {
        for j in 0..self.n() {
            self.net.cut.extend([(i, j), (j, i)]);
        }
    }
    pub fn heal(&mut self) {
        self.net.cut.clear();
        self.net.loss = 0;
        self.net.twice = 0;
        self.net.delay = (Time(200_000), Time(200_000));
        self.filter = None;
    }
    pub fn inject(&mut self, from: u16, to: u16, message: Message) {
        let message = std::sync::Arc::new(Wire::Protocol(message));
        self.push(
            self.now,
            Event::Deliver {
                from: NodeId(from),
                to: NodeId(to),
                message,
            },
        );
    }
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
    /// Messages by name, but for the questions of those at rest.
    pub fn spoken(&self) -> BTreeMap<&'static str, u64> {
        let mut spoken = self.sent.clone();
        spoken.remove("ask_certificate");
        spoken
    }
    pub fn statuses(&self) -> Vec<Option<Status>> {
        self.nodes
            .iter()
            .map(|node| node.shell.as_ref().map(Shell::status))
            .collect()
    }
    pub fn protocol(&self, i: u16) -> &HotStuff {
        self.nodes[i as usize].shell.as_ref().unwrap().protocol()
    }
    pub fn height(&self, i: u16) -> u64 {
        self.protocol(i).status().height.0
    }
    pub fn view(&self, i: u16) -> u64 {
        self.protocol(i).status().view.0
    }
    /// Whether node `i` has committed everything submitted.
    pub fn done(&self, i: u16) -> bool {
        let node = &self.nodes[i as usize];
        self.submitted
            .iter()
            .all(|batch| node.committed.contains(&batch.digest))
    }
    pub fn all_done(&self) -> bool {
        (0..self.n()).all(|i| !self.up(i) || self.done(i))
    }
    /// Whether it is written, durable or not.
    pub fn durable(&self, i: u16) -> &Image {
        &self.nodes[i as usize].durable
    }

    // ---- the machine ----

    fn next(&self) -> Option<Time> {
        let queued = self.queue.keys().next().map(|(at, _)| *at);
        let deadlines = self
            .nodes
            .iter()
            .filter_map(|n| n.shell.as_ref()?.deadline());
        deadlines.chain(queued).min()
    }
    fn one(&mut self) {
        if self
            .queue
            .keys()
            .next()
            .is_some_and(|(at, _)| *at <= self.now)
        {
            let (_, event) = self.queue.pop_first().unwrap();
            return self.handle(event);
        }
        for i in 0..self.n() {
            let due = |shell: &Shell| shell.deadline().is_some_and(|at| at <= self.now);
            if self.nodes[i as usize].shell.as_ref().is_some_and(due) {
                return self.step(i, ReplicaInput::Protocol(Input::Tick));
            }
        }
    }
    fn handle(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, message } => self.deliver(from, to, &message),
            Event::Durable { node, life, fence } => {
                let it = &mut self.nodes[node.index()];
                if it.life == life && it.shell.is_some() {
                    let Node {
                        durable, written, ..
                    } = it;
                    written.retain(|(f, ops)| {
                        if *f <= fence {
                            durable.apply(*f, ops);
                        }
                        *f > fence
                    });
                    self.step(node.0, ReplicaInput::Durable(fence));
                }
            }
            Event::Input { node, life, input } => {
                let it = &self.nodes[node.index()];
                if it.life == life && it.shell.is_some() {
                    self.step(node.0, ReplicaInput::Protocol(input));
                }
            }
        }
    }
    fn deliver(&mut self, from: NodeId, to: NodeId, message: &Wire<Message>) {
        let Some(shell) = &self.nodes[to.index()].shell else {
            return;
        };
        let window = shell.window();
        if message
            .position()
            .is_some_and(|(view, _)| view < window.views.0 || view > window.views.1)
        {
            return;
        }
        // Over the codec, as in life.
        let message = codec::decode(&codec::encode(message)).unwrap();
        if let Ok(input) = ReplicaInput::verify(from, message, &self.craft.verifier) {
            self.step(to.0, input);
        }
    }
    fn step(&mut self, i: u16, input: ReplicaInput<HotStuff>) {
        let mut out = Vec::new();
        let now = self.now;
        if let Some(shell) = &mut self.nodes[i as usize].shell {
            shell.step(now, input, &mut out);
        }
        self.take(i, out);
    }
    #[expect(clippy::too_many_lines, reason = "one match, an arm for each effect")]
    fn take(&mut self, i: u16, effects: Vec<Effect<HotStuff>>) {
        for effect in effects {
            match effect {
                Effect::Write { fence, ops, sync } => {
                    self.nodes[i as usize].written.push((fence, ops));
                    if sync {
                        if let Some(left) = self.crash_at_sync.get_mut(&i) {
                            *left = left.saturating_sub(1);
                            if *left == 0 {
                                self.crash_at_sync.remove(&i);
                                return self.crash(i);
                            }
                        }
                        let life = self.nodes[i as usize].life;
                        let at = self.now.plus(self.sync);
                        self.push(
                            at,
                            Event::Durable {
                                node: NodeId(i),
                                life,
                                fence,
                            },
                        );
                    }
                }
                Effect::Send { to, message } => self.send(i, to, &message),
                Effect::Commit(committed) => self.commit(i, &committed),
                Effect::WantPayload {
                    ticket, exclude, ..
                } => {
                    let node = &self.nodes[i as usize];
                    let free = |b: &&BatchRef| {
                        !exclude.contains(&b.digest) && !node.committed.contains(&b.digest)
                    };
                    let refs = self
                        .submitted
                        .iter()
                        .filter(free)
                        .take(4)
                        .copied()
                        .collect();
                    self.input(
                        i,
                        Input::Payload {
                            ticket,
                            payload: Payload::Refs(refs),
                        },
                    );
                }
                Effect::CheckPayload { block, .. } => {
                    self.input(
                        i,
                        Input::Checked {
                            block,
                            held: Ok(()),
                        },
                    );
                }
                Effect::Load { token, heights } => {
                    let node = &self.nodes[i as usize];
                    let mut image = node.durable.clone();
                    for (fence, ops) in &node.written {
                        image.apply(*fence, ops);
                    }
                    let at =
                        |key: &RecordKey| matches!(key, RecordKey::At(h, _) if heights.contains(h));
                    let records = image.records.iter().filter(|(key, _)| at(key));
                    let records = records.map(|(_, record)| record.clone()).collect();
                    self.input(i, Input::Loaded(Loaded { token, records }));
                }
                Effect::Read(id, at) => self.reads.push((NodeId(i), id, at)),
                Effect::Evidence(evidence) => self.evidence.push(evidence),
                Effect::Halt(why) => panic!("node {i} halts: {why}"),
                Effect::DropCheck(_) | Effect::Return(_) => {}
                Effect::Reject(..) | Effect::Leader(_) => {}
                Effect::Behind { .. } | Effect::Stable(_) => {}
            }
        }
    }
    fn commit(&mut self, i: u16, committed: &Committed<Proof>) {
        HotStuff::check_proof(committed, &self.craft.verifier).expect("S4: the proof convinces");
        let height = committed.height;
        let first = *self.history.entry(height).or_insert(committed.history);
        assert_eq!(
            first, committed.history,
            "S1: node {i} forks at height {height}"
        );
        if let Payload::Refs(refs) = &committed.payload {
            self.nodes[i as usize]
                .committed
                .extend(refs.iter().map(|b| b.digest));
        }
        self.tell_pending(i);
        self.input(
            i,
            Input::Executed {
                height,
                state: committed.history,
            },
        );
    }
    fn tell_pending(&mut self, i: u16) {
        if self.up(i) {
            let oldest = if self.done(i) { None } else { Some(self.now) };
            self.input(i, Input::Pending { oldest });
        }
    }
    fn send(&mut self, from: u16, to: To, message: &std::sync::Arc<Wire<Message>>) {
        let Wire::Protocol(inner) = &**message else {
            return;
        };
        if let Some((node, statement, _)) = inner.statement() {
            let first = *self
                .ledger
                .entry((node, statement.slot))
                .or_insert(statement.content);
            assert_eq!(
                first, statement.content,
                "S3: {node} signs twice for {:?}",
                statement.slot
            );
        }
        let all: Vec<u16> = match to {
            To::One(node) => vec![node.0],
            _ => (0..self.n()).filter(|j| *j != from).collect(),
        };
        for to in all {
            *self.sent.entry(inner.name()).or_default() += 1;
            self.transmit(from, to, message);
        }
    }
    fn transmit(&mut self, from: u16, to: u16, message: &std::sync::Arc<Wire<Message>>) {
        let Wire::Protocol(inner) = &**message else {
            return;
        };
        let (loss, twice) = (self.net.loss, self.net.twice);
        let filtered = self
            .filter
            .as_mut()
            .is_some_and(|f| f(NodeId(from), NodeId(to), inner));
        if filtered || self.net.cut.contains(&(from, to)) || self.chance(loss) {
            return;
        }
        for _ in 0..if self.chance(twice) { 2 } else { 1 } {
            let (least, most) = self.net.delay;
            let spread = most.since(least).0;
            let extra = if spread == 0 {
                0
            } else {
                self.rng.next_u64() % spread
            };
            let at = self.now.plus(least).plus(Time(extra));
            let message = std::sync::Arc::clone(message);
            self.push(
                at,
                Event::Deliver {
                    from: NodeId(from),
                    to: NodeId(to),
                    message,
                },
            );
        }
    }
    fn chance(&mut self, percent: u64) -> bool {
        percent > 0 && self.rng.next_u64() % 100 < percent
    }
}
