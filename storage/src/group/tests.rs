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
        self.start_with(SafetyPolicy::EachFence)
    }
    fn start_with(&self, policy: SafetyPolicy) -> GroupCommit {
        let last = self.file.clone().read().unwrap().unwrap();
        let file = Box::new(self.file.clone());
        GroupCommit::new(self.log.clone(), file, last, policy).unwrap()
    }
    /// The fence and the view that the file names.
    fn told(&self) -> (u64, View) {
        let last = self.file.clone().read().unwrap().unwrap();
        (last.fence, last.view)
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
    let file = Box::new(disk.file.clone());
    let error = GroupCommit::new(disk.log.clone(), file, last, SafetyPolicy::EachFence)
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("fence 555 of 600 is missing"),
        "{error}"
    );
}

/// A job without a promise, in view 1.
fn entry(token: u16) -> Job<u16> {
    Job {
        view: View(1),
        ..job(token, true)
    }
}

/// A job with one.
fn promise(token: u16, view: u64) -> Job<u16> {
    let mut job = job(token, true);
    job.batch
        .put(Table::Guard, token.to_be_bytes().to_vec(), vec![1]);
    job.view = View(view);
    job
}

#[test]
fn few_promises_are_few_writes_of_the_safety_file() {
    let disk = Disk::new();
    let mut group = disk.start_with(SafetyPolicy::EachPromise);
    group.commit(vec![entry(1)]).unwrap();
    assert_eq!(disk.told(), (1, View(1)), "a new view");
    for token in 2..=50 {
        group.commit(vec![entry(token)]).unwrap();
    }
    assert_eq!((disk.told(), disk.file.writes()), ((1, View(1)), 1));
    group.commit(vec![entry(51), promise(52, 1)]).unwrap();
    assert_eq!(disk.told(), (51, View(1)), "a promise in the same view");
    group.commit(vec![job(7, true)]).unwrap();
    assert_eq!(disk.told(), (52, View(7)), "a new view");
    assert_eq!(
        (disk.file.writes(), disk.log.statistics().wal_syncs),
        (3, 52)
    );
    group.finish().unwrap();
    assert_eq!(disk.file.writes(), 3, "there is nothing new to say");
}

/// What the file still tells under that policy, and what it cannot.
#[test]
fn lost_promises_are_noticed_however_seldom_the_file_is_written() {
    for (lost, verdict) in [(0, Verdict::Start), (2, Verdict::Start), (3, behind(2, 3))] {
        let disk = Disk::new();
        let mut group = disk.start_with(SafetyPolicy::EachPromise);
        let mut copies = Vec::new();
        for job in [entry(1), entry(2), promise(3, 1), entry(4), entry(5)] {
            copies.push(disk.log.image());
            group.commit(vec![job]).unwrap();
        }
        // An older copy of the log, or a disk that lied about its last syncs.
        let older = match lost {
            0 => disk.log.image(),
            lost => copies.swap_remove(copies.len() - lost),
        };
        let disk = Disk {
            log: Arc::new(disk.log.from_image(older)),
            ..disk
        };
        assert_eq!(disk.verdict(), verdict, "{lost} fences lost");
    }
}

fn behind(database: u64, file: u64) -> Verdict {
    Verdict::Refuse(crate::Refusal::Behind { database, file })
}

#[test]
fn an_orderly_end_and_a_start_name_the_last_fence() {
    let disk = Disk::new();
    let mut group = disk.start_with(SafetyPolicy::EachPromise);
    for token in 1..=5 {
        group.commit(vec![entry(token)]).unwrap();
    }
    assert_eq!(disk.told().0, 1);
    group.finish().unwrap();
    assert_eq!(disk.told().0, 5);
    let mut group = disk.start_with(SafetyPolicy::EachPromise);
    group.commit(vec![entry(6)]).unwrap();
    drop(group);
    // What a crash kept from the file: a promise in that fence may be sent again at once.
    disk.start_with(SafetyPolicy::EachPromise);
    assert_eq!(disk.told().0, 6);
}

#[test]
fn an_end_after_a_failure_says_nothing() {
    let disk = Disk::new();
    let mut group = disk.start_with(SafetyPolicy::EachPromise);
    group.commit(vec![entry(1)]).unwrap();
    disk.log.fail(Fault::Sync, 0);
    group.commit(vec![entry(2)]).unwrap_err();
    assert_eq!(group.finish(), Err(CommitError::Stopped));
    assert_eq!(disk.told().0, 1);
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
        policy in prop_oneof![Just(SafetyPolicy::EachFence), Just(SafetyPolicy::EachPromise)],
    ) {
        let disk = Disk::new();
        let mut group = disk.start_with(policy);
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
        disk.start_with(policy).commit(vec![job(1_000, true)]).unwrap();
    }
}
