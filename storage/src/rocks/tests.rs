//! Real files: close and open, damage, locks.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::directory::{Data, Directory, Identity, OpenError};
use crate::log::fence;
use crate::{GroupCommit, Job, Refusal, Safety, SafetyPolicy};
use crypto::{ChainId, Digest, PublicKey, View};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

fn identity() -> Identity {
    Identity {
        chain: ChainId(Digest([1; 32])),
        key: PublicKey([2; 32]),
        protocol: "hotstuff".into(),
    }
}

fn fresh() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("data");
    Directory::create(&path, &identity()).unwrap();
    (home, path)
}

fn job(key: u8, sync: bool) -> Job<u8> {
    let mut batch = WriteBatch::new();
    batch.put(Table::Record, vec![key], vec![key; 1_000]);
    Job {
        token: key,
        batch,
        sync,
        view: View(u64::from(key)),
    }
}

fn open(path: &Path) -> (Data, GroupCommit) {
    let mut data = Data::open(path, &identity(), SafetyPolicy::EachFence).unwrap();
    let group = data.group_commit().unwrap();
    (data, group)
}

/// Twenty synced groups, then as if the process was killed: closing does not flush a log.
fn twenty(path: &Path) {
    let (_data, mut group) = open(path);
    for key in 1..=20 {
        assert_eq!(
            group.commit(vec![job(key, true)]).unwrap().fence,
            Some(u64::from(key))
        );
    }
}

fn refusal(path: &Path) -> OpenError {
    let opened = Data::open(path, &identity(), SafetyPolicy::EachFence);
    opened.err().expect("it is refused")
}

/// The write-ahead log that is in use.
fn wal(path: &Path) -> PathBuf {
    let files = fs::read_dir(path.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let logs = files.filter(|file| file.extension().is_some_and(|end| end == "log"));
    logs.max_by_key(|file| fs::metadata(file).unwrap().len())
        .unwrap()
}

fn flip(file: &Path, at: u64) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at as usize] ^= 0x40;
    fs::write(file, bytes).unwrap();
}

fn cut(file: &Path, length: u64) {
    fs::OpenOptions::new()
        .write(true)
        .open(file)
        .unwrap()
        .set_len(length)
        .unwrap();
}

#[test]
fn what_was_synced_is_there_after_opening_again() {
    let (_home, path) = fresh();
    twenty(&path);
    let (data, group) = open(&path);
    assert_eq!(data.recovery, Recovery::Clean);
    assert_eq!(group.fence(), 20);
    assert_eq!((data.safety.fence, data.safety.view), (20, View(20)));
    for key in 1..=20 {
        assert_eq!(
            data.log.get(Table::Record, &[key]).unwrap().unwrap(),
            vec![key; 1_000]
        );
    }
}

#[test]
fn wal_syncs_are_at_least_the_released_fences() {
    let (_home, path) = fresh();
    let (data, mut group) = open(&path);
    assert_eq!(data.log.statistics().wal_syncs, 0);
    for key in 1..=10 {
        group.commit(vec![job(key, true)]).unwrap();
        assert!(data.log.statistics().wal_syncs >= group.fence());
    }
    let before = data.log.statistics().wal_syncs;
    group.commit(vec![job(11, false)]).unwrap();
    assert_eq!(
        data.log.statistics().wal_syncs,
        before,
        "an unsynced job needs no sync"
    );
}

#[test]
fn a_cut_tail_that_was_never_released_is_forgiven() {
    let (_home, path) = fresh();
    twenty(&path);
    {
        let (_data, mut group) = open(&path);
        group.commit(vec![job(21, false)]).unwrap();
    }
    let wal = wal(&path);
    cut(&wal, fs::metadata(&wal).unwrap().len() - 100);
    let (data, group) = open(&path);
    assert_eq!((data.recovery, group.fence()), (Recovery::Cut, 20));
    assert_eq!(data.log.get(Table::Record, &[21]).unwrap(), None);
    assert!(data.log.get(Table::Record, &[20]).unwrap().is_some());
}

#[test]
fn a_cut_tail_that_was_released_is_refused() {
    let (_home, path) = fresh();
    twenty(&path);
    let wal = wal(&path);
    cut(&wal, fs::metadata(&wal).unwrap().len() - 100);
    let error = refusal(&path).to_string();
    assert!(
        error.contains("what is left ends at fence 19, but 20 was released"),
        "{error}"
    );
}

#[test]
fn a_flipped_byte_in_the_middle_of_the_log_is_refused_and_nothing_is_changed() {
    let (_home, path) = fresh();
    twenty(&path);
    let wal = wal(&path);
    let middle = fs::metadata(&wal).unwrap().len() / 2;
    flip(&wal, middle);
    for _ in 0..2 {
        let error = refusal(&path);
        assert!(
            matches!(&error, OpenError::Store(StoreError::Damaged { .. })),
            "{error}"
        );
        let text = error.to_string();
        assert!(
            text.contains("but 20 was released") && !text.contains('\n'),
            "{text}"
        );
    }
    flip(&wal, middle);
    assert_eq!(open(&path).1.fence(), 20);
}

#[test]
fn a_flipped_byte_behind_the_last_released_fence_loses_nothing_that_counts() {
    let (_home, path) = fresh();
    twenty(&path);
    let safe = {
        let (_data, mut group) = open(&path);
        let safe = fs::metadata(wal(&path)).unwrap().len();
        for key in 21..=23 {
            group.commit(vec![job(key, false)]).unwrap();
        }
        safe
    };
    // Released up to 20; the bad record is among those written without a sync after it.
    flip(&wal(&path), safe + 500);
    let (data, group) = open(&path);
    assert_eq!((data.recovery, group.fence()), (Recovery::Cut, 20));
    assert!(data.log.get(Table::Record, &[20]).unwrap().is_some());
    assert_eq!(data.log.get(Table::Record, &[23]).unwrap(), None);
}

/// The file does not say then up to where the log was released.
#[test]
fn a_node_that_writes_the_safety_file_seldom_takes_no_damaged_log() {
    let (_home, path) = fresh();
    let seldom = || Data::open(&path, &identity(), SafetyPolicy::EachPromise);
    let start = || {
        let mut data = seldom().unwrap();
        let group = data.group_commit().unwrap();
        (data, group)
    };
    {
        let (_data, mut group) = start();
        for key in 1..=20 {
            let job = Job {
                view: View(1),
                ..job(key, true)
            };
            group.commit(vec![job]).unwrap();
        }
    }
    let told = || Safety::newest(&fs::read(path.join("safety")).unwrap()).unwrap();
    assert_eq!(told().fence, 1, "only the first fence was of a new view");
    let wal = wal(&path);
    let middle = fs::metadata(&wal).unwrap().len() / 2;
    flip(&wal, middle);
    let error = seldom().err().expect("it is refused");
    assert!(
        matches!(&error, OpenError::Store(StoreError::Damaged { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("19 was synced"), "{error}");
    flip(&wal, middle);
    // What it cannot tell: that a disk lost the end of what it had acknowledged.
    cut(&wal, fs::metadata(&wal).unwrap().len() - 100);
    assert_eq!(start().1.fence(), 19);
    assert_eq!(told().fence, 19);
}

#[test]
fn a_missing_safety_file_is_refused() {
    let (_home, path) = fresh();
    twenty(&path);
    fs::remove_file(path.join("safety")).unwrap();
    assert!(matches!(
        refusal(&path),
        OpenError::Refused {
            refusal: Refusal::Missing,
            ..
        }
    ));
    assert!(!path.join("safety").exists(), "the node never creates one");
}

#[test]
fn a_torn_slot_of_the_safety_file_is_an_ordinary_crash() {
    let (_home, path) = fresh();
    twenty(&path);
    flip(&path.join("safety"), 90); // slot 0 holds fence 20
    let (data, group) = open(&path);
    assert_eq!((data.safety.fence, group.fence()), (19, 20));
}

#[test]
fn a_lost_log_is_refused_and_not_made_anew() {
    let (_home, path) = fresh();
    twenty(&path);
    fs::remove_dir_all(path.join("log")).unwrap();
    let expected = Refusal::Behind {
        database: 0,
        file: 20,
    };
    assert!(matches!(refusal(&path), OpenError::Refused { refusal, .. } if refusal == expected));
    assert!(!path.join("log").exists());
}

#[test]
fn an_older_log_is_refused() {
    let (home, path) = fresh();
    twenty(&path);
    let old = home.path().join("old");
    copy(&path.join("log"), &old);
    drop({
        let (data, mut group) = open(&path);
        group.commit(vec![job(21, true)]).unwrap();
        data
    });
    fs::remove_dir_all(path.join("log")).unwrap();
    fs::rename(&old, path.join("log")).unwrap();
    let expected = Refusal::Behind {
        database: 20,
        file: 21,
    };
    assert!(matches!(refusal(&path), OpenError::Refused { refusal, .. } if refusal == expected));
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[test]
fn a_second_process_is_told_who_has_it() {
    let (_home, path) = fresh();
    let first = open(&path);
    let OpenError::Locked { owner, .. } = refusal(&path) else {
        panic!("it is locked")
    };
    assert_eq!(owner, std::process::id().to_string());
    drop(first);
    open(&path);
}

#[test]
fn state_without_a_flush_is_lost_whole_and_with_one_kept_whole() {
    let (_home, path) = fresh();
    let (data, group) = open(&path);
    for number in 0..3_000u32 {
        let mut batch = WriteBatch::new();
        batch.put(Table::Key, number.to_be_bytes().to_vec(), vec![7; 100]);
        batch.put(Table::Applied, b"n".to_vec(), number.to_be_bytes().to_vec());
        data.state.write(batch).unwrap();
        if number == 1_000 {
            data.state.flush(true).unwrap();
        }
    }
    // A copy of the files while it is open is what a crash of the process leaves.
    let after = path.join("state-after-crash");
    copy(&path.join("state"), &after);
    let log = data.log.clone();
    drop((data, group));
    let state = open_state(&after, log).unwrap();
    assert_eq!(
        state.get(Table::Applied, b"n").unwrap().unwrap(),
        1_000u32.to_be_bytes()[..]
    );
    assert_eq!(state.scan(Table::Key, &Scan::all()).unwrap().len(), 1_001);
}

#[test]
fn scans_agree_with_the_memory_store() {
    let (_home, path) = fresh();
    let (data, _group) = open(&path);
    let (log, state) = (crate::Memory::log(), crate::Memory::state());
    let tables = [
        (Table::Commit, &*data.log as &dyn Store, &log),
        (Table::History, &*data.state, &state),
    ];
    for (table, real, memory) in tables {
        let mut batch = WriteBatch::new();
        for key in [&b"a"[..], b"ab", b"b", &[0xFF], &[0xFF, 0xFF], b"", b"c"] {
            batch.put(table, key.to_vec(), key.repeat(3));
        }
        batch.put(table, vec![b'x'; 300], b"long".to_vec());
        batch.delete(table, b"c".to_vec());
        batch.delete_range(table, Bytes::from_static(b"ab")..Bytes::from_static(b"b"));
        real.write(batch.clone()).unwrap();
        memory.write(batch).unwrap();
        let bound = || {
            [
                None,
                Some(&b"a"[..]),
                Some(b"b"),
                Some(&[0xFF, 0xFF, 0xFF]),
                Some(b""),
            ]
        };
        for (from, until) in bound()
            .into_iter()
            .flat_map(|from| bound().map(|until| (from, until)))
        {
            for reverse in [false, true] {
                for (rows, bytes) in [
                    (usize::MAX, usize::MAX),
                    (2, usize::MAX),
                    (9, 5),
                    (0, 9),
                    (9, 0),
                ] {
                    let from = Bytes::from(from.unwrap_or_default().to_vec());
                    let until = until.map(|until| Bytes::from(until.to_vec()));
                    let scan = Scan {
                        from,
                        until,
                        rows,
                        bytes,
                        reverse,
                    };
                    assert_eq!(
                        real.scan(table, &scan).unwrap(),
                        memory.scan(table, &scan).unwrap(),
                        "{scan:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_snapshot_does_not_move() {
    let (_home, path) = fresh();
    let (data, _group) = open(&path);
    let put = |value: u8| {
        let mut batch = WriteBatch::new();
        batch.put(Table::Key, b"k".to_vec(), vec![value]);
        data.state.write(batch).unwrap();
    };
    put(1);
    let view = data.state.snapshot();
    put(2);
    assert_eq!(view.get(Table::Key, b"k").unwrap().unwrap(), vec![1]);
    assert_eq!(data.state.get(Table::Key, b"k").unwrap().unwrap(), vec![2]);
}

#[test]
fn a_log_can_be_looked_at_while_it_is_in_use() {
    let (_home, path) = fresh();
    let (_data, mut group) = open(&path);
    group.commit(vec![job(1, true)]).unwrap();
    let view = open_log_read_only(&path.join("log")).unwrap();
    assert_eq!(fence(&view).unwrap(), 1);
    assert!(view.write(job(2, true).batch).is_err());
}

#[test]
fn a_closed_state_can_be_looked_at_and_not_written() {
    let (_home, path) = fresh();
    let (data, group) = open(&path);
    let mut batch = WriteBatch::new();
    batch.put(Table::Key, "k", "v");
    data.state.write(batch).unwrap();
    drop((group, data));
    let view = open_state_read_only(&path.join("state")).unwrap();
    assert_eq!(
        view.get(Table::Key, b"k").unwrap().as_deref(),
        Some(&b"v"[..])
    );
    assert!(view.write(job(2, true).batch).is_err());
}

#[test]
fn it_is_small_at_start() {
    let (_home, path) = fresh();
    let (data, _group) = open(&path);
    let bytes = data.log.statistics().memory + data.state.statistics().memory;
    assert!(bytes < 8 << 20, "{bytes} bytes");
}
