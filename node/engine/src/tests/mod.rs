#![allow(clippy::unwrap_used)]

mod cluster;

use crate::{Effect, Input, Machine as _, Refusal, Reply};
use cluster::Cluster;
use crypto::{NodeId, SecretKey, Time};

fn client(i: u8) -> SecretKey {
    SecretKey::from_seed(&[i; 32])
}

#[test]
fn a_transaction_is_committed_by_all_nodes_and_answered_with_its_receipt() {
    let mut cluster = Cluster::new(4);
    let request = cluster.put(1, &client(1), 1, "a");
    cluster.run(Time::millis(1_000));
    assert!(
        matches!(cluster.replies.get(&request), Some(Reply::Executed(_))),
        "{:?}",
        cluster.replies
    );
    let first = cluster.nodes[0].engine.status();
    assert!(first.consensus.height.0 >= 1);
    for node in &cluster.nodes {
        let status = node.engine.status();
        assert_eq!(status.consensus.history, first.consensus.history);
        assert_eq!(status.state_digest, first.state_digest);
        assert_eq!(status.state_height, first.state_height);
    }
    // The last of four votes comes when three have made the certificate.
    cluster
        .rejects
        .retain(|(_, reject)| *reject != crypto::Reject::TooOld);
    assert_eq!(cluster.rejects, []);
}

#[test]
fn an_idle_cluster_stands_still() {
    let mut cluster = Cluster::new(4);
    cluster.put(1, &client(1), 1, "a");
    cluster.run(Time::millis(2_000));
    let (view, height) = (
        cluster.view(0),
        cluster.nodes[0].engine.status().consensus.height,
    );
    cluster.run(Time::millis(60_000));
    assert_eq!(cluster.view(0), view);
    assert_eq!(cluster.nodes[0].engine.status().consensus.height, height);
}

#[test]
fn many_transactions_through_every_node_commit() {
    let mut cluster = Cluster::new(4);
    let mut requests = Vec::new();
    for sequence in 1..=50 {
        for i in 0..4 {
            let key = format!("{i}/{sequence}");
            requests.push(cluster.put(i, &client(i as u8), sequence, &key));
        }
        cluster.run(Time::millis(3));
    }
    cluster.run(Time::millis(1_000));
    for request in requests {
        assert!(matches!(
            cluster.replies.get(&request),
            Some(Reply::Executed(_))
        ));
    }
}

#[test]
fn a_dead_leader_costs_a_tenure_and_a_restarted_node_catches_up() {
    let mut cluster = Cluster::new(4);
    cluster.put(1, &client(1), 1, "a");
    cluster.run(Time::millis(500));
    cluster.stop(0);
    let request = cluster.put(1, &client(1), 2, "b");
    cluster.run(Time::millis(5_000));
    assert!(
        matches!(cluster.replies.get(&request), Some(Reply::Executed(_))),
        "{:?}",
        cluster.replies
    );
    cluster.restart(0);
    cluster.run(Time::millis(5_000));
    let (old, new) = (
        cluster.nodes[0].engine.status(),
        cluster.nodes[1].engine.status(),
    );
    assert_eq!(old.consensus.height, new.consensus.height);
    assert_eq!(old.state_digest, new.state_digest);
}

#[test]
fn all_nodes_restart_and_go_on() {
    let mut cluster = Cluster::new(4);
    let before = cluster.put(1, &client(1), 1, "a");
    cluster.run(Time::millis(500));
    for i in 0..4 {
        cluster.restart(i);
    }
    let after = cluster.put(2, &client(1), 2, "b");
    cluster.run(Time::millis(5_000));
    for request in [before, after] {
        assert!(matches!(
            cluster.replies.get(&request),
            Some(Reply::Executed(_))
        ));
    }
}

#[test]
fn a_linearizable_read_is_answered_at_or_above_what_was_acknowledged() {
    let mut cluster = Cluster::new(4);
    let write = cluster.put(1, &client(1), 1, "a");
    cluster.run(Time::millis(500));
    let Some(Reply::Executed(receipt)) = cluster.replies.get(&write).cloned() else {
        panic!()
    };
    for i in 0..4 {
        let read = cluster.read(i);
        cluster.run(Time::millis(500));
        match cluster.replies.get(&read) {
            Some(Reply::ReadAt(height)) => assert!(*height >= receipt.height),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_quorum_that_is_out_of_touch_for_a_moment_costs_time_and_no_error() {
    let mut cluster = Cluster::new(4);
    cluster.run(Time::millis(100));
    for i in [2, 3] {
        cluster.stop(i);
    }
    cluster.run(Time::millis(1));
    let soon = cluster.put(0, &client(1), 1, "a");
    cluster.run(Time::millis(2_000));
    assert_eq!(cluster.replies.get(&soon), None);
    let late = cluster.put(0, &client(1), 2, "b");
    cluster.run(Time::millis(1));
    let refused = cluster.replies.get(&late);
    assert!(
        matches!(refused, Some(Reply::Refused(Refusal::NoQuorum { missing })) if missing.len() == 2),
        "{refused:?}"
    );
    for i in [2, 3] {
        cluster.restart(i);
    }
    cluster.run(Time::millis(5_000));
    let reply = cluster.replies.get(&soon);
    assert!(matches!(reply, Some(Reply::Executed(_))), "{reply:?}");
}

#[test]
fn a_node_may_end_when_all_who_asked_are_answered() {
    let mut cluster = Cluster::new(4);
    cluster.run(Time::millis(100));
    for i in [2, 3] {
        cluster.stop(i);
    }
    cluster.put(1, &client(1), 1, "a");
    cluster.shut_down(1);
    cluster.run(Time::millis(100));
    let may_end = |cluster: &Cluster| cluster.nodes[1].engine.status().may_end;
    assert!(!may_end(&cluster), "one waits");
    for i in [2, 3] {
        cluster.restart(i);
    }
    cluster.run(Time::millis(5_000));
    assert!(may_end(&cluster));
    let refused = cluster.put(1, &client(1), 2, "b");
    cluster.run(Time::millis(1));
    let reply = cluster.replies.get(&refused);
    assert_eq!(reply, Some(&Reply::Refused(Refusal::ShuttingDown)));
}

/// A load ends with the row that reaches its bytes: the first one must not.
#[test]
fn a_follower_behind_the_largest_entry_gets_the_next_one_too() {
    use consensus::raft::{Entry, Position, Record};
    let testnet = genesis::Testnet {
        fault_model: crypto::FaultModel::Crash,
        protocol: genesis::Protocol::Raft,
        ..genesis::Testnet::new(genesis::Ports::series(7000, 3).unwrap())
    };
    let built = testnet.build_from(&[7; 32]).unwrap();
    let me = crypto::NodeId(0);
    let setup = crate::Setup::new(&built.genesis, &built.nodes[0].config, me, [0; 32]);
    let (count, bytes) = (setup.pool.block_batches, setup.pool.block_bytes);
    let batch = batch_of(bytes / count);
    let at = Position {
        term: crypto::View(1),
        height: crypto::Height(1),
    };
    let payload = crypto::Payload::Inline(vec![batch; count]);
    let entry = Record::Entry(std::sync::Arc::new(Entry { at, payload }));
    let row = crypto::codec::encode(&entry).len();
    assert!(row > bytes && row + 64 < setup.load_bytes());
}

/// A new view that is longer than a frame would never arrive, and nothing would be ordered any more.
#[test]
fn a_new_view_of_a_full_window_fits_into_a_frame_however_small_blocks_are() {
    for n in [4usize, 7] {
        let testnet = genesis::Testnet {
            protocol: genesis::Protocol::Pbft,
            ..genesis::Testnet::new(genesis::Ports::series(7000, n).unwrap())
        };
        let built = testnet.build_from(&[7; 32]).unwrap();
        let me = crypto::NodeId(0);
        let mut setup = crate::Setup::new(&built.genesis, &built.nodes[0].config, me, [0; 32]);
        (setup.pool.block_bytes, setup.pool.batch_bytes) = (3 << 10, 3 << 10);
        let every = setup.shell.checkpoint_every.get();
        let quorum = setup.config.quorums.commit;
        let longest = consensus::pbft::NewView::longest(n, quorum, every);
        assert!(
            longest > 100 << 10 && longest < setup.frame_bytes(),
            "n {n}"
        );
    }
}

/// An answer that is longer than a frame would never arrive, and who lags would ask for ever. Of PBFT's
/// the same is said where they are made: they are as long at most.
#[test]
fn who_lags_far_catches_up_however_small_blocks_are() {
    let mut cluster = Cluster::with(4, |_, setup| {
        (setup.pool.block_bytes, setup.pool.batch_bytes) = (3 << 10, 3 << 10);
    });
    cluster.stop(3);
    for sequence in 1..=150 {
        cluster.put(0, &client(1), sequence, "a");
        cluster.run(Time::millis(20));
    }
    let height = |cluster: &Cluster, i: usize| cluster.nodes[i].engine.status().state_height;
    assert!(height(&cluster, 0).0 > 300);
    cluster.restart(3);
    cluster.put(0, &client(1), 151, "a");
    cluster.run(Time::millis(2_000));
    let ordered = |i: usize| cluster.nodes[i].engine.status().consensus.height;
    assert_eq!(ordered(3), ordered(0));
    let frame = cluster.nodes[0].engine.setup.frame_bytes();
    assert!(frame > consensus::common::ANSWER_BYTES);
}

/// Each certified block is progress for the view timer, also where it is empty.
#[test]
fn a_leader_that_orders_nothing_does_not_keep_its_place() {
    let mut cluster = Cluster::with(4, |i, setup| {
        // Before what waits has expired, which is soon where messages take no time.
        setup.pool.roomy_blocks = 128;
        if i == 0 {
            // No batch fits into its blocks.
            setup.config.block_bytes = 16;
        }
    });
    let request = cluster.put(1, &client(1), 1, "a");
    cluster.run(Time::millis(3_000));
    let reply = cluster.replies.get(&request);
    assert!(matches!(reply, Some(Reply::Executed(_))), "{reply:?}");
}

/// Node 3's disk stalls while 60 transactions are put, and then goes on; `waiting` sees it before.
fn stalls(tweak: impl FnOnce(&mut crate::Setup), waiting: impl FnOnce(&mut Cluster)) {
    let mut cluster = Cluster::new(4);
    tweak(&mut cluster.nodes[3].engine.setup);
    cluster.stall(3);
    for sequence in 1..=60 {
        cluster.put(0, &client(1), sequence, "a");
        cluster.run(Time::millis(50));
    }
    let height = |cluster: &Cluster, i: usize| cluster.nodes[i].engine.status().state_height;
    assert!(height(&cluster, 0).0 >= 60);
    assert!(height(&cluster, 3).0 < 60);
    waiting(&mut cluster);
    cluster.run(Time::millis(5_000));
    assert_eq!(height(&cluster, 3), height(&cluster, 0));
}

/// What peers say is written, and would pile up while nothing is answered.
#[test]
fn a_disk_that_stalls_has_few_writes_under_way_and_the_node_catches_up_after() {
    stalls(
        |setup| setup.writes = 8,
        |cluster| assert!(cluster.go_on() <= 8),
    );
}

/// A count of writes says nothing of memory where each holds a block.
#[test]
fn a_disk_that_stalls_has_few_bytes_under_way_and_the_node_catches_up_after() {
    stalls(
        |setup| setup.write_bytes = 4_000,
        |cluster| {
            let waiting = cluster.nodes[3].engine.writing.bytes();
            assert!(waiting < 8_000, "{waiting} bytes wait for the disk");
            cluster.go_on();
        },
    );
}

/// Entries in two streams overtake each other; the follower then takes the later ones for a gap, and
/// the leader waits for a time-out before it sends the former again.
#[test]
fn entries_stay_in_one_stream_however_large_they_are() {
    use consensus::raft::{AppendEntries, Body, Entry, Message, Position};
    let at = |height| Position {
        term: crypto::View(1),
        height: crypto::Height(height),
    };
    let entry = Entry {
        at: at(2),
        payload: crypto::Payload::Inline(vec![batch_of(200_000)]),
    };
    let append = |entries| {
        let body = Body::AppendEntries(AppendEntries {
            term: crypto::View(1),
            previous: at(1),
            entries,
            committed: crypto::Height(1),
            round: 1,
        });
        consensus::replica::Wire::Protocol(Message {
            epoch: crypto::Epoch(0),
            body,
        })
    };
    let (small, _) = crate::wire::encode_replica(&append(vec![]));
    let (large, _) = crate::wire::encode_replica(&append(vec![std::sync::Arc::new(entry)]));
    assert_eq!(small, large);
}

/// A batch whose only transaction has a body of so many bytes.
fn batch_of(bytes: usize) -> crypto::SealedBatch {
    let transaction = crypto::Transaction {
        format: crypto::transaction::FORMAT,
        chain: crypto::ChainId::default(),
        client: crypto::PublicKey([1; 32]),
        sequence: 1,
        expires: crypto::Height(9),
        body: vec![0; bytes].into(),
        signature: crypto::Signature([0; 64]),
    };
    let batch = crypto::Batch {
        author: crypto::NodeId(0),
        number: 1,
        expires: crypto::Height(9),
        transactions: vec![transaction],
    };
    batch.seal()
}

#[test]
fn proofs_of_lies_are_stored_told_once_and_known_after_a_restart() {
    let mut cluster = Cluster::new(4);
    cluster.liar = Some(NodeId(3));
    for height in [2048, 1024] {
        cluster.lie(3, 0, height);
        cluster.run(Time::millis(10));
    }
    let told: Vec<_> = cluster
        .evidence
        .iter()
        .map(|(by, it)| (*by, it.about().1.height.0))
        .collect();
    assert_eq!(told, [(0, 2048), (0, 1024)]);
    let known = |cluster: &Cluster, i: usize| -> Vec<_> {
        let status = cluster.nodes[i].engine.status();
        status
            .evidence
            .iter()
            .map(|(node, slot)| (node.0, slot.height.0))
            .collect()
    };
    assert_eq!(known(&cluster, 0), [(3, 1024), (3, 2048)]);
    assert_eq!(known(&cluster, 1), [], "nobody told it");

    cluster.stop(0);
    cluster.restart(0);
    assert_eq!(known(&cluster, 0), [(3, 1024), (3, 2048)]);
    let stored = cluster.stored_evidence(0);
    let heights: Vec<_> = stored.iter().map(|it| it.about().1.height.0).collect();
    assert_eq!(heights, [1024, 2048]);
    let by = crypto::Verifier {
        context: cluster.built.genesis.context(),
        validators: cluster.built.genesis.validator_set(),
        scheme: std::sync::Arc::new(crypto::Ed25519),
    };
    assert!(stored.iter().all(|it| it.check(&by).is_ok()));

    cluster.lie(3, 0, 1024);
    cluster.run(Time::millis(10));
    assert_eq!(cluster.evidence.len(), 2, "told once, restarts included");
}

/// Who reads of a lie would look for its proof, which a crash may have taken.
#[test]
fn a_lie_is_told_only_once_its_proof_is_durable() {
    let mut cluster = Cluster::new(4);
    cluster.liar = Some(NodeId(3));
    cluster.run(Time::millis(100));
    cluster.stall(0);
    cluster.lie(3, 0, 1024);
    cluster.run(Time::millis(10));
    let known = |cluster: &Cluster| cluster.nodes[0].engine.status().evidence.len();
    assert_eq!((cluster.evidence.len(), known(&cluster)), (0, 0));
    cluster.go_on();
    cluster.run(Time::millis(10));
    assert_eq!((cluster.evidence.len(), known(&cluster)), (1, 1));
}

/// The protocol would take it for one that was never written, though it may have voted for it.
#[test]
fn a_loaded_record_that_does_not_decode_stops_the_node() {
    let mut cluster = Cluster::new(4);
    cluster.put(1, &client(1), 1, "a");
    cluster.run(Time::millis(1_000));
    let (key, value) = cluster.records(0).pop().unwrap();
    let mut other_key = key.to_vec();
    *other_key.last_mut().unwrap() ^= 1;
    let engine = &mut cluster.nodes[0].engine;
    let mut halts = |key: &[u8], value: &[u8]| {
        let (token, mut out) = (1 << 40, Vec::new());
        let of = crate::engine::Loading::Records(consensus::Token(1 << 40));
        engine.loading.insert(token, of);
        let row = (key.to_vec().into(), value.to_vec().into());
        let rows = vec![row];
        engine.step(cluster.now, Input::Loaded { token, rows }, &mut out);
        out.into_iter().find_map(|effect| match effect {
            Effect::Halt { reason } => Some(reason),
            _ => None,
        })
    };
    assert_eq!(halts(&key, &value), None);
    for (key, value) in [(&key[..], &value[..3]), (&other_key[..], &value[..])] {
        let reason = halts(key, value).unwrap();
        assert!(reason.contains("data/log is damaged"), "{reason}");
        assert!(reason.contains(&format!("{key:02x?}")), "{reason}");
        assert!(!reason.contains('\n'), "one line: {reason}");
    }
}
