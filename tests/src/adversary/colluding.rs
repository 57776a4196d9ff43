//! A group that plays two camps of honest members against each other. Whoever directs the network
//! keeps the camps apart (`sim/network.rs`); here is what each camp is told.

use super::mouth::{Said, protocol};
use super::{Adversary, Equivocate, Mouth, Role, Tongue, Way, equivocate};
use crypto::NodeId;

const KEPT: Way = Way::silent("a vote kept from a camp");
const OTHER: Way = Way::bold("another vote to a camp");
pub(super) const WAYS: [Way; 4] = [equivocate::WAYS[0], equivocate::WAYS[1], KEPT, OTHER];

/// Tells each camp a story of its own, in proposals and votes, and votes for everything an
/// accomplice proposes.
pub struct Colluding<P: Tongue> {
    equivocate: Equivocate<P>,
}

impl<P: Tongue> Default for Colluding<P> {
    fn default() -> Self {
        Self {
            equivocate: Equivocate::default(),
        }
    }
}

/// In which camp a member is: the first half of all, or the second. Liars are in both.
#[must_use]
pub fn camp(node: NodeId, n: usize) -> bool {
    2 * usize::from(node.0) < n
}

impl<P: Tongue> Adversary<P> for Colluding<P> {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        let Some(message) = said.message() else {
            return mouth.pass(&said);
        };
        match P::role(message) {
            Role::Propose => self.equivocate.say(said, mouth),
            // Each camp hears of a view given up, or of a vote, in turn: none has a quorum without us.
            Role::Vote | Role::GiveUp => {
                let first = P::about(message) % 4 < 2;
                let n = mouth.ring.n();
                let hears = |to: &NodeId| mouth.ring.holds(*to) || camp(*to, n) == first;
                let to: Vec<_> = said.to.iter().copied().filter(hears).collect();
                if to.len() < said.to.len() {
                    mouth.withhold(KEPT);
                }
                mouth.pass_to(&to, &said);
                if let Some(mut rival) = P::rival(message) {
                    P::sign(&mut rival, mouth.ring);
                    let other: Vec<_> = said
                        .to
                        .iter()
                        .copied()
                        .filter(|it| !to.contains(it))
                        .collect();
                    mouth.lie(OTHER, &other, said.class, &protocol(rival));
                }
            }
            _ => mouth.pass(&said),
        }
    }
    fn hear(&mut self, from: NodeId, message: &P::Message, mouth: &mut Mouth<'_>) {
        self.equivocate.hear(from, message, mouth);
    }
}
