//! The tree of blocks above the last committed one.
//!
//! Every block in it has its parent in it, down to the root. Blocks whose certificate is known cost
//! a quorum of votes each, so liars cannot make them; the others are capped.

use super::block::{Block, Header};
use super::certificate::QuorumCertificate;
use super::rules;
use crate::common::Held;
use crypto::{Digest, Height, Payload, Size, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most blocks held without a certificate.
pub const MAX_UNCERTIFIED: usize = 64;

/// A block in the tree.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The block.
    pub block: Arc<Block>,
    /// Its certificate, if known.
    pub certificate: Option<Arc<QuorumCertificate>>,
    /// Its payload's state; unknown as well if it came by catch-up, where nobody votes.
    pub held: Held,
}

impl Entry {
    fn header(&self) -> &Header {
        &self.block.header
    }
}

/// The last committed block, or the anchor.
#[derive(Clone, Debug)]
pub struct Root {
    /// Its digest.
    pub digest: Digest,
    /// Its height.
    pub height: Height,
    /// Its view.
    pub view: View,
    /// `history` there.
    pub history: Digest,
    /// A certificate of it, if known.
    pub certificate: Option<Arc<QuorumCertificate>>,
}

/// The tree.
#[derive(Debug)]
pub struct Log {
    root: Root,
    entries: BTreeMap<Digest, Entry>,
}

impl Log {
    /// A tree of the root alone.
    pub fn new(root: Root) -> Self {
        Self {
            root,
            entries: BTreeMap::new(),
        }
    }
    /// The last committed block.
    pub fn root(&self) -> &Root {
        &self.root
    }
    /// Its height.
    pub fn committed(&self) -> Height {
        self.root.height
    }
    /// `history` there.
    pub fn history(&self) -> Digest {
        self.root.history
    }
    /// A block above the root.
    pub fn get(&self, digest: &Digest) -> Option<&Entry> {
        self.entries.get(digest)
    }
    /// A block above the root.
    pub fn get_mut(&mut self, digest: &Digest) -> Option<&mut Entry> {
        self.entries.get_mut(digest)
    }
    /// Whether the block is the root or above it.
    pub fn holds(&self, digest: &Digest) -> bool {
        *digest == self.root.digest || self.entries.contains_key(digest)
    }
    /// The blocks of a view.
    pub fn of_view(&self, view: View) -> impl Iterator<Item = (&Digest, &Entry)> {
        self.entries
            .iter()
            .filter(move |(_, entry)| entry.header().view == view)
    }

    /// Adds a block whose parent is held, at the height and above the view of its parent; returns
    /// whether it is new. Beyond the cap, the oldest block without certificate, child, or the
    /// caller's wish to `keep` it makes room.
    pub fn insert(&mut self, digest: Digest, block: Arc<Block>, keep: &Digest) -> bool {
        let header = &block.header;
        let parent = match self.entries.get(&header.parent) {
            Some(parent) => (parent.header().height, parent.header().view),
            None if header.parent == self.root.digest => (self.root.height, self.root.view),
            None => return false,
        };
        let follows = header.height == parent.0.next() && header.justify.view == parent.1;
        if !follows || self.entries.contains_key(&digest) {
            return false;
        }
        self.make_room(&header.parent.clone(), keep);
        self.entries.insert(
            digest,
            Entry {
                block,
                certificate: None,
                held: Held::Unknown,
            },
        );
        true
    }

    fn make_room(&mut self, parent: &Digest, keep: &Digest) {
        let bare = |(_, entry): &(&Digest, &Entry)| entry.certificate.is_none();
        if self.entries.len() < MAX_UNCERTIFIED
            || self.entries.iter().filter(bare).count() < MAX_UNCERTIFIED
        {
            return;
        }
        let childless =
            |digest: &Digest| !self.entries.values().any(|e| e.header().parent == *digest);
        let oldest = self
            .entries
            .iter()
            .filter(bare)
            .filter(|(digest, _)| *digest != parent && *digest != keep && childless(digest))
            .min_by_key(|(_, entry)| entry.header().view)
            .map(|(digest, _)| *digest);
        if let Some(oldest) = oldest {
            self.entries.remove(&oldest);
        }
    }

    /// How many blocks are held that nothing certifies.
    pub fn sizes(&self, into: &mut Vec<Size>) {
        let bare = self.entries.values().filter(|it| it.certificate.is_none());
        into.push(Size::new(
            "uncertified blocks",
            bare.count(),
            MAX_UNCERTIFIED,
        ));
    }

    /// The blocks from the root's child up to `tip`; empty if `tip` is the root, `None` if it is
    /// not in the tree.
    pub fn chain(&self, tip: &Digest) -> Option<Vec<&Entry>> {
        let mut chain = Vec::new();
        let mut at = *tip;
        while at != self.root.digest {
            let entry = self.entries.get(&at)?;
            chain.push(entry);
            at = entry.header().parent;
        }
        chain.reverse();
        Some(chain)
    }
    /// The height of the highest block with payload on the way from the root up to `tip`.
    pub fn highest_payload(&self, tip: &Digest) -> Option<Height> {
        let chain = self.chain(tip)?;
        chain
            .iter()
            .rev()
            .find(|e| !e.block.payload.is_empty())
            .map(|e| e.header().height)
    }
    /// The digests of all batches on the way from the root up to `tip`.
    pub fn batches(&self, tip: &Digest) -> Vec<Digest> {
        let chain = self.chain(tip).unwrap_or_default();
        let batches = chain
            .iter()
            .flat_map(|entry| entry.block.payload.references().into_owned());
        batches.map(|batch| batch.digest).collect()
    }

    /// Keeps a block's certificate.
    pub fn certify(&mut self, certificate: &Arc<QuorumCertificate>) {
        if let Some(entry) = self.entries.get_mut(&certificate.block) {
            entry
                .certificate
                .get_or_insert_with(|| Arc::clone(certificate));
        } else if certificate.block == self.root.digest {
            self.root
                .certificate
                .get_or_insert_with(|| Arc::clone(certificate));
        }
    }
    /// What a certificate of `b0` commits: the digest of b2, if it is above the root.
    pub fn committed_by(&self, b0: &Digest) -> Option<Digest> {
        if crypto::planted!(CommitEarly) && self.entries.contains_key(b0) {
            return Some(*b0);
        }
        let b0 = self.entries.get(b0)?;
        let b1 = self.entries.get(&b0.header().parent)?;
        let digest = b1.header().parent;
        let b2 = self.entries.get(&digest)?;
        rules::commits(b2.header(), b1.header(), b0.header()).then_some(digest)
    }

    /// Makes `digest` the root. Returns the committed blocks, oldest first, each with its digest and
    /// `history`, and the payloads of those which thereby lost their place.
    pub fn commit(&mut self, digest: &Digest) -> (Vec<(Digest, Digest, Entry)>, Vec<Payload>) {
        let path: Vec<Digest> = {
            let chain = self
                .chain(digest)
                .expect("the commit rule found it in the tree");
            let parents = chain.iter().skip(1).map(|entry| entry.header().parent);
            parents.chain([*digest]).collect()
        };
        let mut done = Vec::with_capacity(path.len());
        for step in &path {
            let entry = self.entries.remove(step).expect("on the chain");
            let history = entry
                .block
                .payload
                .extend_history(&self.root.history, entry.header().height);
            self.root = Root {
                digest: *step,
                height: entry.header().height,
                view: entry.header().view,
                history,
                certificate: entry.certificate.clone(),
            };
            done.push((*step, history, entry));
        }
        (done, self.prune())
    }

    /// Drops what does not descend from the root.
    fn prune(&mut self) -> Vec<Payload> {
        let mut lost = Vec::new();
        loop {
            let orphan = |e: &Entry| {
                e.header().parent != self.root.digest
                    && !self.entries.contains_key(&e.header().parent)
            };
            let orphans: Vec<Digest> = self
                .entries
                .iter()
                .filter(|(_, e)| orphan(e))
                .map(|(digest, _)| *digest)
                .collect();
            if orphans.is_empty() {
                return lost;
            }
            for digest in orphans {
                let entry = self.entries.remove(&digest).expect("just seen");
                if !entry.block.payload.is_empty() {
                    lost.push(entry.block.payload.clone());
                }
            }
        }
    }
}
