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
use crate::To;
use crate::common::Barrier;
use crypto::{Height, NodeId, Reject, Time};
use std::sync::Arc;

/// What a read waits for is told to all again after so many times the gap between promises.
const TELL_GAPS: u64 = 4;

/// What a read waits for.
#[derive(Debug)]
pub struct Target {
    height: Height,
    reached: Reached,
    /// When to send the proof to all.
    tell_at: Time,
}

/// Waiting reads. The best answer is the highest slot named.
pub type Reads = Barrier<Reached, Target>;

impl Pbft {
    /// When to wake for reads.
    pub(super) fn reads_at(&self) -> Option<Time> {
        let tell = self.reads.placed.iter().map(|it| it.target.tell_at);
        tell.chain(self.reads.deadline()).min()
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
        if self.reads.wants_round() {
            let reached = self.reached();
            self.reads.begin(now, self.me(), reached);
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
        if !self.reads.expects(answer.nonce) {
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
        self.on_certificate(now, from, &answer.reached, out);
        if let Some(best) = self.reads.answered(from)
            && answer.reached.height() > best.height()
        {
            *best = answer.reached.clone();
        }
    }

    /// Moves reads on as far as they get.
    pub(super) fn answer_reads(&mut self, now: Time, out: &mut Out) {
        if self.reads.is_empty() {
            return;
        }
        self.reads.expire(now, out);
        // What the view carries over may be committed as well.
        let (quorum, carried) = (self.quorum(), self.reach());
        loop {
            self.reads.place(quorum, |reached| Target {
                height: reached.height().max(carried),
                reached,
                tell_at: now,
            });
            self.ask_reads(now, out);
            if !self.reads.is_done(quorum) {
                break;
            }
        }
        self.finish_placed(now, out);
    }

    fn finish_placed(&mut self, now: Time, out: &mut Out) {
        let committed = self.log.committed();
        let gap = Time(self.config.timing.resend.0.saturating_mul(TELL_GAPS).max(1));
        for mut placed in std::mem::take(&mut self.reads.placed) {
            let target = &mut placed.target;
            if target.height <= committed {
                for id in placed.readers {
                    out.read(id, Ok(target.height));
                }
                continue;
            }
            // All take note of it, which makes an idle cluster finish it.
            if target.tell_at <= now {
                target.tell_at = now.plus(gap);
                let proof = Message::Certificate(target.reached.clone());
                out.send(To::Others, Draft(proof));
            }
            self.reads.placed.push(placed);
        }
    }
}
