//! What a replica signs: a statement in a slot that holds only one.

use crate::{Context, Digest, Epoch, Hasher, Height, View};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a statement is about. Its number is part of what is signed, on the wire and on disk: never
/// reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// HotStuff: a block proposed in a view.
    Proposal,
    /// HotStuff: a vote for a block in a view.
    Vote,
    /// HotStuff: a tenure given up. The slot's `view` is the tenure's number.
    Timeout,
    /// Shell: history and state digest at a height.
    Checkpoint,
    /// Raft: a vote granted in a term (unsigned; it passes the guard all the same).
    Grant,
    /// PBFT: a slot's payload proposed by the primary.
    PrePrepare,
    /// PBFT: first phase.
    Prepare,
    /// PBFT: second phase.
    Commit,
    /// PBFT: a view given up.
    ViewChange,
    /// PBFT: a view opened.
    NewView,
}

impl Kind {
    /// All kinds, by number.
    pub const ALL: [Kind; 10] = [
        Kind::Proposal,
        Kind::Vote,
        Kind::Timeout,
        Kind::Checkpoint,
        Kind::Grant,
        Kind::PrePrepare,
        Kind::Prepare,
        Kind::Commit,
        Kind::ViewChange,
        Kind::NewView,
    ];

    /// Its name in files, metrics and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Proposal => "proposal",
            Kind::Vote => "vote",
            Kind::Timeout => "timeout",
            Kind::Checkpoint => "checkpoint",
            Kind::Grant => "grant",
            Kind::PrePrepare => "pre-prepare",
            Kind::Prepare => "prepare",
            Kind::Commit => "commit",
            Kind::ViewChange => "view-change",
            Kind::NewView => "new-view",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The place for which a key makes at most one statement, ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// What it is about.
    pub kind: Kind,
    /// The epoch.
    pub epoch: Epoch,
    /// The view, tenure or term.
    pub view: View,
    /// The height where the kind has one, else 0.
    pub height: Height,
}

/// In words, for instance `vote in view 7`, or `prepare in view 2 at height 40`. The epoch is left out.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        let place = match self.kind {
            Kind::Timeout => "of tenure",
            Kind::Grant => "in term",
            Kind::ViewChange => "to view",
            _ => "in view",
        };
        if self.kind != Kind::Checkpoint || self.view != View(0) {
            write!(f, " {place} {}", self.view)?;
        }
        if self.kind == Kind::Checkpoint || self.height != Height(0) {
            write!(f, " at height {}", self.height)?;
        }
        Ok(())
    }
}

/// A slot and the content that is promised for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Statement {
    /// Where.
    pub slot: Slot,
    /// What: a digest of the content under a domain of its own.
    pub content: Digest,
}

impl Statement {
    /// The digest that is signed: domain tag, chain, epoch, kind, view, height, content.
    #[must_use]
    pub fn digest(&self, context: &Context) -> Digest {
        Hasher::new("quorate/v1/statement")
            .digest(&context.chain.0)
            .number(self.slot.epoch.0)
            .number(self.slot.kind as u64)
            .number(self.slot.view.0)
            .number(self.slot.height.0)
            .digest(&self.content)
            .finish()
    }
}

#[cfg(test)]
mod tests;
