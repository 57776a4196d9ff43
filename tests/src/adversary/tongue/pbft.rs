//! PBFT's messages.

use super::{Ballot, Fluent, Role, Tongue, flipped};
use crate::adversary::{Entry, Poison, Proof, Ring, pbft};
use consensus::pbft::message::{Change, Low, Reached, ViewChange, Vote};
use consensus::pbft::{Message, NewView, Pbft};
use consensus::replica::StableCheckpoint;
use consensus::{Message as _, Signed as _};
use crypto::{Certificate, Height, NodeId, Payload, Signature, View};
use std::sync::Arc;

fn in_checkpoint(it: &mut Arc<StableCheckpoint>) -> &mut Certificate {
    &mut Arc::make_mut(it).certificate
}

fn in_new_view(it: &mut Arc<NewView>) -> Vec<&mut Certificate> {
    let it = Arc::make_mut(it);
    let prepared = it.prepared.iter_mut();
    let prepared = prepared.map(|it| &mut Arc::make_mut(it).certificate);
    let mut list: Vec<_> = it.checkpoints.iter_mut().map(in_checkpoint).collect();
    list.extend(prepared);
    list
}

fn in_reached(it: &mut Reached) -> Option<&mut Certificate> {
    match it {
        Reached::Nothing => None,
        Reached::Stable(it) => Some(in_checkpoint(it)),
        Reached::Prepared(it) => Some(&mut Arc::make_mut(it).certificate),
        Reached::Committed(it) => Some(&mut Arc::make_mut(it).certificate),
    }
}

fn misdated(it: &mut Reached) -> bool {
    match it {
        Reached::Nothing | Reached::Stable(_) => return false,
        Reached::Prepared(it) => Arc::make_mut(it).assigned.view.0 += 1,
        Reached::Committed(it) => Arc::make_mut(it).assigned.view.0 += 1,
    }
    true
}

impl Tongue for Pbft {
    fn role(message: &Message) -> Role {
        match message {
            Message::PrePrepare(_) => Role::Propose,
            Message::Prepare(_) | Message::Commit(_) => Role::Vote,
            Message::ViewChange(_) => Role::GiveUp,
            Message::NewView(_) => Role::Open,
            Message::Opened(_) | Message::Certificate(_) => Role::Certify,
            Message::AskProgress(_)
            | Message::FetchSlots(_)
            | Message::FetchPayloads(_)
            | Message::ReadAsk(_) => Role::Ask,
            Message::Slots(_) | Message::Payloads(_) | Message::ReadAnswer(_) => Role::Answer,
        }
    }
    fn about(message: &Message) -> u64 {
        match message {
            Message::PrePrepare(it) => it.view.0,
            Message::Prepare(it) | Message::Commit(it) => it.assigned.view.0,
            Message::ViewChange(it) => it.change.view.0,
            Message::NewView(it) | Message::Opened(it) => it.view.0,
            Message::AskProgress(it) => it.view.0,
            _ => 0,
        }
    }
    fn sign(message: &mut Message, ring: &Ring) {
        if let Some((author, statement, _)) = message.statement() {
            message.sign(ring.sign(author, &statement));
        }
    }
    fn rival(message: &Message) -> Option<Message> {
        match message {
            Message::PrePrepare(it) if !it.payload.is_empty() => {
                Self::ordering(message, Payload::EMPTY)
            }
            Message::Prepare(it) | Message::Commit(it) => {
                let mut other = *it;
                other.assigned.digest = flipped(&it.assigned.digest);
                Some(match message {
                    Message::Prepare(_) => Message::Prepare(other),
                    _ => Message::Commit(other),
                })
            }
            Message::ViewChange(it) if !it.prepared.is_empty() => {
                let mut other = it.clone();
                other.change.prepared.clear();
                other.prepared.clear();
                Some(Message::ViewChange(other))
            }
            _ => None,
        }
    }
    fn votes(proposal: &Message, me: NodeId, _: &Ring) -> Vec<Ballot<Message>> {
        let Message::PrePrepare(it) = proposal else {
            return Vec::new();
        };
        let vote = Vote {
            epoch: it.epoch,
            assigned: it.assigned(),
            author: me,
            signature: Signature::NONE,
        };
        vec![
            (None, Message::Prepare(vote)),
            (None, Message::Commit(vote)),
        ]
    }
}

impl Fluent for Pbft {
    fn payload(message: &Message) -> Option<&Payload> {
        match message {
            Message::PrePrepare(it) => Some(&it.payload),
            _ => None,
        }
    }
    fn ordering(message: &Message, payload: Payload) -> Option<Message> {
        let Message::PrePrepare(it) = message else {
            return None;
        };
        let mut it = it.clone();
        it.payload = Arc::new(payload);
        Some(Message::PrePrepare(it))
    }
    fn set_view(message: &mut Message, view: u64) -> bool {
        let view = View(view);
        match message {
            Message::PrePrepare(it) => it.view = view,
            Message::Prepare(it) | Message::Commit(it) => it.assigned.view = view,
            Message::ViewChange(it) => it.change.view = view,
            Message::NewView(it) | Message::Opened(it) => Arc::make_mut(it).view = view,
            Message::AskProgress(it) => it.view = view,
            _ => return false,
        }
        true
    }
    fn set_height(message: &mut Message, height: u64) -> bool {
        let height = Height(height);
        match message {
            Message::PrePrepare(it) => it.height = height,
            Message::Prepare(it) | Message::Commit(it) => it.assigned.height = height,
            Message::ViewChange(it) => it.change.low.height = height,
            Message::AskProgress(it) => it.height = height,
            Message::FetchSlots(it) => it.from = height,
            Message::Slots(it) => it.reached = height,
            _ => return false,
        }
        true
    }
    fn certificates(message: &mut Message) -> Vec<&mut Certificate> {
        match message {
            Message::ViewChange(it) => {
                let it = &mut **it;
                let prepared = it.prepared.iter_mut();
                let prepared = prepared.map(|it| &mut Arc::make_mut(it).certificate);
                let mut list: Vec<_> = it.checkpoint.iter_mut().map(in_checkpoint).collect();
                list.extend(prepared);
                list
            }
            Message::NewView(it) | Message::Opened(it) => in_new_view(it),
            Message::Certificate(it) => in_reached(it).into_iter().collect(),
            Message::ReadAnswer(it) => in_reached(&mut it.reached).into_iter().collect(),
            Message::Slots(it) => {
                let slots = it.slots.iter_mut();
                slots
                    .map(|it| &mut Arc::make_mut(&mut it.certificate).certificate)
                    .collect()
            }
            _ => Vec::new(),
        }
    }
    fn age(message: &mut Message, older: &Message) -> bool {
        match (message, older) {
            (Message::ViewChange(it), Message::ViewChange(old)) => {
                let mut change = old.change.clone();
                change.view = it.change.view;
                change.author = it.change.author;
                it.change = change;
                it.checkpoint.clone_from(&old.checkpoint);
                it.prepared.clone_from(&old.prepared);
            }
            (Message::ReadAnswer(it), Message::ReadAnswer(old)) => {
                it.reached = old.reached.clone();
            }
            (Message::Certificate(it), Message::Certificate(old)) => *it = old.clone(),
            (Message::Opened(it), Message::Opened(old)) => *it = Arc::clone(old),
            _ => return false,
        }
        true
    }
    fn transposed(message: &Message) -> Option<Message> {
        match message {
            Message::Prepare(it) => Some(Message::Commit(*it)),
            Message::Commit(it) => Some(Message::Prepare(*it)),
            Message::PrePrepare(it) => Some(Message::Prepare(Vote {
                epoch: it.epoch,
                assigned: it.assigned(),
                author: it.author,
                signature: it.signature,
            })),
            Message::NewView(it) => Some(Message::Opened(Arc::clone(it))),
            _ => None,
        }
    }
    fn omit(message: &mut Message, draw: u64) -> bool {
        match message {
            Message::ViewChange(it) if draw.is_multiple_of(2) => it.checkpoint = None,
            Message::ViewChange(it) => it.prepared.clear(),
            Message::NewView(it) | Message::Opened(it) => {
                let it = Arc::make_mut(it);
                match draw % 4 {
                    0 => drop(it.changes.pop()),
                    1 => it.prepared.clear(),
                    2 => drop(it.slots.pop()),
                    _ => it.checkpoints.clear(),
                }
            }
            Message::Slots(it) => it.slots.clear(),
            Message::Payloads(it) => it.payloads.clear(),
            Message::ReadAnswer(it) => it.reached = Reached::Nothing,
            _ => return false,
        }
        true
    }
    const PLACES: [&'static str; 4] = [
        "a slot above",
        "a slot below",
        "a view above",
        "three slots above",
    ];
    fn misplace(message: &mut Message, place: usize) -> bool {
        let Message::PrePrepare(it) = message else {
            return false;
        };
        match place {
            0 => it.height = Height(it.height.0 + 1),
            1 => it.height = Height(it.height.0.saturating_sub(1)),
            2 => it.view = View(it.view.0 + 1),
            _ => it.height = Height(it.height.0 + 3),
        }
        true
    }
    fn misdate(message: &mut Message) -> bool {
        match message {
            Message::ViewChange(it) => {
                let Some(last) = it.prepared.last_mut() else {
                    return false;
                };
                let last = Arc::make_mut(last);
                last.assigned.view.0 += 1;
                if let Some(claim) = it.change.prepared.last_mut() {
                    *claim = last.assigned;
                }
            }
            Message::NewView(it) | Message::Opened(it) => {
                let prepared = Arc::make_mut(it).prepared.last_mut();
                match prepared.map(Arc::make_mut) {
                    Some(it) => it.assigned.view.0 += 1,
                    None => return false,
                }
            }
            Message::Certificate(it) => return misdated(it),
            Message::ReadAnswer(it) => return misdated(&mut it.reached),
            Message::Slots(it) => match it.slots.last_mut() {
                Some(it) => Arc::make_mut(&mut it.certificate).assigned.view.0 += 1,
                None => return false,
            },
            _ => return false,
        }
        true
    }
    /// As one that has prepared nothing and knows of no checkpoint.
    fn give_up(message: &Message, me: NodeId, _ring: &Ring) -> Option<Message> {
        let Message::PrePrepare(it) = message else {
            return None;
        };
        let change = Change {
            epoch: it.epoch,
            view: it.view.next(),
            low: Low::default(),
            prepared: Vec::new(),
            author: me,
            signature: Signature::NONE,
        };
        Some(Message::ViewChange(Box::new(ViewChange {
            change,
            checkpoint: None,
            prepared: Vec::new(),
        })))
    }
    fn poison(message: &mut Message, how: Poison, other: &Message) -> Option<Proof> {
        let foreign = || match other {
            Message::PrePrepare(it) => Some(Arc::clone(&it.payload)),
            Message::Slots(it) => it.slots.first().map(|it| Arc::clone(&it.payload)),
            Message::Payloads(it) => it.payloads.first().map(|(_, it)| Arc::clone(it)),
            _ => None,
        };
        match message {
            Message::Slots(it) if how == Poison::Foreign => {
                let middle = it.slots.len() / 2;
                it.slots.get_mut(middle)?.payload = foreign()?;
                Some(Proof::Each)
            }
            Message::Slots(it) => {
                // There is said to be more, far above, again and again.
                it.reached.0 += u64::from(how == Poison::Drip) << 20;
                how.spoil(&mut it.slots).then_some(Proof::Each)
            }
            Message::Payloads(it) => {
                // Most hold a single payload, and are rare: all that can be done is to put another there.
                if !how.spoil(&mut it.payloads) {
                    it.payloads.first_mut()?.1 = foreign()?;
                }
                Some(Proof::None)
            }
            _ => None,
        }
    }
    const LACKS: &'static [(&'static str, &'static str)] = &[
        // No pre-prepare carries a proof, nor does a question.
        ("stale", "in a proposal"),
        ("stale", "in a question"),
        // It has no parent.
        ("bad-block", "on another parent than is certified"),
    ];
    const ANSWERS: &'static [Proof] = &[Proof::Each, Proof::None];
    fn own() -> Vec<Entry<Self>> {
        pbft::own()
    }
}
