//! Checked messages: the type that proves that a check was made.

use crate::{Context, NodeId, Reject, Scheme, Signature, Statement, ValidatorSet};
use std::ops::Deref;
use std::sync::Arc;

/// All that is needed to check a message of an epoch.
#[derive(Clone)]
pub struct Verifier {
    /// Chain and epoch.
    pub context: Context,
    /// The members.
    pub validators: Arc<ValidatorSet>,
    /// How signatures are checked.
    pub scheme: Arc<dyn Scheme>,
}

impl Verifier {
    /// Checks that every named member signed its statement, in one batch.
    ///
    /// # Errors
    /// [`Reject::WrongContext`], [`Reject::NotMember`], [`Reject::BadSignature`].
    pub fn all(
        &self,
        claims: impl IntoIterator<Item = (NodeId, Statement, Signature)>,
    ) -> Result<(), Reject> {
        let mut list = Vec::new();
        for (node, statement, signature) in claims {
            if statement.slot.epoch != self.context.epoch {
                return Err(Reject::WrongContext);
            }
            let key = self.validators.key(node).ok_or(Reject::NotMember)?;
            list.push((key, statement.digest(&self.context), signature));
        }
        if self.scheme.all_valid(&list) || crate::planted!(BelieveSignatures) {
            Ok(())
        } else {
            Err(Reject::BadSignature)
        }
    }
    /// Checks that every one of `signers` signed the same statement, in one batch: its digest is
    /// made once.
    ///
    /// # Errors
    /// As [`Verifier::all`].
    pub fn same(
        &self,
        statement: &Statement,
        signers: impl IntoIterator<Item = (NodeId, Signature)>,
    ) -> Result<(), Reject> {
        if statement.slot.epoch != self.context.epoch {
            return Err(Reject::WrongContext);
        }
        let digest = statement.digest(&self.context);
        let claim = |(node, signature)| {
            let key = self.validators.key(node).ok_or(Reject::NotMember)?;
            Ok((key, digest, signature))
        };
        let list = signers
            .into_iter()
            .map(claim)
            .collect::<Result<Vec<_>, Reject>>()?;
        if self.scheme.all_valid(&list) || crate::planted!(BelieveSignatures) {
            Ok(())
        } else {
            Err(Reject::BadSignature)
        }
    }
    /// Checks one signature.
    ///
    /// # Errors
    /// As [`Verifier::all`].
    pub fn one(
        &self,
        node: NodeId,
        statement: Statement,
        signature: Signature,
    ) -> Result<(), Reject> {
        self.all([(node, statement, signature)])
    }
}

/// What can be checked in full, nested certificates included. `from` is the authenticated sender.
pub trait Authenticate {
    /// Checks all that the message claims.
    ///
    /// # Errors
    /// The first thing found wrong.
    fn check(&self, from: NodeId, by: &Verifier) -> Result<(), Reject>;
}

/// A message whose every claim was checked. There is no other way to make one, and it cannot be
/// deserialised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T: Authenticate> Verified<T> {
    /// Checks the message.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn new(from: NodeId, message: T, by: &Verifier) -> Result<Self, Reject> {
        message.check(from, by)?;
        Ok(Self(message))
    }
}

impl<T> Verified<T> {
    /// The message.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// The own key, and the scheme it signs with.
pub struct Signer {
    /// Who signs.
    pub me: NodeId,
    /// With which key.
    pub key: crate::SecretKey,
    /// For which chain and epoch, by which scheme.
    pub verifier: Verifier,
}

impl Signer {
    /// Signs a statement of the own.
    #[must_use]
    pub fn sign(&self, statement: &Statement) -> Signature {
        self.verifier
            .scheme
            .sign(&self.key, &statement.digest(&self.verifier.context))
    }
}

impl<T> Verified<T> {
    /// A message of the own, just signed by `signer`: whoever holds the key need not check it. Its
    /// nested certificates come from messages that were checked.
    #[must_use]
    pub fn own(message: T, _signer: &Signer) -> Self {
        Self(message)
    }
}

#[cfg(test)]
mod tests;
