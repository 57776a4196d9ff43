//! Each rule by name.

use super::*;
use std::cell::Cell;

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
            .executor
            .state()
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
    let rows = |bench: &mut Bench| {
        bench.executor.flush(true).unwrap();
        bench.state.operations()
    };
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
    let before = rows(&mut bench);
    bench.one(&[transaction(1, 2, 9, &Request::all(puts(0)))]);
    let after = rows(&mut bench);
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
    let missing = format!("batch {} of height 1 is missing", lost.digest);
    assert!(error.to_string().contains(&missing), "{error}");
}

#[test]
fn a_commit_that_does_not_follow_stops_execution() {
    let mut bench = Bench::new(ExecutorConfig::new(small()));
    bench.history = Digest([1; 32]);
    bench.commit(&[]);
    let error = bench.executor.step(Time(0), Height(1)).unwrap_err();
    assert_eq!(error, ExecuteError::BadLog { height: Height(1) });
}

#[test]
fn what_a_record_holds_is_executed_as_well() {
    let mut bench = Bench::new(ExecutorConfig::new(small()));
    let batch = Batch {
        author: NodeId(0),
        number: 1,
        expires: Height(9),
        transactions: vec![transaction(1, 1, 9, &Request::all(vec![put("k", "v")]))],
    };
    let payload = Payload::Inline(vec![batch.seal()]);
    let mut write = WriteBatch::new();
    let at = crate::RecordAt::Height(Height(1), Digest::ZERO);
    write.put(Table::Record, at.key(), codec::encode(&payload));
    let references = payload.references().into_owned();
    bench.commit_row(Payload::Refs(references), write);
    assert_eq!(bench.run()[0].receipts[0].revision, 1);
}

/// Its batches may not have come yet, although a later height, which has none, was handed over.
#[test]
fn what_lies_below_a_height_that_was_handed_over_is_executed_only_as_far_as_told() {
    let mut bench = Bench::new(ExecutorConfig::new(small()));
    bench.commit(&[&[transaction(1, 1, 9, &Request::all(vec![put("k", "v")]))]]);
    let history = Payload::EMPTY.extend_history(&bench.history, Height(2));
    bench.executor.hand([Commit {
        height: Height(2),
        history,
        batches: Vec::new(),
    }]);
    assert!(bench.executor.step(Time(0), Height(0)).unwrap().is_empty());
    let heights = |done: Vec<Executed>| done.iter().map(|it| it.height.0).collect::<Vec<_>>();
    assert_eq!(
        heights(bench.executor.step(Time(0), Height(1)).unwrap()),
        [1]
    );
    assert_eq!(
        heights(bench.executor.step(Time(0), Height(2)).unwrap()),
        [2]
    );
    // Its row is not in the log yet, so the state must not be on disk.
    assert!(!bench.executor.flush(true).unwrap());
    bench.empty(1);
    assert!(bench.executor.flush(true).unwrap());
}

/// What is gathered could not be flushed while the log stands still, and would grow until the backend
/// flushes a part of it by itself.
#[test]
fn what_was_handed_over_waits_while_too_much_is_executed_that_the_log_lacks() {
    let most = 4 << 10;
    let mut bench = Bench::new(ExecutorConfig {
        flush: FlushPolicy {
            bytes: most,
            ..FlushPolicy::default()
        },
        step_bytes: 1,
        ..ExecutorConfig::new(Limits::default())
    });
    let (mut history, value, last) = (Digest::ZERO, "v".repeat(500), Height(40));
    let mut commits = Vec::new();
    for n in 1..=last.0 {
        let request = Request::all(vec![put(&format!("k{n}"), &value)]);
        let batch = Batch {
            author: NodeId(0),
            number: n,
            expires: last,
            transactions: vec![transaction(1, n, 1_000, &request)],
        };
        let payload = Payload::Inline(vec![batch.seal()]);
        history = payload.extend_history(&history, Height(n));
        commits.push((payload, history));
    }
    bench
        .executor
        .hand(commits.iter().zip(1..).map(|((payload, history), n)| {
            let Payload::Inline(batches) = payload.clone() else {
                unreachable!("made so")
            };
            Commit {
                height: Height(n),
                history: *history,
                batches,
            }
        }));
    let all = |bench: &mut Bench| {
        while !bench.executor.step(Time(0), last).unwrap().is_empty() {}
        bench.executor.applied().height
    };
    let reached = all(&mut bench);
    assert!(bench.executor.waits() && reached < last, "all is executed");
    assert!(bench.executor.state.store().bytes() < 2 * most);
    assert_eq!(bench.state.flushes(), 0, "ahead of the log");

    // The log comes to hold one height after the other, and execution follows it.
    for (payload, _) in commits {
        let mut write = WriteBatch::new();
        let at = crate::RecordAt::Height(bench.top.next(), Digest::ZERO);
        write.put(Table::Record, at.key(), codec::encode(&payload));
        bench.commit_row(Payload::Refs(payload.references().into_owned()), write);
        let reached = all(&mut bench);
        assert!(reached >= bench.top && bench.executor.state.store().bytes() < 2 * most);
    }
    assert_eq!(bench.executor.applied().height, last);
    assert!(!bench.executor.waits() && bench.state.flushes() > 0);
}

/// Counts what is read.
struct Counting<'a> {
    base: &'a dyn Read,
    rows: Cell<usize>,
    scans: Cell<usize>,
    bytes: Cell<usize>,
}

impl<'a> Counting<'a> {
    fn new(base: &'a dyn Read) -> Self {
        let (rows, scans, bytes) = Default::default();
        Self {
            base,
            rows,
            scans,
            bytes,
        }
    }
    fn row(&self, value: &Bytes) {
        self.rows.update(|rows| rows + 1);
        self.bytes.update(|bytes| bytes + value.len());
    }
}

impl Read for Counting<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.base.get(table, key)?;
        self.row(value.as_ref().unwrap_or(&Bytes::new()));
        Ok(value)
    }
    fn scan(&self, table: Table, scan: &crate::Scan) -> Result<Vec<crate::Row>, StoreError> {
        let rows = self.base.scan(table, scan)?;
        self.scans.update(|scans| scans + 1);
        rows.iter().for_each(|(_, value)| self.row(value));
        Ok(rows)
    }
}

/// All keys of a revision, part by part, none of which looks at much; and how many parts they were.
fn all_by_parts(counting: &Counting<'_>, limits: &Limits, revision: u64) -> (Vec<Bytes>, u32) {
    let mut span = Span {
        key: Bytes::new(),
        end: End::Unbounded,
    };
    let (mut keys, mut parts) = (Vec::new(), 0);
    loop {
        let mut budget = crate::kv::Budget::new(limits);
        let found = crate::kv::range(counting, &span, revision, &mut budget).unwrap();
        let rows = counting.rows.take();
        assert!(rows <= 2 * limits.looks, "{rows} rows");
        let scans = counting.scans.take();
        assert!(scans <= limits.looks / 32, "{scans} scans");
        keys.extend(found.pairs.into_iter().map(|pair| pair.key));
        parts += 1;
        assert_eq!(found.more, found.next.is_some());
        let Some(next) = found.next else {
            return (keys, parts);
        };
        span.key = next;
    }
}

/// What removed keys leave in the store is walked through, though nothing of it is returned: whoever
/// writes and removes many keys would make each later range of everybody walk through all of them.
#[test]
fn a_range_of_now_looks_at_few_removed_keys_and_says_where_it_goes_on() {
    let limits = Limits::default();
    let mut bench = Bench::new(ExecutorConfig::new(limits));
    let mut sequence = 0;
    let mut all = |operations: Vec<Operation>| {
        sequence += 1;
        bench.one(&[transaction(1, sequence, 200, &Request::all(operations))]);
    };
    all(vec![put("a", "v"), put("z", "v")]);
    for n in 0..80 {
        let keys = || (0..128).map(move |i| format!("k{n}/{i}"));
        all(keys().map(|key| put(&key, "v")).collect());
        let delete = |key: String| Operation::Delete { key: key.into() };
        all(keys().map(delete).collect());
    }
    let state = bench.executor.state();
    let counting = Counting::new(&*state);
    let all = all_by_parts(&counting, &limits, 0);
    assert_eq!(all, (vec!["a".into(), "z".into()], 3));

    // Nor is it cheaper to ask for a single pair, time and again.
    let mut budget = crate::kv::Budget::new(&limits);
    budget.limit(1, &limits);
    let span = Span {
        key: Bytes::from_static(b"k"),
        end: End::Unbounded,
    };
    crate::kv::range(&counting, &span, 0, &mut budget).unwrap();
    let scans = counting.scans.take();
    assert!(scans <= limits.looks / 32, "{scans} scans");
    assert!(budget.read >= 100 * limits.looks, "{} read", budget.read);
}

/// Keys that did not exist yet are not returned, but looked at: a client could make many, and have
/// every replica walk through all of them time and again.
#[test]
fn a_range_of_an_old_revision_looks_at_few_keys_and_says_where_it_goes_on() {
    let limits = Limits::default();
    let mut bench = Bench::new(ExecutorConfig::new(limits));
    let write = |keys: Vec<String>| Request::all(keys.iter().map(|key| put(key, "v")).collect());
    let first = write(vec!["a".into(), "z".into()]);
    bench.one(&[transaction(1, 1, 9, &first)]);
    for n in 0..90 {
        let later = write((0..128).map(|i| format!("k{n}/{i}")).collect());
        bench.one(&[transaction(1, 2 + n, 200, &later)]);
    }
    let state = bench.executor.state();
    let counting = Counting::new(&*state);
    let all = all_by_parts(&counting, &limits, 1);
    assert_eq!(all, (vec!["a".into(), "z".into()], 3));

    let range = Operation::Range {
        span: Span {
            key: Bytes::new(),
            end: End::Unbounded,
        },
        limit: 0,
        revision: 1,
    };
    let all = transaction(1, 100, 200, &Request::all(vec![range; 128]));
    let mut machine = crate::kv::Machine::load(&counting, 91, limits).unwrap();
    counting.rows.take();
    let mut over = Overlay::new(&counting);
    let (_, receipts) = machine
        .height(&mut over, Height(95), &Digest::ZERO, [&all].into_iter())
        .unwrap();
    let rows = counting.rows.take();
    assert!(rows <= 3 * limits.looks, "{rows} rows");
    let Outcome::Done {
        replies: Some(replies),
        ..
    } = &receipts[0].outcome
    else {
        panic!("{:?}", receipts[0].outcome)
    };
    let parts = replies
        .iter()
        .filter(|it| matches!(it, crate::kv::Reply::Part { .. }));
    assert_eq!(parts.count(), 128);
}

/// Many small transactions may each ask for a large value, and they fit into one block: every replica
/// would run out of memory at that height, again after each restart.
#[test]
fn what_a_height_and_a_step_tell_is_bounded() {
    let limits = Limits::default();
    let mut bench = Bench::new(ExecutorConfig::new(limits));
    let value = 1 << 20;
    let large = put("large", &"v".repeat(value));
    bench.one(&[transaction(1, 1, 99, &Request::all(vec![large]))]);
    let most = crate::kv::HEIGHT_RESULTS / value;
    let ask = |sequence: u64| {
        let write = put("written", &sequence.to_string());
        transaction(1, sequence, 99, &Request::all(vec![write, get("large")]))
    };
    let told = |receipts: &[Receipt]| {
        let is_told = |it: &&Receipt| {
            matches!(
                &it.outcome,
                Outcome::Done {
                    replies: Some(_),
                    ..
                }
            )
        };
        receipts.iter().filter(is_told).count()
    };
    let receipts = bench.one(&(2..102).map(ask).collect::<Vec<_>>());
    assert_eq!(told(&receipts), most);
    assert_eq!(told(&receipts[..most]), most, "the first ones");
    // What the others wrote is written.
    let newest = bench.one(&[transaction(1, 102, 99, &Request::all(vec![get("written")]))]);
    let Outcome::Done {
        replies: Some(replies),
        ..
    } = &newest[0].outcome
    else {
        panic!("{newest:?}")
    };
    assert!(matches!(&replies[0], Reply::Range { pairs, .. } if pairs[0].value == "101"));
    // And heights that are executed together tell no more.
    for from in 0..8 {
        let some: Vec<_> = (0..10).map(|n| ask(200 + 10 * from + n)).collect();
        bench.commit(&[&some]);
    }
    let steps = std::iter::from_fn(|| {
        let step = bench.executor.step(Time(0), bench.top).unwrap();
        (!step.is_empty()).then_some(step)
    });
    let (mut heights, mut count) = (Vec::new(), 0);
    for step in steps {
        let told: usize = step.iter().map(|it| told(&it.receipts)).sum();
        assert!(told < most + 10, "{told} values at a time");
        count += told;
        heights.extend(step.iter().map(|it| it.height.0));
    }
    assert_eq!(
        (heights, count),
        ((4..12).collect(), 80),
        "all of it, in order"
    );
}

/// What is read costs time, returned or not: a block of transactions that read long values in vain kept
/// every replica busy for minutes.
#[test]
fn what_a_transaction_reads_is_bounded() {
    let limits = Limits::default();
    let mut bench = Bench::new(ExecutorConfig::new(limits));
    let long = "v".repeat(1 << 20);
    let mut sequence = 0;
    for value in ["short", &long] {
        for key in 0..8 {
            sequence += 1;
            let write = Request::all(vec![put(&format!("k{key}"), value)]);
            bench.one(&[transaction(1, sequence, 99, &write)]);
        }
    }
    let back_then = Operation::Range {
        span: Span::prefix("k"),
        limit: 0,
        revision: 8,
    };
    let now = Operation::Range {
        span: Span::prefix("k"),
        limit: 0,
        revision: 0,
    };
    let different = |key: usize| Compare {
        key: format!("k{}", key % 8).into(),
        test: Test::Value(Relation::Different, "x".into()),
    };
    let compares = Request {
        compares: (0..100).map(different).collect(),
        then: vec![put("done", "yes")],
        ..Request::default()
    };
    let cases = [
        Request::all((0..128).map(|_| get("k0")).collect()),
        Request::all(vec![now; 128]),
        Request::all(vec![back_then.clone(); 128]),
        compares.clone(),
    ];
    let state = bench.executor.state();
    let counting = Counting::new(&*state);
    for (case, request) in cases.iter().enumerate() {
        let mut machine = crate::kv::Machine::load(&counting, 16, limits).unwrap();
        let mut over = Overlay::new(&counting);
        counting.bytes.take();
        let one = transaction(2, 1, 99, request);
        machine
            .height(&mut over, Height(17), &Digest::ZERO, [&one].into_iter())
            .unwrap();
        let bytes = counting.bytes.take();
        assert!(bytes <= limits.read_bytes + (3 << 20), "{case}: {bytes}");
    }

    // Whoever goes on where he was cut gets all.
    let mut span = Span::prefix("k");
    let until = span.until().unwrap();
    let mut found = Vec::new();
    for _ in 0..99 {
        let mut budget = crate::kv::Budget::new(&limits);
        let part = crate::kv::range(&counting, &span, 8, &mut budget).unwrap();
        found.extend(part.pairs.into_iter().map(|pair| pair.value));
        let Some(next) = part.next else { break };
        (span.key, span.end) = (next, End::Before(until.clone()));
    }
    assert_eq!(found, ["short"; 8]);

    // Compares that read too much do nothing, once and for all.
    let receipts = bench.one(&[transaction(2, 1, 99, &compares)]);
    assert_eq!(receipts[0].outcome, Outcome::TooMuchRead);
    let again = bench.one(&[transaction(2, 1, 99, &compares)]);
    assert!(again[0].repeated && again[0].outcome == Outcome::TooMuchRead);
}

#[test]
fn what_the_transactions_of_a_height_read_is_bounded() {
    let mut bench = Bench::new(ExecutorConfig::new(Limits::default()));
    let value = 1 << 20;
    let long = put("long", &"v".repeat(value));
    bench.one(&[transaction(1, 1, 99, &Request::all(vec![long]))]);
    let most = crate::kv::HEIGHT_READS / value;
    let swap = |sequence: u64| {
        let differs = Compare {
            key: "long".into(),
            test: Test::Value(Relation::Different, "x".into()),
        };
        let request = Request {
            compares: vec![differs],
            then: vec![put("short", &sequence.to_string())],
            ..Request::default()
        };
        transaction(1, sequence, 99, &request)
    };
    let all: Vec<_> = (2..102).map(swap).collect();
    let is_done = |it: &&Receipt| matches!(it.outcome, Outcome::Done { .. });
    let receipts = bench.one(&all);
    assert_eq!(receipts.iter().filter(is_done).count(), most);
    let crowded = |it: &Receipt| it.outcome == Outcome::Crowded;
    assert!(receipts[most..].iter().all(crowded), "the last ones");
    // It may still execute, and others are not in its way.
    let again = bench.one(&all[most..]);
    assert_eq!(again.iter().filter(is_done).count(), all.len() - most);
}

#[test]
fn one_goes_on_behind_the_longest_key() {
    let limits = Limits {
        range_pairs: 1,
        ..small()
    };
    let mut bench = Bench::new(ExecutorConfig::new(limits));
    let long = "k".repeat(limits.key_bytes);
    bench.one(&[transaction(
        1,
        1,
        9,
        &Request::all(vec![put(&long, "v"), put("z", "v")]),
    )]);
    let mut span = Span::prefix("");
    span.end = End::Unbounded;
    for (sequence, (key, more)) in (2..).zip([(&long[..], true), ("z", false)]) {
        let range = Operation::Range {
            span: span.clone(),
            limit: 0,
            revision: 0,
        };
        let receipts = bench.one(&[transaction(1, sequence, 9, &Request::all(vec![range]))]);
        let Outcome::Done {
            replies: Some(replies),
            ..
        } = &receipts[0].outcome
        else {
            panic!("{:?}", receipts[0].outcome)
        };
        let Reply::Range { pairs, more: cut } = &replies[0] else {
            panic!("{replies:?}")
        };
        assert_eq!((&pairs[0].key[..], *cut), (key.as_bytes(), more));
        span.key = pairs[0].behind();
    }
}

#[test]
fn a_state_of_another_log_is_refused() {
    let mut bench = Bench::new(ExecutorConfig::new(small()));
    bench.empty(2);
    bench.executor.flush(true).unwrap();
    let open = |log: Memory, state: &Arc<Memory>| {
        Executor::open(typed(&Arc::new(log)), state.clone(), bench.config)
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
            .executor
            .state()
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
        .executor
        .state()
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
