//! Old certificates in new messages.

use super::mouth::{Said, protocol};
use super::tongue::Fluent;
use super::{Adversary, Mouth, Tongue};
use crypto::NodeId;

/// Messages remembered.
const REMEMBERED: usize = 64;

/// Puts proofs of the past into what it says, as if it knew of nothing newer.
pub struct Stale<P: Tongue> {
    old: Vec<P::Message>,
}

impl<P: Tongue> Default for Stale<P> {
    fn default() -> Self {
        Self { old: Vec::new() }
    }
}

impl<P: Fluent> Stale<P> {
    fn remember(&mut self, message: &P::Message, mouth: &mut Mouth<'_>) {
        // Thinned out, so that they reach far back.
        if self.old.len() < REMEMBERED {
            self.old.push(message.clone());
        } else if mouth.chance.one_in(8) {
            let place = mouth.chance.index(REMEMBERED);
            self.old[place] = message.clone();
        }
    }
}

impl<P: Fluent> Adversary<P> for Stale<P> {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        let Some(message) = said.message() else {
            return mouth.pass(&said);
        };
        self.remember(message, mouth);
        let old = self.old[mouth.chance.index(self.old.len())].clone();
        let mut aged = message.clone();
        if mouth.chance.one_in(4) || !P::age(&mut aged, &old) || aged == *message {
            return mouth.pass(&said);
        }
        P::sign(&mut aged, mouth.ring);
        mouth.lie(&said.to, said.class, &protocol(aged));
    }
    fn hear(&mut self, _: NodeId, message: &P::Message, mouth: &mut Mouth<'_>) {
        self.remember(message, mouth);
    }
}
