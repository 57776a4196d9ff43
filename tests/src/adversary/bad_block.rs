//! Proposals that break a rule.

use super::memory::Latest;
use super::mouth::{Said, protocol};
use super::tongue::Fluent;
use super::{Adversary, Mouth, Tongue, Way};
use consensus::replica::Wire;
use crypto::{BatchRef, Digest, NodeId, Payload};
use engine::Frame;

/// Proposes what must not be voted for: elsewhere than it says, oversize, undecodable, badly signed,
/// with batches twice, once more, or of nobody; and signs checkpoints of another state.
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

const CHECKPOINT: Way = Way::bold("a checkpoint of another state");
const GRAFT: Way = Way::bold("on another parent than is certified");
const TWICE: Way = Way::bold("a batch twice");
const NOBODYS: Way = Way::bold("a batch that nobody holds");
const OVERSIZE: Way = Way::bold("more batches than a block may hold");
const LENGTH: Way = Way::bold("a batch of another length");
/// It is ordered, and takes no effect again: whether payload may be voted for never depends on what was
/// ordered before.
const REPEATED: Way = Way::bold("a batch that is ordered already");
const UNSIGNED: Way = Way::refused("the old signature on another content");
const CUT: Way = Way::refused("cut short");

/// All of them.
pub(super) fn ways<P: Fluent>() -> Vec<Way> {
    let mut all = vec![
        CHECKPOINT, GRAFT, TWICE, NOBODYS, OVERSIZE, LENGTH, REPEATED, UNSIGNED, CUT,
    ];
    all.extend(P::PLACES.map(Way::bold));
    all
}

/// A payload that no honest member orders. Of those that were ordered before, `old` is one.
fn bad_payload(good: &Payload, old: Option<&BatchRef>, draw: u64) -> Option<(Way, Payload)> {
    let refs = good.references();
    let mut bad = refs.to_vec();
    if draw.is_multiple_of(5) {
        let old = old.filter(|old| !refs.contains(old))?;
        bad.push(*old);
        return Some((REPEATED, Payload::Refs(bad)));
    }
    let first = *refs.first()?;
    let way = match draw % 5 {
        1 => {
            bad.push(first);
            TWICE
        }
        2 => {
            bad.push(invented(&first, first.number + 1_000));
            NOBODYS
        }
        3 => {
            bad.extend((0..300).map(|i| invented(&first, first.number + 2_000 + i)));
            OVERSIZE
        }
        _ => {
            bad[0].bytes = u32::MAX;
            LENGTH
        }
    };
    Some((way, Payload::Refs(bad)))
}

impl<P: Fluent> BadBlock<P> {
    /// A bad proposal in place of this one, signed by whoever makes it; `None`: there is nothing to do.
    fn proposal(
        &self,
        message: &P::Message,
        payload: &Payload,
        mouth: &mut Mouth<'_>,
    ) -> Option<(Way, P::Message)> {
        let draw = mouth.chance.number();
        let latest = self.latest.all();
        let mut bad = message.clone();
        let way = match draw % 4 {
            0 => {
                let old = &latest[mouth.chance.index(latest.len())];
                P::graft(&mut bad, old).then_some(GRAFT)?
            }
            1 => {
                let place = mouth.chance.index(P::PLACES.len());
                P::misplace(&mut bad, place).then_some(Way::bold(P::PLACES[place]))?
            }
            2 => {
                let before = latest.iter().rev().skip(1).filter_map(P::payload);
                let old = before
                    .flat_map(|it| it.references().first().copied())
                    .next();
                let (way, payload) = bad_payload(payload, old.as_ref(), draw >> 8)?;
                bad = P::ordering(message, payload)?;
                way
            }
            // Not signed anew.
            _ => return Some((UNSIGNED, P::rival(message)?)),
        };
        P::sign(&mut bad, mouth.ring);
        Some((way, bad))
    }
}

impl<P: Fluent> Adversary<P> for BadBlock<P> {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        if let Frame::Replica(Wire::Checkpoint(it)) = &said.frame {
            let mut false_state = *it;
            false_state.state.0[0] ^= 1;
            let statement = false_state.statement(&mouth.ring.verifier.context);
            false_state.signature = mouth.ring.sign(it.node, &statement);
            let frame = Frame::<P::Message>::Replica(Wire::Checkpoint(false_state));
            return mouth.lie(CHECKPOINT, &said.to, said.class, &frame);
        }
        let Some((message, payload)) = said.message().and_then(|it| Some((it, P::payload(it)?)))
        else {
            return mouth.pass(&said);
        };
        self.latest.push(message.clone());
        if mouth.chance.one_in(5) {
            let cut = said.bytes.slice(..said.bytes.len() / 2);
            return mouth.babble(CUT, &said.to, said.class, &cut);
        }
        match self.proposal(message, payload, mouth) {
            Some((way, bad)) => mouth.lie(way, &said.to, said.class, &protocol(bad)),
            None => mouth.pass(&said),
        }
    }
    fn hear(&mut self, _: NodeId, message: &P::Message, _: &mut Mouth<'_>) {
        if P::payload(message).is_some() {
            self.latest.push(message.clone());
        }
    }
}
