//! What replicas send each other, what they sign, and how all of it is checked.

use super::certificate::{
    CommitCertificate, NewView, Prepared, claim_checkpoint, phase_statement, view_slot,
};
use super::slot::{self, Assigned};
use crate::common::Claims;
use crate::contract::{self, Signed};
use crate::replica::StableCheckpoint;
use crypto::{
    Authenticate, Context, Digest, Epoch, Hasher, Height, Kind, NodeId, Payload, Reject, Signature,
    Statement, Verifier, View,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub use crate::contract::Unsigned as Draft;

/// Most slots in one [`Slots`], [`FetchPayloads`] or [`Payloads`].
pub const MAX_SLOTS: usize = 256;

/// A primary's payload for a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrePrepare {
    /// The epoch.
    pub epoch: Epoch,
    /// The view.
    pub view: View,
    /// The slot.
    pub height: Height,
    /// What it orders; empty for a null slot.
    pub payload: Arc<Payload>,
    /// The primary of the view.
    pub author: NodeId,
    /// The author's.
    pub signature: Signature,
}

impl PrePrepare {
    /// What it assigns.
    #[must_use]
    pub fn assigned(&self) -> Assigned {
        Assigned {
            height: self.height,
            view: self.view,
            digest: slot::content(&self.payload),
        }
    }
    /// What its author signs.
    #[must_use]
    pub fn statement(&self) -> Statement {
        phase_statement(Kind::PrePrepare, self.epoch, &self.assigned())
    }
}

/// A prepare or a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The epoch.
    pub epoch: Epoch,
    /// What it is for.
    pub assigned: Assigned,
    /// Who votes.
    pub author: NodeId,
    /// The author's.
    pub signature: Signature,
}

impl Vote {
    fn claim(&self, kind: Kind, claims: &mut Claims<'_>) -> Result<(), Reject> {
        claims.author(self.author)?;
        claims.epoch(self.epoch)?;
        claims.signed(self.author, self.statement(kind), self.signature);
        Ok(())
    }
    /// What its author signs.
    #[must_use]
    pub fn statement(&self, kind: Kind) -> Statement {
        phase_statement(kind, self.epoch, &self.assigned)
    }
}

/// A stable checkpoint by name; height 0 and a zero digest for where the epoch begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Low {
    /// Its height.
    pub height: Height,
    /// The content of its statement.
    pub checkpoint: Digest,
}

impl Low {
    /// Where the epoch begins, or a checkpoint.
    #[must_use]
    pub fn of(stable: Option<&StableCheckpoint>, context: &Context) -> Self {
        stable.map_or_else(Self::default, |stable| Self {
            height: stable.height,
            checkpoint: stable.statement(context).content,
        })
    }
}

/// What a member says when it gives a view up (\[CL\] section 4.4, the view-change message). It signs
/// what it has prepared, not the certificates of it, which travel beside: so a new view needs one
/// certificate for what several members have prepared, and is as large as the window and not as the
/// window times the members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The epoch.
    pub epoch: Epoch,
    /// The view that it wants to be opened.
    pub view: View,
    /// Its stable checkpoint.
    pub low: Low,
    /// What it has prepared above, the highest view of each slot; ascending.
    pub prepared: Vec<Assigned>,
    /// Who says so.
    pub author: NodeId,
    /// The author's.
    pub signature: Signature,
}

impl Change {
    /// What its author signs.
    #[must_use]
    pub fn statement(&self) -> Statement {
        let mut hasher = Hasher::new("quorate/v1/pbft/view-change");
        hasher
            .number(self.low.height.0)
            .digest(&self.low.checkpoint)
            .number(self.prepared.len() as u64);
        for it in &self.prepared {
            hasher
                .number(it.height.0)
                .number(it.view.0)
                .digest(&it.digest);
        }
        Statement {
            slot: view_slot(Kind::ViewChange, self.epoch, self.view),
            content: hasher.finish(),
        }
    }
    /// Whether its slots ascend, above its checkpoint and below its view. How far they may go is the
    /// replica's to judge.
    pub(super) fn check_form(&self, claims: &Claims<'_>) -> Result<(), Reject> {
        claims.epoch(self.epoch)?;
        let mut before = self.low.height;
        for it in &self.prepared {
            if it.height <= before || it.view >= self.view {
                return Err(Reject::Malformed);
            }
            before = it.height;
        }
        Ok(())
    }
}

/// A view given up, with proof of all that it says. One bad part makes the whole invalid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewChange {
    /// What is signed.
    pub change: Change,
    /// The stable checkpoint that it names.
    pub checkpoint: Option<Arc<StableCheckpoint>>,
    /// A certificate for each slot that it names.
    pub prepared: Vec<Arc<Prepared>>,
}

impl ViewChange {
    /// Checks its form and adds all its signatures to `claims`.
    ///
    /// # Errors
    /// [`Reject::Malformed`] if proofs and claims differ, or what is wrong with a proof.
    pub fn claim(&self, claims: &mut Claims<'_>) -> Result<(), Reject> {
        let change = &self.change;
        change.check_form(claims)?;
        let named = Low::of(self.checkpoint.as_deref(), &claims.verifier().context) == change.low;
        let proven = self.prepared.iter().map(|it| it.assigned);
        if !named || !proven.eq(change.prepared.iter().copied()) {
            return Err(Reject::Malformed);
        }
        claims.signed(change.author, change.statement(), change.signature);
        if let Some(stable) = &self.checkpoint {
            claim_checkpoint(stable, claims)?;
        }
        self.prepared.iter().try_for_each(|it| it.claim(claims))
    }
}

/// Asks who is further for what the sender lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskProgress {
    /// The epoch.
    pub epoch: Epoch,
    /// The highest view that the asker needs no proof of: it takes part in it, or has no part in it
    /// any more.
    pub view: View,
    /// Up to where it has committed.
    pub height: Height,
    /// Whether it has work that does not move, and so wants to hear the promises of others again.
    pub stalled: bool,
}

/// Asks for committed slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchSlots {
    /// The epoch.
    pub epoch: Epoch,
    /// From this height up.
    pub from: Height,
}

/// A committed slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedSlot {
    /// What it orders.
    pub payload: Arc<Payload>,
    /// Why it is committed.
    pub certificate: Arc<CommitCertificate>,
}

/// Consecutive committed slots, ascending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// At most [`MAX_SLOTS`].
    pub slots: Vec<CommittedSlot>,
    /// Up to where the sender has committed: worth another question, and believed no further.
    pub reached: Height,
}

impl Slots {
    fn claim(&self, claims: &mut Claims<'_>) -> Result<(), Reject> {
        if self.slots.len() > MAX_SLOTS {
            return Err(Reject::TooLong);
        }
        let mut before: Option<Height> = None;
        for CommittedSlot {
            payload,
            certificate,
        } in &self.slots
        {
            payload.check_refs()?;
            let assigned = &certificate.assigned;
            let follows = before.is_none_or(|it| assigned.height == it.next());
            let named = assigned.digest == slot::content(payload);
            if !follows || !(named || crypto::planted!(BelieveAnswers)) {
                return Err(Reject::Malformed);
            }
            before = Some(assigned.height);
            certificate.claim(claims)?;
        }
        Ok(())
    }
}

/// Asks for payloads that a new view carries over and the sender, its primary, has not seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchPayloads {
    /// The epoch.
    pub epoch: Epoch,
    /// Slots and what stands for their payloads; at most [`MAX_SLOTS`].
    pub wanted: Vec<(Height, Digest)>,
}

/// Answers [`FetchPayloads`]: what it holds is told by its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payloads {
    /// The epoch.
    pub epoch: Epoch,
    /// At most [`MAX_SLOTS`].
    pub payloads: Vec<(Height, Arc<Payload>)>,
}

/// Asks how far slots are known to be ordered, on behalf of reads that arrived before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAsk {
    /// The epoch.
    pub epoch: Epoch,
    /// Tells this question from all earlier ones.
    pub nonce: u64,
}

/// Answers [`ReadAsk`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAnswer {
    /// The epoch.
    pub epoch: Epoch,
    /// Of the question.
    pub nonce: u64,
    /// The highest slot that may be committed as far as its sender knows, when the question came.
    pub reached: Reached,
}

/// Proves that a slot may have been committed, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reached {
    /// None.
    Nothing,
    /// It was, and all before it.
    Stable(Arc<StableCheckpoint>),
    /// It may have been.
    Prepared(Arc<Prepared>),
    /// It was.
    Committed(Arc<CommitCertificate>),
}

impl Reached {
    /// Which one.
    #[must_use]
    pub fn height(&self) -> Height {
        match self {
            Self::Nothing => Height(0),
            Self::Stable(it) => it.height,
            Self::Prepared(it) => it.assigned.height,
            Self::Committed(it) => it.assigned.height,
        }
    }
    fn claim(&self, claims: &mut Claims<'_>) -> Result<(), Reject> {
        match self {
            Self::Nothing => Ok(()),
            Self::Stable(it) => claim_checkpoint(it, claims),
            Self::Prepared(it) => it.claim(claims),
            Self::Committed(it) => it.claim(claims),
        }
    }
}

/// A message. The order of the variants is their number on the wire: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A primary's payload for a slot, to all.
    PrePrepare(PrePrepare),
    /// First answer, to all.
    Prepare(Vote),
    /// Second answer, to all.
    Commit(Vote),
    /// A view given up, to all.
    ViewChange(Box<ViewChange>),
    /// A view opened, by its primary, to all.
    NewView(Arc<NewView>),
    /// By what the sender entered its view: the answer to whoever is in an older one.
    Opened(Arc<NewView>),
    /// Proof of a slot that somebody waits for.
    Certificate(Reached),
    /// Asks where others stand.
    AskProgress(AskProgress),
    /// Asks for committed slots.
    FetchSlots(FetchSlots),
    /// Committed slots.
    Slots(Slots),
    /// Asks for payloads.
    FetchPayloads(FetchPayloads),
    /// Payloads.
    Payloads(Payloads),
    /// First step of a read.
    ReadAsk(ReadAsk),
    /// Second step of a read.
    ReadAnswer(ReadAnswer),
}

fn check_length(length: usize) -> Result<(), Reject> {
    if length > MAX_SLOTS {
        Err(Reject::TooLong)
    } else {
        Ok(())
    }
}

impl Message {
    fn claim(&self, claims: &mut Claims<'_>) -> Result<(), Reject> {
        match self {
            Self::PrePrepare(it) => {
                claims.author(it.author)?;
                claims.epoch(it.epoch)?;
                it.payload.check_refs()?;
                claims.signed(it.author, it.statement(), it.signature);
            }
            Self::Prepare(vote) => vote.claim(Kind::Prepare, claims)?,
            Self::Commit(vote) => vote.claim(Kind::Commit, claims)?,
            Self::ViewChange(it) => {
                claims.author(it.change.author)?;
                it.claim(claims)?;
            }
            Self::NewView(it) => {
                claims.author(it.author)?;
                it.claim(claims)?;
            }
            Self::Opened(it) => it.claim(claims)?,
            Self::Certificate(reached) => reached.claim(claims)?,
            Self::AskProgress(ask) => claims.epoch(ask.epoch)?,
            Self::FetchSlots(fetch) => claims.epoch(fetch.epoch)?,
            Self::Slots(slots) => slots.claim(claims)?,
            Self::FetchPayloads(fetch) => {
                claims.epoch(fetch.epoch)?;
                check_length(fetch.wanted.len())?;
            }
            Self::Payloads(it) => {
                claims.epoch(it.epoch)?;
                check_length(it.payloads.len())?;
                for (_, payload) in &it.payloads {
                    payload.check_refs()?;
                }
            }
            Self::ReadAsk(ask) => claims.epoch(ask.epoch)?,
            Self::ReadAnswer(answer) => {
                claims.epoch(answer.epoch)?;
                answer.reached.claim(claims)?;
            }
        }
        Ok(())
    }
}

impl Authenticate for Message {
    /// Checks all but what depends on who leads which view and on the interval of checkpoints,
    /// which the replica knows and the verifier does not (`rules.rs`).
    fn check(&self, from: NodeId, by: &Verifier) -> Result<(), Reject> {
        let mut claims = Claims::of(from, by)?;
        self.claim(&mut claims)?;
        claims.check()
    }
}

impl contract::Message for Message {
    /// View changes, their proofs and all answers pass every window: by them one who lags, or is
    /// lagged behind, is found out and helped.
    fn position(&self) -> Option<(View, Height)> {
        match self {
            Self::PrePrepare(it) => Some((it.view, it.height)),
            Self::Prepare(vote) | Self::Commit(vote) => {
                Some((vote.assigned.view, vote.assigned.height))
            }
            _ => None,
        }
    }
    fn may_overtake(&self) -> bool {
        match self {
            Self::PrePrepare(_)
            | Self::Prepare(_)
            | Self::Commit(_)
            | Self::ViewChange(_)
            | Self::NewView(_) => false,
            Self::Opened(_)
            | Self::Certificate(_)
            | Self::AskProgress(_)
            | Self::FetchSlots(_)
            | Self::Slots(_)
            | Self::FetchPayloads(_)
            | Self::Payloads(_)
            | Self::ReadAsk(_)
            | Self::ReadAnswer(_) => true,
        }
    }
    fn statement(&self) -> Option<(NodeId, Statement, Signature)> {
        let vote = |it: &Vote, kind| (it.author, it.statement(kind), it.signature);
        match self {
            Self::PrePrepare(it) => Some((it.author, it.statement(), it.signature)),
            Self::Prepare(it) => Some(vote(it, Kind::Prepare)),
            Self::Commit(it) => Some(vote(it, Kind::Commit)),
            Self::ViewChange(it) => {
                Some((it.change.author, it.change.statement(), it.change.signature))
            }
            Self::NewView(it) => Some((it.author, it.statement(), it.signature)),
            _ => None,
        }
    }
    fn name(&self) -> &'static str {
        match self {
            Self::PrePrepare(_) => "pre_prepare",
            Self::Prepare(_) => "prepare",
            Self::Commit(_) => "commit",
            Self::ViewChange(_) => "view_change",
            Self::NewView(_) => "new_view",
            Self::Opened(_) => "opened",
            Self::Certificate(_) => "certificate",
            Self::AskProgress(_) => "ask_progress",
            Self::FetchSlots(_) => "fetch_slots",
            Self::Slots(_) => "slots",
            Self::FetchPayloads(_) => "fetch_payloads",
            Self::Payloads(_) => "payloads",
            Self::ReadAsk(_) => "read_ask",
            Self::ReadAnswer(_) => "read_answer",
        }
    }
}

impl Signed for Message {
    fn sign(&mut self, signature: Signature) {
        match self {
            Self::PrePrepare(it) => it.signature = signature,
            Self::Prepare(it) | Self::Commit(it) => it.signature = signature,
            Self::ViewChange(it) => it.change.signature = signature,
            Self::NewView(it) => Arc::make_mut(it).signature = signature,
            _ => {}
        }
    }
}
