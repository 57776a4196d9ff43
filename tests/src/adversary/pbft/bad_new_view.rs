//! Opens views wrongly.

use crate::adversary::mouth::{Said, protocol};
use crate::adversary::tongue::Tongue;
use crate::adversary::{Adversary, Mouth, Way};
use consensus::pbft::slot;
use consensus::pbft::{Message, Pbft};
use crypto::Digest;
use std::sync::Arc;

const NONE: Way = Way::bold("no slots");
const LESS: Way = Way::bold("one slot less");
const NULL: Way = Way::bold("a null slot instead of the first");
const FEW: Way = Way::refused("a view change too few");
const TWICE: Way = Way::refused("a view change twice");
const MORE: Way = Way::bold("one slot more");
pub(super) const WAYS: [Way; 6] = [NONE, LESS, NULL, FEW, TWICE, MORE];
/// Those that need no slot.
const SLOTLESS: [Way; 3] = [FEW, TWICE, MORE];

/// A primary that carries over other slots than follow from the view changes: none, one less, one
/// more, one replaced by nothing, or by something else; or with too few view changes, or the same
/// one twice.
pub struct BadNewView;

impl Adversary<Pbft> for BadNewView {
    fn say(&mut self, said: Said<Message>, mouth: &mut Mouth<'_>) {
        let Some(Message::NewView(it)) = said.message() else {
            return mouth.pass(&said);
        };
        let mut bad = it.clone();
        let view = Arc::make_mut(&mut bad);
        let ways: &[Way] = if view.slots.is_empty() {
            &SLOTLESS
        } else {
            &WAYS
        };
        // A run has few views that a liar opens.
        let turn = mouth.ring.turn(mouth.chance) as usize;
        let way = ways[turn % ways.len()];
        match way {
            NONE => view.slots.clear(),
            LESS => drop(view.slots.pop()),
            NULL => view.slots[0] = slot::null(),
            FEW => drop(view.changes.pop()),
            TWICE => {
                let first = view.changes[0].clone();
                view.changes.push(first);
            }
            _ => view.slots.push(Digest([4; 32])),
        }
        let mut bad = Message::NewView(bad);
        Pbft::sign(&mut bad, mouth.ring);
        mouth.lie(way, &said.to, said.class, &protocol(bad));
    }
}
