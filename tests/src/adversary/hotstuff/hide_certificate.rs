//! Hides the newest certificate.

use super::Certificates;
use crate::adversary::mouth::{Said, protocol};
use crate::adversary::tongue::Tongue;
use crate::adversary::{Adversary, Mouth, Role, Way};
use consensus::hotstuff::{HotStuff, Message, QuorumCertificate};
use crypto::{NodeId, View};
use std::sync::Arc;

const GIVE_UP: Way = Way::bold("in a tenure given up");
const ANSWER: Way = Way::bold("in an answer to a read");
const KEPT: Way = Way::silent("kept to itself");
pub(super) const WAYS: [Way; 3] = [GIVE_UP, ANSWER, KEPT];

/// Certificates remembered.
const REMEMBERED: usize = 16;

/// Keeps its certificates to itself: it gives tenures up with the oldest that it may, answers with
/// it, and does not tell of what it collected as the next leader.
#[derive(Default)]
pub struct HideCertificate {
    oldest: Option<Arc<QuorumCertificate>>,
    latest: Certificates<REMEMBERED>,
}

impl HideCertificate {
    fn learn(&mut self, message: &Message) {
        let Message::Proposal(it) = message else {
            return;
        };
        let justify = &it.block.header.justify;
        self.oldest.get_or_insert_with(|| Arc::clone(justify));
        self.latest.learn(justify);
    }
    /// The lowest by which a tenure was entered that begins with this view.
    fn lowest(&self, first: View) -> Option<Arc<QuorumCertificate>> {
        let mut enough = self
            .latest
            .all()
            .iter()
            .filter(|it| it.view.next() >= first);
        enough.next().cloned()
    }
}

impl Adversary<HotStuff> for HideCertificate {
    fn say(&mut self, said: Said<Message>, mouth: &mut Mouth<'_>) {
        let Some(message) = said.message() else {
            return mouth.pass(&said);
        };
        let mut other = message.clone();
        match &mut other {
            Message::Timeout(it) => {
                // What the certificate of the tenure before carries was known to all who entered by it.
                let floor = it.entry.as_ref().map(|entry| Arc::clone(&entry.high));
                let old = floor.or_else(|| self.lowest(mouth.ring.leaders.first(it.tenure)));
                it.vote = None;
                it.high = old.unwrap_or_else(|| Arc::clone(&it.high));
            }
            Message::Certificate(_) | Message::Blocks(_) => return mouth.withhold(KEPT),
            Message::ReadAnswer(it) => {
                it.high = self.oldest.clone().unwrap_or_else(|| Arc::clone(&it.high));
            }
            it => self.learn(it),
        }
        if other == *message {
            return mouth.pass(&said);
        }
        HotStuff::sign(&mut other, mouth.ring);
        let way = match HotStuff::role(message) {
            Role::GiveUp => GIVE_UP,
            _ => ANSWER,
        };
        mouth.lie(way, &said.to, said.class, &protocol(other));
    }
    fn hear(&mut self, _: NodeId, message: &Message, _: &mut Mouth<'_>) {
        self.learn(message);
    }
}
