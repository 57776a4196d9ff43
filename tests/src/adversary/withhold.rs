//! Votes and payload that do not come.

use super::mouth::Said;
use super::{Adversary, Mouth, Role, Tongue, Way};
use crypto::NodeId;
use engine::Frame;

pub(super) const VOTE: Way = Way::silent("a vote kept back");
pub(super) const BATCH: Way = Way::silent("a batch kept from most");

/// Votes to nobody or to one.
pub struct Votes;

impl<P: Tongue> Adversary<P> for Votes {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        let vote = said.message().filter(|it| P::role(it) == Role::Vote);
        let Some(vote) = vote else {
            return mouth.pass(&said);
        };
        let view = P::about(vote);
        let one = NodeId((view / 2 % mouth.ring.n() as u64) as u16);
        let to = Some(one).filter(|_| view.is_multiple_of(2));
        if said.to.iter().any(|it| Some(*it) != to) {
            mouth.withhold(VOTE);
        }
        mouth.pass_to(to.as_slice(), &said);
    }
}

/// Its batches come to exactly f + 1 members, itself one of them, and their digests to all: f honest
/// members hold them, and nobody else gets an answer from it.
pub struct Payloads;

impl<P: Tongue> Adversary<P> for Payloads {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        use mempool::Message as Pool;
        let batch = matches!(&said.frame, Frame::Pool(Pool::Batch(_) | Pool::Batches(_)));
        if !batch {
            return mouth.pass(&said);
        }
        mouth.withhold(BATCH);
        let mut chosen = mouth.honest();
        chosen.truncate(mouth.ring.f());
        mouth.pass_to(&chosen, &said);
    }
}
