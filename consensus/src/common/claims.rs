//! What a message claims: epoch, author, and who has signed what. Signatures are gathered, so that
//! one batch checks a whole message.

use crypto::{Certificate, Epoch, NodeId, Reject, Signature, Statement, Verifier};

/// Signatures still to be checked.
pub struct Claims<'a> {
    by: &'a Verifier,
    /// Who sends the message; nobody does a proof that lies somewhere.
    from: Option<NodeId>,
    signed: Vec<(NodeId, Statement, Signature)>,
}

impl<'a> Claims<'a> {
    /// Those of a proof.
    #[must_use]
    pub fn new(by: &'a Verifier) -> Self {
        Self {
            by,
            from: None,
            signed: Vec::new(),
        }
    }
    /// Those of a message.
    ///
    /// # Errors
    /// [`Reject::NotMember`] if its sender is none.
    pub fn of(from: NodeId, by: &'a Verifier) -> Result<Self, Reject> {
        if !by.validators.contains(from) {
            return Err(Reject::NotMember);
        }
        Ok(Self {
            from: Some(from),
            ..Self::new(by)
        })
    }
    /// By whom it is checked.
    #[must_use]
    pub const fn verifier(&self) -> &'a Verifier {
        self.by
    }
    /// It is about this epoch.
    ///
    /// # Errors
    /// [`Reject::WrongContext`] if it is not the current one.
    pub fn epoch(&self, epoch: Epoch) -> Result<(), Reject> {
        if epoch == self.by.context.epoch {
            Ok(())
        } else {
            Err(Reject::WrongContext)
        }
    }
    /// Who sends it has made it.
    ///
    /// # Errors
    /// [`Reject::WrongSender`] if somebody else sends it.
    pub fn author(&self, author: NodeId) -> Result<(), Reject> {
        if self.from == Some(author) {
            Ok(())
        } else {
            Err(Reject::WrongSender)
        }
    }
    /// A member has signed this.
    pub fn signed(&mut self, node: NodeId, statement: Statement, signature: Signature) {
        self.signed.push((node, statement, signature));
    }
    /// A quorum of distinct members has signed: the i-th of them, in ascending order, what
    /// `statement` says.
    ///
    /// # Errors
    /// [`Reject::BadCertificate`] if they are too few, or not as many as signatures.
    pub fn quorum(
        &mut self,
        certificate: &Certificate,
        mut statement: impl FnMut(usize, NodeId) -> Statement,
    ) -> Result<(), Reject> {
        let signers = certificate.signers.len();
        let quorum = self.by.validators.quorums().commit;
        let enough = signers >= quorum || crypto::planted!(BelieveFew);
        if !enough || signers != certificate.signatures.len() {
            return Err(Reject::BadCertificate);
        }
        let signed = certificate.signers.iter().zip(&certificate.signatures);
        let signed = signed.enumerate();
        self.signed
            .extend(signed.map(|(i, (node, signature))| (node, statement(i, node), *signature)));
        Ok(())
    }
    /// Checks all signatures.
    ///
    /// # Errors
    /// See [`Verifier::all`].
    pub fn check(self) -> Result<(), Reject> {
        if self.signed.is_empty() {
            Ok(())
        } else {
            self.by.all(self.signed)
        }
    }
}
