//! S8: what a client was told of stays: each acknowledged transaction is in the one committed log,
//! at the height and with the results that he was told, even after all nodes lost power at once.

use super::{Check, Receipt, Seen};
use crypto::{NodeId, PublicKey};
use std::collections::BTreeMap;

/// What one node has executed, and would still have if it went down now.
#[derive(Default)]
struct Executed {
    up: bool,
    /// The receipt of its first execution for each.
    receipts: BTreeMap<Name, Receipt>,
}

type Name = (PublicKey, u64);

/// See the module.
#[derive(Default)]
pub struct Retention {
    told: BTreeMap<Name, (NodeId, Receipt)>,
    nodes: BTreeMap<NodeId, Executed>,
}

impl Retention {
    fn told(&mut self, node: NodeId, receipt: &Receipt) -> Result<(), String> {
        let name = (receipt.client, receipt.sequence);
        let (by, known) = self
            .told
            .entry(name)
            .or_insert_with(|| (node, receipt.clone()));
        if is_same(known, receipt) {
            return Ok(());
        }
        Err(format!(
            "client {:?} was told of {}: {known:?} by node {by}, {receipt:?} by node {node}",
            name.0, name.1
        ))
    }
}

/// Whether they tell a client the same, but that long results are not told again.
fn is_same(one: &Receipt, other: &Receipt) -> bool {
    let results = match (&one.results, &other.results) {
        (Some(one), Some(other)) => one == other,
        (None, None) => true,
        (Some(told), None) => told.long && !other.effective(),
        (None, Some(told)) => told.long && !one.effective(),
    };
    results && (one.height, &one.answer) == (other.height, &other.answer)
}

impl Check for Retention {
    fn property(&self) -> &'static str {
        "S8"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Acknowledged(node, receipt) => self.told(*node, receipt),
            Seen::Started(node, report) => {
                // What it has executed and lost again it did not have; it executes its log anew.
                let it = self.nodes.entry(*node).or_default();
                it.up = true;
                it.receipts.retain(|_, r| r.height <= report.state_height);
                Ok(())
            }
            Seen::Stopped(node) => {
                self.nodes.entry(*node).or_default().up = false;
                Ok(())
            }
            Seen::Executed(node, it) => {
                let known = self.nodes.entry(*node).or_default();
                known.up = true;
                for receipt in it.receipts.iter().filter(|r| r.effective()) {
                    let name = (receipt.client, receipt.sequence);
                    let first = known.receipts.entry(name);
                    first.or_insert_with(|| receipt.clone());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
    fn finish(&mut self) -> Result<(), String> {
        let up = || self.nodes.iter().filter(|(_, it)| it.up);
        if up().next().is_none() && !self.told.is_empty() {
            return Err("no node is left that has what clients were told of".into());
        }
        for (name, (by, told)) in &self.told {
            for (node, it) in up() {
                let kept = it.receipts.get(name);
                if !kept.is_some_and(|kept| is_same(kept, told)) {
                    return Err(format!(
                        "node {by} told client {:?} of {told:?}; the log of node {node} has {kept:?}",
                        name.0
                    ));
                }
            }
        }
        Ok(())
    }
}
