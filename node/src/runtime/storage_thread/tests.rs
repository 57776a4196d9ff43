#![allow(clippy::unwrap_used)]

use super::*;
use crate::hooked::Hooked;
use crate::runtime::inbox::Outlet;
use crypto::{ChainId, PublicKey};
use std::sync::Mutex;
use storage::memory::Fault;
use storage::{Memory, MemorySafetyFile, Safety, SafetyPolicy, Scan, Table};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    log: Arc<Memory>,
    file: MemorySafetyFile,
    metrics: Arc<Metrics>,
    failure: Failure,
    tasks: Sender<Task>,
    threads: Vec<JoinHandle<()>>,
    outlet: Outlet<()>,
}

fn start_over(log: Arc<Memory>, store: Arc<dyn Store>) -> Bench {
    let first = Safety::genesis(ChainId::default(), PublicKey([1; 32]));
    let file = MemorySafetyFile::create(&first);
    let group = GroupCommit::new(
        store.clone(),
        Box::new(file.clone()),
        first,
        SafetyPolicy::EachFence,
    )
    .unwrap();
    let metrics = Arc::new(Metrics::new());
    let failure = Failure::new(CancellationToken::new());
    let (inbox, outlet) = Inbox::new();
    let (tasks, threads) = start(group, store, inbox, metrics.clone(), &failure).unwrap();
    Bench {
        log,
        file,
        metrics,
        failure,
        tasks,
        threads,
        outlet,
    }
}

fn bench() -> Bench {
    let log = Arc::new(Memory::log());
    start_over(log.clone(), log)
}

fn write(token: u64, sync: bool) -> Task {
    let mut batch = WriteBatch::new();
    batch.put(Table::Record, token.to_be_bytes().to_vec(), vec![7; 100]);
    Task::Write {
        token,
        batch,
        sync,
        view: View(token),
    }
}

fn everything(token: u64) -> Task {
    let query = Query {
        table: Table::Record,
        scans: vec![Scan::all()],
        bytes: usize::MAX,
    };
    Task::Load { token, query }
}

impl Bench {
    /// Takes completions until there are `count`, or the time is over.
    fn completions(&self, count: usize, patience: Duration) -> Vec<Input<()>> {
        let (end, mut inputs) = (Instant::now() + patience, Vec::new());
        while inputs.len() < count && Instant::now() < end {
            self.outlet.take(Duration::from_millis(10), 1, &mut inputs);
        }
        inputs.into_iter().map(|(input, _)| input).collect()
    }
    fn written(&self, count: usize) -> Vec<u64> {
        let token = |input| match input {
            Input::Written { token } => token,
            other => panic!("not a write: {other:?}"),
        };
        self.completions(count, PATIENCE)
            .into_iter()
            .map(token)
            .collect()
    }
    fn end(self) {
        drop(self.tasks);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn writes_are_answered_in_order_and_durable() {
    let bench = bench();
    for token in 0..500 {
        bench.tasks.send(write(token, token % 7 == 0)).unwrap();
    }
    bench.tasks.send(write(500, true)).unwrap();
    assert_eq!(bench.written(501), (0..=500).collect::<Vec<_>>());
    assert_eq!(bench.log.unsynced(), 0);
    assert!(bench.file.writes() > 0, "the safety file follows each sync");
    assert!(bench.metrics.groups.get() <= 501);
    assert_eq!(bench.metrics.writes.get(), 501);
    bench.end();
}

#[test]
fn a_load_sees_the_writes_before_it() {
    let bench = bench();
    bench.tasks.send(write(1, false)).unwrap();
    bench.tasks.send(everything(2)).unwrap();
    let inputs = bench.completions(2, PATIENCE);
    let rows = inputs.iter().find_map(|input| match input {
        Input::Loaded { token: 2, rows } => Some(rows.len()),
        _ => None,
    });
    assert_eq!(rows, Some(1));
    bench.end();
}

#[test]
fn after_a_failed_sync_nothing_is_answered_and_the_node_stops() {
    let bench = bench();
    bench.log.fail(Fault::Sync, 0);
    bench.tasks.send(write(1, true)).unwrap();
    let end = Instant::now() + PATIENCE;
    while bench.failure.reason().is_none() {
        assert!(Instant::now() < end, "it went on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let reason = bench.failure.reason().unwrap();
    assert!(reason.contains("failed to"), "{reason}");
    assert!(!reason.contains('\n'), "one line: {reason}");
    // Neither this write nor any later one is answered.
    bench.tasks.send(write(2, false)).ok();
    assert!(bench.completions(1, Duration::from_millis(100)).is_empty());
    bench.end();
}

#[test]
fn a_failed_safety_file_stops_the_node_as_well() {
    let bench = bench();
    bench.file.fail_write_after(0);
    bench.tasks.send(write(1, true)).unwrap();
    let end = Instant::now() + PATIENCE;
    while bench.failure.reason().is_none() {
        assert!(Instant::now() < end, "it went on");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(bench.completions(1, Duration::from_millis(100)).is_empty());
    bench.end();
}

#[test]
fn at_the_end_unsynced_writes_become_durable() {
    let bench = bench();
    bench.tasks.send(write(1, false)).unwrap();
    assert_eq!(bench.written(1), [1]);
    let log = bench.log.clone();
    bench.end();
    assert_eq!(log.unsynced(), 0);
}

#[test]
fn a_slow_read_does_not_stop_a_vote() {
    let log = Arc::new(Memory::log());
    let (go_on, told) = std::sync::mpsc::channel();
    let told = Mutex::new(told);
    // The read lasts until it is told to go on.
    let slow = move |_: &Memory, table: Table| {
        if table == Table::Record {
            told.lock().unwrap().recv_timeout(PATIENCE).ok();
        }
    };
    let bench = start_over(log.clone(), Arc::new(Hooked(log, slow)));
    bench.tasks.send(everything(1)).unwrap();
    bench.tasks.send(write(2, true)).unwrap();
    // The write was asked for behind the read, and is answered before it.
    assert_eq!(bench.written(1), [2]);
    go_on.send(()).unwrap();
    assert_eq!(bench.completions(1, PATIENCE).len(), 1);
    bench.end();
}

#[test]
fn a_slow_disk_is_noticed_once_in_a_while() {
    let mut slow = SlowDisk::default();
    let warnings = (0..4 * SAMPLES)
        .filter_map(|_| slow.observe(2 * SLOW))
        .count();
    assert_eq!(warnings, 1);
    let mut fast = SlowDisk::default();
    let mixed = |i: usize| {
        if i.is_multiple_of(200) {
            5 * SLOW
        } else {
            SLOW / 10
        }
    };
    assert!((0..4 * SAMPLES).all(|i| fast.observe(mixed(i)).is_none()));
}
