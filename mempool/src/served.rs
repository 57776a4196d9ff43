//! What peers got lately. A question is short and its answer long: who asks for the same batch again and
//! again gets it once at a time.

use crate::Config;
use crypto::{Digest, NodeId, Size, Time};
use std::collections::BTreeSet;

/// Batches that a peer may be given in each `Config::fetch_retry`, in multiples of those that an honest one
/// asks for: its questions may come late, and then together.
const LATE: usize = 8;

/// By peer.
#[derive(Debug)]
pub(crate) struct Served {
    peers: Vec<Recent>,
}

#[derive(Clone, Debug, Default)]
struct Recent {
    since: Time,
    digests: BTreeSet<Digest>,
}

impl Served {
    pub(crate) fn new(n: usize) -> Self {
        Self {
            peers: vec![Recent::default(); n],
        }
    }
    /// Whether a peer was given this batch, or so many, since the last `Config::fetch_retry` began: an
    /// honest one does not ask again before.
    pub(crate) fn has(
        &mut self,
        config: &Config,
        now: Time,
        peer: NodeId,
        digest: &Digest,
    ) -> bool {
        let recent = &mut self.peers[peer.index()];
        if now >= recent.since.plus(config.fetch_retry) {
            recent.since = now;
            recent.digests.clear();
        }
        recent.digests.len() >= LATE * config.fetches || recent.digests.contains(digest)
    }
    /// It is given, or looked for.
    pub(crate) fn add(&mut self, peer: NodeId, digest: Digest) {
        self.peers[peer.index()].digests.insert(digest);
    }
    pub(crate) fn sizes(&self, config: &Config, into: &mut Vec<Size>) {
        let most = self.peers.iter().map(|it| it.digests.len()).max();
        into.push(Size::new(
            "pool: given to one node",
            most.unwrap_or(0),
            LATE * config.fetches,
        ));
    }
}
