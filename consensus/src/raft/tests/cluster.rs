//! A whole cluster of replicas in their shells, over a network and disks that the test rules. It
//! judges what it sees: one history, one leader a term, promises that are durable, fresh reads.

use super::super::{Body, Message, Proof, Raft, Record};
use super::craft::{Craft, batch};
use super::disk::Image;
use crate::replica::{Effect, Fence, LogOp, Replica, ReplicaInput, ShellConfig, Wire};
use crate::{
    Committed, Input, Loaded, Message as _, Protocol as _, ReadId, RecordKey, Retry, Status, To,
};
use crypto::*;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

type Shell = Replica<Raft>;
type Op = LogOp<Raft>;
type Filter = Box<dyn FnMut(NodeId, NodeId, &Message) -> bool>;

struct Node {
    shell: Option<Shell>,
    /// Survives a crash.
    durable: Image,
    /// Written, not yet synced.
    written: Vec<(Fence, Vec<Op>)>,
    /// Tells events of an earlier life.
    life: u64,
    /// Batches that were submitted and are not committed here.
    open: BTreeSet<u64>,
    /// How long a sync takes.
    sync: Time,
    /// Stopped for a while; what has come meanwhile.
    paused: Option<Vec<Event>>,
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
        input: Input<Raft>,
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
    nodes: Vec<Node>,
    queue: BTreeMap<(Time, u64), Event>,
    count: u64,
    /// What was committed at a height, by whoever was first.
    history: BTreeMap<Height, Digest>,
    /// Who led a term.
    leaders: BTreeMap<View, NodeId>,
    /// What was committed when a read arrived: no answer may be below.
    fresh: BTreeMap<ReadId, Height>,
    /// Messages by name.
    pub sent: BTreeMap<&'static str, u64>,
    pub reads: Vec<(NodeId, ReadId, Result<Height, Retry>)>,
    /// Decides on a message whether it is lost.
    pub filter: Option<Filter>,
    /// Crash a node at its k-th sync.
    pub crash_at_sync: BTreeMap<u16, u64>,
}

impl Cluster {
    pub fn new(n: u16) -> Self {
        Self::seeded(Craft::new(n), 1)
    }
    pub fn seeded(craft: Craft, seed: u64) -> Self {
        let n = craft.quorums.n as u16;
        let image = Image::new(craft.anchor());
        let node = |_| Node {
            shell: None,
            durable: image.clone(),
            written: Vec::new(),
            life: 0,
            open: BTreeSet::new(),
            sync: Time(100_000),
            paused: None,
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
            queue: BTreeMap::new(),
            count: 0,
            history: BTreeMap::new(),
            leaders: BTreeMap::new(),
            fresh: BTreeMap::new(),
            sent: BTreeMap::new(),
            reads: Vec::new(),
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
    /// It stops where it is (SIGSTOP).
    pub fn pause(&mut self, i: u16) {
        self.nodes[i as usize].paused = Some(Vec::new());
    }
    /// It goes on: first with what is put in now, then with what has come meanwhile.
    pub fn wake(&mut self, i: u16) {
        let waited = self.nodes[i as usize].paused.take();
        for event in waited.into_iter().flatten() {
            self.push(self.now.plus(Time(1)), event);
        }
    }
    pub fn up(&self, i: u16) -> bool {
        self.nodes[i as usize].shell.is_some()
    }
    pub fn input(&mut self, i: u16, input: Input<Raft>) {
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
        for i in 0..self.n() {
            self.nodes[i as usize].open.insert(number);
            self.tell_pending(i);
        }
    }
    /// A linearizable read.
    pub fn read(&mut self, i: u16, number: u64) {
        let committed = self.history.keys().next_back().copied();
        let id = ReadId(number);
        self.fresh.insert(id, committed.unwrap_or_default());
        self.input(i, Input::Read { id });
    }
    /// Hands over to whoever is best.
    pub fn transfer(&mut self, i: u16) {
        self.input(i, Input::Transfer { to: None });
    }
    /// What was answered to a read.
    pub fn answer(&self, number: u64) -> Option<Result<Height, Retry>> {
        let of = |(_, id, at): &(NodeId, ReadId, Result<Height, Retry>)| {
            (*id == ReadId(number)).then_some(*at)
        };
        self.reads.iter().find_map(of)
    }
    /// The disk of a node takes as long as this from now on.
    pub fn slow_disk(&mut self, i: u16, sync: Time) {
        self.nodes[i as usize].sync = sync;
    }
    /// Who leads the highest term, if he is up.
    pub fn leader(&self) -> Option<u16> {
        let leads = |i: &u16| self.up(*i) && self.protocol(*i).leads();
        (0..self.n()).filter(leads).max_by_key(|i| self.view(*i))
    }
    /// Runs until somebody leads whom all who are up follow.
    pub fn elect(&mut self) -> u16 {
        self.run_until(Time::millis(5_000), "an election", |cluster| {
            let up = |i: &u16| cluster.up(*i);
            let leader = |i| cluster.protocol(i).status().leader;
            let all: BTreeSet<_> = (0..cluster.n()).filter(up).map(leader).collect();
            all.len() == 1 && all.first().is_some_and(Option::is_some)
        });
        self.leader().expect("all follow somebody")
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
    pub fn statuses(&self) -> Vec<Option<Status>> {
        self.nodes
            .iter()
            .map(|node| node.shell.as_ref().map(Shell::status))
            .collect()
    }
    pub fn protocol(&self, i: u16) -> &Raft {
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
        self.nodes[i as usize].open.is_empty()
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
            .filter(|node| node.paused.is_none())
            .filter_map(|node| node.shell.as_ref()?.deadline());
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
            let node = &self.nodes[i as usize];
            if node.paused.is_none() && node.shell.as_ref().is_some_and(due) {
                return self.step(i, ReplicaInput::Protocol(Input::Tick));
            }
        }
    }
    fn handle(&mut self, event: Event) {
        let (Event::Deliver { to: node, .. }
        | Event::Durable { node, .. }
        | Event::Input { node, .. }) = &event;
        if let Some(waiting) = &mut self.nodes[node.index()].paused {
            return waiting.push(event);
        }
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
    fn step(&mut self, i: u16, input: ReplicaInput<Raft>) {
        let mut out = Vec::new();
        let now = self.now;
        if let Some(shell) = &mut self.nodes[i as usize].shell {
            shell.step(now, input, &mut out);
        }
        self.take(i, out);
    }
    fn take(&mut self, i: u16, effects: Vec<Effect<Raft>>) {
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
                        let at = self.now.plus(self.nodes[i as usize].sync);
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
                    let payload = self.free(i, &exclude);
                    self.input(i, Input::Payload { ticket, payload });
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
                Effect::Read(id, at) => {
                    let (fresh, stale) = (self.fresh[&id], at.is_ok_and(|at| at < self.fresh[&id]));
                    assert!(
                        !stale,
                        "S9: node {i} reads {at:?}, committed before: {fresh}"
                    );
                    self.reads.push((NodeId(i), id, at));
                }
                Effect::Halt(why) => panic!("node {i} halts: {why}"),
                Effect::Leader(leader) if leader == NodeId(i) => self.leads(i),
                // The pool is what was submitted, less what is in the log.
                Effect::Return(_) | Effect::Leader(_) => {}
                Effect::Reject(from, reject) => panic!("{i} rejects what {from} sent: {reject}"),
                _ => panic!("Raft asks for nothing else"),
            }
        }
    }
    fn commit(&mut self, i: u16, committed: &Committed<Proof>) {
        Raft::check_proof(committed, &self.craft.verifier).expect("S4: the proof convinces");
        let (height, at) = (committed.height, committed.proof.0);
        let first = *self.history.entry(height).or_insert(committed.history);
        assert_eq!(
            first, committed.history,
            "S1: node {i} forks at height {height}"
        );
        let disks = self.nodes.iter().filter(|it| it.durable.holds(at)).count();
        assert!(
            disks >= self.craft.quorums.commit,
            "height {height} is committed on {disks} disks"
        );
        if let Payload::Inline(batches) = &committed.payload {
            let number = |it: &[u8]| u64::from_be_bytes(it.try_into().unwrap());
            let open = &mut self.nodes[i as usize].open;
            batches.iter().for_each(|it| {
                open.remove(&number(it));
            });
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
        self.judge(from, &inner.body);
        let all: Vec<u16> = match to {
            To::One(node) => vec![node.0],
            _ => (0..self.n()).filter(|j| *j != from).collect(),
        };
        for to in all {
            *self.sent.entry(inner.name()).or_default() += 1;
            self.transmit(from, to, message);
        }
    }
    /// A promise leaves when it is on the disk, and not before.
    fn judge(&self, from: u16, body: &Body) {
        let disk = &self.nodes[from as usize].durable;
        match body {
            Body::Appended(it) => {
                let records = disk.records.values();
                let on_disk = records.filter_map(|record| match record {
                    Record::Entry(entry) => Some(entry.at.height),
                    Record::Term { .. } => None,
                });
                let last = on_disk.max().unwrap_or_default();
                assert!(last >= it.matched, "{from} says {it:?} with {last} on disk");
            }
            Body::Grant(it) => {
                let voted = disk.records.get(&RecordKey::Latest(0));
                let given = Record::Term {
                    term: it.term,
                    voted: Some(it.candidate),
                };
                let newer = |r: &Record| matches!(r, Record::Term { term, .. } if *term > it.term);
                let durable = voted.is_some_and(|it| *it == given || newer(it));
                assert!(durable, "{from} grants {it:?} with {voted:?} on disk");
            }
            _ => {}
        }
    }
    fn leads(&mut self, i: u16) {
        let term = self.protocol(i).term;
        let first = *self.leaders.entry(term).or_insert(NodeId(i));
        assert_eq!(first, NodeId(i), "two lead term {term}");
    }
    /// What a pool has that is not in the log.
    fn free(&self, i: u16, exclude: &[Digest]) -> Payload {
        let free = |number: &&u64| {
            let digest = crypto::batch::batch_digest(&batch(**number));
            !exclude.contains(&digest)
        };
        let numbers = self.nodes[i as usize].open.iter().filter(free).take(4);
        Payload::Inline(numbers.map(|it| batch(*it).into()).collect())
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
