//! Reads of the executed state, from any thread.

use crate::kv::{Budget, Found, Limits, Pair, Receipt, Span, entries, entry, range};
use crate::{Applied, Store, StoreError};
use bytes::Bytes;
use crypto::PublicKey;
use std::sync::Arc;
use thiserror::Error;

/// Reads the state as of its applied height. Cheap to clone.
#[derive(Clone)]
pub struct StateReader {
    state: Arc<dyn Store>,
    limits: Limits,
}

/// Pairs of a span, all of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeResult {
    /// In order of keys.
    pub pairs: Vec<Pair>,
    /// Whether a limit cut it short.
    pub more: bool,
    /// Where to go on, if a limit cut it short.
    pub next: Option<Bytes>,
    /// How far the state was.
    pub applied: Applied,
}

/// What a client needs in order to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionStatus {
    /// One more than his highest executed sequence; 1 for one who has no session.
    pub next: u64,
    /// How far the state was.
    pub applied: Applied,
}

/// Why a read failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A revision that does not exist here yet.
    #[error("revision {asked} does not exist yet; the newest here is {newest}")]
    FutureRevision {
        /// The one asked for.
        asked: u64,
        /// The newest one.
        newest: u64,
    },
}

impl StateReader {
    /// Reads from this store.
    #[must_use]
    pub fn new(state: Arc<dyn Store>, limits: Limits) -> Self {
        Self { state, limits }
    }
    /// How far the state is.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn applied(&self) -> Result<Applied, StoreError> {
        Applied::load(&*self.state)
    }
    /// Pairs of a span. `limit`: 0 for as many as the limits allow; `revision`: 0 for now.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn range(&self, span: &Span, limit: u32, revision: u64) -> Result<RangeResult, ReadError> {
        let view = self.state.snapshot();
        let applied = Applied::load(&*view)?;
        if revision > applied.revision {
            return Err(ReadError::FutureRevision {
                asked: revision,
                newest: applied.revision,
            });
        }
        let mut budget = Budget::new(&self.limits);
        budget.limit(limit, &self.limits);
        let Found { pairs, more, next } = if revision == 0 {
            range(&*view, span, 0, &mut budget)?
        } else {
            // A walk through old versions may be long, and writers wait for views. What was written
            // up to this revision does not change any more, so each page may be of another moment.
            drop(view);
            range(&*self.state, span, revision, &mut budget)?
        };
        let behind = pairs.last().filter(|_| more).map(Pair::behind);
        Ok(RangeResult {
            next: next.or(behind),
            pairs,
            more,
            applied,
        })
    }
    /// The next sequence of a client.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn session(&self, client: &PublicKey) -> Result<SessionStatus, StoreError> {
        let view = self.state.snapshot();
        let highest = entries(&*view, client)?
            .iter()
            .map(|entry| entry.sequence)
            .max();
        let next = highest.map_or(1, |sequence| sequence.saturating_add(1));
        Ok(SessionStatus {
            next,
            applied: Applied::load(&*view)?,
        })
    }
    /// The stored result of a transaction, while its session keeps it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn receipt(
        &self,
        client: &PublicKey,
        sequence: u64,
    ) -> Result<Option<Receipt>, StoreError> {
        let entry = entry(&*self.state, client, sequence, self.limits.window)?;
        Ok(entry
            .filter(|entry| entry.sequence == sequence)
            .map(|entry| entry.receipt(*client)))
    }
}
