//! Where the corpora begin: real values, made anew in the same way each time.

use super::cluster::{Cluster, NODES, ids};
use super::data_dir;
use super::forge::Forge;
use super::plan::plan;
use super::stores::Stores;
use super::wire;
use crate::sim::{Chance, Honest, System as _, mock};
use bytes::Bytes;
use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use consensus::raft::Raft;
use crypto::{ChainId, FaultModel, Height, NodeId, Payload, SealedBatch, Time, codec};
use engine::{Frame, Input, Wait};
use genesis::{BuiltTestnet, Ports, Testnet};
use std::collections::{BTreeMap, BTreeSet};
use storage::kv::{Relation, Test};
use storage::{CommitRow, Compare, Operation, Read as _, Request, Safety, Scan, Span, Table};

/// Games whose bytes mean nothing.
const GAMES: u64 = 24;

/// The first corpus of a target.
#[must_use]
pub fn seeds(name: &'static str) -> Vec<Vec<u8>> {
    match name {
        "wire_hotstuff" => frames::<HotStuff>(),
        "wire_pbft" => frames::<Pbft>(),
        "wire_raft" => frames::<Raft>(),
        "batches" => batches(),
        "rows" => rows(),
        "genesis_toml" => texts(|built| built.genesis.to_toml()),
        "node_toml" => texts(|built| built.nodes[0].config.to_toml()),
        #[cfg(feature = "e2e")]
        "evidence" => super::evidence::seeds(),
        #[cfg(feature = "e2e")]
        "hello" => super::hello::seeds(),
        #[cfg(feature = "e2e")]
        "transaction_json" => transactions(),
        "key_file" => keys(),
        "data_dir" => data_dir::seeds(),
        "node_hotstuff" | "node_pbft" | "node_raft" => hostile_games(name),
        name => games(name),
    }
}

/// Games of the kind that [`super::node`] plays: mostly messages that are made of others.
fn hostile_games(name: &'static str) -> Vec<Vec<u8>> {
    let game = |seed| {
        let chance = &mut Chance::of(seed, name);
        let mut game = Vec::new();
        let length = 40 << (seed % 4);
        while game.len() < length {
            turn(&mut game, chance);
        }
        game
    };
    (0..GAMES).map(game).collect()
}

fn turn(game: &mut Vec<u8>, chance: &mut Chance) {
    let any = |chance: &mut Chance| chance.below(256) as u8;
    let node = (chance.below(4) as u8) << 6;
    match chance.below(20) {
        0..=3 => game.extend([chance.below(6) as u8, chance.below(4) as u8]),
        4 | 5 => {
            let (client, word) = (chance.below(4) as u8, 1 + chance.below(7) as u8);
            game.extend([node | 6, client, word, any(chance) % 2, 1, 1, 2, 3, 4]);
        }
        6..=14 => {
            let how = any(chance);
            game.extend([node | 11, any(chance) % 16, how]);
            let edits = (how & 1) * (1 + any(chance) % 3);
            game.extend((how & 1 == 1).then_some(edits));
            for _ in 0..edits {
                game.extend([any(chance), any(chance) % 64, any(chance), any(chance)]);
            }
        }
        15 => game.extend([19, any(chance)]),
        16 => game.extend([20, any(chance), any(chance), 1, any(chance), any(chance)]),
        17 => game.extend([node | 25, any(chance), 2, any(chance), node | 26]),
        18 => game.extend([node | 27, 8, any(chance) % 3, any(chance) % 3]),
        _ => game.extend([node | 9, 29]),
    }
}

/// Bytes for those who take them as choices.
fn games(name: &'static str) -> Vec<Vec<u8>> {
    let game = |seed| {
        let chance = &mut Chance::of(seed, name);
        let length = 16 << (seed % 6);
        (0..length).map(|_| chance.below(256) as u8).collect()
    };
    (0..GAMES).map(game).collect()
}

/// A message of each kind, and of each length of kind, behind a word that asks for no edit.
fn frames<P: Forge>() -> Vec<Vec<u8>> {
    let mut kinds = BTreeMap::new();
    for frame in talk::<P>() {
        let Ok(it) = engine::decode::<P::Message>(&frame, frame.len()) else {
            continue;
        };
        let size = frame.len().ilog2();
        kinds.entry((wire::kind(&it), size)).or_insert(frame);
    }
    let gate = Honest::<P>::of(&plan::<P>());
    let sender = |frame: &Bytes| {
        let admits = |from: &u8| wire::admits(gate.ingress(), NodeId((*from).into()), frame);
        (0..NODES as u8).find(admits).unwrap_or_default()
    };
    let word = |frame: &Bytes| [&[sender(frame) | 8, 0], &frame[..]].concat();
    kinds.values().map(word).collect()
}

/// What four nodes say to one another while one of them is killed, comes back and lags.
fn talk<P: Forge>() -> Vec<Bytes> {
    let mut cluster = Cluster::<P>::new();
    let mut all = Vec::new();
    let mut sequence = 0;
    for (turn, lost) in (0..12u16).zip([0, 1, 2, 9, 0, 9, 1, 9, 2, 9, 0, 9]) {
        for id in ids() {
            sequence += 1;
            let it = cluster.put(0, sequence, Height(900), Bytes::from_static(b"value"));
            cluster.submit(id, it, Wait::Committed);
            let request = cluster.request();
            cluster.input(id, Input::Read { request });
        }
        if let Some(lost) = ids().nth(lost) {
            cluster.run(Time::millis(2));
            cluster.kill(lost, turn % 2 == 0);
        }
        for _ in 0..20 {
            cluster.run(Time::millis(20));
            all.extend(cluster.seen.drain(..));
        }
        cluster.mend();
        cluster.cut(NodeId(turn % 4), NodeId((turn + 1) % 4), turn % 3 == 0);
        cluster.run(Time::millis(50));
        all.extend(cluster.seen.drain(..));
    }
    all
}

fn batches() -> Vec<Vec<u8>> {
    let pushed = talk::<HotStuff>().into_iter().find_map(|frame| {
        match engine::decode::<()>(&frame, frame.len()).ok()? {
            Frame::Pool(mempool::Message::Batch(bytes)) => SealedBatch::open(bytes).ok(),
            _ => None,
        }
    });
    let Some(batch) = pushed else {
        return Vec::new();
    };
    let name = batch.reference();
    let mut list = vec![
        batch.bytes().to_vec(),
        codec::encode(&Payload::Refs(vec![name, name])),
        codec::encode(&Payload::Inline(vec![batch.clone()])),
        codec::encode(&mempool::Message::Offer(vec![name])),
        codec::encode(&mempool::Message::Fetch(vec![name.digest])),
        codec::encode(&mempool::Message::NotHeld(vec![name.digest])),
        codec::encode(&mempool::Message::Batches(vec![batch.bytes().clone()])),
        codec::encode(&crypto::Certificate::default()),
        codec::encode(&crypto::Statement {
            slot: crypto::Slot {
                kind: crypto::Kind::Vote,
                epoch: crypto::Epoch(0),
                view: crypto::View(7),
                height: Height(0),
            },
            content: name.digest,
        }),
    ];
    list.extend(batch.batch().transactions.iter().map(codec::encode));
    list
}

/// A row of each table and length, of every protocol.
fn rows() -> Vec<Vec<u8>> {
    let mut kinds = BTreeMap::new();
    for (i, all) in (0..).zip([
        Stores::of::<HotStuff>(),
        Stores::of::<Pbft>(),
        Stores::of::<Raft>(),
    ]) {
        for [log, state] in all.iter().map(Stores::open) {
            let tables = Table::LOG.map(|it| (&log, it)).into_iter();
            for (store, table) in tables.chain(Table::STATE.map(|it| (&state, it))) {
                for (key, value) in store.scan(table, &Scan::all()).unwrap_or_default() {
                    let tag = match table {
                        Table::Record | Table::History => value.first().copied(),
                        Table::Meta | Table::Guard | Table::Session => key.first().copied(),
                        _ => None,
                    };
                    // The state is that of every protocol.
                    let of = if Table::STATE.contains(&table) { 3 } else { i };
                    let size = value.len().max(1).ilog2();
                    if let Ok(row) = codec::decode::<CommitRow>(&value)
                        && table == Table::Commit
                    {
                        kinds.entry((of, table, Some(1), size)).or_insert(row.proof);
                    }
                    kinds.entry((of, table, tag, size)).or_insert(value);
                    if table == Table::History {
                        kinds.entry((4, table, tag, 0)).or_insert(key);
                    }
                }
            }
        }
    }
    let key = mock::key("validator", 0).public();
    let safety = Safety::genesis(ChainId::default(), key);
    let list: BTreeSet<_> = kinds.into_values().map(|it| it.to_vec()).collect();
    list.into_iter().chain([safety.encode().to_vec()]).collect()
}

/// A file of every kind of chain.
fn texts(text: impl Fn(&BuiltTestnet) -> String) -> Vec<Vec<u8>> {
    let built = testnets();
    built.iter().map(|it| text(it).into_bytes()).collect()
}

/// Every kind of chain.
pub(super) fn testnets() -> Vec<BuiltTestnet> {
    let (byzantine, crash) = (FaultModel::Byzantine, FaultModel::Crash);
    let kinds = [
        (byzantine, genesis::Protocol::Hotstuff, None),
        (byzantine, genesis::Protocol::Pbft, None),
        (crash, genesis::Protocol::Raft, Some(10)),
    ];
    let chain = |(fault_model, protocol, lease_drift)| {
        let ports = Ports::series(7000, 4).expect("four nodes have ports");
        let testnet = Testnet {
            fault_model,
            protocol,
            lease_drift,
            ..Testnet::new(ports)
        };
        let built = testnet.build_from(&[7; 32]);
        built.expect("a testnet contradicts nothing")
    };
    kinds.into_iter().map(chain).collect()
}

/// A key, and bodies of transactions.
fn keys() -> Vec<Vec<u8>> {
    let key = format!("ed25519-seed-v1:{}\n", "0123456789abcdef".repeat(4));
    let key_of = |text: &'static str| Bytes::from_static(text.as_bytes());
    let request = Request {
        compares: vec![Compare {
            key: key_of("a"),
            test: Test::Value(Relation::Less, key_of("value")),
        }],
        then: vec![
            Operation::Put {
                key: key_of("a"),
                value: key_of("other"),
            },
            Operation::Delete { key: key_of("b") },
        ],
        otherwise: vec![Operation::Range {
            span: Span::prefix("a"),
            limit: 3,
            revision: 0,
        }],
    };
    vec![key.into_bytes(), request.encode().to_vec()]
}

/// What `quorate client txn` takes, every condition and operation among them.
#[cfg(feature = "e2e")]
fn transactions() -> Vec<Vec<u8>> {
    let all = [
        r#"{"then": []}"#,
        r#"{"if": [{"key": "alice", "value": "30"}],
  "then": [{"put": {"key": "alice", "value": "20"}}, {"delete": "bob"}],
  "else": [{"get": "alice"}]}"#,
        r#"{"if": [{"key": "a", "exists": true, "version": {">": 3}, "mod_revision": {"!=": 9}},
         {"key": "\u0000\u00e9", "create_revision": {"<": 18446744073709551615}, "value": {"=": ""}}],
  "then": [{"range": {"prefix": "b/"}}, {"range": {"prefix": "", "limit": 4294967295}}]}"#,
    ];
    all.map(|text| text.as_bytes().to_vec()).into()
}
