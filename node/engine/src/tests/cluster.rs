//! Whole nodes in one thread: perfect network, immediate disks. The simulator has the real ones.

use crate::{Effect, Engine, Gatekeeper, Ingress, Input, Machine, Recovered, Reply, RequestId};
use crate::{Setup, Wait, rules};
use bytes::Bytes;
use consensus::hotstuff::{HotStuff, Message};
use consensus::replica::{Checkpoint, Wire};
use crypto::{
    ChainId, Context, Digest, Ed25519, Height, NodeId, SecretKey, Signature, Signer, Time,
    Transaction, View,
};
use genesis::{BuiltTestnet, Ports, Testnet};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use storage::{
    Applied, Executor, GroupCommit, Job, Log, Memory, MemorySafetyFile, Operation, Request, Safety,
    Store,
};

pub(super) struct Node {
    pub(super) engine: Engine<HotStuff>,
    ingress: Gatekeeper<HotStuff>,
    log: Arc<dyn Store>,
    commit: GroupCommit,
    executor: Executor,
    up: bool,
}

enum Event {
    Frame(usize, usize, Bytes),
    Input(usize, Input<crate::Checked<HotStuff>>),
}

/// What is different about some node.
pub(super) type Tweak = fn(usize, &mut Setup);

pub(super) struct Cluster {
    pub(super) built: BuiltTestnet,
    pub(super) nodes: Vec<Node>,
    stores: Vec<(Arc<Memory>, Arc<Memory>, MemorySafetyFile)>,
    pub(super) now: Time,
    events: VecDeque<Event>,
    pub(super) replies: BTreeMap<RequestId, Reply>,
    pub(super) rejects: Vec<(NodeId, crypto::Reject)>,
    /// Who lies, if anybody does.
    pub(super) liar: Option<NodeId>,
    /// Who told of whom.
    pub(super) evidence: Vec<(usize, consensus::Evidence)>,
    /// Whose disk answers nothing, and what it would have answered.
    stalled: Option<(usize, Vec<Event>)>,
    requests: u64,
    tweak: Tweak,
}

impl Cluster {
    pub(super) fn new(n: usize) -> Self {
        Self::with(n, |_, _| ())
    }

    pub(super) fn with(n: usize, tweak: Tweak) -> Self {
        let ports = Ports::series(7000, n).unwrap();
        let built = Testnet::new(ports).build_from(&[7; 32]).unwrap();
        let stores = built
            .nodes
            .iter()
            .map(|node| {
                let first = Safety::genesis(built.genesis.chain_id(), node.consensus_key.public());
                (
                    Arc::new(Memory::log()),
                    Arc::new(Memory::state()),
                    MemorySafetyFile::create(&first),
                )
            })
            .collect();
        let mut cluster = Self {
            built,
            nodes: Vec::new(),
            stores,
            now: Time(1),
            events: VecDeque::new(),
            replies: BTreeMap::new(),
            rejects: Vec::new(),
            liar: None,
            evidence: Vec::new(),
            stalled: None,
            requests: 0,
            tweak,
        };
        for i in 0..n {
            let node = cluster.start(i);
            cluster.nodes.push(node);
        }
        for i in 0..n {
            cluster.connect(i);
        }
        cluster
    }

    fn start(&mut self, i: usize) -> Node {
        let genesis = &self.built.genesis;
        let me = NodeId(i as u16);
        let mut setup = Setup::new(genesis, &self.built.nodes[i].config, me, [i as u8; 32]);
        (self.tweak)(i, &mut setup);
        let verifier = setup.verifier(Arc::new(Ed25519));
        let key = SecretKey::from_seed(&self.built.nodes[i].consensus_key.seed());
        let public = key.public();
        let (log, state, file) = &self.stores[i];
        let log: Arc<dyn Store> = log.clone();
        let state: Arc<dyn Store> = state.clone();
        let typed = Log::new(Arc::clone(&log), crate::payload_of::<HotStuff>);
        let first = Safety::genesis(genesis.chain_id(), public);
        let commit = GroupCommit::new(
            Arc::clone(&log),
            Box::new(file.clone()),
            first,
            setup.safety,
        )
        .unwrap();
        let executor = Executor::open(typed.clone(), Arc::clone(&state), setup.executor).unwrap();
        let applied: Applied = executor.applied();
        let recovered = Recovered::read(&setup, &typed, applied).unwrap();
        let ingress = Gatekeeper::new(verifier.clone(), rules(genesis), setup.frame_bytes());
        let signer = Signer { me, key, verifier };
        let mut effects = Vec::new();
        let engine = Engine::recover(setup, signer, self.now, recovered, &mut effects).unwrap();
        let mut node = Node {
            engine,
            ingress,
            log,
            commit,
            executor,
            up: true,
        };
        for effect in effects {
            self.take(i, &mut node, effect);
        }
        node
    }

    fn connect(&mut self, i: usize) {
        for j in 0..self.nodes.len() {
            if i != j && self.nodes[j].up {
                self.events
                    .push_back(Event::Input(i, Input::Connected(NodeId(j as u16))));
                self.events
                    .push_back(Event::Input(j, Input::Connected(NodeId(i as u16))));
            }
        }
    }

    pub(super) fn stop(&mut self, i: usize) {
        self.nodes[i].up = false;
        for j in 0..self.nodes.len() {
            self.events
                .push_back(Event::Input(j, Input::Disconnected(NodeId(i as u16))));
        }
    }

    /// Its disk answers nothing any more.
    pub(super) fn stall(&mut self, i: usize) {
        self.stalled = Some((i, Vec::new()));
    }

    /// The disk answers all it was given: so many writes.
    pub(super) fn go_on(&mut self) -> usize {
        let (_, answers) = self.stalled.take().unwrap();
        let count = answers.len();
        self.events.extend(answers);
        count
    }

    /// Tells it to stop.
    pub(super) fn shut_down(&mut self, i: usize) {
        self.events.push_back(Event::Input(i, Input::Shutdown));
    }

    /// Starts it again on what its disk holds.
    pub(super) fn restart(&mut self, i: usize) {
        self.events.retain(|event| match event {
            Event::Frame(_, to, _) | Event::Input(to, _) => *to != i,
        });
        self.nodes[i] = self.start(i);
        self.connect(i);
    }

    fn take(&mut self, i: usize, node: &mut Node, effect: Effect) {
        match effect {
            Effect::Send { to, frame, .. } => {
                self.events.push_back(Event::Frame(i, to.index(), frame));
            }
            Effect::Broadcast { frame, .. } => {
                for to in (0..self.stores.len()).filter(|to| *to != i) {
                    self.events.push_back(Event::Frame(i, to, frame.clone()));
                }
            }
            Effect::Write {
                token,
                batch,
                sync,
                view,
            } => {
                node.commit
                    .commit(vec![Job {
                        token,
                        batch,
                        sync,
                        view,
                    }])
                    .unwrap();
                let answer = Event::Input(i, Input::Written { token });
                match &mut self.stalled {
                    Some((node, answers)) if *node == i => answers.push(answer),
                    _ => self.events.push_back(answer),
                }
            }
            Effect::Load { token, query } => {
                let rows = query.run(&*node.log).unwrap();
                self.events
                    .push_back(Event::Input(i, Input::Loaded { token, rows }));
            }
            Effect::Execute { to, handed } => {
                node.executor.hand(handed);
                while node.executor.applied().height < to {
                    let executed = node.executor.step(self.now, to).unwrap();
                    self.events
                        .push_back(Event::Input(i, Input::Executed(executed)));
                }
            }
            Effect::Reply { request, reply } => {
                assert!(
                    self.replies.insert(request, reply).is_none(),
                    "answered twice"
                );
            }
            Effect::Rejected { from, reject } => self.rejects.push((from, reject)),
            Effect::Halt { reason } => panic!("node {i} halts: {reason}"),
            Effect::Evidence(evidence) => {
                assert_eq!(self.liar, Some(evidence.node), "S10: {evidence:?}");
                self.evidence.push((i, evidence));
            }
            Effect::Notice(_) | Effect::Committed { .. } => {}
        }
    }

    fn give(&mut self, i: usize, input: Input<crate::Checked<HotStuff>>) {
        if !self.nodes[i].up {
            return;
        }
        let mut effects = Vec::new();
        self.nodes[i].engine.step(self.now, input, &mut effects);
        // Taken out for the borrow's sake only.
        let mut nodes = std::mem::take(&mut self.nodes);
        for effect in effects {
            self.take(i, &mut nodes[i], effect);
        }
        self.nodes = nodes;
    }

    fn deliver(&mut self, event: Event) {
        match event {
            Event::Input(i, input) => self.give(i, input),
            Event::Frame(from, to, frame) => {
                if !self.nodes[to].up || !self.nodes[from].up {
                    return;
                }
                let window = self.nodes[to].engine.window();
                let from = NodeId(from as u16);
                match self.nodes[to].ingress.admit(from, &frame, &window) {
                    Ok(message) => self.give(to, Input::Message { from, message }),
                    Err(reject) => self.rejects.push((from, reject)),
                }
            }
        }
    }

    /// Runs until nothing is under way for `span`.
    pub(super) fn run(&mut self, span: Time) {
        let end = self.now.plus(span);
        let mut budget = 2_000_000_u32;
        loop {
            while let Some(event) = self.events.pop_front() {
                budget = budget
                    .checked_sub(1)
                    .expect("the cluster never comes to rest");
                self.deliver(event);
            }
            let up = self.nodes.iter().filter(|node| node.up);
            let next = up.filter_map(|node| node.engine.deadline()).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            for i in 0..self.nodes.len() {
                if self.nodes[i]
                    .engine
                    .deadline()
                    .is_some_and(|at| at <= self.now)
                {
                    self.give(i, Input::Tick);
                }
            }
            budget -= 1;
        }
        self.now = end;
    }

    pub(super) fn chain(&self) -> ChainId {
        let Context { chain, .. } = self.built.genesis.context();
        chain
    }

    /// Submits a put through node `i`.
    pub(super) fn put(
        &mut self,
        i: usize,
        client: &SecretKey,
        sequence: u64,
        key: &str,
    ) -> RequestId {
        let body = Request::all(vec![Operation::Put {
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: Bytes::from_static(b"value"),
        }]);
        let mut transaction = Transaction {
            format: crypto::transaction::FORMAT,
            chain: self.chain(),
            client: client.public(),
            sequence,
            expires: Height(self.nodes[i].engine.status().consensus.height.0 + 1_000),
            body: body.encode(),
            signature: Signature::NONE,
        };
        transaction.signature = client.sign(&transaction.digest());
        let checked = self.nodes[i]
            .ingress
            .admit_transactions(vec![transaction])
            .remove(0)
            .unwrap();
        self.requests += 1;
        let request = RequestId(self.requests);
        let input = Input::Submit {
            request,
            transaction: checked,
            wait: Wait::Committed,
        };
        self.events.push_back(Event::Input(i, input));
        request
    }

    pub(super) fn read(&mut self, i: usize) -> RequestId {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.events
            .push_back(Event::Input(i, Input::Read { request }));
        request
    }

    /// One node tells another two things about one height.
    pub(super) fn lie(&mut self, from: usize, to: usize, height: u64) {
        let node = NodeId(from as u16);
        let context = self.built.genesis.context();
        for state in [1, 2] {
            let mut it = Checkpoint {
                node,
                height: Height(height),
                history: Digest::ZERO,
                state: Digest([state; 32]),
                signature: Signature::NONE,
            };
            let digest = it.statement(&context).digest(&context);
            let key = SecretKey::from_seed(&self.built.nodes[from].consensus_key.seed());
            it.signature = key.sign(&digest);
            let wire = Wire::<Message>::Checkpoint(it);
            let (_, frame) = crate::wire::encode_replica(&wire);
            self.events.push_back(Event::Frame(from, to, frame));
        }
    }

    /// The proofs in a node's log.
    pub(super) fn stored_evidence(&self, i: usize) -> Vec<consensus::Evidence> {
        let log = Log::new(self.nodes[i].log.clone(), crate::payload_of::<HotStuff>);
        crate::evidence(&log).unwrap()
    }

    /// The records in a node's log.
    pub(super) fn records(&self, i: usize) -> Vec<storage::Row> {
        let log = Log::new(self.nodes[i].log.clone(), crate::payload_of::<HotStuff>);
        log.records(&(Height(0)..Height(u64::MAX)), usize::MAX)
            .unwrap()
    }

    pub(super) fn view(&self, i: usize) -> View {
        self.nodes[i].engine.status().consensus.view
    }
}
