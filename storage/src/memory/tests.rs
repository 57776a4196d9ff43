#![allow(clippy::unwrap_used)]

use super::*;

fn put(table: Table, key: u8, bytes: usize) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.put(table, vec![key], vec![key; bytes]);
    batch
}

fn keys(store: &Memory, table: Table) -> Vec<u8> {
    store
        .scan(table, &Scan::all())
        .unwrap()
        .iter()
        .map(|(key, _)| key[0])
        .collect()
}

#[test]
fn a_crash_keeps_a_prefix_of_whole_batches() {
    for kept in 0..=55u64 {
        let store = Memory::log();
        store.write(put(Table::Record, 1, 9)).unwrap();
        store.sync().unwrap();
        for key in 2..=6 {
            store.write(put(Table::Record, key, 9)).unwrap();
        }
        let crash = store.crash(|total| {
            assert_eq!(total, 50);
            kept
        });
        let whole = (kept / 10).min(5) as usize;
        assert_eq!(
            crash,
            Crash {
                kept: whole,
                lost: 5 - whole
            }
        );
        assert_eq!(
            keys(&store, Table::Record),
            (1..=whole as u8 + 1).collect::<Vec<_>>()
        );
    }
}

#[test]
fn what_a_lost_batch_overwrote_and_removed_comes_back() {
    let store = Memory::log();
    for key in 1..=5 {
        store.write(put(Table::Record, key, 3)).unwrap();
    }
    store.sync().unwrap();
    let before = store.scan(Table::Record, &Scan::all()).unwrap();
    let mut batch = put(Table::Record, 1, 9);
    batch.put(Table::Record, vec![1], b"twice".to_vec());
    batch.delete(Table::Record, vec![2]);
    batch.delete(Table::Record, vec![99]);
    batch.delete_range(
        Table::Record,
        Bytes::from_static(&[3])..Bytes::from_static(&[5]),
    );
    batch.put(Table::Record, vec![3], b"back".to_vec());
    store.write(batch).unwrap();
    assert_eq!(keys(&store, Table::Record), [1, 3, 5]);
    assert_eq!(store.image(), store.from_image(store.image()).image());
    let image = store.image();
    store.crash(|_| 0);
    assert_eq!(store.scan(Table::Record, &Scan::all()).unwrap(), before);
    assert_eq!(store.image(), image, "an image holds what is durable");
}

#[test]
fn state_is_lost_back_to_its_last_flush() {
    let store = Memory::state();
    store.write(put(Table::Key, 1, 1)).unwrap();
    store.flush(false).unwrap();
    store.write(put(Table::Key, 2, 1)).unwrap();
    store.sync().unwrap();
    let crash = store.crash(|_| u64::MAX);
    assert_eq!(crash, Crash { kept: 0, lost: 1 });
    assert_eq!(keys(&store, Table::Key), [1]);
    assert_eq!(store.statistics().wal_syncs, 0);
}

#[test]
fn faults_come_when_they_are_due_and_stay_until_the_crash() {
    let store = Memory::log();
    store.fail(Fault::Write, 1);
    store.write(put(Table::Record, 1, 1)).unwrap();
    for _ in 0..2 {
        assert!(store.write(put(Table::Record, 2, 1)).is_err());
    }
    store.fail(Fault::Read, 1);
    store.get(Table::Record, &[1]).unwrap();
    assert!(store.get(Table::Record, &[1]).is_err());
    assert!(store.scan(Table::Record, &Scan::all()).is_err());
    store.fail(Fault::Sync, 0);
    assert!(store.sync().is_err());
    assert_eq!(store.unsynced(), 1, "a failed sync makes nothing durable");
    store.crash(|total| total);
    assert_eq!(keys(&store, Table::Record), [1]);
    store.sync().unwrap();
}

#[test]
fn a_damaged_row_is_an_error_and_never_another_value() {
    let store = Memory::log();
    for key in 1..=3 {
        store.write(put(Table::Record, key, 1)).unwrap();
    }
    store.damage(Table::Record, vec![2]);
    assert!(store.get(Table::Record, &[1]).is_ok());
    assert!(matches!(
        store.get(Table::Record, &[2]),
        Err(StoreError::Damaged { .. })
    ));
    assert!(store.scan(Table::Record, &Scan::all()).is_err());
    assert_eq!(
        store
            .scan(Table::Record, &Scan::all().rows(1))
            .unwrap()
            .len(),
        1
    );
}
