#![allow(clippy::unwrap_used)]

use super::*;
use storage::kv::{Relation, Test};
use storage::{Compare, End, Operation, Request, Span};
use tonic::Code;

/// The body as `ledger.proto` describes it, made without our codec.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn count(mut self, count: u64) -> Self {
        self.0.extend(count.to_le_bytes());
        self
    }
    fn tag(mut self, tag: u32) -> Self {
        self.0.extend(tag.to_le_bytes());
        self
    }
    fn bytes(self, bytes: &str) -> Self {
        let mut body = self.count(bytes.len() as u64);
        body.0.extend(bytes.as_bytes());
        body
    }
    fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }
}

#[test]
fn the_body_is_as_the_definition_of_the_service_says() {
    let compare = |test| Compare {
        key: "k".into(),
        test,
    };
    let range = |end| Operation::Range {
        span: Span {
            key: "r".into(),
            end,
        },
        limit: 5,
        revision: 6,
    };
    let request = Request {
        compares: vec![
            compare(Test::Exists(true)),
            compare(Test::Value(Relation::Different, "v".into())),
            compare(Test::Created(Relation::Equal, 1)),
            compare(Test::Modified(Relation::Less, 2)),
            compare(Test::Version(Relation::Greater, 3)),
        ],
        then: vec![
            Operation::Put {
                key: "p".into(),
                value: "value".into(),
            },
            Operation::Delete { key: "d".into() },
        ],
        otherwise: vec![
            range(End::Only),
            range(End::Prefix),
            range(End::Before("s".into())),
            range(End::Unbounded),
        ],
    };
    let body = Body::default().count(5);
    let body = body.bytes("k").tag(0).byte(1);
    let body = body.bytes("k").tag(1).tag(1).bytes("v");
    let body = body.bytes("k").tag(2).tag(0).count(1);
    let body = body.bytes("k").tag(3).tag(2).count(2);
    let body = body.bytes("k").tag(4).tag(3).count(3);
    let body = body.count(2);
    let body = body.tag(0).bytes("p").bytes("value");
    let body = body.tag(1).bytes("d");
    let body = body.count(4);
    let body = body.tag(2).bytes("r").tag(0).tag(5).count(6);
    let body = body.tag(2).bytes("r").tag(1).tag(5).count(6);
    let body = body.tag(2).bytes("r").tag(2).bytes("s").tag(5).count(6);
    let body = body.tag(2).bytes("r").tag(3).tag(5).count(6);
    assert_eq!(request.encode(), body.0);
}

fn transaction() -> Transaction {
    let key = crypto::SecretKey::from_seed(&[7; 32]);
    Transaction {
        format: crypto::transaction::FORMAT,
        chain: ChainId(Digest([1; 32])),
        client: key.public(),
        sequence: 2,
        expires: Height(3),
        body: Bytes::from_static(b"body"),
        signature: Signature([4; 64]),
    }
}

#[test]
fn a_transaction_survives_the_wire() {
    let sent = transaction();
    let received = Transaction::try_from(proto::Transaction::from(&sent)).unwrap();
    assert_eq!(received, sent);
}

#[test]
fn a_signature_may_be_left_out() {
    let bare = proto::Transaction {
        signature: Bytes::new(),
        ..proto::Transaction::from(&transaction())
    };
    let received = Transaction::try_from(bare).unwrap();
    assert_eq!(received.signature, Signature::NONE);
}

#[test]
fn a_field_of_the_wrong_length_is_named() {
    let good = proto::Transaction::from(&transaction());
    let cut = |bytes: &Bytes| bytes.slice(1..);
    let cases = [
        (
            proto::Transaction {
                chain: cut(&good.chain),
                ..good.clone()
            },
            "transaction.chain has 31 bytes",
        ),
        (
            proto::Transaction {
                client: cut(&good.client),
                ..good.clone()
            },
            "transaction.client has 31 bytes",
        ),
        (
            proto::Transaction {
                signature: cut(&good.signature),
                ..good.clone()
            },
            "transaction.signature has 63 bytes",
        ),
        (
            proto::Transaction {
                format: 1 << 16,
                ..good.clone()
            },
            "transaction.format is 65536",
        ),
    ];
    for (bad, says) in cases {
        let refused = Transaction::try_from(bad).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(says), "{}", refused.message());
    }
}

#[test]
fn what_took_no_effect_is_an_error_and_not_a_receipt() {
    let done = |outcome| storage::Receipt {
        client: transaction().client,
        sequence: 2,
        transaction: transaction().digest(),
        outcome,
        revision: 5,
        height: Height(9),
        index: 1,
        repeated: false,
    };
    for (outcome, code) in [
        (Outcome::FutureRevision, Code::OutOfRange),
        (Outcome::Invalid, Code::InvalidArgument),
        (Outcome::Expired, Code::FailedPrecondition),
        (Outcome::TooFarAhead, Code::FailedPrecondition),
        (Outcome::SequenceUsed, Code::AlreadyExists),
        (Outcome::SequenceTooOld, Code::FailedPrecondition),
        (Outcome::TooManySessions, Code::ResourceExhausted),
        (Outcome::TooMuchRead, Code::InvalidArgument),
        (Outcome::Crowded, Code::ResourceExhausted),
    ] {
        assert_eq!(receipt(&done(outcome)).unwrap_err().code(), code);
    }
    let outcome = Outcome::Done {
        succeeded: true,
        replies: None,
    };
    let told = receipt(&done(outcome)).unwrap();
    assert!(told.succeeded && told.results_dropped && told.results.is_empty());
    assert_eq!((told.height, told.revision, told.index), (9, 5, 1));
}
