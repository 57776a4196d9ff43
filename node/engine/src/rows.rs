//! How the shell's writes become rows of the log, and rows become what it starts from.

use bytes::Bytes;
use consensus::replica::LogOp;
use consensus::{Evidence, Protocol, Record, RecordKey};
use crypto::{BatchRef, Digest, Height, Kind, NodeId, Payload, Slot, codec};
use serde::de::DeserializeOwned;
use std::ops::Range;
use storage::{CommitRow, Log, REPLACE_NODE, RecordAt, Scan, StoreError, Table, WriteBatch, log};

/// First byte of the guard's keys: an entry, or a floor.
const ENTRY: u8 = 0;
const FLOOR: u8 = 1;

/// Adds one change to a write.
pub(crate) fn write<P: Protocol>(op: LogOp<P>, batch: &mut WriteBatch) {
    match op {
        LogOp::Put(record) => {
            batch.put(
                Table::Record,
                record_at(record.key()).key(),
                codec::encode(&record),
            );
        }
        LogOp::Truncate(from) => {
            batch.delete_range(Table::Record, RecordAt::range(&(from..Height(u64::MAX))));
        }
        LogOp::Forget(below) => {
            batch.delete_range(Table::Record, RecordAt::range(&(Height(0)..below)));
        }
        LogOp::Guard(slot, draft) => batch.put(Table::Guard, slot_key(&slot), draft),
        LogOp::DropGuard(slot) => batch.delete(Table::Guard, slot_key(&slot)),
        LogOp::Floor(kind, slot) => {
            batch.put(Table::Guard, vec![FLOOR, kind as u8], codec::encode(&slot));
        }
        LogOp::Commit(committed) => {
            let row = CommitRow {
                height: committed.height,
                payload: Payload::Refs(committed.payload.references().into_owned()),
                history: committed.history,
                proof: codec::encode(&committed.proof).into(),
            };
            row.put(batch);
            // In the same write, so that a batch with such a name is not committed.
            name_committed(&committed.payload, batch);
        }
        LogOp::Checkpoint(stable) => {
            batch.put(
                Table::Checkpoint,
                log::height_key(Height(0)),
                codec::encode(&stable),
            );
        }
        LogOp::Evidence(evidence) => {
            batch.put(
                Table::Meta,
                evidence_key(evidence.about()),
                codec::encode(&evidence),
            );
        }
    }
}

/// Of a protocol's records, those of these heights.
pub(crate) fn records_at(heights: &Range<Height>) -> Scan {
    let keys = RecordAt::range(heights);
    Scan::range(keys.start, Some(keys.end))
}

/// Of a protocol's records, this one.
pub(crate) fn record_of(key: RecordKey) -> Scan {
    Scan::one(record_at(key).key())
}

fn record_at(key: RecordKey) -> RecordAt {
    match key {
        RecordKey::Latest(kind) => RecordAt::Latest(kind),
        RecordKey::At(height, digest) => RecordAt::Height(height, digest),
    }
}

fn slot_key(slot: &Slot) -> Vec<u8> {
    [vec![ENTRY], codec::encode(slot)].concat()
}

/// First byte of the keys in [`Table::Meta`] that name the batches which are not committed yet: so
/// that a restart need not read all batches there are.
pub(crate) const UNCOMMITTED: u8 = b'u';

fn uncommitted_key(digest: &Digest) -> Vec<u8> {
    [&[UNCOMMITTED], &digest.0[..]].concat()
}

/// Adds a batch that is not committed yet.
pub(crate) fn put_batch(
    reference: &BatchRef,
    bytes: bytes::Bytes,
    committed: bool,
    batch: &mut WriteBatch,
) {
    batch.put(Table::Batch, log::batch_key(&reference.digest), bytes);
    if !committed {
        let key = uncommitted_key(&reference.digest);
        batch.put(Table::Meta, key, codec::encode(reference));
    }
}

/// Removes a batch from those that may still be ordered, and altogether unless it may be committed.
pub(crate) fn drop_batch(digest: &Digest, committed: bool, batch: &mut WriteBatch) {
    if !committed {
        batch.delete(Table::Batch, log::batch_key(digest));
    }
    batch.delete(Table::Meta, uncommitted_key(digest));
}

/// The batches of a payload are committed.
fn name_committed(payload: &Payload, batch: &mut WriteBatch) {
    if let Payload::Refs(refs) = payload {
        for reference in refs {
            batch.delete(Table::Meta, uncommitted_key(&reference.digest));
        }
    }
}

/// First byte of the keys in [`Table::Meta`] under which the proofs of lies are: one for each signer
/// and slot.
const EVIDENCE: u8 = b'e';

fn evidence_key((node, slot): (NodeId, Slot)) -> Vec<u8> {
    [
        &[EVIDENCE],
        &node.0.to_be_bytes()[..],
        &codec::encode(&slot),
    ]
    .concat()
}

/// The proofs of lies that a node's log holds, by signer and slot.
///
/// # Errors
/// See [`StoreError`].
pub fn evidence(log: &Log) -> Result<Vec<Evidence>, StoreError> {
    let keys = Scan::range(
        Bytes::from_static(&[EVIDENCE]),
        Some(Bytes::from_static(&[EVIDENCE + 1])),
    );
    let rows = log.store().scan(Table::Meta, &keys)?;
    let mut list = rows
        .iter()
        .map(|(_, value)| decode(value, "a proof of a lie"))
        .collect::<Result<Vec<Evidence>, _>>()?;
    list.sort_by_key(Evidence::about);
    Ok(list)
}

/// Reads a record, which lies where its content says.
pub(crate) fn record<P: Protocol>(key: &[u8], value: &[u8]) -> Result<P::Record, StoreError> {
    let record: P::Record = decode(value, &format!("the record at {key:02x?}"))?;
    if record_at(record.key()).key() == key {
        Ok(record)
    } else {
        Err(damaged(&format!(
            "the record at {key:02x?} lies at another's place"
        )))
    }
}

/// What a row of the guard holds.
pub(crate) enum GuardRow {
    Entry(Slot, Vec<u8>),
    Floor(Kind, Slot),
}

/// Reads a row of the guard.
pub(crate) fn guard_row(key: &[u8], value: &[u8]) -> Result<GuardRow, StoreError> {
    match key.split_first() {
        Some((&ENTRY, slot)) => Ok(GuardRow::Entry(decode(slot, "a promise")?, value.to_vec())),
        Some((&FLOOR, _)) => {
            let slot: Slot = decode(value, "the floor of promises")?;
            Ok(GuardRow::Floor(slot.kind, slot))
        }
        _ => Err(damaged("a promise has no key of ours")),
    }
}

/// The payload in a record of the protocol `P`, if the record holds whole batches.
#[must_use]
pub fn payload_of<P: Protocol>(row: &[u8]) -> Option<Payload> {
    let record: P::Record = codec::decode(row).ok()?;
    record.payload().cloned()
}

/// Decodes a value that this node wrote.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, StoreError> {
    codec::decode(bytes).map_err(|error| damaged(&format!("{what} is {error}")))
}

pub(crate) fn damaged(what: &str) -> StoreError {
    StoreError::Damaged {
        at: "data/log".into(),
        what: what.into(),
        way_out: REPLACE_NODE,
    }
}
