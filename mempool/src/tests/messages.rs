//! The wire, and the checks before the pool.

use super::*;
use crypto::{Reject, codec};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn golden_bytes_of_every_message() {
    let reference = BatchRef {
        author: NodeId(1),
        number: 2,
        digest: Digest([3; 32]),
        bytes: 4,
        count: 5,
        expires: Height(6),
    };
    let digests = || vec![Digest([9; 32])];
    let three = "03".repeat(32);
    let nine = "09".repeat(32);
    let one = "0100000000000000";
    let golden = [
        (
            Message::Batch(Bytes::from_static(b"ab")),
            "0000000002000000000000006162".to_owned(),
        ),
        (Message::Fetch(digests()), format!("01000000{one}{nine}")),
        (
            Message::Batches(vec![Bytes::from_static(b"ab")]),
            format!("02000000{one}02000000000000006162"),
        ),
        (Message::NotHeld(digests()), format!("03000000{one}{nine}")),
        (
            Message::Offer(vec![reference]),
            format!("04000000{one}01000200000000000000{three}04000000050000000600000000000000"),
        ),
    ];
    for (message, expected) in golden {
        let bytes = codec::encode(&message);
        assert_eq!(hex(&bytes), expected, "{}", message.name());
        assert_eq!(codec::decode::<Message>(&bytes).unwrap(), message);
    }
}

fn admit(from: u16, message: Message) -> Result<(), Reject> {
    rules()
        .admit(NodeId(from), message, &verifier())
        .map(|_| ())
}

fn altered(change: impl FnOnce(&mut Batch)) -> Bytes {
    let mut batch = (**batch(1, 1).batch()).clone();
    change(&mut batch);
    batch.seal().bytes().clone()
}

#[test]
fn a_pushed_batch_is_of_its_sender() {
    let bytes = altered(|_| {});
    assert_eq!(admit(1, Message::Batch(bytes.clone())), Ok(()));
    assert_eq!(
        admit(2, Message::Batch(bytes.clone())),
        Err(Reject::WrongSender)
    );
    assert_eq!(admit(2, Message::Batches(vec![bytes])), Ok(()));
    assert_eq!(
        admit(4, Message::Fetch(vec![block(1)])),
        Err(Reject::NotMember)
    );
}

#[test]
fn batches_that_break_a_rule_are_refused() {
    let cases: Vec<(Reject, Bytes)> = vec![
        (
            Reject::BadSignature,
            altered(|b| b.transactions[0].sequence += 1),
        ),
        (Reject::BadPayload, altered(|b| b.transactions.clear())),
        (
            Reject::BadPayload,
            altered(|b| b.transactions = vec![transaction(1, 1, 1); 17]),
        ),
        (Reject::NotMember, altered(|b| b.author = NodeId(4))),
        (
            Reject::TooLong,
            altered(|b| b.transactions = vec![transaction(1, 1, 4_000)]),
        ),
        (Reject::Undecodable, Bytes::from_static(b"nonsense")),
        (
            Reject::BadPayload,
            altered(|b| {
                b.transactions[0].body = Bytes::from_static(&[0xff]);
                sign(&mut b.transactions[0]);
            }),
        ),
        (
            Reject::WrongContext,
            altered(|b| {
                b.transactions[0].chain = ChainId(Digest([1; 32]));
                sign(&mut b.transactions[0]);
            }),
        ),
    ];
    for (reject, bytes) in cases {
        assert_eq!(admit(1, Message::Batches(vec![bytes.clone()])), Err(reject));
        let pushed = admit(1, Message::Batch(bytes.clone()));
        assert!(pushed.is_err(), "{reject:?}");
        // One bad among good ones.
        let mixed = vec![altered(|_| {}), bytes];
        assert_eq!(admit(1, Message::Batches(mixed)), Err(reject));
    }
}

#[test]
fn every_flipped_byte_of_a_batch_is_noticed() {
    let good = batch(1, 1);
    for i in 0..good.bytes().len() {
        let mut bytes = good.bytes().to_vec();
        bytes[i] ^= 0x40;
        let bytes = Bytes::from(bytes);
        // Author, number and expiry are not signed: they make another batch, by another name.
        let other = SealedBatch::open(bytes.clone()).map(|b| b.reference().digest);
        assert_ne!(other, Ok(good.reference().digest), "byte {i}");
        if i >= Batch::OVERHEAD {
            assert!(admit(1, Message::Batch(bytes)).is_err(), "byte {i}");
        }
    }
}

#[test]
fn lists_are_capped_and_not_empty() {
    let list = |n| vec![block(1); n];
    for (n, expected) in [
        (0, Err(Reject::Malformed)),
        (1, Ok(())),
        (crate::LIST, Ok(())),
        (crate::LIST + 1, Err(Reject::Malformed)),
    ] {
        assert_eq!(admit(1, Message::Fetch(list(n))), expected);
        assert_eq!(admit(1, Message::NotHeld(list(n))), expected);
        assert_eq!(
            admit(1, Message::Offer(vec![batch(1, 1).reference(); n])),
            expected
        );
    }
    let mut far = batch(1, 1).reference();
    far.author = NodeId(4);
    assert_eq!(admit(1, Message::Offer(vec![far])), Err(Reject::NotMember));
    let mut long = batch(1, 1).reference();
    long.bytes = 4_001;
    assert_eq!(
        admit(1, Message::Offer(vec![long])),
        Err(Reject::BadPayload)
    );
}

#[test]
fn a_clients_transactions_are_judged_one_by_one() {
    let mut forged = transaction(1, 2, 1);
    forged.sequence = 3;
    let mut odd = transaction(1, 4, 1);
    odd.body = Bytes::from_static(&[0xff]);
    sign(&mut odd);
    let long = transaction(1, 5, 10_000);
    let list = vec![transaction(1, 1, 1), forged, odd, long];
    let answers: Vec<_> = rules()
        .admit_transactions(list, &ChainId::default(), &Mock)
        .into_iter()
        .map(|a| a.map(|t| t.digest()))
        .collect();
    let good = transaction(1, 1, 1).digest();
    let bad = |reject| Err(reject);
    assert_eq!(
        answers,
        vec![
            Ok(good),
            bad(Reject::BadSignature),
            bad(Reject::BadPayload),
            bad(Reject::BadPayload)
        ]
    );
}

#[test]
fn bulk_is_what_carries_batches() {
    assert!(Message::Batch(Bytes::new()).is_bulk());
    assert!(Message::Batches(vec![]).is_bulk());
    assert!(!Message::Fetch(vec![]).is_bulk());
    assert!(!Message::NotHeld(vec![]).is_bulk());
    assert!(!Message::Offer(vec![]).is_bulk());
}

#[test]
fn real_signatures_are_checked() {
    let key = SecretKey::from_seed(&[9; 32]);
    let list: Vec<Transaction> = (1..=3)
        .map(|sequence| {
            let mut t = transaction(1, sequence, 10);
            t.client = key.public();
            t.signature = key.sign(&t.digest());
            t
        })
        .collect();
    let by = Verifier {
        scheme: Arc::new(crypto::Ed25519),
        ..verifier()
    };
    let pushed = |transactions: Vec<Transaction>| {
        let (author, number, expires) = (NodeId(1), 1, Height(50));
        let sealed = Batch {
            author,
            number,
            expires,
            transactions,
        }
        .seal();
        rules()
            .admit(NodeId(1), Message::Batch(sealed.bytes().clone()), &by)
            .map(|_| ())
    };
    assert_eq!(pushed(list.clone()), Ok(()));
    let mut forged = list;
    forged[1].signature.0[0] ^= 1;
    assert_eq!(pushed(forged), Err(Reject::BadSignature));
}

#[test]
fn where_clients_do_not_sign_nobody_looks_at_signatures() {
    let unsigned = Rules {
        signed: false,
        ..rules()
    };
    let mut bare = transaction(1, 1, 10);
    bare.signature = Signature::NONE;
    let mut foreign = bare.clone();
    foreign.chain.0.0[0] ^= 1;
    let list = vec![bare.clone(), foreign];
    let verdicts = |rules: &Rules| -> Vec<Result<(), Reject>> {
        let judged = rules.admit_transactions(list.clone(), &ChainId::default(), &Mock);
        judged.into_iter().map(|one| one.map(|_| ())).collect()
    };
    let context = Err(Reject::WrongContext);
    assert_eq!(verdicts(&unsigned), [Ok(()), context]);
    assert_eq!(verdicts(&rules()), [Err(Reject::BadSignature), context]);

    let bytes = altered(|batch| batch.transactions = vec![bare]);
    let message = Message::Batch(bytes);
    assert!(
        unsigned
            .admit(NodeId(1), message.clone(), &verifier())
            .is_ok()
    );
    assert_eq!(admit(1, message), Err(Reject::BadSignature));
}

#[test]
fn where_members_do_not_lie_a_signature_is_checked_once() {
    let trusting = Rules {
        peers_trusted: true,
        ..rules()
    };
    let mut bare = transaction(1, 1, 10);
    bare.signature = Signature::NONE;
    let judged = trusting.admit_transactions(vec![bare.clone()], &ChainId::default(), &Mock);
    assert_eq!(judged[0].clone().map(|_| ()), Err(Reject::BadSignature));
    let bytes = altered(|batch| batch.transactions = vec![bare.clone()]);
    let admitted = trusting.admit(NodeId(1), Message::Batch(bytes), &verifier());
    assert!(admitted.is_ok());
    bare.chain.0.0[0] ^= 1;
    let bytes = altered(|batch| batch.transactions = vec![bare]);
    let admitted = trusting.admit(NodeId(1), Message::Batch(bytes), &verifier());
    assert_eq!(admitted.map(|_| ()), Err(Reject::WrongContext));
}
