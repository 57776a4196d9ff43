//! Forged messages of PBFT.

use super::Source;
use super::forge::{EPOCH, Forge, Hands, shuffle};
use crate::sim::Protocol;
use consensus::pbft::certificate::phase_statement;
use consensus::pbft::message::{Change, Low, Reached, Vote};
use consensus::pbft::{CommitCertificate, Message, NewView, Pbft, Prepared, ViewChange, slot};
use crypto::{Kind, NodeId, View};
use std::sync::Arc;

impl Forge for Pbft {
    const PROTOCOL: Protocol = Protocol::Pbft;

    fn vary(message: &mut Message, other: Option<&Message>, source: &mut Source<'_>) {
        match message {
            Message::PrePrepare(it) => match other {
                Some(Message::PrePrepare(other)) => it.payload = other.payload.clone(),
                _ => it.payload = Arc::new(crypto::Payload::EMPTY),
            },
            Message::Prepare(it) | Message::Commit(it) => match other {
                Some(Message::PrePrepare(other)) => it.assigned = other.assigned(),
                Some(Message::Prepare(other) | Message::Commit(other)) => {
                    it.assigned = other.assigned;
                }
                _ => it.assigned.view = View(source.number()),
            },
            Message::ViewChange(it) => match source.below(4) {
                0 => shuffle(&mut it.prepared, source),
                1 => it.checkpoint = None,
                2 => it.change.view = View(source.number()),
                _ => {
                    if let Some(Message::ViewChange(other)) = other {
                        it.prepared.extend(other.prepared.iter().cloned());
                        it.checkpoint.clone_from(&other.checkpoint);
                    }
                }
            },
            Message::NewView(it) | Message::Opened(it) => {
                new_view_varied(Arc::make_mut(it), other, source);
            }
            Message::Slots(it) => shuffle(&mut it.slots, source),
            Message::FetchPayloads(it) => shuffle(&mut it.wanted, source),
            Message::Payloads(it) => shuffle(&mut it.payloads, source),
            Message::Certificate(it) => {
                if let Some(Message::Certificate(other)) = other {
                    *it = other.clone();
                }
            }
            Message::AskProgress(_)
            | Message::FetchSlots(_)
            | Message::ReadAsk(_)
            | Message::ReadAnswer(_) => {}
        }
    }

    fn mend(message: &mut Message, hands: &Hands) {
        match message {
            Message::PrePrepare(it) => {
                (it.author, it.epoch) = (hands.me(), EPOCH);
                let statement = it.statement();
                hands.sign(it.author, &statement, &mut it.signature);
            }
            Message::Prepare(it) => vote(it, Kind::Prepare, hands),
            Message::Commit(it) => vote(it, Kind::Commit, hands),
            Message::ViewChange(it) => view_change(it, hands),
            Message::NewView(it) => new_view(Arc::make_mut(it), hands),
            Message::Opened(it) => new_view(Arc::make_mut(it), hands),
            Message::Certificate(it) => reached(it, hands),
            Message::AskProgress(it) => it.epoch = EPOCH,
            Message::FetchSlots(it) => it.epoch = EPOCH,
            Message::Slots(it) => {
                for it in &mut it.slots {
                    let digest = slot::content(&it.payload);
                    let certificate = Arc::make_mut(&mut it.certificate);
                    certificate.assigned.digest = digest;
                    committed(certificate, hands);
                }
            }
            Message::FetchPayloads(it) => it.epoch = EPOCH,
            Message::Payloads(it) => it.epoch = EPOCH,
            Message::ReadAsk(it) => it.epoch = EPOCH,
            Message::ReadAnswer(it) => {
                it.epoch = EPOCH;
                reached(&mut it.reached, hands);
            }
        }
    }
}

fn new_view_varied(it: &mut NewView, other: Option<&Message>, source: &mut Source<'_>) {
    match source.below(6) {
        0 => shuffle(&mut it.changes, source),
        1 => shuffle(&mut it.checkpoints, source),
        2 => shuffle(&mut it.prepared, source),
        3 => shuffle(&mut it.slots, source),
        4 => it.view = View(source.number()),
        _ => {
            if let Some(Message::ViewChange(other)) = other {
                it.changes.push(other.change.clone());
                it.prepared.extend(other.prepared.iter().cloned());
                it.checkpoints.extend(other.checkpoint.clone());
            }
        }
    }
}

fn vote(it: &mut Vote, kind: Kind, hands: &Hands) {
    (it.author, it.epoch) = (hands.me(), EPOCH);
    let statement = it.statement(kind);
    hands.sign(it.author, &statement, &mut it.signature);
}

fn change(it: &mut Change, hands: &Hands) {
    it.epoch = EPOCH;
    let statement = it.statement();
    hands.sign(it.author, &statement, &mut it.signature);
}

fn view_change(it: &mut ViewChange, hands: &Hands) {
    if let Some(stable) = &mut it.checkpoint {
        hands.stable(Arc::make_mut(stable));
    }
    for it in &mut it.prepared {
        prepared(Arc::make_mut(it), hands);
    }
    it.change.author = hands.me();
    it.change.low = Low::of(it.checkpoint.as_deref(), &hands.verifier().context);
    it.change.prepared = it.prepared.iter().map(|it| it.assigned).collect();
    change(&mut it.change, hands);
}

/// With everybody's keys, the changes are by distinct members and for this view.
fn new_view(it: &mut NewView, hands: &Hands) {
    (it.author, it.epoch) = (hands.me(), EPOCH);
    for stable in &mut it.checkpoints {
        hands.stable(Arc::make_mut(stable));
    }
    for it in &mut it.prepared {
        prepared(Arc::make_mut(it), hands);
    }
    for (i, of) in (0..).zip(&mut it.changes) {
        if hands.are_all() {
            (of.author, of.view) = (NodeId(i), it.view);
            let stable = it.checkpoints.get(usize::from(i)).map(AsRef::as_ref);
            of.low = Low::of(stable, &hands.verifier().context);
            let carried = it.prepared.iter().map(|it| it.assigned);
            of.prepared = carried.filter(|_| i == 0).collect();
        }
        change(of, hands);
    }
    let statement = it.statement();
    hands.sign(it.author, &statement, &mut it.signature);
}

fn prepared(it: &mut Prepared, hands: &Hands) {
    let pre_prepare = phase_statement(Kind::PrePrepare, EPOCH, &it.assigned);
    let prepare = phase_statement(Kind::Prepare, EPOCH, &it.assigned);
    let primary = it.primary;
    hands.certificate(&mut it.certificate, |_, node| {
        if node == primary {
            pre_prepare
        } else {
            prepare
        }
    });
}

fn committed(it: &mut CommitCertificate, hands: &Hands) {
    let statement = phase_statement(Kind::Commit, EPOCH, &it.assigned);
    hands.certificate(&mut it.certificate, |_, _| statement);
}

fn reached(it: &mut Reached, hands: &Hands) {
    match it {
        Reached::Nothing => {}
        Reached::Stable(it) => hands.stable(Arc::make_mut(it)),
        Reached::Prepared(it) => prepared(Arc::make_mut(it), hands),
        Reached::Committed(it) => committed(Arc::make_mut(it), hands),
    }
}
