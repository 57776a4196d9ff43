//! Forks off what the leader before left behind (Malkhi and Nayak, HotStuff-2; "tail forking").

use crate::adversary::mouth::{Said, protocol};
use crate::adversary::tongue::{Tongue, build_on};
use crate::adversary::{Adversary, Mouth};
use consensus::hotstuff::{HotStuff, Message, QuorumCertificate};
use std::sync::Arc;

/// Builds on the certificate that the one it should build on extends: the block between, and the
/// payload in it, are to be lost. Whoever is locked higher, or knows the rule for the first view of
/// a tenure, refuses.
#[derive(Default)]
pub struct TailFork {
    /// The certificates of the last blocks that it heard of, ascending.
    known: Vec<Arc<QuorumCertificate>>,
}

/// Certificates remembered.
const REMEMBERED: usize = 8;

impl TailFork {
    fn learn(&mut self, message: &Message) {
        let Message::Proposal(it) = message else {
            return;
        };
        let justify = &it.block.header.justify;
        if self
            .known
            .last()
            .is_none_or(|last| last.view < justify.view)
        {
            if self.known.len() == REMEMBERED {
                self.known.remove(0);
            }
            self.known.push(Arc::clone(justify));
        }
    }
}

impl Adversary<HotStuff> for TailFork {
    fn say(&mut self, said: Said<Message>, mouth: &mut Mouth<'_>) {
        let Some(message @ Message::Proposal(it)) = said.message() else {
            return mouth.pass(&said);
        };
        self.learn(message);
        let view = it.block.header.justify.view;
        let parent = self.known.iter().rev().find(|older| older.view < view);
        let Some(parent) = parent else {
            return mouth.pass(&said);
        };
        let mut fork = it.clone();
        build_on(&mut fork, parent);
        let mut fork = Message::Proposal(fork);
        HotStuff::sign(&mut fork, mouth.ring);
        mouth.lie(&said.to, said.class, &protocol(fork));
    }
    fn hear(&mut self, _: crypto::NodeId, message: &Message, _: &mut Mouth<'_>) {
        self.learn(message);
    }
}
