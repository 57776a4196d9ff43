//! S9, for reads that promise it: a read sees all that was acknowledged, by any node to anybody,
//! before it began.

use super::{Check, Seen};
use crypto::Height;
use std::collections::BTreeMap;

/// See the module.
#[derive(Default)]
pub struct Linearizable {
    acknowledged: Height,
    begun: BTreeMap<u64, Height>,
}

impl Check for Linearizable {
    fn property(&self) -> &'static str {
        "S9"
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
