//! Floods for the pools.

use super::mouth::Said;
use super::{Adversary, Mouth, Tongue};
use bytes::Bytes;
use crypto::{Batch, BatchRef, Digest, Height, Time};
use engine::{Class, Frame};
use mempool::Message as Pool;

/// Batches of the own in one go.
const FLOOD: u64 = 4;
/// Names in one list.
const LIST: usize = 64;

/// Batches without end, of transactions that nobody signed, of none, or the same again; offers of
/// batches that do not exist, and questions for them.
pub struct Spam {
    number: u64,
    /// Real batches of the own, sent again and again.
    old: Vec<Bytes>,
    next: Option<Time>,
}

impl Default for Spam {
    fn default() -> Self {
        Self {
            // Above all that its honest half will ever give.
            number: 1 << 32,
            old: Vec::new(),
            next: None,
        }
    }
}

impl Spam {
    fn invented(&mut self, mouth: &Mouth<'_>) -> BatchRef {
        self.number += 1;
        let mut digest = Digest::ZERO;
        digest.0[..8].copy_from_slice(&self.number.to_le_bytes());
        BatchRef {
            author: mouth.me,
            number: self.number,
            digest,
            bytes: 1_000,
            count: 1,
            expires: Height(u64::MAX),
        }
    }
    fn batch(&mut self, mouth: &Mouth<'_>) -> Bytes {
        self.number += 1;
        let batch = Batch {
            author: mouth.me,
            number: self.number,
            expires: Height(u64::MAX),
            transactions: Vec::new(),
        };
        batch.seal().bytes().clone()
    }
    fn flood<P: Tongue>(&mut self, mouth: &mut Mouth<'_>) {
        let to = mouth.honest();
        let mut say = |class, message: Pool| {
            mouth.lie(&to, class, &Frame::<P::Message>::Pool(message));
        };
        for old in &self.old {
            say(Class::Bulk, Pool::Batch(old.clone()));
        }
        for _ in 0..FLOOD {
            let batch = self.batch(mouth);
            mouth.lie(
                &to,
                Class::Bulk,
                &Frame::<P::Message>::Pool(Pool::Batch(batch)),
            );
        }
        let names: Vec<_> = (0..LIST).map(|_| self.invented(mouth)).collect();
        let digests = names.iter().map(|it| it.digest).collect();
        let offer = Frame::<P::Message>::Pool(Pool::Offer(names));
        mouth.lie(&to, Class::Control, &offer);
        let fetch = Frame::<P::Message>::Pool(Pool::Fetch(digests));
        mouth.lie(&to, Class::Control, &fetch);
    }
}

impl<P: Tongue> Adversary<P> for Spam {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        mouth.pass(&said);
        if let Frame::Pool(Pool::Batch(bytes)) = &said.frame
            && self.old.len() < FLOOD as usize
        {
            self.old.push(bytes.clone());
        }
        self.next.get_or_insert(mouth.now);
    }
    fn wake(&mut self, mouth: &mut Mouth<'_>) {
        let again = Time(mouth.ring.timing.timeout.0 / 2);
        self.next = Some(mouth.now.plus(again));
        self.flood::<P>(mouth);
    }
    fn deadline(&self) -> Option<Time> {
        self.next
    }
}
