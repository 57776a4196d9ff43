//! What is held here, what is missing, and how it is got: no vote for payload that is not here.

use crate::batches::Charge;
use crate::{Mempool, Message, Output, To, Unfit};
use bytes::Bytes;
use crypto::{BatchRef, Digest, Height, NodeId, Payload, Reject, SealedBatch, Time};
use std::collections::BTreeMap;

impl Mempool {
    /// A peer sends a batch of its own.
    pub(crate) fn pushed(
        &mut self,
        now: Time,
        from: NodeId,
        sealed: SealedBatch,
        out: &mut Vec<Output>,
    ) {
        let r = sealed.reference();
        self.wants.pushed(&r.digest, now);
        let furthest = *self.config.expiries(self.height()).end();
        if r.expires > furthest && !self.wants.needed(&r.digest) {
            out.push(Output::Reject(from, Reject::TooFar));
        } else if r.expires <= self.height() && !self.backlog.contains(&r.digest) {
            out.push(Output::Reject(from, Reject::TooOld));
        } else if let Err(reject) = self.accept(now, Charge::Sender(from), sealed, out) {
            out.push(Output::Reject(from, reject));
        }
    }

    /// A peer answers a question. An answer that comes twice, or too late, or for which there is no room
    /// any more, is nobody's fault.
    pub(crate) fn fetched(&mut self, now: Time, sealed: SealedBatch, out: &mut Vec<Output>) {
        let digest = sealed.reference().digest;
        if self.wants.contains(&digest) {
            self.wants.answered(&digest);
            let offerer = self.wants.offered_by(&digest);
            let charge = offerer.map_or(Charge::Nobody, Charge::Offerer);
            let _ = self.accept(now, charge, sealed, out);
        }
    }

    /// Takes a batch, charged like this unless it is needed.
    fn accept(
        &mut self,
        now: Time,
        charge: Charge,
        sealed: SealedBatch,
        out: &mut Vec<Output>,
    ) -> Result<(), Reject> {
        let r = sealed.reference();
        if self.backlog.contains(&r.digest) {
            out.push(Output::Store {
                reference: r,
                bytes: sealed.bytes().clone(),
                committed: true,
            });
            self.clients.settle(sealed.batch());
            self.in_store(&r, out);
            return Ok(());
        }
        let known = self.batches.get(&r.digest).is_some() || self.memory.get(&r.digest).is_some();
        if known || r.expires <= self.height() {
            self.wants.remove(&r.digest);
            return Ok(());
        }
        let charge = if self.wants.needed(&r.digest) {
            Charge::Nobody
        } else {
            charge
        };
        self.wants.remove(&r.digest);
        self.keep(now, sealed, charge, out)
    }

    /// Takes a batch into the pool and the store.
    pub(crate) fn keep(
        &mut self,
        now: Time,
        sealed: SealedBatch,
        charge: Charge,
        out: &mut Vec<Output>,
    ) -> Result<(), Reject> {
        let reference = sealed.reference();
        let bytes = sealed.bytes().clone();
        self.batches.insert(now, &self.config, sealed, charge)?;
        if self.config.broadcasts() {
            out.push(Output::Store {
                reference,
                bytes,
                committed: false,
            });
        }
        self.handing
            .add(reference.digest, now.plus(self.config.offer_delay));
        self.tell = true;
        self.trim();
        self.answer(&reference, out);
        Ok(())
    }

    /// Keeps what is above the quotas within its own caps.
    pub(crate) fn trim(&mut self) {
        for digest in self.batches.shrink(&self.config) {
            self.handing.remove(&digest);
        }
    }

    /// A committed batch is in the store.
    fn in_store(&mut self, reference: &BatchRef, out: &mut Vec<Output>) {
        self.wants.remove(&reference.digest);
        self.backlog.arrived(&reference.digest);
        self.answer(reference, out);
        self.ask_for_log(out);
    }

    /// Answers the blocks that waited for this batch.
    fn answer(&mut self, reference: &BatchRef, out: &mut Vec<Output>) {
        let (answers, dropped) = self.checks.arrived(reference);
        for (block, true_claim) in answers {
            let held = if true_claim {
                Ok(())
            } else {
                Err(Unfit::Invalid)
            };
            out.push(Output::Checked { block, held });
        }
        for digest in dropped {
            self.wants.no_check(&digest);
        }
    }

    /// May this payload be voted for?
    pub(crate) fn check(
        &mut self,
        now: Time,
        block: Digest,
        height: Height,
        payload: Payload,
        out: &mut Vec<Output>,
    ) {
        match self.fit(height, &payload) {
            Err(unfit) => out.push(Output::Checked {
                block,
                held: Err(unfit),
            }),
            Ok(missing) if missing.is_empty() || crypto::planted!(VoteBlind) => {
                out.push(Output::Checked {
                    block,
                    held: Ok(()),
                });
            }
            Ok(missing) => {
                let proposer = self.handing.leader(self.config.me);
                for reference in missing.values() {
                    self.wants.for_check(&self.config, proposer, reference, now);
                }
                for digest in self.checks.add(self.config.checks, block, height, missing) {
                    self.wants.no_check(&digest);
                }
            }
        }
    }

    /// Nobody votes for this block any more: what only it waited for is not fetched.
    pub(crate) fn drop_check(&mut self, block: &Digest) {
        for digest in self.checks.remove(block) {
            self.wants.no_check(&digest);
        }
    }

    /// Whether a block of this height may hold the payload, and what of it is missing here. Never
    /// depends on what was executed.
    fn fit(&self, height: Height, payload: &Payload) -> Result<BTreeMap<Digest, BatchRef>, Unfit> {
        let refs = match payload {
            Payload::Refs(refs) => refs,
            Payload::Inline(list) => {
                let bytes: usize = list.iter().map(|it| it.bytes().len()).sum();
                let fits = bytes <= self.config.block_bytes;
                return if fits {
                    Ok(BTreeMap::new())
                } else {
                    Err(Unfit::Invalid)
                };
            }
        };
        let bytes: u64 = refs.iter().map(|r| u64::from(r.bytes)).sum();
        if refs.len() > self.config.block_batches || bytes > self.config.block_bytes as u64 {
            return Err(Unfit::Invalid);
        }
        let latest = if crypto::planted!(RefuseLate) {
            self.config.horizon(height)
        } else {
            *self.config.expiries(height).end()
        };
        let mut all = BTreeMap::new();
        for r in refs {
            let sound = r.author.index() < self.config.n
                && r.bytes as usize <= self.config.batch_bytes
                && (1..=self.config.batch_transactions).contains(&(r.count as usize))
                && r.expires <= latest
                && self.known(&r.digest).is_none_or(|known| known == *r)
                && all.insert(r.digest, *r).is_none();
            if !sound {
                return Err(Unfit::Invalid);
            }
        }
        if refs.iter().any(|r| r.expires < height) {
            return Err(Unfit::Expired);
        }
        let held = |digest: &Digest| self.known(digest).is_some() && !self.backlog.contains(digest);
        all.retain(|_, r| !held(&r.digest));
        Ok(all)
    }

    pub(crate) fn known(&self, digest: &Digest) -> Option<BatchRef> {
        self.batches
            .get(digest)
            .map(|h| h.reference)
            .or_else(|| self.memory.get(digest).copied())
    }

    /// A peer asks for batches: from memory at once, else from the store; at most a block's worth
    /// for one question.
    pub(crate) fn serve(
        &mut self,
        now: Time,
        from: NodeId,
        digests: Vec<Digest>,
        out: &mut Vec<Output>,
    ) {
        let mut room = self.config.block_bytes;
        let (mut batches, mut lacking) = (Vec::new(), Vec::new());
        for digest in digests {
            if self.served.has(&self.config, now, from, &digest) {
                continue;
            }
            if let Some(sealed) = self.batches.get(&digest).and_then(|h| h.body.as_ref()) {
                if sealed.bytes().len() > room {
                    break;
                }
                room -= sealed.bytes().len();
                batches.push(sealed.bytes().clone());
            } else if !self.config.broadcasts() || self.backlog.contains(&digest) {
                lacking.push(digest);
            } else if self.loads.is_full(&self.config, from) {
                continue;
            } else if self.loads.for_peer(from, digest) {
                out.push(Output::Load(digest));
            }
            self.served.add(from, digest);
        }
        // One message each: a batch is large, and the stream can serve others in between.
        let batches = batches
            .into_iter()
            .map(|bytes| Message::Batches(vec![bytes]));
        let lacking = (!lacking.is_empty()).then_some(Message::NotHeld(lacking));
        for message in batches.chain(lacking) {
            out.push(Output::Send {
                to: To::One(from),
                message,
            });
        }
    }

    /// The store answers.
    pub(crate) fn loaded(
        &mut self,
        now: Time,
        digest: Digest,
        bytes: Option<Bytes>,
        out: &mut Vec<Output>,
    ) {
        for peer in self.loads.loaded(&digest) {
            let message = match &bytes {
                Some(bytes) => Message::Batches(vec![bytes.clone()]),
                None => Message::NotHeld(vec![digest]),
            };
            out.push(Output::Send {
                to: To::One(peer),
                message,
            });
        }
        if self.backlog.contains(&digest) {
            let known = self.memory.get(&digest).copied();
            match known.filter(|_| bytes.is_some()) {
                Some(reference) => self.in_store(&reference, out),
                None if bytes.is_some() => {
                    self.wants.remove(&digest);
                    self.backlog.arrived(&digest);
                }
                None => self.wants.not_stored(&digest, now),
            }
        }
        self.ask_for_log(out);
    }

    /// Looks for committed batches that are missing, a bounded number at a time: in the own store
    /// first, then at the peers.
    pub(crate) fn ask_for_log(&mut self, out: &mut Vec<Output>) {
        // A batch may come from a peer while the own store is still asked for it.
        while self.wants.for_log().max(self.loads.own()) < self.config.fetches
            && let Some(reference) = self.backlog.ask()
        {
            if self.wants.for_commit(&reference) && self.loads.for_log(reference.digest) {
                out.push(Output::Load(reference.digest));
            }
        }
    }

    /// Asks peers for what is missing and due.
    pub(crate) fn fetch(&mut self, now: Time, out: &mut Vec<Output>) {
        for (peer, digests) in self.wants.due(&self.config, now) {
            if crypto::planted!(NoFetch) {
                continue;
            }
            out.push(Output::Send {
                to: To::One(peer),
                message: Message::Fetch(digests),
            });
        }
    }

    /// A peer holds batches that wait: those that this node lacks, it fetches within the quotas.
    pub(crate) fn offered(&mut self, now: Time, from: NodeId, refs: &[BatchRef]) {
        let height = self.height();
        let furthest = *self.config.expiries(height).end();
        for r in refs {
            let of_use = self.known(&r.digest).is_none()
                && r.expires > height
                && r.expires <= furthest
                && self
                    .batches
                    .within_quota(&self.config, Charge::Offerer(from), r.bytes as usize);
            if of_use {
                self.wants.for_offer(&self.config, from, r, now);
            }
        }
    }
}
