//! Phases, certificates and view changes as liars make them, of true signatures and their own.

use super::super::stage::members;
use super::super::troupe::{CONTEXT, Troupe};
use consensus::pbft::certificate::phase_statement;
use consensus::pbft::message::{Change, CommittedSlot, Low, Reached, Slots, Vote};
use consensus::pbft::{
    Assigned, CommitCertificate, Message, NewView, PrePrepare, Prepared, ViewChange,
};
use consensus::replica::StableCheckpoint;
use crypto::{Certificate, Digest, Height, Kind, NodeId, Payload, Signature, View};
use std::sync::Arc;

/// A primary's pre-prepare.
pub fn pre_prepare(
    troupe: &Troupe,
    author: u16,
    assigned: Assigned,
    payload: &Arc<Payload>,
) -> Message {
    Message::PrePrepare(PrePrepare {
        epoch: CONTEXT.epoch,
        view: assigned.view,
        height: assigned.height,
        payload: Arc::clone(payload),
        author: NodeId(author),
        signature: sign(troupe, Kind::PrePrepare, author, &assigned),
    })
}

fn sign(troupe: &Troupe, kind: Kind, node: u16, assigned: &Assigned) -> Signature {
    troupe.sign(node, &phase_statement(kind, CONTEXT.epoch, assigned))
}

/// A prepare or a commit.
pub fn vote(troupe: &Troupe, kind: Kind, node: u16, assigned: Assigned) -> Message {
    let vote = Vote {
        epoch: CONTEXT.epoch,
        assigned,
        author: NodeId(node),
        signature: sign(troupe, kind, node, &assigned),
    };
    match kind {
        Kind::Prepare => Message::Prepare(vote),
        _ => Message::Commit(vote),
    }
}

/// Prepared by these, as bits, who have signed it or lie; the primary is among them.
pub fn prepared(troupe: &Troupe, assigned: Assigned, primary: u16, by: u32) -> Arc<Prepared> {
    let signed = members(by).map(|i| i as u16).map(|node| {
        let kind = if node == primary {
            Kind::PrePrepare
        } else {
            Kind::Prepare
        };
        (NodeId(node), sign(troupe, kind, node, &assigned))
    });
    Arc::new(Prepared {
        assigned,
        primary: NodeId(primary),
        certificate: Certificate::collect(signed),
    })
}

/// Committed by these, as bits, who have signed it or lie.
pub fn committed(troupe: &Troupe, assigned: Assigned, by: u32) -> Arc<CommitCertificate> {
    let signed = members(by).map(|i| i as u16);
    let signed = signed.map(|node| (NodeId(node), sign(troupe, Kind::Commit, node, &assigned)));
    Arc::new(CommitCertificate {
        assigned,
        certificate: Certificate::collect(signed),
    })
}

/// A committed slot is told.
pub fn slot(payload: &Arc<Payload>, certificate: Arc<CommitCertificate>) -> Message {
    let reached = certificate.assigned.height;
    let payload = Arc::clone(payload);
    let slots = vec![CommittedSlot {
        payload,
        certificate,
    }];
    Message::Slots(Slots { slots, reached })
}

/// What somebody shows who asks for a view: a stable checkpoint, and certificates above it,
/// ascending, one a slot.
pub type Shown = (Option<Arc<StableCheckpoint>>, Vec<Arc<Prepared>>);

/// A liar asks for a view, and shows this.
pub fn change(troupe: &Troupe, liar: u16, view: u64, (stable, shown): Shown) -> ViewChange {
    let mut change = Change {
        epoch: CONTEXT.epoch,
        view: View(view),
        low: Low::of(stable.as_deref(), &CONTEXT),
        prepared: shown.iter().map(|it| it.assigned).collect(),
        author: NodeId(liar),
        signature: Signature::NONE,
    };
    change.signature = troupe.sign(liar, &change.statement());
    ViewChange {
        change,
        checkpoint: stable,
        prepared: shown,
    }
}

/// A checkpoint is shown to be stable.
pub fn stable(it: &Arc<StableCheckpoint>) -> Message {
    Message::Certificate(Reached::Stable(Arc::clone(it)))
}

/// A liar opens a view with these view changes.
pub fn new_view(
    troupe: &Troupe,
    liar: u16,
    view: u64,
    said: &[&ViewChange],
    slots: Vec<Digest>,
) -> Arc<NewView> {
    let (author, view) = (NodeId(liar), View(view));
    let mut opened = NewView::collect(CONTEXT.epoch, view, author, said, slots);
    opened.signature = troupe.sign(liar, &opened.statement());
    Arc::new(opened)
}

/// What stands for a payload at a place.
pub fn assigned(view: u64, height: u64, payload: &Payload) -> Assigned {
    Assigned {
        height: Height(height),
        view: View(view),
        digest: consensus::pbft::slot::content(payload),
    }
}
