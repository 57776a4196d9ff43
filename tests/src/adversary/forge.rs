//! Certificates that are none.

use super::mouth::{Said, protocol};
use super::tongue::Fluent;
use super::{Adversary, Mouth, Role};
use crypto::{Certificate, NodeId, NodeSet, Signature};

/// Ways to forge a certificate.
const WAYS: u64 = 7;

/// Sends what its honest half would say, with a certificate that proves nothing, and what it left
/// out. The real message follows to half of them, so that the cluster goes on.
#[derive(Default)]
pub struct Forge {
    turn: u64,
}

impl<P: Fluent> Adversary<P> for Forge {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        let Some(message) = said.message() else {
            return mouth.pass(&said);
        };
        let mut forged = message.clone();
        self.turn += 1;
        let way = self.turn % (WAYS + 2);
        let changed = if way >= WAYS {
            P::omit(&mut forged, self.turn / (WAYS + 2))
        } else {
            let list = P::certificates(&mut forged);
            let some = !list.is_empty();
            list.into_iter()
                .for_each(|it| forge(it, way, mouth.ring.n()));
            some
        };
        if !changed || forged == *message {
            return mouth.pass(&said);
        }
        P::sign(&mut forged, mouth.ring);
        mouth.lie(&said.to, said.class, &protocol(forged));
        if P::role(message) != Role::Propose || self.turn.is_multiple_of(2) {
            mouth.pass(&said);
        }
    }
}

/// One of [`WAYS`] to make a certificate false.
fn forge(it: &mut Certificate, way: u64, n: usize) {
    let all: Vec<(NodeId, Signature)> = it
        .signers
        .iter()
        .zip(it.signatures.iter().copied())
        .collect();
    let Some(&(first, signature)) = all.first() else {
        // The anchor's: signers where there must be none.
        it.signers.insert(NodeId(0));
        it.signatures.push(Signature([3; 64]));
        return;
    };
    match way {
        // One member's signature in the name of all.
        0 => it.signatures.iter_mut().for_each(|it| *it = signature),
        // One too few.
        1 => {
            it.signers.remove(first);
            it.signatures.remove(0);
        }
        // Somebody who is no member.
        2 => {
            it.signers.remove(first);
            it.signatures.remove(0);
            it.signers.insert(NodeId(n as u16));
            it.signatures.push(signature);
        }
        // One bad share among good ones.
        3 => it.signatures[0].0[10] ^= 1,
        // A set of signers that does not match the signatures.
        4 => {
            let absent = (0..n as u16).map(NodeId);
            let absent = absent.into_iter().find(|it_| !it.signers.contains(*it_));
            let absent = absent.unwrap_or(NodeId(n as u16));
            it.signers.remove(first);
            it.signers.insert(absent);
        }
        // More signatures than signers.
        5 => it.signatures.push(signature),
        // Nobody.
        _ => {
            it.signers = NodeSet::default();
            it.signatures.clear();
        }
    }
}
