//! Hides the newest certificate.

use crate::adversary::mouth::{Said, protocol};
use crate::adversary::tongue::Tongue;
use crate::adversary::{Adversary, Mouth};
use consensus::hotstuff::{HotStuff, Message, QuorumCertificate};
use crypto::NodeId;
use std::sync::Arc;

/// Keeps its certificates to itself: it gives tenures up with the oldest that it may, answers with
/// it, and does not tell of what it collected as the next leader.
#[derive(Default)]
pub struct HideCertificate {
    oldest: Option<Arc<QuorumCertificate>>,
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
                let old = floor.or_else(|| self.oldest.clone());
                it.vote = None;
                it.high = old.unwrap_or_else(|| Arc::clone(&it.high));
            }
            Message::Certificate(_) | Message::Blocks(_) => return mouth.withhold(),
            Message::ReadAnswer(it) => {
                it.high = self.oldest.clone().unwrap_or_else(|| Arc::clone(&it.high));
            }
            Message::Proposal(it) => {
                let justify = &it.block.header.justify;
                self.oldest.get_or_insert_with(|| Arc::clone(justify));
            }
            _ => {}
        }
        if other == *message {
            return mouth.pass(&said);
        }
        HotStuff::sign(&mut other, mouth.ring);
        mouth.lie(&said.to, said.class, &protocol(other));
    }
    fn hear(&mut self, _: NodeId, message: &Message, _: &mut Mouth<'_>) {
        if let Message::Proposal(it) = message {
            let justify = &it.block.header.justify;
            self.oldest.get_or_insert_with(|| Arc::clone(justify));
        }
    }
}
