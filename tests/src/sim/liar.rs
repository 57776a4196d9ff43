//! A node that lies: wherever it orders something, one half of its peers is told that nothing is
//! ordered there. It is an honest node with its mouth changed, and its own key.

use super::inspect::Inspect;
use super::system::{CHAIN, Honest, Simulated, System, scheme};
use super::{Scenario, mock};
use crate::check::Checks;
use bytes::Bytes;
use consensus::Window;
use consensus::hotstuff::{self, HotStuff};
use consensus::pbft::{self, Pbft};
use consensus::raft::{self, Raft};
use consensus::replica::Wire;
use crypto::{Context, Epoch, NodeId, Payload, Signature, Statement, Time, codec};
use engine::{Effect, Engine, Frame, Ingress, Input, Machine, Status};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::{Applied, Limits, Log, Safety, SafetyPolicy};

/// Longest frame that is read.
const LIMIT: usize = 64 << 20;

/// A protocol in which it is known how to lie.
pub trait Lie: Simulated {
    /// What the other half is told in place of a frame of this node; `None`: the same.
    fn other_story(me: NodeId, frame: &Bytes, plan: &Scenario) -> Option<Bytes>;
}

fn decode<M: DeserializeOwned>(frame: &Bytes) -> Option<M> {
    match engine::decode::<M>(frame, LIMIT).ok()? {
        Frame::Replica(Wire::Protocol(message)) => Some(message),
        _ => None,
    }
}

fn encode<M: Serialize>(message: M) -> Bytes {
    codec::encode(&Frame::Replica(Wire::Protocol(message))).into()
}

impl Lie for Raft {
    /// The same entries, without their payload.
    fn other_story(_: NodeId, frame: &Bytes, _: &Scenario) -> Option<Bytes> {
        let mut message: raft::Message = decode(frame)?;
        let raft::Body::AppendEntries(append) = &mut message.body else {
            return None;
        };
        let mut lies = false;
        for entry in &mut append.entries {
            lies |= !entry.payload.is_empty();
            Arc::make_mut(entry).payload = Payload::EMPTY;
        }
        lies.then(|| encode(message))
    }
}

impl Lie for HotStuff {
    /// Another block for the same view, without payload, signed as well.
    fn other_story(me: NodeId, frame: &Bytes, plan: &Scenario) -> Option<Bytes> {
        let hotstuff::Message::Proposal(mut proposal) = decode(frame)? else {
            return None;
        };
        if proposal.block.payload.is_empty() {
            return None;
        }
        let block = Arc::make_mut(&mut proposal.block);
        block.payload = Payload::EMPTY;
        block.header.payload = block.payload.digest();
        proposal.signature = sign(me, &proposal.statement(), plan);
        Some(encode(hotstuff::Message::Proposal(proposal)))
    }
}

impl Lie for Pbft {
    /// Nothing for the same slot, signed as well.
    fn other_story(me: NodeId, frame: &Bytes, plan: &Scenario) -> Option<Bytes> {
        let pbft::Message::PrePrepare(mut it) = decode(frame)? else {
            return None;
        };
        if it.payload.is_empty() {
            return None;
        }
        it.payload = Arc::new(Payload::EMPTY);
        it.signature = sign(me, &it.statement(), plan);
        Some(encode(pbft::Message::PrePrepare(it)))
    }
}

/// A liar's signature is genuine.
fn sign(me: NodeId, statement: &Statement, plan: &Scenario) -> Signature {
    let context = Context {
        chain: CHAIN,
        epoch: Epoch(0),
    };
    let key = mock::key("validator", u64::from(me.0));
    scheme(plan).sign(&key, &statement.digest(&context))
}

/// A node that may lie.
pub struct Suspect<P: Lie> {
    node: Engine<P>,
    me: NodeId,
    /// The plan, if it does lie.
    lies: Option<Scenario>,
    told: Arc<AtomicU64>,
}

impl<P: Lie> Suspect<P> {
    /// What a frame becomes on its way to a peer.
    fn story(&self, to: NodeId, frame: &Bytes) -> Bytes {
        let fooled = to.0 % 2 == 1;
        let plan = self.lies.as_ref().filter(|_| fooled);
        let other = plan.and_then(|plan| P::other_story(self.me, frame, plan));
        let Some(other) = other else {
            return frame.clone();
        };
        self.told.fetch_add(1, Ordering::Relaxed);
        other
    }
}

impl<P: Lie> Machine for Suspect<P> {
    type Checked = <Engine<P> as Machine>::Checked;

    fn step(&mut self, now: Time, input: Input<Self::Checked>, out: &mut Vec<Effect>) {
        let mut effects = Vec::new();
        self.node.step(now, input, &mut effects);
        for effect in effects {
            self.speak(effect, out);
        }
    }
    fn deadline(&self) -> Option<Time> {
        self.node.deadline()
    }
    fn window(&self) -> Window {
        self.node.window()
    }
    fn status(&self) -> Status {
        self.node.status()
    }
}

impl<P: Lie> Suspect<P> {
    fn speak(&self, effect: Effect, out: &mut Vec<Effect>) {
        match (&self.lies, effect) {
            (Some(plan), Effect::Broadcast { class, frame }) => {
                let peers = (0..plan.nodes as u16).map(NodeId);
                for to in peers.filter(|to| *to != self.me) {
                    let frame = self.story(to, &frame);
                    out.push(Effect::Send { to, class, frame });
                }
            }
            (Some(_), Effect::Send { to, class, frame }) => {
                let frame = self.story(to, &frame);
                out.push(Effect::Send { to, class, frame });
            }
            (_, effect) => out.push(effect),
        }
    }
}

/// A cluster in which one node lies.
pub struct OneLiar<P: Lie> {
    cluster: Honest<P>,
    plan: Scenario,
    liar: NodeId,
    /// Lies told so far.
    pub told: Arc<AtomicU64>,
}

impl<P: Lie> OneLiar<P> {
    /// The cluster of a plan, and who lies.
    #[must_use]
    pub fn new(plan: &Scenario, liar: NodeId) -> Self {
        Self {
            cluster: Honest::of(plan),
            plan: plan.clone(),
            liar,
            told: Arc::default(),
        }
    }
}

impl<P: Lie> System for OneLiar<P> {
    type Machine = Suspect<P>;

    fn ingress(&self) -> &dyn Ingress<Checked = <Suspect<P> as Machine>::Checked> {
        self.cluster.ingress()
    }
    fn inspector(&self) -> Box<dyn Inspect> {
        self.cluster.inspector()
    }
    fn checks(&self) -> Checks {
        self.cluster.checks()
    }
    fn frames_at_rest(&self, span: Time) -> u64 {
        self.cluster.frames_at_rest(span)
    }
    fn honest(&self, node: NodeId) -> bool {
        node != self.liar
    }
    fn limits(&self) -> &Limits {
        self.cluster.limits()
    }
    fn safety(&self, node: NodeId) -> Safety {
        self.cluster.safety(node)
    }
    fn payload_of(&self) -> storage::PayloadOf {
        engine::payload_of::<P>
    }
    fn safety_policy(&self) -> SafetyPolicy {
        self.cluster.safety_policy()
    }
    fn start(
        &self,
        node: NodeId,
        now: Time,
        log: &Log,
        applied: Applied,
        out: &mut Vec<Effect>,
    ) -> Result<Suspect<P>, String> {
        let mut effects = Vec::new();
        let suspect = Suspect {
            node: self.cluster.start(node, now, log, applied, &mut effects)?,
            me: node,
            lies: (node == self.liar).then(|| self.plan.clone()),
            told: Arc::clone(&self.told),
        };
        for effect in effects {
            suspect.speak(effect, out);
        }
        Ok(suspect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Violation;
    use crate::sim::{Protocol, World};

    /// Four nodes, no fault but one liar: what breaks, and how many lies were told.
    fn run<P: Lie>(protocol: Protocol, seed: u64, liar: u16) -> (Option<Violation>, u64) {
        let plan = Scenario::calm(protocol, seed, 4);
        let cluster = OneLiar::<P>::new(&plan, NodeId(liar));
        let told = Arc::clone(&cluster.told);
        let outcome = World::new(plan, cluster, false).run();
        (outcome.violation, told.load(Ordering::Relaxed))
    }

    /// What the choice of a fault model is about: the same lie, told by each node in turn.
    #[test]
    fn one_liar_splits_raft_and_does_not_split_hotstuff_or_pbft() {
        for seed in 0..4 {
            let (mut split, mut lies) = (0, 0);
            for liar in 0..4 {
                let (broken, told) = run::<HotStuff>(Protocol::HotStuff, seed, liar);
                assert_eq!(broken, None, "hotstuff, seed {seed}, liar {liar}");
                assert!(told > 0, "hotstuff, seed {seed}, liar {liar}");
                let (broken, told) = run::<Pbft>(Protocol::Pbft, seed, liar);
                assert_eq!(broken, None, "pbft, seed {seed}, liar {liar}");
                // Who is not primary orders nothing, and the views come to all in turn only under
                // HotStuff.
                lies += told;
                let (broken, told) = run::<Raft>(Protocol::Raft, seed, liar);
                // Only a leader orders, and so has something to lie about.
                assert_eq!(broken.is_some(), told > 0, "raft, seed {seed}: {broken:?}");
                split += u64::from(broken.is_some_and(|it| it.property == "S1"));
            }
            assert!(lies > 0, "pbft, seed {seed}");
            assert!(split > 0, "raft, seed {seed}: no two logs differ");
        }
    }
}
