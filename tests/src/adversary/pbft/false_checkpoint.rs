//! Checkpoints of another state.

use crate::adversary::mouth::{Said, protocol};
use crate::adversary::tongue::Tongue;
use crate::adversary::{Adversary, Mouth, Way};
use consensus::pbft::message::Low;
use consensus::pbft::{Message, Pbft};
use consensus::replica::{StableCheckpoint, Wire};
use crypto::{Certificate, Digest};
use engine::Frame;
use std::sync::Arc;

const STATE: Way = Way::bold("another state");
const NEAR: Way = Way::refused("a view given up with one that the liars signed");
const FAR: Way = Way::refused("the same, far above");
pub(super) const WAYS: [Way; 3] = [STATE, NEAR, FAR];

/// Signs another state than it has, and gives views up with a stable checkpoint that only the liars
/// signed, far above all that is committed.
pub struct FalseCheckpoint;

impl Adversary<Pbft> for FalseCheckpoint {
    fn say(&mut self, said: Said<Message>, mouth: &mut Mouth<'_>) {
        let context = mouth.ring.verifier.context;
        if let Frame::Replica(Wire::Checkpoint(it)) = &said.frame {
            let mut other = *it;
            other.state = Digest([8; 32]);
            other.signature = mouth.ring.sign(it.node, &other.statement(&context));
            let frame = Frame::<Message>::Replica(Wire::Checkpoint(other));
            return mouth.lie(STATE, &said.to, said.class, &frame);
        }
        let Some(Message::ViewChange(it)) = said.message() else {
            return mouth.pass(&said);
        };
        let mut stable = StableCheckpoint {
            height: it.change.low.height.next(),
            history: Digest([8; 32]),
            state: Digest([8; 32]),
            certificate: Certificate::default(),
        };
        let way = if it.change.view.0.is_multiple_of(2) {
            stable.height.0 += 1 << 20;
            FAR
        } else {
            NEAR
        };
        let statement = stable.statement(&context);
        let quorum = mouth.ring.verifier.validators.quorums().commit;
        let honest = mouth.honest();
        let signers = mouth.ring.liars().chain(honest).take(quorum);
        let sign = |node| (node, mouth.ring.sign(node, &statement));
        stable.certificate = Certificate::collect(signers.map(sign));
        let mut bad = it.clone();
        bad.change.low = Low::of(Some(&stable), &context);
        bad.change.prepared.clear();
        bad.prepared.clear();
        bad.checkpoint = Some(Arc::new(stable));
        let mut bad = Message::ViewChange(bad);
        Pbft::sign(&mut bad, mouth.ring);
        mouth.lie(way, &said.to, said.class, &protocol(bad));
    }
}
