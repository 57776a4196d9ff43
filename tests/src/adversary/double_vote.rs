//! Conflicting votes.

use super::mouth::{Said, protocol};
use super::{Adversary, Mouth, Role, Tongue, Way};
use engine::Class;

const VOTE: Way = Way::bold("another vote");
const GIVE_UP: Way = Way::bold("a view given up in another way");
pub(super) const WAYS: [Way; 2] = [VOTE, GIVE_UP];

/// Votes for something else as well, to everybody who may count.
pub struct DoubleVote;

impl<P: Tongue> Adversary<P> for DoubleVote {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        mouth.pass(&said);
        let votes = |it: &&P::Message| matches!(P::role(it), Role::Vote | Role::GiveUp);
        let other = said.message().filter(votes).and_then(P::rival);
        if let Some(mut other) = other {
            P::sign(&mut other, mouth.ring);
            let to = mouth.others();
            let way = match P::role(&other) {
                Role::GiveUp => GIVE_UP,
                _ => VOTE,
            };
            mouth.lie(way, &to, Class::Control, &protocol(other));
        }
    }
}
