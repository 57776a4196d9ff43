//! The read barrier: linearizable reads at any replica, without ordering them.
//!
//! After a read arrived, q members (this one included) tell their high certificates. Any committed
//! block had q votes above it, so one of those asked is honest and knows a certificate whose chain
//! holds it; the highest certificate C extends that one. The read waits until the highest block
//! with payload at or below C's is committed here.

use super::message::{CertificatePair, Draft, Message, ReadAnswer, ReadAsk};
use super::{HotStuff, Out, QuorumCertificate};
use crate::To;
use crate::common::Barrier;
use crypto::{Height, NodeId, Reject, Time};
use std::sync::Arc;

/// What a read waits for.
#[derive(Debug)]
pub struct Target {
    certificate: Arc<QuorumCertificate>,
    /// Whether the certificate was sent to all.
    told: bool,
}

/// Waiting reads. Every answer is adopted, so the own high certificate is the best of them.
pub type Reads = Barrier<(), Target>;

impl HotStuff {
    /// Asks on behalf of all reads that wait, or again.
    fn ask_reads(&mut self, now: Time, out: &mut Out) {
        if self.reads.wants_round() {
            self.reads.begin(now, self.me(), ());
        }
        if let Some(nonce) = self.reads.question(now) {
            let epoch = self.config.context.epoch;
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
        if self.reads.expects(answer.nonce) {
            self.reads.answered(from);
        } else {
            out.reject(from, Reject::Duplicate);
        }
    }

    /// Moves reads on as far as they get.
    pub(super) fn answer_reads(&mut self, now: Time, out: &mut Out) {
        if self.reads.is_empty() {
            return;
        }
        self.reads.expire(now, out);
        let quorum = self.quorum();
        loop {
            let certificate = Arc::clone(&self.high);
            self.reads.place(quorum, |()| Target {
                certificate,
                told: false,
            });
            self.ask_reads(now, out);
            if !self.reads.is_done(quorum) {
                break;
            }
        }
        self.finish_placed(out);
    }

    fn finish_placed(&mut self, out: &mut Out) {
        for mut placed in std::mem::take(&mut self.reads.placed) {
            match self.read_height(&mut placed.target.certificate) {
                Some(height) if height <= self.log.committed() => {
                    for id in placed.readers {
                        out.read(id, Ok(height));
                    }
                }
                reached => {
                    // All adopt it, which makes an idle cluster commit what is below it.
                    if reached.is_some() && !placed.target.told {
                        placed.target.told = true;
                        let quorum = Arc::clone(&placed.target.certificate);
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
