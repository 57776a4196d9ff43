//! Which keys: one, those with a prefix, a range, or all from one on.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Where a span ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// It is this key alone.
    Only,
    /// All keys that begin with it.
    Prefix,
    /// All keys from it to this one, excluded.
    Before(Bytes),
    /// All keys from it on.
    Unbounded,
}

/// A span of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first key.
    pub key: Bytes,
    /// Where it ends.
    pub end: End,
}

impl Span {
    /// One key.
    #[must_use]
    pub fn only(key: impl Into<Bytes>) -> Self {
        Self {
            key: key.into(),
            end: End::Only,
        }
    }
    /// All keys that begin so.
    #[must_use]
    pub fn prefix(key: impl Into<Bytes>) -> Self {
        Self {
            key: key.into(),
            end: End::Prefix,
        }
    }
    /// The key behind its last; `None`: it has no end.
    #[must_use]
    pub fn until(&self) -> Option<Bytes> {
        match &self.end {
            End::Only => {
                let mut next = Vec::with_capacity(self.key.len() + 1);
                next.extend_from_slice(&self.key);
                next.push(0);
                Some(next.into())
            }
            End::Prefix => after_prefix(&self.key),
            End::Before(end) => Some(end.clone()),
            End::Unbounded => None,
        }
    }
    /// Whether a key is in it.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        match &self.end {
            End::Only => self.key == key,
            End::Prefix => key.starts_with(&self.key),
            End::Before(end) => *self.key <= *key && *key < **end,
            End::Unbounded => *self.key <= *key,
        }
    }
}

/// The first key behind all that begin with `prefix`; `None` if there is no such key.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Bytes> {
    let kept = prefix.iter().rposition(|byte| *byte != 0xFF)?;
    let mut end = prefix[..=kept].to_vec();
    end[kept] += 1;
    Some(end.into())
}
