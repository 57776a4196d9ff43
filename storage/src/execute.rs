//! Runs the state machine over the committed log.
//!
//! The executor pulls commits by height and writes changes and applied height in one atomic batch,
//! without a write-ahead log: what a crash loses is executed again from the log, with the same
//! result. So before state may reach the disk the log is synced, else the state could be ahead of it.

use crate::kv::{Limits, Machine, Overlay, Receipt, Recent};
use crate::staged::Staged;
use crate::{CommitRow, Log, REBUILD_STATE, Read, Store, StoreError, Table};
use bytes::Bytes;
use crypto::batch::Batch;
use crypto::{Digest, Height, Payload, Time, codec};
use serde::{Deserialize, Serialize};
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
    /// The state digest there: H(previous, height, ordered changes), [`Digest::ZERO`] at genesis.
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
    /// A commit without its data. Commits are written after their batches, so the log is damaged.
    #[error(
        "data/log is damaged: batch {digest} of height {height} is missing; replace the node or restore its newest backup"
    )]
    MissingBatch {
        /// Of which height.
        height: Height,
        /// Which batch.
        digest: Digest,
    },
    /// A batch that does not decode, or a commit that does not follow from the one before.
    #[error(
        "data/log is damaged: {what} of height {height}; replace the node or restore its newest backup"
    )]
    BadLog {
        /// What is wrong.
        what: String,
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
    staged: Arc<Staged>,
    state: Recent,
    machine: Machine,
    applied: Applied,
    config: ExecutorConfig,
    since: Option<Time>,
}

impl Executor {
    /// Goes on from the applied height in `state`.
    ///
    /// # Errors
    /// [`ExecuteError::NotThisLog`], or the store's.
    pub fn open(
        log: Arc<dyn Store>,
        state: Arc<dyn Store>,
        config: ExecutorConfig,
    ) -> Result<Self, ExecuteError> {
        let log = Log::new(log);
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
        let staged = Arc::new(Staged::new(state));
        Ok(Self {
            log,
            state: Recent::new(Arc::clone(&staged) as Arc<dyn Store>),
            staged,
            machine,
            applied,
            config,
            since: None,
        })
    }
    /// The state as executed, for readers: what the backend has and what is still gathered.
    #[must_use]
    pub fn state(&self) -> Arc<dyn Store> {
        Arc::clone(&self.staged) as Arc<dyn Store>
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
    /// Executes the next heights that the log holds, up to `to` and one step's bytes; at least one,
    /// if it is there. Call again until nothing comes.
    ///
    /// # Errors
    /// Stop the process.
    pub fn step(&mut self, now: Time, to: Height) -> Result<Vec<Executed>, ExecuteError> {
        let mut executed = Vec::new();
        if self.applied.height >= to {
            self.flush_if_due(now)?;
            return Ok(executed);
        }
        let rows = usize::try_from(to.0 - self.applied.height.0)
            .unwrap_or(usize::MAX)
            .min(256);
        let commits = self
            .log
            .commits(self.applied.height.next(), rows, self.config.step_bytes)?;
        if commits.is_empty() {
            return Ok(executed);
        }
        let mut over = Overlay::new(&self.state);
        let mut applied = self.applied;
        let mut bytes = 0;
        for commit in &commits {
            let batches = self.batches(&applied, commit, &mut bytes)?;
            let transactions = batches.iter().flat_map(|batch| &batch.transactions);
            let (digest, receipts) =
                self.machine
                    .height(&mut over, commit.height, &applied.state, transactions)?;
            applied = Applied {
                height: commit.height,
                history: commit.history,
                state: digest,
                revision: self.machine.revision(),
            };
            executed.push(Executed {
                height: commit.height,
                state: digest,
                receipts,
            });
            if bytes >= self.config.step_bytes {
                break;
            }
        }
        over.put(
            Table::Applied,
            Bytes::from_static(APPLIED),
            codec::encode(&applied).into(),
        );
        self.state.write(over.into_batch())?;
        self.applied = applied;
        self.since.get_or_insert(now);
        self.flush_if_due(now)?;
        Ok(executed)
    }
    /// Moves the state to disk, the log first.
    ///
    /// # Errors
    /// Stop the process.
    pub fn flush(&mut self, wait: bool) -> Result<(), ExecuteError> {
        if !crypto::planted!(StateAhead) {
            self.log.store().sync()?;
        }
        self.staged.flush(wait)?;
        self.since = None;
        Ok(())
    }
    fn flush_if_due(&mut self, now: Time) -> Result<(), ExecuteError> {
        let policy = self.config.flush;
        let old = self
            .since
            .is_some_and(|since| now.since(since) >= policy.age);
        if old || self.staged.bytes() >= policy.bytes {
            self.flush(false)
        } else {
            Ok(())
        }
    }
    fn batches(
        &self,
        before: &Applied,
        commit: &CommitRow,
        bytes: &mut usize,
    ) -> Result<Vec<Batch>, ExecuteError> {
        let height = commit.height;
        let bad = |what: String| ExecuteError::BadLog { what, height };
        if commit.payload.extend_history(&before.history, height) != commit.history {
            return Err(bad("the history".into()));
        }
        let encoded: Vec<Bytes> = match &commit.payload {
            Payload::Inline(batches) => batches.clone(),
            Payload::Refs(refs) => {
                let load = |digest: Digest| {
                    let missing = ExecuteError::MissingBatch { height, digest };
                    self.log.batch(&digest)?.ok_or(missing)
                };
                refs.iter()
                    .map(|batch| load(batch.digest))
                    .collect::<Result<_, _>>()?
            }
        };
        let decode = |batch: &Bytes| {
            *bytes += batch.len();
            codec::decode(batch).map_err(|error| bad(format!("a batch ({error})")))
        };
        encoded.iter().map(decode).collect()
    }
}

#[cfg(test)]
mod tests;
