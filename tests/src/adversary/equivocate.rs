//! Conflicting proposals, and votes for all of them.

use super::mouth::{Said, protocol};
use super::{Adversary, Mouth, Role, Tongue, Way};
use crypto::NodeId;

/// Proposals remembered, lest an accomplice's be voted for again and again.
const REMEMBERED: usize = 16;

/// A proposal of something else.
pub const RIVAL: Way = Way::bold("a rival proposal");
/// A vote for whatever an accomplice proposes, and for the own rivals.
const VOTE: Way = Way::bold("a vote for a rival");
pub(super) const WAYS: [Way; 2] = [RIVAL, VOTE];

/// A leader that tells one half of the honest members one thing and the other half another; and an
/// accomplice that votes for all that it hears.
pub struct Equivocate<P: Tongue> {
    voted: Vec<P::Message>,
}

impl<P: Tongue> Default for Equivocate<P> {
    fn default() -> Self {
        Self { voted: Vec::new() }
    }
}

impl<P: Tongue> Equivocate<P> {
    /// Votes of the own for a proposal, to whom they are for.
    fn vote(&mut self, proposal: &P::Message, mouth: &mut Mouth<'_>) {
        if self.voted.contains(proposal) {
            return;
        }
        if self.voted.len() == REMEMBERED {
            self.voted.remove(0);
        }
        self.voted.push(proposal.clone());
        for (to, mut vote) in P::votes(proposal, mouth.me, mouth.ring) {
            P::sign(&mut vote, mouth.ring);
            let to = to.map_or_else(|| mouth.others(), |to| vec![to]);
            mouth.lie(VOTE, &to, engine::Class::Control, &protocol(vote));
        }
    }
}

/// Whether a member is told the other story about a view.
pub(super) fn fooled(node: NodeId, view: u64) -> bool {
    // Neighbours in one view, every other one in the next, so that the halves mix.
    (u64::from(node.0) >> (view & 1)) & 1 == 1
}

impl<P: Tongue> Adversary<P> for Equivocate<P> {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        let proposal = said.message().filter(|it| P::role(it) == Role::Propose);
        let Some((message, mut rival)) = proposal.and_then(|it| Some((it, P::rival(it)?))) else {
            return mouth.pass(&said);
        };
        P::sign(&mut rival, mouth.ring);
        let view = P::about(message);
        let (other, one): (Vec<NodeId>, Vec<NodeId>) =
            said.to.iter().partition(|to| fooled(**to, view));
        mouth.pass_to(&one, &said);
        mouth.lie(RIVAL, &other, said.class, &protocol(rival.clone()));
        // Accomplices hear both.
        let both: Vec<_> = mouth.ring.liars().collect();
        mouth.pass_to(&both, &said);
        mouth.lie(RIVAL, &both, said.class, &protocol(rival.clone()));
        self.vote(&rival, mouth);
    }
    fn hear(&mut self, from: NodeId, message: &P::Message, mouth: &mut Mouth<'_>) {
        if mouth.ring.holds(from) && P::role(message) == Role::Propose {
            self.vote(message, mouth);
        }
    }
}
