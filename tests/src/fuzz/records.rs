//! Rows of a node's stores that are not what it wrote: it refuses to start, or starts and goes on.

use super::cluster::{Cluster, ids};
use super::forge::Forge;
use super::stores::{self, Stores, WHO};
use super::twist::twist;
use super::{Found, Source};
use crate::sim::host::Disk;
use bytes::Bytes;
use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use consensus::raft::Raft;
use crypto::{Time, codec};
use engine::Input;
use std::cell::OnceCell;
use std::sync::Arc;
use storage::{CommitRow, Memory, MemorySafetyFile, Read as _, Scan, Store, Table, WriteBatch};

/// Bytes of a game that are played.
const MOST: usize = 1_024;

/// Stores of HotStuff.
#[must_use]
pub fn hotstuff(data: &[u8]) -> Found {
    thread_local!(static KEPT: OnceCell<Vec<Stores>> = const { OnceCell::new() });
    KEPT.with(|kept| play::<HotStuff>(kept, data))
}

/// Stores of PBFT.
#[must_use]
pub fn pbft(data: &[u8]) -> Found {
    thread_local!(static KEPT: OnceCell<Vec<Stores>> = const { OnceCell::new() });
    KEPT.with(|kept| play::<Pbft>(kept, data))
}

/// Stores of Raft.
#[must_use]
pub fn raft(data: &[u8]) -> Found {
    thread_local!(static KEPT: OnceCell<Vec<Stores>> = const { OnceCell::new() });
    KEPT.with(|kept| play::<Raft>(kept, data))
}

/// Whether the node refused, or what it did.
fn play<P: Forge>(kept: &OnceCell<Vec<Stores>>, data: &[u8]) -> Found {
    let mut source = Source::new(data, MOST);
    let Some(from) = source.pick(kept.get_or_init(Stores::of::<P>)) else {
        return Vec::new();
    };
    let [log, state] = from.open().map(Arc::new);
    while !source.is_empty() {
        let table = source.below(Table::LOG.len() + Table::STATE.len());
        match Table::LOG.get(table) {
            Some(table) => change(&log, *table, &mut source),
            None => change(&state, Table::STATE[table - Table::LOG.len()], &mut source),
        }
    }
    let disk = Disk {
        log: Arc::clone(&log),
        state: Arc::clone(&state),
        safety: MemorySafetyFile::create(&from.safety),
    };
    // What lies there, as `quorate inspect` sees it; then as clients of a node do.
    let state: Arc<dyn Store> = state;
    stores::read::<P>(Arc::clone(&log) as _, &state, &from.limits);
    let Ok(mut cluster) = Cluster::<P>::alone(WHO, disk) else {
        return vec!["refused"];
    };
    for _ in 0..4 {
        cluster.run(Time::millis(40));
        for peer in ids().filter(|peer| *peer != WHO) {
            cluster.input(WHO, Input::Connected(peer));
        }
    }
    let Some(state) = cluster.state(WHO) else {
        return vec!["stopped"];
    };
    stores::read::<P>(log, &state, &from.limits);
    vec!["started"]
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
    use crate::sim::System as _;
    use consensus::raft::{Entry, Position, Record};
    use consensus::{Record as _, RecordKey};
    use crypto::{Digest, Height, Payload, View};
    use storage::RecordAt;

    /// A disk with entries of these terms and heights above what is committed.
    fn disk(entries: &[(u64, u64)]) -> Disk {
        let system = crate::sim::Honest::<Raft>::of(&super::super::plan::plan::<Raft>());
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
