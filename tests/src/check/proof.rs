//! S4: every commit carries a proof that convinces whoever knows only the validators: its block and
//! at least two more, each certifying the one before, the last three of them in consecutive views,
//! and a certificate of the last with genuine votes of a quorum of distinct members.

use super::{Check, Seen, signers};
use crypto::{Digest, NodeId};

/// A block in a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its digest.
    pub block: Digest,
    /// Its view.
    pub view: u64,
    /// Its height.
    pub height: u64,
    /// Its parent.
    pub parent: Digest,
    /// What its certificate certifies, of which view.
    pub justify: (Digest, u64),
    /// What it orders.
    pub payload: Digest,
}

/// A commit as a node stored it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The committed height.
    pub height: u64,
    /// What is ordered there.
    pub payload: Digest,
    /// The blocks of the proof, ascending.
    pub links: Vec<Link>,
    /// What the last certificate certifies, of which view.
    pub certified: (Digest, u64),
    /// Who voted for it, and whether the signature is genuine.
    pub signers: Vec<(NodeId, bool)>,
}

/// See the module.
pub struct Proof {
    nodes: usize,
}

impl Proof {
    /// For this many nodes.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self { nodes }
    }
    fn judge(&self, it: &Proven) -> Result<(), &'static str> {
        let demand = |holds, why| if holds { Ok(()) } else { Err(why) };
        let [first, ..] = &it.links[..] else {
            return Err("no block");
        };
        demand(
            (first.height, first.payload) == (it.height, it.payload),
            "another block",
        )?;
        for pair in it.links.windows(2) {
            let (parent, child) = (&pair[0], &pair[1]);
            let follows = child.parent == parent.block && child.height == parent.height + 1;
            demand(follows, "a block that does not follow")?;
            demand(
                child.justify == (parent.block, parent.view),
                "a block that does not follow what its certificate certifies",
            )?;
        }
        let Some([b2, b1, b0]) = it.links.last_chunk() else {
            return Err("fewer than three blocks");
        };
        demand(
            (b1.view - b2.view, b0.view - b1.view) == (1, 1),
            "views that are not consecutive",
        )?;
        demand(
            it.certified == (b0.block, b0.view),
            "a certificate of another block",
        )?;
        demand(
            it.signers.iter().all(|(_, genuine)| *genuine),
            "a signature that is not genuine",
        )?;
        demand(
            signers::are_quorum(it.signers.iter().map(|(node, _)| *node), self.nodes),
            "fewer signers than a quorum",
        )
    }
}

impl Check for Proof {
    fn property(&self) -> &'static str {
        "S4"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        let Seen::Committed(node, it) = seen else {
            return Ok(());
        };
        let height = it.height;
        self.judge(it)
            .map_err(|why| format!("node {node} has no proof of height {height}: {why}"))
    }
}
