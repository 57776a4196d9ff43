//! Small changes to real messages.

use super::mouth::{Said, protocol};
use super::tongue::Fluent;
use super::{Adversary, Mouth, Tongue};

/// Messages remembered, for old values.
const REMEMBERED: usize = 16;

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
    fn mutated(&self, message: &P::Message, mouth: &mut Mouth<'_>) -> Option<P::Message> {
        let mut it = message.clone();
        let changed = match mouth.chance.below(6) {
            0 => P::set_view(&mut it, P::about(message).wrapping_add(1)),
            1 => P::set_view(&mut it, P::about(message).saturating_sub(1)),
            2 => P::set_height(&mut it, mouth.chance.below(40)),
            3 if !self.old.is_empty() => {
                P::age(&mut it, &self.old[mouth.chance.index(self.old.len())])
            }
            4 => P::misplace(&mut it, mouth.chance.number()),
            _ => P::omit(&mut it, mouth.chance.number()),
        };
        (changed && it != *message).then_some(it)
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
        let Some(mut mutated) = mutated else {
            return mouth.pass(&said);
        };
        P::sign(&mut mutated, mouth.ring);
        mouth.lie(&said.to, said.class, &protocol(mutated));
        if mouth.chance.one_in(2) {
            mouth.pass(&said);
        }
    }
}
