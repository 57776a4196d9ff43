//! The executor over the memory store: against the model, through crashes, and with a damaged log.

#![allow(clippy::unwrap_used)]

mod model;

use super::*;
use crate::kv::{Compare, End, Operation, Outcome, Relation, Reply, Request, Span, Test};
use crate::{Memory, StateReader, WriteBatch, memory::Fault};
use crypto::{BatchRef, ChainId, NodeId, PublicKey, Signature, Transaction, transaction::FORMAT};
use model::Model;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

pub fn transaction(client: u8, sequence: u64, expires: u64, request: &Request) -> Transaction {
    Transaction {
        format: FORMAT,
        chain: ChainId(Digest([9; 32])),
        client: PublicKey([client; 32]),
        sequence,
        expires: Height(expires),
        body: request.encode(),
        signature: Signature([0; 64]),
    }
}

fn put(key: &str, value: &str) -> Operation {
    let owned = |text: &str| Bytes::from(text.to_owned());
    Operation::Put {
        key: owned(key),
        value: owned(value),
    }
}

fn get(key: &str) -> Operation {
    Operation::Range {
        span: Span::only(key.to_owned()),
        limit: 0,
        revision: 0,
    }
}

/// A log that grows by whole heights, and a state.
struct Bench {
    log: Arc<Memory>,
    state: Arc<Memory>,
    config: ExecutorConfig,
    executor: Executor,
    top: Height,
    history: Digest,
}

impl Bench {
    fn new(config: ExecutorConfig) -> Self {
        let (log, state) = (Arc::new(Memory::log()), Arc::new(Memory::state()));
        let executor = Executor::open(log.clone(), state.clone(), config).unwrap();
        Self {
            log,
            state,
            config,
            executor,
            top: Height(0),
            history: Digest::ZERO,
        }
    }
    /// Commits a height with one batch for each list.
    fn commit(&mut self, batches: &[&[Transaction]]) {
        let mut write = WriteBatch::new();
        let mut refs = Vec::new();
        for transactions in batches {
            let batch = Batch {
                author: NodeId(0),
                number: self.top.0,
                expires: Height(u64::MAX),
                transactions: transactions.to_vec(),
            }
            .seal();
            refs.push(batch.reference());
            write.put(
                Table::Batch,
                batch.reference().digest.0.to_vec(),
                batch.bytes().clone(),
            );
        }
        self.commit_row(Payload::Refs(refs), write);
    }
    fn commit_row(&mut self, payload: Payload, mut write: WriteBatch) {
        self.top = self.top.next();
        self.history = payload.extend_history(&self.history, self.top);
        let row = CommitRow {
            height: self.top,
            payload,
            history: self.history,
            proof: Bytes::new(),
        };
        row.put(&mut write);
        self.log.write(write).unwrap();
    }
    fn run(&mut self) -> Vec<Executed> {
        let mut all = Vec::new();
        loop {
            let executed = self.executor.step(Time(0), self.top).unwrap();
            if executed.is_empty() {
                return all;
            }
            all.extend(executed);
        }
    }
    /// Executes a height of these transactions.
    fn one(&mut self, transactions: &[Transaction]) -> Vec<Receipt> {
        self.commit(&[transactions]);
        let mut executed = self.run();
        assert_eq!(executed.len(), 1);
        executed.remove(0).receipts
    }
    fn empty(&mut self, heights: u64) {
        for _ in 0..heights {
            self.commit(&[]);
        }
        self.run();
    }
    fn restart(&mut self) {
        self.executor = Executor::open(self.log.clone(), self.state.clone(), self.config).unwrap();
    }
    fn reader(&self) -> StateReader {
        StateReader::new(self.state.clone(), self.config.limits)
    }
}

fn small() -> Limits {
    Limits {
        key_bytes: 8,
        value_bytes: 16,
        range_pairs: 4,
        result_bytes: 24,
        lifetime: 16,
        window: 4,
        max_sessions: 3,
        ..Limits::default()
    }
}

fn key() -> impl Strategy<Value = Bytes> {
    let keys: [&[u8]; 9] = [
        b"a",
        b"a\0",
        b"a\0\xFF",
        b"a\x01",
        b"ab",
        b"b",
        b"ba",
        b"\xFF",
        b"\xFF\xFF",
    ];
    prop::sample::select(keys.to_vec()).prop_map(Bytes::from_static)
}

fn value() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..6).prop_map(Bytes::from)
}

fn span() -> impl Strategy<Value = Span> {
    let end = prop_oneof![
        3 => Just(End::Only),
        2 => Just(End::Prefix),
        2 => key().prop_map(End::Before),
        1 => Just(End::Unbounded),
    ];
    (key(), end).prop_map(|(key, end)| Span { key, end })
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (key(), value()).prop_map(|(key, value)| Operation::Put { key, value }),
        2 => key().prop_map(|key| Operation::Delete { key }),
        3 => (span(), 0..4u32, prop_oneof![3 => Just(0), 1 => 1..12u64])
            .prop_map(|(span, limit, revision)| Operation::Range { span, limit, revision }),
    ]
}

fn compare() -> impl Strategy<Value = Compare> {
    let relation = || {
        prop::sample::select(vec![
            Relation::Equal,
            Relation::Different,
            Relation::Less,
            Relation::Greater,
        ])
    };
    let test = prop_oneof![
        any::<bool>().prop_map(Test::Exists),
        (relation(), value()).prop_map(|(relation, value)| Test::Value(relation, value)),
        (relation(), 0..6u64).prop_map(|(relation, number)| Test::Created(relation, number)),
        (relation(), 0..6u64).prop_map(|(relation, number)| Test::Modified(relation, number)),
        (relation(), 0..4u64).prop_map(|(relation, number)| Test::Version(relation, number)),
    ];
    (key(), test).prop_map(|(key, test)| Compare { key, test })
}

/// Valid ones only: what is refused is `kv`'s own test.
fn request() -> impl Strategy<Value = Request> {
    (
        vec(compare(), 0..3),
        vec(operation(), 1..5),
        vec(operation(), 0..3),
    )
        .prop_map(|(compares, then, otherwise)| Request {
            compares,
            then,
            otherwise,
        })
        .prop_filter("valid", |request| request.check(&small()).is_ok())
}

#[derive(Clone, Debug)]
enum Action {
    /// A height, its transactions by (client, sequence, expiry against its height, what).
    Commit(Vec<(u8, u64, i64, Request)>),
    /// Empty heights.
    Idle(u64),
    Step,
    Flush,
    Crash,
}

fn action() -> impl Strategy<Value = Action> {
    let one = (1..6u8, 1..14u64, -1..18i64, request());
    prop_oneof![
        6 => vec(one, 0..6).prop_map(Action::Commit),
        1 => (1..40u64).prop_map(Action::Idle),
        4 => Just(Action::Step),
        1 => Just(Action::Flush),
        1 => Just(Action::Crash),
    ]
}

fn to_transactions(top: Height, list: &[(u8, u64, i64, Request)]) -> Vec<Transaction> {
    let height = top.0 as i64 + 1;
    let each = list.iter();
    each.map(|(client, sequence, by, request)| {
        transaction(*client, *sequence, (height + by).max(0) as u64, request)
    })
    .collect()
}

fn compare_reads(bench: &Bench, model: &Model, spans: &[Span]) {
    let reader = bench.reader();
    for (span, revision) in spans
        .iter()
        .flat_map(|span| (1..=model.revision()).map(move |r| (span, r)))
    {
        let found = reader.range(span, 0, revision).unwrap();
        assert_eq!(
            (found.pairs, found.more),
            model.at(span, revision),
            "{span:?} at {revision}"
        );
    }
    for span in spans {
        let found = reader.range(span, 0, 0).unwrap();
        assert_eq!(
            (found.pairs, found.more),
            model.at(span, model.revision()),
            "{span:?} now"
        );
    }
    for client in 1..6 {
        let client = PublicKey([client; 32]);
        let next = reader.session(&client).unwrap().next;
        assert_eq!(next, model.next(&client));
    }
    assert_eq!(bench.executor.sessions(), model.sessions());
    assert_eq!(bench.executor.applied().revision, model.revision());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Receipts, reads at every revision, sessions; and whatever a crash made it execute again had
    /// the same result.
    #[test]
    fn it_does_what_the_model_does(actions in vec(action(), 1..30), spans in vec(span(), 1..5), step in 1..4_000usize) {
        let config = ExecutorConfig { step_bytes: step, ..ExecutorConfig::new(small()) };
        let mut bench = Bench::new(config);
        let mut model = Model::new(config.limits);
        let mut expected = BTreeMap::new();
        let mut digests = BTreeMap::new();
        let mut check = |executed: Vec<Executed>, expected: &BTreeMap<Height, Vec<Receipt>>| {
            for one in executed {
                assert_eq!(one.receipts, expected[&one.height]);
                assert_eq!(*digests.entry(one.height).or_insert(one.state), one.state);
            }
        };
        for action in actions {
            match action {
                Action::Commit(list) => {
                    let list = to_transactions(bench.top, &list);
                    let (a, b) = list.split_at(list.len() / 2);
                    bench.commit(&[a, b]);
                    expected.insert(bench.top, model.height(bench.top, &list));
                }
                Action::Idle(heights) => for _ in 0..heights {
                    bench.commit(&[]);
                    expected.insert(bench.top, model.height(bench.top, &[]));
                },
                Action::Step => {
                    let executed = bench.executor.step(Time(0), bench.top).unwrap();
                    check(executed, &expected);
                }
                Action::Flush => bench.executor.flush(true).unwrap(),
                Action::Crash => {
                    bench.state.crash(|_| 0);
                    bench.restart();
                }
            }
        }
        check(bench.run(), &expected);
        compare_reads(&bench, &model, &spans);
    }
}

#[test]
fn a_sequence_executes_once_whatever_the_order() {
    let mut bench = Bench::new(ExecutorConfig::new(small()));
    let first = transaction(1, 2, 10, &Request::all(vec![put("k", "1")]));
    let other = transaction(1, 2, 10, &Request::all(vec![put("k", "2")]));
    let lower = transaction(1, 1, 10, &Request::all(vec![get("k")]));
    let receipts = bench.one(&[first.clone(), first.clone(), other, lower]);
    let done = |replies| Outcome::Done {
        succeeded: true,
        replies: Some(replies),
    };
    assert_eq!(receipts[0].outcome, done(vec![Reply::Put { version: 1 }]));
    assert_eq!(
        receipts[1],
        Receipt {
            repeated: true,
            ..receipts[0].clone()
        }
    );
    assert_eq!(receipts[2].outcome, Outcome::SequenceUsed);
    assert!(matches!(receipts[3].outcome, Outcome::Done { .. }));
    // Even when it has expired, a repeat is answered with the stored result.
    bench.empty(12);
    let again = bench.one(&[first]);
    assert_eq!(
        again[0],
        Receipt {
            repeated: true,
            ..receipts[0].clone()
        }
    );
}

#[test]
fn a_sequence_a_window_below_is_too_old() {
    let mut bench = Bench::new(ExecutorConfig::new(small()));
    let request = Request::all(vec![put("k", "v")]);
    let of = |sequence| transaction(1, sequence, 10, &request);
    let receipts = bench.one(&[of(9), of(6), of(5), of(1)]);
    let done = |receipt: &Receipt| matches!(receipt.outcome, Outcome::Done { .. });
    assert!(done(&receipts[0]) && done(&receipts[1]));
    assert_eq!(receipts[2].outcome, Outcome::SequenceTooOld);
    assert_eq!(receipts[3].outcome, Outcome::SequenceTooOld);
}

#[test]
fn expiry_is_bounded_on_both_sides() {
    let mut bench = Bench::new(ExecutorConfig::new(small()));
    bench.empty(9);
    let request = Request::all(vec![put("k", "v")]);
    let outcomes: Vec<_> = (0..)
        .zip([9, 10, 26, 27])
        .map(|(sequence, expires)| transaction(1, sequence, expires, &request))
        .collect();
    let receipts = bench.one(&outcomes);
    assert_eq!(receipts[0].outcome, Outcome::Expired);
    assert!(matches!(receipts[1].outcome, Outcome::Done { .. }));
    assert!(matches!(receipts[2].outcome, Outcome::Done { .. }));
    assert_eq!(receipts[3].outcome, Outcome::TooFarAhead);
}

#[test]
fn new_clients_are_refused_until_a_session_is_idle_and_its_rows_are_gone() {
    let mut bench = Bench::new(ExecutorConfig::new(small()));
    let request = Request::all(vec![put("k", "v")]);
    for client in 1..=3 {
        let receipts = bench.one(&[transaction(client, 1, 9, &request)]);
        assert!(matches!(receipts[0].outcome, Outcome::Done { .. }));
    }
    let refused = bench.one(&[
        transaction(4, 1, 9, &request),
        transaction(1, 2, 9, &request),
    ]);
    assert_eq!(refused[0].outcome, Outcome::TooManySessions);
    assert!(
        matches!(refused[1].outcome, Outcome::Done { .. }),
        "the old ones go on"
    );
    bench.empty(17);
    assert_eq!(
        bench.executor.sessions(),
        1,
        "2 and 3 are idle, 1 was active later"
    );
    bench.empty(2);
    assert_eq!(bench.executor.sessions(), 0);
    assert!(
        bench
            .state
            .scan(Table::Session, &crate::Scan::all())
            .unwrap()
            .is_empty()
    );
    let top = bench.top.0;
    let receipts = bench.one(&[transaction(4, 1, top + 3, &request)]);
    assert!(matches!(receipts[0].outcome, Outcome::Done { .. }));
}

#[test]
fn a_result_too_long_to_keep_is_given_once() {
    let limits = Limits {
        stored_bytes: 200,
        ..Limits::default()
    };
    let mut bench = Bench::new(ExecutorConfig::new(limits));
    let long = "v".repeat(300);
    bench.one(&[transaction(1, 1, 9, &Request::all(vec![put("k", &long)]))]);
    let read = transaction(1, 2, 9, &Request::all(vec![get("k")]));
    let receipts = bench.one(&[read.clone(), read]);
    assert!(
        matches!(&receipts[0].outcome, Outcome::Done { replies: Some(list), .. } if list.len() == 1)
    );
    assert_eq!(
        receipts[1].outcome,
        Outcome::Done {
            succeeded: true,
            replies: None
        }
    );
    let stored = bench
        .reader()
        .receipt(&PublicKey([1; 32]), 2)
        .unwrap()
        .unwrap();
    assert_eq!(stored, receipts[1]);
}

#[test]
fn a_body_that_is_no_request_does_nothing_and_uses_nothing_up() {
    let mut bench = Bench::new(ExecutorConfig::new(small()));
    let mut bad = transaction(1, 1, 9, &Request::default());
    bad.body = Bytes::from_static(b"\xFF\xFF");
    let receipts = bench.one(&[
        bad,
        transaction(1, 1, 9, &Request::all(vec![put("k", "v")])),
    ]);
    assert_eq!(receipts[0].outcome, Outcome::Invalid);
    assert!(matches!(receipts[1].outcome, Outcome::Done { .. }));
}

#[test]
fn a_put_writes_one_head_one_version_and_a_transaction_one_session_row() {
    let mut bench = Bench::new(ExecutorConfig::new(Limits::default()));
    let rows = |bench: &Bench| bench.state.operations();
    let puts = |from: u32| {
        (from..from + 64)
            .map(|i| put(&format!("key{i}"), "v"))
            .collect()
    };
    bench.one(&[transaction(
        1,
        1,
        9,
        &Request::all(vec![put("first", "opens the session")]),
    )]);
    let before = rows(&bench);
    bench.one(&[transaction(1, 2, 9, &Request::all(puts(0)))]);
    let after = rows(&bench);
    let grew = |table| after.get(&table).unwrap_or(&0) - before.get(&table).unwrap_or(&0);
    assert_eq!(grew(Table::Key), 64);
    assert_eq!(grew(Table::History), 64);
    assert_eq!(grew(Table::Session), 1);
    assert_eq!(grew(Table::Applied), 1);
}

#[test]
fn the_log_is_synced_before_state_is_flushed() {
    let flush = FlushPolicy {
        bytes: 1,
        age: Time(u64::MAX),
    };
    let mut bench = Bench::new(ExecutorConfig {
        flush,
        ..ExecutorConfig::new(small())
    });
    bench.one(&[transaction(1, 1, 9, &Request::all(vec![put("k", "v")]))]);
    assert_eq!((bench.log.unsynced(), bench.state.flushes()), (0, 1));
    bench.log.fail(Fault::Sync, 0);
    bench.commit(&[]);
    assert!(bench.executor.step(Time(0), bench.top).is_err());
    assert_eq!(bench.state.flushes(), 1, "no flush after a failed sync");
}

#[test]
fn state_is_flushed_by_age_even_when_nothing_comes() {
    let flush = FlushPolicy {
        bytes: u64::MAX,
        age: Time(100),
    };
    let mut bench = Bench::new(ExecutorConfig {
        flush,
        ..ExecutorConfig::new(small())
    });
    bench.commit(&[]);
    bench.executor.step(Time(1_000), bench.top).unwrap();
    bench.executor.step(Time(1_099), bench.top).unwrap();
    assert_eq!(bench.state.flushes(), 0);
    bench.executor.step(Time(1_100), bench.top).unwrap();
    bench.executor.step(Time(9_999), bench.top).unwrap();
    assert_eq!(bench.state.flushes(), 1);
}

#[test]
fn a_commit_without_its_batch_stops_execution() {
    let mut bench = Bench::new(ExecutorConfig::new(small()));
    let lost = BatchRef {
        author: NodeId(0),
        number: 1,
        digest: Digest([3; 32]),
        bytes: 1,
        count: 1,
        expires: Height(9),
    };
    bench.commit_row(Payload::Refs(vec![lost]), WriteBatch::new());
    let error = bench.executor.step(Time(0), Height(1)).unwrap_err();
    assert_eq!(
        error,
        ExecuteError::MissingBatch {
            height: Height(1),
            digest: lost.digest
        }
    );
}

#[test]
fn a_commit_that_does_not_follow_stops_execution() {
    let mut bench = Bench::new(ExecutorConfig::new(small()));
    bench.history = Digest([1; 32]);
    bench.commit(&[]);
    let error = bench.executor.step(Time(0), Height(1)).unwrap_err();
    assert!(matches!(
        error,
        ExecuteError::BadLog {
            height: Height(1),
            ..
        }
    ));
}

#[test]
fn inline_payload_executes_as_well() {
    let mut bench = Bench::new(ExecutorConfig::new(small()));
    let batch = Batch {
        author: NodeId(0),
        number: 1,
        expires: Height(9),
        transactions: vec![transaction(1, 1, 9, &Request::all(vec![put("k", "v")]))],
    };
    let payload = Payload::Inline(vec![batch.seal().bytes().clone()]);
    bench.commit_row(payload, WriteBatch::new());
    assert_eq!(bench.run()[0].receipts[0].revision, 1);
}

#[test]
fn a_state_of_another_log_is_refused() {
    let mut bench = Bench::new(ExecutorConfig::new(small()));
    bench.empty(2);
    let open = |log: Memory, state: &Arc<Memory>| {
        Executor::open(Arc::new(log), state.clone(), bench.config)
    };
    let error = open(Memory::log(), &bench.state).err().unwrap();
    assert_eq!(
        error,
        ExecuteError::NotThisLog {
            state: Height(2),
            log: Height(0)
        }
    );
}

#[test]
fn golden_rows() {
    let mut bench = Bench::new(ExecutorConfig::new(Limits::default()));
    bench.one(&[transaction(
        1,
        7,
        9,
        &Request::all(vec![put("a\0b", "xyz")]),
    )]);
    let applied = bench.executor.applied();
    assert_eq!(
        hex(&codec::encode(&applied)),
        format!(
            "0100000000000000{}{}0100000000000000",
            hex(&applied.history.0),
            hex(&applied.state.0)
        )
    );
    let only = |table| {
        bench
            .state
            .scan(table, &crate::Scan::all())
            .unwrap()
            .remove(0)
    };
    let (key, value) = only(Table::Key);
    assert_eq!(
        (hex(&key), hex(&value)),
        ("610062".into(), "0100000000000000".repeat(3))
    );
    let (key, value) = only(Table::History);
    assert_eq!(hex(&key), "6100ff620001fffffffffffffffe");
    assert_eq!(
        hex(&value),
        format!("01{}78797a", "0100000000000000".repeat(2))
    );
    let sessions = bench
        .state
        .scan(Table::Session, &crate::Scan::all())
        .unwrap();
    let client = "01".repeat(32);
    assert_eq!(hex(&sessions[0].0), format!("00{client}"));
    assert_eq!(hex(&sessions[0].1), "0000000000000000");
    assert_eq!(hex(&sessions[1].0), format!("01{client}00000007"));
    let id = transaction(1, 7, 9, &Request::all(vec![put("a\0b", "xyz")])).digest();
    let parts = [
        "0700000000000000".to_owned(),              // sequence
        hex(&id.0),                                 // transaction
        "0100000000000000".to_owned(),              // height
        "00000000".to_owned(),                      // index
        "0100000000000000".to_owned(),              // revision
        "00000000".to_owned() + "01" + "01",        // done, succeeded, with replies:
        "0100000000000000".to_owned() + "00000000", // one, a put
        "0100000000000000".to_owned(),              // version
    ];
    assert_eq!(hex(&sessions[1].1), parts.concat());
    assert_eq!(
        applied.state.to_string(),
        "7f4dc50a95d2fae87222939b5a9d32edc402cb349cda6873f2fcf66d6392003c"
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
