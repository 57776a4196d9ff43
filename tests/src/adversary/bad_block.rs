//! Proposals that break a rule.

use super::memory::Latest;
use super::mouth::{Said, protocol};
use super::tongue::Fluent;
use super::{Adversary, Mouth, Tongue};
use bytes::Bytes;
use consensus::replica::Wire;
use crypto::{BatchRef, Digest, NodeId, Payload, codec};
use engine::Frame;

/// Proposes what must not be voted for: elsewhere than it says, oversize, undecodable, badly signed,
/// with batches twice, of others, or of nobody; and signs checkpoints of another state.
pub struct BadBlock<P: Tongue> {
    /// The latest proposals, ascending: on the parents of these it builds. Older ones are committed.
    latest: Latest<P::Message, REMEMBERED>,
}

impl<P: Tongue> Default for BadBlock<P> {
    fn default() -> Self {
        Self {
            latest: Latest::default(),
        }
    }
}

/// Proposals remembered.
const REMEMBERED: usize = 4;
/// Batches of this size nobody holds.
const INVENTED: u32 = 100;

fn invented(like: &BatchRef, number: u64) -> BatchRef {
    BatchRef {
        number,
        digest: Digest([number as u8 | 1; 32]),
        bytes: INVENTED,
        ..*like
    }
}

/// A payload that no honest member orders.
fn bad_payload(good: &Payload, draw: u64) -> Option<Payload> {
    let refs = good.references();
    let first = *refs.first()?;
    let mut bad = refs.to_vec();
    match draw % 4 {
        // The same batch twice.
        0 => bad.push(first),
        // A batch that does not exist.
        1 => bad.push(invented(&first, first.number + 1_000)),
        // More than a block may hold.
        2 => bad.extend((0..300).map(|i| invented(&first, first.number + 2_000 + i))),
        // A batch whose name lies about its length.
        _ => bad[0].bytes = u32::MAX,
    }
    Some(Payload::Refs(bad))
}

impl<P: Fluent> Adversary<P> for BadBlock<P> {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        if let Frame::Replica(Wire::Checkpoint(it)) = &said.frame {
            let mut false_state = *it;
            false_state.state.0[0] ^= 1;
            let statement = false_state.statement(&mouth.ring.verifier.context);
            false_state.signature = mouth.ring.sign(it.node, &statement);
            let frame = Frame::<P::Message>::Replica(Wire::Checkpoint(false_state));
            return mouth.lie(&said.to, said.class, &frame);
        }
        let Some((message, payload)) = said.message().and_then(|it| Some((it, P::payload(it)?)))
        else {
            return mouth.pass(&said);
        };
        self.latest.push(message.clone());
        let draw = mouth.chance.number();
        let (mut bad, signed) = match draw % 5 {
            4 => {
                let mut bad = message.clone();
                let latest = self.latest.all();
                let old = &latest[mouth.chance.index(latest.len())];
                (P::graft(&mut bad, old).then_some(bad), true)
            }
            0 => {
                let mut bad = message.clone();
                (P::misplace(&mut bad, draw >> 8).then_some(bad), true)
            }
            1 => {
                let payload = bad_payload(payload, draw >> 8);
                (payload.and_then(|it| P::ordering(message, it)), true)
            }
            // The old signature on another content.
            2 => (P::rival(message), false),
            _ => {
                let half = codec::encode(&said.frame).len() / 2;
                let cut = Bytes::copy_from_slice(&said.bytes[..half]);
                return mouth.babble(&said.to, said.class, &cut);
            }
        };
        let Some(mut bad) = bad.take() else {
            return mouth.pass(&said);
        };
        if signed {
            P::sign(&mut bad, mouth.ring);
        }
        mouth.lie(&said.to, said.class, &protocol(bad));
    }
    fn hear(&mut self, _: NodeId, message: &P::Message, _: &mut Mouth<'_>) {
        if P::payload(message).is_some() {
            self.latest.push(message.clone());
        }
    }
}
