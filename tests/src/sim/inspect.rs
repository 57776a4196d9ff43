//! Reads frames as an outsider would: which promises and certificates stand in them.

use crate::check::{Certified, Promise, Proven, Slot};
use bytes::Bytes;
use crypto::{Digest, Hasher, NodeId};
use storage::CommitRow;

/// What stands in a frame.
#[derive(Clone, Debug, Default)]
pub struct Inspected {
    /// Its name, for the trace.
    pub name: &'static str,
    /// The view it is about, for the trace.
    pub view: u64,
    /// All signed statements, nested ones included.
    pub promises: Vec<Promise>,
    /// All certificates.
    pub certified: Vec<Certified>,
    /// The block it proposes.
    pub proposed: Option<Proposed>,
    /// How many blocks it carries to one who lags.
    pub blocks: usize,
    /// Authors of the batches it carries in answer to a fetch.
    pub fetched: Vec<NodeId>,
    /// Whether it offers batches to a leader.
    pub offer: bool,
}

/// A proposed block.
#[derive(Clone, Copy, Debug)]
pub struct Proposed {
    /// Its digest.
    pub block: Digest,
    /// Its parent's.
    pub parent: Digest,
    /// Its height.
    pub height: u64,
    /// Its view.
    pub view: u64,
    /// Whether it was entered by a timeout certificate.
    pub by_timeout: bool,
}

/// A vote as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredVote {
    /// Its view.
    pub view: u64,
    /// The block's height.
    pub height: u64,
    /// The block.
    pub block: Digest,
    /// View of the lock.
    pub lock_view: u64,
    /// Height of the locked block.
    pub lock_height: u64,
    /// The locked block.
    pub lock: Digest,
}

/// How to read a protocol's frames and records.
pub trait Inspect: Send + Sync {
    /// Reads a frame that a node let out.
    fn frame(&self, frame: &Bytes) -> Inspected;
    /// Reads a record that a node stored: its vote and lock, if it is that.
    fn vote(&self, key: &[u8], value: &[u8]) -> Option<StoredVote>;
    /// Reads the proof of a stored commit.
    fn commit(&self, row: &CommitRow) -> Option<Proven>;
    /// The tenure given up by a stored timeout, if it is that.
    fn timeout(&self, key: &[u8], value: &[u8]) -> Option<u64>;
}

impl Inspected {
    /// Adds a promise.
    pub fn promise(
        &mut self,
        signer: NodeId,
        kind: &'static str,
        place: (u64, u64),
        content: Digest,
    ) {
        let (epoch, view) = place;
        let slot = Slot {
            kind,
            epoch,
            view,
            height: 0,
        };
        self.promises.push(Promise {
            signer,
            slot,
            content,
        });
    }
}

/// Two contents as one.
#[must_use]
pub fn content(number: u64, digest: &Digest) -> Digest {
    Hasher::new("quorate/sim/content")
        .number(number)
        .digest(digest)
        .finish()
}
