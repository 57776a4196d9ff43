//! BLAKE3 digests with domain separation.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A BLAKE3-256 digest.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(#[serde(with = "crate::words")] pub [u8; 32]);

impl Digest {
    /// All zero: the parent of genesis, the history before the first commit.
    pub const ZERO: Digest = Digest([0; 32]);
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The first eight hex digits: enough to tell digests apart in a log.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..4]))
    }
}

/// Hashes fields under a domain tag. Every variable-length field is preceded by its length, so no
/// two sequences of fields share an encoding.
pub struct Hasher(blake3::Hasher);

impl Hasher {
    /// Starts a digest of the given domain, for instance `"quorate/v1/block"`.
    #[must_use]
    pub fn new(domain: &'static str) -> Self {
        let mut hasher = Self(blake3::Hasher::new());
        hasher.bytes(domain.as_bytes());
        hasher
    }
    /// Adds a field of variable length, its length (u64, little-endian) first.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }
    /// Adds fields that are encoded as the other functions do: many at once are hashed side by side.
    pub fn encoded(&mut self, fields: &[u8]) -> &mut Self {
        self.0.update(fields);
        self
    }
    /// Adds a number, little-endian.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }
    /// Adds a digest: 32 bytes, no length.
    pub fn digest(&mut self, digest: &Digest) -> &mut Self {
        self.0.update(&digest.0);
        self
    }
    /// The digest of all that was added.
    #[must_use]
    pub fn finish(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}
