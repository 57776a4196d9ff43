//! What is seen of a run: handed to the checks, counted, and written into the trace.

use super::counters::Sometimes;
use super::inspect::StoredVote;
use super::system::System;
use super::world::World;
use crate::check::{Checks, ExecutedHeight, Receipt, Report, Seen, Standing, Violation};
use bytes::Bytes;
use crypto::{Digest, Height, NodeId, Time};
use engine::{Machine, Reply, RequestId};
use std::collections::{BTreeMap, BTreeSet};
use storage::{CommitRow, Executed, Op, Outcome, Table, WriteBatch};

/// What was seen of one node's disk and promises.
#[derive(Clone, Copy, Default)]
struct Known {
    vote: Option<StoredVote>,
    timeout: Option<u64>,
}

/// The checks, and what the counters need to know.
pub struct Watch {
    checks: Checks,
    /// The first broken property.
    pub violation: Option<Violation>,
    /// Only this property is judged; else all.
    only: Option<&'static str>,
    /// The run cannot go on, whether that is judged or not.
    pub over: bool,
    /// Committed heights, and whether they hold payload.
    committed: BTreeMap<u64, bool>,
    /// Parent and height of proposed blocks.
    blocks: BTreeMap<Digest, (Digest, u64)>,
    nodes: Vec<Known>,
    views: BTreeSet<u64>,
}

impl Watch {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(nodes: usize, tenure: u64) -> Self {
        Self {
            checks: Checks::all(nodes, tenure),
            violation: None,
            only: None,
            over: false,
            committed: BTreeMap::new(),
            blocks: BTreeMap::new(),
            nodes: vec![Known::default(); nodes],
            views: BTreeSet::new(),
        }
    }
    /// Judges only this property from now on.
    pub fn only(&mut self, property: &'static str) {
        self.only = Some(property);
        self.checks.only(property);
    }
    /// Records a broken property; the first one counts.
    pub fn blame(&mut self, property: &'static str, at: Time, what: String) {
        if self.only.is_none_or(|only| only == property) {
            self.violation
                .get_or_insert(Violation { property, at, what });
        }
    }
    /// Records a broken property behind which nothing more can be judged.
    pub fn end(&mut self, property: &'static str, at: Time, what: String) {
        self.over = true;
        self.blame(property, at, what);
    }
    /// Judges the whole.
    pub fn finish(&mut self, now: Time) {
        if let Err(violation) = self.checks.finish(now) {
            self.violation.get_or_insert(violation);
        }
    }
    /// Committed heights that hold payload.
    #[must_use]
    pub fn payloads(&self) -> u64 {
        self.committed.values().filter(|payload| **payload).count() as u64
    }
    /// Committed heights.
    #[must_use]
    pub fn heights(&self) -> u64 {
        self.committed.len() as u64
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
}

impl<S: System> World<S> {
    pub(super) fn see(&mut self, seen: Seen) {
        let verdict = self.watch.checks.see(self.now, &seen);
        if let Err(violation) = verdict {
            self.trace.say(self.now, || {
                format!("BROKEN {}: {}", violation.property, violation.what)
            });
            self.watch.violation.get_or_insert(violation);
        }
        match &seen {
            Seen::Reported(node, report) => {
                self.trace
                    .number(u64::from(node.0) << 48 ^ report.view << 24 ^ report.height.0);
            }
            Seen::Executed(node, it) => {
                self.trace.number(u64::from(node.0));
                self.trace.bytes(&it.state.0);
            }
            _ => {}
        }
    }

    /// A process came up again: what does it have to remember?
    pub(super) fn started(&mut self, node: NodeId) {
        let known = self.watch.nodes[node.index()];
        let report = self.report(node);
        if known.vote.is_some_and(|vote| vote.height > report.height.0) {
            self.counters.hit(Sometimes::RecoveredVote);
        }
        if known
            .timeout
            .is_some_and(|tenure| tenure >= report.view / self.plan.tenure)
        {
            self.counters.hit(Sometimes::RecoveredTimeout);
        }
        if self.hosts[node.index()].executed > report.state_height {
            self.counters.hit(Sometimes::ReplayedState);
        }
    }

    /// A frame leaves a node: its name and view.
    pub(super) fn sent(&mut self, node: NodeId, frame: &Bytes) -> (&'static str, u64) {
        self.trace.bytes(frame);
        self.frames += 1;
        let it = self.system.inspect().frame(frame);
        self.trace
            .say(self.now, || format!("{node} -> {} {}", it.name, it.view));
        if let Some(proposed) = it.proposed {
            let place = (proposed.parent, proposed.height);
            self.watch.blocks.insert(proposed.block, place);
            if proposed.by_timeout {
                self.counters.hit(Sometimes::TimeoutCertified);
                let committed = self.report(node).height.0;
                if proposed.height > committed + 1 {
                    self.counters.hit(Sometimes::Carried);
                }
            } else if proposed.view % self.plan.tenure == 0
                && self.watch.views.insert(proposed.view)
            {
                self.counters.hit(Sometimes::TenureChanged);
            }
        }
        if it.name == "timeout" {
            self.counters.hit(Sometimes::TimedOut);
        }
        if it.blocks > 0 {
            self.counters.hit(Sometimes::CaughtUp);
        }
        if it.offer {
            self.counters.hit(Sometimes::BatchOffered);
        }
        for author in it.fetched {
            self.counters.hit(Sometimes::BatchFetched);
            if author != node {
                self.counters.hit(Sometimes::BatchFetchedElsewhere);
            }
        }
        self.see(Seen::Sent {
            node,
            promises: it.promises,
            certified: it.certified,
        });
        (it.name, it.view)
    }

    /// A write is handed to the storage thread.
    pub(super) fn stored(&mut self, node: NodeId, batch: &WriteBatch) {
        for op in batch.ops() {
            let Op::Put(Table::Record, key, value) = op else {
                continue;
            };
            let inspect = self.system.inspect();
            let known = &self.watch.nodes[node.index()];
            if let Some(vote) = inspect.vote(key, value) {
                let locked = known.vote.map(|v| (v.lock, v.lock_height));
                if locked.is_some_and(|lock| !self.watch.descends(vote.block, lock)) {
                    self.counters.hit(Sometimes::LockReleased);
                }
                let voted = known.vote.map(|v| (v.block, v.height));
                if voted.is_some_and(|old| {
                    vote.height <= old.1 || !self.watch.descends(vote.block, old)
                }) {
                    self.counters.hit(Sometimes::BranchDied);
                }
                self.watch.nodes[node.index()].vote = Some(vote);
                let view = vote.view;
                self.see(Seen::Voted { node, view });
            } else if let Some(tenure) = inspect.timeout(key, value) {
                self.watch.nodes[node.index()].timeout = Some(tenure);
            }
        }
    }

    /// Commits are handed to the storage thread, with their proofs.
    pub(super) fn stored_commits(&mut self, node: NodeId, batch: &WriteBatch) {
        for op in batch.ops() {
            let Op::Put(Table::Commit, key, value) = op else {
                continue;
            };
            let row = CommitRow::decode(key, value).ok();
            match row.and_then(|row| self.system.inspect().commit(&row)) {
                Some(proven) => self.see(Seen::Committed(node, proven)),
                None => {
                    let what = format!("node {node} stores a commit that does not decode");
                    self.watch.blame("S4", self.now, what);
                }
            }
        }
    }

    /// A node committed a height.
    pub(super) fn committed(&mut self, height: Height, payload: bool) {
        self.watch.committed.insert(height.0, payload);
        if std::mem::take(&mut self.blackout) {
            self.counters.hit(Sometimes::CommittedAfterCrashAll);
        }
    }

    /// A node executed a height.
    pub(super) fn execution_seen(&mut self, node: NodeId, it: &Executed) {
        let receipts: Vec<_> = it.receipts.iter().map(receipt).collect();
        for (seen, made) in receipts.iter().zip(&it.receipts) {
            if made.repeated {
                self.counters.hit(Sometimes::Repeated);
            } else if !seen.effective {
                self.counters.hit(Sometimes::Void);
            }
        }
        self.trace.say(self.now, || {
            format!(
                "{node} executed {}: {} receipts, state {:?}",
                it.height,
                receipts.len(),
                it.state
            )
        });
        let executed = ExecutedHeight {
            height: it.height,
            state: it.state,
            receipts,
        };
        self.see(Seen::Executed(node, executed));
    }

    /// A node answers a request.
    pub(super) fn replied(&mut self, node: NodeId, request: RequestId, reply: &Reply) {
        self.trace.say(self.now, || {
            format!("{node} answers {}: {reply:?}", request.0)
        });
        match reply {
            Reply::Executed(it) if took_effect(&it.outcome) => {
                self.see(Seen::Acknowledged(node, receipt(it)));
            }
            Reply::ReadAt(height) => {
                self.counters.hit(Sometimes::ReadServed);
                self.see(Seen::ReadServed {
                    node,
                    request: request.0,
                    height: *height,
                });
            }
            _ => {}
        }
    }

    /// How things stand.
    pub(super) fn standing(&mut self) -> Standing {
        let (waiting, oldest) = self.clients.waiting();
        let ids = self
            .hosts
            .iter()
            .filter(|h| !h.retired)
            .map(|h| h.id)
            .collect::<Vec<_>>();
        let up = |id: &NodeId| self.hosts[id.index()].life.is_some();
        let all_up = ids.iter().all(up);
        let nodes: Vec<(NodeId, Report)> = ids
            .into_iter()
            .filter(up)
            .map(|id| (id, self.report(id)))
            .collect();
        Standing {
            waiting,
            oldest,
            rested: self.clients.rested,
            all_up,
            nodes,
        }
    }

    /// What a node that is up says of itself.
    pub(super) fn report(&self, node: NodeId) -> Report {
        let Some(life) = &self.hosts[node.index()].life else {
            unreachable!("only nodes that are up report");
        };
        let status = life.machine.status();
        Report {
            view: status.consensus.view.0,
            height: status.consensus.height,
            history: status.consensus.history,
            state_height: status.state_height,
            state: status.state_digest,
        }
    }
}

/// Whether a transaction took effect, and so used up its number.
pub(super) fn took_effect(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Done { .. } | Outcome::FutureRevision)
}

fn receipt(it: &storage::Receipt) -> Receipt {
    Receipt {
        client: it.client,
        sequence: it.sequence,
        id: it.transaction,
        height: it.height,
        effective: took_effect(&it.outcome) && !it.repeated,
        answer: format!(
            "revision {} index {} {:?}",
            it.revision, it.index, it.outcome
        ),
    }
}
