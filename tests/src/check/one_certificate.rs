//! S2: no two conflicting certificates for one view, anywhere on the wire.

use super::{Check, Seen};
use crypto::{Digest, NodeId};
use std::collections::BTreeMap;

/// See the module.
#[derive(Default)]
pub struct OneCertificate(BTreeMap<(u64, u64), (Digest, NodeId)>);

impl Check for OneCertificate {
    fn property(&self) -> &'static str {
        "S2"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        let Seen::Sent {
            node, certified, ..
        } = seen
        else {
            return Ok(());
        };
        for it in certified {
            let place = (it.epoch, it.view);
            let (known, by) = *self.0.entry(place).or_insert((it.block, *node));
            if known != it.block {
                return Err(format!(
                    "view {}: certificates for {known:?} (node {by}) and {:?} (node {node})",
                    it.view, it.block
                ));
            }
        }
        Ok(())
    }
}
