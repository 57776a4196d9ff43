//! The read barrier: linearizable reads at any replica, without ordering them.
//!
//! After a read arrived, q members (this one included) tell their high certificates. Any committed
//! block had q votes above it, so one of those asked is honest and knows a certificate whose chain
//! holds it; the highest certificate C extends that one. The read waits until the highest block
//! with payload at or below C's is committed here.

use super::message::{CertificatePair, Draft, Message, ReadAnswer, ReadAsk};
use super::{HotStuff, Out, QuorumCertificate};
use crate::common::reads::{MAX_READS, Nonces, Question, Readers};
use crate::{ReadId, Retry, Timing, To};
use crypto::{Height, NodeId, NodeSet, Reject, Time};
use std::sync::Arc;

/// A question to all, and who has answered it.
#[derive(Debug)]
struct Round {
    question: Question<ReadId>,
    answered: NodeSet,
}

/// Reads whose certificate is known.
#[derive(Debug)]
struct Placed {
    readers: Readers<ReadId>,
    certificate: Arc<QuorumCertificate>,
    /// Whether the certificate was sent to all.
    told: bool,
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
    /// When to wake.
    pub fn deadline(&self) -> Option<Time> {
        let limit = self.timing.timeout_cap;
        let expiry = self.all().filter_map(|it| it.expiry(limit)).min();
        let resend = self.round.as_ref().map(|it| it.question.resend_at());
        expiry.into_iter().chain(resend).min()
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

impl HotStuff {
    pub(super) fn on_read(&mut self, now: Time, id: ReadId, out: &mut Out) {
        if self.reads.len() >= MAX_READS {
            return out.read(id, Err(Retry::Full));
        }
        self.reads.waiting.push(id, now);
    }

    /// Asks on behalf of all reads that wait, or again.
    fn ask_reads(&mut self, now: Time, out: &mut Out) {
        let (me, epoch, reads) = (self.me(), self.config.context.epoch, &mut self.reads);
        if reads.round.is_none() && !reads.waiting.is_empty() {
            let nonce = reads.nonces.draw();
            reads.round = Some(Round {
                question: Question::new(nonce, reads.waiting.take(), now),
                answered: [me].into_iter().collect(),
            });
        }
        let resend = reads.timing.resend;
        if let Some(Round { question, .. }) = &mut reads.round
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
                high: Arc::clone(&self.high),
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
        self.adopt(now, &answer.high, Some(from), out);
        match &mut self.reads.round {
            Some(round) if round.question.nonce == answer.nonce => {
                round.answered.insert(from);
            }
            _ => out.reject(from, Reject::Duplicate),
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
                // Every answer was adopted: the own high certificate is the highest of them.
                self.reads.placed.push(Placed {
                    readers: round.question.readers,
                    certificate: Arc::clone(&self.high),
                    told: false,
                });
            }
            self.ask_reads(now, out);
            if !self.reads.round.as_ref().is_some_and(answered) {
                break;
            }
        }
        self.finish_placed(out);
    }

    fn finish_placed(&mut self, out: &mut Out) {
        for mut placed in std::mem::take(&mut self.reads.placed) {
            match self.read_height(&mut placed.certificate) {
                Some(height) if height <= self.log.committed() => {
                    for id in placed.readers {
                        out.read(id, Ok(height));
                    }
                }
                reached => {
                    // All adopt it, which makes an idle cluster commit what is below it.
                    if reached.is_some() && !placed.told {
                        placed.told = true;
                        let quorum = Arc::clone(&placed.certificate);
                        let pair = CertificatePair {
                            quorum,
                            timeout: None,
                        };
                        out.send(To::Others, Draft(Message::Certificate(pair)));
                    }
                    self.reads.placed.push(placed);
                }
            }
        }
    }

    /// The height that has to be committed before a read behind `certificate` is answered; `None`
    /// while blocks are missing. Should a higher certificate's chain have left it out, that one's
    /// counts from now on.
    fn read_height(&self, certificate: &mut Arc<QuorumCertificate>) -> Option<Height> {
        let root = self.log.root();
        if certificate.view <= root.view {
            return Some(root.height);
        }
        if self.high.view > certificate.view
            && let Some(chain) = self.log.chain(&self.high.block)
            && !chain
                .iter()
                .any(|entry| entry.block.header.parent == certificate.block)
        {
            *certificate = Arc::clone(&self.high);
        }
        self.log.chain(&certificate.block)?;
        Some(
            self.log
                .highest_payload(&certificate.block)
                .unwrap_or(root.height),
        )
    }
}
