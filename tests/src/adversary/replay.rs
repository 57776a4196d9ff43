//! Messages once more, where they do not belong.

use super::memory::Memory;
use super::mouth::{Said, protocol};
use super::tongue::Fluent;
use super::{Adversary, Mouth, Role, Tongue, Way};
use consensus::Message as _;
use crypto::{ChainId, Context, Epoch, NodeId, Signature, Time};
use engine::Class;

const AGAIN: Way = Way::bold("as it was");
const VIEW: Way = Way::refused("in another view");
const UNSIGNED: Way = Way::bold("a question about another view, which nobody signs");
const KIND: Way = Way::refused("as another kind");
/// As anybody may who heard it.
const TOLD: Way = Way::bold("another's opening of a view");
const CHAIN: Way = Way::refused("for another chain");
const EPOCH: Way = Way::refused("for another epoch");
pub(super) const WAYS: [Way; 7] = [AGAIN, VIEW, UNSIGNED, KIND, TOLD, CHAIN, EPOCH];

/// Says again what it heard and said: as it was; in another view, with the old signature; with the
/// signature under another kind; and its own signed for another chain or epoch.
pub struct Replay<P: Tongue> {
    old: Memory<P::Message>,
    next: Option<Time>,
}

impl<P: Tongue> Default for Replay<P> {
    fn default() -> Self {
        Self {
            old: Memory::default(),
            next: None,
        }
    }
}

impl<P: Fluent> Replay<P> {
    fn remember(&mut self, message: &P::Message, mouth: &mut Mouth<'_>) {
        self.old.keep(message, mouth.chance);
        let due = || mouth.now.plus(Time(mouth.ring.timing.timeout.0 / 8));
        self.next.get_or_insert_with(due);
    }
    /// One of the remembered messages, misused, and how.
    fn misused(&self, mouth: &mut Mouth<'_>) -> Option<(Way, P::Message)> {
        use consensus::Signed as _;
        let mut message = self.old.any(mouth.chance).clone();
        match mouth.chance.below(4) {
            0 => Some((AGAIN, message)),
            1 => {
                let view = P::about(&message).wrapping_add(mouth.chance.between(1, 4));
                let way = match P::role(&message) {
                    Role::Ask => UNSIGNED,
                    _ => VIEW,
                };
                P::set_view(&mut message, view).then_some((way, message))
            }
            2 => {
                let other = P::transposed(&message)?;
                let way = match P::role(&other) {
                    Role::Certify => TOLD,
                    _ => KIND,
                };
                Some((way, other))
            }
            _ => {
                let (author, statement, _) = message.statement()?;
                let way = mouth.chance.pick(&[CHAIN, EPOCH]);
                message.sign(foreign(mouth, way, author, &statement)?);
                Some((way, message))
            }
        }
    }
}

/// A liar's signature of the same for another chain, or another epoch of this one.
fn foreign(
    mouth: &Mouth<'_>,
    way: Way,
    author: NodeId,
    statement: &crypto::Statement,
) -> Option<Signature> {
    let mut context: Context = mouth.ring.verifier.context;
    let mut statement = *statement;
    if way == CHAIN {
        context.chain = ChainId(crypto::Digest([9; 32]));
    } else {
        context.epoch = Epoch(context.epoch.0 + 1);
        statement.slot.epoch = context.epoch;
    }
    mouth.ring.sign_for(author, &statement, &context)
}

impl<P: Fluent> Adversary<P> for Replay<P> {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        mouth.pass(&said);
        if let Some(message) = said.message() {
            self.remember(message, mouth);
        }
    }
    fn hear(&mut self, _: NodeId, message: &P::Message, mouth: &mut Mouth<'_>) {
        self.remember(message, mouth);
    }
    fn wake(&mut self, mouth: &mut Mouth<'_>) {
        let again = Time(mouth.ring.timing.timeout.0 / 8);
        self.next = Some(mouth.now.plus(again));
        if let Some((way, message)) = self.misused(mouth) {
            let to = mouth.others();
            mouth.lie(way, &to, Class::Control, &protocol(message));
        }
    }
    fn deadline(&self) -> Option<Time> {
        self.next
    }
}
