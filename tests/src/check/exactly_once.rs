//! S7: every executed transaction was signed by its client, and takes effect exactly once.

use super::{Check, ExecutedHeight, Seen};
use crypto::{Digest, NodeId, PublicKey};
use std::collections::BTreeMap;

/// See the module.
pub struct ExactlyOnce {
    /// All that a client signed under a number: an honest one signs one, a careless one more.
    signed: BTreeMap<(PublicKey, u64), Vec<Digest>>,
    /// Where each took effect, for each node; heights are executed again after a crash.
    effective: Vec<BTreeMap<(PublicKey, u64), (u64, Digest)>>,
}

impl ExactlyOnce {
    /// For this many nodes.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self {
            signed: BTreeMap::new(),
            effective: vec![BTreeMap::new(); nodes],
        }
    }
    fn executed(&mut self, node: NodeId, executed: &ExecutedHeight) -> Result<(), String> {
        for receipt in executed.receipts.iter().filter(|r| r.effective) {
            let name = (receipt.client, receipt.sequence);
            let place = (executed.height.0, receipt.id);
            if !self
                .signed
                .get(&name)
                .is_some_and(|ids| ids.contains(&receipt.id))
            {
                return Err(format!(
                    "node {node} executed {:?}, which client {:?} never signed as {}",
                    receipt.id, name.0, name.1
                ));
            }
            let known = *self.effective[node.index()].entry(name).or_insert(place);
            if known != place {
                return Err(format!(
                    "node {node}: sequence {} of client {:?} took effect at height {} and at {}",
                    name.1, name.0, known.0, place.0
                ));
            }
        }
        Ok(())
    }
}

impl Check for ExactlyOnce {
    fn property(&self) -> &'static str {
        "S7"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Signed {
                client,
                sequence,
                id,
            } => {
                self.signed
                    .entry((*client, *sequence))
                    .or_default()
                    .push(*id);
                Ok(())
            }
            Seen::Executed(node, executed) => self.executed(*node, executed),
            _ => Ok(()),
        }
    }
}
