//! The state machine against the model that its own tests have, and against itself: executed in
//! other steps, and again after crashes, the same log has the same digests.

use super::{Found, Source};
use bytes::Bytes;
use crypto::{
    Batch, ChainId, Digest, Height, NodeId, Payload, PublicKey, Signature, Transaction,
    transaction::FORMAT,
};
use model::Model;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::kv::{Limits, Pair, Relation, Reply, Test};
use storage::{
    CommitRow, Compare, End, Executed, Executor, ExecutorConfig, FlushPolicy, Log, Memory,
    Operation, Outcome, Receipt, Request, Span, StateReader, Store as _, Table, WriteBatch,
};

// One model for both: that of the executor's own tests.
#[expect(clippy::unwrap_used, reason = "it is a test's")]
#[path = "../../../storage/src/execute/tests/model.rs"]
mod model;

/// Bytes of a game that are played.
const MOST: usize = 2_048;
/// Most empty heights in a row.
const IDLE: usize = 40;

const LIMITS: Limits = Limits {
    key_bytes: 8,
    value_bytes: 16,
    body_bytes: 3 << 19,
    operations: 16,
    range_pairs: 4,
    result_bytes: 24,
    looks: 6,
    read_bytes: 4 << 20,
    lifetime: 16,
    window: 4,
    max_sessions: 3,
    stored_bytes: 1 << 10,
};

/// Plays a game.
#[must_use]
pub fn execute(data: &[u8]) -> Found {
    let mut source = Source::new(data, MOST);
    let mut game = Game::new(&mut source);
    while !source.is_empty() {
        game.turn(&mut source);
    }
    game.end();
    vec!["game"]
}

/// Two executors over one log, and the model.
struct Game {
    log: Arc<Memory>,
    states: [Arc<Memory>; 2],
    configs: [ExecutorConfig; 2],
    executors: [Executor; 2],
    model: Model,
    top: Height,
    history: Digest,
    expected: BTreeMap<Height, Vec<Receipt>>,
    digests: BTreeMap<Height, Digest>,
}

impl Game {
    fn new(source: &mut Source<'_>) -> Self {
        let log = Arc::new(Memory::log());
        let states = [Arc::new(Memory::state()), Arc::new(Memory::state())];
        let configs = [(1 << 20, 1), (1 + source.below(4_000), 64)];
        let configs = configs.map(|(step_bytes, flush)| ExecutorConfig {
            step_bytes,
            flush: FlushPolicy {
                bytes: flush,
                ..FlushPolicy::default()
            },
            ..ExecutorConfig::new(LIMITS)
        });
        let executors = [0, 1].map(|i: usize| open(&log, &states[i], configs[i]));
        Self {
            log,
            states,
            configs,
            executors,
            model: Model::new(LIMITS),
            top: Height(0),
            history: Digest::ZERO,
            expected: BTreeMap::new(),
            digests: BTreeMap::new(),
        }
    }
    fn turn(&mut self, source: &mut Source<'_>) {
        match source.below(8) {
            0..=3 => {
                let height = self.top.next();
                let count = source.below(5);
                let list: Vec<_> = (0..count).map(|_| transaction(height, source)).collect();
                self.commit(list);
            }
            4 => (0..source.below(IDLE)).for_each(|_| self.commit(Vec::new())),
            5 => self.step(source.below(2)),
            6 => {
                let flushed = self.executors[1].flush(true);
                flushed.expect("memory does not fail");
            }
            _ => {
                self.states[1].crash(|_| 0);
                self.executors[1] = open(&self.log, &self.states[1], self.configs[1]);
            }
        }
    }
    /// Adds a height to the log: half of its transactions in each of two batches.
    fn commit(&mut self, mut list: Vec<Transaction>) {
        let expected = self.model.height(self.top.next(), &list);
        let mut write = WriteBatch::new();
        let second = list.split_off(list.len() / 2);
        let batch = |(number, transactions)| {
            let batch = Batch {
                author: NodeId(0),
                number: self.top.0 * 2 + number,
                expires: Height(u64::MAX),
                transactions,
            };
            batch.seal()
        };
        let batches = [(0, list), (1, second)].map(batch);
        let payload = Payload::Refs(batches.iter().map(|it| it.reference()).collect());
        for it in batches {
            let key = it.reference().digest.0.to_vec();
            write.put(Table::Batch, key, it.bytes().clone());
        }
        self.top = self.top.next();
        self.history = payload.extend_history(&self.history, self.top);
        let row = CommitRow {
            height: self.top,
            payload,
            history: self.history,
            proof: Bytes::new(),
        };
        row.put(&mut write);
        self.log.write(write).expect("memory does not fail");
        self.expected.insert(self.top, expected);
    }
    fn step(&mut self, i: usize) {
        let now = crypto::Time(0);
        let done = self.executors[i].step(now, self.top);
        let done = done.expect("the log is whole");
        self.check(done);
    }
    fn check(&mut self, done: Vec<Executed>) {
        for it in done {
            assert_eq!(it.receipts, self.expected[&it.height], "{}", it.height);
            let first = *self.digests.entry(it.height).or_insert(it.state);
            assert_eq!(it.state, first, "height {} has one state", it.height);
        }
    }
    fn end(&mut self) {
        for i in 0..self.executors.len() {
            while self.executors[i].applied().height < self.top {
                self.step(i);
            }
            let (applied, model) = (self.executors[i].applied(), &self.model);
            assert_eq!(applied.revision, model.revision());
            assert_eq!(self.executors[i].sessions(), model.sessions());
            let reader = StateReader::new(self.executors[i].state(), LIMITS);
            let all = Span {
                key: Bytes::new(),
                end: End::Unbounded,
            };
            for revision in 1..=model.revision() {
                let found = reader.range(&all, 0, revision).expect("it exists");
                let found = (found.pairs, found.more, found.next);
                assert_eq!(found, model.at(&all, revision), "at {revision}");
            }
            for client in 1..=CLIENTS {
                let client = PublicKey([client; 32]);
                let next = reader.session(&client).expect("memory does not fail").next;
                assert_eq!(next, model.next(&client));
            }
        }
    }
}

fn open(log: &Arc<Memory>, state: &Arc<Memory>, config: ExecutorConfig) -> Executor {
    let log = Log::new(log.clone(), |_| None);
    Executor::open(log, state.clone(), config).expect("it is the log's own state")
}

/// More than may have sessions.
const CLIENTS: u8 = 5;

fn transaction(height: Height, source: &mut Source<'_>) -> Transaction {
    let ahead = source.below(20) as u64;
    let request = request(source);
    let body = match request.check(&LIMITS) {
        Ok(()) => request.encode(),
        // The model knows of limits only what is asked of it.
        Err(_) => Bytes::from_static(b"no request"),
    };
    Transaction {
        format: FORMAT,
        chain: ChainId(Digest([9; 32])),
        client: PublicKey([1 + source.below(CLIENTS.into()) as u8; 32]),
        sequence: match source.byte() {
            255 => source.number().min(u64::MAX - 1),
            it => u64::from(it % 16) + 1,
        },
        expires: Height((height.0 + ahead).saturating_sub(2)),
        body,
        signature: Signature([0; 64]),
    }
}

fn request(source: &mut Source<'_>) -> Request {
    let count = source.byte();
    Request {
        compares: (0..count & 3).map(|_| compare(source)).collect(),
        then: (0..count >> 2 & 3).map(|_| operation(source)).collect(),
        otherwise: (0..count >> 4 & 3).map(|_| operation(source)).collect(),
    }
}

fn key(source: &mut Source<'_>) -> Bytes {
    const KEYS: [&[u8]; 12] = [
        b"a",
        b"a\0",
        b"a\0\xFF",
        b"a\x01",
        b"ab",
        b"b",
        b"ba",
        b"\0",
        b"\0\x01",
        b"\xFF",
        b"\xFF\xFF",
        b"\xFF\0\x01",
    ];
    match KEYS.get(source.below(16)) {
        Some(key) => Bytes::from_static(key),
        None => {
            let length = source.below(10);
            Bytes::copy_from_slice(source.take(length))
        }
    }
}

fn value(source: &mut Source<'_>) -> Bytes {
    let length = source.below(6);
    Bytes::copy_from_slice(source.take(length))
}

fn compare(source: &mut Source<'_>) -> Compare {
    let relations = [
        Relation::Equal,
        Relation::Different,
        Relation::Less,
        Relation::Greater,
    ];
    let key = key(source);
    let relation = relations[source.below(4)];
    let test = match source.below(5) {
        0 => Test::Exists(source.flag()),
        1 => Test::Value(relation, value(source)),
        2 => Test::Created(relation, source.number()),
        3 => Test::Modified(relation, source.number()),
        _ => Test::Version(relation, source.number()),
    };
    Compare { key, test }
}

fn operation(source: &mut Source<'_>) -> Operation {
    let kind = source.below(6);
    let key = key(source);
    match kind {
        0..=2 => Operation::Put {
            key,
            value: value(source),
        },
        3 => Operation::Delete { key },
        _ => Operation::Range {
            span: Span {
                key,
                end: match source.below(4) {
                    0 => End::Only,
                    1 => End::Prefix,
                    2 => End::Before(self::key(source)),
                    _ => End::Unbounded,
                },
            },
            limit: source.below(5) as u32,
            revision: match source.byte() {
                it @ 0..=63 => u64::from(it % 16),
                64 => source.number(),
                _ => 0,
            },
        },
    }
}
