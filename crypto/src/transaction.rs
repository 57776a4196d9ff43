//! A client's signed transaction. Its signed bytes are specified here, not by the codec, so that
//! another language can make them.

use crate::{ChainId, Digest, Hasher, Height, PublicKey, Reject, Scheme, Signature};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The only format so far.
pub const FORMAT: u16 = 1;

/// A client's request to change the state. The body's language is storage's business.
///
/// The signature is over BLAKE3-256 of these bytes (numbers little-endian):
///
/// | bytes | field |
/// |---|---|
/// | 8 | 22, the length of the domain |
/// | 22 | `quorate/v1/transaction` |
/// | 8 | format (1) |
/// | 32 | chain id |
/// | 32 | client public key |
/// | 8 | sequence |
/// | 8 | expires |
/// | 8 | length of the body |
/// | .. | body |
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Transaction {
    /// [`FORMAT`].
    pub format: u16,
    /// For which chain.
    pub chain: ChainId,
    /// Who asks: also the name of his session.
    pub client: PublicKey,
    /// The client's own number for it; executed at most once for each (client, sequence).
    pub sequence: u64,
    /// Takes effect at this height at the latest, or never.
    pub expires: Height,
    /// Operations, opaque to all but storage.
    pub body: Bytes,
    /// Over [`Transaction::digest`].
    pub signature: Signature,
}

impl Transaction {
    /// Bytes of an encoded transaction besides its body.
    pub const OVERHEAD: usize = 2 + 32 + 32 + 8 + 8 + 8 + 64;

    /// What is signed. It is also the transaction's id.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Hasher::new("quorate/v1/transaction")
            .number(u64::from(self.format))
            .digest(&self.chain.0)
            .digest(&Digest(self.client.0))
            .number(self.sequence)
            .number(self.expires.0)
            .bytes(&self.body)
            .finish()
    }
    /// Its length in a batch, in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        Self::OVERHEAD + self.body.len()
    }
    /// Checks format, chain, key and signature of many at once (ZIP-215 batches).
    ///
    /// # Errors
    /// Per transaction: [`Reject::Malformed`], [`Reject::WrongContext`], [`Reject::BadSignature`].
    #[must_use]
    pub fn check_all(
        list: &[Transaction],
        chain: &ChainId,
        scheme: &dyn Scheme,
    ) -> Vec<Result<(), Reject>> {
        let mut checked: Vec<_> = list.iter().map(|t| t.check_fields(chain)).collect();
        let plausible: Vec<usize> = (0..list.len()).filter(|i| checked[*i].is_ok()).collect();
        let claim = |i: &usize| (list[*i].client, list[*i].digest(), list[*i].signature);
        let claims: Vec<_> = plausible.iter().map(claim).collect();
        for (i, valid) in plausible.iter().zip(scheme.verify(&claims)) {
            if !valid {
                checked[*i] = Err(Reject::BadSignature);
            }
        }
        checked
    }
    /// All but the signature, which is the dear part.
    fn check_fields(&self, chain: &ChainId) -> Result<(), Reject> {
        self.check_unsigned(chain)?;
        PublicKey::checked(self.client.0).map(|_| ())
    }
    /// Checks format and chain: all there is to check where clients do not sign. The client's key
    /// is then a mere name.
    ///
    /// # Errors
    /// [`Reject::Malformed`], [`Reject::WrongContext`].
    pub fn check_unsigned(&self, chain: &ChainId) -> Result<(), Reject> {
        if self.format != FORMAT {
            return Err(Reject::Malformed);
        }
        if self.chain != *chain {
            return Err(Reject::WrongContext);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
