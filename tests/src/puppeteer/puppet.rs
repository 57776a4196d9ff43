//! An honest member: the protocol as it is, without shell and engine. Its disk is as fast as can be,
//! own messages come back at once, payload is held. What a shell would add, the judge demands: that it
//! never makes two statements for one slot. Its checkpoints are in [`super::checkpoints`].

use super::Played;
use super::judge::Judge;
use super::troupe::{Troupe, payload};
use consensus::replica::StableCheckpoint;
use consensus::{Anchor, Committed, Draft as _, Input, Loaded, Output, Outputs, Record as _};
use consensus::{Config, RecordKey, Selection, To, Token};
use crypto::{Digest, Epoch, Height, NodeId, Payload, Signature, Statement, Time, Verified, View};
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::sync::Arc;

/// See the module.
pub struct Puppet<P: Played> {
    /// Who it is.
    pub me: NodeId,
    core: P,
    /// Empty; its room is used again.
    out: Outputs<P>,
    config: Config,
    inbox: VecDeque<Input<P>>,
    /// What it has said to others and nobody has listened to.
    pub sent: Vec<(To, P::Message)>,
    /// All that was ever stored, in order.
    records: Vec<P::Record>,
    last: Option<Committed<P::Proof>>,
    /// Numbers of the batches that wait here.
    pub pool: Vec<u64>,
    signed: Option<(Statement, Signature)>,
    /// How far checkpoints are apart.
    every: NonZeroU64,
    /// Heights and histories of the own checkpoints.
    pub marks: Vec<(Height, Digest)>,
    /// It wants to say its newest once more.
    pub again: bool,
    /// The newest that is stable, as the disk has it.
    stable: Option<Arc<StableCheckpoint>>,
    /// Steps taken.
    pub steps: u64,
}

impl<P: Played> Puppet<P> {
    /// At genesis; checkpoints are so far apart.
    #[must_use]
    pub fn new(config: Config, every: NonZeroU64, troupe: &Troupe, judge: &mut Judge<P>) -> Self {
        let start = (anchor(None), Vec::new(), checkpoint(every, None));
        let (core, out) = begin(config.clone(), Time(0), start);
        let mut puppet = Self {
            me: config.me,
            core,
            out: Outputs::default(),
            config,
            inbox: VecDeque::new(),
            sent: Vec::new(),
            records: Vec::new(),
            last: None,
            pool: Vec::new(),
            signed: None,
            every,
            marks: Vec::new(),
            again: false,
            stable: None,
            steps: 0,
        };
        puppet.take(out, troupe, judge);
        puppet.work_off(Time(0), troupe, judge);
        puppet
    }
    /// Stops, and starts again with what its disk holds.
    pub fn restart(&mut self, now: Time, troupe: &Troupe, judge: &mut Judge<P>) {
        judge.tell(|| format!("node {} starts again", self.me));
        let anchor = anchor(self.last.as_ref());
        let given = self.stored(|height| height >= anchor.height);
        self.inbox.clear();
        self.signed = None;
        let start = (anchor, given, checkpoint(self.every, self.stable.as_ref()));
        let (core, out) = begin(self.config.clone(), now, start);
        self.core = core;
        self.take(out, troupe, judge);
        self.work_off(now, troupe, judge);
    }
    /// The view that it is in, or wants.
    #[must_use]
    pub fn view(&self) -> u64 {
        let View(view) = self.core.view();
        view
    }
    /// What it has committed.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.last.as_ref().map_or(0, |it| it.height.0)
    }
    /// When to wake it.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.core.deadline()
    }
    /// What it knows to be stable.
    #[must_use]
    pub fn low(&self) -> u64 {
        self.stable.as_ref().map_or(0, |it| it.height.0)
    }
    /// How many of its checkpoints, 1 or none, it has to say again: the newest, until it is stable.
    #[must_use]
    pub fn unstable(&self) -> usize {
        let newest = self.marks.last().map_or(0, |(height, _)| height.0);
        usize::from(newest > self.low())
    }
    /// Why it waits, in words.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        self.core.status().waiting
    }

    /// One input, and what follows at once.
    pub fn input(&mut self, now: Time, input: Input<P>, troupe: &Troupe, judge: &mut Judge<P>) {
        self.inbox.push_back(input);
        self.work_off(now, troupe, judge);
    }
    /// Its shell has a stable checkpoint.
    pub fn stabilise(
        &mut self,
        now: Time,
        stable: &Arc<StableCheckpoint>,
        troupe: &Troupe,
        judge: &mut Judge<P>,
    ) {
        if stable.height.0 > self.low() {
            judge.tell(|| format!("node {}: height {} is stable", self.me, stable.height));
            self.stable = Some(Arc::clone(stable));
            self.input(now, checkpoint(self.every, Some(stable)), troupe, judge);
        }
    }
    fn work_off(&mut self, now: Time, troupe: &Troupe, judge: &mut Judge<P>) {
        while let Some(input) = self.inbox.pop_front() {
            let mut out = std::mem::take(&mut self.out);
            self.core.step(now, input, &mut out);
            self.steps += 1;
            self.take(out, troupe, judge);
        }
    }
    fn take(&mut self, mut out: Outputs<P>, troupe: &Troupe, judge: &mut Judge<P>) {
        for output in out.0.drain(..) {
            match output {
                Output::Persist(record) => {
                    P::recorded(self.me, &record, judge);
                    self.records.push(record);
                }
                Output::Send(to, draft) => self.send(to, draft, troupe, judge),
                Output::Commit { committed, .. } => self.commit(committed, judge),
                Output::WantPayload {
                    ticket, exclude, ..
                } => {
                    let payload = self.offer(&exclude);
                    self.inbox.push_back(Input::Payload { ticket, payload });
                }
                Output::CheckPayload { block, .. } => {
                    let held = Ok(());
                    self.inbox.push_back(Input::Checked { block, held });
                }
                Output::Load { token, which } => {
                    let loaded = self.load(token, &which);
                    self.inbox.push_back(Input::Loaded(loaded));
                }
                Output::Evidence(it) => judge.accused(self.me, &it, troupe),
                Output::Reject(from, reject) => {
                    judge.tell(|| format!("node {} refuses node {from}: {reject}", self.me));
                }
                Output::Checkpoint(_) => self.again = true,
                Output::Stable(it) if it.height.0 > self.low() => self.stable = Some(it),
                Output::Truncate(_)
                | Output::Forget(_)
                | Output::Stable(_)
                | Output::DropCheck(_)
                | Output::Return(_)
                | Output::Read(..)
                | Output::Behind { .. }
                | Output::Leader(_) => {}
            }
        }
        self.out = out;
    }
    fn send(&mut self, to: To, draft: P::Draft, troupe: &Troupe, judge: &mut Judge<P>) {
        let statement = draft.statement();
        let signature = statement.map(|statement| {
            let again = self.signed.filter(|(last, _)| *last == statement);
            let (_, signature) = again.unwrap_or_else(|| {
                judge.signs(self.me, &statement);
                (statement, troupe.sign(self.me.0, &statement))
            });
            self.signed = Some((statement, signature));
            signature
        });
        let message = draft.seal(signature);
        judge.tell(|| format!("node {} to {to:?}: {}", self.me, P::words(&message)));
        if matches!(to, To::All | To::Me) || to == To::One(self.me) {
            let message = Verified::own(message.clone(), &troupe.pass);
            let from = self.me;
            self.inbox.push_back(Input::Message { from, message });
        }
        if to != To::Me && to != To::One(self.me) {
            self.sent.push((to, message));
        }
    }
    fn commit(&mut self, committed: Committed<P::Proof>, judge: &mut Judge<P>) {
        judge.commits(self.me, self.height(), &committed);
        let waiting = self.pool.len();
        if let Payload::Refs(refs) = &committed.payload {
            self.pool
                .retain(|number| !refs.iter().any(|it| it.number == *number));
        }
        if self.pool.len() < waiting {
            let oldest = (!self.pool.is_empty()).then_some(Time(0));
            self.inbox.push_back(Input::Pending { oldest });
        }
        if committed.height.0.is_multiple_of(self.every.get()) {
            self.marks.push((committed.height, committed.history));
        }
        self.last = Some(committed);
    }
    /// The first batch that waits and is not under way.
    fn offer(&self, exclude: &[Digest]) -> Payload {
        let free = |number: &&u64| !exclude.contains(&super::troupe::batch(**number).digest);
        let first = self.pool.iter().find(free);
        first.map_or(Payload::EMPTY, |number| payload(*number))
    }
    fn load(&self, token: Token, which: &Selection) -> Loaded<P> {
        let mut records = self.stored(|_| true);
        records.retain(|record| which.contains(&record.key()));
        Loaded { token, records }
    }
    /// The records that the disk holds: the latest of each kind, and those at some heights.
    fn stored(&self, wanted: impl Fn(Height) -> bool) -> Vec<P::Record> {
        let mut stored: BTreeMap<RecordKey, &P::Record> = BTreeMap::new();
        for record in &self.records {
            let key = record.key();
            if !matches!(key, RecordKey::At(height, _) if !wanted(height)) {
                stored.insert(key, record);
            }
        }
        stored.into_values().cloned().collect()
    }
}

/// A start, and what the shell says before anything leaves.
fn begin<P: Played>(
    config: Config,
    now: Time,
    (anchor, given, checkpoint): (Anchor<P::Proof>, Vec<P::Record>, Input<P>),
) -> (P, Outputs<P>) {
    let mut out = Outputs::default();
    let mut core = P::recover(config, now, anchor, given, &mut out);
    core.step(now, checkpoint, &mut out);
    (core, out)
}

/// How a shell tells of checkpoints.
fn checkpoint<P: Played>(every: NonZeroU64, stable: Option<&Arc<StableCheckpoint>>) -> Input<P> {
    let stable = stable.cloned();
    Input::Checkpoint { every, stable }
}

/// Where a start begins.
fn anchor<Proof: Clone>(last: Option<&Committed<Proof>>) -> Anchor<Proof> {
    Anchor {
        epoch: Epoch(0),
        height: last.map_or(Height(0), |it| it.height),
        executed: last.map_or(Height(0), |it| it.height),
        history: last.map_or(Digest::ZERO, |it| it.history),
        state: Digest::ZERO,
        proof: last.map(|it| it.proof.clone()),
    }
}
