#![allow(clippy::unwrap_used)]

use super::*;
use crate::Machine as _;
use consensus::raft::{Position, Proof, Raft};
use crypto::{Batch, Ed25519, Hasher, NodeId, Signature, Transaction, View};
use std::sync::Arc;
use storage::{Memory, Op, Read as _, Store as _, WriteBatch};

const ME: NodeId = NodeId(0);

/// Raft is the simplest to start; what is read is the same for all, if batches are told by name.
fn start() -> (Setup, Signer) {
    let testnet = genesis::Testnet {
        fault_model: crypto::FaultModel::Crash,
        protocol: genesis::Protocol::Raft,
        ..genesis::Testnet::new(genesis::Ports::series(7000, 3).unwrap())
    };
    let built = testnet.build_from(&[7; 32]).unwrap();
    let mut setup = Setup::new(&built.genesis, &built.nodes[0].config, ME, [0; 32]);
    setup.pool.dissemination = mempool::Dissemination::Broadcast;
    let verifier = setup.verifier(Arc::new(Ed25519));
    let key = crypto::SecretKey::from_seed(&built.nodes[0].consensus_key.seed());
    let me = ME;
    (setup, Signer { me, key, verifier })
}

/// Commits so many heights, each with one batch of which nothing but the name is there.
fn log_of(heights: u64, store: &Memory) {
    let mut history = Digest::ZERO;
    for height in (1..=heights).map(Height) {
        let payload = Payload::Refs(vec![named(height.0, height.0 + 100)]);
        history = payload.extend_history(&history, height);
        let at = Position {
            term: View(1),
            height,
        };
        let row = CommitRow {
            height,
            payload,
            history,
            proof: crypto::codec::encode(&Proof(at)).into(),
        };
        let mut batch = WriteBatch::new();
        row.put(&mut batch);
        store.write(batch).unwrap();
    }
}

fn named(number: u64, expires: u64) -> BatchRef {
    BatchRef {
        author: NodeId(1),
        number,
        digest: Hasher::new("batch").number(number).finish(),
        bytes: 100,
        count: 1,
        expires: Height(expires),
    }
}

/// Stores a batch that is not committed.
fn put(store: &Memory, number: u64, expires: u64) -> BatchRef {
    let transaction = Transaction {
        format: crypto::transaction::FORMAT,
        chain: crypto::ChainId::default(),
        client: crypto::PublicKey([1; 32]),
        sequence: number,
        expires: Height(expires),
        body: Bytes::from_static(b"x"),
        signature: Signature::NONE,
    };
    let sealed = Batch {
        author: NodeId(1),
        number,
        expires: Height(expires),
        transactions: vec![transaction],
    }
    .seal();
    let mut batch = WriteBatch::new();
    let (reference, bytes) = (sealed.reference(), sealed.bytes().clone());
    rows::put_batch(&reference, bytes, false, &mut batch);
    store.write(batch).unwrap();
    reference
}

fn recover(store: &Arc<Memory>) -> (Engine<Raft>, Vec<Effect>) {
    let (setup, signer) = start();
    let log = Log::new(store.clone(), |_| None);
    let recovered = Recovered::<Raft>::read(&setup, &log, Applied::default()).unwrap();
    let mut out = Vec::new();
    let engine = Engine::recover(setup, signer, Time(1), recovered, &mut out).unwrap();
    (engine, out)
}

fn stays_within_its_caps(engine: &Engine<Raft>) {
    for size in engine.sizes() {
        assert!(size.len <= size.cap, "{size:?}");
    }
}

/// As when the operator has deleted a state that was damaged.
#[test]
fn a_start_with_a_long_log_and_no_state_stays_within_its_caps() {
    let store = Arc::new(Memory::log());
    log_of(20_000, &store);
    let (engine, out) = recover(&store);
    stays_within_its_caps(&engine);
    let backlog = engine.setup.pool.backlog as u64;
    let to = out.iter().filter_map(|it| match it {
        Effect::Execute { to, .. } => Some(to.0),
        _ => None,
    });
    assert_eq!(to.last(), Some(20_000 - backlog), "what was executed once");
}

#[test]
fn a_start_with_many_batches_reads_as_many_as_it_keeps_and_deletes_the_useless() {
    let store = Arc::new(Memory::log());
    for number in 1..=6_000 {
        put(&store, number, 500);
    }
    let (setup, _) = start();
    let log = Log::new(store.clone(), |_| None);
    let recovered = Recovered::<Raft>::read(&setup, &log, Applied::default()).unwrap();
    let (read, names) = (recovered.pool.batches.len(), recovered.pool.names.len());
    assert_eq!(read, setup.pool.author_batches + setup.pool.extra_batches);
    assert_eq!(read + names, 6_000);
    let (engine, _) = recover(&store);
    stays_within_its_caps(&engine);

    // Later all have expired; one is committed, as far as its name says.
    let (setup, _) = start();
    let tip = setup.pool.backlog as u64 + 600;
    log_of(tip, &store);
    let committed = named(450, 550);
    let mut batch = WriteBatch::new();
    rows::put_batch(&committed, Bytes::from_static(b"x"), false, &mut batch);
    store.write(batch).unwrap();
    let (engine, out) = recover(&store);
    stays_within_its_caps(&engine);
    let given = out.iter().filter_map(|it| match it {
        Effect::Write { batch, .. } => Some(batch.ops()),
        _ => None,
    });
    let ops = given.flatten().chain(engine.writing.batch.ops());
    let deleted = |table| {
        let ops = ops.clone();
        ops.filter(move |op| matches!(op, Op::Delete(of, _) if *of == table))
            .count()
    };
    assert_eq!(deleted(Table::Meta), 6_001);
    assert_eq!(deleted(Table::Batch), 6_000);
}

/// Two lifetimes of full blocks are millions of names.
#[test]
fn a_start_remembers_no_more_committed_batches_than_a_run() {
    let store = Arc::new(Memory::log());
    let (mut setup, _) = start();
    log_of(setup.pool.backlog as u64 + 600, &store);
    let log = Log::new(store, |_| None);
    let read = |setup: &Setup| {
        let recovered = Recovered::<Raft>::read(setup, &log, Applied::default());
        recovered.unwrap().pool.committed.len()
    };
    assert_eq!(read(&setup), 100, "those that have not expired");
    setup.pool.committed_batches = 30;
    assert_eq!(read(&setup), 30);
}

/// It would have been deleted as one of no use, though this node may have voted for it.
#[test]
fn a_stored_batch_that_is_not_what_its_name_tells_keeps_the_node_from_starting() {
    let read = |store: &Arc<Memory>| {
        let (setup, _) = start();
        let log = Log::new(store.clone(), |_| None);
        Recovered::<Raft>::read(&setup, &log, Applied::default()).map(|it| it.pool.batches.len())
    };
    let store = Arc::new(Memory::log());
    let (one, other) = (put(&store, 1, 500), put(&store, 2, 500));
    assert_eq!(read(&store), Ok(2));
    let key = |of: &BatchRef| storage::log::batch_key(&of.digest);
    let bytes = store.get(Table::Batch, &key(&other)).unwrap().unwrap();
    for (damage, says) in [
        (Some(bytes.slice(..9)), "batch"),
        (Some(bytes), "not the one"),
        (None, "missing"),
    ] {
        let mut write = WriteBatch::new();
        match damage {
            Some(bytes) => write.put(Table::Batch, key(&one), bytes),
            None => write.delete(Table::Batch, key(&one)),
        }
        store.write(write).unwrap();
        let refused = read(&store).unwrap_err().to_string();
        assert!(refused.contains(&one.digest.to_string()), "{refused}");
        assert!(refused.contains(says), "{refused}");
    }
}
