//! S1, seen closer than by histories, which are alike for two empty entries: what is committed at a
//! height is one entry, of one term, and terms do not go down along the log.

use super::{Check, Seen};
use crypto::NodeId;
use std::collections::BTreeMap;

/// See the module.
#[derive(Default)]
pub struct Places(BTreeMap<u64, (u64, NodeId)>);

impl Places {
    fn enter(&mut self, node: NodeId, height: u64, (term, at): (u64, u64)) -> Result<(), String> {
        if at != height {
            return Err(format!(
                "node {node} commits the entry of height {at} at height {height}"
            ));
        }
        let (known, by) = *self.0.entry(height).or_insert((term, node));
        if known != term {
            return Err(format!(
                "height {height}: of term {known} at node {by}, of term {term} at node {node}"
            ));
        }
        let below = self.0.range(..height).next_back();
        let above = self.0.range(height + 1..).next();
        let in_order = below.is_none_or(|(_, (it, _))| *it <= term)
            && above.is_none_or(|(_, (it, _))| *it >= term);
        if term > 0 && in_order {
            Ok(())
        } else {
            Err(format!(
                "height {height} is of term {term}, with {below:?} below and {above:?} above"
            ))
        }
    }
}

impl Check for Places {
    fn property(&self) -> &'static str {
        "S1"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Placed {
                node,
                height,
                place,
            } => self.enter(*node, height.0, *place),
            _ => Ok(()),
        }
    }
}
