//! HotStuff's frames and records, read from the outside.

use super::Scenario;
use super::counters::{Counters, Sometimes};
use super::inspect::{EPOCH, Inspect, Inspected, Legible, content, frame};
use super::system::{Simulated, genuine};
use crate::check::{Caps, Certified, Checks, Footing, Genuine, Link, Proven, Report, Seen, kind};
use bytes::Bytes;
use consensus::Committed;
use consensus::hotstuff::message::Vote;
use consensus::hotstuff::{
    Block, Header, HotStuff, Message, Proof, QuorumCertificate, Record, TimeoutCertificate,
};
use crypto::{Digest, Hasher, Height, NodeId, Time, codec};
use mempool::Dissemination;
use std::collections::{BTreeMap, BTreeSet};
use storage::{CommitRow, Op, SafetyPolicy, Table};

/// A proposed block.
#[derive(Clone, Copy, Debug)]
struct Proposed {
    block: Digest,
    parent: Digest,
    height: u64,
    view: u64,
    /// Whether it was entered by a timeout certificate.
    by_timeout: bool,
}

/// A vote as stored, with the lock.
#[derive(Clone, Copy, Debug)]
struct StoredVote {
    view: u64,
    height: u64,
    block: Digest,
    lock: Digest,
    lock_height: u64,
    footing: Footing,
}

/// What was seen of one node's promises.
#[derive(Clone, Copy, Default)]
struct Known {
    vote: Option<StoredVote>,
    timeout: Option<u64>,
}

/// See the module.
pub struct HotStuffInspector {
    /// Views of a tenure.
    tenure: u64,
    genuine: Genuine,
    /// Parent and height of proposed blocks.
    blocks: BTreeMap<Digest, (Digest, u64)>,
    nodes: Vec<Known>,
    /// First views of tenures that were entered without a timeout.
    views: BTreeSet<u64>,
}

impl HotStuffInspector {
    /// For the cluster of a plan.
    #[must_use]
    pub fn new(plan: &Scenario) -> Self {
        Self {
            tenure: plan.tenure,
            genuine: genuine(plan),
            blocks: BTreeMap::new(),
            nodes: vec![Known::default(); plan.nodes],
            views: BTreeSet::new(),
        }
    }

    /// Who voted for what a certificate certifies, and whether the signature is genuine.
    fn signers(&self, it: &QuorumCertificate) -> Vec<(NodeId, bool)> {
        let voted = Hasher::new("quorate/v1/vote")
            .number(it.height.0)
            .digest(&it.block)
            .finish();
        let signed = self.genuine.statement(kind::VOTE, (it.view.0, 0), &voted);
        self.genuine.signers(signed, &it.certificate)
    }

    /// Whether a block descends from another, as far as is known.
    fn descends(&self, mut block: Digest, (ancestor, height): (Digest, u64)) -> bool {
        while block != ancestor {
            match self.blocks.get(&block) {
                Some((parent, at)) if *at > height => block = *parent,
                Some(_) => return false,
                None => return true,
            }
        }
        true
    }

    fn proposed(&mut self, it: Proposed, committed: &dyn Fn() -> u64, counters: &mut Counters) {
        self.blocks.insert(it.block, (it.parent, it.height));
        if it.by_timeout {
            counters.hit(Sometimes::TimeoutCertified);
            if it.height > committed() + 1 {
                counters.hit(Sometimes::Carried);
            }
        } else if it.view.is_multiple_of(self.tenure) && self.views.insert(it.view) {
            counters.hit(Sometimes::TenureChanged);
        }
    }

    fn voted(&mut self, node: NodeId, it: &Record, counters: &mut Counters) -> Option<Seen> {
        let vote = match it {
            Record::Vote(it) => StoredVote {
                view: it.view.0,
                height: it.height.0,
                block: it.block,
                lock: it.lock.block,
                lock_height: it.lock.height.0,
                footing: Footing {
                    lock: it.lock.view.0,
                    parent: it.justify.view.0,
                    shown: it.timeout.as_ref().map(|it| it.high.view.0),
                },
            },
            Record::Timeout(it) => {
                self.nodes[node.index()].timeout = Some(it.tenure);
                return None;
            }
            _ => return None,
        };
        if let Some(old) = self.nodes[node.index()].vote {
            if !self.descends(vote.block, (old.lock, old.lock_height)) {
                counters.hit(Sometimes::LockReleased);
            }
            if vote.height <= old.height || !self.descends(vote.block, (old.block, old.height)) {
                counters.hit(Sometimes::BranchDied);
            }
        }
        self.nodes[node.index()].vote = Some(vote);
        let (view, footing) = (vote.view, Some(vote.footing));
        Some(Seen::Voted {
            node,
            view,
            footing,
        })
    }
}

/// What is certified of a block, from the written format.
fn digest(header: &Header) -> Digest {
    let part = |bytes: &[u8]| Hasher::new("quorate/v1/certificate").bytes(bytes).finish();
    Hasher::new("quorate/v1/block")
        .number(header.epoch.0)
        .number(header.view.0)
        .number(header.height.0)
        .digest(&header.parent)
        .digest(&part(&codec::encode(&header.justify)))
        .digest(&part(&codec::encode(&header.timeout)))
        .digest(&header.payload)
        .finish()
}

fn quorum(it: &QuorumCertificate, into: &mut Inspected) {
    let view = it.view.0;
    into.certified.push(Certified {
        epoch: EPOCH,
        view,
        height: 0,
        block: it.block,
    });
    let voted = content(it.height.0, &it.block);
    for signer in it.certificate.signers.iter() {
        into.promise(signer, "vote", (EPOCH, view), voted);
    }
}

fn timeouts(it: &TimeoutCertificate, into: &mut Inspected) {
    quorum(&it.high, into);
    for (signer, high) in it.certificate.signers.iter().zip(&it.high_views) {
        into.promise(
            signer,
            "timeout",
            (EPOCH, it.tenure),
            content(high.0, &Digest::ZERO),
        );
    }
}

fn vote(it: &Vote, into: &mut Inspected) {
    into.promise(
        it.author,
        "vote",
        (it.epoch.0, it.view.0),
        content(it.height.0, &it.block),
    );
}

fn block(it: &Block, into: &mut Inspected) {
    quorum(&it.header.justify, into);
    if let Some(timeout) = &it.header.timeout {
        timeouts(timeout, into);
    }
}

fn message(message: &Message, into: &mut Inspected) {
    into.name = consensus::Message::name(message);
    match message {
        Message::Proposal(it) => {
            let header = &it.block.header;
            let digest = digest(header);
            into.view = header.view.0;
            into.promise(
                it.author,
                "proposal",
                (header.epoch.0, header.view.0),
                digest,
            );
            block(&it.block, into);
        }
        Message::Vote(it) => {
            into.view = it.view.0;
            vote(it, into);
        }
        Message::Timeout(it) => {
            into.view = it.tenure;
            let place = (it.epoch.0, it.tenure);
            into.promise(
                it.author,
                "timeout",
                place,
                content(it.high.view.0, &Digest::ZERO),
            );
            quorum(&it.high, into);
            it.entry.iter().for_each(|entry| timeouts(entry, into));
            it.vote.iter().for_each(|it| vote(it, into));
        }
        Message::Certificate(it) => {
            into.view = it.quorum.view.0;
            quorum(&it.quorum, into);
            it.timeout.iter().for_each(|it| timeouts(it, into));
        }
        Message::Blocks(it) => {
            into.view = it.certificate.view.0;
            quorum(&it.certificate, into);
            it.blocks.iter().for_each(|it| block(it, into));
        }
        Message::ReadAnswer(it) => quorum(&it.high, into),
        Message::AskCertificate(it) => into.view = it.view.0,
        Message::FetchBlocks(_) | Message::ReadAsk(_) => {}
    }
}

fn proposal(message: &Message) -> Option<Proposed> {
    let Message::Proposal(it) = message else {
        return None;
    };
    let header = &it.block.header;
    Some(Proposed {
        block: digest(header),
        parent: header.parent,
        height: header.height.0,
        view: header.view.0,
        by_timeout: header.timeout.is_some(),
    })
}

impl Legible for HotStuff {
    fn inspect(it: &Message) -> Inspected {
        let mut into = Inspected::default();
        message(it, &mut into);
        into
    }
    fn stored(node: NodeId, it: &Record) -> Option<Seen> {
        let Record::Block(it) = it else { return None };
        let header = &it.header;
        Some(Seen::Stored {
            node,
            block: digest(header),
            parent: header.parent,
            place: (header.view.0, header.height.0),
        })
    }
    fn shown(node: NodeId, it: &Committed<Proof>) -> Option<Seen> {
        // Who plays without bytes checks signatures where they come in, if at all.
        let signers = it.proof.certificate.certificate.signers.iter();
        let signers = signers.map(|signer| (signer, true)).collect();
        let proven = proven(it.height, it.payload.digest(), &it.proof, signers);
        Some(Seen::Committed(node, proven))
    }
}

fn proven(height: Height, payload: Digest, proof: &Proof, signers: Vec<(NodeId, bool)>) -> Proven {
    let link = |header: &Header| Link {
        block: digest(header),
        view: header.view.0,
        height: header.height.0,
        parent: header.parent,
        justify: (header.justify.block, header.justify.view.0),
        payload: header.payload,
    };
    Proven {
        height: height.0,
        payload,
        links: proof.headers.iter().map(link).collect(),
        certified: (proof.certificate.block, proof.certificate.view.0),
        signers,
    }
}

impl Simulated for HotStuff {
    const DISSEMINATION: Dissemination = Dissemination::Broadcast;
    const SAFETY: SafetyPolicy = SafetyPolicy::EachFence;

    fn inspector(plan: &Scenario) -> Box<dyn Inspect> {
        Box::new(HotStuffInspector::new(plan))
    }
    fn checks(plan: &Scenario) -> Checks {
        Checks::hotstuff(plan.nodes, plan.tenure)
            .bounded(Caps::hotstuff(plan.nodes, plan.tight))
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

impl Inspect for HotStuffInspector {
    fn read(&self, _: NodeId, bytes: &Bytes) -> Inspected {
        frame(bytes, message)
    }

    fn sent(
        &mut self,
        _: NodeId,
        bytes: &Bytes,
        height: &dyn Fn() -> u64,
        counters: &mut Counters,
    ) -> Inspected {
        let mut proposed = None;
        let mut blocks = 0;
        let it = frame(bytes, |it, into| {
            message(it, into);
            proposed = proposal(it);
            if let Message::Blocks(it) = it {
                blocks = it.blocks.len();
            }
        });
        if let Some(proposed) = proposed {
            self.proposed(proposed, height, counters);
        }
        if it.name == "timeout" {
            counters.hit(Sometimes::TimedOut);
        }
        if blocks > 0 {
            counters.hit(Sometimes::CaughtUp);
        }
        it
    }

    fn stored(&mut self, node: NodeId, op: &Op, counters: &mut Counters) -> Option<Seen> {
        let Op::Put(Table::Record, key, value) = op else {
            return None;
        };
        let record = codec::decode(value).ok()?;
        // One record of each kind: the key is a zero and the kind's number.
        match key[..] {
            [0, _] => self.voted(node, &record, counters),
            _ => <HotStuff as Legible>::stored(node, &record),
        }
    }

    fn commit(&mut self, node: NodeId, row: &CommitRow, _: &mut Counters) -> Option<Seen> {
        let proof: Proof = codec::decode(&row.proof).ok()?;
        let signers = self.signers(&proof.certificate);
        let proven = proven(row.height, row.payload.digest(), &proof, signers);
        Some(Seen::Committed(node, proven))
    }

    fn started(&mut self, node: NodeId, report: &Report, counters: &mut Counters) {
        let Known { vote, timeout } = self.nodes[node.index()];
        if vote.is_some_and(|vote| vote.height > report.height.0) {
            counters.hit(Sometimes::RecoveredVote);
        }
        if timeout.is_some_and(|tenure| tenure >= report.view / self.tenure) {
            counters.hit(Sometimes::RecoveredTimeout);
        }
    }
}
