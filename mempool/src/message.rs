//! What nodes send each other about batches.

use bytes::Bytes;
use crypto::{BatchRef, Digest};
use serde::{Deserialize, Serialize};

/// Most digests or references in one message.
pub const LIST: usize = 256;

/// A message between pools. Variants are numbered in this order on the wire: add at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A batch of the sender's own clients, encoded.
    Batch(Bytes),
    /// Asks for batches.
    Fetch(Vec<Digest>),
    /// Answers [`Message::Fetch`]: encoded batches of any author, some of those asked for.
    Batches(Vec<Bytes>),
    /// Answers [`Message::Fetch`]: the sender lacks these.
    NotHeld(Vec<Digest>),
    /// The sender holds these, and misses them in the log: fetch what you lack, and order it.
    Offer(Vec<BatchRef>),
}

impl Message {
    /// Whether it carries batches, and so must not delay what is small and urgent.
    #[must_use]
    pub fn is_bulk(&self) -> bool {
        matches!(self, Message::Batch(_) | Message::Batches(_))
    }
    /// Its name in metrics and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Message::Batch(_) => "batch",
            Message::Fetch(_) => "fetch_batches",
            Message::Batches(_) => "batches",
            Message::NotHeld(_) => "not_held",
            Message::Offer(_) => "offer",
        }
    }
}
