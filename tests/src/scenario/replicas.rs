//! One replica of a scenario: its shell, its disk and its pool.

use super::script::{Cast, Spoken};
use crate::sim::{MockScheme, mock};
use anyhow::{Result, anyhow, ensure};
use consensus::replica::{Effect, Fence, LogOp, Replica, ShellConfig, Stored};
use consensus::{Anchor, Config, LeaderSchedule, Record as _, RecordKey, Selection, Timing};
use crypto::{
    ChainId, Context, Digest, Epoch, Height, Kind, NodeId, SecretKey, Signer, Slot, Time,
    Validator, ValidatorSet, Verifier,
};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::Arc;

/// All members, and what they are told at the start.
pub struct Company {
    pub verifier: Verifier,
    config: Config,
    checkpoints: NonZeroU64,
}

impl Company {
    pub fn new<P: Spoken>(cast: &Cast<P>) -> Result<Self> {
        let member = |i: u16| Validator {
            key: mock::key("validator", u64::from(i)).public(),
        };
        let members = (0..cast.nodes).map(member).collect();
        let validators = Arc::new(ValidatorSet::new(members, P::FAULTS)?);
        let context = Context {
            chain: ChainId(Digest([0x5c; 32])),
            epoch: Epoch(0),
        };
        let mut quorums = validators.quorums();
        if let Some((commit, election)) = cast.quorums {
            (quorums.commit, quorums.election) = (commit, election);
        }
        let config = Config {
            me: NodeId(0),
            context,
            validators: Arc::clone(&validators),
            quorums,
            leaders: LeaderSchedule::RoundRobin {
                tenure: cast.tenure,
            },
            timing: Timing {
                lease: cast.lease,
                ..Timing::default()
            },
            seed: [0; 32],
            block_bytes: 1 << 20,
            execution_lag: 1024,
        };
        let verifier = Verifier {
            context,
            validators,
            scheme: Arc::new(MockScheme),
        };
        Ok(Self {
            verifier,
            config,
            checkpoints: cast.checkpoints,
        })
    }
    pub fn n(&self) -> u16 {
        self.config.quorums.n as u16
    }
    pub fn config(&self, me: u16) -> Config {
        Config {
            me: NodeId(me),
            seed: [me as u8 + 1; 32],
            ..self.config.clone()
        }
    }
    pub fn signer(&self, me: u16) -> Signer {
        Signer {
            me: NodeId(me),
            key: SecretKey::clone(&mock::key("validator", u64::from(me))),
            verifier: self.verifier.clone(),
        }
    }
}

/// What a disk holds.
pub struct Disk<P: Spoken> {
    anchor: Anchor<P::Proof>,
    records: BTreeMap<RecordKey, P::Record>,
    guard: BTreeMap<Slot, Vec<u8>>,
    floors: BTreeMap<Kind, Slot>,
    fence: Fence,
    committed: BTreeSet<u64>,
}

impl<P: Spoken> Disk<P> {
    fn apply(&mut self, fence: Fence, ops: &[LogOp<P>]) {
        self.fence = fence;
        for op in ops {
            match op {
                LogOp::Put(record) => {
                    self.records.insert(record.key(), record.clone());
                }
                LogOp::Truncate(from) => self.keep(|height| height < *from),
                LogOp::Forget(below) => self.keep(|height| height >= *below),
                LogOp::Guard(slot, bytes) => {
                    self.guard.insert(*slot, bytes.clone());
                }
                LogOp::DropGuard(slot) => {
                    self.guard.remove(slot);
                }
                LogOp::Floor(kind, slot) => {
                    self.floors.insert(*kind, *slot);
                }
                LogOp::Commit(committed) => {
                    self.anchor.height = committed.height;
                    self.anchor.history = committed.history;
                    self.anchor.proof = Some(committed.proof.clone());
                    self.committed.extend(P::batches(&committed.payload));
                }
                LogOp::Checkpoint(_) | LogOp::Evidence(_) => {}
            }
        }
    }
    fn keep(&mut self, wanted: impl Fn(Height) -> bool) {
        self.records.retain(|key, _| match key {
            RecordKey::Latest(_) => true,
            RecordKey::At(height, _) => wanted(*height),
        });
    }
    fn stored(&self) -> Stored<P> {
        let mut stored = Stored::empty(self.anchor.clone());
        let from = self.anchor.height;
        let wanted = |key: &RecordKey| !matches!(key, RecordKey::At(height, _) if *height < from);
        let records = self.records.iter().filter(|(key, _)| wanted(key));
        stored.records = records.map(|(_, record)| record.clone()).collect();
        stored.guard = self.guard.clone().into_iter().collect();
        stored.floors = self.floors.clone().into_iter().collect();
        stored.fence = self.fence;
        stored
    }
}

/// See the module.
pub struct Actor<P: Spoken> {
    pub shell: Option<Replica<P>>,
    disk: Disk<P>,
    /// Written, not yet on disk; with what waits for it.
    written: Vec<(Fence, Vec<LogOp<P>>, bool)>,
    pub slow: bool,
    /// Batches that wait here.
    pub pool: BTreeSet<u64>,
    committed: BTreeSet<u64>,
}

impl<P: Spoken> Actor<P> {
    pub fn new(records: Vec<P::Record>) -> Self {
        let anchor = Anchor {
            epoch: Epoch(0),
            height: Height(0),
            executed: Height(0),
            history: Digest::ZERO,
            state: Digest::ZERO,
            proof: None,
        };
        Self {
            shell: None,
            disk: Disk {
                anchor,
                records: records.into_iter().map(|it| (it.key(), it)).collect(),
                guard: BTreeMap::new(),
                floors: BTreeMap::new(),
                fence: Fence::default(),
                committed: BTreeSet::new(),
            },
            written: Vec::new(),
            slow: false,
            pool: BTreeSet::new(),
            committed: BTreeSet::new(),
        }
    }
    pub fn start(&mut self, me: u16, company: &Company, now: Time) -> Result<Vec<Effect<P>>> {
        ensure!(self.shell.is_none(), "it runs");
        let mut out = Vec::new();
        let shell = ShellConfig {
            checkpoint_every: company.checkpoints,
        };
        let (config, signer) = (company.config(me), company.signer(me));
        let stored = self.disk.stored();
        let shell = Replica::recover(config, &shell, signer, now, stored, &mut out);
        self.shell = Some(shell.map_err(|damaged| anyhow!("{damaged}"))?);
        self.committed = self.disk.committed.clone();
        Ok(out)
    }
    pub fn crash(&mut self) {
        self.shell = None;
        self.written.clear();
        self.slow = false;
    }
    pub fn write(&mut self, fence: Fence, ops: Vec<LogOp<P>>, sync: bool) {
        self.written.push((fence, ops, sync));
    }
    /// The writes that are on disk now, and were to be synced: a disk that is not slow finishes what
    /// somebody waits for.
    pub fn synced(&mut self) -> Option<Fence> {
        let last = self.written.iter().rposition(|(_, _, sync)| *sync);
        let last = last.filter(|_| !self.slow)?;
        let mut fence = Fence::default();
        for (number, ops, _) in self.written.drain(..=last) {
            self.disk.apply(number, &ops);
            fence = number;
        }
        Some(fence)
    }
    pub fn commit(&mut self, batches: &[u64]) {
        self.committed.extend(batches);
    }
    /// What waits here and is not committed.
    pub fn waiting(&self) -> Vec<u64> {
        self.pool.difference(&self.committed).copied().collect()
    }
    /// All that was written at some heights.
    pub fn load(&self, which: &Selection) -> Vec<P::Record> {
        let mut records = self.records();
        records.retain(|it| which.contains(&it.key()));
        records
    }
    /// What was written, on disk or not.
    fn records(&self) -> Vec<P::Record> {
        let mut written = self.disk.records.clone();
        for op in self.written.iter().flat_map(|(_, ops, _)| ops) {
            match op {
                LogOp::Put(record) => {
                    written.insert(record.key(), record.clone());
                }
                LogOp::Truncate(from) => written
                    .retain(|key, _| !matches!(key, RecordKey::At(height, _) if height >= from)),
                _ => {}
            }
        }
        written.into_values().collect()
    }
    pub fn line(&self) -> String {
        let records: Vec<P::Record> = self.disk.records.values().cloned().collect();
        P::disk(&records)
    }
}
