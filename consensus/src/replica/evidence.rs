//! Evidence: two statements of one key for one slot (S10: never against an honest node).

use crate::Evidence;
use crypto::{Digest, Kind, NodeId, Reject, Signature, Size, Slot, Statement, Verifier};
use std::collections::BTreeMap;

/// How many slots of one signer and kind are remembered; the lowest goes first. A quota of each
/// signer's own, so that a liar displaces only what he said himself.
const MOST_SLOTS: usize = 32;

struct First {
    content: Digest,
    signature: Signature,
    accused: bool,
}

/// The first statement seen of each signer for each slot.
#[derive(Default)]
pub(super) struct Witness {
    seen: BTreeMap<(NodeId, Kind), BTreeMap<Slot, First>>,
}

impl Witness {
    /// The most slots that are remembered of one signer and kind.
    pub(super) fn sizes(&self, into: &mut Vec<Size>) {
        let most = self.seen.values().map(BTreeMap::len).max().unwrap_or(0);
        into.push(Size::new("statements of one", most, MOST_SLOTS));
    }
    /// Remembers a statement whose signature was checked. Returns a proof if it contradicts the
    /// first one of its slot; only once a slot. A repeated one changes nothing.
    pub(super) fn observe(
        &mut self,
        node: NodeId,
        statement: Statement,
        signature: Signature,
    ) -> Option<Evidence> {
        let mut slot = statement.slot;
        if crypto::planted!(Slander) {
            slot.view = crypto::View(0);
        }
        let seen = self.seen.entry((node, slot.kind)).or_default();
        let Some(first) = seen.get_mut(&slot) else {
            let first = First {
                content: statement.content,
                signature,
                accused: false,
            };
            seen.insert(slot, first);
            if seen.len() > MOST_SLOTS && !crypto::planted!(HoardStatements) {
                seen.pop_first();
            }
            return None;
        };
        if first.content == statement.content || first.accused {
            return None;
        }
        first.accused = true;
        let before = Statement {
            slot,
            content: first.content,
        };
        Some(Evidence {
            node,
            first: (before, first.signature),
            second: (statement, signature),
        })
    }
}

impl Evidence {
    /// Checks that it proves a lie.
    ///
    /// # Errors
    /// [`Reject::Malformed`] if the two do not contradict each other, else what is wrong with the
    /// signatures.
    pub fn check(&self, by: &Verifier) -> Result<(), Reject> {
        let ((first, one), (second, other)) = (self.first, self.second);
        if first.slot != second.slot || first.content == second.content {
            return Err(Reject::Malformed);
        }
        by.all([(self.node, first, one), (self.node, second, other)])
    }
}
