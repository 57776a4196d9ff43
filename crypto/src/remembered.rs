//! A scheme that remembers what it found valid.
//!
//! The same quorum certificate comes in proposals, timeouts and answers of many peers, and the votes
//! in it came one by one before: each signature is checked once and then known.

use crate::scheme::Claim;
use crate::{Digest, Hasher, Scheme, SecretKey, Signature};
use std::sync::{Mutex, PoisonError};

/// How many claims are remembered: the certificates of some hundred views of a large set.
const SLOTS: usize = 1 << 14;

/// Answers as `S` does, and spends no second check on a claim that it found valid lately. Its memory
/// is of fixed size: each claim has one place, where it replaces what was there.
pub struct Remembered<S> {
    scheme: S,
    /// Digests of valid claims; [`Digest::ZERO`] where there is none.
    slots: Mutex<Box<[Digest]>>,
}

impl<S: Scheme> Remembered<S> {
    /// Around a scheme, knowing nothing yet.
    #[must_use]
    pub fn new(scheme: S) -> Self {
        Self {
            scheme,
            slots: Mutex::new(vec![Digest::ZERO; SLOTS].into()),
        }
    }

    /// Which of the names are known.
    fn known(&self, names: &[Digest]) -> Vec<bool> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        names
            .iter()
            .map(|name| slots[place(name)] == *name)
            .collect()
    }

    fn remember(&self, names: impl Iterator<Item = Digest>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            slots[place(&name)] = name;
        }
    }
}

/// A claim's name binds key, digest and signature, so that only the very same claim is known again.
fn name((key, digest, signature): &Claim) -> Digest {
    let mut hasher = Hasher::new("quorate/v1/claim");
    hasher
        .digest(&Digest(key.0))
        .digest(digest)
        .bytes(&signature.0)
        .finish()
}

fn place(name: &Digest) -> usize {
    usize::from(u16::from_le_bytes([name.0[0], name.0[1]])) % SLOTS
}

impl<S: Scheme> Scheme for Remembered<S> {
    fn sign(&self, key: &SecretKey, digest: &Digest) -> Signature {
        self.scheme.sign(key, digest)
    }
    fn verify(&self, claims: &[Claim]) -> Vec<bool> {
        let names: Vec<Digest> = claims.iter().map(name).collect();
        let mut valid = self.known(&names);
        let unknown: Vec<usize> = (0..claims.len()).filter(|i| !valid[*i]).collect();
        if unknown.is_empty() {
            return valid;
        }
        let fresh: Vec<Claim> = unknown.iter().map(|i| claims[*i]).collect();
        for (i, answer) in unknown.iter().zip(self.scheme.verify(&fresh)) {
            valid[*i] = answer;
        }
        self.remember(unknown.iter().filter(|i| valid[**i]).map(|i| names[*i]));
        valid
    }
}

#[cfg(test)]
mod tests;
