#![allow(clippy::unwrap_used)]

use super::*;
use crate::Memory;
use crypto::{BatchRef, NodeId};

fn row(height: u64) -> CommitRow {
    let batch = BatchRef {
        author: NodeId(1),
        number: 2,
        digest: Digest([3; 32]),
        bytes: 4,
        count: 5,
        expires: Height(6),
    };
    CommitRow {
        height: Height(height),
        payload: Payload::Refs(vec![batch]),
        history: Digest([7; 32]),
        proof: Bytes::from_static(b"why"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn log_with(heights: &[u64]) -> Log {
    let store = Memory::log();
    let mut batch = WriteBatch::new();
    for height in heights {
        row(*height).put(&mut batch);
    }
    store.write(batch).unwrap();
    Log::new(Arc::new(store), |_| None)
}

#[test]
fn golden_rows() {
    let mut batch = WriteBatch::new();
    row(258).put(&mut batch);
    let [crate::Op::Put(Table::Commit, key, value)] = batch.ops() else {
        panic!("one row")
    };
    assert_eq!(hex(key), "0000000000000102");
    let parts = [
        "0201000000000000".to_owned(),                 // height
        "000000000100000000000000".to_owned(),         // one reference
        "01000200000000000000".to_owned(),             // author, number
        "03".repeat(32),                               // digest
        "04000000050000000600000000000000".to_owned(), // bytes, count, expires
        "07".repeat(32),                               // history
        "0300000000000000776879".to_owned(),           // proof
    ];
    assert_eq!(hex(value), parts.concat());
    assert_eq!(CommitRow::decode(key, value).unwrap(), row(258));
}

#[test]
fn golden_keys() {
    let digest = Digest([0xDD; 32]);
    assert_eq!(hex(&RecordAt::Latest(7).key()), "0007");
    let at = RecordAt::Height(Height(258), digest).key();
    assert_eq!(hex(&at), format!("010000000000000102{}", "dd".repeat(32)));
    assert_eq!(hex(&batch_key(&digest)), "dd".repeat(32));
    let mut batch = WriteBatch::new();
    put_fence(&mut batch, 300);
    let rows: Vec<_> = batch
        .ops()
        .iter()
        .map(|op| match op {
            crate::Op::Put(Table::Meta, key, value) => (hex(key), hex(value)),
            other => panic!("{other:?}"),
        })
        .collect();
    let value = "2c01000000000000".to_owned();
    assert_eq!(
        rows,
        [("72002c".to_owned(), value.clone()), (hex(b"fence"), value)]
    );
}

#[test]
fn records_lie_in_order_of_height_and_apart_from_the_latest() {
    let store = Memory::log();
    let mut batch = WriteBatch::new();
    for height in [1, 255, 256, 300] {
        for digest in [1, 2] {
            let at = RecordAt::Height(Height(height), Digest([digest; 32]));
            batch.put(Table::Record, at.key(), vec![digest; 10]);
        }
    }
    batch.put(Table::Record, RecordAt::Latest(255).key(), b"vote".to_vec());
    store.write(batch).unwrap();
    let log = Log::new(Arc::new(store), |_| None);
    assert_eq!(log.latest_records().unwrap().len(), 1);
    let heights = |range: Range<u64>, bytes| -> Vec<u8> {
        let rows = log
            .records(&(Height(range.start)..Height(range.end)), bytes)
            .unwrap();
        rows.iter().map(|(key, _)| key[8]).collect()
    };
    assert_eq!(
        heights(0..1_000, usize::MAX),
        [1, 1, 255, 255, 0, 0, 44, 44]
    );
    assert_eq!(heights(255..300, usize::MAX), [255, 255, 0, 0]);
    assert_eq!(heights(255..300, 1), [255], "at least one");
}

#[test]
fn commits_come_without_a_gap_or_not_at_all() {
    let log = log_with(&[1, 2, 3, 255, 256]);
    let heights = |from| -> Result<Vec<u64>, StoreError> {
        Ok(log
            .commits(Height(from), 9, usize::MAX)?
            .iter()
            .map(|row| row.height.0)
            .collect())
    };
    assert_eq!(heights(255).unwrap(), [255, 256]);
    assert_eq!(heights(257).unwrap(), [0; 0]);
    assert!(
        heights(2)
            .unwrap_err()
            .to_string()
            .contains("commit 4 is missing, 255 is there")
    );
    assert_eq!(log.last_commit().unwrap(), Some(row(256)));
    assert_eq!(log_with(&[]).last_commit().unwrap(), None);
    assert_eq!(log.commits(Height(1), 2, usize::MAX).unwrap().len(), 2);
}

#[test]
fn a_commit_at_another_height_or_cut_is_damage() {
    let value = codec::encode(&row(5));
    assert!(CommitRow::decode(&height_key(Height(6)), &value).is_err());
    for end in 0..value.len() {
        assert!(CommitRow::decode(&height_key(Height(5)), &value[..end]).is_err());
    }
}
