//! What holds whatever comes in: caps, nothing ordered twice, no vote for what is not stored.

use super::*;
use crate::Stats;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

const LIFETIME: u64 = 20;

#[derive(Clone, Debug)]
enum Op {
    Submit {
        who: u8,
        sequence: u64,
        length: usize,
    },
    Push(usize),
    Answer {
        from: u16,
        which: usize,
    },
    Offer {
        from: u16,
        which: Vec<usize>,
    },
    Fetch {
        from: u16,
        which: Vec<usize>,
    },
    NotHeld {
        from: u16,
        which: usize,
    },
    Want {
        budget: u32,
        exclude: Vec<usize>,
    },
    Check {
        block: u64,
        ahead: u64,
        which: Vec<usize>,
    },
    Commit {
        wanted: bool,
        which: Vec<usize>,
    },
    Loaded {
        which: usize,
        found: bool,
    },
    Leader(u16),
    Connected(u16),
    Idle(bool),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let which = 0usize..60;
    let some = prop::collection::vec(0usize..60, 1..6);
    prop_oneof![
        6 => (0u8..6, 0u64..12, 0usize..1_500)
            .prop_map(|(who, sequence, length)| Op::Submit { who, sequence, length }),
        6 => which.clone().prop_map(Op::Push),
        3 => (1u16..4, which.clone()).prop_map(|(from, which)| Op::Answer { from, which }),
        2 => (1u16..4, some.clone()).prop_map(|(from, which)| Op::Offer { from, which }),
        1 => (1u16..4, some.clone()).prop_map(|(from, which)| Op::Fetch { from, which }),
        1 => (1u16..4, which.clone()).prop_map(|(from, which)| Op::NotHeld { from, which }),
        4 => (0u32..10_000, some.clone())
            .prop_map(|(budget, exclude)| Op::Want { budget, exclude }),
        4 => (0u64..8, 1u64..4, some.clone())
            .prop_map(|(block, ahead, which)| Op::Check { block, ahead, which }),
        4 => (any::<bool>(), some).prop_map(|(wanted, which)| Op::Commit { wanted, which }),
        2 => (which, any::<bool>()).prop_map(|(which, found)| Op::Loaded { which, found }),
        1 => (0u16..4).prop_map(Op::Leader),
        1 => (0u16..4).prop_map(Op::Connected),
        1 => any::<bool>().prop_map(Op::Idle),
        3 => (0u64..300).prop_map(Op::Pass),
    ]
}

fn config(c: &mut Config) {
    c.lifetime = LIFETIME;
    (c.pool_transactions, c.client_transactions, c.pool_bytes) = (24, 8, 12_000);
    (c.author_batches, c.author_bytes) = (6, 9_000);
    (c.extra_batches, c.extra_bytes) = (5, 5_000);
    (c.checks, c.fetches, c.loads) = (4, 8, 3);
}

/// Batches of nodes 1 to 3, of several sizes, some short-lived.
fn library() -> Vec<SealedBatch> {
    static LIBRARY: OnceLock<Vec<SealedBatch>> = OnceLock::new();
    LIBRARY.get_or_init(make_library).clone()
}

fn make_library() -> Vec<SealedBatch> {
    let one = |i: u64| {
        let author = 1 + (i % 3) as u16;
        let transactions = vec![transaction(
            200 + (i % 7) as u8,
            i,
            (i as usize * 97) % 2_500,
        )];
        let expires = Height(4 + i % 25);
        Batch {
            author: NodeId(author),
            number: i,
            expires,
            transactions,
        }
        .seal()
    };
    (0..60).map(one).collect()
}

/// The pool, and what an observer knows of it.
struct World {
    rig: Rig,
    library: Vec<SealedBatch>,
    by_digest: BTreeMap<Digest, SealedBatch>,
    stored: BTreeSet<Digest>,
    committed: Vec<Vec<BatchRef>>,
    ordered: BTreeSet<Digest>,
    checks: BTreeMap<Digest, Vec<(u64, Vec<BatchRef>)>>,
    available: u64,
    live: BTreeMap<(PublicKey, u64), (Digest, Height)>,
    trace: Vec<Output>,
}

impl World {
    fn new() -> Self {
        let library = library();
        let by_digest = library
            .iter()
            .map(|b| (b.reference().digest, b.clone()))
            .collect();
        Self {
            rig: Rig::with(config),
            library,
            by_digest,
            stored: BTreeSet::new(),
            committed: Vec::new(),
            ordered: BTreeSet::new(),
            checks: BTreeMap::new(),
            available: 0,
            live: BTreeMap::new(),
            trace: Vec::new(),
        }
    }

    fn reference(&self, which: usize) -> BatchRef {
        self.library[which].reference()
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one match, an arm for each operation"
    )]
    fn apply(&mut self, op: &Op) {
        let refs_of = |w: &Self, list: &[usize]| -> Vec<BatchRef> {
            list.iter().map(|i| w.reference(*i)).collect()
        };
        let digests =
            |list: Vec<BatchRef>| list.into_iter().map(|r| r.digest).collect::<Vec<Digest>>();
        let out = match op {
            Op::Submit {
                who,
                sequence,
                length,
            } => {
                let mut t = transaction(*who, *sequence, *length);
                t.expires = Height(self.rig.height.0 + 1 + sequence % LIFETIME);
                sign(&mut t);
                self.rig.submit_it(t)
            }
            Op::Push(i) => {
                let sealed = self.library[*i].clone();
                self.rig.push(&sealed)
            }
            Op::Answer { from, which } => {
                let sealed = self.library[*which].clone();
                self.rig.answer(*from, &[&sealed])
            }
            Op::Offer { from, which } => {
                let list = refs_of(self, which);
                self.rig.receive(*from, Message::Offer(list))
            }
            Op::Fetch { from, which } => {
                let list = digests(refs_of(self, which));
                self.rig.receive(*from, Message::Fetch(list))
            }
            Op::NotHeld { from, which } => {
                let list = vec![self.reference(*which).digest];
                self.rig.receive(*from, Message::NotHeld(list))
            }
            Op::Want { budget, exclude } => {
                let exclude = digests(refs_of(self, exclude));
                self.want(*budget, exclude);
                return;
            }
            Op::Check {
                block: b,
                ahead,
                which,
            } => {
                let height = self.rig.height.0 + ahead;
                let list = refs_of(self, which);
                self.checks
                    .entry(block(*b))
                    .or_default()
                    .push((height, list.clone()));
                self.rig.check(*b, height, Payload::Refs(list))
            }
            Op::Commit { wanted, which } => {
                let list = if *wanted {
                    self.want(8_000, vec![])
                } else {
                    refs_of(self, which)
                };
                return self.commit(list);
            }
            Op::Loaded { which, found } => {
                let sealed = self.library[*which].clone();
                let digest = sealed.reference().digest;
                // The store has what was written, and may have lost what was not synced.
                let bytes = found.then(|| sealed.bytes().clone());
                if *found {
                    self.stored.insert(digest);
                }
                self.rig.step(Input::Loaded { digest, bytes })
            }
            Op::Leader(node) => self.rig.step(Input::Leader(NodeId(*node))),
            Op::Connected(node) => self.rig.step(Input::Connected(NodeId(*node))),
            Op::Idle(idle) => self.rig.step(Input::Idle(*idle)),
            Op::Pass(millis) => self.rig.pass(*millis),
        };
        self.observe(out);
    }

    fn want(&mut self, budget: u32, exclude: Vec<Digest>) -> Vec<BatchRef> {
        let input = Input::Want {
            ticket: 1,
            height: self.rig.height.next(),
            budget,
            exclude: exclude.clone(),
        };
        let out = self.rig.step(input);
        self.observe(out.clone());
        let payload = out.into_iter().find_map(|o| match o {
            Output::Payload {
                payload: Payload::Refs(list),
                ..
            } => Some(list),
            _ => None,
        });
        let list = payload.expect("always answered");
        let distinct: BTreeSet<Digest> = list.iter().map(|r| r.digest).collect();
        assert_eq!(distinct.len(), list.len(), "none twice");
        assert!(list.iter().map(|r| r.bytes).sum::<u32>() <= budget.min(8_000));
        for r in &list {
            assert!(!exclude.contains(&r.digest), "an ancestor carries it");
            assert!(!self.ordered.contains(&r.digest), "it is committed");
            assert!(self.stored.contains(&r.digest), "it is held");
            assert!(r.expires > self.rig.height, "it can take effect");
        }
        list
    }

    fn commit(&mut self, mut list: Vec<BatchRef>) {
        let next = self.rig.height.next();
        // What honest voters let through.
        list.retain(|r| r.expires >= next && !self.ordered.contains(&r.digest));
        list.sort_unstable();
        list.dedup();
        self.ordered.extend(list.iter().map(|r| r.digest));
        self.committed.push(list.clone());
        let out = self.rig.commit(Payload::Refs(list.clone()));
        self.live.retain(|_, (batch, expires)| {
            *expires > next && !list.iter().any(|r| r.digest == *batch)
        });
        self.observe(out);
    }

    fn observe(&mut self, out: Vec<Output>) {
        for output in &out {
            match output {
                Output::Store {
                    reference, bytes, ..
                } => {
                    let sealed = SealedBatch::open(bytes.clone()).unwrap();
                    assert_eq!(sealed.reference(), *reference);
                    self.stored.insert(reference.digest);
                    self.by_digest.insert(reference.digest, sealed);
                }
                Output::Drop { digest, committed } => {
                    let kept = *committed || !self.ordered.contains(digest);
                    assert!(kept, "a committed batch is kept");
                }
                Output::Checked {
                    block,
                    held: Ok(()),
                } => {
                    let asked = &self.checks[block];
                    let holds = |(height, list): &(u64, Vec<BatchRef>)| {
                        list.iter()
                            .all(|r| self.stored.contains(&r.digest) && r.expires.0 >= *height)
                    };
                    assert!(asked.iter().any(holds), "a vote for what is not held");
                }
                Output::Overdue { batch } => assert!(!self.ordered.contains(&batch.digest)),
                Output::Available { height } => {
                    assert!(height.0 > self.available && *height <= self.rig.height);
                    self.available = height.0;
                }
                Output::Send {
                    to: To::Others,
                    message: Message::Batch(bytes),
                } => {
                    let sealed = SealedBatch::open(bytes.clone()).unwrap();
                    for t in &sealed.batch().transactions {
                        let place = (sealed.reference().digest, t.expires);
                        let twice = self.live.insert((t.client, t.sequence), place);
                        assert_eq!(twice, None, "a transaction is in one own batch at a time");
                    }
                }
                _ => {}
            }
        }
        for height in 0..self.available {
            for r in &self.committed[height as usize] {
                assert!(self.stored.contains(&r.digest), "available means stored");
            }
        }
        self.trace.extend(out);
        within_caps(&self.rig.pool.stats());
    }
}

fn within_caps(stats: &Stats) {
    let mut c = Rig::config();
    config(&mut c);
    assert!(stats.transactions <= c.pool_transactions);
    assert!(stats.transaction_bytes <= c.pool_bytes);
    assert!(stats.clients <= stats.transactions);
    assert!(stats.batches <= N * c.author_batches + c.extra_batches);
    assert!(stats.memory <= N * c.author_bytes + c.extra_bytes);
    assert!(stats.memory <= stats.batch_bytes);
    assert!(stats.checks <= c.checks);
    assert!(stats.wanted <= c.checks * c.block_batches + (N + 1) * c.fetches);
    assert!(stats.loads <= N * c.loads + c.fetches);
    assert!(stats.committed <= c.committed_batches);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn nothing_breaks_the_rules_or_the_caps(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        let mut again = World::new();
        for op in &ops {
            again.apply(op);
        }
        prop_assert_eq!(world.trace, again.trace);
    }
}
