//! Timeouts that carry what does not belong there.

use crate::adversary::mouth::{Said, protocol};
use crate::adversary::tongue::Tongue;
use crate::adversary::{Adversary, Mouth};
use consensus::hotstuff::message::Vote;
use consensus::hotstuff::{HotStuff, Message};
use crypto::{Digest, Height, Signature, View};

/// Gives tenures up with a vote for another block, of another view, or of another tenure; with a
/// certificate that it does not name; or long before anybody else does.
#[derive(Default)]
pub struct PoisonTimeout {
    turn: u64,
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
        match self.turn % 5 {
            0 => bad.vote = vote(first, Digest([5; 32])),
            1 => bad.vote = vote(View(first.0 + 10_000), it.high.block),
            2 => bad.vote = vote(View(1), it.high.block),
            3 => bad.tenure += 1,
            _ => bad.entry = None,
        }
        let mut bad = Message::Timeout(bad);
        HotStuff::sign(&mut bad, mouth.ring);
        mouth.lie(&said.to, said.class, &protocol(bad));
        // And the real one to half of them.
        let half: Vec<_> = said.to.iter().copied().step_by(2).collect();
        mouth.pass_to(&half, &said);
    }
}
