//! Signature checking: ZIP-215 validity, alone or in batches, always with the same answer.

use crate::expanded::expand;
use crate::{Digest, PublicKey, SecretKey, Signature};

/// One claim: this key signed this digest.
pub type Claim = (PublicKey, Digest, Signature);

/// A signature scheme. A parameter of ingress and shell, so that the simulator can use a cheap one
/// (its type lives in `tests/`); the program knows only [`Ed25519`].
pub trait Scheme: Send + Sync + 'static {
    /// Signs a digest.
    fn sign(&self, key: &SecretKey, digest: &Digest) -> Signature;
    /// For each claim whether it is valid. The answer for one never depends on its neighbours.
    fn verify(&self, claims: &[Claim]) -> Vec<bool>;
    /// Whether all claims are valid.
    fn all_valid(&self, claims: &[Claim]) -> bool {
        self.verify(claims).into_iter().all(|valid| valid)
    }
}

/// Claims a batch check takes at a time: nearly all that a larger batch would save is saved, and one
/// bad claim among many costs only its neighbours' single checks.
const BATCH: usize = 64;

/// Ed25519 under the rules of ZIP-215.
///
/// If ed25519-dalek's batch check passes, every member is ZIP-215-valid: its random factors let
/// nothing cancel out but torsion, which ZIP-215 ignores. If it fails, or for one alone,
/// ed25519-zebra decides each. So all ways to batch agree.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ed25519;

impl Scheme for Ed25519 {
    fn sign(&self, key: &SecretKey, digest: &Digest) -> Signature {
        key.sign(digest)
    }
    fn verify(&self, claims: &[Claim]) -> Vec<bool> {
        let mut valid = Vec::with_capacity(claims.len());
        for batch in claims.chunks(BATCH) {
            if batch.len() > 1 && batch_passes(batch) {
                valid.resize(valid.len() + batch.len(), true);
            } else {
                valid.extend(batch.iter().map(zip215_valid));
            }
        }
        valid
    }
}

fn batch_passes(claims: &[Claim]) -> bool {
    let mut keys = Vec::with_capacity(claims.len());
    for (key, _, _) in claims {
        match expand(key) {
            Some(expanded) => keys.push(expanded.batch),
            None => return false,
        }
    }
    let messages: Vec<&[u8]> = claims.iter().map(|(_, digest, _)| &digest.0[..]).collect();
    let signatures: Vec<_> = claims
        .iter()
        .map(|(_, _, s)| ed25519_dalek::Signature::from_bytes(&s.0))
        .collect();
    ed25519_dalek::verify_batch(&messages, &signatures, &keys).is_ok()
}

fn zip215_valid((key, digest, signature): &Claim) -> bool {
    let signature = ed25519_zebra::Signature::from(signature.0);
    expand(key).is_some_and(|key| key.single.verify(&signature, &digest.0).is_ok())
}

#[cfg(test)]
mod tests;
