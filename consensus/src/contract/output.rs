//! What comes out of a protocol.

use super::{Protocol, ReadId, Selection, Ticket, Token};
use crate::replica::StableCheckpoint;
use crypto::{Digest, Height, NodeId, NodeSet, Payload, Reject, Signature, Statement};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// To whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Back to itself through the fence only.
    Me,
    /// One member; itself: as `Me`.
    One(NodeId),
    /// All members, itself included (through the fence).
    All,
    /// All members but itself.
    Others,
}

/// The unit of commitment, the same for every protocol: heights are consecutive from 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Committed<Proof> {
    /// Height.
    pub height: Height,
    /// What is ordered there.
    pub payload: Payload,
    /// H(previous history, height, payload).
    pub history: Digest,
    /// Why it is committed.
    pub proof: Proof,
}

/// Why a read could not be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not the leader, and no leader is known.
    NoLeader,
    /// Too few answers in time.
    NoQuorum,
    /// Too many reads wait.
    Full,
}

/// Two statements of one key for one slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Who signed both.
    pub node: NodeId,
    /// The one seen first.
    pub first: (Statement, Signature),
    /// The one that contradicts it.
    pub second: (Statement, Signature),
}

/// One output, in the order in which the protocol made it.
#[derive(Debug)]
pub enum Output<P: Protocol> {
    /// Make durable.
    Persist(P::Record),
    /// Delete all records at heights from here up (Raft).
    Truncate(Height),
    /// Delete all records at heights below: a stable snapshot covers them.
    Forget(Height),
    /// Send, once all persisted before it is durable.
    Send(To, P::Draft),
    /// Send the own newest checkpoint once more, if it is not stable yet: what was lost may be what
    /// the watermarks wait for.
    Checkpoint(To),
    /// A stable checkpoint that a peer has shown, its certificate checked. It is durable before any
    /// later send, and comes back at a start: what moved the watermarks must not be forgotten.
    Stable(Arc<StableCheckpoint>),
    /// Committed: in order of height, each once.
    Commit {
        /// What.
        committed: Committed<P::Proof>,
        /// Whether it is what the present leader chose to order since this replica follows it: not what
        /// was fetched, nor what older views left. Who leaves something out is judged by nothing else.
        by_leader: bool,
    },
    /// Ask for something to order.
    WantPayload {
        /// Comes back with the answer.
        ticket: Ticket,
        /// At which height it would commit (for expiry).
        height: Height,
        /// Most bytes of batches.
        budget: u32,
        /// Digests of batches in uncommitted ancestors.
        exclude: Vec<Digest>,
    },
    /// Ask whether this payload is held and valid; fetch what is missing.
    CheckPayload {
        /// Comes back with the answer.
        block: Digest,
        /// At which height it would commit (for expiry).
        height: Height,
        /// The payload.
        payload: Payload,
    },
    /// The answer to this request is of no use any more: what is missing need not be fetched.
    DropCheck(Digest),
    /// A block lost its place: its payload is free again.
    Return(Payload),
    /// Load stored records.
    Load {
        /// Comes back with the answer.
        token: Token,
        /// Which.
        which: Selection,
    },
    /// Answers a read: serve it once this height is executed here.
    Read(ReadId, Result<Height, Retry>),
    /// So far behind that peers no longer hold the records: start state sync.
    Behind {
        /// A proven height.
        target: Height,
        /// Who has it.
        holders: NodeSet,
    },
    /// A proof that somebody lied.
    Evidence(Evidence),
    /// A peer's fault.
    Reject(NodeId, Reject),
    /// A new leader: batches that are not committed are handed to it.
    Leader(NodeId),
}

/// The outputs of one step, in order.
#[derive(Debug)]
pub struct Outputs<P: Protocol>(pub Vec<Output<P>>);

impl<P: Protocol> Default for Outputs<P> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<P: Protocol> Outputs<P> {
    /// Makes a record durable before any later send.
    pub fn persist(&mut self, record: P::Record) {
        self.0.push(Output::Persist(record));
    }
    /// Deletes all records at heights from here up.
    pub fn truncate(&mut self, from: Height) {
        self.0.push(Output::Truncate(from));
    }
    /// Deletes all records at heights below.
    pub fn forget(&mut self, below: Height) {
        self.0.push(Output::Forget(below));
    }
    /// Sends, behind the fence.
    pub fn send(&mut self, to: To, draft: P::Draft) {
        self.0.push(Output::Send(to, draft));
    }
    /// Sends the own checkpoint again that is not stable yet.
    pub fn checkpoint(&mut self, to: To) {
        self.0.push(Output::Checkpoint(to));
    }
    /// Makes durable that a checkpoint is stable.
    pub fn stable(&mut self, stable: &Arc<StableCheckpoint>) {
        self.0.push(Output::Stable(Arc::clone(stable)));
    }
    /// Commits the next height.
    pub fn commit(&mut self, committed: Committed<P::Proof>, by_leader: bool) {
        self.0.push(Output::Commit {
            committed,
            by_leader,
        });
    }
    /// Asks for payload.
    pub fn want_payload(
        &mut self,
        ticket: Ticket,
        height: Height,
        budget: u32,
        exclude: Vec<Digest>,
    ) {
        self.0.push(Output::WantPayload {
            ticket,
            height,
            budget,
            exclude,
        });
    }
    /// Asks whether a payload may be voted for.
    pub fn check_payload(&mut self, block: Digest, height: Height, payload: &Payload) {
        self.0.push(Output::CheckPayload {
            block,
            height,
            payload: payload.clone(),
        });
    }
    /// Takes [`Outputs::check_payload`] back.
    pub fn drop_check(&mut self, block: Digest) {
        self.0.push(Output::DropCheck(block));
    }
    /// Frees the payload of a block that lost its place.
    pub fn give_back(&mut self, payload: Payload) {
        self.0.push(Output::Return(payload));
    }
    /// Loads old records.
    pub fn load(&mut self, token: Token, which: Selection) {
        self.0.push(Output::Load { token, which });
    }
    /// Answers a read.
    pub fn read(&mut self, id: ReadId, at: Result<Height, Retry>) {
        self.0.push(Output::Read(id, at));
    }
    /// Starts state sync.
    pub fn behind(&mut self, target: Height, holders: NodeSet) {
        self.0.push(Output::Behind { target, holders });
    }
    /// Reports a liar.
    pub fn evidence(&mut self, evidence: Evidence) {
        self.0.push(Output::Evidence(evidence));
    }
    /// Counts a peer's fault.
    pub fn reject(&mut self, from: NodeId, reject: Reject) {
        self.0.push(Output::Reject(from, reject));
    }
    /// Names a new leader.
    pub fn leader(&mut self, leader: NodeId) {
        self.0.push(Output::Leader(leader));
    }
}
