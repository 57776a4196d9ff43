//! The checks of what comes in, cheapest first: length, decoding, membership, window, and only then
//! signatures. Pure functions of the input and the configuration, so they run on any thread.

use crate::Ingress;
use crate::wire::{Frame, decode};
use bytes::Bytes;
use consensus::replica::{ReplicaInput, Wire};
use consensus::{Protocol, Window};
use crypto::{NodeId, Reject, Transaction, Verifier};
use std::marker::PhantomData;

/// A peer's message that passed all checks.
#[derive(Debug)]
pub enum Checked<P: Protocol> {
    /// For the protocol and its shell.
    Replica(ReplicaInput<P>),
    /// For the pool.
    Pool(mempool::CheckedMessage),
}

/// The ingress of a node that runs the protocol `P`.
pub struct Gatekeeper<P> {
    verifier: Verifier,
    rules: mempool::Rules,
    frame_bytes: usize,
    protocol: PhantomData<fn() -> P>,
}

impl<P: Protocol> Gatekeeper<P> {
    /// Checks by these keys and rules; frames longer than `frame_bytes` are refused unread.
    #[must_use]
    pub fn new(verifier: Verifier, rules: mempool::Rules, frame_bytes: usize) -> Self {
        Self {
            verifier,
            rules,
            frame_bytes,
            protocol: PhantomData,
        }
    }
}

impl<P: Protocol> Ingress for Gatekeeper<P> {
    type Checked = Checked<P>;

    fn admit(&self, from: NodeId, frame: &Bytes, window: &Window) -> Result<Checked<P>, Reject> {
        if !self.verifier.validators.contains(from) {
            return Err(Reject::NotMember);
        }
        match decode::<P::Message>(frame, self.frame_bytes)? {
            Frame::Replica(wire) => {
                if let Wire::Protocol(message) = &wire {
                    within(message, window)?;
                }
                ReplicaInput::verify(from, wire, &self.verifier).map(Checked::Replica)
            }
            Frame::Pool(message) => self
                .rules
                .admit(from, message, &self.verifier)
                .map(Checked::Pool),
        }
    }

    fn checks_signatures(&self) -> bool {
        self.rules.signed
    }

    fn admit_transactions(
        &self,
        list: Vec<Transaction>,
    ) -> Vec<Result<mempool::CheckedTransaction, Reject>> {
        let chain = self.verifier.context.chain;
        self.rules
            .admit_transactions(list, &chain, &*self.verifier.scheme)
    }
}

/// Whether a message may be of interest, so that it is worth the check of its signatures.
fn within<M: consensus::Message>(message: &M, window: &Window) -> Result<(), Reject> {
    let Some((view, height)) = message.position() else {
        return Ok(());
    };
    if view > window.views.1 || height > window.heights.1 {
        return Err(Reject::TooFar);
    }
    if view < window.views.0 || height < window.heights.0 {
        return Err(Reject::TooOld);
    }
    Ok(())
}
