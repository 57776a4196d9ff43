//! What must be durable before it is relied on.

use super::entry::Entry;
use crate::contract::{self, RecordKey};
use crypto::{Hasher, NodeId, Payload, View};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A record. The order of the variants is their number on disk: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The current term, and who was voted for in it: before any answer in the term leaves.
    Term {
        /// The term.
        term: View,
        /// Who got the vote.
        voted: Option<NodeId>,
    },
    /// An entry: before it is acknowledged, and before its leader counts itself.
    Entry(Arc<Entry>),
}

impl contract::Record for Record {
    fn key(&self) -> RecordKey {
        match self {
            Self::Term { .. } => RecordKey::Latest(0),
            // A height has one entry at a time: what it replaces was truncated before.
            Self::Entry(entry) => RecordKey::At(
                entry.at.height,
                Hasher::new("quorate/v1/record/entry").finish(),
            ),
        }
    }
    fn payload(&self) -> Option<&Payload> {
        match self {
            Self::Term { .. } => None,
            Self::Entry(entry) => Some(&entry.payload),
        }
    }
}
