//! The executor over the memory store: against the model, through crashes, and with a damaged log.

#![allow(clippy::unwrap_used)]

mod damaged;
mod model;
mod rules;

use super::*;
use crate::kv::{Compare, End, Operation, Outcome, Pair, Relation, Reply, Request, Span, Test};
use crate::{CommitRow, Memory, StateReader, WriteBatch, memory::Fault};
use crypto::{
    Batch, BatchRef, ChainId, NodeId, Payload, PublicKey, Signature, Transaction,
    transaction::FORMAT,
};
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

/// The log of a protocol whose records are payloads.
fn typed(log: &Arc<Memory>) -> Log {
    Log::new(log.clone(), |row| codec::decode(row).ok())
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
        let executor = Executor::open(typed(&log), state.clone(), config).unwrap();
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
        self.executor = Executor::open(typed(&self.log), self.state.clone(), self.config).unwrap();
    }
    fn reader(&self) -> StateReader {
        StateReader::new(self.executor.state(), self.config.limits)
    }
}

fn small() -> Limits {
    Limits {
        key_bytes: 8,
        value_bytes: 16,
        range_pairs: 4,
        result_bytes: 24,
        looks: 6,
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
            (found.pairs, found.more, found.next),
            model.at(span, revision),
            "{span:?} at {revision}"
        );
    }
    for span in spans {
        let found = reader.range(span, 0, 0).unwrap();
        assert_eq!(
            (found.pairs, found.more, found.next),
            model.at(span, 0),
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
                Action::Flush => drop(bench.executor.flush(true).unwrap()),
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
