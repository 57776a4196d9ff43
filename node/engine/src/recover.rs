//! What a node starts from: read once from the log, before the machine runs.

use crate::engine::{Engine, Writing};
use crate::execution::Execution;
use crate::requests::Requests;
use crate::rows::{self, GuardRow, UNCOMMITTED};
use crate::standstill::Standstill;
use crate::{Effect, Setup};
use bytes::Bytes;
use consensus::replica::{Damaged, Fence, Replica, Stored};
use consensus::{Anchor, Protocol, Record as _};
use crypto::{BatchRef, Digest, Height, NodeId, Payload, SealedBatch, Signer, Time};
use mempool::Mempool;
use std::collections::{BTreeMap, VecDeque};
use storage::{Applied, CommitRow, Log, REPLACE_NODE, Scan, StoreError, Table};

/// Commits read at a time.
const CHUNK: usize = 1024;
/// Bytes of commits read at a time.
const CHUNK_BYTES: usize = 8 << 20;

/// All that an earlier run left, in memory.
pub struct Recovered<P: Protocol> {
    stored: Stored<P>,
    pool: mempool::Recovered,
    /// Committed, but not known to be executed.
    unexecuted: Vec<(Height, Payload)>,
    applied: Applied,
}

impl<P: Protocol> Recovered<P> {
    /// Reads the log. `applied` is how far the state has come.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if something is not what this node wrote, or the state is ahead of
    /// the log.
    pub fn read(setup: &Setup, log: &Log, applied: Applied) -> Result<Self, StoreError> {
        let last = log.last_commit()?;
        let tip = last.as_ref().map_or(Height(0), |row| row.height);
        if applied.height > tip {
            return Err(StoreError::Damaged {
                at: "data/log".into(),
                what: format!(
                    "it ends at height {tip}, the state is at {}",
                    applied.height
                ),
                way_out: REPLACE_NODE,
            });
        }
        let anchor = anchor::<P>(setup, last, applied.height)?;
        let mut stored = Stored::empty(anchor);
        for (key, value) in log.latest_records()? {
            stored.records.push(rows::record::<P>(&key, &value)?);
        }
        for (key, value) in log.records(&(tip..Height(u64::MAX)), usize::MAX)? {
            stored.records.push(rows::record::<P>(&key, &value)?);
        }
        P::check_stored(&stored.anchor, &stored.records).map_err(|why| rows::damaged(&why))?;
        for (key, value) in log.promises()? {
            match rows::guard_row(&key, &value)? {
                GuardRow::Entry(slot, draft) => stored.guard.push((slot, draft)),
                GuardRow::Floor(kind, slot) => stored.floors.push((kind, slot)),
            }
        }
        for (_, value) in log.store().scan(Table::Checkpoint, &Scan::all())? {
            stored.stable = Some(rows::decode(&value, "the stable checkpoint")?);
        }
        stored.evidence = rows::evidence(log)?;
        let mut recovered = Self {
            stored,
            pool: mempool::Recovered::default(),
            unexecuted: Vec::new(),
            applied,
        };
        recovered.read_commits(setup, log)?;
        recovered.read_batches(setup.config.me, log)?;
        Ok(recovered)
    }

    /// Commits that may still matter to the pool, or have to be executed again.
    fn read_commits(&mut self, setup: &Setup, log: &Log) -> Result<(), StoreError> {
        let executed = self.applied.height;
        self.pool.height = executed;
        let mut from = Height(executed.0.saturating_sub(setup.pool.lifetime)).next();
        loop {
            let commits = log.commits(from, CHUNK, CHUNK_BYTES)?;
            let Some(last) = commits.last() else {
                return Ok(());
            };
            from = last.height.next();
            for CommitRow {
                height,
                payload,
                history,
                ..
            } in commits
            {
                if height > executed {
                    self.stored.histories.push((height, history));
                    self.unexecuted.push((height, payload));
                } else if let Payload::Refs(refs) = payload {
                    self.pool
                        .committed
                        .extend(refs.iter().filter(|r| r.expires > executed));
                }
            }
        }
    }

    /// Batches that are stored and not committed.
    fn read_batches(&mut self, me: NodeId, log: &Log) -> Result<(), StoreError> {
        let keys = Scan::range(
            Bytes::from_static(&[UNCOMMITTED]),
            Some(Bytes::from_static(&[UNCOMMITTED + 1])),
        );
        for (_, value) in log.store().scan(Table::Meta, &keys)? {
            let reference: BatchRef = rows::decode(&value, "the name of a batch")?;
            let Some(bytes) = log.batch(&reference.digest)? else {
                continue;
            };
            let Ok(batch) = SealedBatch::open(bytes) else {
                continue;
            };
            self.pool.batches.push(batch);
        }
        let stored = self.pool.batches.iter().map(SealedBatch::reference);
        let own = stored
            .chain(self.pool.committed.iter().copied())
            .filter(|r| r.author == me);
        self.pool.number = own.map(|r| r.number).max().unwrap_or(0);
        Ok(())
    }
}

fn anchor<P: Protocol>(
    setup: &Setup,
    last: Option<CommitRow>,
    executed: Height,
) -> Result<Anchor<P::Proof>, StoreError> {
    let epoch = setup.config.context.epoch;
    let state = setup.genesis_state;
    Ok(match last {
        None => Anchor {
            epoch,
            height: Height(0),
            executed,
            history: Digest::ZERO,
            state,
            proof: None,
        },
        Some(CommitRow {
            height,
            history,
            proof,
            ..
        }) => {
            let proof = Some(rows::decode(&proof, "the proof of a commit")?);
            Anchor {
                epoch,
                height,
                executed,
                history,
                state,
                proof,
            }
        }
    })
}

impl<P: Protocol> Engine<P> {
    /// Starts, or starts again.
    ///
    /// # Errors
    /// [`Damaged`]: what was promised is unknown, so this key must not sign.
    pub fn recover(
        setup: Setup,
        signer: Signer,
        now: Time,
        recovered: Recovered<P>,
        out: &mut Vec<Effect>,
    ) -> Result<Self, Damaged> {
        let Recovered {
            mut stored,
            pool,
            unexecuted,
            applied,
        } = recovered;
        stored.fence = Fence::default();
        if crypto::planted!(ForgetPromises) {
            stored.guard.clear();
            stored
                .records
                .retain(|record| matches!(record.key(), consensus::RecordKey::At(..)));
        }
        let tip = stored.anchor.height;
        let mut effects = Vec::new();
        let config = setup.config.clone();
        let replica = Replica::recover(config, &setup.shell, signer, now, stored, &mut effects)?;
        let mut engine = Self {
            replica,
            pool: Mempool::new(setup.pool.clone(), now, pool),
            execution: Execution::new(tip, applied.height, applied.state),
            requests: Requests::new(setup.requests),
            connected: [setup.config.me].into_iter().collect(),
            standstill: Standstill::default(),
            out_of_touch: (setup.config.quorums.commit > 1).then_some(now),
            shutting_down: false,
            writing: Writing::first(),
            internal: VecDeque::new(),
            fences: VecDeque::new(),
            loading: BTreeMap::new(),
            last_load: 0,
            pending: None,
            now,
            setup,
        };
        for (height, payload) in unexecuted {
            engine.tell_pool(mempool::Input::Committed { height, payload });
        }
        engine.tell_pool(mempool::Input::Tick);
        engine.settle(out);
        for effect in effects {
            engine.order(effect, out);
        }
        engine.settle(out);
        Ok(engine)
    }
}
