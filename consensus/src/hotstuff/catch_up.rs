//! Fetching missing ancestors of the high certificate, and serving them.
//!
//! Only certified blocks are fetched, so one certificate vouches for a whole answer and there is
//! nothing that a liar could send but blocks that exist.

use super::message::{Blocks, Draft, FetchBlocks, MAX_BLOCKS, Message};
use super::record::Record;
use super::{Block, HotStuff, Out, QuorumCertificate, TimeoutCertificate};
use crate::common::{ANSWER_BYTES, Brought, Fetching, Loads, Serving};
use crate::{Loaded, RecordKey, Selection, To};
use crypto::{Digest, Height, NodeId, Reject, Size, Time, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// First which blocks are committed, then those blocks.
const LOOKS: u8 = 2;

/// What catching up remembers.
#[derive(Debug, Default)]
pub struct CatchUp {
    pub fetching: Fetching,
    loads: Loads,
    /// What each peer was sent last.
    served: BTreeMap<NodeId, Served>,
}

/// What a peer was sent last: it gets it again after a while only.
#[derive(Clone, Copy, Debug)]
struct Served {
    at: Time,
    /// Up to here it can commit by what it was sent.
    committed: Height,
    /// Up to here it was sent blocks, towards a certificate of this view or an older one.
    last: Height,
    target: View,
}

impl CatchUp {
    /// Whom it serves.
    pub fn sizes(&self, peers: usize, into: &mut Vec<Size>) {
        self.loads.sizes(peers, into);
        into.push(Size::new("served", self.served.len(), peers));
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
            return self.catch_up.fetching.stop();
        };
        let fetching = &mut self.catch_up.fetching;
        if !fetching.ran_out(now) && fetching.is_asked() {
            return;
        }
        let committed = self.log.committed();
        if !self.replication.supply.has_room(committed, MAX_BLOCKS) {
            return fetching.stop();
        }
        let from = committed.next();
        let Some((peer, from)) = fetching.ask(now, from, target.height, &self.config) else {
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
        let Some((first, target)) = self.catch_up.fetching.heights() else {
            return out.reject(from, Reject::Duplicate);
        };
        let (mut fresh, mut bytes) = (0usize, 0usize);
        let mut held = None;
        for block in answer.blocks {
            let digest = block.digest();
            let height = block.header.height;
            let new = !self.log.holds(&digest) && self.log.holds(&block.header.parent);
            if new && !self.is_ahead() {
                (fresh, bytes) = (fresh + 1, bytes.saturating_add(size(&block)));
                self.insert(now, digest, block, out);
            }
            held = self.log.holds(&digest).then_some(height);
        }
        self.adopt(now, &answer.certificate, None, out);
        // Who sends block by block would hold up whoever relies on it, so little new is a reason to
        // ask the next peer; nothing new is none if so much is held here that is not committed.
        let whole = held >= Some(target) || fresh >= MAX_BLOCKS / 2 || bytes >= ANSWER_BYTES / 2;
        let (brought, goes_on) = match fresh {
            0 => (Brought::Nothing, held >= Some(first)),
            _ if whole => (Brought::Enough, true),
            _ => (Brought::Little, false),
        };
        if let Some(last) = held.filter(|_| goes_on) {
            self.catch_up.fetching.go_on(from, last.next());
        }
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
        if !self.may_serve(now, from, fetch) {
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
        out.load(token, Selection::Heights(fetch.from..end));
    }

    /// What can be committed by the last answer is served again after a while only; what lies above it,
    /// towards a newer certificate, at once: whoever follows closely may miss one block after the other.
    fn may_serve(&mut self, now: Time, to: NodeId, fetch: &FetchBlocks) -> bool {
        let gap = Time(self.config.timing.resend.0 / 8);
        let served = self.catch_up.served.get(&to);
        let again = served.filter(|it| now < it.at.plus(gap));
        let newer = |it: &Served| {
            fetch.from > it.last || fetch.from > it.committed && fetch.target.view > it.target
        };
        if again.is_some_and(|it| !newer(it)) {
            return false;
        }
        // There are many certificates of what is committed, and few of what is not yet.
        let target = fetch.target.view.max(self.log.root().view);
        let begun = Served {
            at: now,
            committed: self
                .log
                .committed()
                .min(Height(fetch.from.0.saturating_sub(1))),
            last: fetch.from,
            target: served.map_or(target, |it| it.target.max(target)),
        };
        self.catch_up.served.insert(to, begun);
        true
    }

    pub(super) fn on_loaded(&mut self, loaded: Loaded<Self>, out: &mut Out) {
        let Some(serving) = self.catch_up.loads.served(loaded.token) else {
            return;
        };
        let Serving { peer, from, .. } = serving;
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
        // A block is served with the certificate in the next one.
        let few = chain.len() < 2 && height <= self.log.committed();
        if few && let Some(token) = self.catch_up.loads.look_closer(serving, LOOKS) {
            let keys = [from, from.next()].into_iter().flat_map(|height| {
                let block = committed.get(&height);
                let block = block.map(|block| RecordKey::At(height, *block));
                [Some(Record::commit_key(height)), block]
            });
            return out.load(token, Selection::Keys(keys.flatten().collect()));
        }
        let target = self.high.block;
        self.send_blocks(peer, from, &target, chain, out);
    }

    /// Answers with `committed` blocks from `from` up, followed by those above the root, as far as
    /// the limits and the certificates go.
    fn send_blocks(
        &mut self,
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
            bytes <= ANSWER_BYTES
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
        let root = self.log.committed();
        if let (Some(last), Some(served)) = (chain.last(), self.catch_up.served.get_mut(&to)) {
            // Three certified blocks commit the first of them.
            served.last = last.header.height;
            served.committed = root.min(Height(served.last.0.saturating_sub(2)));
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

/// How long a block's encoding is at most, in bytes.
fn size(block: &Block) -> usize {
    let quorum = |it: &QuorumCertificate| 64 * it.certificate.signatures.len() + 128;
    let timeout = |it: &TimeoutCertificate| {
        // A signature and a view of each signer.
        (64 + 8) * it.certificate.signatures.len() + quorum(&it.high) + 128
    };
    let header = &block.header;
    let timeout = header.timeout.as_deref().map_or(0, timeout);
    256 + quorum(&header.justify) + timeout + block.payload.encoded_bytes()
}
