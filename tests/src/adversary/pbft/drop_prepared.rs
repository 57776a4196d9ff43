//! Forgets what it has prepared.

use crate::adversary::mouth::{Said, protocol};
use crate::adversary::tongue::Tongue;
use crate::adversary::{Adversary, Mouth, Way};
use consensus::pbft::{Message, Pbft};

const HIGHEST: Way = Way::bold("without the highest slot");
const ALL: Way = Way::bold("without all slots");
const KEPT: Way = Way::silent("no answer to who lacks something");
pub(super) const WAYS: [Way; 3] = [HIGHEST, ALL, KEPT];

/// View changes that are valid, and leave out the highest slot that it has prepared, or all of them;
/// and no answer to whoever lacks a payload or a slot.
pub struct DropPrepared;

impl Adversary<Pbft> for DropPrepared {
    fn say(&mut self, said: Said<Message>, mouth: &mut Mouth<'_>) {
        match said.message() {
            Some(Message::ViewChange(it)) if !it.prepared.is_empty() => {
                let mut other = it.clone();
                let way = if it.change.view.0.is_multiple_of(2) {
                    other.prepared.pop();
                    other.change.prepared.pop();
                    HIGHEST
                } else {
                    other.prepared.clear();
                    other.change.prepared.clear();
                    ALL
                };
                let mut other = Message::ViewChange(other);
                Pbft::sign(&mut other, mouth.ring);
                mouth.lie(way, &said.to, said.class, &protocol(other));
            }
            Some(Message::Payloads(_) | Message::Slots(_)) => mouth.withhold(KEPT),
            _ => mouth.pass(&said),
        }
    }
}
