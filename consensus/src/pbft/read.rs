//! The read barrier: linearizable reads at any replica, without ordering them.
//!
//! After a read arrived, q members (this one included) tell the highest slot that may be committed as
//! far as they know: prepared, in whatever view, committed, or below a stable checkpoint. Any
//! committed slot was prepared by q before, who keep the certificate until a newer one of its slot or
//! a stable checkpoint above replaces it; so one of those asked is honest and names this slot or a
//! higher one. The read waits until the highest slot named is committed here.
//!
//! A prepared certificate may never lead to a commit: a new view that carries no slot so high over has
//! *orphaned* it. Whoever is in that view does not name it any more, and the asker, once it is, counts
//! no answer that does. Since what else the answer's sender has prepared is not told, all reads that
//! wait ask again when a view is entered.

use super::message::{Draft, Message, Reached, ReadAnswer, ReadAsk};
use super::{Out, Pbft, Prepared, rules};
use crate::common::reads::{MAX_READS, Nonces, Question, Readers};
use crate::{ReadId, Retry, Timing, To};
use crypto::{Height, NodeId, NodeSet, Reject, Time};
use std::sync::Arc;

/// What a read waits for is told to all again after so many times the gap between promises.
const TELL_GAPS: u64 = 4;

/// A question to all, who has answered it, and the highest answer.
#[derive(Debug)]
struct Round {
    question: Question<ReadId>,
    answered: NodeSet,
    reached: Reached,
}

/// Reads whose slot is known.
#[derive(Debug)]
struct Placed {
    readers: Readers<ReadId>,
    height: Height,
    reached: Reached,
    /// When to send the proof to all.
    tell_at: Time,
}

/// Waiting reads.
#[derive(Debug)]
pub struct Reads {
    timing: Timing,
    nonces: Nonces,
    /// Arrived while a round was under way.
    waiting: Readers<ReadId>,
    round: Option<Round>,
    placed: Vec<Placed>,
}

impl Reads {
    pub fn new(timing: Timing, seed: [u8; 32], now: Time) -> Self {
        Self {
            timing,
            nonces: Nonces::new(seed, now),
            waiting: Readers::default(),
            round: None,
            placed: Vec::new(),
        }
    }
    fn all(&self) -> impl Iterator<Item = &Readers<ReadId>> {
        let round = self.round.iter().map(|it| &it.question.readers);
        let placed = self.placed.iter().map(|it| &it.readers);
        round.chain(placed).chain([&self.waiting])
    }
    fn len(&self) -> usize {
        self.all().map(Readers::len).sum()
    }
    /// Whether a read waits for a commit.
    pub fn needs_progress(&self) -> bool {
        !self.placed.is_empty()
    }
    /// A view was entered: what was answered in the one before may be orphaned.
    pub fn start_over(&mut self) {
        for placed in self.placed.drain(..) {
            self.waiting.append(placed.readers);
        }
        if let Some(round) = self.round.take() {
            self.waiting.append(round.question.readers);
        }
    }
    /// When to wake.
    pub fn deadline(&self) -> Option<Time> {
        let limit = self.timing.timeout_cap;
        let expiry = self.all().filter_map(|it| it.expiry(limit)).min();
        let resend = self.round.as_ref().map(|it| it.question.resend_at());
        let tell = self.placed.iter().map(|it| it.tell_at);
        expiry.into_iter().chain(resend).chain(tell).min()
    }
    /// Why reads wait.
    pub fn waiting(&self, quorum: usize) -> Option<String> {
        let round = self.round.as_ref()?;
        let (reads, answers) = (round.question.readers.len(), round.answered.len());
        Some(format!("{reads} reads: {answers} of {quorum} answers"))
    }
    /// Takes out what has waited for too long.
    fn expire(&mut self, now: Time) -> Vec<ReadId> {
        let round = self.round.iter_mut().map(|it| &mut it.question.readers);
        let placed = self.placed.iter_mut().map(|it| &mut it.readers);
        let mut late = Vec::new();
        for readers in round.chain(placed).chain([&mut self.waiting]) {
            readers.expire(now, self.timing.timeout_cap, &mut late);
        }
        self.round.take_if(|it| it.question.readers.is_empty());
        self.placed.retain(|it| !it.readers.is_empty());
        late
    }
}

impl Pbft {
    pub(super) fn on_read(&mut self, now: Time, id: ReadId, out: &mut Out) {
        if self.reads.len() >= MAX_READS {
            return out.read(id, Err(Retry::Full));
        }
        self.reads.waiting.push(id, now);
    }

    /// The highest slot that may be committed, as far as this replica knows.
    fn reached(&self) -> Reached {
        let committed = self.log.last().cloned().map(Reached::Committed);
        let stable = self.log.stable().cloned().map(Reached::Stable);
        let opened = self.opened.as_deref();
        let counts = |it: &&Arc<Prepared>| !rules::is_orphaned(&it.assigned, opened);
        let mut prepared = self
            .log
            .slots()
            .rev()
            .filter_map(|(_, it)| it.prepared.as_ref());
        let prepared = prepared.find(counts).cloned().map(Reached::Prepared);
        let all = [prepared, stable, committed].into_iter().flatten();
        all.max_by_key(Reached::height).unwrap_or(Reached::Nothing)
    }

    /// Asks on behalf of all reads that wait, or again.
    fn ask_reads(&mut self, now: Time, out: &mut Out) {
        let (me, epoch) = (self.me(), self.config.context.epoch);
        if self.reads.round.is_none() && !self.reads.waiting.is_empty() {
            let reached = self.reached();
            let reads = &mut self.reads;
            let nonce = reads.nonces.draw();
            reads.round = Some(Round {
                question: Question::new(nonce, reads.waiting.take(), now),
                answered: [me].into_iter().collect(),
                reached,
            });
        }
        let resend = self.reads.timing.resend;
        if let Some(Round { question, .. }) = &mut self.reads.round
            && question.is_due(now, resend)
        {
            let nonce = question.nonce;
            let ask = Message::ReadAsk(ReadAsk { epoch, nonce });
            out.send(To::Others, Draft(ask));
        }
    }

    pub(super) fn on_read_ask(&self, from: NodeId, ask: ReadAsk, out: &mut Out) {
        if from != self.me() {
            let answer = ReadAnswer {
                epoch: ask.epoch,
                nonce: ask.nonce,
                reached: self.reached(),
            };
            out.send(To::One(from), Draft(Message::ReadAnswer(answer)));
        }
    }

    pub(super) fn on_read_answer(
        &mut self,
        now: Time,
        from: NodeId,
        answer: &ReadAnswer,
        out: &mut Out,
    ) {
        let round = self.reads.round.as_ref();
        let expected = round.map(|round| round.question.nonce);
        if expected != Some(answer.nonce) {
            return out.reject(from, Reject::Duplicate);
        }
        if let Reached::Prepared(it) = &answer.reached {
            if !rules::is_by_primary(&self.config.leaders, self.n(), it) {
                return out.reject(from, Reject::NotLeader);
            }
            if rules::is_orphaned(&it.assigned, self.opened.as_deref()) {
                // Its sender is in an older view, or in a newer one, or lies: each learns or tells.
                self.answer_stale(now, from, out);
                return out.send(To::One(from), self.ask_progress());
            }
        }
        self.on_certificate(from, &answer.reached, out);
        if let Some(round) = &mut self.reads.round {
            round.answered.insert(from);
            if answer.reached.height() > round.reached.height() {
                round.reached = answer.reached.clone();
            }
        }
    }

    /// Moves reads on as far as they get.
    pub(super) fn answer_reads(&mut self, now: Time, out: &mut Out) {
        if self.reads.len() == 0 {
            return;
        }
        for id in self.reads.expire(now) {
            out.read(id, Err(Retry::NoQuorum));
        }
        let quorum = if crypto::planted!(ReadAlone) {
            1
        } else {
            self.quorum()
        };
        let answered = |round: &Round| round.answered.len() >= quorum;
        loop {
            if let Some(round) = self.reads.round.take_if(|round| answered(round)) {
                // What the view carries over may be committed as well.
                let height = round.reached.height().max(self.reach());
                self.reads.placed.push(Placed {
                    readers: round.question.readers,
                    height,
                    reached: round.reached,
                    tell_at: now,
                });
            }
            self.ask_reads(now, out);
            if !self.reads.round.as_ref().is_some_and(answered) {
                break;
            }
        }
        self.finish_placed(now, out);
    }

    fn finish_placed(&mut self, now: Time, out: &mut Out) {
        let committed = self.log.committed();
        let gap = Time(self.reads.timing.resend.0.saturating_mul(TELL_GAPS).max(1));
        for mut placed in std::mem::take(&mut self.reads.placed) {
            if placed.height <= committed {
                for id in placed.readers {
                    out.read(id, Ok(placed.height));
                }
                continue;
            }
            // All take note of it, which makes an idle cluster finish it.
            if placed.tell_at <= now {
                placed.tell_at = now.plus(gap);
                let proof = Message::Certificate(placed.reached.clone());
                out.send(To::Others, Draft(proof));
            }
            self.reads.placed.push(placed);
        }
    }
}
