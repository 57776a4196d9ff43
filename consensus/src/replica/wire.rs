//! What leaves a replica: the protocol's messages and the shell's own, before and after signing.

use super::{Checkpoint, CheckpointDraft};
use crate::{Draft, Message};
use crypto::{Authenticate, Height, NodeId, Reject, Signature, Statement, Verifier, View};
use serde::{Deserialize, Serialize};

/// A message between replicas. The numbers of its arms are part of the wire format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Wire<M> {
    /// 0: the protocol's.
    Protocol(M),
    /// 1: the shell's.
    Checkpoint(Checkpoint),
}

impl<M: Message> Wire<M> {
    /// See [`Message::position`].
    #[must_use]
    pub fn position(&self) -> Option<(View, Height)> {
        match self {
            Self::Protocol(message) => message.position(),
            Self::Checkpoint(_) => None,
        }
    }
    /// See [`Message::keeps_order`].
    #[must_use]
    pub fn keeps_order(&self) -> bool {
        match self {
            Self::Protocol(message) => message.keeps_order(),
            Self::Checkpoint(_) => false,
        }
    }
    /// What it signs.
    #[must_use]
    pub fn statement(&self, by: &Verifier) -> Option<(NodeId, Statement, Signature)> {
        match self {
            Self::Protocol(message) => message.statement(),
            Self::Checkpoint(it) => Some((it.node, it.statement(&by.context), it.signature)),
        }
    }
    /// Its name in metrics and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Protocol(message) => message.name(),
            Self::Checkpoint(_) => "checkpoint",
        }
    }
}

impl<M: Authenticate> Authenticate for Wire<M> {
    fn check(&self, from: NodeId, by: &Verifier) -> Result<(), Reject> {
        match self {
            Self::Protocol(message) => message.check(from, by),
            Self::Checkpoint(checkpoint) => checkpoint.check(from, by),
        }
    }
}

/// A message not yet signed, as the gate holds and the guard stores it. The numbers of its arms
/// are part of the disk format.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Promise<D> {
    /// 0: the protocol's.
    Protocol(D),
    /// 1: the shell's.
    Checkpoint(CheckpointDraft),
}

impl<D: Draft> Promise<D> {
    pub(super) fn statement(&self) -> Option<Statement> {
        match self {
            Self::Protocol(draft) => draft.statement(),
            Self::Checkpoint(draft) => Some(draft.statement()),
        }
    }
    pub(super) fn seal(self, signature: Option<Signature>) -> Wire<D::Message> {
        match self {
            Self::Protocol(draft) => Wire::Protocol(draft.seal(signature)),
            Self::Checkpoint(draft) => {
                Wire::Checkpoint(draft.seal(signature.unwrap_or(Signature::NONE)))
            }
        }
    }
}
