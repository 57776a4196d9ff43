//! What all protocols need for reads that are not ordered: those who wait, in order of arrival and
//! for so long, and the questions that are asked on behalf of many at once.
//!
//! A read may only be answered by what is learnt after it arrived. So those that come while a question
//! is under way wait for the next one.

use crypto::Time;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// Most reads that wait at once.
pub const MAX_READS: usize = 4096;

/// Who waits for a read, and since when.
#[derive(Clone, Debug)]
pub struct Readers<R>(Vec<(R, Time)>);

impl<R> Default for Readers<R> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<R> Readers<R> {
    /// One more, the last.
    pub fn push(&mut self, reader: R, now: Time) {
        self.0.push((reader, now));
    }
    /// Others, behind these.
    pub fn append(&mut self, others: Self) {
        self.0.extend(others.0);
    }
    /// Takes all out.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
    /// Keeps those only.
    pub fn retain(&mut self, keep: impl Fn(&R) -> bool) {
        self.0.retain(|(reader, _)| keep(reader));
    }
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// When the first has waited for this span. Those who were appended may have come before.
    #[must_use]
    pub fn expiry(&self, limit: Time) -> Option<Time> {
        self.0.iter().map(|(_, since)| since.plus(limit)).min()
    }
    /// Takes out those who have waited for this span.
    pub fn expire(&mut self, now: Time, limit: Time, late: &mut Vec<R>) {
        let all = std::mem::take(&mut self.0).into_iter();
        for (reader, since) in all {
            if now < since.plus(limit) {
                self.0.push((reader, since));
            } else {
                late.push(reader);
            }
        }
    }
}

impl<R> IntoIterator for Readers<R> {
    type Item = R;
    type IntoIter = std::iter::Map<std::vec::IntoIter<(R, Time)>, fn((R, Time)) -> R>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().map(|(reader, _)| reader)
    }
}

/// A question to others, on behalf of all who waited when it was first asked.
#[derive(Clone, Debug)]
pub struct Question<R> {
    /// Comes back with each answer: an answer to another question proves nothing.
    pub nonce: u64,
    /// Who waits for it.
    pub readers: Readers<R>,
    resend_at: Time,
    /// How often it was asked.
    asked: u32,
}

impl<R> Question<R> {
    /// To be asked at once.
    #[must_use]
    pub fn new(nonce: u64, readers: Readers<R>, now: Time) -> Self {
        Self {
            nonce,
            readers,
            resend_at: now,
            asked: 0,
        }
    }
    /// Whether it is to be asked now; if so, again after `resend`.
    pub fn is_due(&mut self, now: Time, resend: Time) -> bool {
        let due = self.resend_at <= now;
        if due {
            self.resend_at = now.plus(resend);
            self.asked = self.asked.saturating_add(1);
        }
        due
    }
    /// Whether it had to be asked again: answers are late.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        self.asked > 1
    }
    /// When it is to be asked next.
    #[must_use]
    pub const fn resend_at(&self) -> Time {
        self.resend_at
    }
}

/// The names of a process's questions.
#[derive(Clone, Debug)]
pub struct Nonces(ChaCha12Rng);

impl Nonces {
    /// Those of a process started at `now`: one that is started again at another time asks other
    /// questions.
    #[must_use]
    pub fn new(seed: [u8; 32], now: Time) -> Self {
        let mut lots = ChaCha12Rng::from_seed(seed);
        lots.set_stream(now.0);
        Self(lots)
    }
    /// The next.
    pub fn draw(&mut self) -> u64 {
        self.0.next_u64()
    }
}
