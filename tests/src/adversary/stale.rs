//! Old certificates in new messages.

use super::memory::Memory;
use super::mouth::{Said, protocol};
use super::tongue::Fluent;
use super::{Adversary, Mouth, Role, Tongue, Way};
use crypto::NodeId;

const PROPOSAL: Way = Way::bold("in a proposal");
const GIVE_UP: Way = Way::bold("in a view given up");
const PROOF: Way = Way::bold("in a proof on its own");
const QUESTION: Way = Way::bold("in a question");
const ANSWER: Way = Way::bold("in an answer");
pub(super) const WAYS: [Way; 5] = [PROPOSAL, GIVE_UP, PROOF, QUESTION, ANSWER];

/// Where the proof stands.
const fn way(role: Role) -> Way {
    match role {
        Role::Propose | Role::Vote => PROPOSAL,
        Role::GiveUp => GIVE_UP,
        Role::Open | Role::Certify => PROOF,
        Role::Ask => QUESTION,
        Role::Answer => ANSWER,
    }
}

/// Puts proofs of the past into what it says, as if it knew of nothing newer.
pub struct Stale<P: Tongue> {
    old: Memory<P::Message>,
}

impl<P: Tongue> Default for Stale<P> {
    fn default() -> Self {
        Self {
            old: Memory::default(),
        }
    }
}

impl<P: Fluent> Adversary<P> for Stale<P> {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        let Some(message) = said.message() else {
            return mouth.pass(&said);
        };
        self.old.keep(message, mouth.chance);
        let old = self.old.any(mouth.chance);
        let mut aged = message.clone();
        if mouth.chance.one_in(4) || !P::age(&mut aged, old) || aged == *message {
            return mouth.pass(&said);
        }
        P::sign(&mut aged, mouth.ring);
        mouth.lie(way(P::role(message)), &said.to, said.class, &protocol(aged));
    }
    fn hear(&mut self, _: NodeId, message: &P::Message, mouth: &mut Mouth<'_>) {
        self.old.keep(message, mouth.chance);
    }
}
