//! What clients asked for and were told in a round, and whether it can be true: S8 and S9.

use super::failures::broken;
use crate::check::{Cell, Check as _, Linearizable, Seen, Step, Way};
use crate::sim::history;
use anyhow::Result;
use quorate::client::ClientError;
use quorate::rpc::proto::operation_result;
use quorate::rpc::proto::{KeyValue, OperationResult, RangeResponse, Receipt};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::kv::{Pair, Reply, Request};
use tokio::time::Instant;
use tonic::Code;

/// Something that was asked for and not yet answered.
#[derive(Debug)]
pub struct Open {
    operation: u64,
    begun: Instant,
    /// What was acknowledged before, to anybody.
    acknowledged: u64,
}

/// What became of all that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Asked for.
    pub operations: u64,
    /// Answered with a result.
    pub answered: u64,
    /// The longest that one of these waited.
    pub slowest: Duration,
    /// Why others had none, by gRPC code, and how often.
    pub failures: BTreeMap<String, u64>,
}

/// The history of a round, kept by all its clients together.
#[derive(Default)]
pub struct Book(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    check: Linearizable,
    last: u64,
    /// The highest height that anybody was told of.
    acknowledged: u64,
    tally: Tally,
    /// The first thing that was wrong at once.
    wrong: Option<String>,
    /// The first answer that nobody should have got.
    refused: Option<String>,
    /// Unique keys, and what was written to them.
    journal: Journal,
}

/// What was written once, to keys of its own.
#[derive(Clone, Debug, Default)]
pub struct Journal(BTreeMap<String, Entry>);

#[derive(Clone, Debug)]
struct Entry {
    value: String,
    acknowledged: bool,
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client is about to submit this.
    pub fn asks(&self, request: &Request) -> Open {
        let mut inner = self.lock();
        let open = inner.open();
        inner.see(Seen::Called {
            operation: open.operation,
            on: history::called(request),
        });
        open
    }

    /// He is told that it took effect.
    pub fn told(&self, open: &Open, request: &Request, receipt: &Receipt) {
        let replies = replies(receipt);
        let mut inner = self.lock();
        inner.acknowledged = inner.acknowledged.max(receipt.height);
        inner.answered(open);
        inner.see(Seen::Returned {
            operation: open.operation,
            told: history::returned(request, receipt.succeeded, replies.as_deref()),
        });
    }

    /// He is told nothing in time, or that it has expired: it may still have taken effect. There is
    /// nothing else that an honest client may be told.
    pub fn failed(&self, error: &ClientError) {
        let code = error.code();
        let mut inner = self.lock();
        let failures = &mut inner.tally.failures;
        *failures.entry(format!("{code:?}")).or_default() += 1;
        if !matches!(code, Code::DeadlineExceeded | Code::FailedPrecondition) {
            inner.refused.get_or_insert(format!("{code:?}: {error}"));
        }
    }

    /// A client is about to read this key.
    pub fn reads(&self, key: &str) -> Open {
        let mut inner = self.lock();
        let open = inner.open();
        let skip = Way {
            guard: None,
            step: Step::Skip,
        };
        inner.see(Seen::Called {
            operation: open.operation,
            on: vec![(key.into(), vec![skip])],
        });
        open
    }

    /// He saw this.
    pub fn saw(&self, open: &Open, key: &str, response: &RangeResponse) {
        let mut inner = self.lock();
        if response.height < open.acknowledged && inner.wrong.is_none() {
            inner.wrong = Some(format!(
                "a read of {key} was served at height {}; height {} was acknowledged before it began",
                response.height, open.acknowledged
            ));
        }
        inner.answered(open);
        let step = Step::Get(response.kvs.first().map(cell));
        inner.see(Seen::Returned {
            operation: open.operation,
            told: vec![(key.into(), Way { guard: None, step })],
        });
    }

    /// He saw nothing: as if he had not asked.
    pub fn saw_nothing(&self, open: &Open, error: &ClientError) {
        self.failed(error);
        self.lock().see(Seen::Returned {
            operation: open.operation,
            told: Vec::new(),
        });
    }

    /// A client is about to write this key, for the first and only time.
    pub fn notes(&self, key: &str, value: &str) -> Open {
        let mut inner = self.lock();
        let entry = Entry {
            value: value.to_owned(),
            acknowledged: false,
        };
        inner.journal.0.insert(key.to_owned(), entry);
        inner.open()
    }

    /// He is told that it is written.
    pub fn noted(&self, open: &Open, key: &str, receipt: &Receipt) {
        let mut inner = self.lock();
        inner.acknowledged = inner.acknowledged.max(receipt.height);
        inner.answered(open);
        if let Some(entry) = inner.journal.0.get_mut(key) {
            entry.acknowledged = true;
        }
    }

    /// What became of all so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.lock().tally.clone()
    }

    /// Judges what clients saw (S9), and hands over what has to be there from now on.
    ///
    /// # Errors
    /// What no order of the operations explains, or a refusal that nobody earned.
    pub fn close(self) -> Result<Journal> {
        let mut inner = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(wrong) = inner.wrong {
            return Err(broken("S9", wrong));
        }
        inner.check.finish().map_err(|what| broken("S9", what))?;
        match inner.refused {
            Some(refused) => Err(broken("clients", format!("one was told {refused}"))),
            None => Ok(inner.journal),
        }
    }
}

impl Inner {
    fn open(&mut self) -> Open {
        self.last += 1;
        self.tally.operations += 1;
        Open {
            operation: self.last,
            begun: Instant::now(),
            acknowledged: self.acknowledged,
        }
    }

    fn answered(&mut self, open: &Open) {
        self.tally.answered += 1;
        self.tally.slowest = self.tally.slowest.max(open.begun.elapsed());
    }

    fn see(&mut self, seen: Seen) {
        if let Err(wrong) = self.check.see(&seen) {
            self.wrong.get_or_insert(wrong);
        }
    }
}

impl Journal {
    /// Takes over another's entries.
    pub fn extend(&mut self, other: Journal) {
        self.0.extend(other.0);
    }

    /// How many writes of it were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.0.values().filter(|entry| entry.acknowledged).count()
    }

    /// Judges what is found where all of it should be, and nothing else (S8).
    ///
    /// # Errors
    /// An acknowledged write that is not there, or something that nobody wrote.
    pub fn judge(&self, found: &BTreeMap<String, String>) -> Result<()> {
        for (key, entry) in &self.0 {
            match found.get(key) {
                None if entry.acknowledged => {
                    return Err(broken("S8", format!("{key} was acknowledged and is lost")));
                }
                Some(value) if *value != entry.value => {
                    let what = format!("{key} holds {value:?}, written was {:?}", entry.value);
                    return Err(broken("S8", what));
                }
                _ => {}
            }
        }
        match found.keys().find(|key| !self.0.contains_key(*key)) {
            Some(key) => Err(broken("S8", format!("nobody wrote {key}, and it is there"))),
            None => Ok(()),
        }
    }
}

fn cell(pair: &KeyValue) -> Cell {
    Cell {
        value: pair.value.to_vec(),
        version: pair.version,
    }
}

/// The results in a receipt; `None` if they were too long to be kept.
fn replies(receipt: &Receipt) -> Option<Vec<Reply>> {
    if receipt.results_dropped {
        return None;
    }
    receipt.results.iter().map(reply).collect()
}

fn reply(result: &OperationResult) -> Option<Reply> {
    Some(match result.result.as_ref()? {
        operation_result::Result::Put(put) => Reply::Put {
            version: put.version,
        },
        operation_result::Result::Delete(delete) => Reply::Delete {
            existed: delete.existed,
        },
        operation_result::Result::Range(range) => Reply::Range {
            pairs: range.kvs.iter().map(pair).collect(),
            more: range.more,
        },
    })
}

fn pair(it: &KeyValue) -> Pair {
    Pair {
        key: it.key.clone(),
        value: it.value.clone(),
        created: it.create_revision,
        modified: it.mod_revision,
        version: it.version,
    }
}

#[cfg(test)]
mod tests;
