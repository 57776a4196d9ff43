//! That each judgement can fail.

#![allow(clippy::unwrap_used)]

use super::*;
use quorate::rpc::proto::PutResult;
use storage::Operation;

fn put(value: &str) -> Request {
    Request::all(vec![Operation::Put {
        key: "k".into(),
        value: value.to_owned().into(),
    }])
}

fn receipt(height: u64, version: u64) -> Receipt {
    let result = operation_result::Result::Put(PutResult { version });
    Receipt {
        height,
        succeeded: true,
        results: vec![OperationResult {
            result: Some(result),
        }],
        ..Receipt::default()
    }
}

fn seen(height: u64, held: Option<(&str, u64)>) -> RangeResponse {
    let pair = |(value, version): (&str, u64)| KeyValue {
        key: "k".into(),
        value: value.to_owned().into(),
        version,
        ..KeyValue::default()
    };
    RangeResponse {
        kvs: held.map(pair).into_iter().collect(),
        height,
        ..RangeResponse::default()
    }
}

fn timed_out() -> ClientError {
    ClientError::Timeout {
        last: String::new(),
    }
}

/// A write of "a" that is acknowledged, one of "b" of which nothing is known, and a read.
fn judged(response: &RangeResponse) -> Result<Journal> {
    let book = Book::default();
    let a = book.asks(&put("a"));
    book.told(&a, &put("a"), &receipt(5, 1));
    book.asks(&put("b"));
    book.failed(&timed_out());
    let read = book.reads("k");
    book.saw(&read, "k", response);
    book.close()
}

#[test]
fn a_read_that_forgets_an_acknowledged_write_breaks_s9() {
    assert!(judged(&seen(5, Some(("a", 1)))).is_ok());
    assert!(judged(&seen(6, Some(("b", 2)))).is_ok());
    for response in [
        seen(5, None),
        seen(5, Some(("b", 1))),
        seen(5, Some(("c", 2))),
    ] {
        let error = judged(&response).unwrap_err().to_string();
        assert!(error.starts_with("S9 broken"), "{error}");
    }
}

#[test]
fn a_read_below_an_acknowledged_height_breaks_s9() {
    let error = judged(&seen(4, Some(("a", 1)))).unwrap_err().to_string();
    assert!(error.contains("height 5 was acknowledged"), "{error}");
}

#[test]
fn a_read_without_an_answer_says_nothing() {
    let book = Book::default();
    let read = book.reads("k");
    book.saw_nothing(&read, &timed_out());
    let tally = book.tally();
    assert_eq!((tally.operations, tally.answered), (1, 0));
    assert_eq!(tally.failures["DeadlineExceeded"], 1);
    book.close().unwrap();
}

#[test]
fn a_journal_that_lost_changed_or_invented_something_breaks_s8() {
    let book = Book::default();
    let one = book.notes("j/1", "one");
    book.noted(&one, "j/1", &receipt(1, 1));
    book.notes("j/2", "two");
    let journal = book.close().unwrap();
    assert_eq!(journal.acknowledged(), 1);
    let judge = |found: &[(&str, &str)]| {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        journal.judge(&found.iter().map(own).collect())
    };
    assert!(judge(&[("j/1", "one")]).is_ok());
    assert!(judge(&[("j/1", "one"), ("j/2", "two")]).is_ok());
    assert!(
        judge(&[("j/2", "two")])
            .unwrap_err()
            .to_string()
            .contains("is lost")
    );
    assert!(
        judge(&[("j/1", "else")])
            .unwrap_err()
            .to_string()
            .contains("holds")
    );
    let error = judge(&[("j/1", "one"), ("j/3", "x")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("nobody wrote j/3"), "{error}");
}

#[test]
fn a_refusal_that_nobody_earned_is_found() {
    let told = |error: ClientError| {
        let book = Book::default();
        book.asks(&put("a"));
        book.failed(&error);
        book.close()
    };
    assert!(told(timed_out()).is_ok());
    let status = tonic::Status::unknown("transport error");
    let error = told(ClientError::Refused(Box::new(status))).unwrap_err();
    assert!(error.to_string().starts_with("clients broken"), "{error}");
}
