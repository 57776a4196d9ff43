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
use crypto::{BatchRef, Digest, Height, Payload, SealedBatch, Signer, Time};
use mempool::Mempool;
use std::collections::{BTreeMap, VecDeque};
use storage::{Applied, CommitRow, Log, REPLACE_NODE, Scan, StoreError, Table, successor};

/// Commits read at a time.
const CHUNK: usize = 1024;
/// Bytes of commits read at a time.
const CHUNK_BYTES: usize = 8 << 20;

/// All that an earlier run left, in memory: as much as a run may hold, however long the log is and
/// however little of it is executed.
pub struct Recovered<P: Protocol> {
    stored: Stored<P>,
    pool: mempool::Recovered,
    /// Committed, and perhaps without their payload: those above the pool's height.
    unavailable: Vec<(Height, Payload)>,
    /// Stored batches that will not be ordered any more, and whether they are committed.
    useless: Vec<(Digest, bool)>,
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
        stored.state = (applied.height > Height(0)).then_some(applied.state);
        let mut recovered = Self {
            stored,
            pool: mempool::Recovered::default(),
            unavailable: Vec::new(),
            useless: Vec::new(),
            applied,
        };
        // Nothing is ordered so far ahead of what is executed, and all that was executed once is in the
        // log: only the last heights may lack payload, and the executor reads the others there.
        let backlog = setup.pool.backlog as u64;
        recovered.pool.height = applied.height.max(Height(tip.0.saturating_sub(backlog)));
        recovered.read_commits(setup, log)?;
        recovered.read_batches(setup, log)?;
        Ok(recovered)
    }

    /// Commits that may still matter to the pool: of the batches in them, as many as it remembers.
    fn read_commits(&mut self, setup: &Setup, log: &Log) -> Result<(), StoreError> {
        let (executed, base) = (self.applied.height, self.pool.height);
        let from = Height(base.0.saturating_sub(setup.pool.lifetime.saturating_mul(2))).next();
        each_commit(log, from, Height(u64::MAX), |row| {
            if row.height >= executed {
                self.stored.histories.push((row.height, row.history));
            }
            if row.height > base {
                self.unavailable.push((row.height, row.payload));
            } else if let Payload::Refs(refs) = row.payload {
                for r in refs {
                    if r.author == setup.config.me {
                        self.pool.number = self.pool.number.max(r.number);
                    }
                    if r.expires > base {
                        self.pool.committed.insert(&setup.pool, r);
                    }
                }
            }
        })
    }

    /// Batches that are stored and not committed: those that the pool has room for, the names of those
    /// that it has not, and what is of no use any more.
    fn read_batches(&mut self, setup: &Setup, log: &Log) -> Result<(), StoreError> {
        let mut names = names(log)?;
        let own = names.iter().filter(|r| r.author == setup.config.me);
        let last = own.map(|r| r.number).max().unwrap_or(0);
        self.pool.number = self.pool.number.max(last);
        names.sort_by_key(|r| (r.number, r.author));
        let mut room = Room::new(&setup.pool);
        let mut useless = BTreeMap::new();
        for reference in names {
            let digest = reference.digest;
            if reference.expires <= self.pool.height {
                useless.insert(digest, reference.expires);
            } else if !room.take(&reference) {
                self.pool.names.push(reference);
            } else {
                self.pool.batches.push(batch(log, &reference)?);
            }
        }
        self.useless = tell_committed(log, setup.pool.lifetime, &useless)?;
        Ok(())
    }
}

/// What of the stored batches is read: as much as the pool keeps in memory.
struct Room<'a> {
    pool: &'a mempool::Config,
    /// Batches and bytes of each author.
    authors: Vec<(usize, usize)>,
    /// And above the quotas.
    extra: (usize, usize),
}

impl<'a> Room<'a> {
    fn new(pool: &'a mempool::Config) -> Self {
        Self {
            pool,
            authors: vec![(0, 0); pool.n],
            extra: (0, 0),
        }
    }

    /// Whether there is room for a batch; it is taken then.
    fn take(&mut self, reference: &BatchRef) -> bool {
        let bytes = reference.bytes as usize;
        let fits = |(count, sum): &(usize, usize), batches, most| {
            *count < batches && sum.saturating_add(bytes) <= most
        };
        let (batches, most) = (self.pool.author_batches, self.pool.author_bytes);
        let own = self.authors.get_mut(reference.author.index());
        let account = match own.filter(|own| fits(own, batches, most)) {
            Some(own) => own,
            None if fits(&self.extra, self.pool.extra_batches, self.pool.extra_bytes) => {
                &mut self.extra
            }
            None => return false,
        };
        account.0 += 1;
        account.1 += bytes;
        true
    }
}

/// The names of the batches that are stored and not committed.
fn names(log: &Log) -> Result<Vec<BatchRef>, StoreError> {
    let mut keys = Scan::range(
        Bytes::from_static(&[UNCOMMITTED]),
        Some(Bytes::from_static(&[UNCOMMITTED + 1])),
    );
    keys.rows = CHUNK;
    let mut list = Vec::new();
    loop {
        let rows = log.store().scan(Table::Meta, &keys)?;
        let Some((last, _)) = rows.last() else {
            return Ok(list);
        };
        keys.from = successor(last);
        for (_, value) in rows {
            list.push(rows::decode(&value, "the name of a batch")?);
        }
    }
}

/// A batch that is stored under its name: this node may have voted for it.
fn batch(log: &Log, name: &BatchRef) -> Result<SealedBatch, StoreError> {
    let damaged = |what: &str| rows::damaged(&format!("batch {} is {what}", name.digest));
    let bytes = log.batch(&name.digest)?.ok_or_else(|| damaged("missing"))?;
    let batch = SealedBatch::open(bytes).map_err(|error| damaged(&error.to_string()))?;
    if batch.reference() == *name {
        Ok(batch)
    } else {
        Err(damaged("not the one that its name tells of"))
    }
}

/// Looks at the commits from one height to another, ascending.
fn each_commit(
    log: &Log,
    mut from: Height,
    to: Height,
    mut look: impl FnMut(CommitRow),
) -> Result<(), StoreError> {
    while from <= to {
        let commits = log.commits(from, CHUNK, CHUNK_BYTES)?;
        let Some(last) = commits.last() else {
            return Ok(());
        };
        from = last.height.next();
        commits.into_iter().for_each(&mut look);
    }
    Ok(())
}

/// Which of these batches, given with their expiries, are committed: no block holds one that expired
/// before, or that expires more than two lifetimes later.
fn tell_committed(
    log: &Log,
    lifetime: u64,
    batches: &BTreeMap<Digest, Height>,
) -> Result<Vec<(Digest, bool)>, StoreError> {
    let expiries = || batches.values().copied();
    let mut told: BTreeMap<Digest, bool> = batches.keys().map(|digest| (*digest, false)).collect();
    if let (Some(first), Some(last)) = (expiries().min(), expiries().max()) {
        let from = Height(first.0.saturating_sub(lifetime.saturating_mul(2)).max(1));
        each_commit(log, from, last, |row| {
            for reference in row.payload.references().iter() {
                if let Some(committed) = told.get_mut(&reference.digest) {
                    *committed = true;
                }
            }
        })?;
    }
    Ok(told.into_iter().collect())
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
            unavailable,
            useless,
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
        let available = pool.height;
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
            proofs: VecDeque::new(),
            loading: BTreeMap::new(),
            last_load: 0,
            pending: None,
            now,
            setup,
        };
        for (digest, committed) in useless {
            rows::drop_batch(&digest, committed, &mut engine.writing.batch);
        }
        engine.execution.available(available, 0);
        engine.may_execute(None, out);
        for (height, payload) in unavailable {
            let by_leader = false;
            engine.tell_pool(mempool::Input::Committed {
                height,
                payload,
                by_leader,
            });
        }
        engine.tell_pool(mempool::Input::Tick);
        // Before anything that follows from the above is written: what waits for a fence is to wait for
        // the write of that fence.
        for effect in effects {
            engine.order(effect, out);
        }
        engine.settle(out);
        Ok(engine)
    }
}

#[cfg(test)]
mod tests;
