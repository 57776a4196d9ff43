//! S9, seen at once and with more than one key in view: a read is served at no height below one that
//! was acknowledged, by any node to anybody, before the read began. It has a name of its own, since most
//! stale reads are caught here: what [`super::Linearizable`] sees without it has to be shown, too.

use super::{Check, FRESHNESS, Seen};
use crypto::Height;
use std::collections::BTreeMap;

/// See the module.
#[derive(Default)]
pub struct Fresh {
    acknowledged: Height,
    begun: BTreeMap<u64, Height>,
}

impl Check for Fresh {
    fn property(&self) -> &'static str {
        FRESHNESS
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Acknowledged(_, receipt) => {
                self.acknowledged = self.acknowledged.max(receipt.height);
            }
            Seen::ReadBegun { request } => {
                self.begun.insert(*request, self.acknowledged);
            }
            Seen::ReadServed {
                node,
                request,
                height,
            } => {
                let least = self.begun.get(request).copied().unwrap_or_default();
                if *height < least {
                    return Err(format!(
                        "node {node} serves a read at height {height}; height {least} was acknowledged before it began"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
