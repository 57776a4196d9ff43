//! S3: an honest key never signs two conflicting statements, across crashes and restarts: a ledger
//! of everything that any key ever signed. And, across kinds: no new vote in a tenure that its
//! signer gave up.

use super::{Check, Promise, Seen, Slot};
use crypto::{Digest, NodeId};
use std::collections::BTreeMap;

/// See the module.
#[derive(Default)]
pub struct Promises(BTreeMap<(NodeId, Slot), Digest>);

impl Promises {
    fn enter(&mut self, promise: &Promise, node: NodeId) -> Result<(), String> {
        let Promise {
            signer,
            slot,
            content,
        } = promise;
        let known = *self.0.entry((*signer, *slot)).or_insert(*content);
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

impl Check for Promises {
    fn property(&self) -> &'static str {
        "S3"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        let Seen::Sent { node, promises, .. } = seen else {
            return Ok(());
        };
        promises
            .iter()
            .try_for_each(|promise| self.enter(promise, *node))
    }
}
