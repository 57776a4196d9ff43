//! Certificates and messages made by hand, and what tests ask of a replica of PBFT.

use super::super::certificate::phase_statement;
use super::super::message::{Change, Low};
use super::super::message::{PrePrepare, Vote};
use super::super::record::AcceptedRecord;
use super::super::{
    Assigned, CommitCertificate, Message, NewView, Pbft, Prepared, Record, ViewChange, rules, slot,
};
use crate::replica::{Checkpoint, StableCheckpoint};
use crate::testing::{Image, Members, Subject, batches};
use crate::{Input, LeaderSchedule, Message as _, To};
use crypto::*;
use std::num::NonZeroU64;
use std::sync::Arc;

pub type Craft = Members<Pbft>;
pub type Solo = crate::testing::Solo<Pbft>;

/// How far apart checkpoints are in these tests.
pub const EVERY: u64 = 8;

impl Subject for Pbft {
    const FAULTS: FaultModel = FaultModel::Byzantine;
    const INLINE: bool = false;
    const CHECKPOINTS: NonZeroU64 = NonZeroU64::new(EVERY).unwrap();
    type Said = Message;

    fn said(message: Message) -> Message {
        message
    }
    fn message(said: Message) -> Message {
        said
    }
    /// What must be durable before it leaves.
    fn judge_sent(from: u16, message: &Message, disk: &Image<Self>) {
        let durable = match message {
            Message::PrePrepare(it) => disk.holds(|record| {
                matches!(record, Record::Accepted(stored) if stored.payload == it.payload
                    && stored.height == it.height)
            }),
            Message::Prepare(vote) => disk.holds(|record| {
                matches!(record, Record::Accepted(it) if it.height == vote.assigned.height
                    && slot::content(&it.payload) == vote.assigned.digest)
            }),
            Message::Commit(vote) => disk.holds(|record| {
                matches!(record, Record::Prepared(it) if it.assigned.height == vote.assigned.height
                    && it.assigned.view >= vote.assigned.view)
            }),
            Message::ViewChange(it) => disk.holds(|record| {
                matches!(record, Record::ViewChange(own) if own.change.view >= it.change.view)
            }),
            _ => true,
        };
        assert!(
            durable,
            "node {from} sends before it is durable: {message:?}"
        );
    }
}

impl Craft {
    pub fn new(n: u16) -> Self {
        Self::led(n, LeaderSchedule::RoundRobin { tenure: 1 })
    }
    pub fn primary(&self, view: u64) -> u16 {
        rules::primary(&self.leaders, View(view), self.n() as usize).0
    }
    /// The first q members.
    pub fn first(&self) -> Vec<u16> {
        (0..self.quorum() as u16).collect()
    }
    /// A quorum with this member in it, and the highest others.
    pub fn quorum_with(&self, member: u16) -> Vec<u16> {
        let others = (0..self.n()).rev().filter(|it| *it != member);
        let mut all: Vec<u16> = others.take(self.quorum() - 1).chain([member]).collect();
        all.sort_unstable();
        all
    }
    pub fn assigned(&self, view: u64, height: u64, payload: &Payload) -> Assigned {
        Assigned {
            height: Height(height),
            view: View(view),
            digest: slot::content(payload),
        }
    }
    /// The primary's pre-prepare.
    pub fn pre_prepare(&self, view: u64, height: u64, payload: &Payload) -> Message {
        self.pre_prepare_by(self.primary(view), view, height, payload)
    }
    pub fn pre_prepare_by(
        &self,
        author: u16,
        view: u64,
        height: u64,
        payload: &Payload,
    ) -> Message {
        let mut it = PrePrepare {
            epoch: Epoch(0),
            view: View(view),
            height: Height(height),
            payload: Arc::new(payload.clone()),
            author: NodeId(author),
            signature: Signature::NONE,
        };
        it.signature = self.sign(author, &it.statement());
        Message::PrePrepare(it)
    }
    fn vote(&self, kind: Kind, node: u16, assigned: Assigned) -> Vote {
        let epoch = Epoch(0);
        let signature = self.sign(node, &phase_statement(kind, epoch, &assigned));
        Vote {
            epoch,
            assigned,
            author: NodeId(node),
            signature,
        }
    }
    pub fn prepare(&self, node: u16, assigned: Assigned) -> Message {
        Message::Prepare(self.vote(Kind::Prepare, node, assigned))
    }
    pub fn commit(&self, node: u16, assigned: Assigned) -> Message {
        Message::Commit(self.vote(Kind::Commit, node, assigned))
    }
    /// Prepared by these members, the primary of the view among them.
    pub fn prepared_by(&self, assigned: Assigned, signers: &[u16]) -> Arc<Prepared> {
        let primary = self.primary(assigned.view.0);
        let signed = signers.iter().map(|node| {
            let kind = if *node == primary {
                Kind::PrePrepare
            } else {
                Kind::Prepare
            };
            (NodeId(*node), self.vote(kind, *node, assigned).signature)
        });
        Arc::new(Prepared {
            assigned,
            primary: NodeId(primary),
            certificate: Certificate::collect(signed),
        })
    }
    pub fn prepared(&self, assigned: Assigned) -> Arc<Prepared> {
        let signers = self.quorum_with(self.primary(assigned.view.0));
        self.prepared_by(assigned, &signers)
    }
    /// Prepared in a view, with a payload made from the number.
    pub fn prepared_at(&self, view: u64, height: u64, number: u64) -> Arc<Prepared> {
        self.prepared(self.assigned(view, height, &payload(number)))
    }
    pub fn committed(&self, assigned: Assigned) -> Arc<CommitCertificate> {
        let signed = self.first().into_iter().map(|node| {
            let vote = self.vote(Kind::Commit, node, assigned);
            (NodeId(node), vote.signature)
        });
        Arc::new(CommitCertificate {
            assigned,
            certificate: Certificate::collect(signed),
        })
    }
    pub fn stable(&self, height: u64) -> Arc<StableCheckpoint> {
        let mut stable = StableCheckpoint {
            height: Height(height),
            history: Hasher::new("test/history").number(height).finish(),
            state: Hasher::new("test/state").number(height).finish(),
            certificate: Certificate::default(),
        };
        let statement = Checkpoint {
            node: NodeId(0),
            height: stable.height,
            history: stable.history,
            state: stable.state,
            signature: Signature::NONE,
        }
        .statement(&self.verifier.context);
        let signed = self.first().into_iter();
        let signed = signed.map(|node| (NodeId(node), self.sign(node, &statement)));
        stable.certificate = Certificate::collect(signed);
        Arc::new(stable)
    }
    /// A view change with these certificates above this checkpoint (0: the beginning).
    pub fn change(&self, node: u16, view: u64, low: u64, prepared: &[Arc<Prepared>]) -> ViewChange {
        let checkpoint = (low > 0).then(|| self.stable(low));
        let mut change = Change {
            epoch: Epoch(0),
            view: View(view),
            low: Low::of(checkpoint.as_deref(), &self.verifier.context),
            prepared: prepared.iter().map(|it| it.assigned).collect(),
            author: NodeId(node),
            signature: Signature::NONE,
        };
        change.signature = self.sign(node, &change.statement());
        ViewChange {
            change,
            checkpoint,
            prepared: prepared.to_vec(),
        }
    }
    pub fn view_change(
        &self,
        node: u16,
        view: u64,
        low: u64,
        prepared: &[Arc<Prepared>],
    ) -> Message {
        Message::ViewChange(Box::new(self.change(node, view, low, prepared)))
    }
    /// A view opened by its primary with these view changes.
    pub fn new_view(&self, view: u64, changes: &[ViewChange]) -> NewView {
        let said: Vec<&Change> = changes.iter().map(|it| &it.change).collect();
        self.new_view_with(view, changes, rules::carried_over(&said))
    }
    pub fn new_view_with(&self, view: u64, changes: &[ViewChange], slots: Vec<Digest>) -> NewView {
        let author = self.primary(view);
        let all: Vec<&ViewChange> = changes.iter().collect();
        let mut it = NewView::collect(Epoch(0), View(view), NodeId(author), &all, slots);
        it.signature = self.sign(author, &it.statement());
        it
    }
    /// A view opened by view changes of the first q, who have all prepared the same.
    pub fn opened(&self, view: u64, low: u64, prepared: &[Arc<Prepared>]) -> Arc<NewView> {
        let nodes = self.first().into_iter();
        let changes: Vec<_> = nodes
            .map(|node| self.change(node, view, low, prepared))
            .collect();
        Arc::new(self.new_view(view, &changes))
    }
}

pub fn payload(number: u64) -> Payload {
    batches::payload::<Pbft>([number])
}

impl Solo {
    /// A replica that was told where checkpoints are, as the shell does it.
    pub fn start(n: u16, me: u16) -> Self {
        let mut solo = Self::new(Craft::new(n), me);
        solo.checkpoint(None);
        solo
    }
    pub fn checkpoint(&mut self, stable: Option<Arc<StableCheckpoint>>) {
        let every = Pbft::CHECKPOINTS;
        self.input(Input::Checkpoint { every, stable });
    }
    /// Starts again, from the height that was committed last, with what lies from there up; the
    /// rest it can read.
    pub fn start_again(self) -> Self {
        let mut anchor = self.craft.anchor();
        if let Some(last) = self.commits.last() {
            anchor.height = last.height;
            anchor.history = last.history;
            anchor.proof = Some(last.proof.clone());
        }
        let (all, stable) = (self.records, self.stable);
        let wanted = |it: &&super::super::Record| match crate::Record::key(*it) {
            crate::RecordKey::Latest(_) => true,
            crate::RecordKey::At(height, _) => height >= anchor.height,
        };
        let given = all.iter().filter(wanted).cloned().collect();
        let every = Pbft::CHECKPOINTS;
        let checkpoint = Input::Checkpoint {
            every,
            stable: stable.clone(),
        };
        let records = (given, all);
        let mut solo = Self::recover_with(
            self.craft,
            self.me,
            self.now,
            anchor,
            records,
            Some(checkpoint),
        );
        solo.stable = stable;
        solo
    }
    /// The pre-prepare of the primary.
    pub fn pre_prepare(&mut self, view: u64, height: u64, payload: &Payload) -> Assigned {
        let message = self.craft.pre_prepare(view, height, payload);
        self.deliver(self.craft.primary(view), message);
        self.craft.assigned(view, height, payload)
    }
    /// Prepares of others, the primary not among them, until so many have spoken in all.
    pub fn prepares(&mut self, assigned: Assigned, others: usize) {
        let primary = self.craft.primary(assigned.view.0);
        let nodes = (0..self.craft.n()).filter(|node| *node != primary && *node != self.me);
        for node in nodes.take(others).collect::<Vec<_>>() {
            let message = self.craft.prepare(node, assigned);
            self.deliver(node, message);
        }
    }
    /// Commits of so many others.
    pub fn commits(&mut self, assigned: Assigned, others: usize) {
        let nodes = (0..self.craft.n()).filter(|node| *node != self.me);
        for node in nodes.take(others).collect::<Vec<_>>() {
            let message = self.craft.commit(node, assigned);
            self.deliver(node, message);
        }
    }
    /// A slot from pre-prepare to commit, in a view where another leads.
    pub fn order(&mut self, view: u64, height: u64, number: u64) {
        let assigned = self.pre_prepare(view, height, &payload(number));
        let others = self.craft.quorum() - 2;
        self.prepares(assigned, others);
        self.commits(assigned, self.craft.quorum() - 1);
        assert_eq!(self.replica.log.committed(), Height(height));
    }
    /// A message to all of this name, by height or view, in order.
    /// Gives a slot payloads of many views, more than the store answers with.
    pub fn fill(&mut self, height: u64) {
        let lost = (100..164).map(|number| {
            Record::Accepted(AcceptedRecord {
                view: View(number),
                height: Height(height),
                payload: Arc::new(payload(number)),
                signature: Signature::NONE,
            })
        });
        self.records.extend(lost);
        self.load_bytes = 1_000;
    }
    pub fn said(&self, name: &str) -> Vec<(u64, u64)> {
        let to_all = self
            .sent
            .iter()
            .filter(|(to, it)| *to == To::All && it.name() == name);
        let place = |it: &Message| match it {
            Message::ViewChange(it) => (it.change.view.0, 0),
            Message::NewView(it) => (it.view.0, 0),
            other => other
                .position()
                .map_or((0, 0), |(view, height)| (view.0, height.0)),
        };
        to_all.map(|(_, it)| place(it)).collect()
    }
    pub fn view(&self) -> u64 {
        self.replica.view.0
    }
    pub fn wanted(&self) -> u64 {
        self.replica.changes.wanted().0
    }
    /// Work waits.
    pub fn work(&mut self) {
        let oldest = Some(self.now);
        self.input(Input::Pending { oldest });
    }
    /// The last view change that it has sent.
    pub fn last_change(&self) -> ViewChange {
        let change = self.sent.iter().rev().find_map(|(_, it)| match it {
            Message::ViewChange(it) => Some((**it).clone()),
            _ => None,
        });
        change.expect("it asked for a view")
    }
    /// How many others want a view above this one, as far as it has heard.
    pub fn others_who_want_more_than(&self, view: u64) -> usize {
        let changes = &self.replica.changes;
        changes.others_who_want_more_than(View(view), NodeId(self.me))
    }
}
