//! L3: nobody is censored. What a client brings to a correct node once the faults have ended is
//! ordered within a stated number of leader changes, and before a stated number of batches of
//! others: a leader that serves everybody else is given up by then.

use super::{Check, ExecutedHeight, Expected, Seen};
use crypto::{Height, NodeId, PublicKey};
use std::collections::{BTreeMap, BTreeSet};

/// A transaction, by client and number.
type Name = (PublicKey, u64);

/// Who waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Where it was brought.
    node: NodeId,
    /// Leader changes and batches before.
    tenure: u64,
    batches: u64,
}

/// See the module.
pub struct Uncensored {
    expected: Expected,
    /// The highest tenure that any node is in.
    tenure: u64,
    /// Batches up to the highest height that anybody has executed, as only then it shows whose they were; and
    /// those of each height above it.
    batches: u64,
    height: Height,
    above: BTreeMap<Height, u64>,
    waiting: BTreeMap<Name, Waiting>,
    executed: BTreeSet<Name>,
}

impl Uncensored {
    /// Within what is expected.
    #[must_use]
    pub fn new(expected: &Expected) -> Self {
        Self {
            expected: *expected,
            tenure: 0,
            batches: 0,
            height: Height(0),
            above: BTreeMap::new(),
            waiting: BTreeMap::new(),
            executed: BTreeSet::new(),
        }
    }
    fn executed(&mut self, it: &ExecutedHeight) {
        for receipt in &it.receipts {
            let name = (receipt.client, receipt.sequence);
            self.waiting.remove(&name);
            self.executed.insert(name);
        }
        while let Some(entry) = self.above.first_entry()
            && *entry.key() <= it.height
        {
            self.batches += entry.remove();
        }
        self.height = self.height.max(it.height);
    }
    fn judge(&self) -> Result<(), String> {
        for ((client, sequence), it) in &self.waiting {
            let changes = self.tenure - it.tenure;
            let batches = self.batches.saturating_sub(it.batches);
            if changes > self.expected.changes || batches > self.expected.batches {
                return Err(format!(
                    "transaction {sequence} of client {client:?}, brought to node {}, is not ordered \
                     after {changes} leader changes and {batches} batches",
                    it.node
                ));
            }
        }
        Ok(())
    }
}

impl Check for Uncensored {
    fn property(&self) -> &'static str {
        "L3"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Submitted {
                node,
                client,
                sequence,
            } => {
                let (name, tenure) = ((*client, *sequence), self.tenure);
                let batches = self.batches + self.above.values().sum::<u64>();
                if !self.executed.contains(&name) {
                    self.waiting.entry(name).or_insert(Waiting {
                        node: *node,
                        tenure,
                        batches,
                    });
                }
                Ok(())
            }
            Seen::Refused {
                client, sequence, ..
            } => {
                self.waiting.remove(&(*client, *sequence));
                Ok(())
            }
            Seen::Stopped(node) => {
                self.waiting.retain(|_, it| it.node != *node);
                Ok(())
            }
            Seen::Executed(_, it) => {
                self.executed(it);
                self.judge()
            }
            Seen::Reported(_, it) => {
                self.tenure = self.tenure.max(it.view / self.expected.tenure);
                self.judge()
            }
            Seen::Ordered {
                height, batches, ..
            } if *height > self.height => {
                self.above.insert(*height, *batches as u64);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
