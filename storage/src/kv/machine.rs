//! One transaction after the other.

use super::range::{Found, head};
use super::rows::{Head, Version, history_key};
use super::session::Sessions;
use super::{
    Budget, Compare, Entry, Limits, Operation, Outcome, Overlay, Pair, Receipt, Reply, Request,
    Test, damaged, entry, range, validate,
};
use crate::{Read, StoreError, Table};
use bytes::Bytes;
use crypto::{Digest, Height, Transaction};

/// Once the ranges of a height have returned so many bytes, those of later transactions at that height
/// are not told ([`Outcome::Done`] without replies), nor even read: many small transactions could ask for
/// more than a node has memory.
pub const HEIGHT_RESULTS: usize = 32 << 20;
/// Once the transactions of a height have read so many bytes, no later one there reads: ranges are not
/// told, and who compares values is turned away ([`Outcome::Crowded`]).
pub const HEIGHT_READS: usize = 64 << 20;
/// What a pair counts besides its key and value.
const PAIR: usize = 100;

/// What is not in rows: the limits, the revision, and who has a session.
pub struct Machine {
    limits: Limits,
    revision: u64,
    /// What the ranges of this height have returned, in bytes.
    told: usize,
    /// What the transactions of this height have read, in bytes.
    read: usize,
    sessions: Sessions,
}

impl Machine {
    /// Goes on from a store at this revision.
    pub fn load(read: &dyn Read, revision: u64, limits: Limits) -> Result<Self, StoreError> {
        Ok(Self {
            sessions: Sessions::load(read, &limits)?,
            limits,
            revision,
            told: 0,
            read: 0,
        })
    }
    /// The revision of the last write.
    pub fn revision(&self) -> u64 {
        self.revision
    }
    /// Bytes that the ranges of the last height have returned.
    pub fn told(&self) -> usize {
        self.told
    }
    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }
    /// Executes a height. The new state digest is H(previous, height, ordered changes), where the
    /// changes are the rows of histories and sessions: heads follow from histories.
    pub fn height<'t>(
        &mut self,
        over: &mut Overlay<'_>,
        height: Height,
        previous: &Digest,
        transactions: impl Iterator<Item = &'t Transaction>,
    ) -> Result<(Digest, Vec<Receipt>), StoreError> {
        (self.told, self.read) = (0, 0);
        self.sessions.drop_idle(over, height)?;
        let mut receipts = Vec::new();
        for (index, transaction) in (0..).zip(transactions) {
            receipts.push(self.transaction(over, height, index, transaction)?);
        }
        Ok((over.digest(previous, height), receipts))
    }
    fn transaction(
        &mut self,
        over: &mut Overlay<'_>,
        height: Height,
        index: u32,
        transaction: &Transaction,
    ) -> Result<Receipt, StoreError> {
        let id = transaction.digest();
        let (client, sequence) = (transaction.client, transaction.sequence);
        let receipt = |outcome, revision| Receipt {
            client,
            sequence,
            transaction: id,
            outcome,
            revision,
            height,
            index,
            repeated: false,
        };
        if let Some(entry) = entry(over, &client, sequence, self.limits.window)? {
            if entry.sequence > sequence {
                return Ok(receipt(Outcome::SequenceTooOld, self.revision));
            }
            if entry.sequence == sequence && !crypto::planted!(ExecuteTwice) {
                return Ok(match entry.transaction == id {
                    true => entry.receipt(client),
                    false => receipt(Outcome::SequenceUsed, self.revision),
                });
            }
        }
        if let Some(refusal) = self.refuse(height, transaction) {
            return Ok(receipt(refusal, self.revision));
        }
        let Ok(request) = validate(&transaction.body, &self.limits) else {
            return Ok(receipt(Outcome::Invalid, self.revision));
        };
        let mut budget = Budget::new(&self.limits);
        let outcome = self.execute(over, &request, &mut budget)?;
        self.read += budget.read;
        if outcome == Outcome::Crowded {
            return Ok(receipt(outcome, self.revision));
        }
        let revision = self.revision;
        let entry = Entry {
            sequence,
            transaction: id,
            height,
            index,
            revision,
            outcome,
        };
        self.sessions.record(over, &client, &entry, &self.limits);
        Ok(receipt(entry.outcome, revision))
    }
    /// Why a sequence that was not executed yet is not.
    fn refuse(&self, height: Height, transaction: &Transaction) -> Option<Outcome> {
        if transaction.expires < height {
            return Some(Outcome::Expired);
        }
        if transaction.expires.0 > height.0.saturating_add(self.limits.lifetime) {
            return Some(Outcome::TooFarAhead);
        }
        let known = self.sessions.contains(&transaction.client);
        (!known && self.sessions.len() >= self.limits.max_sessions)
            .then_some(Outcome::TooManySessions)
    }
    fn execute(
        &mut self,
        over: &mut Overlay<'_>,
        request: &Request,
        budget: &mut Budget,
    ) -> Result<Outcome, StoreError> {
        let crowded = self.read >= HEIGHT_READS;
        let succeeded = match all_hold(over, &request.compares, crowded, budget)? {
            Ok(succeeded) => succeeded,
            Err(outcome) => return Ok(outcome),
        };
        let branch = if succeeded {
            &request.then
        } else {
            &request.otherwise
        };
        let future = |op: &Operation| matches!(op, Operation::Range { revision, .. } if *revision > self.revision);
        if branch.iter().any(future) {
            return Ok(Outcome::FutureRevision);
        }
        let revision = one_more(self.revision, "revision")?;
        let is_range = |op: &Operation| matches!(op, Operation::Range { .. });
        let full = crowded || self.told >= HEIGHT_RESULTS;
        let tell = !full || !branch.iter().any(is_range);
        let mut wrote = false;
        let mut replies = Vec::with_capacity(branch.len());
        for operation in branch {
            let reply = match operation {
                Operation::Put { key, value } => put(over, key, value, revision)?,
                Operation::Delete { key } => delete(over, key, revision)?,
                Operation::Range { .. } if !tell => continue,
                Operation::Range {
                    span,
                    limit,
                    revision,
                } => {
                    budget.limit(*limit, &self.limits);
                    self.told_range(range(over, span, *revision, budget)?)
                }
            };
            wrote |= matches!(reply, Reply::Put { .. } | Reply::Delete { existed: true });
            replies.push(reply);
        }
        if wrote {
            self.revision = revision;
        }
        Ok(Outcome::Done {
            succeeded,
            replies: tell.then_some(replies),
        })
    }
    fn told_range(&mut self, found: Found) -> Reply {
        let (pairs, more) = (found.pairs, found.more);
        let bytes = |pair: &Pair| PAIR + pair.key.len() + pair.value.len();
        self.told += pairs.iter().map(bytes).sum::<usize>();
        match found.next {
            Some(next) => Reply::Part { pairs, next },
            None => Reply::Range { pairs, more },
        }
    }
}

impl Entry {
    /// The stored result as a receipt.
    pub fn receipt(self, client: crypto::PublicKey) -> Receipt {
        Receipt {
            client,
            sequence: self.sequence,
            transaction: self.transaction,
            outcome: self.outcome,
            revision: self.revision,
            height: self.height,
            index: self.index + u32::from(crypto::planted!(MisquoteReceipt)),
            repeated: true,
        }
    }
}

/// Whether all compares hold, or why that is not known. Values are read last, and only if all else holds.
fn all_hold(
    read: &dyn Read,
    compares: &[Compare],
    crowded: bool,
    budget: &mut Budget,
) -> Result<Result<bool, Outcome>, StoreError> {
    let is_value = |compare: &&Compare| matches!(compare.test, Test::Value(..));
    let (values, others): (Vec<_>, Vec<_>) = compares.iter().partition(is_value);
    for compare in others {
        if !holds(read, compare, budget)? {
            return Ok(Ok(false));
        }
    }
    for compare in values {
        if crowded {
            return Ok(Err(Outcome::Crowded));
        }
        if !budget.may_read() {
            return Ok(Err(Outcome::TooMuchRead));
        }
        if !holds(read, compare, budget)? {
            return Ok(Ok(false));
        }
    }
    Ok(Ok(true))
}

fn holds(read: &dyn Read, compare: &Compare, budget: &mut Budget) -> Result<bool, StoreError> {
    let head = head(read, &compare.key)?;
    let number = |field: fn(&Head) -> u64| head.as_ref().map_or(0, field);
    Ok(match &compare.test {
        Test::Exists(wanted) => head.is_some() == *wanted,
        Test::Created(relation, given) => relation.holds(&number(|head| head.created), given),
        Test::Modified(relation, given) => relation.holds(&number(|head| head.modified), given),
        Test::Version(relation, given) => relation.holds(&number(|head| head.version), given),
        Test::Value(relation, given) => match head {
            Some(head) => {
                let pair = budget.pair(read, &compare.key, head)?;
                relation.holds(&pair.value, given)
            }
            None => false,
        },
    })
}

/// A number that was counted up from nothing and is at its end was written by nobody.
fn one_more(number: u64, what: &str) -> Result<u64, StoreError> {
    let next = number.checked_add(1);
    next.ok_or_else(|| damaged(format!("the {what} is the last number that there is")))
}

fn put(
    over: &mut Overlay<'_>,
    key: &Bytes,
    value: &[u8],
    revision: u64,
) -> Result<Reply, StoreError> {
    let (created, version) = match head(over, key)? {
        Some(head) => (head.created, one_more(head.version, "version of a key")?),
        None => (revision, 1),
    };
    let new = Head {
        created,
        modified: revision,
        version,
    };
    over.put(Table::Key, key.clone(), new.encode());
    over.put(
        Table::History,
        history_key(key, revision),
        Version::encode_put(created, version, value),
    );
    Ok(Reply::Put { version })
}

fn delete(over: &mut Overlay<'_>, key: &Bytes, revision: u64) -> Result<Reply, StoreError> {
    let existed = head(over, key)?.is_some();
    if existed {
        over.put(Table::Key, key.clone(), Head::REMOVED);
        over.put(Table::History, history_key(key, revision), Version::DELETED);
    }
    Ok(Reply::Delete { existed })
}
