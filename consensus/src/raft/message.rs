//! What replicas send each other, and how it is checked. Nothing is signed: the channel says who
//! sends, and members do not lie.

use super::entry::{Entry, Position};
use crate::contract;
use crypto::{
    Authenticate, Epoch, Hasher, Height, Kind, NodeId, Reject, Signature, Slot, Statement,
    Verifier, View,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most entries in one [`AppendEntries`].
pub const MAX_ENTRIES: usize = 1024;
/// No term above this is believed: what follows by adding to it is still a number.
const MAX_TERM: View = View((1 << 63) - 1);

/// A leader's entries; without any, its heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntries {
    /// The leader's term.
    pub term: View,
    /// The entry before the first of these, which the follower must have.
    pub previous: Position,
    /// Consecutive; at most [`MAX_ENTRIES`].
    pub entries: Vec<Arc<Entry>>,
    /// The leader's highest committed height.
    pub committed: Height,
    /// Numbers the leader's questions whether it still leads: answered by [`Heard`] when it is new.
    pub round: u64,
}

/// Says up to where the sender's log matches the leader's, on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// The leader's term.
    pub term: View,
    /// The height.
    pub matched: Height,
}

/// Says that the sender lacks the entry before those that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The leader's term.
    pub term: View,
    /// Height of [`AppendEntries::previous`].
    pub previous: Height,
    /// The term of the entry that is there instead, and the first height of that term; term 0 and
    /// the height after the last entry if there is none.
    pub hint: Position,
}

/// Says that the sender knew no newer term when the leader's question came. It promises nothing, and
/// waits for no disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The leader's term.
    pub term: View,
    /// Of the question.
    pub round: u64,
}

/// A candidate asks for a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestVote {
    /// Its term.
    pub term: View,
    /// The end of its log.
    pub last: Position,
    /// The leader itself asked it to stand: that a leader is heard of is no reason to refuse.
    pub transfer: bool,
}

/// A vote. It passes the guard like a signed statement, for it is as binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The epoch.
    pub epoch: Epoch,
    /// The term.
    pub term: View,
    /// Who gets it.
    pub candidate: NodeId,
}

impl Grant {
    /// What the guard compares: one candidate a term.
    #[must_use]
    pub fn statement(&self) -> Statement {
        let slot = Slot {
            kind: Kind::Grant,
            epoch: self.epoch,
            view: self.term,
            height: Height(0),
        };
        let content = Hasher::new("quorate/v1/grant")
            .number(u64::from(self.candidate.0))
            .finish();
        Statement { slot, content }
    }
}

/// Asks whether the receiver would vote for the sender, were it to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreVote {
    /// The term in which it would stand.
    pub term: View,
    /// The end of its log.
    pub last: Position,
}

/// It would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreGrant {
    /// Of the question.
    pub term: View,
}

/// Answers any message of an older term: the term is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewerTerm {
    /// The sender's term.
    pub term: View,
}

/// The leader hands over: stand at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeoutNow {
    /// The leader's term.
    pub term: View,
}

/// A follower asks for a height at which its reads may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadIndex {
    /// Its term.
    pub term: View,
    /// Tells this question from all earlier ones.
    pub nonce: u64,
}

/// Answers [`ReadIndex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAnswer {
    /// The leader's term.
    pub term: View,
    /// Of the question.
    pub nonce: u64,
    /// Whatever was answered to anybody before the question came is at or below this height.
    pub height: Height,
}

/// What is said. The order of the variants is their number on the wire: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Entries, or a heartbeat.
    AppendEntries(AppendEntries),
    /// They are on disk.
    Appended(Appended),
    /// They do not fit.
    Conflict(Conflict),
    /// The leader was heard.
    Heard(Heard),
    /// A candidate's question.
    RequestVote(RequestVote),
    /// A vote.
    Grant(Grant),
    /// The question before.
    PreVote(PreVote),
    /// Its answer.
    PreGrant(PreGrant),
    /// A newer term.
    NewerTerm(NewerTerm),
    /// A hand-over.
    TimeoutNow(TimeoutNow),
    /// First step of a follower's read.
    ReadIndex(ReadIndex),
    /// Second step of a follower's read.
    ReadAnswer(ReadAnswer),
}

impl Body {
    /// The term it is about.
    #[must_use]
    pub fn term(&self) -> View {
        match self {
            Self::AppendEntries(it) => it.term,
            Self::Appended(it) => it.term,
            Self::Conflict(it) => it.term,
            Self::Heard(it) => it.term,
            Self::RequestVote(it) => it.term,
            Self::Grant(it) => it.term,
            Self::PreVote(it) => it.term,
            Self::PreGrant(it) => it.term,
            Self::NewerTerm(it) => it.term,
            Self::TimeoutNow(it) => it.term,
            Self::ReadIndex(it) => it.term,
            Self::ReadAnswer(it) => it.term,
        }
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The epoch.
    pub epoch: Epoch,
    /// The rest.
    pub body: Body,
}

impl AppendEntries {
    fn check(&self) -> Result<(), Reject> {
        if self.entries.len() > MAX_ENTRIES {
            return Err(Reject::TooLong);
        }
        let mut before = self.previous;
        for entry in &self.entries {
            entry.check()?;
            let follows = entry.at.height == before.height.next()
                && entry.at.height > before.height
                && (before.term..=self.term).contains(&entry.at.term);
            if !follows {
                return Err(Reject::Malformed);
            }
            before = entry.at;
        }
        if before.term <= self.term {
            Ok(())
        } else {
            Err(Reject::Malformed)
        }
    }
}

impl Authenticate for Message {
    fn check(&self, from: NodeId, by: &Verifier) -> Result<(), Reject> {
        if !by.validators.contains(from) {
            return Err(Reject::NotMember);
        }
        if self.epoch != by.context.epoch {
            return Err(Reject::WrongContext);
        }
        match &self.body {
            body if body.term() == View(0) => Err(Reject::Malformed),
            body if body.term() > MAX_TERM => Err(Reject::TooFar),
            Body::AppendEntries(append) => append.check(),
            Body::RequestVote(RequestVote { term, last, .. })
            | Body::PreVote(PreVote { term, last })
                if last.term > *term =>
            {
                Err(Reject::Malformed)
            }
            Body::Grant(grant) if grant.epoch != self.epoch => Err(Reject::Malformed),
            _ => Ok(()),
        }
    }
}

impl contract::Message for Message {
    /// Its term: a term far beyond the own is nonsense, and none is too old to be answered.
    fn position(&self) -> Option<(View, Height)> {
        Some((self.body.term(), Height(0)))
    }
    fn may_overtake(&self) -> bool {
        match &self.body {
            Body::Appended(_) | Body::RequestVote(_) | Body::Grant(_) => false,
            // The leader sends beside its own sync and counts itself only after it (\[D\] section
            // 10.2.1); whoever acknowledges has synced. The rest promises nothing.
            Body::AppendEntries(_)
            | Body::Conflict(_)
            | Body::Heard(_)
            | Body::PreVote(_)
            | Body::PreGrant(_)
            | Body::NewerTerm(_)
            | Body::TimeoutNow(_)
            | Body::ReadIndex(_)
            | Body::ReadAnswer(_) => true,
        }
    }
    /// A follower takes the later of two messages of entries for a gap in its log.
    fn keeps_order(&self) -> bool {
        matches!(self.body, Body::AppendEntries(_))
    }
    fn statement(&self) -> Option<(NodeId, Statement, Signature)> {
        None
    }
    fn name(&self) -> &'static str {
        match &self.body {
            Body::AppendEntries(_) => "append_entries",
            Body::Appended(_) => "appended",
            Body::Conflict(_) => "conflict",
            Body::Heard(_) => "heard",
            Body::RequestVote(_) => "request_vote",
            Body::Grant(_) => "grant",
            Body::PreVote(_) => "pre_vote",
            Body::PreGrant(_) => "pre_grant",
            Body::NewerTerm(_) => "newer_term",
            Body::TimeoutNow(_) => "timeout_now",
            Body::ReadIndex(_) => "read_index",
            Body::ReadAnswer(_) => "read_answer",
        }
    }
}

/// A message on its way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Draft(pub Message);

impl contract::Draft for Draft {
    type Message = Message;

    /// Only a vote is a statement, though its signature is left out.
    fn statement(&self) -> Option<Statement> {
        match &self.0.body {
            Body::Grant(grant) => Some(grant.statement()),
            _ => None,
        }
    }
    fn seal(self, _: Option<Signature>) -> Message {
        self.0
    }
}
