//! What is checked before a message becomes `Verified`.

use super::super::message::{
    AskCertificate, Blocks, CertificatePair, FetchBlocks, MAX_BLOCKS, Message, ReadAnswer, ReadAsk,
};
use super::super::{HotStuff, Proof};
use super::craft::{Craft, payload, round_robin};
use crate::{Committed, Draft as _, Message as _, Protocol as _};
use crypto::{
    Authenticate as _, Digest, Epoch, Height, NodeId, NodeSet, Payload, Reject, Signature,
    Verified, View, codec,
};
use std::sync::Arc;

fn craft(n: u16) -> Craft {
    Craft::new(n, round_robin(4))
}

/// One of each, with every optional field present; all from member 1, leader of view 4.
pub fn one_of_each(craft: &Craft) -> Vec<Message> {
    let (blocks, certificates) = craft.chain(&[1, 2]);
    let high = &certificates[1];
    let signers: Vec<_> = (0..craft.quorum() as u16).map(|i| (i, high)).collect();
    let entry = craft.timeout_certificate(0, &signers);
    let block = craft.block_after(4, high, Some(Arc::clone(&entry)), payload(4));
    let mut timeout = craft.timeout(1, 1, high, Some(Arc::clone(&entry)));
    timeout.vote = Some(craft.vote(1, &block));
    vec![
        craft.proposal(&block),
        Message::Vote(craft.vote(1, &block)),
        Message::Timeout(Box::new(timeout)),
        Message::Certificate(CertificatePair {
            quorum: Arc::clone(high),
            timeout: Some(entry),
        }),
        Message::AskCertificate(AskCertificate {
            epoch: Epoch(0),
            view: View(4),
            high: View(2),
            stalled: true,
        }),
        Message::FetchBlocks(FetchBlocks {
            epoch: Epoch(0),
            from: Height(1),
            target: Arc::clone(high),
        }),
        Message::Blocks(Blocks {
            blocks,
            certificate: Arc::clone(high),
        }),
        Message::ReadAsk(ReadAsk {
            epoch: Epoch(0),
            nonce: 5,
        }),
        Message::ReadAnswer(ReadAnswer {
            epoch: Epoch(0),
            nonce: 5,
            high: Arc::clone(high),
        }),
    ]
}

fn check(craft: &Craft, message: &Message) -> Result<(), Reject> {
    Verified::new(NodeId(1), message.clone(), &craft.verifier).map(|_| ())
}

/// These carry no signature of their sender; whatever in them is certified is still checked.
fn unsigned(message: &Message) -> bool {
    matches!(message, Message::AskCertificate(_) | Message::ReadAsk(_))
}

#[test]
fn every_flipped_byte_is_rejected() {
    for n in [4, 7] {
        let craft = craft(n);
        for message in one_of_each(&craft).iter().filter(|m| !unsigned(m)) {
            check(&craft, message).unwrap();
            let bytes = codec::encode(message);
            // An answer's nonce is compared with its question's; a wish for another height is a wish.
            let free = matches!(message, Message::ReadAnswer(_) | Message::FetchBlocks(_));
            let free = if free { 12..20 } else { 0..0 };
            for i in (0..bytes.len()).filter(|i| !free.contains(i)) {
                let mut flipped = bytes.clone();
                flipped[i] ^= 1;
                let Ok(other) = codec::decode::<Message>(&flipped) else {
                    continue;
                };
                assert!(
                    check(&craft, &other).is_err(),
                    "{} byte {i}",
                    message.name()
                );
            }
        }
    }
}

#[test]
fn every_cut_is_undecodable() {
    for message in one_of_each(&craft(4)) {
        let bytes = codec::encode(&message);
        assert_eq!(codec::decode::<Message>(&bytes).unwrap(), message);
        for end in 0..bytes.len() {
            assert!(
                codec::decode::<Message>(&bytes[..end]).is_err(),
                "{} cut at {end}",
                message.name()
            );
        }
    }
}

#[test]
fn what_is_signed_by_its_sender_comes_from_its_sender() {
    let craft = craft(4);
    for message in &one_of_each(&craft)[..3] {
        let checked = message.check(NodeId(2), &craft.verifier);
        assert_eq!(checked, Err(Reject::WrongSender), "{}", message.name());
        let checked = message.check(NodeId(4), &craft.verifier);
        assert_eq!(checked, Err(Reject::NotMember), "{}", message.name());
    }
}

#[test]
fn another_chain_and_another_epoch_are_rejected() {
    let craft = craft(4);
    for message in &one_of_each(&craft) {
        let mut other = craft.verifier.clone();
        other.context.chain.0 = Digest([8; 32]);
        let checked = message.check(NodeId(1), &other);
        assert!(
            unsigned(message) || checked.is_err(),
            "{} on another chain",
            message.name()
        );
        let mut other = craft.verifier.clone();
        other.context.epoch = Epoch(1);
        assert!(
            message.check(NodeId(1), &other).is_err(),
            "{} in another epoch",
            message.name()
        );
    }
}

#[test]
fn draft_and_signature_make_the_message() {
    let craft = craft(4);
    for message in one_of_each(&craft) {
        let Some((author, statement, signature)) = message.statement() else {
            assert_eq!(super::super::Draft(message.clone()).seal(None), message);
            assert!(message.may_overtake());
            continue;
        };
        assert_eq!(author, NodeId(1));
        assert!(
            !message.may_overtake(),
            "{} waits for the disk",
            message.name()
        );
        let draft = super::super::Draft(message.clone());
        assert_eq!(draft.statement(), Some(statement));
        assert_eq!(draft.clone().seal(Some(signature)), message);
        assert_ne!(draft.seal(Some(Signature::NONE)), message);
    }
}

#[test]
fn certificates_need_a_quorum_of_distinct_members() {
    for n in [4u16, 5, 6, 7, 10] {
        let craft = craft(n);
        let block = craft.block(1, &craft.genesis(), payload(1));
        let q = craft.quorum() as u16;
        let certificate = |signers: &[u16]| (*craft.certify_by(&block, signers)).clone();
        let check = |certificate| {
            let pair = CertificatePair {
                quorum: Arc::new(certificate),
                timeout: None,
            };
            Message::Certificate(pair).check(NodeId(1), &craft.verifier)
        };
        let all: Vec<u16> = (0..n).collect();
        assert_eq!(check(certificate(&all)), Ok(()));
        assert_eq!(check(certificate(&all[..q as usize])), Ok(()));
        assert_eq!(
            check(certificate(&all[1..=q as usize])).is_ok(),
            n > q,
            "any quorum"
        );
        let short = &all[..q as usize - 1];
        assert_eq!(check(certificate(short)), Err(Reject::BadCertificate));
        // One key, many signatures.
        let mut repeated = certificate(short);
        let last = *repeated.certificate.signatures.last().unwrap();
        repeated.certificate.signatures.push(last);
        assert_eq!(check(repeated), Err(Reject::BadCertificate));
        // A member who did not sign; one who is no member.
        for stranger in [NodeId(q - 1), NodeId(n)] {
            let mut forged = certificate(short);
            forged.certificate.signers.insert(stranger);
            forged.certificate.signatures.push(last);
            assert!(check(forged).is_err());
        }
        // One bad share among good ones.
        let mut bad = certificate(&all[..q as usize]);
        bad.certificate.signatures[1] = Signature([9; 64]);
        assert_eq!(check(bad), Err(Reject::BadSignature));
        // The same signatures for another view, height or block.
        for field in 0..3 {
            let mut moved = certificate(&all);
            match field {
                0 => moved.view = View(2),
                1 => moved.height = Height(2),
                _ => moved.block = Digest([3; 32]),
            }
            assert_eq!(check(moved), Err(Reject::BadSignature));
        }
    }
}

#[test]
fn the_anchor_certificate_is_valid_for_view_zero_and_its_digest_only() {
    let craft = craft(4);
    let check = |certificate: super::super::QuorumCertificate| {
        let pair = CertificatePair {
            quorum: Arc::new(certificate),
            timeout: None,
        };
        Message::Certificate(pair).check(NodeId(1), &craft.verifier)
    };
    let anchor = (*craft.genesis()).clone();
    assert_eq!(check(anchor.clone()), Ok(()));
    let mut other = anchor.clone();
    other.block = Digest([1; 32]);
    assert_eq!(check(other), Err(Reject::BadCertificate));
    let mut other = anchor.clone();
    other.height = Height(1);
    assert_eq!(check(other), Err(Reject::BadCertificate));
    let mut other = anchor.clone();
    other.view = View(1);
    assert_eq!(check(other), Err(Reject::BadCertificate));
    let mut other = anchor;
    other.certificate.signers = NodeSet::from_iter([NodeId(0)]);
    assert_eq!(check(other), Err(Reject::BadCertificate));
}

#[test]
fn a_timeout_certificate_lists_each_signers_view_and_carries_the_highest() {
    let craft = craft(4);
    let (_, certificates) = craft.chain(&[1, 2, 3]);
    let signers = [
        (0, &certificates[0]),
        (1, &certificates[2]),
        (3, &certificates[1]),
    ];
    let good = craft.timeout_certificate(0, &signers);
    let check = |certificate| {
        let pair = CertificatePair {
            quorum: Arc::clone(&certificates[2]),
            timeout: Some(Arc::new(certificate)),
        };
        Message::Certificate(pair).check(NodeId(1), &craft.verifier)
    };
    assert_eq!(check((*good).clone()), Ok(()));
    let mut lower = (*good).clone();
    lower.high = Arc::clone(&certificates[1]);
    assert_eq!(
        check(lower),
        Err(Reject::BadCertificate),
        "another certificate than the highest"
    );
    let mut lower = (*good).clone();
    lower.high_views[1] = View(2);
    lower.high = Arc::clone(&certificates[1]);
    assert_eq!(
        check(lower),
        Err(Reject::BadSignature),
        "a signer's view changed"
    );
    let mut other = (*good).clone();
    other.tenure = 1;
    assert_eq!(check(other), Err(Reject::BadSignature), "another tenure");
    let mut short = (*good).clone();
    short.high_views.pop();
    assert_eq!(check(short), Err(Reject::BadCertificate));
}

#[test]
fn a_timeouts_vote_is_its_authors() {
    let craft = craft(4);
    let block = craft.block(1, &craft.genesis(), payload(1));
    let mut timeout = craft.timeout(1, 0, &craft.genesis(), None);
    timeout.vote = Some(craft.vote(2, &block));
    let message = Message::Timeout(Box::new(timeout));
    assert_eq!(
        message.check(NodeId(1), &craft.verifier),
        Err(Reject::WrongSender)
    );
}

#[test]
fn payload_and_header_belong_together_and_batches_travel_apart() {
    let craft = craft(4);
    let mut block = (*craft.block(1, &craft.genesis(), payload(1))).clone();
    block.payload = payload(2);
    let message = craft.proposal_by(1, &Arc::new(block.clone()));
    assert_eq!(
        message.check(NodeId(1), &craft.verifier),
        Err(Reject::Malformed)
    );
    block.payload = Payload::Inline(vec![crate::testing::batches::batch(1)]);
    block.header.payload = block.payload.digest();
    let message = craft.proposal_by(1, &Arc::new(block));
    assert_eq!(
        message.check(NodeId(1), &craft.verifier),
        Err(Reject::Malformed)
    );
}

#[test]
fn fetched_blocks_hang_together_below_one_certificate() {
    let craft = craft(4);
    let (blocks, certificates) = craft.chain(&[1, 2, 4, 5]);
    let check = |blocks: Vec<_>, certificate: &Arc<_>| {
        let blocks = Blocks {
            blocks,
            certificate: Arc::clone(certificate),
        };
        Message::Blocks(blocks).check(NodeId(1), &craft.verifier)
    };
    assert_eq!(check(blocks.clone(), &certificates[3]), Ok(()));
    assert_eq!(check(blocks[1..3].to_vec(), &certificates[2]), Ok(()));
    assert_eq!(check(Vec::new(), &certificates[2]), Ok(()));
    assert_eq!(
        check(blocks.clone(), &certificates[2]),
        Err(Reject::Malformed)
    );
    let gap = vec![Arc::clone(&blocks[0]), Arc::clone(&blocks[2])];
    assert_eq!(check(gap, &certificates[2]), Err(Reject::Malformed));
    // A certificate inside is not checked again, yet cannot be changed: its hash is certified.
    let mut forged = (*blocks[3]).clone();
    let mut justify = (*forged.header.justify).clone();
    justify.certificate.signatures[0] = Signature([1; 64]);
    forged.header.justify = Arc::new(justify);
    let list = vec![Arc::clone(&blocks[2]), Arc::new(forged)];
    assert_eq!(check(list, &certificates[3]), Err(Reject::Malformed));
    let many = vec![Arc::clone(&blocks[0]); MAX_BLOCKS + 1];
    assert_eq!(check(many, &certificates[0]), Err(Reject::TooLong));
}

#[test]
fn a_proof_of_commitment_convinces_by_itself_or_not_at_all() {
    for n in [4, 7] {
        let craft = craft(n);
        let (blocks, certificates) = craft.chain(&[1, 2, 4, 5, 6]);
        let headers: Vec<_> = blocks.iter().map(|block| block.header.clone()).collect();
        let committed = Committed {
            height: Height(1),
            payload: payload(1),
            history: payload(1).extend_history(&Digest::ZERO, Height(1)),
            proof: Proof {
                headers,
                certificate: Arc::clone(&certificates[4]),
            },
        };
        let check =
            |committed: &Committed<Proof>| HotStuff::check_proof(committed, &craft.verifier);
        assert_eq!(check(&committed), Ok(()));
        let lies: [fn(&mut Committed<Proof>); 8] = [
            |c| c.height = Height(2),
            |c| c.payload = payload(2),
            |c| c.proof.headers.truncate(2),
            |c| drop(c.proof.headers.remove(2)),
            |c| drop(c.proof.headers.pop()),
            |c| c.proof.headers.clear(),
            |c| c.proof.headers[1].view = View(3),
            |c| Arc::make_mut(&mut c.proof.certificate).view = View(7),
        ];
        for (i, lie) in lies.iter().enumerate() {
            let mut other = committed.clone();
            lie(&mut other);
            assert!(check(&other).is_err(), "lie {i}");
        }
        // Three certified blocks that are not in consecutive views prove nothing.
        let mut early = committed.clone();
        early.proof.headers.truncate(4);
        early.proof.certificate = Arc::clone(&certificates[3]);
        assert!(check(&early).is_err());
        let mut forged = committed;
        Arc::make_mut(&mut forged.proof.certificate)
            .certificate
            .signatures[0] = Signature([1; 64]);
        assert_eq!(check(&forged), Err(Reject::BadSignature));
    }
}
