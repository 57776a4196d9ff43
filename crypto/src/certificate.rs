//! A quorum's signatures over one statement.

use crate::{NodeId, NodeSet, Reject, Signature, Statement, Verifier};
use serde::{Deserialize, Serialize};

/// Who signed, and their signatures in ascending order of signer. The statement is not part of it:
/// whoever embeds a certificate knows what it certifies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Certificate {
    /// Distinct members.
    pub signers: NodeSet,
    /// One for each signer, in ascending order of signer.
    pub signatures: Vec<Signature>,
}

impl Certificate {
    /// Collects signatures, at most one a member; later ones of a member are dropped.
    pub fn collect(signatures: impl IntoIterator<Item = (NodeId, Signature)>) -> Self {
        let mut list: Vec<_> = signatures.into_iter().collect();
        list.sort_by_key(|(node, _)| *node);
        let mut certificate = Self::default();
        for (node, signature) in list {
            if certificate.signers.insert(node) {
                certificate.signatures.push(signature);
            }
        }
        certificate
    }
    /// Checks that at least `quorum` distinct members signed `statement`.
    ///
    /// # Errors
    /// [`Reject::BadCertificate`] if the counts do not fit, [`Reject::NotMember`],
    /// [`Reject::BadSignature`].
    pub fn check(&self, statement: &Statement, quorum: usize, by: &Verifier) -> Result<(), Reject> {
        let enough = self.signers.len() >= quorum || crate::planted!(BelieveFew);
        if self.signers.len() != self.signatures.len() || !enough {
            return Err(Reject::BadCertificate);
        }
        by.same(
            statement,
            self.signers.iter().zip(self.signatures.iter().copied()),
        )
    }
}

#[cfg(test)]
mod tests;
