//! What is seen of a run: handed to the checks, counted, and written into the trace.

use super::client::all_keys;
use super::counters::Sometimes;
use super::history;
use super::host::Host;
use super::inspect::Inspect;
use super::system::System;
use super::world::World;
use crate::adversary::Tally;
use crate::check::{
    Checks, DAMAGE, Did, ExecutedHeight, FRESHNESS, Mood, Receipt, Report, Results, Sample, Seen,
    Standing, Step, Violation, Way,
};
use bytes::Bytes;
use crypto::{Height, NodeId, Time};
use engine::{Machine, Reply, RequestId};
use std::collections::BTreeMap;
use storage::{CommitRow, Executed, Op, Outcome, Span, StateReader, Table, WriteBatch};

/// What honest nodes made of lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caught {
    /// What became of the lies, by the names of their ways.
    pub ways: BTreeMap<&'static str, Tally>,
    /// Proofs that a liar lied.
    pub proven: u64,
}

impl Caught {
    /// Adds that of another run.
    pub fn add(&mut self, other: &Self) {
        for (way, tally) in &other.ways {
            self.ways.entry(way).or_default().add(*tally);
        }
        self.proven += other.proven;
    }
    /// All ways together.
    #[must_use]
    pub fn all(&self) -> Tally {
        let mut all = Tally::default();
        self.ways.values().for_each(|it| all.add(*it));
        all
    }
}

/// The checks, and what the counters need to know.
pub struct Watch {
    checks: Checks,
    /// How the protocol looks from the outside.
    pub(super) inspector: Box<dyn Inspect>,
    /// The first broken property.
    pub violation: Option<Violation>,
    /// Only this property is judged; else all.
    only: Option<&'static str>,
    /// The run cannot go on, whether that is judged or not.
    pub over: bool,
    /// What honest nodes made of lies.
    pub caught: Caught,
    /// The way of the lie that an honest node is hearing.
    pub hearing: Option<&'static str>,
    /// Committed heights, and whether they hold payload.
    committed: BTreeMap<u64, bool>,
}

impl Watch {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(checks: Checks, inspector: Box<dyn Inspect>) -> Self {
        Self {
            checks,
            inspector,
            violation: None,
            only: None,
            over: false,
            caught: Caught::default(),
            hearing: None,
            committed: BTreeMap::new(),
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
}

impl<S: System> World<S> {
    pub(super) fn see(&mut self, mut seen: Seen) {
        if let Seen::Sent { promises, .. } = &mut seen {
            promises.retain(|promise| self.system.honest(promise.signer));
        }
        if seen.about().is_some_and(|node| !self.system.honest(node)) {
            match seen {
                Seen::Rejected { by, .. } if self.system.honest(by) => {
                    let Watch {
                        caught, hearing, ..
                    } = &mut self.watch;
                    if let Some(way) = *hearing {
                        caught.ways.entry(way).or_default().refused += 1;
                    }
                }
                Seen::Accused { by, .. } if self.system.honest(by) => {
                    self.watch.caught.proven += 1;
                }
                _ => {}
            }
            return;
        }
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
        let report = self.report(node);
        let Self {
            watch, counters, ..
        } = self;
        watch.inspector.started(node, &report, counters);
        if self.hosts[node.index()].executed > report.state_height {
            self.counters.hit(Sometimes::ReplayedState);
        }
    }

    /// A frame leaves a node: its name, view and height.
    pub(super) fn sent(&mut self, node: NodeId, frame: &Bytes) -> (&'static str, u64, u64) {
        self.trace.bytes(frame);
        self.frames += 1;
        let honest = self.system.honest(node);
        let Self {
            watch,
            counters,
            hosts,
            ..
        } = self;
        let status = || {
            let life = hosts[node.index()].life.as_ref();
            life.map(|life| life.machine.status().consensus)
        };
        let height = || status().map_or(0, |it| it.height.0);
        // What a liar says shows nothing of the rare states.
        let it = if honest {
            watch.inspector.sent(node, frame, &height, counters)
        } else {
            watch.inspector.read(node, frame)
        };
        self.trace
            .say(self.now, || format!("{node} -> {}", it.text()));
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
            led: it.led,
        });
        (it.name, it.view, it.height)
    }

    /// A write is handed to the storage thread: promises, and commits with their proofs.
    pub(super) fn stored(&mut self, node: NodeId, batch: &WriteBatch) {
        for op in batch.ops() {
            let Self {
                watch, counters, ..
            } = self;
            if let Some(seen) = watch.inspector.stored(node, op, counters) {
                self.see(seen);
            }
        }
        for op in batch.ops() {
            let Op::Put(Table::Commit, key, value) = op else {
                continue;
            };
            let row = CommitRow::decode(key, value).ok();
            let Self {
                watch, counters, ..
            } = self;
            match row.and_then(|row| watch.inspector.commit(node, &row, counters)) {
                Some(seen) => self.see(seen),
                None if !self.system.honest(node) => {}
                None => {
                    let what = format!("node {node} stores a commit that does not decode");
                    self.watch.blame(DAMAGE, self.now, what);
                }
            }
        }
    }

    /// A node committed a height.
    pub(super) fn committed(&mut self, node: NodeId, height: Height, batches: usize) {
        self.watch.committed.insert(height.0, batches > 0);
        self.see(Seen::Ordered {
            node,
            height,
            batches,
        });
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
            } else if !seen.effective() {
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

    /// Now and then every node is asked how it is.
    pub(super) fn sample(&mut self) {
        if self.now >= self.sample_at {
            self.sample_at = self.now.plus(Time(self.plan.timing.timeout.0 / 2));
            self.sample_all(Mood::Calm);
        }
    }

    /// All is done and at rest: nobody has anything to wait for, unless it is a leader (Raft elects one
    /// whether there is work or not).
    pub(super) fn sample_at_rest(&mut self) {
        let mut lives = self.hosts.iter().filter_map(|it| it.life.as_ref());
        let led = lives.all(|it| it.machine.status().consensus.leader.is_some());
        self.sample_all(if led { Mood::AtRest } else { Mood::Any });
    }

    /// `mood`: how the cluster is, unless somebody lies or something else goes wrong.
    fn sample_all(&mut self, mood: Mood) {
        let honest = self.plan.attack.is_none();
        let mood = match mood {
            Mood::Calm if honest && self.plan.is_calm() => Mood::Calm,
            Mood::AtRest if honest => Mood::AtRest,
            _ => Mood::Any,
        };
        for i in 0..self.hosts.len() {
            let host = &self.hosts[i];
            // A process that is stopped says nothing.
            let Some(life) = host.life.as_ref().filter(|_| host.paused <= self.now) else {
                continue;
            };
            let (node, status) = (host.id, life.machine.status());
            let (ordered, executed) = (status.consensus.height, status.state_height);
            let sample = Sample {
                at: self.now,
                mood,
                ordered,
                executed,
                work: status.pending.batches > 0
                    || status.pending.transactions > 0
                    || executed < ordered,
                waiting: status.waiting,
            };
            self.see(Seen::Sampled { node, sample });
        }
    }

    /// A node answers a request.
    pub(super) fn replied(&mut self, node: NodeId, request: RequestId, reply: &Reply) {
        self.trace.say(self.now, || {
            format!("{node} answers {}: {reply:?}", request.0)
        });
        match reply {
            Reply::Refused(_) => self.not_taken(request),
            Reply::Executed(it) if took_effect(&it.outcome) => {
                if self.system.honest(node) {
                    self.told = self.told.max(it.height);
                }
                self.see(Seen::Acknowledged(node, receipt(it)));
            }
            Reply::ReadAt(height) => {
                self.counters.hit(Sometimes::ReadServed);
                if self.reading == Some(request) {
                    self.counters.hit(Sometimes::LeaseRead);
                }
                self.see(Seen::ReadServed {
                    node,
                    request: request.0,
                    height: *height,
                });
                self.read_state(node, request, *height);
            }
            _ => {}
        }
    }

    /// A node says that a read may be served: it is, as the program does it, from its state now.
    fn read_state(&mut self, node: NodeId, request: RequestId, height: Height) {
        let key = self.clients.read_key(request);
        let Some(life) = &self.hosts[node.index()].life else {
            return;
        };
        let reader = StateReader::new(life.executor.state(), *self.system.limits());
        let seen = match reader.range(&Span::only(key.clone()), 1, 0) {
            Ok(range) if range.applied.height >= height => range.pairs,
            Ok(range) => {
                let at = range.applied.height;
                let what = format!("node {node} serves a read of height {height} at {at}");
                return self.watch.blame(FRESHNESS, self.now, what);
            }
            Err(error) => return self.stop(node, &error.to_string()),
        };
        let way = Way {
            guard: None,
            step: Step::Get(history::cell(&seen)),
        };
        self.clients.saw.insert(request, (key.to_vec(), way));
    }

    /// All is done and at rest: whoever read any key at any node now would see what clients were told
    /// of, and so it goes into their history.
    pub(super) fn read_everything(&mut self) {
        let honest = |host: &&Host<S::Machine>| self.system.honest(host.id);
        let lives = self.hosts.iter().filter(honest);
        let lives = lives.filter_map(|host| host.life.as_ref());
        let states: Vec<_> = lives.map(|life| life.executor.state()).collect();
        for (state, key) in states
            .iter()
            .flat_map(|it| all_keys().map(move |key| (it, key)))
        {
            let reader = StateReader::new(state.clone(), *self.system.limits());
            let Ok(range) = reader.range(&Span::only(key.clone()), 1, 0) else {
                continue;
            };
            let operation = self.clients.name().0;
            let way = Way {
                guard: None,
                step: Step::Get(history::cell(&range.pairs)),
            };
            self.see(Seen::Called {
                operation,
                on: vec![(key.to_vec(), vec![])],
            });
            self.see(Seen::Returned {
                operation,
                told: vec![(key.to_vec(), way)],
            });
        }
    }

    /// How things stand.
    pub(super) fn standing(&mut self) -> Standing {
        let (waiting, oldest) = self.clients.waiting();
        let ids = self
            .hosts
            .iter()
            .filter(|h| !h.retired && self.system.honest(h.id))
            .map(|h| h.id)
            .collect::<Vec<_>>();
        let up = |id: &NodeId| self.hosts[id.index()].life.is_some();
        let all_up = ids.iter().all(up);
        let nodes: Vec<(NodeId, Report)> = ids
            .into_iter()
            .filter(up)
            .map(|id| (id, self.report(id)))
            .collect();
        if self.clients.done() && self.system.frames_at_rest(Time(0)).is_none() {
            let furthest = nodes.iter().map(|(_, it)| it.height).max();
            self.goal = self.goal.or(furthest);
        }
        Standing {
            waiting,
            oldest,
            rested: self.clients.rested,
            goal: self.goal,
            told: self.told,
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

/// Whether a transaction took effect, and so used up its number. Not asked of the program, which is judged
/// by it.
pub(super) const fn took_effect(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Done { .. } | Outcome::FutureRevision | Outcome::TooMuchRead
    )
}

fn receipt(it: &storage::Receipt) -> Receipt {
    let (outcome, replies) = match &it.outcome {
        Outcome::Done { succeeded, replies } => (format!("done: {succeeded}"), replies.as_ref()),
        other => (format!("{other:?}"), None),
    };
    Receipt {
        client: it.client,
        sequence: it.sequence,
        id: it.transaction,
        height: it.height,
        did: match (it.repeated, took_effect(&it.outcome)) {
            (true, _) => Did::Repeat,
            (false, true) => Did::Effect,
            (false, false) => Did::Nothing,
        },
        revision: it.revision,
        answer: format!("revision {} index {} {outcome}", it.revision, it.index),
        results: replies.map(|it| Results::new(format!("{it:?}"))),
    }
}
