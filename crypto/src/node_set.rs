//! A set of validators as a bitmap.

use crate::NodeId;
use serde::{Deserialize, Serialize};

/// Up to [`NodeSet::CAPACITY`] validators, one bit each, by index in the validator set.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct NodeSet(u128);

impl NodeSet {
    /// The largest validator set.
    pub const CAPACITY: usize = 128;
    /// No validator.
    pub const EMPTY: NodeSet = NodeSet(0);

    fn bit(node: NodeId) -> u128 {
        if node.index() < Self::CAPACITY {
            1 << node.0
        } else {
            0
        }
    }
    /// Adds a member; false if it was there already or is beyond the capacity.
    pub fn insert(&mut self, node: NodeId) -> bool {
        let fresh = Self::bit(node) != 0 && !self.contains(node);
        self.0 |= Self::bit(node);
        fresh
    }
    /// Takes a member out.
    pub fn remove(&mut self, node: NodeId) {
        self.0 &= !Self::bit(node);
    }
    /// Whether it is a member.
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        self.0 & Self::bit(node) != 0
    }
    /// How many members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.count_ones() as usize
    }
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }
    /// The members in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> + use<> {
        let bits = self.0;
        (0..Self::CAPACITY as u16)
            .filter(move |i| bits >> i & 1 == 1)
            .map(NodeId)
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        let mut set = Self::EMPTY;
        for node in nodes {
            set.insert(node);
        }
        set
    }
}

#[cfg(test)]
mod tests;
