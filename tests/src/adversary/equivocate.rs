//! Conflicting proposals, and votes for all of them; and conflicting votes for what others propose.

use super::mouth::{Said, protocol};
use super::{Adversary, Mouth, Role, Tongue, Way};
use crypto::NodeId;

/// Proposals remembered, lest an accomplice's be voted for again and again.
const REMEMBERED: usize = 16;

/// A proposal of something else.
pub const RIVAL: Way = Way::bold("a rival proposal");
/// A vote for whatever an accomplice proposes, and for the own rivals.
const VOTE: Way = Way::bold("a vote for a rival");
/// A vote for something that nobody proposed, where others hear the true one.
const SPLIT: Way = Way::bold("another vote to some");
/// The same to somebody who hears the true one as well: he can prove it.
const BOTH: Way = Way::bold("both votes to one");
pub(super) const WAYS: [Way; 4] = [RIVAL, VOTE, SPLIT, BOTH];

/// One vote of so many has a recipient who hears both: often enough that it is proven soon wherever it
/// has anything to vote for, and seldom enough that most of its splits are told without a proof.
const CARELESS: u64 = 4;

/// A leader that tells one half of the honest members one thing and the other half another; an accomplice
/// that votes for all that it hears; and, where somebody else leads, a voter that tells each half another
/// vote.
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
    /// Whether one of the ring has a rival proposal of the same view, for which it has votes of its own.
    fn is_at_it(&self, vote: &P::Message) -> bool {
        let view = P::about(vote);
        self.voted.iter().any(|it| P::about(it) == view)
    }
    /// Tells each half another vote.
    fn split(&self, said: &Said<P::Message>, mut rival: P::Message, mouth: &mut Mouth<'_>) {
        P::sign(&mut rival, mouth.ring);
        let view = P::about(&rival);
        let (other, one): (Vec<NodeId>, Vec<NodeId>) =
            said.to.iter().partition(|to| fooled(**to, view));
        mouth.pass_to(&one, said);
        let rival = protocol(rival);
        mouth.lie(SPLIT, &other, said.class, &rival);
        if mouth.chance.one_in(CARELESS) && !said.to.is_empty() {
            let careless = [said.to[mouth.chance.index(said.to.len())]];
            if other.contains(&careless[0]) {
                mouth.pass_to(&careless, said);
            }
            mouth.lie(BOTH, &careless, said.class, &rival);
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
        let rival = said.message().and_then(|it| Some((it, P::rival(it)?)));
        let Some((message, mut rival)) = rival else {
            return mouth.pass(&said);
        };
        match P::role(message) {
            Role::Propose => {}
            Role::Vote if !self.is_at_it(message) => return self.split(&said, rival, mouth),
            _ => return mouth.pass(&said),
        }
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
