//! Evidence: two statements of one key for one slot (S10: never against an honest node).

use crate::Evidence;
use crypto::{Digest, Kind, NodeId, Reject, Signature, Size, Slot, Statement, Verifier};
use std::collections::{BTreeMap, BTreeSet};

/// How many slots of one signer and kind are remembered; the lowest goes first. A quota of each
/// signer's own, so that a liar displaces only what he said himself.
const MOST_SLOTS: usize = 32;
/// How many proofs are kept against one signer: one convicts him, so later ones are not worth a
/// disk. With at most 128 members there are at most 2,048 in all.
const MOST_PROOFS: usize = 16;

/// The first statement seen of each signer for each slot, and in which slots lies are proven.
#[derive(Default)]
pub(super) struct Witness {
    seen: BTreeMap<(NodeId, Kind), BTreeMap<Slot, (Digest, Signature)>>,
    proven: BTreeSet<(NodeId, Slot)>,
}

impl Witness {
    /// Knows the proofs that an earlier run has kept.
    pub(super) fn restore(stored: &[Evidence]) -> Self {
        Self {
            seen: BTreeMap::new(),
            proven: stored.iter().map(Evidence::about).collect(),
        }
    }

    /// The most slots that are remembered of one signer and kind.
    pub(super) fn sizes(&self, into: &mut Vec<Size>) {
        let most = self.seen.values().map(BTreeMap::len).max().unwrap_or(0);
        into.push(Size::new("statements of one", most, MOST_SLOTS));
        let mut proofs: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (node, _) in self.proven() {
            *proofs.entry(node).or_default() += 1;
        }
        let most = proofs.into_values().max().unwrap_or(0);
        into.push(Size::new("proofs against one", most, MOST_PROOFS));
    }

    /// Remembers a statement whose signature was checked. Returns a proof if it contradicts the
    /// first one of its slot. A repeated one changes nothing.
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
        let Some((content, before)) = seen.get(&slot) else {
            seen.insert(slot, (statement.content, signature));
            if seen.len() > MOST_SLOTS && !crypto::planted!(HoardStatements) {
                seen.pop_first();
            }
            return None;
        };
        let first = Statement {
            slot,
            content: *content,
        };
        (*content != statement.content).then_some(Evidence {
            node,
            first: (first, *before),
            second: (statement, signature),
        })
    }

    /// Whether a proof is worth keeping: the first against its signer for its slot, and of those
    /// one of the first few.
    pub(super) fn keep(&mut self, evidence: &Evidence) -> bool {
        let (node, _) = evidence.about();
        let of_node = self.proven().filter(|(signer, _)| *signer == node).count();
        of_node < MOST_PROOFS && self.proven.insert(evidence.about())
    }

    /// Who has lied about what, ascending.
    pub(super) fn proven(&self) -> impl Iterator<Item = (NodeId, Slot)> {
        self.proven.iter().copied()
    }
}

impl Evidence {
    /// Who lied, and in which slot.
    #[must_use]
    pub fn about(&self) -> (NodeId, Slot) {
        (self.node, self.second.0.slot)
    }

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
