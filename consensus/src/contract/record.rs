//! What a protocol stores.

use crypto::{Digest, Height, Payload};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;
use std::ops::Range;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKey {
    /// One for each kind: a later one replaces it (vote and lock, timeout, term and vote).
    Latest(u8),
    /// At a height, several of one height told apart by digest (blocks, slots, entries).
    At(Height, Digest),
}

impl RecordKey {
    /// At a height, ahead of everything that is told apart by digest: whoever is given a part of a
    /// height, since liars filled it with proposals, is given this.
    #[must_use]
    pub const fn first_at(height: Height, number: u8) -> Self {
        let mut digest = [0; 32];
        digest[31] = number;
        Self::At(height, Digest(digest))
    }
}

/// Which stored records to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those of these heights, from the first up: as many as one answer holds, which may end within a
    /// height, or within its first.
    Heights(Range<Height>),
    /// These, as many as one answer holds, whatever else lies at their heights.
    Keys(Vec<RecordKey>),
}

impl Selection {
    /// Whether it selects what lies here.
    #[must_use]
    pub fn contains(&self, key: &RecordKey) -> bool {
        match (self, key) {
            (Self::Heights(heights), RecordKey::At(height, _)) => heights.contains(height),
            (Self::Heights(_), RecordKey::Latest(_)) => false,
            (Self::Keys(keys), key) => keys.contains(key),
        }
    }
}

/// A record.
pub trait Record:
    Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + 'static
{
    /// Where it lies.
    fn key(&self) -> RecordKey;
    /// The payload of which it holds whole batches: they are stored nowhere else.
    fn payload(&self) -> Option<&Payload> {
        None
    }
}
