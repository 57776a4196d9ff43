//! Transactions of this node's own clients, from submission to commit or expiry. Those that wait
//! for a batch are drawn from the clients in turn, so that one who floods delays only himself.

use crate::{CheckedTransaction, Config, Refusal};
use crypto::{Batch, Digest, Height, PublicKey, Time, Transaction};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// The own clients' uncommitted transactions.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    clients: BTreeMap<PublicKey, Client>,
    /// Clients with a waiting transaction, by whose turn is next.
    turns: BTreeMap<u64, PublicKey>,
    expiries: BTreeSet<(Height, PublicKey, u64)>,
    /// Which of them the own batches hold.
    batched: BTreeMap<Digest, BTreeSet<(PublicKey, u64)>>,
    /// Numbers turns and arrivals.
    counter: u64,
    all: Tally,
    waiting: Tally,
    /// Since when the oldest waiting one waits.
    since: Option<Time>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    count: usize,
    bytes: usize,
}

impl Tally {
    fn add(&mut self, bytes: usize) {
        self.count += 1;
        self.bytes += bytes;
    }
    fn subtract(&mut self, bytes: usize) {
        self.count -= 1;
        self.bytes -= bytes;
    }
}

#[derive(Debug, Default)]
struct Client {
    pending: BTreeMap<u64, Pending>,
    /// Waiting ones: order of arrival, sequence.
    queue: BTreeMap<u64, u64>,
    turn: Option<u64>,
}

#[derive(Debug)]
struct Pending {
    digest: Digest,
    bytes: usize,
    expires: Height,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Of no batch yet.
    Waiting {
        order: u64,
        transaction: Transaction,
    },
    /// In the own batch of this digest; `None` between drawing and sealing.
    Batched(Option<Digest>),
}

impl Clients {
    /// Takes a transaction; the same one again is taken for the first.
    pub(crate) fn submit(
        &mut self,
        now: Time,
        height: Height,
        config: &Config,
        transaction: CheckedTransaction,
    ) -> Result<(), Refusal> {
        let (transaction, digest) = transaction.into_parts();
        let bytes = transaction.encoded_len();
        if transaction.expires <= height || transaction.expires > config.horizon(height) {
            return Err(Refusal::Expired { height });
        }
        if bytes > config.transaction_bytes() {
            return Err(Refusal::TooLong {
                limit: config.transaction_bytes(),
            });
        }
        let known = self.clients.get(&transaction.client);
        if let Some(pending) = known.and_then(|c| c.pending.get(&transaction.sequence)) {
            let same = pending.digest == digest;
            return if same {
                Ok(())
            } else {
                Err(Refusal::SequenceUsed)
            };
        }
        let full = |what| {
            Err(Refusal::Full {
                what,
                retry_after: config.retry_after,
            })
        };
        if known.is_some_and(|c| c.pending.len() >= config.client_transactions) {
            return full("the client's share of the pool");
        }
        let fits = self.all.count < config.pool_transactions
            && self.all.bytes + bytes <= config.pool_bytes;
        if !fits && !crypto::planted!(EndlessPool) {
            return full("the pool");
        }
        self.insert(&transaction, digest, Place::Batched(None));
        self.wait(now, transaction);
        Ok(())
    }

    /// Knows the transactions of an own batch found after a restart.
    pub(crate) fn adopt(&mut self, config: &Config, digest: Digest, batch: &Batch) {
        for transaction in &batch.transactions {
            let key = (transaction.client, transaction.sequence);
            let fits = self.all.count < config.pool_transactions
                && self.all.bytes + transaction.encoded_len() <= config.pool_bytes;
            if self.pending(&key).is_none() && fits {
                self.insert(
                    transaction,
                    transaction.digest(),
                    Place::Batched(Some(digest)),
                );
                self.batched.entry(digest).or_default().insert(key);
            }
        }
    }

    /// Draws waiting transactions, one from each client in turn, up to these limits.
    pub(crate) fn draw(&mut self, now: Time, bytes: usize, count: usize) -> Vec<Transaction> {
        let mut drawn = Vec::new();
        let mut room = bytes;
        while drawn.len() < count {
            let Some((&turn, &key)) = self.turns.first_key_value() else {
                break;
            };
            let client = self
                .clients
                .get_mut(&key)
                .expect("a client with a turn is known");
            let (&order, &sequence) = client
                .queue
                .first_key_value()
                .expect("a client with a turn has one waiting");
            let pending = client
                .pending
                .get_mut(&sequence)
                .expect("what waits is pending");
            if pending.bytes > room {
                break;
            }
            room -= pending.bytes;
            self.waiting.subtract(pending.bytes);
            client.queue.remove(&order);
            match std::mem::replace(&mut pending.place, Place::Batched(None)) {
                Place::Waiting { transaction, .. } => drawn.push(transaction),
                Place::Batched(_) => unreachable!("what is queued waits"),
            }
            self.turns.remove(&turn);
            client.turn = None;
            self.give_turn(key);
        }
        self.since = (self.waiting.count > 0).then_some(now);
        drawn
    }

    /// The drawn transactions became this batch.
    pub(crate) fn batched(&mut self, digest: Digest, batch: &Batch) {
        for transaction in &batch.transactions {
            let key = (transaction.client, transaction.sequence);
            let client = self.clients.get_mut(&key.0);
            let pending = client.and_then(|c| c.pending.get_mut(&key.1));
            pending.expect("what was drawn is pending").place = Place::Batched(Some(digest));
            self.batched.entry(digest).or_default().insert(key);
        }
    }

    /// Forgets what a committed batch of the own holds, which may not be in memory.
    pub(crate) fn settle_own(&mut self, digest: &Digest) {
        for key in self.batched.remove(digest).into_iter().flatten() {
            self.remove(&key);
        }
    }

    /// Forgets what a committed batch, of any author, holds.
    pub(crate) fn settle(&mut self, batch: &Batch) {
        for transaction in &batch.transactions {
            let key = (transaction.client, transaction.sequence);
            let pending = self.pending(&key);
            if pending.is_some_and(|pending| pending.digest == transaction.digest()) {
                self.remove(&key);
            }
        }
    }

    /// Forgets what can no longer take effect above this height.
    pub(crate) fn expire(&mut self, height: Height) {
        while let Some(&(expires, client, sequence)) = self.expiries.first() {
            if expires > height {
                break;
            }
            self.remove(&(client, sequence));
        }
    }

    /// Whether a batch of this size could be filled.
    pub(crate) fn fills(&self, bytes: usize, count: usize) -> bool {
        self.waiting.bytes >= bytes || self.waiting.count >= count
    }
    /// Bytes of waiting transactions.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting.bytes
    }
    /// Since when the oldest waiting one waits; `None`: none waits.
    pub(crate) fn since(&self) -> Option<Time> {
        self.since
    }
    /// Transactions, bytes and clients.
    pub(crate) fn tally(&self) -> (usize, usize, usize) {
        (self.all.count, self.all.bytes, self.clients.len())
    }

    fn pending(&self, (client, sequence): &(PublicKey, u64)) -> Option<&Pending> {
        self.clients.get(client)?.pending.get(sequence)
    }

    fn insert(&mut self, transaction: &Transaction, digest: Digest, place: Place) {
        let Transaction {
            client,
            sequence,
            expires,
            ..
        } = *transaction;
        let bytes = transaction.encoded_len();
        let entry = self.clients.entry(client).or_default();
        entry.pending.insert(
            sequence,
            Pending {
                digest,
                bytes,
                expires,
                place,
            },
        );
        self.expiries.insert((expires, client, sequence));
        self.all.add(bytes);
    }

    /// Lets a pending transaction wait for a batch.
    fn wait(&mut self, now: Time, transaction: Transaction) {
        let (key, sequence) = (transaction.client, transaction.sequence);
        let order = self.count();
        let client = self
            .clients
            .get_mut(&key)
            .expect("a pending transaction's client is known");
        let pending = client
            .pending
            .get_mut(&sequence)
            .expect("what waits is pending");
        self.waiting.add(pending.bytes);
        pending.place = Place::Waiting { order, transaction };
        client.queue.insert(order, sequence);
        self.since = self.since.or(Some(now));
        self.give_turn(key);
    }

    /// Puts the client at the end of the turns, if it has one waiting and no turn yet.
    fn give_turn(&mut self, key: PublicKey) {
        let turn = self.count();
        let client = self
            .clients
            .get_mut(&key)
            .expect("only known clients get turns");
        if !client.queue.is_empty() && client.turn.is_none() {
            client.turn = Some(turn);
            self.turns.insert(turn, key);
        }
    }

    fn remove(&mut self, (key, sequence): &(PublicKey, u64)) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let Some(pending) = client.pending.remove(sequence) else {
            return;
        };
        self.all.subtract(pending.bytes);
        self.expiries.remove(&(pending.expires, *key, *sequence));
        match pending.place {
            Place::Waiting { order, .. } => {
                self.waiting.subtract(pending.bytes);
                client.queue.remove(&order);
            }
            Place::Batched(Some(digest)) => {
                if let Entry::Occupied(mut of) = self.batched.entry(digest) {
                    of.get_mut().remove(&(*key, *sequence));
                    if of.get().is_empty() {
                        of.remove();
                    }
                }
            }
            Place::Batched(None) => {}
        }
        if client.queue.is_empty()
            && let Some(turn) = client.turn.take()
        {
            self.turns.remove(&turn);
        }
        if client.pending.is_empty() {
            self.clients.remove(key);
        }
        if self.waiting.count == 0 {
            self.since = None;
        }
    }

    fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}
