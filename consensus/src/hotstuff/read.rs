//! The read barrier: linearizable reads at any replica, without ordering them.
//!
//! After a read arrived, q members (this one included) tell their high certificates. Any committed
//! block had q votes above it, so one of those asked is honest and knows a certificate whose chain
//! holds it; the highest certificate C extends that one. The read waits until the highest block
//! with payload at or below C's is committed here.

use super::message::{CertificatePair, Draft, Message, ReadAnswer, ReadAsk};
use super::{HotStuff, Out, QuorumCertificate};
use crate::{ReadId, Retry, Timing, To};
use crypto::{Height, NodeId, NodeSet, Reject, Time};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use std::sync::Arc;

/// Most reads that wait at once.
pub const MAX_READS: usize = 4096;

/// Reads that arrived before a question was asked.
#[derive(Debug)]
struct Round {
    nonce: u64,
    reads: Vec<(ReadId, Time)>,
    answered: NodeSet,
    resend_at: Time,
}

/// Reads whose certificate is known.
#[derive(Debug)]
struct Placed {
    reads: Vec<(ReadId, Time)>,
    certificate: Arc<QuorumCertificate>,
    /// Whether the certificate was sent to all.
    told: bool,
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
        self.waiting.len()
            + round
            + self
                .placed
                .iter()
                .map(|placed| placed.reads.len())
                .sum::<usize>()
    }
    /// Whether a read waits for a commit.
    pub fn needs_progress(&self) -> bool {
        !self.placed.is_empty()
    }
    /// When to wake.
    pub fn deadline(&self) -> Option<Time> {
        let limit = self.timing.timeout_cap;
        let resend = self.round.as_ref().map(|round| round.resend_at);
        let waiting = self.waiting.first().into_iter();
        let asked = self.round.iter().filter_map(|round| round.reads.first());
        let placed = self.placed.iter().filter_map(|placed| placed.reads.first());
        let oldest = waiting
            .chain(asked)
            .chain(placed)
            .map(|(_, at)| at.plus(limit))
            .min();
        resend.into_iter().chain(oldest).min()
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

impl HotStuff {
    pub(super) fn on_read(&mut self, now: Time, id: ReadId, out: &mut Out) {
        if self.reads.len() >= MAX_READS {
            return out.read(id, Err(Retry::Full));
        }
        self.reads.waiting.push((id, now));
    }

    /// Asks on behalf of all reads that wait.
    fn start_round(&mut self, now: Time, out: &mut Out) {
        let nonce = self.reads.nonces.next_u64();
        let round = Round {
            nonce,
            reads: std::mem::take(&mut self.reads.waiting),
            answered: [self.me()].into_iter().collect(),
            resend_at: now.plus(self.reads.timing.resend),
        };
        self.reads.round = Some(round);
        self.ask_round(nonce, out);
    }
    fn ask_round(&self, nonce: u64, out: &mut Out) {
        let epoch = self.config.context.epoch;
        out.send(
            To::Others,
            Draft(Message::ReadAsk(ReadAsk { epoch, nonce })),
        );
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
            Some(round) if round.nonce == answer.nonce => {
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
        loop {
            let quorum = if crypto::planted!(ReadAlone) {
                1
            } else {
                self.quorum()
            };
            if let Some(round) = self
                .reads
                .round
                .take_if(|round| round.answered.len() >= quorum)
            {
                // Every answer was adopted: the own high certificate is the highest of them.
                let certificate = Arc::clone(&self.high);
                self.reads.placed.push(Placed {
                    reads: round.reads,
                    certificate,
                    told: false,
                });
            }
            if self.reads.round.is_some() || self.reads.waiting.is_empty() {
                break;
            }
            self.start_round(now, out);
        }
        if let Some(round) = self
            .reads
            .round
            .as_mut()
            .filter(|round| round.resend_at <= now)
        {
            round.resend_at = now.plus(self.reads.timing.resend);
            let nonce = round.nonce;
            self.ask_round(nonce, out);
        }
        self.finish_placed(out);
    }

    fn finish_placed(&mut self, out: &mut Out) {
        for mut placed in std::mem::take(&mut self.reads.placed) {
            match self.read_height(&mut placed.certificate) {
                Some(height) if height <= self.log.root().height => {
                    for (id, _) in placed.reads {
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
