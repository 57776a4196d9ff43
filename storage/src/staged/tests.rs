#![allow(clippy::unwrap_used)]

use super::*;
use crate::memory::{Fault, Memory};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    /// And wait, or not.
    Flush(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..24u8, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        3 => (0..24u8).prop_map(Step::Delete),
        1 => any::<bool>().prop_map(Step::Flush),
    ]
}

fn batch(table: Table, step: &Step) -> WriteBatch {
    let mut batch = WriteBatch::new();
    match step {
        Step::Put(key, value) => batch.put(table, vec![*key], vec![*value]),
        Step::Delete(key) => batch.delete(table, vec![*key]),
        Step::Flush(_) => {}
    }
    batch
}

fn put(key: u8) -> WriteBatch {
    batch(Table::Key, &Step::Put(key, 7))
}

fn rows(read: &dyn Read, table: Table, from: u8, most: usize) -> Vec<Row> {
    let scan = Scan::range(vec![from], Some(vec![20].into())).rows(most);
    read.scan(table, &scan).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// Wherever the rows are, it reads as a store does that was written at once.
    #[test]
    fn it_reads_like_a_store_without_a_stage(
        steps in proptest::collection::vec(step(), 1..80),
        limit in 1..9usize,
    ) {
        let (plain, base) = (Memory::state(), Arc::new(Memory::state()));
        let staged = Staged::new(base);
        for step in &steps {
            for table in [Table::Key, Table::Session] {
                plain.write(batch(table, step)).unwrap();
                staged.write(batch(table, step)).unwrap();
            }
            if let Step::Flush(wait) = step {
                staged.finish().unwrap();
                staged.freeze(); // not even the first rows move at once
                if *wait {
                    staged.flush(true).unwrap();
                }
            }
            let view = staged.snapshot();
            for read in [&*view, &staged as &dyn Read] {
                for key in 0..24 {
                    prop_assert_eq!(read.get(Table::Key, &[key]), plain.get(Table::Key, &[key]));
                }
                for from in [0, 5, 19] {
                    prop_assert_eq!(rows(read, Table::Session, from, limit), rows(&plain, Table::Session, from, limit));
                }
            }
        }
    }
}

#[test]
fn what_is_gathered_goes_to_the_store_when_flushed_and_all_of_it_at_once() {
    let base = Arc::new(Memory::state());
    let staged = Staged::new(base.clone());
    for key in [3, 1, 2, 1] {
        staged.write(put(key)).unwrap();
    }
    assert_eq!(staged.bytes(), 4 * (OVERHEAD as u64 + 2));
    assert!(rows(&*base, Table::Key, 0, 9).is_empty());
    staged.flush(true).unwrap();
    assert_eq!(staged.bytes(), 0);
    assert!(base.flushes() > 0);
    assert_eq!(rows(&*base, Table::Key, 0, 9).len(), 3);
    assert_eq!(base.statistics().writes, 1);
}

#[test]
fn a_crash_finds_what_was_flushed_and_nothing_in_part() {
    let base = Arc::new(Memory::state());
    let staged = Staged::new(base.clone());
    staged.write(put(1)).unwrap();
    staged.write(put(2)).unwrap();
    staged.flush(true).unwrap();
    staged.write(put(3)).unwrap();
    base.crash(|_| 0);
    let keys: Vec<Bytes> = rows(&*base, Table::Key, 0, 9)
        .into_iter()
        .map(|row| row.0)
        .collect();
    assert_eq!(keys, [vec![1], vec![2]]);
}

#[test]
fn a_view_is_of_one_moment() {
    let staged = Staged::new(Arc::new(Memory::state()));
    staged.write(put(1)).unwrap();
    let staged = &staged;
    std::thread::scope(|scope| {
        let view = staged.snapshot();
        let writer = scope.spawn(move || staged.write(put(2)));
        assert_eq!(view.get(Table::Key, &[2]).unwrap(), None);
        assert_eq!(rows(&*view, Table::Key, 0, 9).len(), 1);
        drop(view);
        writer.join().unwrap().unwrap();
    });
    assert_eq!(rows(staged, Table::Key, 0, 9).len(), 2);
}

#[test]
fn a_store_that_fails_is_told_of() {
    let base = Arc::new(Memory::state());
    let staged = Staged::new(base.clone());
    staged.write(put(1)).unwrap();
    base.fail(Fault::Write, 0);
    assert!(staged.flush(true).is_err());
}

/// A flush takes its time; a crash in the middle of it leaves the state as of the flush before.
#[test]
fn a_flush_moves_a_few_rows_with_each_write_and_reaches_the_disk_as_a_whole() {
    let base = Arc::new(Memory::state());
    let staged = Staged::new(base.clone());
    for key in 0..20 {
        staged.write(put(key)).unwrap();
    }
    staged.freeze();
    staged.write(put(0)).unwrap();
    assert_eq!(rows(&*base, Table::Key, 0, 99).len(), PACE);
    assert_eq!(base.flushes(), 0, "a part of it");
    assert_eq!(rows(&staged, Table::Key, 0, 99).len(), 20);
    for key in 1..5 {
        staged.write(put(key)).unwrap();
    }
    assert_eq!(base.flushes(), 1);
    base.crash(|_| 0);
    assert_eq!(rows(&*base, Table::Key, 0, 99).len(), 20);
}

#[test]
fn who_closes_the_store_in_the_middle_of_a_flush_closes_it_whole() {
    let base = Arc::new(Memory::state());
    let staged = Staged::new(base.clone());
    for key in 0..20 {
        staged.write(put(key)).unwrap();
    }
    staged.freeze();
    staged.write(put(0)).unwrap();
    drop(staged);
    assert_eq!(rows(&*base, Table::Key, 0, 99).len(), 20);
}
