//! What the protocol asks for and reports: payload, commits, leaders.

use crate::message::LIST;
use crate::{Mempool, Message, Output, To};
use crypto::{BatchRef, Digest, Height, NodeId, Payload, Time};
use std::collections::BTreeSet;

impl Mempool {
    /// Something to order at a height, now: at most so many bytes, and without some.
    pub(crate) fn want(
        &mut self,
        now: Time,
        ticket: u64,
        height: Height,
        (budget, exclude): (u32, Vec<Digest>),
        out: &mut Vec<Output>,
    ) {
        self.seal(now, true, out);
        let exclude: BTreeSet<Digest> = exclude.into_iter().collect();
        let budget = self.config.block_bytes.min(budget as usize);
        let count = self.config.block_batches;
        let refs = self
            .batches
            .next(budget, count, &exclude, &self.config.expiries(height));
        let payload = if self.config.broadcasts() {
            Payload::Refs(refs)
        } else {
            let body = |r: &BatchRef| self.batches.get(&r.digest)?.body.clone();
            let bodies = refs.iter().filter_map(body);
            Payload::Inline(bodies.collect())
        };
        let payload = if payload.is_empty() {
            Payload::EMPTY
        } else {
            payload
        };
        out.push(Output::Payload { ticket, payload });
    }

    /// The next height is committed.
    pub(crate) fn committed(
        &mut self,
        now: Time,
        height: Height,
        payload: &Payload,
        by_leader: bool,
        out: &mut Vec<Output>,
    ) {
        assert_eq!(
            height,
            self.height().next(),
            "heights are committed in order"
        );
        let (mut lacking, mut new) = (Vec::new(), Vec::new());
        for r in &*payload.references() {
            if self.memory.get(&r.digest).is_none() {
                new.push(*r);
            }
            self.handing.remove(&r.digest);
            self.clients.settle_own(&r.digest);
            if let Some(held) = self.batches.remove(&r.digest) {
                if let Some(sealed) = &held.body {
                    self.clients.settle(sealed.batch());
                }
            } else if self.config.broadcasts()
                && (self.memory.get(&r.digest).is_none() || self.backlog.contains(&r.digest))
            {
                lacking.push(*r);
            }
            self.memory.insert(&self.config, *r);
        }
        if let Payload::Inline(bodies) = payload {
            for sealed in bodies {
                self.clients.settle(sealed.batch());
            }
        }
        self.backlog.commit(height, lacking);
        self.ask_for_log(out);
        for digest in self.checks.committed(height) {
            self.wants.no_check(&digest);
        }
        self.expire(height, out);
        if !by_leader {
            return;
        }
        // What was ordered before fills no block.
        for digest in self.handing.ordered(&self.config, now, &new) {
            let held = self.batches.get(&digest).expect("what is watched is held");
            out.push(Output::Overdue {
                batch: held.reference,
            });
        }
    }

    /// Hands to the leader what is due: by name, since it has most of it. Where batches go to the
    /// leader only, a new one has none of the own ones: it gets them whole, without having to ask.
    /// Elsewhere all others are told of what no leader takes: they may have missed it.
    pub(crate) fn offer(&mut self, now: Time, out: &mut Vec<Output>) {
        let leader = self.handing.leader(self.config.me);
        loop {
            let due = self.handing.due(&self.config, now, LIST);
            if due.is_empty() {
                return;
            }
            let (mut to_leader, mut to_all) = (Vec::new(), Vec::new());
            for it in due {
                let held = self.batches.get(&it.digest);
                let held = held.expect("what is offered is held");
                let own = held.reference.author == self.config.me;
                match (&held.body, leader) {
                    (Some(sealed), Some(leader))
                        if own && it.fresh && !self.config.broadcasts() =>
                    {
                        out.push(Output::Send {
                            to: To::One(leader),
                            message: Message::Batch(sealed.bytes().clone()),
                        });
                    }
                    _ if it.widely => to_all.push(held.reference),
                    _ => to_leader.push(held.reference),
                }
            }
            let to_leader = leader.map(|leader| (To::One(leader), to_leader));
            for (to, refs) in to_leader.into_iter().chain([(To::Others, to_all)]) {
                if !refs.is_empty() {
                    let message = Message::Offer(refs);
                    out.push(Output::Send { to, message });
                }
            }
        }
    }

    /// A peer is back: it may have missed the own batches; a leader, all that were handed to it.
    pub(crate) fn connected(&mut self, now: Time, peer: NodeId, out: &mut Vec<Output>) {
        if peer == self.config.me || peer.index() >= self.config.n {
            return;
        }
        if self.handing.leader(self.config.me) == Some(peer) {
            self.handing.again(now);
        } else if self.config.broadcasts() {
            let own: Vec<BatchRef> = self.batches.of(self.config.me).collect();
            for part in own.chunks(LIST) {
                let message = Message::Offer(part.to_vec());
                out.push(Output::Send {
                    to: To::One(peer),
                    message,
                });
            }
        }
    }
}
