//! What clients ask for and are told, as the check of linearizability wants it: key by key.

use crate::check::{Cell, Step, Test, Told, Way};
use bytes::Bytes;
use crypto::Digest;
use std::collections::BTreeSet;
use storage::kv::{self, Operation, Relation, Reply, Request};

/// A transaction's name in a history.
#[must_use]
pub fn name(transaction: &Digest) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&transaction.0[..8]);
    // Reads are numbered from 1 up.
    u64::from_le_bytes(bytes) | 1 << 63
}

/// What a key holds, as a range shows it.
#[must_use]
pub fn cell(pairs: &[kv::Pair]) -> Option<Cell> {
    pairs.first().map(|pair| Cell {
        value: pair.value.to_vec(),
        version: pair.version,
    })
}

fn key_of(operation: &Operation) -> &Bytes {
    match operation {
        Operation::Put { key, .. } | Operation::Delete { key } => key,
        // Clients read single keys only.
        Operation::Range { span, .. } => &span.key,
    }
}

fn keys(request: &Request) -> BTreeSet<Bytes> {
    let operations = request.then.iter().chain(&request.otherwise);
    let compared = request.compares.iter().map(|it| &it.key);
    operations.map(key_of).chain(compared).cloned().collect()
}

/// What is known of a key before a transaction whose only condition held, or did not.
fn guard(request: &Request, key: &Bytes, held: bool) -> Option<(Test, bool)> {
    let [compare] = &request.compares[..] else {
        return None;
    };
    if compare.key != *key {
        return None;
    }
    match compare.test {
        kv::Test::Exists(there) => Some((Test::Exists, held == there)),
        kv::Test::Version(relation, version) => Some(match relation {
            Relation::Equal => (Test::Equal(version), held),
            Relation::Different => (Test::Equal(version), !held),
            Relation::Less => (Test::Less(version), held),
            Relation::Greater => (Test::Greater(version), held),
        }),
        _ => None,
    }
}

fn step(branch: &[Operation], key: &Bytes, replies: Option<&[Reply]>) -> Step {
    let Some(place) = branch.iter().position(|it| key_of(it) == key) else {
        return Step::Skip;
    };
    let reply = replies.and_then(|list| list.get(place));
    match (&branch[place], reply) {
        (Operation::Put { value, .. }, Some(Reply::Put { version })) => {
            Step::Put(value.to_vec(), Some(*version))
        }
        (Operation::Put { value, .. }, _) => Step::Put(value.to_vec(), None),
        (Operation::Delete { .. }, Some(Reply::Delete { existed })) => Step::Delete(Some(*existed)),
        (Operation::Delete { .. }, _) => Step::Delete(None),
        (Operation::Range { .. }, Some(Reply::Range { pairs, .. })) => Step::Get(cell(pairs)),
        (Operation::Range { .. }, _) => Step::Skip,
    }
}

fn branch(request: &Request, held: bool) -> &[Operation] {
    if held {
        &request.then
    } else {
        &request.otherwise
    }
}

/// What a transaction may do, before anything is told of it.
#[must_use]
pub fn called(request: &Request) -> Vec<(Vec<u8>, Vec<Way>)> {
    let courses: &[bool] = if request.compares.is_empty() {
        &[true]
    } else {
        &[true, false]
    };
    let ways = |key: &Bytes| {
        let way = |held: &bool| Way {
            guard: guard(request, key, *held),
            step: step(branch(request, *held), key, None),
        };
        courses.iter().map(way).collect()
    };
    let keys = keys(request);
    keys.iter().map(|key| (key.to_vec(), ways(key))).collect()
}

/// What it did, as its client is told.
#[must_use]
pub fn returned(request: &Request, held: bool, replies: Option<&[Reply]>) -> Told {
    let way = |key: &Bytes| Way {
        guard: guard(request, key, held),
        step: step(branch(request, held), key, replies),
    };
    let nothing = |way: &Way| way.guard.is_none() && way.step == Step::Skip;
    let keys = keys(request);
    let told = keys.iter().map(|key| (key.to_vec(), way(key)));
    told.filter(|(_, way)| !nothing(way)).collect()
}
