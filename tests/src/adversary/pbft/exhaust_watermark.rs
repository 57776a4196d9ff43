//! Uses the window up without letting anything be ordered (Castro and Liskov, OSDI 1999, section
//! 4.2: why there is a high watermark).

use crate::adversary::mouth::{Said, protocol};
use crate::adversary::tongue::{Fluent as _, Tongue};
use crate::adversary::{Adversary, Mouth, Way};
use consensus::pbft::{Message, Pbft};

const AHEAD: Way = Way::bold("within the window");
const BEYOND: Way = Way::bold("about its end and beyond");
pub(super) const WAYS: [Way; 2] = [AHEAD, BEYOND];

/// A primary whose slots lie ever further ahead, so that those between stay empty and none of them
/// can be executed.
pub struct ExhaustWatermark;

impl Adversary<Pbft> for ExhaustWatermark {
    fn say(&mut self, said: Said<Message>, mouth: &mut Mouth<'_>) {
        let Some(message @ Message::PrePrepare(it)) = said.message() else {
            return mouth.pass(&said);
        };
        for ahead in [2, 5, 11, 23, 47, 255, 1 << 20] {
            let mut far = message.clone();
            Pbft::set_height(&mut far, it.height.0.saturating_add(ahead));
            Pbft::sign(&mut far, mouth.ring);
            let way = if ahead < 128 { AHEAD } else { BEYOND };
            mouth.lie(way, &said.to, said.class, &protocol(far));
        }
    }
}
