//! Who has signed what, for a verifier who knows the validators and the written formats only.

use crypto::{Certificate, ChainId, Digest, Hasher, NodeId, PublicKey, Scheme};
use std::sync::Arc;

/// Kinds of statements that proofs of commits consist of, by the number that is signed.
pub mod kind {
    /// HotStuff: a vote.
    pub const VOTE: u64 = 1;
    /// PBFT: a commit.
    pub const COMMIT: u64 = 7;
}

/// The validators of a chain.
#[derive(Clone)]
pub struct Genuine {
    chain: ChainId,
    keys: Vec<PublicKey>,
    scheme: Arc<dyn Scheme>,
}

impl Genuine {
    /// Of this chain, by their ids.
    #[must_use]
    pub fn new(chain: ChainId, keys: Vec<PublicKey>, scheme: Arc<dyn Scheme>) -> Self {
        Self {
            chain,
            keys,
            scheme,
        }
    }
    /// The digest that is signed for a statement of epoch 0 about this view and height.
    #[must_use]
    pub fn statement(&self, kind: u64, (view, height): (u64, u64), content: &Digest) -> Digest {
        Hasher::new("quorate/v1/statement")
            .digest(&self.chain.0)
            .number(0)
            .number(kind)
            .number(view)
            .number(height)
            .digest(content)
            .finish()
    }
    /// Who is named as a signer, and whether he has signed this.
    #[must_use]
    pub fn signers(&self, signed: Digest, by: &Certificate) -> Vec<(NodeId, bool)> {
        let Certificate {
            signers,
            signatures,
        } = by;
        let genuine = |(i, node): (usize, NodeId)| {
            let claim = self.keys.get(node.index()).zip(signatures.get(i));
            let valid = claim.is_some_and(|(key, signature)| {
                self.scheme.verify(&[(*key, signed, *signature)]) == [true]
            });
            (node, valid)
        };
        signers.iter().enumerate().map(genuine).collect()
    }
}
