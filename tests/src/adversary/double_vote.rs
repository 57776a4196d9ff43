//! Conflicting votes.

use super::mouth::{Said, protocol};
use super::{Adversary, Mouth, Role, Tongue};
use engine::Class;

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
            mouth.lie(&to, Class::Control, &protocol(other));
        }
    }
}
