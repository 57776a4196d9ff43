//! S4: every commit carries a proof that convinces whoever knows only the validators: its block and
//! at least two more, each certifying the one before, the last three of them in consecutive views,
//! and a certificate of the last by a quorum. (That signatures are genuine is judged where frames
//! come in: no node of a run without liars sends another's.)

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
    /// Its parent, of which view.
    pub parent: (Digest, u64),
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
    /// Its signers.
    pub signers: Vec<NodeId>,
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
            let follows = child.parent == (parent.block, parent.view);
            demand(
                follows && child.height == parent.height + 1,
                "a block that does not follow",
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
            signers::are_quorum(it.signers.iter().copied(), self.nodes),
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
