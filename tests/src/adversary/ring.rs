//! What the liars of a cluster share.

use super::Way;
use crate::sim::Chance;
use consensus::{LeaderSchedule, Timing};
use crypto::{Context, NodeId, SecretKey, Signature, Statement, Verifier, View};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

/// A frame's name: it has to tell frames of one run apart, and no more.
fn name(frame: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    frame.hash(&mut hasher);
    hasher.finish()
}

/// A ring of keys, and what all members know of their chain.
pub struct Ring {
    keys: BTreeMap<NodeId, Arc<SecretKey>>,
    /// Chain, epoch, members and scheme.
    pub verifier: Verifier,
    /// Who leads when.
    pub leaders: LeaderSchedule,
    /// The time-outs of honest members.
    pub timing: Timing,
    /// Lies told so far, by the names of their ways.
    told: Mutex<BTreeMap<&'static str, u64>>,
    /// The latest turn, once there was one.
    turn: Mutex<Option<u64>>,
    /// What was said instead of the truth, and in which way; only where somebody asks for it.
    lies: Option<Mutex<BTreeMap<u64, &'static str>>>,
}

impl Ring {
    /// The ring of these members.
    #[must_use]
    pub fn new(
        keys: BTreeMap<NodeId, Arc<SecretKey>>,
        verifier: Verifier,
        leaders: LeaderSchedule,
        timing: Timing,
    ) -> Self {
        Self {
            keys,
            verifier,
            leaders,
            timing,
            told: Mutex::default(),
            turn: Mutex::default(),
            lies: None,
        }
    }
    /// Remembers what was said instead of the truth.
    #[must_use]
    pub fn remembering(mut self) -> Self {
        self.lies = Some(Mutex::default());
        self
    }
    /// In which way a frame was said instead of the truth, if it was.
    #[must_use]
    pub fn lie(&self, frame: &[u8]) -> Option<&'static str> {
        let lies = self.lies.as_ref()?.lock();
        let lies = lies.unwrap_or_else(PoisonError::into_inner);
        lies.get(&name(frame)).copied()
    }
    pub(super) fn note(&self, way: Way, frame: &[u8]) {
        if let Some(lies) = &self.lies {
            let mut lies = lies.lock().unwrap_or_else(PoisonError::into_inner);
            lies.insert(name(frame), way.name);
        }
    }
    /// Whether a member is one of the liars.
    #[must_use]
    pub fn holds(&self, node: NodeId) -> bool {
        self.keys.contains_key(&node)
    }
    /// The liars.
    pub fn liars(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.keys.keys().copied()
    }
    /// All members of the chain.
    pub fn all(&self) -> impl Iterator<Item = NodeId> + use<> {
        self.verifier.validators.ids()
    }
    /// How many members there are.
    #[must_use]
    pub fn n(&self) -> usize {
        self.verifier.validators.n()
    }
    /// How many liars the chain withstands.
    #[must_use]
    pub fn f(&self) -> usize {
        (self.n() - 1) / 3
    }
    /// Who leads a view.
    #[must_use]
    pub fn leader(&self, view: View) -> NodeId {
        self.leaders.leader(view, self.n())
    }
    /// A signature by a liar's key; by another's, one that is worth nothing.
    #[must_use]
    pub fn sign(&self, node: NodeId, statement: &Statement) -> Signature {
        let digest = statement.digest(&self.verifier.context);
        let sign = |key: &Arc<SecretKey>| self.verifier.scheme.sign(key, &digest);
        self.keys.get(&node).map_or(Signature([7; 64]), sign)
    }
    /// A liar's signature as if for another chain or epoch. `None`: the key is not in the ring.
    #[must_use]
    pub fn sign_for(
        &self,
        node: NodeId,
        statement: &Statement,
        context: &Context,
    ) -> Option<Signature> {
        let key = self.keys.get(&node)?;
        let digest = statement.digest(context);
        Some(self.verifier.scheme.sign(key, &digest))
    }
    /// Turns, counted over all liars, for an attack whose occasions are so rare that one liar alone has
    /// none to go through its ways. The first is drawn: runs with one occasion do not all tell the same.
    pub(super) fn turn(&self, chance: &mut Chance) -> u64 {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let next = turn.map_or_else(|| chance.number(), |last| last.wrapping_add(1));
        *turn = Some(next);
        next
    }
    /// Lies told so far, by the names of their ways.
    #[must_use]
    pub fn told(&self) -> BTreeMap<&'static str, u64> {
        let told = self.told.lock();
        told.unwrap_or_else(PoisonError::into_inner).clone()
    }
    pub(super) fn tell(&self, way: Way) {
        let told = self.told.lock();
        let mut told = told.unwrap_or_else(PoisonError::into_inner);
        *told.entry(way.name).or_default() += 1;
    }
}
