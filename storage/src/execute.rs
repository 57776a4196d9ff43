//! Runs the state machine over the committed log.
//!
//! The executor pulls commits by height and writes changes and applied height in one atomic batch,
//! without a write-ahead log: what a crash loses is executed again from the log, with the same
//! result. So before state may reach the disk the log is synced, else the state could be ahead of it.

use crate::kv::{HEIGHT_RESULTS, Limits, Machine, Overlay, Receipt, Recent};
use crate::staged::Staged;
use crate::{Commit, Log, REBUILD_STATE, Read, Store, StoreError, Table};
use bytes::Bytes;
use crypto::{Digest, Height, SealedBatch, Time, codec};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use thiserror::Error;

/// Key of [`Applied`] in [`Table::Applied`].
const APPLIED: &[u8] = b"applied";

/// How far the state is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The last executed height; 0: the empty state of genesis.
    pub height: Height,
    /// The log's history there.
    pub history: Digest,
    /// The state digest there: H(previous, height, commit changes), [`Digest::ZERO`] at genesis.
    pub state: Digest,
    /// The revision of the last write.
    pub revision: u64,
}

impl Applied {
    /// Reads it from a state store.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn load(state: &(impl Read + ?Sized)) -> Result<Self, StoreError> {
        let Some(row) = state.get(Table::Applied, APPLIED)? else {
            return Ok(Self::default());
        };
        codec::decode(&row).map_err(|error| StoreError::Damaged {
            at: "data/state".into(),
            what: format!("the applied height is {error}"),
            way_out: REBUILD_STATE,
        })
    }
}

/// When state is moved to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushPolicy {
    /// After so many bytes of writes, their overhead in memory included. Less than would make the
    /// backend flush by itself, without a sync of the log before. Nothing is executed while they
    /// go to the backend.
    pub bytes: u64,
    /// After so long since the first write that is not flushed.
    pub age: Time,
}

impl Default for FlushPolicy {
    fn default() -> Self {
        Self {
            bytes: 16 << 20,
            age: Time::millis(60_000),
        }
    }
}

/// An executor's configuration.
#[derive(Clone, Copy, Debug)]
pub struct ExecutorConfig {
    /// Of the genesis file.
    pub limits: Limits,
    /// When state is moved to disk.
    pub flush: FlushPolicy,
    /// Heights are executed in one step until their batches have so many bytes.
    pub step_bytes: usize,
}

impl ExecutorConfig {
    /// With these limits and the defaults.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            flush: FlushPolicy::default(),
            step_bytes: 1 << 20,
        }
    }
}

/// An executed height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Height.
    pub height: Height,
    /// State digest there.
    pub state: Digest,
    /// One for each transaction, in order.
    pub receipts: Vec<Receipt>,
}

/// Why execution cannot go on. All of them stop the process.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExecuteError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A commit that does not follow from the one before.
    #[error(
        "data/log is damaged: the history of height {height}; replace the node or restore its newest backup"
    )]
    BadLog {
        /// Of which height.
        height: Height,
    },
    /// The state does not come from this log.
    #[error(
        "data/state is at height {state}, data/log at {log}, or they differ there: delete data/state, it is rebuilt from the log"
    )]
    NotThisLog {
        /// The state's height.
        state: Height,
        /// The log's.
        log: Height,
    },
}

/// Executes committed heights. Owned by one thread.
pub struct Executor {
    log: Log,
    /// Heights to come that need not be read from the log.
    handed: VecDeque<Commit>,
    state: Recent,
    machine: Machine,
    applied: Applied,
    config: ExecutorConfig,
    since: Option<Time>,
    waits: bool,
}

impl Executor {
    /// Goes on from the applied height in `state`.
    ///
    /// # Errors
    /// [`ExecuteError::NotThisLog`], or the store's.
    pub fn open(
        log: Log,
        state: Arc<dyn Store>,
        config: ExecutorConfig,
    ) -> Result<Self, ExecuteError> {
        let applied = Applied::load(&*state)?;
        if applied.height > Height(0) {
            let there = log.commit(applied.height)?;
            if there.is_none_or(|row| row.history != applied.history) {
                let last = log.last_commit()?.map_or(Height(0), |row| row.height);
                return Err(ExecuteError::NotThisLog {
                    state: applied.height,
                    log: last,
                });
            }
        }
        let revision = if crypto::planted!(DigestDrifts) {
            0
        } else {
            applied.revision
        };
        let machine = Machine::load(&*state, revision, config.limits)?;
        Ok(Self {
            log,
            handed: VecDeque::new(),
            state: Recent::new(Arc::new(Staged::new(state))),
            machine,
            applied,
            config,
            since: None,
            waits: false,
        })
    }
    /// The state as executed, for readers: what the backend has and what is still gathered.
    #[must_use]
    pub fn state(&self) -> Arc<dyn Store> {
        self.state.store().clone()
    }
    /// How far it is.
    #[must_use]
    pub fn applied(&self) -> Applied {
        self.applied
    }
    /// How many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.machine.sessions()
    }
    /// Whether the last step left out what could be executed, until the log holds what was: so much is
    /// gathered that it has to be flushed first.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waits
    }
    /// Hands it committed heights that it need not read from the log when it comes to them: in
    /// order, and behind all that it was handed before.
    pub fn hand(&mut self, commit: impl IntoIterator<Item = Commit>) {
        self.handed.extend(commit);
    }
    /// Executes the next heights that it was handed or that the log holds, up to `to` and one step's
    /// bytes, of batches or of results; at least one, if it is there and the executor does not wait for the log
    /// ([`Self::waits`]). Call again until nothing comes, and when the log has grown.
    ///
    /// # Errors
    /// Stop the process.
    pub fn step(&mut self, now: Time, to: Height) -> Result<Vec<Executed>, ExecuteError> {
        let mut executed = Vec::new();
        self.waits = false;
        if self.applied.height >= to {
            self.state.store().go_on()?;
            self.flush_if_due(now)?;
            return Ok(executed);
        }
        // What is gathered must not grow while the log stands still: with more than fits into its
        // memory the backend would flush a part of it.
        self.waits = self.is_full() && !self.flush(false)?;
        if self.waits {
            return Ok(executed);
        }
        let mut next = VecDeque::from(self.next(to)?);
        if next.is_empty() {
            return Ok(executed);
        }
        let mut over = Overlay::new(&self.state);
        let mut applied = self.applied;
        let mut told = 0;
        while told < HEIGHT_RESULTS
            && let Some(commit) = next.pop_front()
        {
            let height = commit.height;
            if !commit.follows(&applied.history) {
                return Err(ExecuteError::BadLog { height });
            }
            let batches = commit.batches.iter();
            let transactions = batches.flat_map(|it| &it.batch().transactions);
            let (state, receipts) =
                self.machine
                    .height(&mut over, height, &applied.state, transactions)?;
            told += self.machine.told();
            applied = Applied {
                height,
                history: commit.history,
                state,
                revision: self.machine.revision(),
            };
            executed.push(Executed {
                height,
                state,
                receipts,
            });
        }
        next.append(&mut self.handed);
        self.handed = next;
        over.put(
            Table::Applied,
            Bytes::from_static(APPLIED),
            codec::encode(&applied).into(),
        );
        self.state.write(over.into_layer())?;
        self.applied = applied;
        self.since.get_or_insert(now);
        self.flush_if_due(now)?;
        Ok(executed)
    }
    /// What is to be executed next: up to `to`, one step's bytes, and as far as it is there.
    fn next(&mut self, to: Height) -> Result<Vec<Commit>, StoreError> {
        let first = self.applied.height.next();
        while self.handed.front().is_some_and(|it| it.height < first) {
            self.handed.pop_front();
        }
        let end = self.handed.front().map_or(to, |it| it.height.previous());
        let end = end.min(to).next();
        let mut list = Vec::new();
        let mut bytes = 0;
        if first < end {
            let rows = usize::try_from(end.0 - first.0).unwrap_or(usize::MAX);
            let rows = rows.min(STEP_HEIGHTS);
            for row in self.log.commits(first, rows, self.config.step_bytes)? {
                let batches = self.log.batches(&row)?;
                bytes += size(&batches);
                list.push(Commit {
                    height: row.height,
                    history: row.history,
                    batches,
                });
                if bytes >= self.config.step_bytes {
                    break;
                }
            }
            return Ok(list);
        }
        let mut height = first;
        while bytes < self.config.step_bytes
            && list.len() < STEP_HEIGHTS
            && height <= to
            && self.handed.front().is_some_and(|it| it.height == height)
        {
            height = height.next();
            let next = self.handed.pop_front();
            bytes += next.as_ref().map_or(0, |it| size(&it.batches));
            list.extend(next);
        }
        Ok(list)
    }
    /// Moves the state to disk, the log first. False: nothing was done, since what was executed as it
    /// was handed over is not in the log yet.
    ///
    /// # Errors
    /// Stop the process.
    pub fn flush(&mut self, wait: bool) -> Result<bool, ExecuteError> {
        if !crypto::planted!(StateAhead) {
            let height = self.applied.height;
            if height > Height(0) && self.log.commit(height)?.is_none() {
                return Ok(false);
            }
            self.log.store().sync()?;
        }
        self.state.store().flush(wait)?;
        self.since = None;
        Ok(true)
    }
    /// Whether so much is gathered that it is flushed.
    fn is_full(&self) -> bool {
        self.state.store().bytes() >= self.config.flush.bytes
    }
    fn flush_if_due(&mut self, now: Time) -> Result<(), ExecuteError> {
        let age = self.config.flush.age;
        let old = self.since.is_some_and(|since| now.since(since) >= age);
        if old || self.is_full() {
            self.flush(false)?;
        }
        Ok(())
    }
}

/// Most heights in one step.
const STEP_HEIGHTS: usize = 256;

fn size(batches: &[SealedBatch]) -> usize {
    batches.iter().map(|batch| batch.bytes().len()).sum()
}

#[cfg(test)]
mod tests;
