#![allow(clippy::unwrap_used)]

use super::*;
use crate::log::fence;
use crate::memory::{Fault, Memory};
use crate::{MemorySafetyFile, Read as _, Scan, Table, Verdict, verdict};
use crypto::{ChainId, PublicKey};
use proptest::prelude::*;

struct Disk {
    log: Arc<Memory>,
    file: MemorySafetyFile,
}

impl Disk {
    fn new() -> Self {
        let first = Safety::genesis(ChainId::default(), PublicKey([1; 32]));
        Self {
            log: Arc::new(Memory::log()),
            file: MemorySafetyFile::create(&first),
        }
    }
    fn start(&self) -> GroupCommit {
        let last = self.file.clone().read().unwrap().unwrap();
        GroupCommit::new(self.log.clone(), Box::new(self.file.clone()), last).unwrap()
    }
    fn verdict(&self) -> Verdict {
        let last = self.file.clone().read().unwrap();
        verdict(
            fence(&*self.log).unwrap(),
            last.as_ref(),
            ChainId::default(),
            PublicKey([1; 32]),
        )
    }
    fn has(&self, token: u16) -> bool {
        self.log
            .get(Table::Record, &token.to_be_bytes())
            .unwrap()
            .is_some()
    }
}

fn job(token: u16, sync: bool) -> Job<u16> {
    let mut batch = WriteBatch::new();
    batch.put(Table::Record, token.to_be_bytes().to_vec(), vec![0; 10]);
    Job {
        token,
        batch,
        sync,
        view: View(u64::from(token)),
    }
}

#[test]
fn many_jobs_are_one_write_one_sync_and_one_safety_write() {
    let disk = Disk::new();
    let mut group = disk.start();
    let done = group
        .commit((1..=100).map(|token| job(token, token == 50)).collect())
        .unwrap();
    assert_eq!(done.tokens, (1..=100).collect::<Vec<_>>());
    assert_eq!(done.fence, Some(1));
    let statistics = disk.log.statistics();
    assert_eq!(
        (statistics.writes, statistics.wal_syncs, disk.file.writes()),
        (1, 1, 1)
    );
    let last = disk.file.clone().read().unwrap().unwrap();
    assert_eq!((last.fence, last.view), (1, View(100)));
}

#[test]
fn jobs_that_need_no_sync_cause_none() {
    let disk = Disk::new();
    let mut group = disk.start();
    assert_eq!(
        group
            .commit(vec![job(1, false), job(2, false)])
            .unwrap()
            .fence,
        None
    );
    assert_eq!(
        (disk.log.statistics().wal_syncs, disk.file.writes()),
        (0, 0)
    );
    assert_eq!(disk.log.unsynced(), 1);
    assert!(disk.has(1) && disk.has(2), "it can be read at once");
    group.commit(vec![job(3, true)]).unwrap();
    disk.log.crash(|_| 0);
    assert!(
        disk.has(1) && disk.has(3),
        "and is durable with the next that needs it"
    );
}

#[test]
fn a_sync_with_nothing_to_write_is_still_a_fence() {
    let disk = Disk::new();
    let empty = Job {
        token: 1,
        batch: WriteBatch::new(),
        sync: true,
        view: View(0),
    };
    assert_eq!(disk.start().commit(vec![empty]).unwrap().fence, Some(1));
    assert_eq!(disk.log.statistics().wal_syncs, 1);
}

#[test]
fn nothing_is_released_after_a_failure_and_nothing_is_retried() {
    for fault in [Some(Fault::Write), Some(Fault::Sync), None] {
        let disk = Disk::new();
        let mut group = disk.start();
        group.commit(vec![job(1, true)]).unwrap();
        match fault {
            Some(fault) => disk.log.fail(fault, 0),
            None => disk.file.fail_write_after(0),
        }
        assert!(group.commit(vec![job(2, true)]).is_err());
        let before = disk.log.statistics();
        assert_eq!(group.commit(vec![job(3, true)]), Err(CommitError::Stopped));
        assert_eq!(disk.log.statistics(), before);
        // The machine goes down, with any part of what was not synced on the disk.
        disk.log.crash(|total| total / 2);
        assert_eq!(disk.verdict(), Verdict::Start);
        assert!(disk.has(1));
    }
}

#[test]
fn a_log_with_a_hole_in_its_fences_is_refused() {
    let disk = Disk::new();
    let mut group = disk.start();
    for token in 1..=600 {
        group.commit(vec![job(token, true)]).unwrap();
    }
    disk.start();
    let rows = disk.log.scan(Table::Meta, &Scan::all()).unwrap();
    assert_eq!(
        rows.len() as u64,
        log::FENCE_RING + 1,
        "the ring is bounded"
    );
    let victim = rows
        .into_iter()
        .find(|(_, value)| value[..] == 555u64.to_le_bytes())
        .unwrap()
        .0;
    let mut hole = WriteBatch::new();
    hole.delete(Table::Meta, victim);
    disk.log.write(hole).unwrap();
    let last = disk.file.clone().read().unwrap().unwrap();
    let error = GroupCommit::new(disk.log.clone(), Box::new(disk.file.clone()), last)
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("fence 555 of 600 is missing"),
        "{error}"
    );
}

proptest! {
    /// Power is cut at any point, with any part of the unsynced writes on the disk and the safety
    /// file's last write torn anywhere if it was not yet synced: whatever was released is there.
    #[test]
    fn whatever_was_released_survives_any_crash(
        groups in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 1..5), 1..20),
        at in 0..20usize,
        point in 0..4u8,
        part in 0..=100u64,
        torn in 0..200usize,
    ) {
        let disk = Disk::new();
        let mut group = disk.start();
        let mut released = Vec::new();
        let mut durable = Vec::new();
        for (number, syncs) in (0..).zip(groups) {
            if number == at {
                match point {
                    0 => disk.log.fail(Fault::Write, 0),
                    1 => disk.log.fail(Fault::Sync, 0),
                    2 => disk.file.fail_write_after(0),
                    _ => {}
                }
            }
            let jobs = (0..).zip(&syncs).map(|(i, sync)| job(number as u16 * 10 + i, *sync)).collect();
            match group.commit(jobs) {
                Ok(done) => {
                    released.extend(done.tokens);
                    if done.fence.is_some() {
                        durable = released.clone();
                    }
                }
                Err(CommitError::Safety(_)) => {
                    disk.file.tear(torn);
                    break;
                }
                Err(_) => break,
            }
        }
        disk.log.crash(|total| total * part / 100);
        disk.file.crash();
        prop_assert_eq!(disk.verdict(), Verdict::Start);
        for token in durable {
            prop_assert!(disk.has(token), "{} was released", token);
        }
        disk.start().commit(vec![job(1_000, true)]).unwrap();
    }
}
