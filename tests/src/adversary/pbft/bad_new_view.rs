//! Opens views wrongly.

use crate::adversary::mouth::{Said, protocol};
use crate::adversary::tongue::Tongue;
use crate::adversary::{Adversary, Mouth};
use consensus::pbft::slot;
use consensus::pbft::{Message, Pbft};
use crypto::Digest;
use std::sync::Arc;

/// A primary that carries over other slots than follow from the view changes: none, one less, one
/// more, one replaced by nothing, or by something else; or with too few view changes, or the same
/// one twice.
#[derive(Default)]
pub struct BadNewView {
    turn: u64,
}

impl Adversary<Pbft> for BadNewView {
    fn say(&mut self, said: Said<Message>, mouth: &mut Mouth<'_>) {
        let Some(Message::NewView(it)) = said.message() else {
            return mouth.pass(&said);
        };
        self.turn += 1;
        let mut bad = it.clone();
        let view = Arc::make_mut(&mut bad);
        match self.turn % 6 {
            0 if !view.slots.is_empty() => view.slots.clear(),
            1 if !view.slots.is_empty() => drop(view.slots.pop()),
            2 if !view.slots.is_empty() => view.slots[0] = slot::null(),
            3 => drop(view.changes.pop()),
            4 => {
                let first = view.changes[0].clone();
                view.changes.push(first);
            }
            _ => view.slots.push(Digest([4; 32])),
        }
        let mut bad = Message::NewView(bad);
        Pbft::sign(&mut bad, mouth.ring);
        mouth.lie(&said.to, said.class, &protocol(bad));
    }
}
