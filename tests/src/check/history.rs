//! S1: committed logs agree. One digest for each height, whoever committed it and whenever.

use super::{Check, Report, Seen};
use crypto::{Digest, NodeId};
use std::collections::BTreeMap;

/// See the module.
#[derive(Default)]
pub struct History(BTreeMap<u64, (Digest, NodeId)>);

impl Check for History {
    fn property(&self) -> &'static str {
        "S1"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        let (Seen::Started(
            node,
            Report {
                height, history, ..
            },
        )
        | Seen::Reported(
            node,
            Report {
                height, history, ..
            },
        )) = seen
        else {
            return Ok(());
        };
        let (known, by) = *self.0.entry(height.0).or_insert((*history, *node));
        if known == *history {
            return Ok(());
        }
        Err(format!(
            "height {height}: history {known:?} at node {by}, {history:?} at node {node}"
        ))
    }
}
