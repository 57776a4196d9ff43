//! Logs that RocksDB wrote, damaged in all ways.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::directory::{Data, Directory, Identity, OpenError};
use crate::rocks::Recovery;
use crate::rocks::tests::copy;
use crate::{Job, Read as _, SafetyPolicy, Scan, StoreError, Table, WriteBatch};
use crypto::{ChainId, Digest, PublicKey, View};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;
use tempfile::TempDir;

fn identity() -> Identity {
    Identity {
        chain: ChainId(Digest([1; 32])),
        key: PublicKey([2; 32]),
        protocol: "raft".into(),
    }
}

/// A group: rows of different tables, of sizes that end fragments and blocks anywhere. Never zeros.
fn batch(number: u64) -> WriteBatch {
    let mut batch = WriteBatch::new();
    let key = number.to_be_bytes().to_vec();
    let size = [40, 700, 5_000, 33_000, 70_000][(number % 5) as usize] + number as usize;
    batch.put(Table::Record, key.clone(), vec![number as u8 | 1; size]);
    batch.put(Table::Commit, key, vec![number as u8 | 1; 30]);
    if number.is_multiple_of(3) {
        batch.delete(Table::Record, (number - 1).to_be_bytes().to_vec());
    }
    batch
}

fn is_synced(number: u64) -> bool {
    number.is_multiple_of(4)
}

type Rows = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

fn rows(data: &Data) -> Rows {
    let mut rows = Rows::new();
    for table in [Table::Record, Table::Commit] {
        let all = data.log.scan(table, &Scan::all()).unwrap();
        let all = all.into_iter();
        rows.extend(all.map(|(key, value)| ((table as u8, key.to_vec()), value.to_vec())));
    }
    rows
}

/// The rows after so many groups.
fn expected(last: u64) -> Rows {
    let mut rows = Rows::new();
    for number in 1..=last {
        for op in batch(number).ops() {
            match op {
                crate::Op::Put(table, key, value) => {
                    rows.insert((*table as u8, key.to_vec()), value.to_vec());
                }
                crate::Op::Delete(table, key) => {
                    rows.remove(&(*table as u8, key.to_vec()));
                }
                crate::Op::DeleteRange(..) => unreachable!("none is written here"),
            }
        }
    }
    rows
}

/// A log of groups 1 to `GROUPS`, every fourth synced, as a kill leaves it.
struct Written {
    _home: TempDir,
    path: PathBuf,
    policy: SafetyPolicy,
    /// Of the write-ahead log, after each group.
    ends: Vec<usize>,
}

const GROUPS: u64 = 22;

impl Written {
    fn new(policy: SafetyPolicy) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        Directory::create(&path, &identity()).unwrap();
        let mut written = Self {
            _home: home,
            path,
            policy,
            ends: vec![0],
        };
        let mut data = written.open().unwrap();
        let mut group = data.group_commit().unwrap();
        for number in 1..=GROUPS {
            let job = Job {
                token: (),
                batch: batch(number),
                sync: is_synced(number),
                view: View(1),
            };
            group.commit(vec![job]).unwrap();
            written.ends.push(written.wal().len());
        }
        drop((group, data));
        written
    }
    /// The same in another directory.
    fn again(&self) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        copy(&self.path, &path);
        Self {
            _home: home,
            path,
            policy: self.policy,
            ends: self.ends.clone(),
        }
    }
    fn open(&self) -> Result<Data, OpenError> {
        Data::open(&self.path, &identity(), self.policy)
    }
    fn log(&self) -> PathBuf {
        self.path.join("log")
    }
    fn file(&self) -> PathBuf {
        path(&self.log(), *files(&self.log()).unwrap().last().unwrap())
    }
    fn wal(&self) -> Vec<u8> {
        fs::read(self.file()).unwrap()
    }
    fn damage(&self, how: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.wal();
        how(&mut bytes);
        fs::write(self.file(), bytes).unwrap();
    }
    /// The last group that is whole if the log ends there.
    fn whole(&self, end: usize) -> u64 {
        self.ends.iter().rposition(|it| *it <= end).unwrap() as u64
    }
    fn first_break(&self) -> Option<Break> {
        first_break(&self.log(), &files(&self.log()).unwrap(), None).unwrap()
    }
    /// Nothing is changed by a refusal.
    fn is_refused(&self) -> String {
        let before = self.all_bytes();
        let error = self.open().err().expect("it is refused");
        assert!(
            matches!(&error, OpenError::Store(StoreError::Damaged { .. })),
            "{error}"
        );
        assert!(self.all_bytes() == before, "{error}");
        error.to_string()
    }
    fn all_bytes(&self) -> Vec<Vec<u8>> {
        let files = files(&self.log()).unwrap().into_iter();
        files
            .map(|number| fs::read(path(&self.log(), number)).unwrap())
            .collect()
    }
}

fn last_synced() -> u64 {
    (1..=GROUPS)
        .rev()
        .find(|number| is_synced(*number))
        .unwrap()
}

#[test]
fn what_rocksdb_wrote_is_whole() {
    let written = Written::new(SafetyPolicy::EachPromise);
    assert_eq!(written.first_break(), None);
    let data = written.open().unwrap();
    assert_eq!(data.recovery, Recovery::Clean);
    assert_eq!(rows(&data), expected(GROUPS));
}

#[test]
fn a_page_that_never_came_is_cut_with_all_behind_it() {
    let template = Written::new(SafetyPolicy::EachPromise);
    let (synced, length) = (template.ends[last_synced() as usize], template.wal().len());
    for page in synced / 4096..=length / 4096 {
        let written = template.again();
        // What was synced is there, also of a page that was written again.
        let lost = synced.max(page * 4096)..length.min((page + 1) * 4096);
        let whole = written.whole(lost.start);
        written.damage(|bytes| bytes[lost].fill(0));
        let data = written.open().unwrap();
        assert_eq!(data.recovery, Recovery::Cut, "page {page}");
        assert_eq!(rows(&data), expected(whole), "page {page}");
        drop(data);
        assert_eq!(written.open().unwrap().recovery, Recovery::Clean);
    }
}

#[test]
fn pages_that_never_came_of_what_was_synced_are_refused_where_something_shows_it() {
    for policy in [SafetyPolicy::EachPromise, SafetyPolicy::EachFence] {
        let written = Written::new(policy);
        // The last fence but one: another was written after it, and could not have been before.
        let synced = written.ends[last_synced() as usize - 4];
        let whole = written.all_bytes();
        for page in (0..synced / 4096).step_by(5) {
            written.damage(|bytes| bytes[page * 4096..(page + 1) * 4096].fill(0));
            written.is_refused();
            fs::write(written.file(), &whole[whole.len() - 1]).unwrap();
        }
        assert_eq!(rows(&written.open().unwrap()), expected(GROUPS));
    }
}

/// The records of a file.
fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut at, mut record, mut all) = (0, Vec::new(), Vec::new());
    while let Next::Record(end) = next(bytes, at, &mut record) {
        all.push(record.clone());
        at = end;
    }
    all
}

/// The inverse, as RocksDB writes a file.
fn encode(records: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for record in records {
        let (mut rest, mut begun) = (&record[..], false);
        loop {
            file.resize(start(file.len()), 0);
            let room = block_end(file.len()) - file.len() - HEADER;
            let (piece, behind) = rest.split_at(room.min(rest.len()));
            let kind = match (begun, behind.is_empty()) {
                (false, true) => FULL,
                (false, false) => FIRST,
                (true, false) => MIDDLE,
                (true, true) => LAST,
            };
            let summed = [&[kind], piece].concat();
            let sum = crc32c::crc32c(&summed).rotate_right(15);
            file.extend(sum.wrapping_add(0xa282_ead8).to_le_bytes());
            file.extend((piece.len() as u16).to_le_bytes());
            file.extend(summed);
            (rest, begun) = (behind, true);
            if behind.is_empty() {
                break;
            }
        }
    }
    file
}

#[test]
fn a_file_that_lost_its_end_is_cut_with_the_next_one() {
    let written = Written::new(SafetyPolicy::EachPromise);
    let records = records(&written.wal());
    assert_eq!(encode(&records), written.wal());
    let number = *files(&written.log()).unwrap().last().unwrap();
    let synced = last_synced() as usize;
    // RocksDB begins another file without a sync of the one before; and that has lost a record, or part of one.
    let two = |kept: usize, lost: usize| {
        let old = encode(&records[..kept]);
        fs::write(written.file(), &old[..old.len() - lost]).unwrap();
        fs::write(
            path(&written.log(), number + 1),
            encode(&records[GROUPS as usize - 1..]),
        )
        .unwrap();
    };
    two(GROUPS as usize - 1, 0);
    assert_eq!(written.first_break(), None);
    let next = path(&written.log(), number + 1);
    for (kept, lost) in [
        (GROUPS as usize - 2, 0),
        (GROUPS as usize - 1, 3),
        (synced, 0),
    ] {
        let _ = fs::remove_file(&next);
        two(kept, lost);
        let found = written.first_break().unwrap();
        assert!(found.torn, "{kept} {lost} {found:?}");
        assert_eq!((found.fence, found.synced), (Some(synced as u64 / 4), 0));
        cut(&written.log(), &found).unwrap();
        assert_eq!(written.first_break(), None);
    }
    let data = written.open().unwrap();
    assert_eq!(rows(&data), expected(last_synced()));
}

/// A log with one synced group, in which a vote was promised, and one behind it whose value is this.
fn promised(value: Vec<u8>) -> (Written, Range<usize>) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("data");
    Directory::create(&path, &identity()).unwrap();
    let mut written = Written {
        _home: home,
        path,
        policy: SafetyPolicy::EachPromise,
        ends: Vec::new(),
    };
    let mut data = written.open().unwrap();
    let mut group = data.group_commit().unwrap();
    for (sync, value) in [(true, vec![7; 900]), (false, value)] {
        written.ends.push(written.wal().len());
        let mut batch = WriteBatch::new();
        batch.put(Table::Record, vec![u8::from(sync)], value);
        let job = Job {
            token: (),
            batch,
            sync,
            view: View(1),
        };
        group.commit(vec![job]).unwrap();
    }
    drop((group, data));
    let [first, second] = written.ends[..] else {
        unreachable!()
    };
    (written, first..second)
}

#[test]
fn what_the_safety_file_tells_is_refused_before_anything_is_changed() {
    let (written, group) = promised(vec![9; 900]);
    written.damage(|bytes| bytes[group.start + 7..group.start + 512].fill(0));
    let said = written.is_refused();
    assert!(
        said.contains("ends at fence 0, but 1 was released"),
        "{said}"
    );
}

#[test]
fn a_clients_bytes_that_look_like_a_record_prove_nothing() {
    let mut batch = vec![0; 12];
    batch[0] = 200;
    batch[8] = 1;
    batch.extend([0x5, 1, 5]);
    batch.extend(b"fence");
    batch.push(8);
    batch.extend((1_u64 << 62).to_le_bytes());
    let crafted = encode(&[batch]);
    let value = [vec![1; 20_000], crafted.repeat(100), vec![1; 70_000]].concat();
    let (written, group) = promised(value);
    for lost in [8_192, 20_480, 40_960, 45_056] {
        let written = written.again();
        assert!(lost > group.end);
        written.damage(|bytes| bytes[lost..lost + 4_096].fill(0));
        let data = written.open().unwrap();
        assert_eq!(data.recovery, Recovery::Cut);
        assert!(data.log.get(Table::Record, &[1]).unwrap().is_some());
        assert_eq!(data.log.get(Table::Record, &[0]).unwrap(), None);
    }
}

#[test]
fn a_last_page_of_few_bytes_may_not_have_come() {
    for over in 1..=20 {
        let (written, group) = promised(vec![9; 5_000]);
        let value = 5_000 + 8_192 + over - written.wal().len();
        let (written, again) = promised(vec![9; value]);
        assert_eq!((again, written.wal().len()), (group, 8_192 + over));
        written.damage(|bytes| bytes[8_192..].fill(0));
        assert_eq!(written.open().unwrap().recovery, Recovery::Cut, "{over}");
    }
}

/// Two files of which the first was synced, as RocksDB syncs it before it writes a table of what is in it.
#[test]
fn a_break_before_what_is_in_a_table_is_refused() {
    let written = Written::new(SafetyPolicy::EachFence);
    let mut data = written.open().unwrap();
    let mut group = data.group_commit().unwrap();
    let mut unsynced = |number: u64, size: usize| {
        let mut batch = WriteBatch::new();
        batch.put(Table::Commit, number.to_be_bytes().to_vec(), vec![7; size]);
        batch.put(Table::Record, number.to_be_bytes().to_vec(), vec![7; 100]);
        let job = Job {
            token: (),
            batch,
            sync: false,
            view: View(1),
        };
        group.commit(vec![job]).unwrap();
    };
    unsynced(100, 10_000);
    let old = written.file();
    let mut number = 101;
    while written.file() == old {
        unsynced(number, 500_000);
        number += 1;
    }
    let is_large = |table: rocksdb::LiveFile| table.size > 1 << 20;
    while !data
        .log
        .db()
        .live_files()
        .unwrap()
        .into_iter()
        .any(is_large)
    {
        std::thread::yield_now();
    }
    drop((group, data));
    let mut bytes = fs::read(&old).unwrap();
    bytes[4_096] ^= 1;
    fs::write(&old, bytes).unwrap();
    let said = written.is_refused();
    assert!(said.contains("is missing, but"), "{said}");
}

#[test]
fn an_old_file_that_comes_back_is_no_part_of_the_log() {
    let written = Written::new(SafetyPolicy::EachPromise);
    let old = (written.file(), written.wal());
    drop(written.open().unwrap());
    assert!(!old.0.exists());
    // Its unlink was not synced; and whatever became of its end.
    fs::write(&old.0, &old.1[..old.1.len() - 5]).unwrap();
    let data = written.open().unwrap();
    assert_eq!(data.recovery, Recovery::Clean);
    assert_eq!(rows(&data), expected(GROUPS));
}

#[test]
fn a_first_file_that_lost_all_takes_the_next_one_with_it() {
    let written = Written::new(SafetyPolicy::EachPromise);
    let synced = {
        let mut data = written.open().unwrap();
        let mut group = data.group_commit().unwrap();
        let job = |number| Job {
            token: (),
            batch: batch(number),
            sync: false,
            view: View(1),
        };
        group.commit(vec![job(GROUPS + 1)]).unwrap();
        group.commit(vec![job(GROUPS + 2)]).unwrap();
        rows(&data).len()
    };
    let number = *files(&written.log()).unwrap().last().unwrap();
    let last = records(&written.wal()).pop().unwrap();
    fs::write(path(&written.log(), number + 1), encode(&[last])).unwrap();
    fs::write(path(&written.log(), number), []).unwrap();
    let data = written.open().unwrap();
    assert_eq!(data.recovery, Recovery::Cut);
    assert!(rows(&data).len() < synced);
    assert_eq!(rows(&data), expected(GROUPS));
}

/// What happens to a file.
#[derive(Clone, Debug)]
enum Damage {
    Flip(usize),
    Zeros(usize, usize),
    End(usize),
}

impl Damage {
    fn any() -> impl Strategy<Value = Self> {
        let at = 0_usize..1 << 20;
        prop_oneof![
            at.clone().prop_map(Self::Flip),
            (at.clone(), 1_usize..9).prop_map(|(at, sectors)| Self::Zeros(at, sectors)),
            at.prop_map(Self::End),
        ]
    }
    /// Does it, and says from where to where.
    fn to(&self, bytes: &mut Vec<u8>) -> Range<usize> {
        let length = bytes.len();
        match *self {
            Self::Flip(at) => {
                bytes[at % length] ^= 0x10;
                at % length..at % length + 1
            }
            Self::Zeros(at, sectors) => {
                let from = at % length;
                let until = length.min((from / SECTOR + sectors) * SECTOR);
                bytes[from..until].fill(0);
                from..until
            }
            Self::End(at) => {
                bytes.truncate(at % length);
                at % length..length
            }
        }
    }
}

/// Written once.
fn template(policy: SafetyPolicy) -> &'static Written {
    static TEMPLATES: [OnceLock<Written>; 2] = [OnceLock::new(), OnceLock::new()];
    TEMPLATES[policy as usize].get_or_init(|| Written::new(policy))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// What starts has all groups up to one, and none behind it; of those that were released, all.
    #[test]
    fn whatever_is_damaged_is_a_beginning_or_refused(
        damage in Damage::any(),
        policy in prop_oneof![Just(SafetyPolicy::EachPromise), Just(SafetyPolicy::EachFence)],
    ) {
        let written = template(policy).again();
        let synced = written.ends[last_synced() as usize];
        let mut hole = 0..0;
        let length = written.wal().len();
        written.damage(|bytes| hole = damage.to(bytes));
        let before = written.all_bytes();
        match written.open() {
            Ok(data) => {
                let found = rows(&data);
                let last = (0..=GROUPS).find(|last| expected(*last) == found);
                prop_assert!(last.is_some(), "no beginning");
                let sure = match (policy, hole.end == length) {
                    (SafetyPolicy::EachFence, _) => last_synced(),
                    (SafetyPolicy::EachPromise, false) => last_synced() - 4,
                    // The first group with a fence is of a new view, which the safety file tells.
                    (SafetyPolicy::EachPromise, true) => 4,
                };
                prop_assert!(last.unwrap() >= sure, "only {last:?}");
            }
            Err(error) => {
                let may = hole.start < synced || matches!(damage, Damage::Flip(_)) && policy == SafetyPolicy::EachPromise;
                prop_assert!(may, "{error}");
                prop_assert!(written.all_bytes() == before, "{error}");
            }
        }
    }
}
