//! Prepared and commit certificates, and the proof of a commit.

use super::slot::{self, Assigned};
use crate::Committed;
use crate::common::Claims;
use crate::replica::StableCheckpoint;
use crypto::{
    Certificate, Epoch, Kind, NodeId, Reject, Signature, Slot, Statement, Verifier, View,
};
use serde::{Deserialize, Serialize};

/// What a pre-prepare, prepare or commit signs. `history` is no part of it: it follows from the
/// contents of all heights.
#[must_use]
pub fn phase_statement(kind: Kind, epoch: Epoch, it: &Assigned) -> Statement {
    Statement {
        slot: Slot {
            kind,
            epoch,
            view: it.view,
            height: it.height,
        },
        content: it.digest,
    }
}

/// The pre-prepare of a slot and prepares for it, of a quorum of distinct members in all (\[CL\]
/// section 4.2, "prepared").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// What was prepared.
    pub assigned: Assigned,
    /// Whose signature is of a pre-prepare: the primary of the view.
    pub primary: NodeId,
    /// The primary's signature and those of the others' prepares.
    pub certificate: Certificate,
}

impl Prepared {
    /// Checks its form and adds its signatures to `claims`. That `primary` led the view, the
    /// replica checks, which knows who leads.
    ///
    /// # Errors
    /// [`Reject::BadCertificate`].
    pub fn claim(&self, claims: &mut Claims<'_>) -> Result<(), Reject> {
        if self.assigned.view == View(0) || !self.certificate.signers.contains(self.primary) {
            return Err(Reject::BadCertificate);
        }
        let epoch = claims.verifier().context.epoch;
        let pre_prepare = phase_statement(Kind::PrePrepare, epoch, &self.assigned);
        let prepare = phase_statement(Kind::Prepare, epoch, &self.assigned);
        claims.quorum(&self.certificate, |_, node| {
            if node == self.primary {
                pre_prepare
            } else {
                prepare
            }
        })
    }
    /// The primary's own signature.
    #[must_use]
    pub fn primary_signature(&self) -> Option<Signature> {
        let signers = self.certificate.signers.iter();
        let mut signed = signers.zip(&self.certificate.signatures);
        signed
            .find(|(node, _)| *node == self.primary)
            .map(|(_, signature)| *signature)
    }
}

/// A quorum's commits for one slot in one view (\[CL\] section 4.2, "committed").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitCertificate {
    /// What was committed.
    pub assigned: Assigned,
    /// Who said so.
    pub certificate: Certificate,
}

impl CommitCertificate {
    /// Checks its form and adds its signatures to `claims`.
    ///
    /// # Errors
    /// [`Reject::BadCertificate`].
    pub fn claim(&self, claims: &mut Claims<'_>) -> Result<(), Reject> {
        if self.assigned.view == View(0) {
            return Err(Reject::BadCertificate);
        }
        let epoch = claims.verifier().context.epoch;
        let statement = phase_statement(Kind::Commit, epoch, &self.assigned);
        claims.quorum(&self.certificate, |_, _| statement)
    }
}

/// Checks the form of a stable checkpoint and adds its signatures to `claims`.
///
/// # Errors
/// [`Reject::BadCertificate`].
pub fn claim_checkpoint(stable: &StableCheckpoint, claims: &mut Claims<'_>) -> Result<(), Reject> {
    let statement = stable.statement(&claims.verifier().context);
    claims.quorum(&stable.certificate, |_, _| statement)
}

/// Convinces a third party that a height is committed: q commits. Two replicas may have different
/// ones for the same height, so it is never hashed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Proof(pub CommitCertificate);

impl Proof {
    /// Checks that it proves the commit of `committed.payload` at `committed.height`. `history`
    /// is not signed: it follows from the payloads of all heights.
    ///
    /// # Errors
    /// [`Reject::Malformed`] if it proves something else, or what is wrong with the certificate.
    pub fn check(committed: &Committed<Self>, by: &Verifier) -> Result<(), Reject> {
        let Self(certificate) = &committed.proof;
        slot::check_payload(&committed.payload)?;
        let assigned = &certificate.assigned;
        let claimed = assigned.height == committed.height
            && assigned.digest == slot::content(&committed.payload);
        if !claimed {
            return Err(Reject::Malformed);
        }
        let mut claims = Claims::new(by);
        certificate.claim(&mut claims)?;
        claims.check()
    }
}
