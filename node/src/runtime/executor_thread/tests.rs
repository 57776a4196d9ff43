#![allow(clippy::unwrap_used)]

use super::*;
use crypto::{Digest, Payload};
use std::sync::Arc;
use std::time::Instant;
use storage::memory::Fault;
use storage::{CommitRow, ExecutorConfig, Limits, Log, Memory, Store, WriteBatch};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

/// Commits so many heights without payload.
fn log_of(heights: u64) -> Arc<Memory> {
    let log = Arc::new(Memory::log());
    let (mut history, mut batch) = (Digest::ZERO, WriteBatch::new());
    for height in (1..=heights).map(Height) {
        let payload = Payload::Refs(Vec::new());
        history = payload.extend_history(&history, height);
        let proof = bytes::Bytes::new();
        let row = CommitRow {
            height,
            payload,
            history,
            proof,
        };
        row.put(&mut batch);
    }
    log.write(batch).unwrap();
    log
}

#[test]
fn heights_are_executed_as_far_as_told_each_once() {
    let (log, state) = (log_of(1_000), Arc::new(Memory::state()));
    let config = ExecutorConfig::new(Limits::default());
    let executor = Executor::open(Log::new(log, |_| None), state.clone(), config).unwrap();
    let (inbox, outlet) = Inbox::<()>::new();
    let failure = Failure::new(CancellationToken::new());
    let (targets, followers, thread) = start(executor, Clock::start(), inbox, &failure).unwrap();
    for target in [10, 5, 700, 700, 900] {
        targets.send((Height(target), None)).unwrap();
    }
    let (end, mut heights) = (Instant::now() + PATIENCE, Vec::new());
    while heights.len() < 900 {
        assert!(Instant::now() < end, "stuck at {:?}", heights.last());
        let mut inputs = Vec::new();
        outlet.take(Duration::from_millis(10), 64, &mut inputs);
        for (input, _) in inputs {
            let Input::Executed(list) = input else {
                panic!("not executed: {input:?}")
            };
            heights.extend(list.into_iter().map(|executed| executed.height.0));
        }
    }
    assert_eq!(heights, (1..=900).collect::<Vec<_>>());
    assert_eq!(*followers.borrow(), Height(900));
    drop(targets);
    thread.join().unwrap();
    assert_eq!(failure.reason(), None);
    assert!(state.flushes() > 0, "the state is flushed at the end");
}

#[test]
fn a_failed_read_of_the_log_stops_the_node() {
    let (log, state) = (log_of(3), Arc::new(Memory::state()));
    let config = ExecutorConfig::new(Limits::default());
    let executor = Executor::open(Log::new(log.clone(), |_| None), state, config).unwrap();
    log.fail(Fault::Read, 0);
    let (inbox, _outlet) = Inbox::<()>::new();
    let stop = CancellationToken::new();
    let failure = Failure::new(stop.clone());
    let (targets, _followers, thread) = start(executor, Clock::start(), inbox, &failure).unwrap();
    targets.send((Height(3), None)).unwrap();
    thread.join().unwrap();
    assert!(stop.is_cancelled());
    assert!(failure.reason().unwrap().contains("failed to"));
}
