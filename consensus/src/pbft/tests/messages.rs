//! What is checked before a message becomes `Verified`.

use super::super::message::{
    AskProgress, CommittedSlot, FetchPayloads, FetchSlots, MAX_SLOTS, Message, Payloads, Reached,
    ReadAnswer, ReadAsk, Slots,
};
use super::super::{Pbft, Prepared, Proof, slot};
use super::craft::{Craft, payload};
use crate::{Committed, Draft as _, Message as _, Protocol as _};
use crypto::*;
use std::sync::Arc;

/// One of each, with every optional field present; all from member 2, primary of view 2.
pub fn one_of_each(craft: &Craft) -> Vec<Message> {
    let assigned = craft.assigned(2, 10, &payload(1));
    let earlier = [craft.prepared_at(1, 9, 1), craft.prepared_at(1, 11, 2)];
    let opened = craft.opened(2, 8, &earlier);
    let slots = (1..=2).map(|height| CommittedSlot {
        payload: Arc::new(payload(height)),
        certificate: craft.committed(craft.assigned(1, height, &payload(height))),
    });
    let (epoch, height) = (Epoch(0), Height(3));
    vec![
        craft.pre_prepare(2, 10, &payload(1)),
        craft.prepare(2, assigned),
        craft.commit(2, assigned),
        craft.view_change(2, 2, 8, &earlier),
        Message::NewView(Arc::clone(&opened)),
        Message::Opened(opened),
        Message::Certificate(Reached::Prepared(craft.prepared_at(1, 3, 4))),
        Message::AskProgress(AskProgress {
            epoch,
            view: View(4),
            height,
            stalled: true,
        }),
        Message::FetchSlots(FetchSlots {
            epoch,
            from: height,
        }),
        Message::Slots(Slots {
            slots: slots.collect(),
            reached: Height(2),
        }),
        Message::FetchPayloads(FetchPayloads {
            epoch,
            wanted: vec![(height, slot::null())],
        }),
        Message::Payloads(Payloads {
            epoch,
            payloads: vec![(height, Arc::new(payload(3)))],
        }),
        Message::ReadAsk(ReadAsk { epoch, nonce: 5 }),
        Message::ReadAnswer(ReadAnswer {
            epoch,
            nonce: 5,
            reached: Reached::Committed(craft.committed(assigned)),
        }),
    ]
}

fn check_from(craft: &Craft, from: u16, message: &Message) -> Result<(), Reject> {
    message.check(NodeId(from), &craft.verifier)
}
fn check(craft: &Craft, message: &Message) -> Result<(), Reject> {
    check_from(craft, 2, message)
}

/// Questions, and payloads that their asker tells by their digests.
fn unsigned(message: &Message) -> bool {
    matches!(
        message,
        Message::AskProgress(_)
            | Message::FetchSlots(_)
            | Message::FetchPayloads(_)
            | Message::Payloads(_)
            | Message::ReadAsk(_)
    )
}

#[test]
fn every_flipped_byte_is_rejected() {
    for n in [4, 7] {
        let craft = Craft::new(n);
        for message in one_of_each(&craft).iter().filter(|it| !unsigned(it)) {
            check(&craft, message).unwrap();
            let bytes = codec::encode(message);
            // An answer's nonce is compared with its question's; how far a peer is, is a hint.
            let free = match message {
                Message::ReadAnswer(_) => 12..20,
                Message::Slots(_) => bytes.len() - 8..bytes.len(),
                _ => 0..0,
            };
            for i in (0..bytes.len()).filter(|i| !free.contains(i)) {
                let mut flipped = bytes.clone();
                flipped[i] ^= 1;
                let Ok(other) = codec::decode::<Message>(&flipped) else {
                    continue;
                };
                // The same proof under another name is the same proof.
                let renamed = matches!(
                    (message, &other),
                    (Message::NewView(_), Message::Opened(_))
                        | (Message::Opened(_), Message::NewView(_))
                );
                assert!(
                    renamed || check(&craft, &other).is_err(),
                    "{} byte {i}",
                    message.name()
                );
            }
        }
    }
}

#[test]
fn every_cut_is_undecodable() {
    for message in one_of_each(&Craft::new(4)) {
        let bytes = codec::encode(&message);
        assert_eq!(codec::decode::<Message>(&bytes).unwrap(), message);
        for end in 0..bytes.len() {
            let cut = codec::decode::<Message>(&bytes[..end]);
            assert!(cut.is_err(), "{} cut at {end}", message.name());
        }
    }
}

#[test]
fn what_is_signed_by_its_sender_comes_from_its_sender() {
    let craft = Craft::new(4);
    for message in &one_of_each(&craft)[..5] {
        let wrong = Err(Reject::WrongSender);
        assert_eq!(check_from(&craft, 1, message), wrong, "{}", message.name());
        let stranger = Err(Reject::NotMember);
        assert_eq!(check_from(&craft, 4, message), stranger);
    }
}

#[test]
fn another_chain_and_another_epoch_are_rejected() {
    let craft = Craft::new(4);
    for message in &one_of_each(&craft) {
        let mut other = craft.verifier.clone();
        other.context.chain.0 = Digest([8; 32]);
        let checked = message.check(NodeId(2), &other);
        let name = message.name();
        assert!(unsigned(message) || checked.is_err(), "{name}: other chain");
        let mut other = craft.verifier.clone();
        other.context.epoch = Epoch(1);
        let checked = message.check(NodeId(2), &other);
        assert!(checked.is_err(), "{name}: other epoch");
    }
}

#[test]
fn draft_and_signature_make_the_message() {
    for message in one_of_each(&Craft::new(4)) {
        let draft = super::super::Draft(message.clone());
        let Some((author, statement, signature)) = message.statement() else {
            assert_eq!(draft.seal(None), message);
            assert!(message.may_overtake(), "{}", message.name());
            continue;
        };
        assert_eq!(author, NodeId(2));
        assert!(!message.may_overtake(), "{} waits", message.name());
        assert_eq!(draft.statement(), Some(statement));
        assert_eq!(draft.clone().seal(Some(signature)), message);
        assert_ne!(draft.seal(Some(Signature::NONE)), message);
    }
}

#[test]
fn no_phase_passes_for_another() {
    let craft = Craft::new(4);
    let assigned = craft.assigned(2, 10, &payload(1));
    let (Message::Prepare(prepare), Message::Commit(commit)) =
        (craft.prepare(3, assigned), craft.commit(3, assigned))
    else {
        unreachable!()
    };
    let swapped = [Message::Prepare(commit), Message::Commit(prepare)];
    for message in swapped {
        assert_eq!(check_from(&craft, 3, &message), Err(Reject::BadSignature));
    }
    // A prepare of the primary is no pre-prepare of it, and makes no certificate.
    let mut prepared = (*craft.prepared(assigned)).clone();
    prepared.primary = NodeId(3);
    let message = Message::Certificate(Reached::Prepared(Arc::new(prepared)));
    assert_eq!(check(&craft, &message), Err(Reject::BadSignature));
}

#[test]
fn certificates_need_a_quorum_of_distinct_members() {
    for n in [4u16, 5, 6, 7, 10] {
        let craft = Craft::new(n);
        let q = craft.quorum();
        let all: Vec<u16> = (0..n).collect();
        let assigned = craft.assigned(1, 3, &payload(1));
        let good = |signers: &[u16]| (*craft.prepared_by(assigned, signers)).clone();
        let check = |it: Prepared| {
            let message = Message::Certificate(Reached::Prepared(Arc::new(it)));
            check_from(&craft, 0, &message)
        };
        // Member 1 is the primary of view 1: without it nothing is prepared.
        assert_eq!(check(good(&all)), Ok(()));
        assert_eq!(check(good(&all[..q])), Ok(()));
        assert_eq!(check(good(&all[1..=q])).is_ok(), n as usize > q);
        let others: Vec<u16> = all.iter().copied().filter(|it| *it != 1).collect();
        assert_eq!(check(good(&others)), Err(Reject::BadCertificate));
        let short = &all[..q - 1];
        assert_eq!(check(good(short)), Err(Reject::BadCertificate));
        // One key, many signatures.
        let mut repeated = good(short);
        let last = *repeated.certificate.signatures.last().unwrap();
        repeated.certificate.signatures.push(last);
        assert_eq!(check(repeated), Err(Reject::BadCertificate));
        // A member that did not sign; one that is no member.
        for stranger in [NodeId(q as u16 - 1), NodeId(n)] {
            let mut forged = good(short);
            forged.certificate.signers.insert(stranger);
            forged.certificate.signatures.push(last);
            assert!(check(forged).is_err());
        }
        // One bad share among good ones.
        let mut bad = good(&all[..q]);
        bad.certificate.signatures[0] = Signature([9; 64]);
        assert_eq!(check(bad), Err(Reject::BadSignature));
        // The same signatures for another view, height or digest.
        for field in 0..3 {
            let mut moved = good(&all);
            match field {
                0 => moved.assigned.view = View(1 + u64::from(n)),
                1 => moved.assigned.height = Height(4),
                _ => moved.assigned.digest = slot::null(),
            }
            assert_eq!(check(moved), Err(Reject::BadSignature));
        }
    }
}

#[test]
fn one_bad_part_makes_a_view_change_invalid() {
    for n in [4, 7] {
        let craft = Craft::new(n);
        let prepared = [craft.prepared_at(1, 9, 1), craft.prepared_at(1, 11, 2)];
        let good = craft.change(0, 2, 8, &prepared);
        let check = |it: &super::super::ViewChange| {
            check_from(&craft, 0, &Message::ViewChange(Box::new(it.clone())))
        };
        assert_eq!(check(&good), Ok(()));
        let resign = |it: &mut super::super::ViewChange| {
            it.change.signature = craft.sign(0, &it.change.statement());
        };
        let lies: [fn(&mut super::super::ViewChange); 9] = [
            |it| drop(it.prepared.pop()),
            |it| it.prepared.swap(0, 1),
            |it| it.change.prepared.swap(0, 1),
            |it| it.checkpoint = None,
            |it| it.change.low.height = Height(0),
            |it| it.change.prepared[1].view = View(2),
            |it| it.change.prepared[0].height = Height(8),
            |it| it.change.prepared[0].digest = slot::null(),
            |it| it.change.epoch = Epoch(1),
        ];
        for (i, lie) in lies.iter().enumerate() {
            let mut it = good.clone();
            lie(&mut it);
            resign(&mut it);
            assert!(check(&it).is_err(), "lie {i}");
        }
        // A certificate of which one share is bad, and a checkpoint of which one is.
        let mut it = good.clone();
        let mut bad = (*prepared[1]).clone();
        bad.certificate.signatures[0] = Signature([7; 64]);
        it.prepared[1] = Arc::new(bad);
        assert_eq!(check(&it), Err(Reject::BadSignature));
        let mut it = good.clone();
        let mut stable = (**it.checkpoint.as_ref().unwrap()).clone();
        stable.certificate.signatures[0] = Signature([7; 64]);
        it.checkpoint = Some(Arc::new(stable));
        assert_eq!(check(&it), Err(Reject::BadSignature));
    }
}

#[test]
fn a_new_view_has_exactly_a_quorum_of_distinct_members_and_proofs_of_all_they_say() {
    for n in [4u16, 7] {
        let craft = Craft::new(n);
        let prepared = [craft.prepared_at(1, 9, 1)];
        let q = craft.quorum();
        let changes = |nodes: &[u16]| -> Vec<super::super::ViewChange> {
            let change = |node: &u16| craft.change(*node, 2, 8, &prepared);
            nodes.iter().map(change).collect()
        };
        let all: Vec<u16> = (0..n).collect();
        let check =
            |it: super::super::NewView| check_from(&craft, 2, &Message::NewView(Arc::new(it)));
        let good = craft.new_view(2, &changes(&all[..q]));
        assert_eq!(check(good.clone()), Ok(()));
        let few = craft.new_view(2, &changes(&all[..q - 1]));
        assert_eq!(check(few), Err(Reject::BadCertificate));
        let many = craft.new_view(2, &changes(&all));
        assert_eq!(check(many), Err(Reject::BadCertificate));
        let mut twice = all[..q - 1].to_vec();
        twice.push(0);
        let twice = craft.new_view(2, &changes(&twice));
        assert_eq!(check(twice), Err(Reject::BadCertificate));
        let resigned = |lie: fn(&mut super::super::NewView)| {
            let mut it = good.clone();
            lie(&mut it);
            it.signature = craft.sign(2, &it.statement());
            check(it)
        };
        assert!(resigned(|it| drop(it.prepared.pop())).is_err());
        assert!(resigned(|it| it.prepared.push(Arc::clone(&it.prepared[0]))).is_err());
        assert!(resigned(|it| drop(it.checkpoints.pop())).is_err());
        assert!(resigned(|it| it.changes[0].view = View(3)).is_err());
        assert!(resigned(|it| it.changes[0].prepared.clear()).is_err());
        assert!(resigned(|it| it.epoch = Epoch(1)).is_err());
    }
}

#[test]
fn fetched_slots_are_consecutive_and_each_proven() {
    let craft = Craft::new(4);
    let slot = |height: u64, number: u64| CommittedSlot {
        payload: Arc::new(payload(number)),
        certificate: craft.committed(craft.assigned(1, height, &payload(height))),
    };
    let check = |slots: Vec<CommittedSlot>| {
        let reached = Height(9);
        check(&craft, &Message::Slots(Slots { slots, reached }))
    };
    assert_eq!(check(vec![slot(1, 1), slot(2, 2), slot(3, 3)]), Ok(()));
    assert_eq!(check(Vec::new()), Ok(()));
    assert_eq!(check(vec![slot(1, 1), slot(3, 3)]), Err(Reject::Malformed));
    assert_eq!(check(vec![slot(2, 2), slot(1, 1)]), Err(Reject::Malformed));
    assert_eq!(check(vec![slot(1, 2)]), Err(Reject::Malformed));
    let mut forged = slot(1, 1);
    Arc::make_mut(&mut forged.certificate)
        .certificate
        .signatures[0] = Signature([1; 64]);
    assert_eq!(check(vec![forged]), Err(Reject::BadSignature));
    let many = vec![slot(1, 1); MAX_SLOTS + 1];
    assert_eq!(check(many), Err(Reject::TooLong));
}

#[test]
fn batches_travel_apart() {
    let craft = Craft::new(4);
    let inline = Payload::Inline(vec![crate::testing::batches::batch(1)]);
    for payload in [inline, Payload::Inline(Vec::new())] {
        let message = craft.pre_prepare(2, 1, &payload);
        assert_eq!(check(&craft, &message), Err(Reject::Malformed));
        let payloads = vec![(Height(1), Arc::new(payload))];
        let epoch = Epoch(0);
        let message = Message::Payloads(Payloads { epoch, payloads });
        assert_eq!(check(&craft, &message), Err(Reject::Malformed));
    }
}

#[test]
fn a_null_slot_is_told_from_every_payload() {
    assert_eq!(slot::content(&Payload::EMPTY), slot::null());
    assert_ne!(slot::null(), Payload::EMPTY.digest());
    assert_ne!(slot::content(&payload(1)), slot::null());
}

#[test]
fn a_proof_of_commitment_convinces_by_itself_or_not_at_all() {
    for n in [4, 7] {
        let craft = Craft::new(n);
        let proof = |payload: &Payload| Committed {
            height: Height(3),
            payload: payload.clone(),
            history: Digest::ZERO,
            proof: Proof((*craft.committed(craft.assigned(1, 3, payload))).clone()),
        };
        let check = |it: &Committed<Proof>| Pbft::check_proof(it, &craft.verifier);
        assert_eq!(check(&proof(&payload(1))), Ok(()));
        assert_eq!(check(&proof(&Payload::EMPTY)), Ok(()), "a null slot, too");
        let lies: [fn(&mut Committed<Proof>); 7] = [
            |it| it.height = Height(4),
            |it| it.payload = payload(2),
            |it| it.payload = Payload::EMPTY,
            |it| it.proof.0.assigned.view = View(2),
            |it| it.proof.0.assigned.digest = slot::null(),
            |it| it.proof.0.certificate.signatures.truncate(2),
            |it| it.proof.0.certificate.signatures[0] = Signature([1; 64]),
        ];
        for (i, lie) in lies.iter().enumerate() {
            let mut other = proof(&payload(1));
            lie(&mut other);
            assert!(check(&other).is_err(), "lie {i}");
        }
    }
}
