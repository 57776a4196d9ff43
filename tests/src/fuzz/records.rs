//! Rows of a node's stores that are not what it wrote: it refuses to start, or starts and goes on.

use super::cluster::{Cluster, ids};
use super::forge::Forge;
use super::twist::twist;
use super::{Source, wire::one_encoding};
use crate::sim::System as _;
use crate::sim::host::Disk;
use bytes::Bytes;
use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use consensus::raft::Raft;
use consensus::replica::StableCheckpoint;
use crypto::{BatchRef, Height, NodeId, Slot, Time, codec};
use engine::{Input, Wait};
use std::cell::OnceCell;
use std::sync::Arc;
use storage::memory::Image;
use storage::{
    CommitRow, Memory, MemorySafetyFile, Read as _, Safety, SafetyFile as _, Scan, Store as _,
    Table, WriteBatch,
};

/// Bytes of a game that are played.
const MOST: usize = 1_024;
/// Whose stores.
const WHO: NodeId = NodeId(1);

/// Stores of HotStuff.
pub fn hotstuff(data: &[u8]) {
    thread_local!(static KEPT: OnceCell<Vec<Stores>> = const { OnceCell::new() });
    KEPT.with(|kept| play::<HotStuff>(kept.get_or_init(stores::<HotStuff>), data));
}

/// Stores of PBFT.
pub fn pbft(data: &[u8]) {
    thread_local!(static KEPT: OnceCell<Vec<Stores>> = const { OnceCell::new() });
    KEPT.with(|kept| play::<Pbft>(kept.get_or_init(stores::<Pbft>), data));
}

/// Stores of Raft.
pub fn raft(data: &[u8]) {
    thread_local!(static KEPT: OnceCell<Vec<Stores>> = const { OnceCell::new() });
    KEPT.with(|kept| play::<Raft>(kept.get_or_init(stores::<Raft>), data));
}

/// Values of rows, by themselves.
pub fn rows(data: &[u8]) {
    one_encoding::<consensus::hotstuff::Record>(data);
    one_encoding::<consensus::pbft::Record>(data);
    one_encoding::<consensus::raft::Record>(data);
    one_encoding::<consensus::hotstuff::Proof>(data);
    one_encoding::<consensus::pbft::Proof>(data);
    one_encoding::<consensus::raft::Proof>(data);
    one_encoding::<CommitRow>(data);
    one_encoding::<StableCheckpoint>(data);
    one_encoding::<Slot>(data);
    one_encoding::<BatchRef>(data);
    one_encoding::<storage::Applied>(data);
    if let Some(safety) = Safety::decode(data) {
        assert!(data.starts_with(&safety.encode()), "one encoding");
    }
    let newest = Safety::newest(data);
    assert!(Safety::free_slot(data) < 2 && newest.is_none_or(|it| it.encode().len() <= data.len()));
}

/// What a node has on its disk at some moment.
struct Stores {
    log: Image,
    state: Image,
    safety: Safety,
}

/// What one node has at several moments of a life with crashes and changes of leaders.
fn stores<P: Forge>() -> Vec<Stores> {
    let mut cluster = Cluster::<P>::new();
    let mut list = Vec::new();
    let mut sequence = 0;
    for lost in [9, 0, 2, 1, 0] {
        for id in ids() {
            sequence += 1;
            let it = cluster.put(0, sequence, Height(900), Bytes::from_static(b"value"));
            cluster.submit(id, it, Wait::Committed);
        }
        if let Some(lost) = ids().nth(lost) {
            cluster.run(Time(1_500_000));
            cluster.kill(lost, true);
        }
        cluster.run(Time::millis(150));
        let disk = cluster.disk(WHO);
        let safety = disk.safety.clone().read().ok().flatten();
        list.push(Stores {
            log: disk.log.image(),
            state: disk.state.image(),
            safety: safety.unwrap_or_else(|| cluster.system.safety(WHO)),
        });
        cluster.mend();
        cluster.run(Time::millis(150));
    }
    list
}

/// The logs of one node at several moments, for seeds.
pub(super) fn logs<P: Forge>() -> Vec<Memory> {
    let logs = stores::<P>().into_iter();
    logs.map(|it| Memory::log().from_image(it.log)).collect()
}

fn play<P: Forge>(stores: &[Stores], data: &[u8]) {
    let mut source = Source::new(data, MOST);
    let Some(from) = source.pick(stores) else {
        return;
    };
    let disk = Disk {
        log: Arc::new(Memory::log().from_image(from.log.clone())),
        state: Arc::new(Memory::state().from_image(from.state.clone())),
        safety: MemorySafetyFile::create(&from.safety),
    };
    while !source.is_empty() {
        let table = source.below(Table::LOG.len() + Table::STATE.len());
        match Table::LOG.get(table) {
            Some(table) => change(&disk.log, *table, &mut source),
            None => change(
                &disk.state,
                Table::STATE[table - Table::LOG.len()],
                &mut source,
            ),
        }
    }
    // Refusing is an answer.
    let Ok(mut cluster) = Cluster::<P>::alone(WHO, disk) else {
        return;
    };
    for _ in 0..4 {
        cluster.run(Time::millis(40));
        for peer in ids().filter(|peer| *peer != WHO) {
            cluster.input(WHO, Input::Connected(peer));
        }
    }
}

/// Changes one row of a table.
fn change(store: &Memory, table: Table, source: &mut Source<'_>) {
    let rows = store.scan(table, &Scan::all()).unwrap_or_default();
    let how = source.byte();
    let row = source.pick(&rows).cloned();
    let donor = source.pick(&rows).cloned().unwrap_or_default();
    let mut write = WriteBatch::new();
    let (mut key, mut value) = row
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .unwrap_or_default();
    match how % 8 {
        0 => write.delete(table, key),
        1 => write.put(table, key, donor.1),
        2 => write.put(table, donor.0, value),
        3 => {
            twist(&mut key, &donor.0, source);
            write.put(table, key, value);
        }
        4 => {
            let count = source.below(64);
            write.put(table, key, Bytes::copy_from_slice(source.take(count)));
        }
        5 if table == Table::Commit => {
            // The key goes with the value, as it does in all that a node writes.
            twist(&mut value, &donor.1, source);
            if let Ok(row) = codec::decode::<CommitRow>(&value) {
                row.put(&mut write);
            }
        }
        _ => {
            twist(&mut value, &donor.1, source);
            write.put(table, key, value);
        }
    }
    // Memory takes every write.
    store.write(write).ok();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use consensus::raft::{Entry, Position, Record};
    use consensus::{Record as _, RecordKey};
    use crypto::{Digest, Payload, View};
    use storage::RecordAt;

    /// A disk with entries of these terms and heights above what is committed.
    fn disk(entries: &[(u64, u64)]) -> Disk {
        let system = crate::sim::Honest::<Raft>::of(&super::super::cluster::plan::<Raft>());
        let disk = super::super::cluster::disk(&system.safety(WHO));
        let mut write = WriteBatch::new();
        for (term, height) in entries {
            let at = Position {
                term: View(*term),
                height: Height(*height),
            };
            let payload = Payload::EMPTY;
            let record = Record::Entry(Arc::new(Entry { at, payload }));
            let RecordKey::At(height, digest) = record.key() else {
                panic!("entries lie at heights");
            };
            let key = RecordAt::Height(height, digest).key();
            write.put(Table::Record, key, codec::encode(&record));
        }
        disk.log.write(write).unwrap();
        disk
    }

    fn refused(disk: Disk) -> String {
        Cluster::<Raft>::alone(WHO, disk).err().unwrap_or_default()
    }

    /// It panicked, as only what a node itself does wrong may make it.
    #[test]
    fn an_entry_of_a_lower_term_than_the_one_before_is_refused() {
        assert_eq!(refused(disk(&[(1, 1), (2, 2)])), "");
        let why = refused(disk(&[(2, 1), (1, 2)]));
        assert!(why.contains("entry 2 is of term 1"), "{why}");
    }

    /// It started without what came behind the gap, all of which it may have acknowledged.
    #[test]
    fn a_gap_between_entries_is_refused() {
        let why = refused(disk(&[(1, 1), (1, 3)]));
        assert!(why.contains("entry 3 follows entry 1"), "{why}");
    }

    #[test]
    fn a_record_at_anothers_place_is_refused() {
        let disk = disk(&[(1, 1)]);
        let rows = disk.log.scan(Table::Record, &Scan::all()).unwrap();
        let elsewhere = RecordAt::Height(Height(1), Digest([7; 32])).key();
        let mut write = WriteBatch::new();
        write.delete(Table::Record, rows[0].0.clone());
        write.put(Table::Record, elsewhere, rows[0].1.clone());
        disk.log.write(write).unwrap();
        let why = refused(disk);
        assert!(why.contains("another's place"), "{why}");
    }
}
