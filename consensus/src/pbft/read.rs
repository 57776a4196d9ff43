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
use super::{Out, Pbft, rules};
use crate::{ReadId, Retry, Timing, To};
use crypto::{Height, NodeId, NodeSet, Reject, Time};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// Most reads that wait at once.
pub const MAX_READS: usize = 4096;
/// What a read waits for is told to all again after so many times the gap between promises.
const TELL_GAPS: u64 = 4;

/// Reads that arrived before a question was asked.
#[derive(Debug)]
struct Round {
    nonce: u64,
    reads: Vec<(ReadId, Time)>,
    answered: NodeSet,
    /// The highest answer.
    reached: Reached,
    resend_at: Time,
}

/// Reads whose slot is known.
#[derive(Debug)]
struct Placed {
    reads: Vec<(ReadId, Time)>,
    height: Height,
    reached: Reached,
    /// When to send the proof to all.
    tell_at: Time,
}

/// Waiting reads.
#[derive(Debug)]
pub struct Reads {
    timing: Timing,
    nonces: ChaCha12Rng,
    /// Arrived while a round was under way.
    waiting: Vec<(ReadId, Time)>,
    round: Option<Round>,
    placed: Vec<Placed>,
}

impl Reads {
    pub fn new(timing: Timing, seed: [u8; 32], now: Time) -> Self {
        let mut nonces = ChaCha12Rng::from_seed(seed);
        // A process started again at another time asks other questions.
        nonces.set_stream(now.0);
        Self {
            timing,
            nonces,
            waiting: Vec::new(),
            round: None,
            placed: Vec::new(),
        }
    }
    fn len(&self) -> usize {
        let round = self.round.as_ref().map_or(0, |round| round.reads.len());
        let placed = self.placed.iter().map(|placed| placed.reads.len());
        self.waiting.len() + round + placed.sum::<usize>()
    }
    /// Whether a read waits for a commit.
    pub fn needs_progress(&self) -> bool {
        !self.placed.is_empty()
    }
    /// A view was entered: what was answered in the one before may be orphaned.
    pub fn start_over(&mut self) {
        let placed = self.placed.drain(..).flat_map(|placed| placed.reads);
        let round = self.round.take().into_iter().flat_map(|it| it.reads);
        let mut reads: Vec<_> = placed.chain(round).collect();
        reads.append(&mut self.waiting);
        self.waiting = reads;
    }
    /// When to wake.
    pub fn deadline(&self) -> Option<Time> {
        let limit = self.timing.timeout_cap;
        let resend = self.round.as_ref().map(|round| round.resend_at);
        let tell = self.placed.iter().map(|placed| placed.tell_at);
        let waiting = self.waiting.first().into_iter();
        let asked = self.round.iter().filter_map(|round| round.reads.first());
        let placed = self.placed.iter().filter_map(|placed| placed.reads.first());
        let oldest = waiting.chain(asked).chain(placed);
        let expires = oldest.map(|(_, at)| at.plus(limit));
        expires.chain(resend).chain(tell).min()
    }
    /// Why reads wait.
    pub fn waiting(&self, quorum: usize) -> Option<String> {
        let round = self.round.as_ref()?;
        let (reads, answers) = (round.reads.len(), round.answered.len());
        Some(format!("{reads} reads: {answers} of {quorum} answers"))
    }
    /// Takes out what has waited for too long.
    fn expire(&mut self, now: Time) -> Vec<ReadId> {
        let limit = self.timing.timeout_cap;
        let mut late = Vec::new();
        let mut sift = |reads: &mut Vec<(ReadId, Time)>| {
            reads.retain(|(id, at)| {
                let keep = now < at.plus(limit);
                if !keep {
                    late.push(*id);
                }
                keep
            });
        };
        sift(&mut self.waiting);
        if let Some(round) = &mut self.round {
            sift(&mut round.reads);
        }
        for placed in &mut self.placed {
            sift(&mut placed.reads);
        }
        self.round.take_if(|round| round.reads.is_empty());
        self.placed.retain(|placed| !placed.reads.is_empty());
        late
    }
}

impl Pbft {
    pub(super) fn on_read(&mut self, now: Time, id: ReadId, out: &mut Out) {
        if self.reads.len() >= MAX_READS {
            return out.read(id, Err(Retry::Full));
        }
        self.reads.waiting.push((id, now));
    }

    /// The highest slot that may be committed, as far as this replica knows.
    fn reached(&self) -> Reached {
        let committed = self.log.last().cloned().map(Reached::Committed);
        let stable = self.log.stable().cloned().map(Reached::Stable);
        let opened = self.opened.as_deref();
        let counts =
            |it: &&std::sync::Arc<super::Prepared>| !rules::is_orphaned(&it.assigned, opened);
        let mut prepared = self
            .log
            .slots()
            .rev()
            .filter_map(|(_, it)| it.prepared.as_ref());
        let prepared = prepared.find(counts).cloned().map(Reached::Prepared);
        let all = [prepared, stable, committed].into_iter().flatten();
        all.max_by_key(Reached::height).unwrap_or(Reached::Nothing)
    }

    /// Asks on behalf of all reads that wait.
    fn start_round(&mut self, now: Time, out: &mut Out) {
        let nonce = self.reads.nonces.next_u64();
        self.reads.round = Some(Round {
            nonce,
            reads: std::mem::take(&mut self.reads.waiting),
            answered: [self.me()].into_iter().collect(),
            reached: self.reached(),
            resend_at: now.plus(self.reads.timing.resend),
        });
        self.ask_round(nonce, out);
    }
    fn ask_round(&self, nonce: u64, out: &mut Out) {
        let epoch = self.config.context.epoch;
        let ask = ReadAsk { epoch, nonce };
        out.send(To::Others, Draft(Message::ReadAsk(ask)));
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
        let expected = self.reads.round.as_ref().map(|round| round.nonce);
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
        loop {
            let complete = |round: &mut Round| round.answered.len() >= quorum;
            if let Some(round) = self.reads.round.take_if(complete) {
                // What the view carries over may be committed as well.
                let height = round.reached.height().max(self.reach());
                self.reads.placed.push(Placed {
                    reads: round.reads,
                    height,
                    reached: round.reached,
                    tell_at: now,
                });
            }
            if self.reads.round.is_some() || self.reads.waiting.is_empty() {
                break;
            }
            self.start_round(now, out);
        }
        let resend = self.reads.timing.resend;
        let round = self.reads.round.as_mut();
        if let Some(round) = round.filter(|round| round.resend_at <= now) {
            round.resend_at = now.plus(resend);
            let nonce = round.nonce;
            self.ask_round(nonce, out);
        }
        self.finish_placed(now, out);
    }

    fn finish_placed(&mut self, now: Time, out: &mut Out) {
        let committed = self.log.committed();
        let gap = Time(self.reads.timing.resend.0.saturating_mul(TELL_GAPS).max(1));
        for mut placed in std::mem::take(&mut self.reads.placed) {
            if placed.height <= committed {
                for (id, _) in placed.reads {
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
