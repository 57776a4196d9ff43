//! Raft's frames and records, read from the outside.

use super::counters::{Counters, Sometimes};
use super::inspect::{EPOCH, Inspect, Inspected, content, frame};
use super::system::Simulated;
use super::{Chance, Scenario};
use crate::check::{Caps, Checks, Led, Report, Seen};
use bytes::Bytes;
use consensus::raft::{Body, Entry, Message, Proof, Raft, Record};
use crypto::{Digest, NodeId, Time, codec};
use mempool::Dissemination;
use std::collections::{BTreeMap, BTreeSet};
use storage::{CommitRow, Op, SafetyPolicy, Table};

/// What was seen of one node.
#[derive(Clone, Copy, Default)]
struct Known {
    /// The term that it stored last, and whether it voted in it.
    term: (u64, bool),
    /// The term that it leads, as far as can be seen, in this life.
    leads: Option<u64>,
}

/// What was seen of one term.
#[derive(Clone, Debug, Default)]
struct Term {
    candidates: BTreeSet<NodeId>,
    /// Whom the former leader asked to stand.
    successor: Option<NodeId>,
    leader: Option<NodeId>,
    counted: bool,
}

/// See the module.
pub struct RaftInspector {
    nodes: Vec<Known>,
    terms: BTreeMap<u64, Term>,
}

impl RaftInspector {
    /// For this many nodes.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self {
            nodes: vec![Known::default(); nodes],
            terms: BTreeMap::new(),
        }
    }

    /// A candidate, or one who would be.
    fn asks(&mut self, from: NodeId, term: u64, transfer: bool, counters: &mut Counters) {
        let former = term.checked_sub(1).and_then(|it| self.terms.get_mut(&it));
        if let Some(former) = former
            && former.candidates.len() > 1
            && former.leader.is_none()
            && !std::mem::replace(&mut former.counted, true)
        {
            counters.hit(Sometimes::SplitVote);
        }
        let it = self.terms.entry(term).or_default();
        it.candidates.insert(from);
        if transfer {
            it.successor = Some(from);
        }
    }

    /// A leader's entries or heartbeat.
    fn leads(&mut self, from: NodeId, term: u64, counters: &mut Counters) {
        self.nodes[from.index()].leads = Some(term);
        let it = self.terms.entry(term).or_default();
        if it.leader.replace(from).is_none() {
            counters.hit(Sometimes::Elected);
            if it.successor == Some(from) {
                counters.hit(Sometimes::HandedOver);
            }
        }
    }

    fn count(&mut self, from: NodeId, body: &Body, counters: &mut Counters) {
        match body {
            Body::AppendEntries(it) => self.leads(from, it.term.0, counters),
            Body::RequestVote(it) => self.asks(from, it.term.0, it.transfer, counters),
            Body::PreVote(it) => {
                // It led the term before this one, and nobody told it of a newer one.
                let leads = self.nodes[from.index()].leads.take();
                if leads.is_some_and(|term| term + 1 == it.term.0) {
                    counters.hit(Sometimes::SteppedDown);
                }
            }
            Body::Conflict(_) => counters.hit(Sometimes::LogsDiffered),
            Body::ReadAnswer(_) => counters.hit(Sometimes::FollowerRead),
            _ => {}
        }
    }
}

/// What an entry is, whatever its place.
fn entry(it: &Entry) -> Digest {
    content(it.at.term.0, &it.payload.digest())
}

fn message(from: NodeId, message: &Message, into: &mut Inspected) {
    into.name = consensus::Message::name(message);
    let term = message.body.term().0;
    into.view = term;
    let vote = |candidate: NodeId| content(u64::from(candidate.0), &Digest::ZERO);
    match &message.body {
        Body::AppendEntries(it) => {
            let place = |it: &Entry| (it.at.term.0, it.at.height.0, entry(it));
            into.led = Some(Led {
                term,
                entries: it.entries.iter().map(|it| place(it)).collect(),
            });
        }
        // Who stands votes for itself.
        Body::RequestVote(_) => into.promise(from, "grant", (EPOCH, term), vote(from)),
        Body::Grant(it) => into.promise(from, "grant", (EPOCH, term), vote(it.candidate)),
        _ => {}
    }
}

impl Simulated for Raft {
    const DISSEMINATION: Dissemination = Dissemination::ToLeader;
    const SAFETY: SafetyPolicy = SafetyPolicy::EachPromise;

    fn inspector(plan: &Scenario) -> Box<dyn Inspect> {
        Box::new(RaftInspector::new(plan.nodes))
    }
    fn checks(plan: &Scenario) -> Checks {
        Checks::raft(plan.nodes)
            .bounded(Caps::raft(plan.nodes, plan.tight))
            .alive(plan.expected())
    }
    /// The leader beats for ever, and each follower answers.
    fn frames_at_rest(plan: &Scenario, span: Time) -> u64 {
        let beats = span.0 / plan.timing.heartbeat().0.max(1) + 2;
        2 * (plan.nodes as u64 - 1) * beats
    }
    fn seed(me: NodeId, plan: &Scenario) -> [u8; 32] {
        Chance::of(plan.seed << 8 | u64::from(me.0), "lots").bytes()
    }
}

impl Inspect for RaftInspector {
    fn read(&self, from: NodeId, bytes: &Bytes) -> Inspected {
        frame(bytes, |it, into| message(from, it, into))
    }

    fn sent(
        &mut self,
        from: NodeId,
        bytes: &Bytes,
        _: &dyn Fn() -> u64,
        counters: &mut Counters,
    ) -> Inspected {
        frame(bytes, |it: &Message, into| {
            message(from, it, into);
            self.count(from, &it.body, counters);
        })
    }

    fn follows(&self, name: &'static str) -> bool {
        matches!(name, "pre_vote" | "newer_term")
    }

    fn delivered(
        &mut self,
        to: NodeId,
        name: &'static str,
        leader: Option<NodeId>,
        answered: bool,
        counters: &mut Counters,
    ) {
        match name {
            "pre_vote" if leader.is_some() && !answered => counters.hit(Sometimes::PreVoteRefused),
            "newer_term" if leader == Some(to) => counters.hit(Sometimes::Deposed),
            _ => {}
        }
    }

    fn stored(&mut self, node: NodeId, op: &Op, counters: &mut Counters) -> Option<Seen> {
        match op {
            Op::DeleteRange(Table::Record, ..) => counters.hit(Sometimes::Truncated),
            Op::Put(Table::Record, key, value) if key.len() == 2 => {
                if let Ok(Record::Term { term, voted }) = codec::decode(value) {
                    self.nodes[node.index()].term = (term.0, voted.is_some());
                }
            }
            _ => {}
        }
        None
    }

    fn commit(&mut self, node: NodeId, row: &CommitRow, counters: &mut Counters) -> Option<Seen> {
        let Proof(at) = codec::decode(&row.proof).ok()?;
        let leads = self.nodes[node.index()].leads;
        if leads.is_some_and(|term| at.term.0 < term) {
            counters.hit(Sometimes::OlderTermCommitted);
        }
        Some(Seen::Placed {
            node,
            height: row.height,
            place: (at.term.0, at.height.0),
        })
    }

    fn started(&mut self, node: NodeId, report: &Report, counters: &mut Counters) {
        let known = &mut self.nodes[node.index()];
        known.leads = None;
        if known.term == (report.view, true) {
            counters.hit(Sometimes::RecoveredGrant);
        }
    }
}
