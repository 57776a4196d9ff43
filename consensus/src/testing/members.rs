//! The members of a test's chain: their keys, and what they are told at the start.

use super::{Mock, Subject};
use crate::{Anchor, Config, LeaderSchedule, Timing};
use crypto::*;
use std::marker::PhantomData;
use std::sync::Arc;

/// The members of a chain that runs the protocol `P`.
pub struct Members<P> {
    pub verifier: Verifier,
    pub quorums: Quorums,
    pub leaders: LeaderSchedule,
    pub timing: Timing,
    pub execution_lag: u64,
    /// Deriving them for each signature would cost more than all the rest.
    publics: Vec<PublicKey>,
    protocol: PhantomData<fn() -> P>,
}

impl<P> Clone for Members<P> {
    fn clone(&self) -> Self {
        Self {
            verifier: self.verifier.clone(),
            quorums: self.quorums,
            leaders: self.leaders.clone(),
            timing: self.timing.clone(),
            execution_lag: self.execution_lag,
            publics: self.publics.clone(),
            protocol: PhantomData,
        }
    }
}

fn secret(i: u16) -> SecretKey {
    SecretKey::from_seed(&[i as u8 + 1; 32])
}

impl<P: Subject> Members<P> {
    /// So many, who lead in this order.
    pub fn led(n: u16, leaders: LeaderSchedule) -> Self {
        let publics: Vec<_> = (0..n).map(|i| secret(i).public()).collect();
        let members = publics.iter().map(|key| Validator { key: *key }).collect();
        let validators = ValidatorSet::new(members, P::FAULTS).unwrap();
        let context = Context {
            chain: ChainId(Digest([7; 32])),
            epoch: Epoch(0),
        };
        Self {
            quorums: validators.quorums(),
            verifier: Verifier {
                context,
                validators: Arc::new(validators),
                scheme: Arc::new(Mock),
            },
            leaders,
            timing: Timing::default(),
            execution_lag: 1024,
            publics,
            protocol: PhantomData,
        }
    }
    /// How many.
    pub fn n(&self) -> u16 {
        self.publics.len() as u16
    }
    /// How many commit.
    pub fn quorum(&self) -> usize {
        self.quorums.commit
    }
    pub fn config(&self, me: u16) -> Config {
        Config {
            me: NodeId(me),
            context: self.verifier.context,
            validators: Arc::clone(&self.verifier.validators),
            quorums: self.quorums,
            leaders: self.leaders.clone(),
            timing: self.timing.clone(),
            seed: [me as u8; 32],
            block_bytes: 1 << 20,
            execution_lag: self.execution_lag,
        }
    }
    pub fn signer(&self, me: u16) -> Signer {
        Signer {
            me: NodeId(me),
            key: secret(me),
            verifier: self.verifier.clone(),
        }
    }
    pub fn sign(&self, node: u16, statement: &Statement) -> Signature {
        Mock::signature(
            &self.publics[node as usize],
            &statement.digest(&self.verifier.context),
        )
    }
    /// Genesis.
    pub fn anchor(&self) -> Anchor<P::Proof> {
        Anchor {
            epoch: Epoch(0),
            height: Height(0),
            executed: Height(0),
            history: Digest::ZERO,
            state: Digest::ZERO,
            proof: None,
        }
    }
}
