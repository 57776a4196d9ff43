//! S5: one state digest for each height, whoever executes it and however often.

use super::{Check, Seen};
use crypto::{Digest, NodeId};
use std::collections::BTreeMap;

/// See the module.
#[derive(Default)]
pub struct State(BTreeMap<u64, (Digest, NodeId)>);

impl State {
    fn enter(&mut self, node: NodeId, height: u64, state: Digest) -> Result<(), String> {
        let (known, by) = *self.0.entry(height).or_insert((state, node));
        if known == state {
            return Ok(());
        }
        Err(format!(
            "height {height}: state {known:?} at node {by}, {state:?} at node {node}"
        ))
    }
}

impl Check for State {
    fn property(&self) -> &'static str {
        "S5"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Executed(node, it) => self.enter(*node, it.height.0, it.state),
            Seen::Started(node, r) | Seen::Reported(node, r) => {
                self.enter(*node, r.state_height.0, r.state)
            }
            _ => Ok(()),
        }
    }
}
