//! Ed25519 keys and signatures as plain bytes, and secret keys that are wiped when dropped.

use crate::expanded::expand;
use crate::{Digest, Reject};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A compressed Ed25519 point. Weak (small-order) points are refused by [`PublicKey::checked`],
/// through which every validator's and client's key passes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey(#[serde(with = "crate::words")] pub [u8; 32]);

impl PublicKey {
    /// Decompresses the point and refuses small order.
    ///
    /// # Errors
    /// [`Reject::BadSignature`] if the bytes are no point or a weak one.
    pub fn checked(bytes: [u8; 32]) -> Result<Self, Reject> {
        match expand(&Self(bytes)) {
            Some(key) if !key.weak => Ok(Self(bytes)),
            _ => Err(Reject::BadSignature),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..4]))
    }
}

/// An Ed25519 signature (R, s).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(#[serde(with = "crate::words")] pub [u8; 64]);

impl Signature {
    /// The placeholder of a draft whose kind needs no signature; never valid.
    pub const NONE: Signature = Signature([0; 64]);
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..4]))
    }
}

/// A secret key. Its memory is wiped on drop; it is neither printed nor serialised.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a 32-byte seed (RFC 8032).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }
    /// The seed, for writing the key file; the caller wipes it.
    #[must_use]
    pub fn seed(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.0.to_bytes())
    }
    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }
    /// Signs a digest (RFC 8032, deterministic).
    #[must_use]
    pub fn sign(&self, digest: &Digest) -> Signature {
        Signature(self.0.sign(&digest.0).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({:?})", self.public())
    }
}

#[cfg(test)]
pub(crate) mod tests;
