//! What must be durable before it is relied on.

use super::certificate::{CommitCertificate, NewView, Prepared};
use super::message::ViewChange;
use super::slot;
use crate::contract::{self, RecordKey};
use crypto::{Height, Payload, Signature, View};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A pre-prepare that was accepted, or a payload that came with the proof of its commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedRecord {
    /// The view.
    pub view: View,
    /// The slot.
    pub height: Height,
    /// What it orders.
    pub payload: Arc<Payload>,
    /// The primary's, if it was known when this was stored: the shell signs the own ones later.
    pub signature: Signature,
}

/// A record. The order of the variants is their number on disk: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// View, slot and payload: before a pre-prepare or a prepare leaves. Two payloads of one slot
    /// lie beside each other, since a certificate of an older view may still need the other.
    Accepted(AcceptedRecord),
    /// The prepared certificate of the highest view: before a commit leaves.
    Prepared(Arc<Prepared>),
    /// The whole message, unsigned: before a view change leaves.
    ViewChange(Box<ViewChange>),
    /// By what the current view was entered: before anything of that view leaves.
    NewView(Arc<NewView>),
    /// Why a height is committed, for those who lag.
    Committed(Arc<CommitCertificate>),
}

impl contract::Record for Record {
    fn key(&self) -> RecordKey {
        match self {
            Self::Accepted(it) => RecordKey::At(it.height, slot::content(&it.payload)),
            Self::Prepared(it) => RecordKey::first_at(it.assigned.height, 1),
            Self::ViewChange(_) => RecordKey::Latest(0),
            Self::NewView(_) => RecordKey::Latest(1),
            Self::Committed(it) => RecordKey::first_at(it.assigned.height, 2),
        }
    }
}
