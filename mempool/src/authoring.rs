//! From clients' transactions to own batches.

use crate::batches::Charge;
use crate::{CheckedTransaction, Mempool, Message, Output, To};
use crypto::{Batch, BatchRef, Digest, Height, SealedBatch, Time, Transaction};

impl Mempool {
    pub(crate) fn submit(
        &mut self,
        now: Time,
        request: u64,
        transaction: CheckedTransaction,
        out: &mut Vec<Output>,
    ) {
        let height = self.height();
        out.push(
            match self.clients.submit(now, height, &self.config, transaction) {
                Ok(()) => Output::Accepted { request },
                Err(refusal) => Output::Refused { request, refusal },
            },
        );
    }

    /// Closes what is ready to be a batch: by bytes, by time, at once when nothing is under way,
    /// and when the leader asks (`wanted`).
    pub(crate) fn seal(&mut self, now: Time, wanted: bool, out: &mut Vec<Output>) {
        while let Some(since) = self.clients.since() {
            let room = self.config.batch_bytes - Batch::OVERHEAD;
            let full = self.clients.fills(room, self.config.batch_transactions);
            let idle = self.idle && !self.batches.any_of(self.config.me);
            let timed = now >= since.plus(self.pace.delay());
            if !(wanted || full || idle || timed) || !self.own_room() {
                return;
            }
            let transactions = self.clients.draw(now, room, self.config.batch_transactions);
            assert!(
                !transactions.is_empty(),
                "every transaction in the pool fits into a batch"
            );
            if timed {
                self.pace.closed(transactions.len());
            }
            let sealed = self.pack(transactions);
            self.clients
                .batched(sealed.reference().digest, sealed.batch());
            self.spread(now, sealed, out);
        }
    }

    /// The next own batch. A crash may have lost the last ones here and not elsewhere: if this one
    /// is known already, it takes a further number.
    fn pack(&mut self, transactions: Vec<Transaction>) -> SealedBatch {
        self.number = self.number.wrapping_add(1);
        let expires = self.config.horizon(self.height());
        let (author, number) = (self.config.me, self.number);
        let mut sealed = Batch {
            author,
            number,
            expires,
            transactions,
        }
        .seal();
        while self.known(&sealed.reference().digest).is_some() {
            self.number = self.number.wrapping_add(1);
            sealed = Batch {
                number: self.number,
                ..(**sealed.batch()).clone()
            }
            .seal();
        }
        sealed
    }

    /// When the timer closes a batch, if the own quota lets it.
    pub(crate) fn seal_at(&self) -> Option<Time> {
        let since = self.clients.since()?;
        self.own_room().then(|| since.plus(self.pace.delay()))
    }

    fn own_room(&self) -> bool {
        let bytes = self.clients.waiting_bytes() + Batch::OVERHEAD;
        self.batches
            .own_room(&self.config, bytes.min(self.config.batch_bytes))
    }

    fn spread(&mut self, now: Time, sealed: SealedBatch, out: &mut Vec<Output>) {
        let message = Message::Batch(sealed.bytes().clone());
        self.keep(now, sealed, Charge::Sender(self.config.me), out)
            .expect("an own batch is within half of its quota");
        if self.config.broadcasts() {
            if self.config.n > 1 {
                out.push(Output::Send {
                    to: To::Others,
                    message,
                });
            }
        } else if let Some(leader) = self.handing.leader(self.config.me) {
            out.push(Output::Send {
                to: To::One(leader),
                message,
            });
        }
    }

    /// What a restart found in the store. Own transactions are known again, so that repeats of
    /// them do not double.
    pub(crate) fn recover(&mut self, now: Time, sealed: SealedBatch) {
        let r = sealed.reference();
        if self.is_useless(&r) {
            return;
        }
        if r.author == self.config.me {
            self.clients.adopt(&self.config, r.digest, sealed.batch());
        }
        // Held is held, a vote may rely on it: what is above a quota is charged to nobody.
        let author = Charge::Sender(r.author);
        let within = self
            .batches
            .within_quota(&self.config, author, sealed.bytes().len());
        let charge = if within { author } else { Charge::Nobody };
        let kept = self.batches.insert(now, &self.config, sealed, charge);
        assert!(kept.is_ok(), "within the quota, or without one");
        self.recovered(now, &r);
    }

    /// What a restart found in the store and had no room for. It may be ordered as all others may.
    pub(crate) fn recover_name(&mut self, now: Time, r: BatchRef) {
        if self.is_useless(&r) {
            return;
        }
        self.batches.insert_name(now, r);
        self.recovered(now, &r);
    }

    /// One more of an earlier run is in the books.
    fn recovered(&mut self, now: Time, r: &BatchRef) {
        if r.author == self.config.me {
            self.number = self.number.max(r.number);
        }
        self.handing
            .add(r.digest, now.plus(self.config.offer_delay));
        self.trim();
    }

    fn is_useless(&self, r: &BatchRef) -> bool {
        r.expires <= self.height()
            || r.author.index() >= self.config.n
            || self.batches.get(&r.digest).is_some()
            || self.memory.get(&r.digest).is_some()
    }

    /// A batch that can no longer be ordered leaves. Its transactions do as well: none was made to
    /// outlive its batch.
    pub(crate) fn expire(&mut self, height: Height, out: &mut Vec<Output>) {
        while let Some(held) = self.batches.expire(height) {
            let BatchRef {
                digest, expires, ..
            } = held.reference;
            self.handing.remove(&digest);
            self.drop_stored(digest, expires, out);
        }
        while let Some((expires, digest)) = self.batches.expire_let_go(height) {
            self.drop_stored(digest, expires, out);
        }
        self.clients.expire(height);
        self.memory.expire(height);
    }

    /// A stored batch has expired, and will not be ordered any more if it was not.
    fn drop_stored(&self, digest: Digest, expires: Height, out: &mut Vec<Output>) {
        if self.config.broadcasts() {
            let committed = self.memory.get(&digest).is_some()
                || self.backlog.contains(&digest)
                || self.memory.may_have_forgotten(expires);
            out.push(Output::Drop { digest, committed });
        }
    }
}
