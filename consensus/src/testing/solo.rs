//! One replica without a shell, to be fed by hand.

use super::batches::{digest, numbers, payload};
use super::{Members, Subject};
use crate::replica::StableCheckpoint;
use crate::{
    Anchor, Committed, Draft as _, Evidence, Input, Loaded, Message as _, Output, Outputs, ReadId,
    Record as _, RecordKey, Retry, Selection, To, Token,
};
use crypto::*;
use std::collections::VecDeque;
use std::sync::Arc;

/// A replica. Its disk is as fast as can be, own messages come back at once, and payload is held
/// unless it is withheld.
pub struct Solo<P: Subject> {
    pub craft: Members<P>,
    pub me: u16,
    pub replica: P,
    pub now: Time,
    /// Everything it put out, own messages included.
    pub sent: Vec<(To, P::Said)>,
    /// What its disk holds.
    pub records: Vec<P::Record>,
    /// The newest stable checkpoint that it was shown.
    pub stable: Option<Arc<StableCheckpoint>>,
    /// Of each commit, whether it counts for the leader.
    pub by_leader: Vec<bool>,
    pub commits: Vec<Committed<P::Proof>>,
    pub rejects: Vec<Reject>,
    pub evidence: Vec<Evidence>,
    pub returned: Vec<Payload>,
    pub reads: Vec<(ReadId, Result<Height, Retry>)>,
    pub leaders: Vec<u16>,
    /// Digests of what its payload is never held of.
    pub withheld: Vec<Digest>,
    pub dropped: Vec<Digest>,
    /// Batches that wait to be ordered; what is committed leaves.
    pub pool: Vec<u64>,
    /// What waits for the disk leaves by [`Solo::sync`].
    pub slow: bool,
    held: VecDeque<(To, P::Message)>,
    /// Questions to the store are answered by [`Solo::load`].
    pub slow_loads: bool,
    pub loads: Vec<(Token, Selection)>,
    /// The store answers with the row that reaches so many bytes as the last.
    pub load_bytes: usize,
}

impl<P: Subject> Solo<P> {
    pub fn new(craft: Members<P>, me: u16) -> Self {
        let anchor = craft.anchor();
        Self::recover(craft, me, Time(0), anchor, Vec::new())
    }
    pub fn recover(
        craft: Members<P>,
        me: u16,
        now: Time,
        anchor: Anchor<P::Proof>,
        records: Vec<P::Record>,
    ) -> Self {
        let given = records.clone();
        Self::recover_with(craft, me, now, anchor, (given, records), None)
    }
    /// The same, where a start is given some of the records that the disk holds; the rest it may
    /// load. `first`: what the shell says before anything leaves.
    pub fn recover_with(
        craft: Members<P>,
        me: u16,
        now: Time,
        anchor: Anchor<P::Proof>,
        (given, records): (Vec<P::Record>, Vec<P::Record>),
        first: Option<Input<P>>,
    ) -> Self {
        let mut out = Outputs::default();
        let mut replica = P::recover(craft.config(me), now, anchor, given, &mut out);
        if let Some(first) = first {
            replica.step(now, first, &mut out);
        }
        let mut solo = Self {
            craft,
            me,
            replica,
            now,
            sent: Vec::new(),
            records,
            stable: None,
            by_leader: Vec::new(),
            commits: Vec::new(),
            rejects: Vec::new(),
            evidence: Vec::new(),
            returned: Vec::new(),
            reads: Vec::new(),
            leaders: Vec::new(),
            withheld: Vec::new(),
            dropped: Vec::new(),
            pool: Vec::new(),
            slow: false,
            held: VecDeque::new(),
            slow_loads: false,
            loads: Vec::new(),
            load_bytes: usize::MAX,
        };
        solo.take(out);
        solo
    }
    /// Stops, and starts again with what the disk holds.
    pub fn restart(self) -> Self {
        let anchor = self.craft.anchor();
        Self::recover(self.craft, self.me, self.now, anchor, self.records)
    }

    // ---- what a test does ----

    pub fn input(&mut self, input: Input<P>) {
        let mut out = Outputs::default();
        self.replica.step(self.now, input, &mut out);
        self.take(out);
    }
    /// Delivers what has to pass its check.
    pub fn deliver(&mut self, from: u16, said: P::Said) {
        self.try_deliver(from, P::message(said)).unwrap();
    }
    pub fn try_deliver(&mut self, from: u16, message: P::Message) -> Result<(), Reject> {
        let from = NodeId(from);
        let message = Verified::new(from, message, &self.craft.verifier)?;
        self.input(Input::Message { from, message });
        Ok(())
    }
    pub fn tick_at(&mut self, now: Time) {
        self.now = now;
        self.input(Input::Tick);
    }
    /// Lets time pass, with every wake it asks for.
    pub fn pass(&mut self, span: Time) {
        let end = self.now.plus(span);
        let mut wakes = 0;
        while let Some(at) = self.replica.deadline().filter(|at| *at <= end) {
            wakes += 1;
            assert!(wakes < 10_000, "it spins at {at:?}");
            self.tick_at(at.max(self.now));
        }
        self.now = end;
    }
    /// Finishes what the disk has to do.
    pub fn sync(&mut self) {
        let mut next = Vec::new();
        for (to, message) in std::mem::take(&mut self.held) {
            self.transmit(to, message, &mut next);
        }
        next.into_iter().for_each(|input| self.input(input));
    }
    /// Answers the last question to the store.
    pub fn load(&mut self) {
        let (token, which) = self.loads.pop().expect("it asked");
        let loaded = self.loaded(token, &which);
        self.input(loaded);
    }
    pub fn heights(&self) -> Vec<u64> {
        self.commits.iter().map(|it| it.height.0).collect()
    }

    // ---- what it asks for ----

    fn take(&mut self, out: Outputs<P>) {
        let mut next = Vec::new();
        for output in out.0 {
            match output {
                Output::Persist(record) => {
                    self.records.retain(|old| old.key() != record.key());
                    self.records.push(record);
                }
                Output::Stable(stable) => self.stable = Some(stable),
                Output::Truncate(from) => self.keep(|height| height < from),
                Output::Forget(below) => self.keep(|height| height >= below),
                Output::Send(to, draft) => self.send(to, draft, &mut next),
                Output::Commit {
                    committed,
                    by_leader,
                } => {
                    self.by_leader.push(by_leader);
                    self.commit(committed, &mut next);
                }
                Output::WantPayload {
                    ticket, exclude, ..
                } => {
                    let free = |it: &u64| !exclude.contains(&digest::<P>(*it));
                    let payload = payload::<P>(self.pool.iter().copied().filter(free));
                    next.push(Input::Payload { ticket, payload });
                }
                Output::CheckPayload { block, .. } => {
                    assert!(!P::INLINE, "what is inline is held");
                    if !self.withheld.contains(&block) {
                        let held = Ok(());
                        next.push(Input::Checked { block, held });
                    }
                }
                Output::DropCheck(block) => self.dropped.push(block),
                Output::Return(payload) => self.returned.push(payload),
                Output::Load { token, which } if self.slow_loads => {
                    self.loads.push((token, which));
                }
                Output::Load { token, which } => next.push(self.loaded(token, &which)),
                Output::Read(id, at) => self.reads.push((id, at)),
                Output::Evidence(evidence) => self.evidence.push(evidence),
                Output::Reject(_, reject) => self.rejects.push(reject),
                Output::Leader(leader) => self.leaders.push(leader.0),
                Output::Checkpoint(_) | Output::Behind { .. } => {}
            }
        }
        next.into_iter().for_each(|input| self.input(input));
    }
    fn keep(&mut self, wanted: impl Fn(Height) -> bool) {
        self.records
            .retain(|old| !matches!(old.key(), RecordKey::At(height, _) if !wanted(height)));
    }
    fn send(&mut self, to: To, draft: P::Draft, next: &mut Vec<Input<P>>) {
        let statement = draft.statement();
        let signature = statement.map(|it| self.craft.sign(self.me, &it));
        let message = draft.seal(signature);
        if self.slow && (statement.is_some() || !message.may_overtake()) {
            self.held.push_back((to, message));
        } else {
            self.transmit(to, message, next);
        }
    }
    fn transmit(&mut self, to: To, message: P::Message, next: &mut Vec<Input<P>>) {
        let from = NodeId(self.me);
        Verified::new(from, message.clone(), &self.craft.verifier).expect("own ones are in order");
        if matches!(to, To::All | To::Me) || to == To::One(from) {
            let message = Verified::own(message.clone(), &self.craft.signer(self.me));
            next.push(Input::Message { from, message });
        }
        self.sent.push((to, P::said(message)));
    }
    fn commit(&mut self, committed: Committed<P::Proof>, next: &mut Vec<Input<P>>) {
        P::check_proof(&committed, &self.craft.verifier).unwrap();
        let waiting = self.pool.len();
        let ordered = numbers(&committed.payload);
        self.pool.retain(|number| !ordered.contains(number));
        if self.pool.len() < waiting {
            let oldest = (!self.pool.is_empty()).then_some(self.now);
            next.push(Input::Pending { oldest });
        }
        self.commits.push(committed);
    }
    fn loaded(&self, token: Token, which: &Selection) -> Input<P> {
        let at = |it: &&P::Record| which.contains(&it.key());
        let mut records: Vec<P::Record> = self.records.iter().filter(at).cloned().collect();
        records.sort_by_key(crate::Record::key);
        let mut bytes = 0usize;
        let fits = |it: &P::Record| {
            let room = bytes < self.load_bytes;
            bytes = bytes.saturating_add(codec::encode(it).len());
            room
        };
        let records = records.into_iter().take_while(fits).collect();
        Input::Loaded(Loaded { token, records })
    }
}
