//! S3: an honest key never signs two conflicting statements, across crashes and restarts: a ledger of
//! everything that any honest key has signed in what left a node, and of every promise that became durable,
//! whether it left or a crash kept it back (a vote of a leader for himself stands in no message). And, across
//! kinds: no new vote in a tenure that its signer gave up (PBFT: in a view below one that it has asked for).
//! (One that was stored before may leave later, as if it had been delayed.)

use super::{Check, Promise, Seen, Slot};
use crypto::{Digest, NodeId};
use std::collections::BTreeMap;

/// See the module.
pub struct Promises {
    /// Views of a tenure.
    tenure: u64,
    signed: BTreeMap<(NodeId, Slot), Digest>,
    /// Promises on disk, by their keys.
    stored: BTreeMap<(NodeId, Vec<u8>), Digest>,
    /// The highest tenure of a timeout that left its signer.
    gave_up: BTreeMap<NodeId, u64>,
}

impl Promises {
    /// For tenures of this many views.
    #[must_use]
    pub fn new(tenure: u64) -> Self {
        Self {
            tenure,
            signed: BTreeMap::new(),
            stored: BTreeMap::new(),
            gave_up: BTreeMap::new(),
        }
    }
    fn enter(&mut self, promise: &Promise, node: NodeId) -> Result<(), String> {
        let Promise {
            signer,
            slot,
            content,
        } = promise;
        let known = *self.signed.entry((*signer, *slot)).or_insert(*content);
        if known == *content {
            return Ok(());
        }
        let Slot {
            kind, view, height, ..
        } = slot;
        Err(format!(
            "node {signer} signed two {kind}s of view {view}, height {height}: {known:?} and {content:?} (seen from node {node})"
        ))
    }
}

/// The highest tenure that a statement gives up.
fn gives_up(slot: &Slot) -> Option<u64> {
    match slot.kind {
        "timeout" => Some(slot.view),
        "view_change" => slot.view.checked_sub(1),
        _ => None,
    }
}

impl Check for Promises {
    fn property(&self) -> &'static str {
        "S3"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Sent { node, promises, .. } => {
                for promise in promises {
                    self.enter(promise, *node)?;
                    if promise.signer == *node
                        && let Some(tenure) = gives_up(&promise.slot)
                    {
                        let highest = self.gave_up.entry(*node).or_default();
                        *highest = tenure.max(*highest);
                    }
                }
                Ok(())
            }
            Seen::Promised { node, row, content } => {
                let known = self.stored.entry((*node, row.clone()));
                match known.or_insert(*content) == content {
                    true => Ok(()),
                    false => Err(format!("node {node} stored two promises at {row:02x?}")),
                }
            }
            Seen::Voted { node, view, .. } => match self.gave_up.get(node) {
                Some(tenure) if view / self.tenure <= *tenure => Err(format!(
                    "node {node} votes in view {view}, and had given up tenure {tenure}"
                )),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}
