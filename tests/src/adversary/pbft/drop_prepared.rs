//! Forgets what it has prepared.

use crate::adversary::mouth::{Said, protocol};
use crate::adversary::tongue::Tongue;
use crate::adversary::{Adversary, Mouth};
use consensus::pbft::{Message, Pbft};

/// View changes that are valid, and leave out the highest slot that it has prepared, or all of them;
/// and no answer to whoever lacks a payload or a slot.
pub struct DropPrepared;

impl Adversary<Pbft> for DropPrepared {
    fn say(&mut self, said: Said<Message>, mouth: &mut Mouth<'_>) {
        match said.message() {
            Some(Message::ViewChange(it)) if !it.prepared.is_empty() => {
                let mut other = it.clone();
                if it.change.view.0.is_multiple_of(2) {
                    other.prepared.pop();
                    other.change.prepared.pop();
                } else {
                    other.prepared.clear();
                    other.change.prepared.clear();
                }
                let mut other = Message::ViewChange(other);
                Pbft::sign(&mut other, mouth.ring);
                mouth.lie(&said.to, said.class, &protocol(other));
            }
            Some(Message::Payloads(_) | Message::Slots(_)) => mouth.withhold(),
            _ => mouth.pass(&said),
        }
    }
}
