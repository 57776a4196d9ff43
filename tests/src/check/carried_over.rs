//! S1 under PBFT, seen closer than by histories: what is committed in one view is carried over to all
//! later ones, so nothing else is ever prepared for its height in a later view, be it committed or
//! not.

use super::{Certified, Check, Seen};
use crypto::{Digest, NodeId};
use std::collections::BTreeMap;

/// What was seen of one height.
#[derive(Default)]
struct Slot {
    /// The earliest view in which it was committed, what, and where this was seen.
    committed: Option<(u64, Digest, NodeId)>,
    /// What was prepared in each view. (That it is one thing a view is S2.)
    prepared: BTreeMap<u64, (Digest, NodeId)>,
}

/// See the module.
#[derive(Default)]
pub struct CarriedOver(BTreeMap<u64, Slot>);

impl CarriedOver {
    fn committed(
        &mut self,
        node: NodeId,
        height: u64,
        view: u64,
        content: Digest,
    ) -> Result<(), String> {
        let slot = self.0.entry(height).or_default();
        match slot.committed {
            Some((_, known, by)) if known != content => {
                return Err(format!(
                    "height {height}: {known:?} is committed at node {by}, {content:?} at node {node}"
                ));
            }
            Some((known, ..)) if known <= view => {}
            _ => slot.committed = Some((view, content, node)),
        }
        judge(height, slot)
    }
    fn prepared(&mut self, node: NodeId, it: &Certified) -> Result<(), String> {
        let slot = self.0.entry(it.height).or_default();
        slot.prepared.entry(it.view).or_insert((it.block, node));
        judge(it.height, slot)
    }
}

fn judge(height: u64, slot: &Slot) -> Result<(), String> {
    let Some((view, content, node)) = slot.committed else {
        return Ok(());
    };
    let mut later = slot.prepared.range(view + 1..);
    match later.find(|(_, (it, _))| *it != content) {
        None => Ok(()),
        Some((late, (other, by))) => Err(format!(
            "height {height}: {content:?} is committed in view {view} at node {node}, and {other:?} is \
             prepared in view {late} at node {by}"
        )),
    }
}

impl Check for CarriedOver {
    fn property(&self) -> &'static str {
        "S1"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Agreed(node, it) => self.committed(*node, it.height, it.view, it.content),
            Seen::Certified(node, it) => self.prepared(*node, it),
            Seen::Sent {
                node, certified, ..
            } => certified.iter().try_for_each(|it| self.prepared(*node, it)),
            _ => Ok(()),
        }
    }
}
