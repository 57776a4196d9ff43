//! A branch that only some see.

use crate::adversary::mouth::Said;
use crate::adversary::{Adversary, Mouth, Way};
use consensus::hotstuff::{HotStuff, Message};
use crypto::NodeId;
use std::collections::VecDeque;

const PROPOSAL: Way = Way::silent("a proposal kept from who leads next");
const BLOCKS: Way = Way::silent("blocks not told to who asks");
pub(super) const WAYS: [Way; 2] = [PROPOSAL, BLOCKS];

/// Proposals kept back at most.
const KEPT: usize = 32;

/// Shows its proposals to just a quorum, without those who lead next, and to the others only when its
/// tenure is given up: a branch that is certified, and that the next leader learns of too late.
#[derive(Default)]
pub struct PrivateFork {
    kept: VecDeque<(Vec<NodeId>, Said<Message>)>,
}

impl Adversary<HotStuff> for PrivateFork {
    fn say(&mut self, said: Said<Message>, mouth: &mut Mouth<'_>) {
        match said.message() {
            Some(Message::Proposal(it)) => {
                let mut next = it.block.header.view;
                // The first view of whoever leads after us.
                while mouth.ring.leader(next) == mouth.me {
                    next = next.next();
                }
                let successor = mouth.ring.leader(next);
                let out: Vec<_> = std::iter::once(successor)
                    .filter(|it| !mouth.ring.holds(*it))
                    .collect();
                let to: Vec<_> = said
                    .to
                    .iter()
                    .copied()
                    .filter(|it| !out.contains(it))
                    .collect();
                mouth.pass_to(&to, &said);
                if to.len() < said.to.len() {
                    mouth.withhold(PROPOSAL);
                }
                if self.kept.len() == KEPT {
                    self.kept.pop_front();
                }
                self.kept.push_back((out, said));
            }
            Some(Message::Timeout(_)) => {
                mouth.pass(&said);
                for (out, kept) in std::mem::take(&mut self.kept) {
                    mouth.pass_to(&out, &kept);
                }
            }
            // Whoever asks is not told.
            Some(Message::Blocks(_)) => mouth.withhold(BLOCKS),
            _ => mouth.pass(&said),
        }
    }
}
