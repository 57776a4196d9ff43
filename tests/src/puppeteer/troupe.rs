//! The members of a play: their keys, signatures that cost next to nothing, and what each is told at
//! the start.

use crate::sim::mock;
use consensus::{Config, LeaderSchedule, Timing};
use crypto::scheme::Claim;
use crypto::{
    BatchRef, ChainId, Context, Digest, Epoch, FaultModel, Height, Kind, NodeId, Payload,
    PublicKey, Scheme, SecretKey, Signature, Signer, Slot, Statement, Time, Validator,
    ValidatorSet, Verifier, View,
};
use std::sync::Arc;

/// Chain and epoch of all plays.
pub const CONTEXT: Context = Context {
    chain: ChainId(Digest([0x9b; 32])),
    epoch: Epoch(0),
};

/// How patient all are, however often they have given up: no message takes nearly as long once all is
/// well, and whoever waits longer says the same again more often.
const TIMEOUT: Time = Time::millis(300);

/// A signature that spells out who signs what. To sign costs no hash; to check costs one, and most
/// plays check nothing, since only whoever holds a key writes its name: see [`super::Manner`].
fn spell(node: u16, statement: &Statement) -> Signature {
    let Statement { slot, content } = statement;
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&content.0);
    bytes[32..34].copy_from_slice(&node.to_le_bytes());
    bytes[34] = slot.kind as u8;
    // Never all zero: `Signature::NONE` must not verify.
    bytes[35] = 1;
    bytes[36..44].copy_from_slice(&slot.view.0.to_le_bytes());
    bytes[44..52].copy_from_slice(&slot.height.0.to_le_bytes());
    bytes[52..60].copy_from_slice(&slot.epoch.0.to_le_bytes());
    Signature(bytes)
}

/// Reads what [`spell`] wrote.
fn read(signature: &Signature) -> Option<(u16, Statement)> {
    let bytes = &signature.0;
    let number = |from: usize| {
        let mut eight = [0; 8];
        eight.copy_from_slice(&bytes[from..from + 8]);
        u64::from_le_bytes(eight)
    };
    let mut content = Digest::ZERO;
    content.0.copy_from_slice(&bytes[..32]);
    let slot = Slot {
        kind: *Kind::ALL.get(usize::from(bytes[34]))?,
        epoch: Epoch(number(52)),
        view: View(number(36)),
        height: Height(number(44)),
    };
    let node = u16::from_le_bytes([bytes[32], bytes[33]]);
    let statement = Statement { slot, content };
    (spell(node, &statement) == *signature).then_some((node, statement))
}

/// Checks such signatures.
struct Spelled {
    keys: Vec<PublicKey>,
}

impl Scheme for Spelled {
    /// Statements are signed, not their digests: this signature is of no use.
    fn sign(&self, _: &SecretKey, _: &Digest) -> Signature {
        Signature::NONE
    }
    fn verify(&self, claims: &[Claim]) -> Vec<bool> {
        let valid = |(key, digest, signature): &Claim| {
            read(signature).is_some_and(|(node, statement)| {
                self.keys.get(usize::from(node)) == Some(key)
                    && statement.digest(&CONTEXT) == *digest
            })
        };
        claims.iter().map(valid).collect()
    }
}

/// See the module. Costs a thousand times a play's signature, so that many plays share one.
pub struct Troupe {
    /// How all check what they are told.
    pub verifier: Verifier,
    /// Whoever shows it may pass a message on unchecked.
    pub pass: Signer,
    /// How many.
    pub n: u16,
    /// How many of them lie: those with the highest numbers.
    pub f: u16,
}

impl Troupe {
    /// Of so many members, of whom as many lie as can be borne.
    #[must_use]
    pub fn of(n: u16) -> Self {
        Self::with(n, n.saturating_sub(1) / 3)
    }
    /// Of so many members, of whom so many lie.
    ///
    /// # Panics
    /// If there are none, or more than a certificate has room for.
    #[must_use]
    pub fn with(n: u16, f: u16) -> Self {
        let key = |i: u16| mock::key("validator", u64::from(i)).public();
        let keys: Vec<PublicKey> = (0..n).map(key).collect();
        let members = keys.iter().map(|key| Validator { key: *key }).collect();
        let validators = ValidatorSet::new(members, FaultModel::Byzantine);
        let verifier = Verifier {
            context: CONTEXT,
            validators: Arc::new(validators.expect("the keys are distinct and none is weak")),
            scheme: Arc::new(Spelled { keys }),
        };
        let pass = Signer {
            me: NodeId(0),
            key: SecretKey::from_seed(&mock::key("validator", 0).seed()),
            verifier: verifier.clone(),
        };
        Self {
            verifier,
            pass,
            n,
            f,
        }
    }
    /// How many do not lie.
    #[must_use]
    pub fn honest(&self) -> usize {
        usize::from(self.n - self.f)
    }
    /// Those who lie.
    pub fn liars(&self) -> std::ops::Range<u16> {
        self.n - self.f..self.n
    }
    /// Whether this one lies.
    #[must_use]
    pub fn lies(&self, node: u16) -> bool {
        self.liars().contains(&node)
    }
    /// How many certify, as the members see it.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.verifier.validators.quorums().commit
    }
    /// How many honest signatures the liars need for a certificate.
    #[must_use]
    pub fn wanted(&self) -> usize {
        self.quorum().saturating_sub(usize::from(self.f))
    }
    /// The configuration of a member.
    #[must_use]
    pub fn config(&self, me: u16, leaders: &LeaderSchedule) -> Config {
        let validators = &self.verifier.validators;
        Config {
            me: NodeId(me),
            context: CONTEXT,
            validators: Arc::clone(validators),
            quorums: validators.quorums(),
            leaders: leaders.clone(),
            timing: Timing {
                timeout_cap: TIMEOUT,
                timeout: TIMEOUT,
                ..Timing::default()
            },
            seed: [me as u8; 32],
            block_bytes: 1 << 20,
            execution_lag: 1024,
        }
    }
    /// A member's signature.
    #[must_use]
    pub fn sign(&self, node: u16, statement: &Statement) -> Signature {
        spell(node, statement)
    }
    /// Whether a member's signature is genuine. Knows nothing of how members check.
    #[must_use]
    pub fn is_genuine(node: NodeId, statement: &Statement, signature: &Signature) -> bool {
        spell(node.0, statement) == *signature
    }
}

/// A payload of one batch of this number, which is not 0.
#[must_use]
pub fn payload(number: u64) -> Payload {
    Payload::Refs(vec![batch(number)])
}

/// A batch by its number; nobody looks into it here.
#[must_use]
pub fn batch(number: u64) -> BatchRef {
    let mut digest = Digest([0xba; 32]);
    digest.0[..8].copy_from_slice(&number.to_le_bytes());
    BatchRef {
        author: NodeId(0),
        number,
        digest,
        bytes: 100,
        count: 1,
        expires: Height(1 << 40),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(view: u64) -> Statement {
        let slot = Slot {
            kind: Kind::Prepare,
            epoch: Epoch(0),
            view: View(view),
            height: Height(3),
        };
        let content = Digest([7; 32]);
        Statement { slot, content }
    }

    #[test]
    fn kinds_are_named_by_their_numbers() {
        let mut numbered = Kind::ALL.iter().enumerate();
        assert!(numbered.all(|(i, kind)| *kind as usize == i));
    }

    #[test]
    fn only_the_right_key_and_statement_verify() {
        let troupe = Troupe::of(4);
        let (one, other) = (statement(5), statement(6));
        let signature = troupe.sign(1, &one);
        let by = &troupe.verifier;
        assert!(by.one(NodeId(1), one, signature).is_ok());
        assert!(by.one(NodeId(2), one, signature).is_err());
        assert!(by.one(NodeId(1), other, signature).is_err());
        assert!(by.one(NodeId(1), one, Signature::NONE).is_err());
        let mut changed = signature;
        changed.0[63] = 1;
        assert!(by.one(NodeId(1), one, changed).is_err());
    }

    #[test]
    fn two_quorums_share_more_than_can_lie() {
        for (n, f, quorum) in [(4, 1, 3), (7, 2, 5)] {
            let troupe = Troupe::of(n);
            assert_eq!((troupe.f, troupe.quorum()), (f, quorum));
            assert_eq!(troupe.wanted(), usize::from(f) + 1);
        }
    }
}
