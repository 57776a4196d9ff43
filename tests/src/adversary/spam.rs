//! Floods for the pools.

use super::memory::Latest;
use super::mouth::Said;
use super::{Adversary, Mouth, Tongue};
use bytes::Bytes;
use crypto::{Batch, BatchRef, Digest, Height, SealedBatch, Signature, Time};
use engine::{Class, Frame};
use mempool::Message as Pool;

/// Batches of the own in one go.
const FLOOD: u64 = 4;
/// How far the numbers of what no client asked for are above what he did.
const UNUSED: u64 = 32;
/// Names in one list.
const LIST: usize = 64;

/// Batches without end, of transactions that no client signed, of none, or the same again; offers of
/// batches that do not exist, and questions for them.
pub struct Spam {
    number: u64,
    /// Real batches of the own, the latest, sent again and again.
    old: Latest<Bytes, { FLOOD as usize }>,
    next: Option<Time>,
}

impl Default for Spam {
    fn default() -> Self {
        Self {
            // Above all that its honest half will ever give.
            number: 1 << 32,
            old: Latest::default(),
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
    /// A batch of what a client is said to have asked for once more, under a number that he has not used;
    /// everything in it is sound but for his signature. Of nothing, while no client was heard of.
    fn batch(&mut self, mouth: &Mouth<'_>) -> Bytes {
        self.number += 1;
        let last = self.old.all().back().cloned();
        let last = last.and_then(|bytes| SealedBatch::open(bytes).ok());
        let mut forged = last.map_or_else(
            || Batch {
                author: mouth.me,
                number: self.number,
                expires: Height(u64::MAX),
                transactions: Vec::new(),
            },
            |sealed| Batch::clone(sealed.batch()),
        );
        forged.number = self.number;
        for it in &mut forged.transactions {
            it.sequence += self.number % UNUSED;
            it.signature = Signature([7; 64]);
        }
        forged.seal().bytes().clone()
    }
    fn flood<P: Tongue>(&mut self, mouth: &mut Mouth<'_>) {
        let to = mouth.honest();
        let mut say = |class, message: Pool| {
            mouth.lie(&to, class, &Frame::<P::Message>::Pool(message));
        };
        for old in self.old.all() {
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
        if let Frame::Pool(Pool::Batch(bytes)) = &said.frame {
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
