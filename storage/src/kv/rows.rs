//! The rows of keys.
//!
//! [`Table::Key`](crate::Table::Key) holds each key's head: its numbers, not its value, so that a
//! write reads and rewrites 24 bytes; of a key that was removed, an empty row. [`Table::History`](crate::Table::History) holds every version
//! with its value once, newest first, under `escaped key, 0 1, inverted revision`: a zero byte of
//! the key becomes `0 255`, so rows lie in the order of keys whatever their lengths.

use super::damaged;
use crate::StoreError;
use bytes::Bytes;

/// Numbers of a live key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The revision that created it.
    pub created: u64,
    /// The revision that wrote it last.
    pub modified: u64,
    /// How often it was written since it was created.
    pub version: u64,
}

impl Head {
    /// Three numbers, little-endian.
    pub fn encode(&self) -> Bytes {
        let mut out = [0; 24];
        out[..8].copy_from_slice(&self.created.to_le_bytes());
        out[8..16].copy_from_slice(&self.modified.to_le_bytes());
        out[16..].copy_from_slice(&self.version.to_le_bytes());
        Bytes::copy_from_slice(&out)
    }
    /// The row of a key that was removed. Did it leave none, a range would walk through what the store
    /// knows as deleted, and count nothing of it.
    pub const REMOVED: Bytes = Bytes::new();
    /// `None` for a key that was removed.
    pub fn decode(row: &[u8]) -> Result<Option<Self>, StoreError> {
        if row.is_empty() {
            return Ok(None);
        }
        if row.len() != 24 {
            return Err(damaged(format!(
                "the head of a key has {} bytes",
                row.len()
            )));
        }
        Ok(Some(Self {
            created: number(row, 0),
            modified: number(row, 8),
            version: number(row, 16),
        }))
    }
}

fn number(row: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| row[at + i]))
}

/// A version of a key in its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// Removed at that revision.
    Deleted,
    /// Written at that revision.
    Put {
        created: u64,
        version: u64,
        value: Bytes,
    },
}

impl Version {
    /// `0`, or `1 created version value`.
    pub fn encode_put(created: u64, version: u64, value: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(17 + value.len());
        out.push(1);
        out.extend_from_slice(&created.to_le_bytes());
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(value);
        out.into()
    }
    pub const DELETED: Bytes = Bytes::from_static(&[0]);
    pub fn decode(row: &Bytes) -> Result<Self, StoreError> {
        match row.first() {
            Some(0) if row.len() == 1 => Ok(Version::Deleted),
            Some(1) if row.len() >= 17 => Ok(Version::Put {
                created: number(row, 1),
                version: number(row, 9),
                value: row.slice(17..),
            }),
            _ => Err(damaged(
                "a version of a key is neither written nor removed".into(),
            )),
        }
    }
}

/// The part of a history key before the revision.
pub fn history_prefix(key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 10);
    for &byte in key {
        out.push(byte);
        if byte == 0 {
            out.push(0xFF);
        }
    }
    out.extend_from_slice(&[0, 1]);
    out
}

/// The key of a version.
pub fn history_key(key: &[u8], revision: u64) -> Bytes {
    let mut out = history_prefix(key);
    out.extend_from_slice(&(!revision).to_be_bytes());
    out.into()
}

/// Key and revision of a row.
pub fn history_parts(row: &[u8]) -> Result<(Vec<u8>, u64), StoreError> {
    let bad = || damaged("a key of the history does not decode".into());
    let split = row.len().checked_sub(10).ok_or_else(bad)?;
    let (escaped, rest) = row.split_at(split);
    let revision = rest[2..]
        .try_into()
        .map(|bytes| !u64::from_be_bytes(bytes))
        .map_err(|_| bad())?;
    let mut key = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(&byte) = bytes.next() {
        key.push(byte);
        if byte == 0 && bytes.next() != Some(&0xFF) {
            return Err(bad());
        }
    }
    if rest[..2] == [0, 1] {
        Ok((key, revision))
    } else {
        Err(bad())
    }
}
