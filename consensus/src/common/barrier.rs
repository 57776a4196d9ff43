//! The read barrier of protocols that count liars: what q members tell after a read arrived says what it
//! has to wait for. What they tell, and why that is enough, is each protocol's own (`read.rs`).

use super::reads::{MAX_READS, Nonces, Question, Readers};
use crate::{Outputs, Protocol, ReadId, Retry, Timing};
use crypto::{NodeId, NodeSet, Size, Time};

/// A question to all, who has answered it, and what it has brought.
#[derive(Debug)]
struct Round<A> {
    question: Question<ReadId>,
    answered: NodeSet,
    /// The best of the answers, the own one included.
    best: A,
}

/// Reads that wait for something to be committed.
#[derive(Debug)]
pub struct Placed<T> {
    /// Who waits.
    pub readers: Readers<ReadId>,
    /// For what.
    pub target: T,
}

/// Waiting reads: `A` is what an answer tells, `T` what a read waits for then.
#[derive(Debug)]
pub struct Barrier<A, T> {
    timing: Timing,
    nonces: Nonces,
    /// Arrived while a round was under way.
    waiting: Readers<ReadId>,
    round: Option<Round<A>>,
    /// Reads of which it is known what they wait for.
    pub placed: Vec<Placed<T>>,
}

impl<A, T> Barrier<A, T> {
    /// Without reads.
    #[must_use]
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
    /// How many reads wait.
    pub fn sizes(&self, into: &mut Vec<Size>) {
        let reads = self.all().map(Readers::len).sum();
        into.push(Size::new("reads", reads, MAX_READS));
    }
    /// Whether no read waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all().all(Readers::is_empty)
    }
    /// Whether a read waits for a commit.
    #[must_use]
    pub fn needs_progress(&self) -> bool {
        !self.placed.is_empty()
    }
    /// When to wake.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let limit = self.timing.timeout_cap;
        let expiry = self.all().filter_map(|it| it.expiry(limit)).min();
        let resend = self.round.as_ref().map(|it| it.question.resend_at());
        expiry.into_iter().chain(resend).min()
    }
    /// Why reads wait, if answers are late: a read under way is nothing to tell an operator of.
    #[must_use]
    pub fn waiting(&self, quorum: usize) -> Option<String> {
        let round = self.round.as_ref().filter(|it| it.question.is_late())?;
        let (reads, answers) = (round.question.readers.len(), round.answered.len());
        Some(format!("{reads} reads: {answers} of {quorum} answers"))
    }

    /// See [`crate::Input::Read`].
    pub fn on_read<P: Protocol>(&mut self, now: Time, id: ReadId, out: &mut Outputs<P>) {
        let reads: usize = self.all().map(Readers::len).sum();
        if reads >= MAX_READS {
            return out.read(id, Err(Retry::Full));
        }
        self.waiting.push(id, now);
    }
    /// Sends away what has waited for too long.
    pub fn expire<P: Protocol>(&mut self, now: Time, out: &mut Outputs<P>) {
        let round = self.round.iter_mut().map(|it| &mut it.question.readers);
        let placed = self.placed.iter_mut().map(|it| &mut it.readers);
        let mut late = Vec::new();
        for readers in round.chain(placed).chain([&mut self.waiting]) {
            readers.expire(now, self.timing.timeout_cap, &mut late);
        }
        self.round.take_if(|it| it.question.readers.is_empty());
        self.placed.retain(|it| !it.readers.is_empty());
        for id in late {
            out.read(id, Err(Retry::NoQuorum));
        }
    }
    /// All reads ask anew: what they were told counts no more.
    pub fn start_over(&mut self) {
        for placed in self.placed.drain(..) {
            self.waiting.append(placed.readers);
        }
        if let Some(round) = self.round.take() {
            self.waiting.append(round.question.readers);
        }
    }

    /// Whether a round is to be begun: reads wait, and none is under way.
    #[must_use]
    pub fn wants_round(&self) -> bool {
        self.round.is_none() && !self.waiting.is_empty()
    }
    /// Begins a round on behalf of all reads that wait. `own` is what this replica, `me`, answers
    /// itself.
    pub fn begin(&mut self, now: Time, me: NodeId, own: A) {
        self.round = Some(Round {
            question: Question::new(self.nonces.draw(), self.waiting.take(), now),
            answered: [me].into_iter().collect(),
            best: own,
        });
    }
    /// The nonce of the question that is to be sent now, for the first time or again.
    pub fn question(&mut self, now: Time) -> Option<u64> {
        let resend = self.timing.resend;
        let round = self.round.as_mut()?;
        let due = round.question.is_due(now, resend);
        due.then_some(round.question.nonce)
    }
    /// Whether this answers the question under way.
    #[must_use]
    pub fn expects(&self, nonce: u64) -> bool {
        let round = self.round.as_ref();
        round.is_some_and(|it| it.question.nonce == nonce)
    }
    /// A member has answered the question under way. Returns the best answer, for the caller to
    /// make it better.
    pub fn answered(&mut self, from: NodeId) -> Option<&mut A> {
        let round = self.round.as_mut()?;
        round.answered.insert(from);
        Some(&mut round.best)
    }
    fn is_answered(round: &Round<A>, quorum: usize) -> bool {
        round.answered.len() >= quorum || crypto::planted!(ReadAlone)
    }
    /// Whether a quorum, this replica included, has answered.
    #[must_use]
    pub fn is_done(&self, quorum: usize) -> bool {
        let round = self.round.as_ref();
        round.is_some_and(|it| Self::is_answered(it, quorum))
    }
    /// Ends the round if a quorum has answered: its reads wait for what `target` makes of the best
    /// answer.
    pub fn place(&mut self, quorum: usize, target: impl FnOnce(A) -> T) {
        let done = self.round.take_if(|it| Self::is_answered(it, quorum));
        if let Some(round) = done {
            self.placed.push(Placed {
                readers: round.question.readers,
                target: target(round.best),
            });
        }
    }
}
