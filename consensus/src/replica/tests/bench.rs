//! A replica on a bench: a disk that can lose what is not synced, and a list of what left.

use super::mock::{Act, Mock, MockMessage, MockRecord};
use crate::replica::{
    Checkpoint, Effect, Fence, LogOp, Replica, ReplicaInput, ShellConfig, Stored, Wire,
};
use crate::{Anchor, Config, Input, LeaderSchedule, Record, RecordKey, Timing, To};
use crypto::{
    Context, Digest, Ed25519, Epoch, FaultModel, Height, Kind, NodeId, SecretKey, Signature,
    Signer, Slot, Statement, Time, Validator, ValidatorSet, Verified, Verifier,
};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::{Arc, LazyLock};

pub const ME: NodeId = NodeId(0);
pub const TENURE: u64 = 4;
pub const EVERY: u64 = 4;

pub fn key(node: NodeId) -> SecretKey {
    SecretKey::from_seed(&[node.0 as u8 + 1; 32])
}

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let members = (0..4)
        .map(|i| Validator {
            key: key(NodeId(i)).public(),
        })
        .collect();
    Verifier {
        context: Context::default(),
        validators: Arc::new(ValidatorSet::new(members, FaultModel::Byzantine).unwrap()),
        scheme: Arc::new(Ed25519),
    }
});

pub fn verifier() -> Verifier {
    VERIFIER.clone()
}

pub fn signer(me: NodeId) -> Signer {
    Signer {
        me,
        key: key(me),
        verifier: verifier(),
    }
}

pub fn config() -> Config {
    let validators = verifier().validators;
    Config {
        me: ME,
        context: Context::default(),
        quorums: validators.quorums(),
        validators,
        leaders: LeaderSchedule::RoundRobin { tenure: TENURE },
        timing: Timing::default(),
        seed: [0; 32],
        block_bytes: 1 << 20,
        execution_lag: 1024,
    }
}

pub fn genesis() -> Anchor<u64> {
    Anchor {
        epoch: Epoch(0),
        height: Height(0),
        executed: Height(0),
        history: Digest::ZERO,
        state: Digest::ZERO,
        proof: None,
    }
}

/// Writes in order; a prefix of them is on disk.
#[derive(Default)]
pub struct Disk {
    pub writes: Vec<(Fence, bool, Vec<LogOp<Mock>>)>,
    pub durable: usize,
}

impl Disk {
    /// What a restart reads back from the first `keep` writes.
    pub fn read(&self, keep: usize) -> Stored<Mock> {
        let mut stored = Stored::empty(genesis());
        let mut records: BTreeMap<RecordKey, MockRecord> = BTreeMap::new();
        let mut guard: BTreeMap<Slot, Vec<u8>> = BTreeMap::new();
        let mut floors: BTreeMap<Kind, Slot> = BTreeMap::new();
        for (fence, _, ops) in &self.writes[..keep] {
            assert_eq!(*fence, stored.fence.next(), "fences are contiguous");
            stored.fence = *fence;
            for op in ops {
                match op {
                    LogOp::Put(record) => {
                        records.insert(record.key(), record.clone());
                    }
                    LogOp::Guard(slot, bytes) => {
                        guard.insert(*slot, bytes.clone());
                    }
                    LogOp::DropGuard(slot) => {
                        guard.remove(slot);
                    }
                    LogOp::Floor(kind, slot) => {
                        floors.insert(*kind, *slot);
                    }
                    LogOp::Commit(committed) => {
                        stored.anchor.height = committed.height;
                        stored.anchor.history = committed.history;
                        stored.anchor.proof = Some(committed.proof);
                    }
                    LogOp::Checkpoint(stable) => stored.stable = Some(stable.clone()),
                    LogOp::Evidence(it) => stored.evidence.push(it.clone()),
                    LogOp::Truncate(_) | LogOp::Forget(_) => {}
                }
            }
        }
        stored.records = records.into_values().collect();
        stored.guard = guard.into_iter().collect();
        stored.floors = floors.into_iter().collect();
        stored
    }
}

pub struct Bench {
    pub replica: Replica<Mock>,
    pub disk: Disk,
    /// What left, in order.
    pub sent: Vec<(To, Arc<Wire<MockMessage>>)>,
    /// All other effects but writes.
    pub effects: Vec<Effect<Mock>>,
}

pub fn shell() -> ShellConfig {
    ShellConfig {
        checkpoint_every: NonZeroU64::new(EVERY).unwrap(),
    }
}

impl Bench {
    pub fn new() -> Self {
        Self::start(Stored::empty(genesis()), Disk::default())
    }
    pub fn start(stored: Stored<Mock>, disk: Disk) -> Self {
        let mut out = Vec::new();
        let replica =
            Replica::recover(config(), &shell(), signer(ME), Time(0), stored, &mut out).unwrap();
        let mut bench = Self {
            replica,
            disk,
            sent: Vec::new(),
            effects: Vec::new(),
        };
        bench.take(out);
        bench
    }
    fn take(&mut self, out: Vec<Effect<Mock>>) {
        for effect in out {
            match effect {
                Effect::Write { fence, ops, sync } => self.disk.writes.push((fence, sync, ops)),
                Effect::Send { to, message } => {
                    assert!(matches!(to, To::Others | To::One(_)) && to != To::One(ME));
                    self.sent.push((to, message));
                }
                other => self.effects.push(other),
            }
        }
    }
    pub fn step(&mut self, input: ReplicaInput<Mock>) {
        let mut out = Vec::new();
        self.replica.step(Time(0), input, &mut out);
        self.take(out);
    }
    pub fn hear(&mut self, from: NodeId, message: MockMessage) {
        let message = Verified::new(from, message, &verifier()).unwrap();
        self.step(ReplicaInput::Protocol(Input::Message { from, message }));
    }
    pub fn tell(&mut self, acts: &[Act]) {
        self.hear(NodeId(1), MockMessage::Do(acts.to_vec()));
    }
    /// The disk finishes one more write.
    pub fn sync_one(&mut self) -> bool {
        let Some((fence, ..)) = self.disk.writes.get(self.disk.durable) else {
            return false;
        };
        let fence = *fence;
        self.disk.durable += 1;
        self.step(ReplicaInput::Durable(fence));
        true
    }
    pub fn sync(&mut self) {
        while self.sync_one() {}
    }
    /// Power is lost: `extra` writes more than the durable ones happen to be on disk.
    pub fn crash(mut self, extra: usize) -> Self {
        let keep = (self.disk.durable + extra).min(self.disk.writes.len());
        self.disk.writes.truncate(keep);
        self.disk.durable = keep;
        let stored = self.disk.read(keep);
        Self::start(stored, self.disk)
    }
    /// The signed statements that left, in order.
    pub fn statements(&self) -> Vec<Statement> {
        let by = verifier();
        let all = self.sent.iter().filter_map(|(_, wire)| wire.statement(&by));
        all.map(|(node, statement, signature)| {
            assert_eq!(node, ME);
            by.one(node, statement, signature).unwrap();
            statement
        })
        .collect()
    }
    pub fn execute(&mut self, height: u64, state: u8) {
        self.step(ReplicaInput::Protocol(Input::Executed {
            height: Height(height),
            state: Digest([state; 32]),
        }));
    }
    pub fn checkpoint(&mut self, from: NodeId, height: u64, history: Digest, state: u8) {
        let mut it = Checkpoint {
            node: from,
            height: Height(height),
            history,
            state: Digest([state; 32]),
            signature: Signature::NONE,
        };
        let signer = signer(from);
        it.signature = signer.sign(&it.statement(&signer.verifier.context));
        let wire = Wire::Checkpoint(it);
        self.step(ReplicaInput::verify(from, wire, &verifier()).unwrap());
    }
    /// Why it stopped, if it did.
    pub fn halted(&self) -> Option<&str> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Halt(reason) => Some(reason.as_str()),
            _ => None,
        })
    }
}
