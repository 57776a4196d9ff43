//! Floods for the pools.

use super::memory::Latest;
use super::mouth::Said;
use super::{Adversary, Mouth, Tongue, Way};
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

const AGAIN: Way = Way::bold("a batch again");
const LATE: Way = Way::bold("a batch that expires between one and two lifetimes ahead");
const EMPTY: Way = Way::refused("a batch of nothing");
const FORGED: Way = Way::refused("a batch that no client signed");
const OFFER: Way = Way::bold("an offer of batches that do not exist");
const FETCH: Way = Way::bold("a question for batches that do not exist");
pub(super) const WAYS: [Way; 6] = [AGAIN, LATE, EMPTY, FORGED, OFFER, FETCH];

/// Batches without end, of transactions that no client signed, of none, the same again, or such as expire
/// late; offers of
/// batches that do not exist, and questions for them.
pub struct Spam {
    number: u64,
    /// Real batches of the own, the latest, sent again and again.
    old: Latest<Bytes, { FLOOD as usize }>,
    /// When the first of them expires.
    first: Option<u64>,
    next: Option<Time>,
}

impl Default for Spam {
    fn default() -> Self {
        Self {
            // Above all that its honest half will ever give.
            number: 1 << 32,
            old: Latest::default(),
            first: None,
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
    /// One of its real batches under another number, that expires later than it may ask for, and not later
    /// than others let pass: an author may be ahead of them by a lifetime. The lifetime is learned from its
    /// first batch, made when the heights were low.
    fn late(&mut self) -> Option<Bytes> {
        let open = |bytes: &Bytes| SealedBatch::open(bytes.clone()).ok();
        let sealed = self.old.all().back().and_then(open)?;
        let mut late = Batch::clone(sealed.batch());
        let first = *self.first.get_or_insert(late.expires.0);
        self.number += 1;
        late.number = self.number;
        late.expires.0 += first / 2;
        Some(late.seal().bytes().clone())
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
        let mut list: Vec<(Way, Pool)> = Vec::new();
        list.extend(
            self.old
                .all()
                .iter()
                .map(|it| (AGAIN, Pool::Batch(it.clone()))),
        );
        list.extend(self.late().map(|it| (LATE, Pool::Batch(it))));
        for _ in 0..FLOOD {
            let way = if self.old.all().is_empty() {
                EMPTY
            } else {
                FORGED
            };
            list.push((way, Pool::Batch(self.batch(mouth))));
        }
        let names: Vec<_> = (0..LIST).map(|_| self.invented(mouth)).collect();
        let digests = names.iter().map(|it| it.digest).collect();
        list.extend([(OFFER, Pool::Offer(names)), (FETCH, Pool::Fetch(digests))]);
        for (way, message) in list {
            let class = match message {
                Pool::Batch(_) => Class::Bulk,
                _ => Class::Control,
            };
            mouth.lie(way, &to, class, &Frame::<P::Message>::Pool(message));
        }
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
