//! What makes a cluster go: events in order of time, and what replicas ask for.

use super::batches::{digest, numbers, payload};
use super::cluster::{Cluster, Event, Node};
use super::{Image, Subject};
use crate::replica::{Effect, Fence, LogOp, Replica, ReplicaInput, Wire};
use crate::{Committed, Input, Loaded, ReadId, Record as _, Retry, Selection, To};
use crypto::{Digest, Height, NodeId, Payload, Time, View, codec};
use std::sync::Arc;

/// Most batches of a payload.
const PAYLOAD: usize = 4;

impl<P: Subject> Cluster<P> {
    /// When something happens next.
    pub(super) fn next(&self) -> Option<Time> {
        let queued = self.queue.keys().next().map(|(at, _)| *at);
        let awake = self.nodes.iter().filter(|node| node.paused.is_none());
        let deadlines = awake.filter_map(|node| node.shell.as_ref()?.deadline());
        deadlines.chain(queued).min()
    }
    /// It happens.
    pub(super) fn one(&mut self) {
        let queued = self.queue.keys().next();
        if queued.is_some_and(|(at, _)| *at <= self.now) {
            let (_, event) = self.queue.pop_first().unwrap();
            return self.handle(event);
        }
        for i in 0..self.n() {
            let due = |shell: &Replica<P>| shell.deadline().is_some_and(|at| at <= self.now);
            let node = self.node(i);
            if node.paused.is_none() && node.shell.as_ref().is_some_and(due) {
                return self.step(i, ReplicaInput::Protocol(Input::Tick));
            }
        }
    }
    fn handle(&mut self, event: Event<P>) {
        let (Event::Deliver { to: node, .. }
        | Event::Durable { node, .. }
        | Event::Input { node, .. }) = &event;
        if let Some(waiting) = &mut self.node_mut(node.0).paused {
            return waiting.push(event);
        }
        match event {
            Event::Deliver { from, to, message } => self.deliver(from, to, &message),
            Event::Durable { node, life, fence } if self.lives(node, life) => {
                self.synced(node.0, fence);
            }
            Event::Input { node, life, input } if self.lives(node, life) => {
                self.step(node.0, ReplicaInput::Protocol(input));
            }
            Event::Durable { .. } | Event::Input { .. } => {}
        }
    }
    fn lives(&self, node: NodeId, life: u64) -> bool {
        self.node(node.0).life == life && self.up(node.0)
    }
    fn deliver(&mut self, from: NodeId, to: NodeId, message: &Wire<P::Message>) {
        let Some(shell) = &self.node(to.0).shell else {
            return;
        };
        let window = shell.window();
        let (views, heights) = (window.views, window.heights);
        let outside = |(view, height): (View, Height)| {
            view < views.0 || view > views.1 || height < heights.0 || height > heights.1
        };
        if message.position().is_some_and(outside) {
            return;
        }
        // Over the codec, as in life.
        let message = codec::decode(&codec::encode(message)).unwrap();
        if let Ok(input) = ReplicaInput::verify(from, message, &self.craft.verifier) {
            self.step(to.0, input);
        }
    }
    fn synced(&mut self, i: u16, fence: Fence) {
        let Node {
            durable, written, ..
        } = self.node_mut(i);
        written.retain(|(of, ops)| {
            if *of <= fence {
                durable.apply(*of, ops);
            }
            *of > fence
        });
        self.step(i, ReplicaInput::Durable(fence));
    }
    fn step(&mut self, i: u16, input: ReplicaInput<P>) {
        let mut out = Vec::new();
        let now = self.now;
        if let Some(shell) = &mut self.node_mut(i).shell {
            shell.step(now, input, &mut out);
        }
        self.take(i, out);
    }
    pub(super) fn take(&mut self, i: u16, effects: Vec<Effect<P>>) {
        for effect in effects {
            match effect {
                Effect::Write { fence, ops, sync } => {
                    self.write(i, fence, ops, sync);
                    if !self.up(i) {
                        return;
                    }
                }
                Effect::Send { to, message } => self.send(i, to, &message),
                Effect::Commit { committed, .. } => self.commit(i, &committed),
                Effect::WantPayload {
                    ticket, exclude, ..
                } => {
                    let payload = self.free(i, &exclude);
                    self.input(i, Input::Payload { ticket, payload });
                }
                Effect::CheckPayload { block, .. } => {
                    assert!(!P::INLINE, "what is inline is held");
                    let held = Ok(());
                    self.input(i, Input::Checked { block, held });
                }
                Effect::Load { token, which } => {
                    let records = self.load(i, &which);
                    self.input(i, Input::Loaded(Loaded { token, records }));
                }
                Effect::Read(id, at) => self.answered(i, id, at),
                Effect::Evidence(evidence) => self.evidence.push(evidence),
                Effect::Leader(leader) if leader == NodeId(i) => self.leads(i),
                Effect::Reject(from, reject) => P::judge_reject(i, from, reject),
                // The pool is what was submitted, less what is in the log.
                Effect::Return(_) | Effect::DropCheck(_) | Effect::Leader(_) => {}
                Effect::Behind { .. } | Effect::Stable(_) => {}
                Effect::Halt(why) => panic!("{i} halts: {why}"),
            }
        }
    }
    fn write(&mut self, i: u16, fence: Fence, ops: Vec<LogOp<P>>, sync: bool) {
        self.node_mut(i).written.push((fence, ops));
        if !sync {
            return;
        }
        if let Some(left) = self.crash_at_sync.get_mut(&i) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.crash_at_sync.remove(&i);
                return self.crash(i);
            }
        }
        let (node, life) = (NodeId(i), self.node(i).life);
        let at = self.now.plus(self.node(i).sync);
        self.push(at, Event::Durable { node, life, fence });
    }
    fn load(&self, i: u16, which: &Selection) -> Vec<P::Record> {
        // What is written is read, synced or not.
        let Node {
            durable, written, ..
        } = self.node(i);
        let mut image = Image::new(durable.anchor.clone());
        image.records = durable.records.clone();
        for (fence, ops) in written {
            image.apply(*fence, ops);
        }
        let at = |it: &&P::Record| which.contains(&it.key());
        image.records.values().filter(at).cloned().collect()
    }
    /// S1, S4, and what else the protocol promises of a commit.
    fn commit(&mut self, i: u16, committed: &Committed<P::Proof>) {
        P::check_proof(committed, &self.craft.verifier).expect("S4: the proof convinces");
        let height = committed.height;
        let first = *self.history.entry(height).or_insert(committed.history);
        assert_eq!(
            first, committed.history,
            "S1: node {i} forks at height {height}"
        );
        let disks: Vec<_> = self.nodes.iter().map(|node| &node.durable).collect();
        P::judge_commit(committed, &disks, &self.craft.quorums);
        if !committed.payload.is_empty() {
            self.ordered = self.ordered.max(height);
        }
        for number in numbers(&committed.payload) {
            self.node_mut(i).open.remove(&number);
        }
        self.tell_pending(i);
        let state = committed.history;
        self.input(i, Input::Executed { height, state });
    }
    /// S9.
    fn answered(&mut self, i: u16, id: ReadId, at: Result<Height, Retry>) {
        let fresh = self.fresh.get(&id).copied().unwrap_or_default();
        assert!(
            !at.is_ok_and(|at| at < fresh),
            "S9: node {i} reads {at:?}, committed before: {fresh}"
        );
        self.reads.push((NodeId(i), id, at));
    }
    fn leads(&mut self, i: u16) {
        if let Some(term) = self.protocol(i).led() {
            let first = *self.leaders.entry(term).or_insert(NodeId(i));
            assert_eq!(first, NodeId(i), "two lead term {term}");
        }
    }
    pub(super) fn tell_pending(&mut self, i: u16) {
        if self.up(i) {
            let oldest = (!self.done(i)).then_some(self.now);
            self.input(i, Input::Pending { oldest });
        }
    }
    /// What a pool has that is not in the log.
    fn free(&self, i: u16, exclude: &[Digest]) -> Payload {
        let open = self.node(i).open.iter().copied();
        payload::<P>(
            open.filter(|it| !exclude.contains(&digest::<P>(*it)))
                .take(PAYLOAD),
        )
    }
    fn send(&mut self, from: u16, to: To, message: &Arc<Wire<P::Message>>) {
        if let Wire::Protocol(inner) = &**message {
            P::judge_sent(from, inner, self.durable(from));
        }
        if let Some((node, statement, _)) = message.statement(&self.craft.verifier) {
            let slot = (node, statement.slot);
            let first = *self.ledger.entry(slot).or_insert(statement.content);
            assert_eq!(first, statement.content, "S3: {node} signs twice: {slot:?}");
        }
        let all: Vec<u16> = match to {
            To::One(node) => vec![node.0],
            _ => (0..self.n()).filter(|j| *j != from).collect(),
        };
        for to in all {
            *self.sent.entry(message.name()).or_default() += 1;
            self.transmit(NodeId(from), NodeId(to), message);
        }
    }
    fn transmit(&mut self, from: NodeId, to: NodeId, message: &Arc<Wire<P::Message>>) {
        let filtered = match (&**message, &mut self.filter) {
            (Wire::Protocol(inner), Some(filter)) => filter(from, to, inner),
            (Wire::Protocol(_), None) => false,
            (Wire::Checkpoint(_), _) => self.lose_checkpoints.contains(&to.0),
        };
        let (loss, twice) = (self.net.loss, self.net.twice);
        if filtered || self.net.cut.contains(&(from.0, to.0)) || self.chance(loss) {
            return;
        }
        for _ in 0..if self.chance(twice) { 2 } else { 1 } {
            let (least, most) = self.net.delay;
            let spread = most.since(least).0;
            let extra = if spread == 0 { 0 } else { self.draw(spread) };
            let at = self.now.plus(least).plus(Time(extra));
            let message = Arc::clone(message);
            self.push(at, Event::Deliver { from, to, message });
        }
    }
    fn chance(&mut self, percent: u64) -> bool {
        percent > 0 && self.draw(100) < percent
    }
}
