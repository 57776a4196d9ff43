//! PBFT's frames and records, read from the outside.

use super::Scenario;
use super::counters::{Counters, Sometimes};
use super::inspect::{EPOCH, Inspect, Inspected, Legible, checkpoint_at, frame};
use super::system::{Simulated, genuine};
use crate::check::{Agreed, Caps, Certified, Checks, Genuine, Report, Seen, kind};
use bytes::Bytes;
use consensus::Committed;
use consensus::pbft::message::{Change, Reached, Vote};
use consensus::pbft::{
    Assigned, CommitCertificate, Message, NewView, Pbft, PrePrepare, Prepared, Proof, Record,
    ViewChange,
};
use consensus::replica::StableCheckpoint;
use crypto::{Digest, Hasher, Height, Kind, NodeId, Payload, Slot, Time, View, codec};
use mempool::Dissemination;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use storage::{CommitRow, Op, SafetyPolicy, Table};

/// What was seen of one node.
#[derive(Clone, Copy, Default)]
struct Known {
    /// Its stable checkpoint.
    low: u64,
    /// The highest view in which it promised something, or that it entered or asked for.
    view: u64,
    /// The view that it entered, and the one that it asked for.
    views: (u64, u64),
    /// The highest slot that it has prepared.
    prepared: u64,
}

/// See the module.
pub struct PbftInspector {
    /// Heights between checkpoints.
    interval: u64,
    genuine: Genuine,
    nodes: Vec<Known>,
    /// Views that were opened.
    opened: BTreeSet<u64>,
}

impl PbftInspector {
    /// For the cluster of a plan.
    #[must_use]
    pub fn new(plan: &Scenario) -> Self {
        Self {
            interval: plan.checkpoints.get(),
            genuine: genuine(plan),
            nodes: vec![Known::default(); plan.nodes],
            opened: BTreeSet::new(),
        }
    }

    fn count(&mut self, from: NodeId, it: &Message, committed: u64, counters: &mut Counters) {
        let node = &mut self.nodes[from.index()];
        match it {
            Message::PrePrepare(it) => {
                node.view = node.view.max(it.view.0);
                if it.payload.is_empty() && it.height.0 > committed {
                    counters.hit(Sometimes::NullAssigned);
                }
                if it.height.0 == node.low + 2 * self.interval {
                    counters.hit(Sometimes::WatermarkReached);
                }
            }
            Message::Prepare(it) | Message::Commit(it) => {
                node.view = node.view.max(it.assigned.view.0);
            }
            Message::ViewChange(it) => {
                let view = it.change.view.0;
                if view > node.view {
                    counters.hit(Sometimes::GaveUp);
                }
                // View 1 is where all begin, and is promised nothing in for a while.
                if view > node.view.max(1) + 1 {
                    counters.hit(Sometimes::Joined);
                }
                node.view = node.view.max(view);
            }
            Message::NewView(it) => self.count_opened(it, committed, counters),
            Message::Opened(_) => counters.hit(Sometimes::ViewTold),
            Message::Slots(it) if !it.slots.is_empty() => counters.hit(Sometimes::SlotsTold),
            Message::Payloads(it) if !it.payloads.is_empty() => {
                counters.hit(Sometimes::PayloadTold);
            }
            _ => {}
        }
    }

    /// What a new view shows of those before.
    fn count_opened(&mut self, it: &NewView, committed: u64, counters: &mut Counters) {
        if !self.opened.insert(it.view.0) {
            return;
        }
        counters.hit(Sometimes::Opened);
        let low = it.changes.iter().map(|it| it.low.height.0).max();
        let low = low.unwrap_or(0);
        let mut contents: BTreeMap<u64, BTreeSet<Digest>> = BTreeMap::new();
        let prepared = it.changes.iter().flat_map(|it| &it.prepared);
        for it in prepared.filter(|it| it.height.0 > low) {
            contents.entry(it.height.0).or_default().insert(it.digest);
        }
        match contents.range(committed.max(low) + 1..).count() {
            0 => {}
            1 => counters.hit(Sometimes::PreparedCarried),
            _ => counters.hit(Sometimes::SeveralCarried),
        }
        if contents.values().any(|it| it.len() > 1) {
            counters.hit(Sometimes::HighestCarried);
        }
        if (1u64..).zip(&it.slots).any(|(i, digest)| {
            *digest == ordered(&Payload::EMPTY) && !contents.contains_key(&(low + i))
        }) {
            counters.hit(Sometimes::GapCarried);
        }
        if low > 0 {
            counters.hit(Sometimes::OpenedAbove);
        }
        if it.changes.iter().any(|it| it.low.height.0 < low) {
            counters.hit(Sometimes::OpenedAcross);
        }
    }

    /// Who signed a commit, and whether the signature is genuine.
    fn signers(&self, it: &CommitCertificate) -> Vec<(NodeId, bool)> {
        let Assigned {
            height,
            view,
            digest,
        } = it.assigned;
        let place = (view.0, height.0);
        let signed = self.genuine.statement(kind::COMMIT, place, &digest);
        self.genuine.signers(signed, &it.certificate)
    }
}

/// What stands for a payload in statements: its digest, or a name for nothing.
fn ordered(payload: &Payload) -> Digest {
    if payload.is_empty() {
        Hasher::new("quorate/v1/pbft/null").finish()
    } else {
        payload.digest()
    }
}

fn phase(into: &mut Inspected, signer: NodeId, kind: &'static str, it: &Assigned) {
    into.promise_at(signer, kind, (EPOCH, it.view.0, it.height.0), it.digest);
}

fn certified(it: &Assigned) -> Certified {
    Certified {
        epoch: EPOCH,
        view: it.view.0,
        height: it.height.0,
        block: it.digest,
    }
}

fn prepared(it: &Prepared, into: &mut Inspected) {
    into.certified.push(certified(&it.assigned));
    for signer in it.certificate.signers.iter() {
        let kind = if signer == it.primary {
            "pre_prepare"
        } else {
            "prepare"
        };
        phase(into, signer, kind, &it.assigned);
    }
}

fn committed(it: &CommitCertificate, into: &mut Inspected) {
    into.certified.push(certified(&it.assigned));
    for signer in it.certificate.signers.iter() {
        phase(into, signer, "commit", &it.assigned);
    }
}

fn stable(it: &StableCheckpoint, into: &mut Inspected) {
    let height = it.height.0;
    let signed = checkpoint_at(height, &it.history, &it.state);
    for signer in it.certificate.signers.iter() {
        into.promise(signer, "checkpoint", (EPOCH, height), signed);
    }
}

fn reached(it: &Reached, into: &mut Inspected) {
    match it {
        Reached::Nothing => {}
        Reached::Stable(it) => stable(it, into),
        Reached::Prepared(it) => prepared(it, into),
        Reached::Committed(it) => committed(it, into),
    }
}

fn vote(it: &Vote, kind: &'static str, into: &mut Inspected) {
    (into.view, into.height) = (it.assigned.view.0, it.assigned.height.0);
    phase(into, it.author, kind, &it.assigned);
}

fn pre_prepare(it: &PrePrepare, into: &mut Inspected) {
    (into.view, into.height) = (it.view.0, it.height.0);
    let assigned = Assigned {
        height: it.height,
        view: it.view,
        digest: ordered(&it.payload),
    };
    phase(into, it.author, "pre_prepare", &assigned);
}

/// All of something signed, and not what the program says that is signed of it: of two that differ in what
/// the signature forgets, each is a promise of its own.
fn whole(it: &impl Serialize) -> Digest {
    let bytes = codec::encode(it);
    Hasher::new("quorate/sim/whole").bytes(&bytes).finish()
}

fn asks(change: &Change, into: &mut Inspected) {
    let place = (EPOCH, change.view.0);
    into.promise(change.author, "view_change", place, whole(change));
}

fn view_change(it: &ViewChange, into: &mut Inspected) {
    let change = &it.change;
    into.view = change.view.0;
    asks(change, into);
    it.checkpoint.iter().for_each(|it| stable(it, into));
    it.prepared.iter().for_each(|it| prepared(it, into));
}

fn new_view(it: &NewView, into: &mut Inspected) {
    into.view = it.view.0;
    let place = (EPOCH, it.view.0);
    let signed = whole(&(&it.changes, &it.slots, it.signature));
    into.promise(it.author, "new_view", place, signed);
    it.changes.iter().for_each(|change| asks(change, into));
    it.checkpoints.iter().for_each(|it| stable(it, into));
    it.prepared.iter().for_each(|it| prepared(it, into));
}

fn message(message: &Message, into: &mut Inspected) {
    into.name = consensus::Message::name(message);
    match message {
        Message::PrePrepare(it) => pre_prepare(it, into),
        Message::Prepare(it) => vote(it, "prepare", into),
        Message::Commit(it) => vote(it, "commit", into),
        Message::ViewChange(it) => view_change(it, into),
        Message::NewView(it) | Message::Opened(it) => new_view(it, into),
        Message::Certificate(it) => reached(it, into),
        Message::ReadAnswer(it) => reached(&it.reached, into),
        Message::Slots(it) => it
            .slots
            .iter()
            .for_each(|it| committed(&it.certificate, into)),
        Message::AskProgress(it) => (into.view, into.height) = (it.view.0, it.height.0),
        Message::FetchSlots(it) => into.height = it.from.0,
        Message::FetchPayloads(_) | Message::Payloads(_) | Message::ReadAsk(_) => {}
    }
}

impl Legible for Pbft {
    fn inspect(it: &Message) -> Inspected {
        let mut into = Inspected::default();
        message(it, &mut into);
        into
    }
    fn stored(node: NodeId, it: &Record) -> Option<Seen> {
        let Record::Prepared(it) = it else {
            return None;
        };
        Some(Seen::Certified(node, certified(&it.assigned)))
    }
    fn shown(node: NodeId, it: &Committed<Proof>) -> Option<Seen> {
        // Who plays without bytes checks signatures where they come in, if at all.
        let Proof(certificate) = &it.proof;
        let signers = certificate.certificate.signers.iter();
        let signers = signers.map(|signer| (signer, true)).collect();
        let agreed = agreed(it.height, &it.payload, certificate, signers);
        Some(Seen::Agreed(node, agreed))
    }
}

fn agreed(
    height: Height,
    payload: &Payload,
    certificate: &CommitCertificate,
    signers: Vec<(NodeId, bool)>,
) -> Agreed {
    let Assigned {
        height: Height(slot),
        view: View(view),
        digest: content,
    } = certificate.assigned;
    Agreed {
        height: height.0,
        ordered: ordered(payload),
        slot,
        view,
        content,
        signers,
    }
}

impl Simulated for Pbft {
    const DISSEMINATION: Dissemination = Dissemination::Broadcast;
    const SAFETY: SafetyPolicy = SafetyPolicy::EachFence;

    fn inspector(plan: &Scenario) -> Box<dyn Inspect> {
        Box::new(PbftInspector::new(plan))
    }
    fn checks(plan: &Scenario) -> Checks {
        Checks::pbft(plan.nodes)
            .bounded(Caps::pbft(plan.nodes, plan.tight, plan.checkpoints.get()))
            .alive(plan.expected())
    }
    /// Each node asks one peer a span where it stands, and is answered; twice that, since spans do
    /// not begin together.
    fn frames_at_rest(plan: &Scenario, _: Time) -> u64 {
        4 * plan.nodes as u64
    }
    /// It draws nothing but nonces.
    fn seed(me: NodeId, _: &Scenario) -> [u8; 32] {
        [me.0 as u8; 32]
    }
}

impl Inspect for PbftInspector {
    fn read(&self, _: NodeId, bytes: &Bytes) -> Inspected {
        frame(bytes, message)
    }

    fn sent(
        &mut self,
        from: NodeId,
        bytes: &Bytes,
        height: &dyn Fn() -> u64,
        counters: &mut Counters,
    ) -> Inspected {
        frame(bytes, |it: &Message, into| {
            message(it, into);
            self.count(from, it, height(), counters);
        })
    }

    fn stored(&mut self, node: NodeId, op: &Op, _: &mut Counters) -> Option<Seen> {
        let Op::Put(table, key, value) = op else {
            return None;
        };
        let known = &mut self.nodes[node.index()];
        match table {
            Table::Checkpoint => {
                let it: StableCheckpoint = codec::decode(value).ok()?;
                known.low = known.low.max(it.height.0);
                None
            }
            // The key is a zero and the slot: a statement is about to be made.
            Table::Guard => {
                let (0, slot) = key.split_first()? else {
                    return None;
                };
                let slot: Slot = codec::decode(slot).ok()?;
                let view = slot.view.0;
                let votes = matches!(slot.kind, Kind::PrePrepare | Kind::Prepare | Kind::Commit);
                votes.then_some(Seen::Voted {
                    node,
                    view,
                    footing: None,
                })
            }
            Table::Record => match &codec::decode(value).ok()? {
                record @ Record::Prepared(it) => {
                    known.prepared = known.prepared.max(it.assigned.height.0);
                    <Pbft as Legible>::stored(node, record)
                }
                Record::ViewChange(it) => {
                    known.views.1 = it.change.view.0;
                    None
                }
                Record::NewView(it) => {
                    known.views.0 = it.view.0;
                    known.view = known.view.max(it.view.0);
                    None
                }
                Record::Accepted(_) | Record::Committed(_) => None,
            },
            _ => None,
        }
    }

    fn commit(&mut self, node: NodeId, row: &CommitRow, _: &mut Counters) -> Option<Seen> {
        let Proof(certificate) = codec::decode(&row.proof).ok()?;
        let signers = self.signers(&certificate);
        let agreed = agreed(row.height, &row.payload, &certificate, signers);
        Some(Seen::Agreed(node, agreed))
    }

    fn started(&mut self, node: NodeId, report: &Report, counters: &mut Counters) {
        let Known {
            views: (entered, wanted),
            prepared,
            ..
        } = self.nodes[node.index()];
        if prepared > report.height.0 {
            counters.hit(Sometimes::RecoveredPrepared);
        }
        if wanted > entered && wanted == report.view {
            counters.hit(Sometimes::RecoveredViewChange);
        }
    }
}
