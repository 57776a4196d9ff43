//! False answers to those who lag.

use super::memory::Memory;
use super::mouth::{Said, protocol};
use super::tongue::Fluent;
use super::{Adversary, Mouth, Role, Tongue};
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

/// Answers with other than what was asked for: out of order, with gaps, one at a time, from the
/// beginning again, or with foreign content; batches as well.
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
                let mut list = list.clone();
                list.iter()
                    .for_each(|it| self.batches.keep(it, mouth.chance));
                let foreign = how == Poison::Foreign;
                if foreign {
                    list[0] = self.batches.any(mouth.chance).clone();
                }
                if foreign || how.spoil(&mut list) {
                    let frame = Frame::<P::Message>::Pool(Pool::Batches(list));
                    return mouth.lie(&said.to, said.class, &frame);
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
        let mut bad = message.clone();
        if !answers
            || mouth.chance.one_in(4)
            || !P::poison(&mut bad, how, self.old.any(mouth.chance))
        {
            return mouth.pass(&said);
        }
        mouth.lie(&said.to, said.class, &protocol(bad));
    }
    fn hear(&mut self, _: NodeId, message: &P::Message, mouth: &mut Mouth<'_>) {
        if P::payload(message).is_some() || P::role(message) == Role::Answer {
            self.old.keep(message, mouth.chance);
        }
    }
}
