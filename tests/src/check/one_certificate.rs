//! S2: no two conflicting certificates for one view (PBFT: for one slot of a view), anywhere on the
//! wire or on a disk.

use super::{Check, Seen};
use crypto::{Digest, NodeId};
use std::collections::BTreeMap;

/// See the module.
#[derive(Default)]
pub struct OneCertificate(BTreeMap<(u64, u64, u64), (Digest, NodeId)>);

impl Check for OneCertificate {
    fn property(&self) -> &'static str {
        "S2"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        let (node, certified) = match seen {
            Seen::Sent {
                node, certified, ..
            } => (node, &certified[..]),
            Seen::Certified(node, it) => (node, std::slice::from_ref(it)),
            _ => return Ok(()),
        };
        for it in certified {
            let place = (it.epoch, it.view, it.height);
            let (known, by) = *self.0.entry(place).or_insert((it.block, *node));
            if known != it.block {
                return Err(format!(
                    "view {}, height {}: certificates for {known:?} (node {by}) and {:?} (node {node})",
                    it.view, it.height, it.block
                ));
            }
        }
        Ok(())
    }
}
