//! Group commit, without the thread: many waiting writes become one batch and one sync.

use crate::log::{self, check_fences};
use crate::{Safety, SafetyError, SafetyFile, SafetyPolicy, Store, StoreError, Table, WriteBatch};
use crypto::{Epoch, View};
use std::sync::Arc;
use thiserror::Error;

/// A write that waits.
#[derive(Clone, Debug)]
pub struct Job<T> {
    /// Comes back when the job is done.
    pub token: T,
    /// What to write.
    pub batch: WriteBatch,
    /// Whether it must be durable before its token comes back. A job without is in the store when
    /// its token comes back, and durable with the next that needs it.
    pub sync: bool,
    /// The view at the time, for the safety file.
    pub view: View,
}

/// Why the process must stop. Nothing is released any more, and nothing is retried.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CommitError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The safety file failed.
    #[error(transparent)]
    Safety(#[from] SafetyError),
    /// An earlier group failed.
    #[error("an earlier write failed: nothing is written after it")]
    Stopped,
}

/// What a group did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed<T> {
    /// The jobs' tokens, in their order.
    pub tokens: Vec<T>,
    /// The fence that was released, if the group was synced.
    pub fence: Option<u64>,
}

/// Writes groups. Owned by one thread (the simulator has one for each node).
pub struct GroupCommit {
    log: Arc<dyn Store>,
    file: Box<dyn SafetyFile>,
    policy: SafetyPolicy,
    last: Safety,
    /// What the file says.
    told: Safety,
    stopped: bool,
}

impl GroupCommit {
    /// Goes on from the fence in the database. `last` is what the safety file says, which is
    /// written as `policy` wants it; a node whose verdict was to refuse makes none of these.
    ///
    /// # Errors
    /// [`StoreError`], also if fences are missing; [`SafetyError`].
    pub fn new(
        log: Arc<dyn Store>,
        mut file: Box<dyn SafetyFile>,
        last: Safety,
        policy: SafetyPolicy,
    ) -> Result<Self, CommitError> {
        let fence = check_fences(&*log)?;
        let now = Safety { fence, ..last };
        if fence > last.fence {
            // What was not released before the crash may be released now, without a fence of its
            // own: a promise that is only sent again.
            file.write(&now)?;
        }
        Ok(Self {
            log,
            file,
            policy,
            last: now,
            told: now,
            stopped: false,
        })
    }
    /// The last fence.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.last.fence
    }
    /// From now on the safety file names this epoch.
    pub fn set_epoch(&mut self, epoch: Epoch) {
        self.last.epoch = epoch;
    }
    /// Writes all jobs as one batch. If one of them asks for it: with the next fence, then one
    /// sync, then the safety file if the policy wants it. The tokens come back only when all of
    /// that is done.
    ///
    /// # Errors
    /// Stop the process: what is on disk is unknown. Every later call fails as well.
    pub fn commit<T>(&mut self, jobs: Vec<Job<T>>) -> Result<Committed<T>, CommitError> {
        if self.stopped {
            return Err(CommitError::Stopped);
        }
        self.stopped = true;
        let done = self.write(jobs)?;
        self.stopped = false;
        Ok(done)
    }
    /// An orderly end: syncs what is written, and has the safety file name the last fence, however
    /// seldom it was written before.
    ///
    /// # Errors
    /// As [`GroupCommit::commit`].
    pub fn finish(mut self) -> Result<(), CommitError> {
        if self.stopped {
            return Err(CommitError::Stopped);
        }
        self.log.sync()?;
        if self.told != self.last {
            self.file.write(&self.last)?;
        }
        Ok(())
    }
    fn write<T>(&mut self, jobs: Vec<Job<T>>) -> Result<Committed<T>, CommitError> {
        let mut all = WriteBatch::new();
        let mut tokens = Vec::with_capacity(jobs.len());
        let mut sync = false;
        for job in jobs {
            all.append(job.batch);
            tokens.push(job.token);
            sync |= job.sync;
            self.last.view = self.last.view.max(job.view);
        }
        if !sync {
            if !all.is_empty() {
                self.log.write(all)?;
            }
            return Ok(Committed {
                tokens,
                fence: None,
            });
        }
        let promises = all.ops().iter().any(|op| op.table() == Table::Guard);
        let fence = self.last.fence + 1;
        log::put_fence(&mut all, fence);
        self.log.write(all)?;
        if crypto::planted!(AnswerBeforeSync) {
            self.last.fence = fence;
            return Ok(Committed {
                tokens,
                fence: Some(fence),
            });
        }
        self.log.sync()?;
        self.last.fence = fence;
        if self.policy.wants(&self.told, &self.last, promises) {
            self.file.write(&self.last)?;
            self.told = self.last;
        }
        Ok(Committed {
            tokens,
            fence: Some(fence),
        })
    }
}

#[cfg(test)]
mod tests;
