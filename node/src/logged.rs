//! A log in memory whose heights hold one batch each, for tests.

use bytes::Bytes;
use crypto::{Digest, Height, Payload, SealedBatch};
use std::sync::Arc;
use storage::{CommitRow, Log, Memory, Store as _, Table, WriteBatch};

/// The log in which these are ordered, from height 1 on.
pub(crate) fn logged(batches: impl IntoIterator<Item = SealedBatch>) -> Log {
    let store = Arc::new(Memory::log());
    let mut history = Digest::ZERO;
    for (height, sealed) in (1..).map(Height).zip(batches) {
        let reference = sealed.reference();
        let payload = Payload::Refs(vec![reference]);
        history = payload.extend_history(&history, height);
        let mut write = WriteBatch::new();
        let key = storage::log::batch_key(&reference.digest);
        write.put(Table::Batch, key, sealed.bytes().clone());
        let proof = Bytes::new();
        CommitRow {
            height,
            payload,
            history,
            proof,
        }
        .put(&mut write);
        store.write(write).expect("memory is not full");
    }
    Log::new(store, |_| None)
}
