//! Timeouts that carry what does not belong there.

use crate::adversary::mouth::{Said, protocol};
use crate::adversary::tongue::Tongue;
use crate::adversary::{Adversary, Mouth, Way};
use consensus::hotstuff::message::Vote;
use consensus::hotstuff::{HotStuff, Message};
use crypto::{Digest, Height, Signature, View};

const BLOCK: Way = Way::bold("a vote for another block");
const AHEAD: Way = Way::bold("a vote of a view far ahead");
const BEFORE: Way = Way::bold("a vote of a former tenure");
const NEXT: Way = Way::bold("the next tenure");
const BARE: Way = Way::bold("without its proof of entry");
pub(super) const WAYS: [Way; 5] = [BLOCK, AHEAD, BEFORE, NEXT, BARE];

/// Gives tenures up with a vote for another block, of another view, or of another tenure; with a
/// certificate that it does not name; or long before anybody else does.
#[derive(Default)]
pub struct PoisonTimeout {
    turn: usize,
}

impl Adversary<HotStuff> for PoisonTimeout {
    fn say(&mut self, said: Said<Message>, mouth: &mut Mouth<'_>) {
        let Some(Message::Timeout(it)) = said.message() else {
            return mouth.pass(&said);
        };
        self.turn += 1;
        let mut bad = it.clone();
        let first = mouth.ring.leaders.first(it.tenure);
        let vote = |view: View, block: Digest| {
            let vote = Vote {
                epoch: it.epoch,
                view,
                height: Height(it.high.height.0 + 1),
                block,
                author: mouth.me,
                signature: Signature::NONE,
            };
            let mut message = Message::Vote(vote);
            HotStuff::sign(&mut message, mouth.ring);
            match message {
                Message::Vote(vote) => Some(vote),
                _ => None,
            }
        };
        let way = WAYS[self.turn % WAYS.len()];
        match way {
            BLOCK => bad.vote = vote(first, Digest([5; 32])),
            AHEAD => bad.vote = vote(View(first.0 + 10_000), it.high.block),
            BEFORE => bad.vote = vote(View(1), it.high.block),
            NEXT => bad.tenure += 1,
            _ => bad.entry = None,
        }
        let mut bad = Message::Timeout(bad);
        HotStuff::sign(&mut bad, mouth.ring);
        mouth.lie(way, &said.to, said.class, &protocol(bad));
        // And the real one to half of them.
        let half: Vec<_> = said.to.iter().copied().step_by(2).collect();
        mouth.pass_to(&half, &said);
    }
}
