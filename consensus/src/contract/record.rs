//! What a protocol stores.

use crypto::{Digest, Height, Payload};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKey {
    /// One for each kind: a later one replaces it (vote and lock, timeout, term and vote).
    Latest(u8),
    /// At a height, several of one height told apart by digest (blocks, slots, entries).
    At(Height, Digest),
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
