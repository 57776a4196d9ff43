//! Values of rows, by themselves: whatever lies in a store, it is read or refused.

use super::Found;
use super::wire::one_encoding;
use bytes::Bytes;
use consensus::replica::StableCheckpoint;
use crypto::{BatchRef, PublicKey, Slot, codec};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;
use storage::kv::Limits;
use storage::{
    Applied, CommitRow, End, Executor, ExecutorConfig, Log, Memory, Safety, Span, StateReader,
    Store, Table, WriteBatch, log,
};

/// A client, and one of his numbers.
const CLIENT: PublicKey = PublicKey([5; 32]);
const SEQUENCE: u64 = 3;
/// The last revision of the states here.
const REVISION: u64 = 1 << 40;

/// Reads a value, and what may be a key, as everything that a store holds; tells as what it could be.
#[must_use]
pub fn value(data: &[u8]) -> Found {
    let mut found = Vec::new();
    coded::<consensus::hotstuff::Record>("record of HotStuff", data, &mut found);
    coded::<consensus::pbft::Record>("record of PBFT", data, &mut found);
    coded::<consensus::raft::Record>("record of Raft", data, &mut found);
    coded::<consensus::hotstuff::Proof>("proof of HotStuff", data, &mut found);
    coded::<consensus::pbft::Proof>("proof of PBFT", data, &mut found);
    coded::<consensus::raft::Proof>("proof of Raft", data, &mut found);
    coded::<consensus::Evidence>("evidence", data, &mut found);
    coded::<StableCheckpoint>("stable checkpoint", data, &mut found);
    coded::<Slot>("slot", data, &mut found);
    coded::<BatchRef>("name of a batch", data, &mut found);
    coded::<Applied>("applied height", data, &mut found);
    if let Some(row) = one_encoding::<CommitRow>(data) {
        let key = log::height_key(row.height);
        assert_eq!(CommitRow::decode(&key, data).as_ref(), Ok(&row));
        assert!(log::height_of(&key) == Some(row.height) && CommitRow::decode(data, data).is_err());
        found.push("commit");
    }
    if let Some(safety) = Safety::decode(data) {
        assert!(data.starts_with(&safety.encode()), "one encoding");
        found.push("safety file");
    }
    let newest = Safety::newest(data);
    assert!(Safety::free_slot(data) < 2 && newest.is_none_or(|it| it.encode().len() <= data.len()));
    let data = Bytes::copy_from_slice(data);
    found.extend(head(&data));
    found.extend(version(&data));
    found.extend(history_key(&data));
    found.extend(session(&data));
    found.extend(fence(&data));
    found
}

fn coded<T: Serialize + DeserializeOwned>(name: &'static str, data: &[u8], found: &mut Found) {
    found.extend(one_encoding::<T>(data).map(|_| name));
}

/// A state with these rows, and the last revision.
fn state(rows: &[(Table, Bytes, Bytes)]) -> Arc<dyn Store> {
    let applied = Applied {
        revision: REVISION,
        ..Applied::default()
    };
    let mut write = WriteBatch::new();
    write.put(Table::Applied, &b"applied"[..], codec::encode(&applied));
    for (table, key, value) in rows {
        write.put(*table, key.clone(), value.clone());
    }
    let state = Memory::state();
    state.write(write).expect("memory does not fail");
    Arc::new(state)
}

/// A version's key in the history.
fn key_of_version(revision: u64) -> Bytes {
    [&b"k\0\x01"[..], &(!revision).to_be_bytes()]
        .concat()
        .into()
}

fn pairs(state: Arc<dyn Store>, revision: u64) -> Option<Vec<storage::kv::Pair>> {
    let reader = StateReader::new(state, Limits::default());
    let all = Span {
        key: Bytes::new(),
        end: End::Unbounded,
    };
    let found = reader.range(&all, 0, revision).ok();
    found.map(|it| it.pairs)
}

/// The head of a key, whose version is there as it says.
fn head(data: &Bytes) -> Option<&'static str> {
    let mut rows = vec![(Table::Key, Bytes::from_static(b"k"), data.clone())];
    let numbers: Vec<u64> = data
        .chunks_exact(8)
        .filter_map(|it| it.try_into().ok().map(u64::from_le_bytes))
        .collect();
    if let Some(modified) = numbers.get(1) {
        let value = Bytes::from([&[1], &[0; 16][..]].concat());
        rows.push((Table::History, key_of_version(*modified), value));
    }
    let found = pairs(state(&rows), 0);
    let live = data.len() == 24;
    assert_eq!(found.is_some(), live || data.is_empty(), "as long as it is");
    let found = found?;
    let pair = found.first().filter(|_| live)?;
    assert_eq!([pair.created, pair.modified, pair.version][..], numbers);
    Some("head of a key")
}

/// A version of a key in its history.
fn version(data: &Bytes) -> Option<&'static str> {
    let row = (Table::History, key_of_version(7), data.clone());
    let found = pairs(state(&[row]), 9)?;
    let Some(pair) = found.first() else {
        assert_eq!(data[..], [0], "only what was removed is nothing");
        return Some("removal of a key");
    };
    assert!(data[0] == 1 && pair.value == data[17..] && pair.modified == 7);
    Some("version of a key")
}

/// The key of a version, under which another may be found again.
fn history_key(data: &Bytes) -> Option<&'static str> {
    let version = Bytes::from([&[1], &[0; 16][..], b"value"].concat());
    let state = state(&[(Table::History, data.clone(), version)]);
    let found = pairs(Arc::clone(&state), REVISION)?;
    // A newer one counts for nothing yet.
    let pair = found.first()?;
    let alone = StateReader::new(state, Limits::default());
    let alone = alone.range(&Span::only(pair.key.clone()), 1, REVISION);
    assert_eq!(alone.map(|it| it.pairs).as_ref(), Ok(&found));
    Some("key of a version")
}

/// What a session keeps of a transaction, or since when it is idle.
fn session(data: &Bytes) -> Option<&'static str> {
    let slot = SEQUENCE % Limits::default().window;
    let key = |tag: u8, slot: &[u8]| Bytes::from([&[tag], &CLIENT.0[..], slot].concat());
    let entry = key(1, &(slot as u32).to_be_bytes());
    let state_of = |key: Bytes| state(&[(Table::Session, key, data.clone())]);
    let reader = StateReader::new(state_of(entry), Limits::default());
    let receipt = reader.receipt(&CLIENT, SEQUENCE);
    let next = reader.session(&CLIENT);
    assert_eq!(receipt.is_ok(), next.is_ok());
    let head = opened(state_of(key(0, &[])));
    assert_eq!(head, data.len() == 8, "a head is a number");
    // As a key, it is none of ours unless it is a client's.
    let empty = state(&[(Table::Session, data.clone(), Bytes::from_static(&[0; 8]))]);
    let of_a_head = data.len() == 33 || data.first() != Some(&0);
    assert_eq!(opened(empty), of_a_head);
    match next {
        Ok(_) => Some("entry of a session"),
        Err(_) => head.then_some("head of a session"),
    }
}

/// Whether an executor starts with this state.
fn opened(state: Arc<dyn Store>) -> bool {
    let log = Log::new(Arc::new(Memory::log()), |_| None);
    Executor::open(log, state, ExecutorConfig::new(Limits::default())).is_ok()
}

/// The last fence.
fn fence(data: &Bytes) -> Option<&'static str> {
    let mut write = WriteBatch::new();
    write.put(Table::Meta, &b"fence"[..], data.clone());
    let log = Memory::log();
    log.write(write).expect("memory does not fail");
    let last = log::fence(&log).ok();
    let whole = log::check_fences(&log).ok();
    assert!(whole.is_none_or(|whole| Some(whole) == last));
    assert_eq!(last.is_some(), data.len() == 8);
    last.map(|_| "fence")
}
