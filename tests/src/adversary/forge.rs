//! Certificates that are none.

use super::mouth::{Said, protocol};
use super::tongue::Fluent;
use super::{Adversary, Mouth, Role, Way};
use crypto::{Certificate, NodeId, Signature};

const ONE_FOR_ALL: Way = Way::refused("one member's signature in the name of all");
const FEW: Way = Way::refused("one signature too few");
const STRANGER: Way = Way::refused("the signature of somebody who is no member");
const BAD_SHARE: Way = Way::refused("one bad share among good ones");
const OTHERS: Way = Way::refused("other signers than signatures");
const MANY: Way = Way::refused("more signatures than signers");
const NOBODY: Way = Way::refused("signed by nobody");
const ANCHOR: Way = Way::refused("signatures under what needs none");
const VIEW: Way = Way::refused("of another view than was signed");
const LESS: Way = Way::bold("a field left out");
pub(super) const WAYS: [Way; 10] = [
    ONE_FOR_ALL,
    FEW,
    STRANGER,
    BAD_SHARE,
    OTHERS,
    MANY,
    NOBODY,
    ANCHOR,
    VIEW,
    LESS,
];

/// Sends what its honest half would say, with a certificate that proves nothing, and what it left
/// out. The real message follows to half of them, so that the cluster goes on.
#[derive(Default)]
pub struct Forge {
    turn: usize,
}

impl<P: Fluent> Adversary<P> for Forge {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        let Some(message) = said.message() else {
            return mouth.pass(&said);
        };
        let mut forged = message.clone();
        self.turn += 1;
        let wanted = WAYS[self.turn % WAYS.len()];
        let way = match wanted {
            LESS => P::omit(&mut forged, (self.turn / WAYS.len()) as u64).then_some(LESS),
            VIEW => P::misdate(&mut forged).then_some(VIEW),
            way => {
                let n = mouth.ring.n();
                let list = P::certificates(&mut forged).into_iter();
                list.map(|it| forge(it, way, n)).reduce(|all, it| {
                    // Whoever checks them finds the first that is false.
                    if it == ANCHOR { all } else { it }
                })
            }
        };
        let Some(way) = way.filter(|_| forged != *message) else {
            return mouth.pass(&said);
        };
        P::sign(&mut forged, mouth.ring);
        mouth.lie(way, &said.to, said.class, &protocol(forged));
        if P::role(message) != Role::Propose || self.turn.is_multiple_of(2) {
            mouth.pass(&said);
        }
    }
}

/// Makes a certificate false, in this way unless it is the anchor's, which nobody signed. Returns how.
fn forge(it: &mut Certificate, way: Way, n: usize) -> Way {
    let first = it.signers.iter().next();
    let (Some(first), Some(&signature)) = (first, it.signatures.first()) else {
        it.signers.insert(NodeId(0));
        it.signatures.push(Signature([3; 64]));
        return ANCHOR;
    };
    let leave_out = |it: &mut Certificate| {
        it.signers.remove(first);
        it.signatures.remove(0);
    };
    match way {
        ONE_FOR_ALL => it.signatures.iter_mut().for_each(|it| *it = signature),
        FEW => leave_out(it),
        STRANGER => {
            leave_out(it);
            it.signers.insert(NodeId(n as u16));
            it.signatures.push(signature);
        }
        BAD_SHARE => it.signatures[0].0[10] ^= 1,
        OTHERS => {
            let mut absent = (0..n as u16).map(NodeId);
            let absent = absent.find(|node| !it.signers.contains(*node));
            it.signers.remove(first);
            it.signers.insert(absent.unwrap_or(NodeId(n as u16)));
        }
        MANY => it.signatures.push(signature),
        _ => *it = Certificate::default(),
    }
    way
}
