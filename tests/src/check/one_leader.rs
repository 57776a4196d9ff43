//! Raft's election safety and log matching: one leader a term, anywhere on the wire, and one entry
//! for each term and height, whoever sends it (section 5.2 and 5.3 of the paper). It stands in for
//! S2, as a leader does for a certificate.

use super::{Check, Seen};
use crypto::{Digest, NodeId};
use std::collections::BTreeMap;

/// What a node says as the leader of a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Led {
    /// The term.
    pub term: u64,
    /// Its entries: term, height and content.
    pub entries: Vec<(u64, u64, Digest)>,
}

/// See the module.
#[derive(Default)]
pub struct OneLeader {
    leaders: BTreeMap<u64, NodeId>,
    entries: BTreeMap<(u64, u64), (Digest, NodeId)>,
}

impl Check for OneLeader {
    fn property(&self) -> &'static str {
        "S2"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        let Seen::Sent {
            node,
            led: Some(led),
            ..
        } = seen
        else {
            return Ok(());
        };
        let leader = *self.leaders.entry(led.term).or_insert(*node);
        if leader != *node {
            return Err(format!(
                "term {} is led by node {leader} and by node {node}",
                led.term
            ));
        }
        for (term, height, content) in &led.entries {
            let place = (*term, *height);
            let (known, by) = *self.entries.entry(place).or_insert((*content, *node));
            if known != *content {
                return Err(format!(
                    "term {term}, height {height}: entry {known:?} from node {by}, {content:?} from node {node}"
                ));
            }
        }
        Ok(())
    }
}
