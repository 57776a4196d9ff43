//! Small changes to real messages.

use super::mouth::{Said, protocol};
use super::tongue::Fluent;
use super::{Adversary, Mouth, Tongue, Way};

/// Messages remembered, for old values.
const REMEMBERED: usize = 16;

const VIEW_UP: Way = Way::bold("the next view");
const VIEW_DOWN: Way = Way::bold("the view before");
const HEIGHT: Way = Way::bold("another height");
const OLD: Way = Way::bold("an older proof");
const PLACE: Way = Way::bold("another place");
const LESS: Way = Way::bold("a field left out");
pub(super) const WAYS: [Way; 6] = [VIEW_UP, VIEW_DOWN, HEIGHT, OLD, PLACE, LESS];

/// Changes one thing in some of its messages and signs them anew: a view by one, a height by one, a
/// proof for an older one, a field left out.
pub struct Mutate<P: Tongue> {
    old: Vec<P::Message>,
}

impl<P: Tongue> Default for Mutate<P> {
    fn default() -> Self {
        Self { old: Vec::new() }
    }
}

impl<P: Fluent> Mutate<P> {
    fn mutated(&self, message: &P::Message, mouth: &mut Mouth<'_>) -> Option<(Way, P::Message)> {
        let mut it = message.clone();
        let way = mouth.chance.pick(&WAYS);
        let changed = match way {
            VIEW_UP => P::set_view(&mut it, P::about(message).wrapping_add(1)),
            VIEW_DOWN => P::set_view(&mut it, P::about(message).saturating_sub(1)),
            HEIGHT => P::set_height(&mut it, mouth.chance.below(40)),
            OLD => {
                let old = self.old.len();
                old > 0 && P::age(&mut it, &self.old[mouth.chance.index(old)])
            }
            PLACE => P::misplace(&mut it, mouth.chance.index(P::PLACES.len())),
            _ => P::omit(&mut it, mouth.chance.number()),
        };
        (changed && it != *message).then_some((way, it))
    }
}

impl<P: Fluent> Adversary<P> for Mutate<P> {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        let Some(message) = said.message() else {
            return mouth.pass(&said);
        };
        let mutated = self.mutated(message, mouth);
        if self.old.len() == REMEMBERED {
            self.old.remove(0);
        }
        self.old.push(message.clone());
        let Some((way, mut mutated)) = mutated else {
            return mouth.pass(&said);
        };
        P::sign(&mut mutated, mouth.ring);
        mouth.lie(way, &said.to, said.class, &protocol(mutated));
        if mouth.chance.one_in(2) {
            mouth.pass(&said);
        }
    }
}
