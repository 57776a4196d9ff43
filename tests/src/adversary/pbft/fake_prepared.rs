//! Claims to have prepared what nobody did.

use crate::adversary::mouth::{Said, protocol};
use crate::adversary::tongue::Tongue;
use crate::adversary::{Adversary, Mouth, Ring, Way};
use consensus::pbft::certificate::phase_statement;
use consensus::pbft::{Assigned, Message, Pbft, Prepared};
use crypto::{Certificate, Digest, Height, Kind, View};
use std::sync::Arc;

const LATER: Way = Way::refused("a real certificate of a later view than it is of");
const MADE: Way = Way::refused("a certificate of the liars' own making");
pub(super) const WAYS: [Way; 2] = [LATER, MADE];

/// View changes with a certificate of the liars' own making: by them alone, or with other members'
/// signatures taken from elsewhere; or one that is real, of a higher view than it is of.
#[derive(Default)]
pub struct FakePrepared {
    turn: u64,
}

/// What the liars can sign of a certificate.
fn fake(assigned: Assigned, ring: &Ring) -> Prepared {
    let epoch = ring.verifier.context.epoch;
    let primary = ring.leader(assigned.view);
    let sign = |node| {
        let kind = if node == primary {
            Kind::PrePrepare
        } else {
            Kind::Prepare
        };
        (
            node,
            ring.sign(node, &phase_statement(kind, epoch, &assigned)),
        )
    };
    // A signature in an honest member's name is worth nothing, and it is what is counted on.
    let quorum = ring.verifier.validators.quorums().commit;
    let others = ring.all().filter(|it| !ring.holds(*it) && *it != primary);
    let signers = ring
        .liars()
        .filter(|it| *it != primary)
        .chain(others)
        .take(quorum - 1);
    let mut signers: Vec<_> = signers.collect();
    signers.push(primary);
    Prepared {
        assigned,
        primary,
        certificate: Certificate::collect(signers.into_iter().map(sign)),
    }
}

impl Adversary<Pbft> for FakePrepared {
    fn say(&mut self, said: Said<Message>, mouth: &mut Mouth<'_>) {
        let Some(Message::ViewChange(it)) = said.message() else {
            return mouth.pass(&said);
        };
        self.turn += 1;
        let mut bad = it.clone();
        let below = View(it.change.view.0.saturating_sub(1));
        let last = bad.prepared.last_mut();
        let last = last.filter(|it| it.assigned.view < below && self.turn.is_multiple_of(2));
        let way = if let Some(last) = last {
            // The certificate stays, and is said to be of a later view.
            Arc::make_mut(last).assigned.view = below;
            LATER
        } else {
            let highest = bad.change.prepared.last().map(|it| it.height);
            let height = highest.unwrap_or(bad.change.low.height).next();
            let assigned = Assigned {
                height: Height(height.0),
                view: below,
                digest: Digest([6; 32]),
            };
            bad.prepared.push(Arc::new(fake(assigned, mouth.ring)));
            MADE
        };
        bad.change.prepared = bad.prepared.iter().map(|it| it.assigned).collect();
        let mut bad = Message::ViewChange(bad);
        Pbft::sign(&mut bad, mouth.ring);
        mouth.lie(way, &said.to, said.class, &protocol(bad));
    }
}
