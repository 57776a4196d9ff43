//! Abuse of time-outs.

use super::mouth::{Said, protocol};
use super::tongue::Fluent;
use super::{Adversary, Mouth, Way};
use crypto::NodeId;
use engine::Class;

const FIRST: Way = Way::bold("a view in which all goes well");
const AGAIN: Way = Way::bold("the same one again");
pub(super) const WAYS: [Way; 2] = [FIRST, AGAIN];

/// Gives every view up as soon as its first proposal is there, with all the proof that it takes, and
/// again with each further one: f members who do so, however often, must not end a view.
#[derive(Default)]
pub struct GiveUp {
    last: Option<u64>,
}

impl GiveUp {
    fn overhear<P: Fluent>(&mut self, message: &P::Message, mouth: &mut Mouth<'_>) {
        let Some(mut given_up) = P::give_up(message, mouth.me, mouth.ring) else {
            return;
        };
        let about = P::about(&given_up);
        let way = match self.last {
            Some(last) if last > about => return,
            Some(last) if last == about => AGAIN,
            _ => FIRST,
        };
        self.last = Some(about);
        P::sign(&mut given_up, mouth.ring);
        let to = mouth.honest();
        mouth.lie(way, &to, Class::Control, &protocol(given_up));
    }
}

impl<P: Fluent> Adversary<P> for GiveUp {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        mouth.pass(&said);
        if let Some(message) = said.message() {
            self.overhear::<P>(message, mouth);
        }
    }
    fn hear(&mut self, _: NodeId, message: &P::Message, mouth: &mut Mouth<'_>) {
        self.overhear::<P>(message, mouth);
    }
}
