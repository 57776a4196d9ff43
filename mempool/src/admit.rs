//! The checks of what comes in, made outside the pool on as many threads as there are: decoding,
//! hashing and signatures cost more than all the rest. The types prove that they were made.

use crate::Message;
use crate::message::LIST;
use bytes::Bytes;
use crypto::{
    BatchRef, ChainId, Digest, NodeId, Reject, Scheme, SealedBatch, Transaction, Verifier,
};
use std::fmt;
use std::sync::Arc;

/// What makes a transaction valid besides its format, chain, key and signature: a function of the
/// transaction alone, the same on all nodes (the body's language, the clients that are allowed).
pub type Validate = dyn Fn(&Transaction) -> bool + Send + Sync;

/// The stateless rules of transactions and batches, the same on all nodes.
#[derive(Clone)]
pub struct Rules {
    /// Longest encoding of a transaction, in bytes.
    pub transaction_bytes: usize,
    /// Longest encoding of a batch, in bytes.
    pub batch_bytes: usize,
    /// Most transactions in a batch.
    pub batch_transactions: usize,
    /// Whether clients sign. If not, nobody looks at signatures: whoever reaches a node may write
    /// in any client's name.
    pub signed: bool,
    /// Whether a peer's word is enough that clients' signatures are valid: members that do not lie
    /// have checked what they pass on (crash faults).
    pub peers_trusted: bool,
    /// See [`Validate`].
    pub validate: Arc<Validate>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("transaction_bytes", &self.transaction_bytes)
            .field("batch_bytes", &self.batch_bytes)
            .field("batch_transactions", &self.batch_transactions)
            .finish_non_exhaustive()
    }
}

/// A client's transaction that obeys the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedTransaction {
    transaction: Transaction,
    digest: Digest,
}

impl CheckedTransaction {
    /// The transaction.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }
    /// Its id, hashed once.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }
    pub(crate) fn into_parts(self) -> (Transaction, Digest) {
        (self.transaction, self.digest)
    }
}

/// A peer's message that obeys the rules; its batches are decoded and hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedMessage(pub(crate) Checked);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    Batch(SealedBatch),
    Fetch(Vec<Digest>),
    Batches(Vec<SealedBatch>),
    NotHeld(Vec<Digest>),
    Offer(Vec<BatchRef>),
}

impl Rules {
    /// Checks clients' transactions, all signatures in one batch.
    #[must_use]
    pub fn admit_transactions(
        &self,
        list: Vec<Transaction>,
        chain: &ChainId,
        scheme: &dyn Scheme,
    ) -> Vec<Result<CheckedTransaction, Reject>> {
        let signed = self.check_signatures(&list, chain, scheme);
        let admit = |(transaction, signed): (Transaction, Result<(), Reject>)| {
            signed?;
            self.obeys(&transaction)?;
            Ok(CheckedTransaction {
                digest: transaction.digest(),
                transaction,
            })
        };
        list.into_iter().zip(signed).map(admit).collect()
    }

    /// Checks a peer's message. `from` is the authenticated sender.
    ///
    /// # Errors
    /// The first thing found wrong. One bad batch condemns the whole message: an honest node has
    /// checked what it passes on.
    pub fn admit(
        &self,
        from: NodeId,
        message: Message,
        by: &Verifier,
    ) -> Result<CheckedMessage, Reject> {
        if !by.validators.contains(from) {
            return Err(Reject::NotMember);
        }
        let checked = match message {
            Message::Batch(bytes) => {
                let batch = self.open(bytes)?;
                if batch.batch().author != from {
                    return Err(Reject::WrongSender);
                }
                self.check_batches(std::slice::from_ref(&batch), by)?;
                Checked::Batch(batch)
            }
            Message::Batches(list) => {
                within(list.len())?;
                let batches = list
                    .into_iter()
                    .map(|bytes| self.open(bytes))
                    .collect::<Result<Vec<_>, _>>()?;
                self.check_batches(&batches, by)?;
                Checked::Batches(batches)
            }
            Message::Fetch(digests) => {
                within(digests.len())?;
                Checked::Fetch(digests)
            }
            Message::NotHeld(digests) => {
                within(digests.len())?;
                Checked::NotHeld(digests)
            }
            Message::Offer(refs) => {
                within(refs.len())?;
                refs.iter().try_for_each(|r| self.check_reference(r, by))?;
                Checked::Offer(refs)
            }
        };
        Ok(CheckedMessage(checked))
    }

    fn open(&self, bytes: Bytes) -> Result<SealedBatch, Reject> {
        if bytes.len() > self.batch_bytes {
            return Err(Reject::TooLong);
        }
        SealedBatch::open(bytes).map_err(|_| Reject::Undecodable)
    }

    fn check_batches(&self, batches: &[SealedBatch], by: &Verifier) -> Result<(), Reject> {
        for sealed in batches {
            self.check_reference(&sealed.reference(), by)?;
            sealed
                .batch()
                .transactions
                .iter()
                .try_for_each(|t| self.obeys(t))?;
        }
        let chain = &by.context.chain;
        for sealed in batches {
            let list = &sealed.batch().transactions;
            if self.peers_trusted || crypto::planted!(BelieveClients) {
                list.iter().try_for_each(|t| t.check_unsigned(chain))?;
            } else {
                self.check_signatures(list, chain, &*by.scheme)
                    .into_iter()
                    .collect::<Result<(), _>>()?;
            }
        }
        Ok(())
    }

    /// Format, chain and, where clients sign, key and signature.
    fn check_signatures(
        &self,
        list: &[Transaction],
        chain: &ChainId,
        scheme: &dyn Scheme,
    ) -> Vec<Result<(), Reject>> {
        if self.signed {
            return Transaction::check_all(list, chain, scheme);
        }
        list.iter().map(|t| t.check_unsigned(chain)).collect()
    }

    fn check_reference(&self, r: &BatchRef, by: &Verifier) -> Result<(), Reject> {
        if !by.validators.contains(r.author) {
            return Err(Reject::NotMember);
        }
        let sound = r.bytes as usize <= self.batch_bytes
            && (1..=self.batch_transactions).contains(&(r.count as usize));
        if sound {
            Ok(())
        } else {
            Err(Reject::BadPayload)
        }
    }

    fn obeys(&self, transaction: &Transaction) -> Result<(), Reject> {
        let valid =
            transaction.encoded_len() <= self.transaction_bytes && (self.validate)(transaction);
        if valid {
            Ok(())
        } else {
            Err(Reject::BadPayload)
        }
    }
}

fn within(len: usize) -> Result<(), Reject> {
    if (1..=LIST).contains(&len) {
        Ok(())
    } else {
        Err(Reject::Malformed)
    }
}
