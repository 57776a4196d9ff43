//! Huge views and heights.

use super::mouth::{Said, protocol};
use super::tongue::Fluent;
use super::{Adversary, Mouth, Way};
use engine::Class;

/// Views, then heights: a little ahead, far ahead, and where numbers end.
pub(super) const WAYS: [Way; 6] = [
    Way::bold("a view ahead"),
    Way::bold("a view far ahead"),
    Way::bold("a view near the last"),
    Way::bold("another height"),
    Way::bold("a height far ahead"),
    Way::bold("a height near the last"),
];

/// Says everything also about views and heights that are far off, each time about others; whoever
/// kept them would keep more and more.
#[derive(Default)]
pub struct FarFuture {
    step: u64,
}

impl<P: Fluent> Adversary<P> for FarFuture {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        mouth.pass(&said);
        let Some(message) = said.message() else {
            return;
        };
        let to = mouth.honest();
        for (i, way) in WAYS.into_iter().enumerate() {
            self.step += 1;
            let mut far = message.clone();
            let by = match i % 3 {
                0 => self.step,
                1 => self.step << 20,
                _ => u64::MAX / 2 + self.step,
            };
            let changed = match i / 3 {
                0 => P::set_view(&mut far, P::about(message).saturating_add(by)),
                _ => P::set_height(&mut far, by),
            };
            if changed {
                P::sign(&mut far, mouth.ring);
                mouth.lie(way, &to, Class::Control, &protocol(far));
            }
        }
    }
}
