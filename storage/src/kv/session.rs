//! Exactly once, in bounded space.
//!
//! A client's window is a ring: sequence s lies in slot `s mod window`, and executes only if that
//! slot holds a lower one. So each slot only goes up, each sequence executes at most once, in any
//! order within a window, and a transaction rewrites one row however large the window is.
//!
//! A session that was idle for `lifetime` heights is dropped: all that it executed has expired by
//! then. Activity is kept in eighths of a lifetime, so that its row changes rarely.

use super::{Limits, Outcome, Overlay, damaged};
use crate::{Read, Row, Scan, StoreError, Table};
use bytes::Bytes;
use crypto::{Digest, Height, PublicKey, codec};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most rows of idle sessions that are removed at one height.
const DROPPED_ROWS: usize = 4_096;

/// An executed transaction of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The client's number for it.
    pub sequence: u64,
    /// Its digest.
    pub transaction: Digest,
    /// Where it was executed.
    pub height: Height,
    /// Its place there.
    pub index: u32,
    /// The revision after it.
    pub revision: u64,
    /// What it did.
    pub outcome: Outcome,
}

fn head_key(client: &PublicKey) -> Bytes {
    let mut key = Vec::with_capacity(33);
    key.push(0);
    key.extend_from_slice(&client.0);
    key.into()
}

fn slot_key(client: &PublicKey, slot: u64) -> Bytes {
    let mut key = Vec::with_capacity(37);
    key.push(1);
    key.extend_from_slice(&client.0);
    key.extend_from_slice(&(slot as u32).to_be_bytes());
    key.into()
}

fn slots(client: &PublicKey) -> Scan {
    let mut end = slot_key(client, u64::from(u32::MAX)).to_vec();
    end.push(0);
    Scan::range(slot_key(client, 0), Some(end.into()))
}

/// What lies in the slot of a sequence.
pub fn entry(
    read: &dyn Read,
    client: &PublicKey,
    sequence: u64,
    window: u64,
) -> Result<Option<Entry>, StoreError> {
    read.get(Table::Session, &slot_key(client, sequence % window))?
        .map(|row| decode(&row))
        .transpose()
}

/// All that is kept of a session.
pub fn entries(read: &dyn Read, client: &PublicKey) -> Result<Vec<Entry>, StoreError> {
    read.scan(Table::Session, &slots(client))?
        .iter()
        .map(|(_, row)| decode(row))
        .collect()
}

fn decode(row: &[u8]) -> Result<Entry, StoreError> {
    codec::decode(row).map_err(|error| damaged(format!("a session's result is {error}")))
}

/// Which sessions there are, and since when they are idle: at most `max_sessions`.
pub struct Sessions {
    active: BTreeMap<PublicKey, u64>,
    idle: BTreeSet<(u64, PublicKey)>,
    lifetime: u64,
    span: u64,
}

impl Sessions {
    /// Reads the head of every session.
    pub fn load(read: &dyn Read, limits: &Limits) -> Result<Self, StoreError> {
        let mut sessions = Self {
            active: BTreeMap::new(),
            idle: BTreeSet::new(),
            lifetime: limits.lifetime,
            span: (limits.lifetime / 8).max(1),
        };
        let mut from = Bytes::from_static(&[0]);
        loop {
            let scan = Scan::range(from, Some(Bytes::from_static(&[1]))).rows(4_096);
            let page = read.scan(Table::Session, &scan)?;
            let Some((last, _)) = page.last() else {
                return Ok(sessions);
            };
            let mut next = last.to_vec();
            next.push(0);
            from = next.into();
            for row in &page {
                let (client, bucket) = decode_head(row)?;
                sessions.active.insert(client, bucket);
                sessions.idle.insert((bucket, client));
            }
        }
    }
    /// Whether the client has one.
    pub fn contains(&self, client: &PublicKey) -> bool {
        self.active.contains_key(client)
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.active.len()
    }
    /// Stores what a client's transaction did, and that he was active.
    pub fn record(
        &mut self,
        over: &mut Overlay<'_>,
        client: &PublicKey,
        entry: &Entry,
        limits: &Limits,
    ) {
        let mut row = codec::encode(entry);
        if row.len() > limits.stored_bytes.max(MIN_STORED)
            && let Outcome::Done {
                succeeded,
                replies: Some(_),
            } = entry.outcome
        {
            let outcome = Outcome::Done {
                succeeded,
                replies: None,
            };
            row = codec::encode(&Entry {
                outcome,
                ..entry.clone()
            });
        }
        over.put(
            Table::Session,
            slot_key(client, entry.sequence % limits.window),
            row.into(),
        );
        let bucket = entry.height.0 / self.span;
        let before = self.active.insert(*client, bucket);
        if before != Some(bucket) {
            if let Some(before) = before {
                self.idle.remove(&(before, *client));
            }
            self.idle.insert((bucket, *client));
            over.put(
                Table::Session,
                head_key(client),
                Bytes::copy_from_slice(&bucket.to_le_bytes()),
            );
        }
    }
    /// Drops sessions that have been idle for a lifetime, longest idle first.
    pub fn drop_idle(&mut self, over: &mut Overlay<'_>, height: Height) -> Result<(), StoreError> {
        let mut left = DROPPED_ROWS;
        while let Some(&(bucket, client)) = self.idle.first() {
            let last_active = bucket.saturating_add(1).saturating_mul(self.span) - 1;
            let lifetime = if crypto::planted!(ForgetSessions) {
                1
            } else {
                self.lifetime
            };
            if last_active.saturating_add(lifetime) >= height.0 {
                return Ok(());
            }
            let rows = over.scan(Table::Session, &slots(&client).rows(left))?;
            left -= rows.len();
            for (key, _) in rows {
                over.delete(Table::Session, key);
            }
            if left == 0 {
                return Ok(()); // the rest of it at the next height
            }
            over.delete(Table::Session, head_key(&client));
            self.idle.remove(&(bucket, client));
            self.active.remove(&client);
        }
        Ok(())
    }
}

/// Encoded bytes of an entry whose result is left out: that much is always kept.
const MIN_STORED: usize = 8 + 32 + 8 + 4 + 8 + 4 + 1 + 1;

fn decode_head((key, value): &Row) -> Result<(PublicKey, u64), StoreError> {
    let client = key.get(1..).and_then(|bytes| bytes.try_into().ok());
    let bucket = value.as_ref().try_into().ok();
    match (client, bucket) {
        (Some(client), Some(bucket)) => Ok((PublicKey(client), u64::from_le_bytes(bucket))),
        _ => Err(damaged("the head of a session does not decode".into())),
    }
}
