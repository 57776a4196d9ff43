//! Fetching missing ancestors of the high certificate, and serving them.
//!
//! Only certified blocks are fetched, so one certificate vouches for a whole answer and there is
//! nothing that a liar could send but blocks that exist.

use super::message::{Blocks, Draft, FetchBlocks, MAX_BLOCKS, Message};
use super::record::Record;
use super::{Block, HotStuff, Out, QuorumCertificate};
use crate::common::{Brought, Fetching, Loads};
use crate::{Loaded, To};
use crypto::{Digest, Height, NodeId, Reject, Size, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most encoded bytes of blocks in one answer, about.
const MAX_BYTES: usize = 1 << 20;

/// What catching up remembers.
#[derive(Debug, Default)]
pub struct CatchUp {
    pub fetching: Fetching,
    /// The next height to ask for, after an answer that reached up to the one before.
    next: Option<Height>,
    loads: Loads,
}

impl CatchUp {
    /// How many loads are under way for peers.
    pub fn sizes(&self, peers: usize, into: &mut Vec<Size>) {
        self.loads.sizes(peers, into);
    }
}

impl HotStuff {
    /// The certified block to fetch, if one is missing: that of the high certificate, or the
    /// parent of the current proposal.
    fn missing(&self) -> Option<&Arc<QuorumCertificate>> {
        let parent = self
            .replication
            .parentless
            .as_ref()
            .map(|block| &block.header.justify);
        [Some(&self.high), parent]
            .into_iter()
            .flatten()
            .find(|c| !self.log.holds(&c.block))
    }

    /// Asks for what is missing; one question at a time, the next peer when one does not answer.
    pub(super) fn fetch_missing(&mut self, now: Time, out: &mut Out) {
        let Some(target) = self.missing().filter(|_| !self.is_ahead()).cloned() else {
            self.catch_up.fetching.stop();
            self.catch_up.next = None;
            return;
        };
        if self.catch_up.fetching.ran_out(now) {
            self.catch_up.next = None;
        } else if self.catch_up.fetching.is_asked() {
            return;
        }
        let from = self
            .catch_up
            .next
            .unwrap_or_else(|| self.log.committed().next());
        let fetching = &mut self.catch_up.fetching;
        let Some(peer) = fetching.ask(now, from, target.height, &self.config) else {
            return;
        };
        let epoch = self.config.context.epoch;
        out.send(
            To::One(peer),
            Draft(Message::FetchBlocks(FetchBlocks {
                epoch,
                from,
                target,
            })),
        );
    }

    pub(super) fn on_blocks(&mut self, now: Time, from: NodeId, answer: Blocks, out: &mut Out) {
        if !self.catch_up.fetching.is_asked() {
            return out.reject(from, Reject::Duplicate);
        }
        let mut fresh = false;
        let mut last = None;
        for block in answer.blocks {
            let digest = block.digest();
            let height = block.header.height;
            let new = !self.log.holds(&digest) && self.log.holds(&block.header.parent);
            if new && !self.is_ahead() {
                self.insert(now, digest, block, out);
                fresh = true;
            }
            let passed = self.log.holds(&digest) || height <= self.log.committed();
            last = passed.then_some(height);
        }
        self.adopt(now, &answer.certificate, None, out);
        self.catch_up.next = last.map(Height::next);
        let brought = if fresh {
            Brought::Enough
        } else {
            Brought::Nothing
        };
        self.catch_up.fetching.answered(from, brought);
    }

    // ---- serving ----

    pub(super) fn on_fetch_blocks(
        &mut self,
        now: Time,
        from: NodeId,
        fetch: &FetchBlocks,
        out: &mut Out,
    ) {
        self.adopt(now, &fetch.target, Some(from), out);
        let root = self.log.committed();
        if from == self.me() || crypto::planted!(NoCatchUp) {
            return;
        }
        if fetch.from > root {
            return self.send_blocks(from, fetch.from, &fetch.target.block, Vec::new(), out);
        }
        let Some(token) = self.catch_up.loads.serve(from, fetch.from) else {
            return out.reject(from, Reject::OverQuota);
        };
        // One more than is served: it certifies the last.
        let end = Height(fetch.from.0.saturating_add(MAX_BLOCKS as u64))
            .min(root)
            .next();
        out.load(token, fetch.from..end);
    }

    pub(super) fn on_loaded(&mut self, loaded: Loaded<Self>, out: &mut Out) {
        let Some((peer, from)) = self.catch_up.loads.served(loaded.token) else {
            return;
        };
        let mut blocks: BTreeMap<Digest, Arc<Block>> = BTreeMap::new();
        let mut committed: BTreeMap<Height, Digest> = BTreeMap::new();
        for record in loaded.records {
            match record {
                Record::Block(block) => {
                    blocks.insert(block.digest(), block);
                }
                Record::Commit { height, block } => {
                    committed.insert(height, block);
                }
                _ => {}
            }
        }
        let mut chain = Vec::new();
        let mut height = from;
        while let Some(block) = committed
            .get(&height)
            .and_then(|digest| blocks.remove(digest))
        {
            chain.push(block);
            height = height.next();
        }
        let target = self.high.block;
        self.send_blocks(peer, from, &target, chain, out);
    }

    /// Answers with `committed` blocks from `from` up, followed by those above the root, as far as
    /// the limits and the certificates go.
    fn send_blocks(
        &self,
        to: NodeId,
        from: Height,
        target: &Digest,
        committed: Vec<Arc<Block>>,
        out: &mut Out,
    ) {
        let mut chain = committed;
        let reached = chain
            .last()
            .map_or(from, |block| block.header.height.next());
        if reached > self.log.committed() {
            let tip = if self.log.holds(target) {
                target
            } else {
                &self.high.block
            };
            let above = self.log.chain(tip).unwrap_or_default();
            let above = above
                .iter()
                .filter(|entry| entry.block.header.height >= reached);
            chain.extend(above.map(|entry| Arc::clone(&entry.block)));
        }
        let mut bytes = 0usize;
        let fits = |block: &&Arc<Block>| {
            bytes = bytes.saturating_add(size(block));
            bytes <= MAX_BYTES
        };
        let keep = chain
            .iter()
            .take(MAX_BLOCKS)
            .take_while(fits)
            .count()
            .max(1)
            .min(chain.len());
        let mut certificate = chain
            .get(keep)
            .map(|child| Arc::clone(&child.header.justify));
        chain.truncate(keep);
        while certificate.is_none() {
            let Some(last) = chain.last() else { break };
            certificate = self.certificate_of(&last.digest());
            if certificate.is_none() {
                certificate = chain.pop().map(|block| Arc::clone(&block.header.justify));
            }
        }
        let certificate = certificate.unwrap_or_else(|| Arc::clone(&self.high));
        let certificate = if chain.is_empty() {
            Arc::clone(&self.high)
        } else {
            certificate
        };
        out.send(
            To::One(to),
            Draft(Message::Blocks(Blocks {
                blocks: chain,
                certificate,
            })),
        );
    }

    fn certificate_of(&self, digest: &Digest) -> Option<Arc<QuorumCertificate>> {
        if self.high.block == *digest {
            return Some(Arc::clone(&self.high));
        }
        let root = self.log.root();
        let known = if root.digest == *digest {
            root.certificate.as_ref()
        } else {
            None
        };
        known
            .or_else(|| self.log.get(digest)?.certificate.as_ref())
            .cloned()
    }
}

/// About how long a block's encoding is, in bytes.
fn size(block: &Block) -> usize {
    let certificate = 64 * (block.header.justify.certificate.signatures.len() + 2);
    certificate + block.payload.encoded_bytes() + 256
}
