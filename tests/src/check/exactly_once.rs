//! S7: every executed transaction was signed by its client, and takes effect exactly once. What says that
//! it repeats another was executed before, and only what takes effect moves the store's revision.

use super::{Check, Did, ExecutedHeight, Receipt, Seen};
use crypto::{Digest, Height, NodeId, PublicKey};
use std::collections::BTreeMap;

/// See the module.
pub struct ExactlyOnce {
    /// All that a client signed under a number: an honest one signs one, a careless one more.
    signed: BTreeMap<(PublicKey, u64), Vec<Digest>>,
    /// Where each took effect, for each node; heights are executed again after a crash.
    effective: Vec<BTreeMap<(PublicKey, u64), (u64, Digest)>>,
    /// The height that each node executed last, and the revision after it.
    revisions: Vec<Option<(Height, u64)>>,
}

impl ExactlyOnce {
    /// For this many nodes.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self {
            signed: BTreeMap::new(),
            effective: vec![BTreeMap::new(); nodes],
            revisions: vec![None; nodes],
        }
    }
    fn executed(&mut self, node: NodeId, executed: &ExecutedHeight) -> Result<(), String> {
        self.moved(node, executed)?;
        for receipt in executed.receipts.iter().filter(|r| r.did != Did::Nothing) {
            let name = (receipt.client, receipt.sequence);
            if receipt.did == Did::Repeat {
                let first = self.effective[node.index()].get(&name);
                if first == Some(&(receipt.height.0, receipt.id)) {
                    continue;
                }
                return Err(format!(
                    "node {node} says at height {} that it executed {receipt:?} before; it executed {first:?}",
                    executed.height
                ));
            }
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
    /// By one, or not at all, and only by what takes effect.
    fn moved(&mut self, node: NodeId, executed: &ExecutedHeight) -> Result<(), String> {
        let last = &mut self.revisions[node.index()];
        let next = |(height, _): &(Height, u64)| height.0 + 1 == executed.height.0;
        let mut now = last.filter(next).map(|(_, revision)| revision);
        let first_time = |it: &&Receipt| it.did != Did::Repeat;
        for it in executed.receipts.iter().filter(first_time) {
            let most = u64::from(it.effective());
            if now.is_some_and(|now| !(now..=now + most).contains(&it.revision)) {
                return Err(format!(
                    "node {node} was at revision {now:?}, and at {} after {it:?}",
                    it.revision
                ));
            }
            now = Some(it.revision);
        }
        *last = now.map(|now| (executed.height, now));
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
