//! The state machine again, written to be obvious: a whole copy of all keys for every revision, and
//! all that was ever executed.

use super::{
    Compare, End, Limits, Operation, Outcome, Pair, Receipt, Relation, Reply, Request, Span, Test,
};
use bytes::Bytes;
use crypto::{Digest, Height, PublicKey, Transaction};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone)]
struct Value {
    bytes: Vec<u8>,
    created: u64,
    modified: u64,
    version: u64,
}

type Keys = BTreeMap<Vec<u8>, Value>;

#[derive(Clone, Default)]
struct Session {
    executed: BTreeMap<u64, (Digest, Receipt)>,
    last: u64,
}

/// What the ranges of a request have cost.
#[derive(Default)]
struct Spent {
    bytes: usize,
    looks: usize,
}

pub struct Model {
    limits: Limits,
    /// Index: revision.
    revisions: Vec<Keys>,
    /// All keys that were ever written.
    ever: BTreeSet<Vec<u8>>,
    sessions: BTreeMap<PublicKey, Session>,
}

impl Model {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            revisions: vec![Keys::new()],
            ever: BTreeSet::new(),
            sessions: BTreeMap::new(),
        }
    }
    pub fn revision(&self) -> u64 {
        self.revisions.len() as u64 - 1
    }
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }
    pub fn height(&mut self, height: Height, transactions: &[Transaction]) -> Vec<Receipt> {
        // Activity is known to an eighth of a lifetime only, in favour of the client.
        let eighth = (self.limits.lifetime / 8).max(1);
        let lifetime = self.limits.lifetime;
        self.sessions
            .retain(|_, session| (session.last / eighth + 1) * eighth - 1 + lifetime >= height.0);
        let each = transactions.iter().enumerate();
        each.map(|(index, transaction)| self.transaction(height, index as u32, transaction))
            .collect()
    }
    fn transaction(&mut self, height: Height, index: u32, transaction: &Transaction) -> Receipt {
        let id = transaction.digest();
        let mut receipt = Receipt {
            client: transaction.client,
            sequence: transaction.sequence,
            transaction: id,
            outcome: Outcome::Invalid,
            revision: self.revision(),
            height,
            index,
            repeated: false,
        };
        let session = self.sessions.get(&transaction.client);
        let executed = session
            .map(|session| session.executed.clone())
            .unwrap_or_default();
        let same_slot =
            |s: &u64| s % self.limits.window == transaction.sequence % self.limits.window;
        let newest = executed.keys().filter(|s| same_slot(s)).max();
        match newest.map(|newest| newest.cmp(&transaction.sequence)) {
            Some(Ordering::Greater) => {
                receipt.outcome = Outcome::SequenceTooOld;
                return receipt;
            }
            Some(Ordering::Equal) => {
                let (first, stored) = &executed[&transaction.sequence];
                if *first == id {
                    return Receipt {
                        repeated: true,
                        ..stored.clone()
                    };
                }
                receipt.outcome = Outcome::SequenceUsed;
                return receipt;
            }
            Some(Ordering::Less) | None => {}
        }
        if transaction.expires < height {
            receipt.outcome = Outcome::Expired;
            return receipt;
        }
        if transaction.expires.0 > height.0 + self.limits.lifetime {
            receipt.outcome = Outcome::TooFarAhead;
            return receipt;
        }
        if session.is_none() && self.sessions.len() >= self.limits.max_sessions {
            receipt.outcome = Outcome::TooManySessions;
            return receipt;
        }
        let Ok(request) = crypto::codec::decode::<Request>(&transaction.body) else {
            return receipt;
        };
        receipt.outcome = self.request(&request);
        receipt.revision = self.revision();
        let session = self.sessions.entry(transaction.client).or_default();
        session.last = height.0;
        session
            .executed
            .insert(transaction.sequence, (id, receipt.clone()));
        receipt
    }
    fn request(&mut self, request: &Request) -> Outcome {
        let succeeded = request.compares.iter().all(|compare| self.holds(compare));
        let branch = if succeeded {
            &request.then
        } else {
            &request.otherwise
        };
        let now = self.revision();
        for operation in branch {
            if matches!(operation, Operation::Range { revision, .. } if *revision > now) {
                return Outcome::FutureRevision;
            }
        }
        let mut keys = self.revisions[now as usize].clone();
        let mut wrote = false;
        let mut spent = Spent::default();
        let mut replies = Vec::new();
        for operation in branch {
            replies.push(match operation {
                Operation::Put { key, value } => {
                    wrote = true;
                    self.ever.insert(key.to_vec());
                    let new = Value {
                        bytes: value.to_vec(),
                        created: now + 1,
                        modified: now + 1,
                        version: 1,
                    };
                    let entry = keys.entry(key.to_vec());
                    let put = entry
                        .and_modify(|old| {
                            *old = Value {
                                created: old.created,
                                version: old.version + 1,
                                ..new.clone()
                            };
                        })
                        .or_insert(new);
                    Reply::Put {
                        version: put.version,
                    }
                }
                Operation::Delete { key } => {
                    let existed = keys.remove(&key[..]).is_some();
                    wrote |= existed;
                    Reply::Delete { existed }
                }
                Operation::Range {
                    span,
                    limit,
                    revision,
                } => {
                    let keys = if *revision == 0 {
                        &keys
                    } else {
                        &self.revisions[*revision as usize]
                    };
                    match self.range(keys, span, *limit, &mut spent) {
                        (pairs, _, Some(next)) => Reply::Part { pairs, next },
                        (pairs, more, None) => Reply::Range { pairs, more },
                    }
                }
            });
        }
        if wrote {
            self.revisions.push(keys);
        }
        Outcome::Done {
            succeeded,
            replies: Some(replies),
        }
    }
    fn holds(&self, compare: &Compare) -> bool {
        let value = self.revisions.last().unwrap().get(&compare.key[..]);
        let relates = |relation: &Relation, order: Ordering| match relation {
            Relation::Equal => order == Ordering::Equal,
            Relation::Different => order != Ordering::Equal,
            Relation::Less => order == Ordering::Less,
            Relation::Greater => order == Ordering::Greater,
        };
        let number = |field: fn(&Value) -> u64| value.map_or(0, field);
        match &compare.test {
            Test::Exists(wanted) => value.is_some() == *wanted,
            Test::Value(relation, given) => {
                value.is_some_and(|value| relates(relation, value.bytes[..].cmp(&given[..])))
            }
            Test::Created(relation, given) => relates(relation, number(|v| v.created).cmp(given)),
            Test::Modified(relation, given) => relates(relation, number(|v| v.modified).cmp(given)),
            Test::Version(relation, given) => relates(relation, number(|v| v.version).cmp(given)),
        }
    }
    /// Of these keys. It looks at all that were ever written.
    fn range(
        &self,
        keys: &Keys,
        span: &Span,
        limit: u32,
        spent: &mut Spent,
    ) -> (Vec<Pair>, bool, Option<Bytes>) {
        let inside = |key: &[u8]| match &span.end {
            End::Only => key == span.key,
            End::Prefix => key.starts_with(&span.key),
            End::Before(end) => key >= &span.key[..] && key < &end[..],
            End::Unbounded => key >= &span.key[..],
        };
        let limit = if limit == 0 {
            usize::MAX
        } else {
            limit as usize
        };
        let mut pairs = Vec::new();
        for key in self.ever.iter().filter(|key| inside(key)) {
            if span.end != End::Only {
                if spent.looks == self.limits.looks {
                    return (pairs, true, Some(key.clone().into()));
                }
                spent.looks += 1;
            }
            let Some(value) = keys.get(key) else { continue };
            let bytes = key.len() + value.bytes.len();
            let full = spent.bytes > 0 && spent.bytes + bytes > self.limits.result_bytes;
            if full || pairs.len() >= limit.min(self.limits.range_pairs) {
                return (pairs, true, None);
            }
            spent.bytes += bytes;
            pairs.push(Pair {
                key: key.clone().into(),
                value: value.bytes.clone().into(),
                created: value.created,
                modified: value.modified,
                version: value.version,
            });
        }
        (pairs, false, None)
    }
    /// What a read of a span returns at a revision, 0: now; whether it was cut, and where it goes on.
    pub fn at(&self, span: &Span, revision: u64) -> (Vec<Pair>, bool, Option<Bytes>) {
        let revision = if revision > 0 {
            revision
        } else {
            self.revision()
        };
        let keys = &self.revisions[revision as usize];
        let (pairs, more, next) = self.range(keys, span, 0, &mut Spent::default());
        let behind = pairs.last().filter(|_| more).map(Pair::behind);
        (pairs, more, next.or(behind))
    }
    /// The client's next sequence, by what he executed in his present session.
    pub fn next(&self, client: &PublicKey) -> u64 {
        let session = self.sessions.get(client);
        session
            .and_then(|s| s.executed.keys().max())
            .map_or(1, |highest| highest + 1)
    }
}
