//! S4 under PBFT: every commit carries a proof that convinces whoever knows only the validators:
//! genuine commits by a quorum of distinct members, of one view, for this height and for what is
//! ordered there.

use super::{Check, Seen, signers};
use crypto::{Digest, NodeId};

/// A commit as a node stored it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The committed height.
    pub height: u64,
    /// What stands for what is ordered there.
    pub ordered: Digest,
    /// The height that was agreed upon.
    pub slot: u64,
    /// In which view.
    pub view: u64,
    /// What was agreed upon.
    pub content: Digest,
    /// Who agreed, and whether the signature is genuine.
    pub signers: Vec<(NodeId, bool)>,
}

/// See the module.
pub struct Agreement {
    nodes: usize,
}

impl Agreement {
    /// For this many nodes.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self { nodes }
    }
    fn judge(&self, it: &Agreed) -> Result<(), &'static str> {
        let demand = |holds, why| if holds { Ok(()) } else { Err(why) };
        demand(it.slot == it.height, "another height")?;
        demand(it.content == it.ordered, "another payload")?;
        demand(it.view > 0, "no view")?;
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

impl Check for Agreement {
    fn property(&self) -> &'static str {
        "S4"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        let Seen::Agreed(node, it) = seen else {
            return Ok(());
        };
        let height = it.height;
        self.judge(it)
            .map_err(|why| format!("node {node} has no proof of height {height}: {why}"))
    }
}
