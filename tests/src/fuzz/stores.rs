//! What a node has on its disk at some moments of a life with crashes, changes of leaders and a liar;
//! and all that anybody reads of such a disk.

use super::cluster::{Cluster, LIAR, NODES, ids};
use super::forge::{self, Forge, Hands};
use crate::sim::{System as _, mock};
use bytes::Bytes;
use consensus::replica::{Checkpoint, Wire};
use crypto::{Digest, Height, NodeId, PublicKey, Signature, Time, codec};
use engine::{Frame, Wait};
use std::collections::BTreeSet;
use std::sync::Arc;
use storage::kv::Test;
use storage::memory::Image;
use storage::{
    Compare, Limits, Log, Memory, Operation, Request, Safety, SafetyFile as _, Scan, Span,
    StateReader, Store, Table, log,
};

/// Whose.
pub const WHO: NodeId = NodeId(1);
/// Pages of one range that are read at most: where keys are few, no more come.
const PAGES: usize = 64;
/// Commits that are read at a time, and their bytes.
const PAGE: (usize, usize) = (16, 1 << 16);

/// See the module.
pub struct Stores {
    /// The log.
    pub log: Image,
    /// The state, as far as it was flushed: the log is mostly ahead of it.
    pub state: Image,
    /// What the safety file says.
    pub safety: Safety,
    /// Those of the state machine.
    pub limits: Limits,
}

impl Stores {
    /// What one node has at several moments.
    #[must_use]
    pub fn of<P: Forge>() -> Vec<Self> {
        let mut cluster = Cluster::<P>::new();
        let hands = Hands::new(&cluster.system, usize::from(NODES), LIAR, false);
        let mut list = Vec::new();
        for (turn, lost) in (0..).zip([9, 0, 2, 1, 0]) {
            submit(&mut cluster, 2 * turn);
            lie(&mut cluster, &hands, turn);
            if let Some(lost) = ids().nth(lost) {
                cluster.run(Time(1_500_000));
                cluster.kill(lost, true);
            }
            cluster.run(Time::millis(150));
            cluster.flush(WHO);
            submit(&mut cluster, 2 * turn + 1);
            cluster.run(Time::millis(150));
            let disk = cluster.disk(WHO);
            let safety = disk.safety.clone().read().ok().flatten();
            list.push(Self {
                log: disk.log.image(),
                state: disk.state.image(),
                safety: safety.unwrap_or_else(|| cluster.system.safety(WHO)),
                limits: *cluster.system.limits(),
            });
            cluster.mend();
            cluster.run(Time::millis(150));
        }
        list
    }
    /// The two stores anew.
    #[must_use]
    pub fn open(&self) -> [Memory; 2] {
        [
            Memory::log().from_image(self.log.clone()),
            Memory::state().from_image(self.state.clone()),
        ]
    }
}

/// Every node gets a transaction of another client's.
fn submit<P: Forge>(cluster: &mut Cluster<P>, turn: u64) {
    for id in ids() {
        let client = u64::from(id.0);
        let request = request(turn + client);
        let it = cluster.transaction(client, turn + 1, Height(900), &request);
        cluster.submit(id, it, Wait::Committed);
    }
}

/// Keys that are written, written again, removed and read, one of them with zeros in it.
fn request(number: u64) -> Request {
    let key = |n: u64| Bytes::from_static([&b"a"[..], b"b\0", b"b\0\xFF"][(n % 3) as usize]);
    let value = Bytes::from(number.to_be_bytes().to_vec());
    let then = match number % 4 {
        0 => vec![Operation::Delete { key: key(number) }],
        _ => vec![
            Operation::Put {
                key: key(number),
                value,
            },
            Operation::Range {
                span: Span::prefix(""),
                limit: 2,
                revision: 0,
            },
        ],
    };
    Request {
        compares: vec![Compare {
            key: key(number + 1),
            test: Test::Exists(number % 8 < 7),
        }],
        otherwise: then.clone(),
        then,
    }
}

/// Two claims of the liar's about one height.
fn lie<P: Forge>(cluster: &mut Cluster<P>, hands: &Hands, turn: u64) {
    for state in [1, 2] {
        let mut frame = Frame::Replica(Wire::Checkpoint(Checkpoint {
            node: LIAR,
            height: Height(8 + 8 * turn),
            history: Digest([7; 32]),
            state: Digest([state; 32]),
            signature: Signature::NONE,
        }));
        forge::mend::<P>(&mut frame, hands);
        let said = cluster.deliver(WHO, LIAR, &codec::encode(&frame).into());
        assert!(said, "whose stores are wanted is up");
    }
}

/// Reads all that a node's clients, peers and `quorate inspect` ask of its stores. Errors are answers.
pub fn read<P: Forge>(log: Arc<dyn Store>, state: &Arc<dyn Store>, limits: &Limits) {
    keys(state, limits);
    sessions(state, limits);
    let log = Log::new(log, engine::payload_of::<P>);
    let _ = (log::check_fences(&**log.store()), engine::evidence(&log));
    let mut next = Height(1);
    while let Ok(page) = log.commits(next, PAGE.0, PAGE.1) {
        for row in &page {
            let _ = log.batches(row);
        }
        let Some(last) = page.last() else {
            break;
        };
        assert!(last.height >= next, "reading gets on");
        next = last.height.next();
    }
}

/// All keys, now and at old revisions.
fn keys(state: &Arc<dyn Store>, limits: &Limits) {
    let reader = StateReader::new(Arc::clone(state), *limits);
    let newest = reader.applied().map_or(0, |it| it.revision);
    for revision in BTreeSet::from([0, 1, newest / 2, newest]) {
        let mut span = Span {
            key: Bytes::new(),
            end: storage::End::Unbounded,
        };
        for _ in 0..PAGES {
            let Ok(page) = reader.range(&span, 2, revision) else {
                break;
            };
            let Some(next) = page.next else {
                break;
            };
            assert!(next > span.key, "reading gets on");
            span.key = next;
        }
    }
}

/// All sessions that there are, and those of some who may have none.
fn sessions(state: &Arc<dyn Store>, limits: &Limits) {
    let reader = StateReader::new(Arc::clone(state), *limits);
    let rows = state.scan(Table::Session, &Scan::all());
    let rows = rows.unwrap_or_default();
    let stored = rows.iter().filter_map(|(key, _)| key.get(1..33));
    let stored = stored.filter_map(|it| it.try_into().ok()).map(PublicKey);
    let known = (0..4).map(|i| mock::key("hostile client", i).public());
    for client in stored.chain(known).collect::<BTreeSet<_>>() {
        let next = reader.session(&client).map_or(1, |it| it.next);
        for sequence in [0, 1, 2, next - 1, next] {
            let _ = reader.receipt(&client, sequence);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::sim::Protocol;
    use consensus::hotstuff::HotStuff;
    use consensus::pbft::Pbft;
    use consensus::raft::Raft;
    use std::collections::BTreeMap;
    use storage::Read as _;

    fn has_rows_of_every_table<P: Forge>() {
        let mut kinds: BTreeMap<Table, BTreeSet<u8>> = BTreeMap::new();
        for stores in Stores::of::<P>() {
            let [log, state] = stores.open();
            for (store, tables) in [(&log, &Table::LOG[..]), (&state, &Table::STATE[..])] {
                for table in tables {
                    let rows = store.scan(*table, &Scan::all()).unwrap();
                    let first = rows.iter().filter_map(|(key, _)| key.first());
                    kinds.entry(*table).or_default().extend(first);
                }
            }
        }
        // Raft's entries hold their batches.
        let inline = P::PROTOCOL == Protocol::Raft;
        for (table, kinds) in kinds.iter().filter(|it| !(inline && *it.0 == Table::Batch)) {
            assert!(
                !kinds.is_empty(),
                "{}: no {}",
                P::PROTOCOL.name(),
                table.name()
            );
        }
        // Heads of sessions, and results in them; keys with zeros, and their histories.
        assert_eq!(kinds[&Table::Session], BTreeSet::from([0, 1]));
        assert_eq!(kinds[&Table::Key], BTreeSet::from([b'a', b'b']));
        assert_eq!(kinds[&Table::History], BTreeSet::from([b'a', b'b']));
        assert!(kinds[&Table::Meta].contains(&b'e'), "evidence");
    }

    /// The state was empty: nothing was ever flushed. And there was no evidence.
    #[test]
    fn the_stores_that_are_damaged_have_rows_of_every_table() {
        has_rows_of_every_table::<HotStuff>();
        has_rows_of_every_table::<Pbft>();
        has_rows_of_every_table::<Raft>();
    }
}
