//! S8: what a client was told of stays: each acknowledged transaction is in the one committed log,
//! at the height and with the results that he was told, even after all nodes lost power at once.

use super::{Check, Receipt, Seen};
use crypto::{NodeId, PublicKey};
use std::collections::BTreeMap;

/// See the module.
#[derive(Default)]
pub struct Retention {
    told: BTreeMap<(PublicKey, u64), (NodeId, Receipt)>,
    /// How often each took effect with the receipt of its first execution.
    executed: BTreeMap<(PublicKey, u64), Receipt>,
}

impl Retention {
    fn told(&mut self, node: NodeId, receipt: &Receipt) -> Result<(), String> {
        let name = (receipt.client, receipt.sequence);
        let (by, known) = self
            .told
            .entry(name)
            .or_insert_with(|| (node, receipt.clone()));
        if (known.height, &known.answer) == (receipt.height, &receipt.answer) {
            return Ok(());
        }
        Err(format!(
            "client {:?} was told of {}: {known:?} by node {by}, {receipt:?} by node {node}",
            name.0, name.1
        ))
    }
}

impl Check for Retention {
    fn property(&self) -> &'static str {
        "S8"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Acknowledged(node, receipt) => self.told(*node, receipt),
            Seen::Executed(_, it) => {
                for receipt in it.receipts.iter().filter(|r| r.effective) {
                    let name = (receipt.client, receipt.sequence);
                    self.executed.entry(name).or_insert_with(|| receipt.clone());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
    fn finish(&mut self) -> Result<(), String> {
        for (name, (by, told)) in &self.told {
            let kept = self.executed.get(name);
            if kept.is_none_or(|k| (k.height, &k.answer) != (told.height, &told.answer)) {
                return Err(format!(
                    "node {by} told client {:?} of {told:?}; the log has {kept:?}",
                    name.0
                ));
            }
        }
        Ok(())
    }
}
