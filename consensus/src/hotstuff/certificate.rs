//! Quorum certificates, timeout certificates, and the proof of a commit.

use super::block::Header;
use super::rules;
use crate::Committed;
use crate::common::Claims;
use crypto::{
    Certificate, Context, Digest, Epoch, Hasher, Height, Kind, Reject, Slot, Statement, Verifier,
    View,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Stands for the state in which an epoch begins; the certified block of view 0.
#[must_use]
pub fn anchor_digest(context: &Context) -> Digest {
    Hasher::new("quorate/v1/anchor")
        .digest(&context.chain.0)
        .number(context.epoch.0)
        .finish()
}

/// What a vote signs. A key has one vote in a view whatever the height, hence the slot's height 0;
/// the height is part of the content, so that a certificate proves it without the block.
#[must_use]
pub fn vote_statement(epoch: Epoch, view: View, height: Height, block: &Digest) -> Statement {
    let content = Hasher::new("quorate/v1/vote")
        .number(height.0)
        .digest(block)
        .finish();
    Statement {
        slot: Slot {
            kind: Kind::Vote,
            epoch,
            view,
            height: Height(0),
        },
        content,
    }
}

/// What a timeout signs: that this tenure is given up, and the view of the signer's high certificate.
#[must_use]
pub fn timeout_statement(epoch: Epoch, tenure: u64, high: View) -> Statement {
    let content = Hasher::new("quorate/v1/timeout")
        .number(tenure)
        .number(high.0)
        .finish();
    Statement {
        slot: Slot {
            kind: Kind::Timeout,
            epoch,
            view: View(tenure),
            height: Height(0),
        },
        content,
    }
}

/// q votes for one block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumCertificate {
    /// The block's view.
    pub view: View,
    /// The block's height.
    pub height: Height,
    /// The block.
    pub block: Digest,
    /// Who voted for it.
    pub certificate: Certificate,
}

impl QuorumCertificate {
    /// The certificate of view 0: no signers, valid only for exactly this digest.
    #[must_use]
    pub fn anchor(context: &Context) -> Self {
        Self {
            view: View(0),
            height: Height(0),
            block: anchor_digest(context),
            certificate: Certificate::default(),
        }
    }
    /// Checks its form and adds its signatures to `claims`.
    ///
    /// # Errors
    /// [`Reject::BadCertificate`].
    pub fn claim(&self, claims: &mut Claims<'_>) -> Result<(), Reject> {
        if self.view == View(0) {
            let anchor = *self == Self::anchor(&claims.verifier().context);
            return if anchor {
                Ok(())
            } else {
                Err(Reject::BadCertificate)
            };
        }
        let epoch = claims.verifier().context.epoch;
        let statement = vote_statement(epoch, self.view, self.height, &self.block);
        claims.quorum(&self.certificate, |_, _| statement)
    }
}

/// q timeouts of one tenure. Its signers may have known different high certificates; it carries the
/// highest of them and is worth nothing without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeoutCertificate {
    /// The tenure given up.
    pub tenure: u64,
    /// The view of each signer's high certificate, in ascending order of signer.
    pub high_views: Vec<View>,
    /// Who gave it up; each signature is over the signer's own high view.
    pub certificate: Certificate,
    /// The quorum certificate of the highest of `high_views`.
    pub high: Arc<QuorumCertificate>,
}

impl TimeoutCertificate {
    /// Checks its form and adds its signatures, and those of the high certificate, to `claims`.
    ///
    /// # Errors
    /// [`Reject::BadCertificate`].
    pub fn claim(&self, claims: &mut Claims<'_>) -> Result<(), Reject> {
        let same_length = self.high_views.len() == self.certificate.signers.len();
        if !same_length || self.high_views.iter().max() != Some(&self.high.view) {
            return Err(Reject::BadCertificate);
        }
        self.high.claim(claims)?;
        let epoch = claims.verifier().context.epoch;
        claims.quorum(&self.certificate, |i, _| {
            timeout_statement(epoch, self.tenure, self.high_views[i])
        })
    }
}

/// Convinces a third party that a block is committed: the headers from it up to three certified
/// ones in consecutive views, and the certificate of the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Ascending; the last three are b2, b1, b0 of the commit rule.
    pub headers: Vec<Header>,
    /// Certifies the last header.
    pub certificate: Arc<QuorumCertificate>,
}

impl Proof {
    /// Checks that it proves the commit of `committed.payload` at `committed.height`. `history`
    /// is not signed: it follows from the payloads of all heights.
    ///
    /// # Errors
    /// [`Reject::Malformed`] if it proves something else, or what is wrong with the certificate.
    pub fn check(committed: &Committed<Self>, by: &Verifier) -> Result<(), Reject> {
        let proof = &committed.proof;
        let ([first, ..], [.., b2, b1, b0]) = (&proof.headers[..], &proof.headers[..]) else {
            return Err(Reject::Malformed);
        };
        let claimed =
            first.height == committed.height && first.payload == committed.payload.digest();
        if !claimed || !rules::commits(b2, b1, b0) {
            return Err(Reject::Malformed);
        }
        let mut parent: Option<(Digest, Height)> = None;
        for header in &proof.headers {
            let follows = parent.is_none_or(|(digest, height)| {
                header.parent == digest
                    && header.justify.block == digest
                    && header.height == height.next()
            });
            if !follows || header.epoch != by.context.epoch {
                return Err(Reject::Malformed);
            }
            parent = Some((header.digest(), header.height));
        }
        let certificate = &proof.certificate;
        if parent != Some((certificate.block, certificate.height)) || certificate.view != b0.view {
            return Err(Reject::Malformed);
        }
        let mut claims = Claims::new(by);
        certificate.claim(&mut claims)?;
        claims.check()
    }
}
