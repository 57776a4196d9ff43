#![allow(clippy::unwrap_used)]

use super::*;
use crate::rpc::answers::{Answers, Caps};
use crate::rpc::proto::{OperationResult, PutResult, operation_result::Result as One};
use bytes::Bytes;
use genesis::{Ports, Rpc, Testnet};
use storage::{End, Span};
use tonic::Code;

const CAPS: Caps = Caps {
    connection: 40_000,
    node: 60_000,
    patience: std::time::Duration::from_secs(3_600),
};

/// With so many results, of 4 bytes each.
fn receipt(results: usize) -> Receipt {
    let put = OperationResult {
        result: Some(One::Put(PutResult { version: 0 })),
    };
    Receipt {
        id: Bytes::from_static(&[7; 32]),
        height: 7,
        results: vec![put; results],
        ..Receipt::default()
    }
}

#[test]
fn only_results_are_left_out_of_an_outcome_without_room() {
    let answers = Answers::new(CAPS);
    let to = answers.connect(None);
    let (whole, held) = counted(&to, None, receipt(5_000)).unwrap();
    assert_eq!(whole, receipt(5_000));
    assert_eq!(held.bytes(), PREFIX + whole.encoded_len());
    // Those of this connection, and of others.
    let other = answers.connect(None);
    let _others = other.admit(Kind::Outcome, 39_000).unwrap();
    for to in [to, answers.connect(None)] {
        let (least, least_held) = counted(&to, None, receipt(9_000)).unwrap();
        assert_eq!((least.height, least.results_dropped), (7, true));
        assert!(least.results.is_empty() && least_held.bytes() < 100);
    }
    drop(held);
}

/// By RESOURCE_EXHAUSTED nothing was done, and clients may rely on it.
#[test]
fn an_outcome_that_cannot_be_told_is_unknown_and_not_refused() {
    let to = Answers::new(CAPS).connect(None);
    let _full = to.admit(Kind::Short, 40_000).unwrap();
    let why = counted(&to, None, receipt(1)).unwrap_err();
    assert_eq!(why.code(), Code::DeadlineExceeded);
    assert!(why.message().contains("GetReceipt"), "{why}");
    let why = to.try_reserve(Kind::Short, 1).unwrap_err();
    assert_eq!(why.code(), Code::ResourceExhausted);
}

#[test]
fn an_outcome_that_is_longer_than_was_thought_is_told_if_there_is_room() {
    let answers = Answers::new(CAPS);
    let to = answers.connect(None);
    let thought = || to.try_reserve(Kind::Outcome, LEAST).unwrap();
    let (whole, held) = counted(&to, Some(thought()), receipt(4_000)).unwrap();
    assert_eq!(
        (whole.results.len(), held.bytes()),
        (4_000, PREFIX + whole.encoded_len())
    );
    assert_eq!(answers.waiting(), held.bytes());
    let _more = to.admit(Kind::Outcome, 10_000).unwrap();
    // There is always room for the least of it, where some was reserved.
    let _short = to.admit(Kind::Short, 40_000).unwrap();
    let (least, least_held) = counted(&to, Some(thought()), receipt(4_000)).unwrap();
    assert!(least.results_dropped && least_held.bytes() < 100);
    drop((held, least_held));
    assert_eq!(answers.waiting(), 50_000);
}

#[test]
fn what_is_expected_follows_what_comes() {
    let expected = Expected::new();
    let most = 1 << 20;
    assert_eq!(expected.of(most), most, "of nothing known, the most");
    expected.learn(100, most);
    assert_eq!(expected.of(most), most - most / 4);
    for _ in 0..40 {
        expected.learn(100, most);
    }
    assert_eq!(expected.of(most), LEAST);
    expected.learn(80_000, LEAST);
    assert_eq!(expected.of(most), 90_000, "and an eighth");
    assert_eq!(expected.of(50_000), 50_000);
    assert_eq!(expected.of(10), LEAST);
}

#[test]
fn only_what_reads_may_have_a_long_outcome() {
    let built = Testnet::new(Ports::series(7000, 4).unwrap());
    let genesis = built.build_from(&[7; 32]).unwrap().genesis;
    let info = NodeInfo::new(Arc::new(genesis), Rpc::default());
    let key = Bytes::from_static(b"key");
    let delete = Operation::Delete { key: key.clone() };
    let range = Operation::Range {
        span: Span {
            key,
            end: End::Only,
        },
        limit: 0,
        revision: 0,
    };
    let then = Request::all(vec![delete.clone()]);
    assert_eq!(longest(&then, &info), None);
    let most = |ranges| Some(info.outcome_bytes(ranges));
    for (branch, ranges) in [(vec![range.clone()], 1), (vec![range; 3], 3)] {
        let otherwise = Request {
            otherwise: branch.clone(),
            ..then.clone()
        };
        assert_eq!(longest(&otherwise, &info), most(ranges));
        assert_eq!(longest(&Request::all(branch), &info), most(ranges));
    }
    assert!(most(1) > Some(info.limits.value_bytes));
}
