//! Loads from the store under way, each for the peers that asked for the batch.

use crate::Config;
use crypto::{Digest, NodeId, Size};
use std::collections::{BTreeMap, BTreeSet};

/// Loads under way.
#[derive(Debug)]
pub(crate) struct Loads {
    loads: BTreeMap<Digest, BTreeSet<NodeId>>,
    /// Which of them the own log needs.
    for_log: BTreeSet<Digest>,
    /// How many each peer waits for.
    peers: Vec<usize>,
}

impl Loads {
    pub(crate) fn new(n: usize) -> Self {
        Self {
            loads: BTreeMap::new(),
            for_log: BTreeSet::new(),
            peers: vec![0; n],
        }
    }
    /// Whether a peer waits for as many as it may.
    pub(crate) fn is_full(&self, config: &Config, peer: NodeId) -> bool {
        self.peers[peer.index()] >= config.loads
    }
    /// A peer asks. Whether a load must be begun.
    pub(crate) fn for_peer(&mut self, peer: NodeId, digest: Digest) -> bool {
        let begun = self.loads.contains_key(&digest);
        if self.loads.entry(digest).or_default().insert(peer) {
            self.peers[peer.index()] += 1;
        }
        !begun
    }
    /// The own log needs it. Whether a load must be begun.
    pub(crate) fn for_log(&mut self, digest: Digest) -> bool {
        let begun = self.loads.contains_key(&digest);
        self.loads.entry(digest).or_default();
        self.for_log.insert(digest);
        !begun
    }
    /// A load came back: who asked for it.
    pub(crate) fn loaded(&mut self, digest: &Digest) -> BTreeSet<NodeId> {
        let peers = self.loads.remove(digest).unwrap_or_default();
        self.for_log.remove(digest);
        for peer in &peers {
            self.peers[peer.index()] -= 1;
        }
        peers
    }
    /// How many are under way, for peers and for the own log.
    pub(crate) fn sizes(&self, config: &Config, into: &mut Vec<Size>) {
        let all = config.n * config.loads + config.fetches;
        let peer = self.peers.iter().max().copied().unwrap_or(0);
        into.extend([
            Size::new("pool: loads", self.loads.len(), all),
            Size::new("pool: loads for one node", peer, config.loads),
        ]);
    }
    /// How many the own log needs.
    pub(crate) fn own(&self) -> usize {
        self.for_log.len()
    }
    pub(crate) fn len(&self) -> usize {
        self.loads.len()
    }
}
