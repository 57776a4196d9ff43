//! False answers to those who lag.

use super::memory::Memory;
use super::mouth::{Said, protocol};
use super::tongue::Fluent;
use super::{Adversary, Mouth, Role, Tongue, Way};
use bytes::Bytes;
use crypto::NodeId;
use engine::Frame;
use mempool::Message as Pool;

/// What is done to a list of what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poison {
    /// Two change places, so that heights go down.
    Swap,
    /// One in the middle is missing.
    Gap,
    /// The last is missing.
    Cut,
    /// One at a time.
    Drip,
    /// The first that there is of all, whatever was asked for.
    Beginning,
    /// One holds what another should.
    Foreign,
}

impl Poison {
    const ALL: [Self; 6] = [
        Self::Swap,
        Self::Gap,
        Self::Cut,
        Self::Drip,
        Self::Beginning,
        Self::Foreign,
    ];

    /// As what it is counted.
    const fn way(self, proof: Proof) -> Way {
        match (self, proof) {
            (_, Proof::None) => UNPROVEN,
            (Self::Swap, _) => Way::refused("two change places"),
            (Self::Gap, _) => Way::refused("one in the middle is missing"),
            (Self::Cut, Proof::Whole) => Way::refused("the last is missing"),
            (Self::Cut, Proof::Each) => Way::bold("the last is missing"),
            (Self::Drip, _) => Way::bold("one at a time"),
            (Self::Beginning, _) => Way::bold("the first of all"),
            (Self::Foreign, _) => Way::refused("one holds what another should"),
        }
    }
    /// Does it to a list; `Foreign` is left to whoever knows what is in it. False: it is too short.
    pub fn spoil<T>(self, list: &mut Vec<T>) -> bool {
        let n = list.len();
        match self {
            Self::Swap if n > 1 => list.swap(n / 2 - 1, n / 2),
            Self::Gap if n > 2 => drop(list.remove(n / 2)),
            Self::Cut if n > 1 => drop(list.pop()),
            Self::Drip | Self::Beginning if n > 1 => list.truncate(1),
            _ => return false,
        }
        true
    }
}

/// What vouches for a list of what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// One proof for all of it.
    Whole,
    /// Each of the list has its own, which also says after what it comes.
    Each,
    /// Nothing: whoever asked knows by their digests what he waits for.
    None,
}

/// Without a proof, order, gaps and content are nothing that checks of form could refuse.
const UNPROVEN: Way = Way::bold("another list of what nothing vouches for");
/// A batch comes alone: nothing but another one can be said instead.
const BATCH: Way = Way::bold("another batch");

/// All of them.
pub(super) fn ways<P: Fluent>() -> Vec<Way> {
    let each = |proof: &Proof| Poison::ALL.map(|how| how.way(*proof));
    let mut all: Vec<Way> = P::ANSWERS.iter().flat_map(each).collect();
    // What nothing vouches for is one way, whatever is done to it.
    all.dedup();
    all.push(BATCH);
    all
}

/// Answers with other than what was asked for: out of order, with gaps, one at a time, from the
/// beginning again, or with foreign content; and with other batches.
pub struct PoisonSync<P: Tongue> {
    old: Memory<P::Message>,
    /// Batches that it heard or made, to be passed off as others.
    batches: Memory<Bytes>,
}

impl<P: Tongue> Default for PoisonSync<P> {
    fn default() -> Self {
        Self {
            old: Memory::default(),
            batches: Memory::default(),
        }
    }
}

impl<P: Fluent> Adversary<P> for PoisonSync<P> {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        let how = Poison::ALL[mouth.chance.index(Poison::ALL.len())];
        match &said.frame {
            Frame::Pool(Pool::Batch(it)) => self.batches.keep(it, mouth.chance),
            Frame::Pool(Pool::Batches(list)) => {
                list.iter()
                    .for_each(|it| self.batches.keep(it, mouth.chance));
                let other = vec![self.batches.any(mouth.chance).clone()];
                if other != *list {
                    let frame = Frame::<P::Message>::Pool(Pool::Batches(other));
                    return mouth.lie(BATCH, &said.to, said.class, &frame);
                }
            }
            _ => {}
        }
        let Some(message) = said.message() else {
            return mouth.pass(&said);
        };
        let answers = P::role(message) == Role::Answer;
        if P::payload(message).is_some() || answers {
            self.old.keep(message, mouth.chance);
        }
        if !answers || mouth.chance.one_in(4) {
            return mouth.pass(&said);
        }
        let mut bad = message.clone();
        let proof = P::poison(&mut bad, how, self.old.any(mouth.chance));
        match proof.filter(|_| bad != *message) {
            Some(proof) => mouth.lie(how.way(proof), &said.to, said.class, &protocol(bad)),
            None => mouth.pass(&said),
        }
    }
    fn hear(&mut self, _: NodeId, message: &P::Message, mouth: &mut Mouth<'_>) {
        if P::payload(message).is_some() || P::role(message) == Role::Answer {
            self.old.keep(message, mouth.chance);
        }
    }
}
