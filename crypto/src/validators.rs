//! The validator set of an epoch.

use crate::{FaultModel, NodeId, NodeSet, PublicKey, Quorums};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One validator, by its consensus key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validator {
    /// The key that signs its statements.
    pub key: PublicKey,
}

/// Why a list of validators is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadSet {
    /// No validator at all.
    #[error("there are no validators")]
    Empty,
    /// More than the bitmap holds.
    #[error("{0} validators; at most 128 are supported")]
    TooMany(usize),
    /// Two with one key.
    #[error("validators {0} and {1} have the same key")]
    SameKey(NodeId, NodeId),
    /// A small-order or undecodable key.
    #[error("the key of validator {0} is weak or no key at all")]
    WeakKey(NodeId),
}

/// The validators in the order of the genesis file, and their quorums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSet {
    members: Vec<Validator>,
    quorums: Quorums,
}

impl ValidatorSet {
    /// Checks the keys and counts the quorums.
    ///
    /// # Errors
    /// See [`BadSet`].
    pub fn new(members: Vec<Validator>, model: FaultModel) -> Result<Self, BadSet> {
        if members.is_empty() {
            return Err(BadSet::Empty);
        }
        if members.len() > NodeSet::CAPACITY {
            return Err(BadSet::TooMany(members.len()));
        }
        for (i, one) in members.iter().enumerate() {
            let id = NodeId(i as u16);
            PublicKey::checked(one.key.0).map_err(|_| BadSet::WeakKey(id))?;
            if let Some(j) = members[..i].iter().position(|other| other.key == one.key) {
                return Err(BadSet::SameKey(NodeId(j as u16), id));
            }
        }
        let quorums = Quorums::of(model, members.len());
        Ok(Self { members, quorums })
    }
    /// How many members.
    #[must_use]
    pub fn n(&self) -> usize {
        self.members.len()
    }
    /// The quorum sizes.
    #[must_use]
    pub fn quorums(&self) -> Quorums {
        self.quorums
    }
    /// The key of a member.
    #[must_use]
    pub fn key(&self, node: NodeId) -> Option<PublicKey> {
        self.members.get(node.index()).map(|v| v.key)
    }
    /// Whether it is a member.
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        node.index() < self.members.len()
    }
    /// Every member's id, ascending.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.members.len() as u16).map(NodeId)
    }
}

#[cfg(test)]
mod tests;
