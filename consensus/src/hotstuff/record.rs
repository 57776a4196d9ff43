//! What must be durable before it is relied on.

use super::block::Block;
use super::certificate::{QuorumCertificate, TimeoutCertificate};
use super::message::{CertificatePair, Timeout};
use crate::contract::{self, RecordKey};
use crypto::{Digest, Height, View};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The last vote, the lock under which it was given, and how its view was entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteRecord {
    /// The block's view.
    pub view: View,
    /// The block's height.
    pub height: Height,
    /// The block.
    pub block: Digest,
    /// The lock.
    pub lock: Arc<QuorumCertificate>,
    /// The block's certificate of its parent.
    pub justify: Arc<QuorumCertificate>,
    /// The block's timeout certificate.
    pub timeout: Option<Arc<TimeoutCertificate>>,
}

/// A record. The order of the variants is their number on disk: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A block: before it is proposed or voted for.
    Block(Arc<Block>),
    /// Before a vote leaves.
    Vote(Box<VoteRecord>),
    /// The whole statement, unsigned: before a timeout leaves.
    Timeout(Box<Timeout>),
    /// The certificates of the current view where no vote holds them: a hint that saves asking
    /// after a restart, relied on by nothing.
    Progress(CertificatePair),
    /// Which block of its height was committed: blocks that lost their place stay stored beside
    /// it, and must not be served to one who lags.
    Commit {
        /// Height.
        height: Height,
        /// The block.
        block: Digest,
    },
}

impl Record {
    /// Where it lies which block of a height is committed.
    pub(super) fn commit_key(height: Height) -> RecordKey {
        RecordKey::first_at(height, 1)
    }
}

impl contract::Record for Record {
    fn key(&self) -> RecordKey {
        match self {
            Self::Block(block) => RecordKey::At(block.header.height, block.digest()),
            Self::Vote(_) => RecordKey::Latest(0),
            Self::Timeout(_) => RecordKey::Latest(1),
            Self::Progress(_) => RecordKey::Latest(2),
            Self::Commit { height, .. } => Self::commit_key(*height),
        }
    }
}
