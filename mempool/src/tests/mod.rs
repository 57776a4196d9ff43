//! The pool driven by hand: a rig, and one file of named rules for each concern.
#![allow(clippy::unwrap_used)]

mod authoring;
mod availability;
mod handing;
mod logged;
mod messages;
mod ordering;
mod property;
mod recovery;

use crate::{
    CheckedMessage, CheckedTransaction, Config, Input, Mempool, Message, Output, Recovered, Rules,
    To,
};
use bytes::Bytes;
use crypto::{
    Batch, BatchRef, ChainId, Context, Digest, FaultModel, Hasher, Height, NodeId, Payload,
    PublicKey, Scheme, SealedBatch, SecretKey, Signature, Time, Transaction, Validator,
    ValidatorSet, Verifier, scheme::Claim, transaction,
};
use std::sync::{Arc, OnceLock};

pub(super) const ME: NodeId = NodeId(0);
pub(super) const N: usize = 4;

/// Signatures are the digest twice: cheap, and still bound to what they sign.
pub(super) struct Mock;

impl Scheme for Mock {
    fn sign(&self, _: &SecretKey, digest: &Digest) -> Signature {
        Signature(std::array::from_fn(|i| digest.0[i % 32]))
    }
    fn verify(&self, claims: &[Claim]) -> Vec<bool> {
        let valid = |(_, digest, s): &Claim| (0..64).all(|i| s.0[i] == digest.0[i % 32]);
        claims.iter().map(valid).collect()
    }
}

pub(super) fn verifier() -> Verifier {
    let members = (0..N)
        .map(|i| Validator {
            key: client(i as u8 + 240),
        })
        .collect();
    Verifier {
        context: Context::default(),
        validators: Arc::new(ValidatorSet::new(members, FaultModel::Byzantine).unwrap()),
        scheme: Arc::new(Mock),
    }
}

pub(super) fn rules() -> Rules {
    Rules {
        transaction_bytes: 10_000,
        batch_bytes: 4_000,
        batch_transactions: 16,
        signed: true,
        peers_trusted: false,
        validate: Arc::new(|t| t.body.first() != Some(&0xff)),
    }
}

/// Derived once: that costs more than all the rest of a test.
pub(super) fn client(i: u8) -> PublicKey {
    static KEYS: OnceLock<Vec<PublicKey>> = OnceLock::new();
    let key = |i: u8| SecretKey::from_seed(&[i.wrapping_add(1); 32]).public();
    KEYS.get_or_init(|| (0..=255).map(key).collect())[i as usize]
}

/// A transaction of `154 + length` bytes.
pub(super) fn transaction(who: u8, sequence: u64, length: usize) -> Transaction {
    let mut t = Transaction {
        format: transaction::FORMAT,
        chain: ChainId::default(),
        client: client(who),
        sequence,
        expires: Height(50),
        body: Bytes::from(vec![7; length]),
        signature: Signature::NONE,
    };
    sign(&mut t);
    t
}

pub(super) fn sign(t: &mut Transaction) {
    t.signature = Mock.sign(&SecretKey::from_seed(&[1; 32]), &t.digest());
}

pub(super) fn checked(t: Transaction) -> CheckedTransaction {
    rules()
        .admit_transactions(vec![t], &ChainId::default(), &Mock)
        .remove(0)
        .unwrap()
}

pub(super) fn message(from: u16, message: Message) -> CheckedMessage {
    rules().admit(NodeId(from), message, &verifier()).unwrap()
}

/// A batch of one transaction of `length` more bytes.
pub(super) fn batch_of(author: u16, number: u64, length: usize) -> SealedBatch {
    let transactions = vec![transaction(author as u8 + 100, number, length)];
    Batch {
        author: NodeId(author),
        number,
        expires: Height(50),
        transactions,
    }
    .seal()
}

pub(super) fn batch(author: u16, number: u64) -> SealedBatch {
    batch_of(author, number, 10)
}

pub(super) fn refs(list: &[&SealedBatch]) -> Payload {
    Payload::Refs(list.iter().map(|sealed| sealed.reference()).collect())
}

pub(super) fn block(i: u64) -> Digest {
    Hasher::new("test").number(i).finish()
}

/// A pool, its clock, and its log.
pub(super) struct Rig {
    pub pool: Mempool,
    pub now: Time,
    pub height: Height,
}

impl Rig {
    /// Small limits: 4,000 bytes or 16 transactions a batch, 8,000 bytes or 8 batches a block and
    /// two of them a quota, a lifetime of 100.
    pub fn config() -> Config {
        Config {
            lifetime: 100,
            batch_bytes: 4_000,
            batch_transactions: 16,
            block_bytes: 8_000,
            block_batches: 8,
            author_bytes: 16_000,
            author_batches: 8,
            extra_bytes: 8_000,
            extra_batches: 16,
            fetches: 32,
            loads: 4,
            roomy_blocks: 64,
            ..Config::new(ME, N)
        }
    }
    pub fn new() -> Self {
        Self::with(|_| {})
    }
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::recovered(change, Recovered::default())
    }
    pub fn recovered(change: impl FnOnce(&mut Config), recovered: Recovered) -> Self {
        let mut config = Self::config();
        change(&mut config);
        let (now, height) = (Time::millis(1), recovered.height);
        Self {
            pool: Mempool::new(config, now, recovered),
            now,
            height,
        }
    }
    pub fn step(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.pool.step(self.now, input, &mut out);
        if let Some(deadline) = self.pool.deadline() {
            assert!(deadline > self.now, "a deadline in the past would spin");
        }
        out
    }
    pub fn submit(&mut self, who: u8, sequence: u64, length: usize) -> Vec<Output> {
        self.submit_it(transaction(who, sequence, length))
    }
    pub fn submit_it(&mut self, t: Transaction) -> Vec<Output> {
        self.step(Input::Submit {
            request: t.sequence,
            transaction: checked(t),
        })
    }
    pub fn receive(&mut self, from: u16, m: Message) -> Vec<Output> {
        self.step(Input::Message {
            from: NodeId(from),
            message: message(from, m),
        })
    }
    /// Its author sends a batch.
    pub fn push(&mut self, sealed: &SealedBatch) -> Vec<Output> {
        self.receive(
            sealed.reference().author.0,
            Message::Batch(sealed.bytes().clone()),
        )
    }
    pub fn answer(&mut self, from: u16, list: &[&SealedBatch]) -> Vec<Output> {
        let list = list.iter().map(|sealed| sealed.bytes().clone()).collect();
        self.receive(from, Message::Batches(list))
    }
    pub fn want(&mut self, budget: u32, exclude: &[Digest]) -> Vec<BatchRef> {
        self.want_at(self.height.next(), budget, exclude)
    }
    pub fn want_at(&mut self, height: Height, budget: u32, exclude: &[Digest]) -> Vec<BatchRef> {
        let exclude = exclude.to_vec();
        let out = self.step(Input::Want {
            ticket: 9,
            height,
            budget,
            exclude,
        });
        let payload = out.into_iter().find_map(|o| match o {
            Output::Payload { ticket: 9, payload } if payload.is_empty() => Some(Vec::new()),
            Output::Payload {
                ticket: 9,
                payload: Payload::Refs(refs),
            } => Some(refs),
            _ => None,
        });
        payload.unwrap()
    }
    pub fn check(&mut self, b: u64, height: u64, payload: Payload) -> Vec<Output> {
        self.step(Input::Check {
            block: block(b),
            height: Height(height),
            payload,
        })
    }
    pub fn commit(&mut self, payload: Payload) -> Vec<Output> {
        self.commit_by(payload, true)
    }
    /// Whether the leader of now chose it.
    pub fn commit_by(&mut self, payload: Payload, by_leader: bool) -> Vec<Output> {
        self.height = self.height.next();
        self.step(Input::Committed {
            height: self.height,
            payload,
            by_leader,
        })
    }
    /// Lets time pass, waking at every deadline.
    pub fn pass(&mut self, millis: u64) -> Vec<Output> {
        let end = self.now.plus(Time::millis(millis));
        let mut out = Vec::new();
        while let Some(next) = self.pool.deadline().filter(|d| *d <= end) {
            self.now = next;
            out.extend(self.step(Input::Tick));
        }
        self.now = end;
        out.extend(self.step(Input::Tick));
        out
    }
}

/// The own batches spread in these outputs.
pub(super) fn spread(out: &[Output]) -> Vec<Batch> {
    let sent = |o: &Output| match o {
        Output::Send {
            to: To::Others,
            message: Message::Batch(bytes),
        } => Some(bytes.clone()),
        _ => None,
    };
    out.iter()
        .filter_map(sent)
        .map(|b| (**SealedBatch::open(b).unwrap().batch()).clone())
        .collect()
}

/// Who was asked for what.
pub(super) fn asked(out: &[Output]) -> Vec<(u16, Vec<Digest>)> {
    let ask = |o: &Output| match o {
        Output::Send {
            to: To::One(peer),
            message: Message::Fetch(list),
        } => Some((peer.0, list.clone())),
        _ => None,
    };
    out.iter().filter_map(ask).collect()
}

/// What was offered to whom; in the end to all.
pub(super) fn offers(out: &[Output]) -> Vec<(u16, BatchRef)> {
    let mut list = Vec::new();
    for output in out {
        if let Output::Send {
            to,
            message: Message::Offer(refs),
        } = output
        {
            let peer = match to {
                To::One(peer) => peer.0,
                To::Others => ALL,
            };
            list.extend(refs.iter().map(|r| (peer, *r)));
        }
    }
    list
}

/// All others, as [`offers`] have it.
pub(super) const ALL: u16 = u16::MAX;
