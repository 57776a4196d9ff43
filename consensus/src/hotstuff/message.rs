//! What replicas send each other, what they sign, and how all of it is checked.

use super::block::Block;
use super::certificate::{
    QuorumCertificate, TimeoutCertificate, timeout_statement, vote_statement,
};
use crate::common::Claims;
use crate::contract::{self, Signed};
use crypto::{
    Authenticate, Digest, Epoch, Height, Kind, NodeId, Reject, Signature, Slot, Statement,
    Verifier, View,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub use crate::contract::Unsigned as Draft;

/// Most blocks in one [`Blocks`].
pub const MAX_BLOCKS: usize = 256;

/// A leader's block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The block.
    pub block: Arc<Block>,
    /// The leader of its view.
    pub author: NodeId,
    /// The author's.
    pub signature: Signature,
}

impl Proposal {
    /// What its author signs. As with votes the slot has no height: one proposal a view.
    #[must_use]
    pub fn statement(&self) -> Statement {
        let Block { header, .. } = &*self.block;
        let (epoch, view) = (header.epoch, header.view);
        let slot = Slot {
            kind: Kind::Proposal,
            epoch,
            view,
            height: Height(0),
        };
        Statement {
            slot,
            content: header.digest(),
        }
    }
}

/// A vote for a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The epoch.
    pub epoch: Epoch,
    /// The block's view.
    pub view: View,
    /// The block's height.
    pub height: Height,
    /// The block.
    pub block: Digest,
    /// Who votes.
    pub author: NodeId,
    /// The author's.
    pub signature: Signature,
}

impl Vote {
    /// What its author signs.
    #[must_use]
    pub fn statement(&self) -> Statement {
        vote_statement(self.epoch, self.view, self.height, &self.block)
    }
    fn claim(&self, claims: &mut Claims<'_>) -> Result<(), Reject> {
        claims.author(self.author)?;
        claims.epoch(self.epoch)?;
        claims.signed(self.author, self.statement(), self.signature);
        Ok(())
    }
}

/// A tenure given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeout {
    /// The epoch.
    pub epoch: Epoch,
    /// The tenure.
    pub tenure: u64,
    /// The highest certificate the author knew; its view is what is signed beside the tenure.
    pub high: Arc<QuorumCertificate>,
    /// The certificate of the tenure before, exactly if `high` does not lead into this one.
    pub entry: Option<Arc<TimeoutCertificate>>,
    /// The author's last vote in the tenure.
    pub vote: Option<Vote>,
    /// Who gives up.
    pub author: NodeId,
    /// The author's.
    pub signature: Signature,
}

impl Timeout {
    /// What its author signs.
    #[must_use]
    pub fn statement(&self) -> Statement {
        timeout_statement(self.epoch, self.tenure, self.high.view)
    }
}

/// The certificates by which the sender entered its view: an answer to whoever lags, and how the
/// last payload's certificate travels when there is nothing left to propose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificatePair {
    /// The sender's high certificate.
    pub quorum: Arc<QuorumCertificate>,
    /// The timeout certificate, if the view was entered by one.
    pub timeout: Option<Arc<TimeoutCertificate>>,
}

/// Asks for newer certificates than these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskCertificate {
    /// The epoch.
    pub epoch: Epoch,
    /// The asker's view.
    pub view: View,
    /// The view of its high certificate.
    pub high: View,
    /// Whether it has work that does not move, and so wants to hear the promises of others again.
    pub stalled: bool,
}

/// Asks for certified blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchBlocks {
    /// The epoch.
    pub epoch: Epoch,
    /// From this height up.
    pub from: Height,
    /// Towards the block that this certifies. Who has the block may not know its certificate yet,
    /// without which the block would prove nothing to the asker.
    pub target: Arc<QuorumCertificate>,
}

/// Consecutive certified blocks, ascending. One certificate vouches for all: each block's digest
/// covers its parent's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocks {
    /// At most [`MAX_BLOCKS`]; empty if the sender has none of those asked for.
    pub blocks: Vec<Arc<Block>>,
    /// Certifies the last of them; if there are none, the sender's high certificate.
    pub certificate: Arc<QuorumCertificate>,
}

impl Blocks {
    fn claim(&self, claims: &mut Claims<'_>) -> Result<(), Reject> {
        if self.blocks.len() > MAX_BLOCKS {
            return Err(Reject::TooLong);
        }
        let mut above = (
            self.certificate.block,
            self.certificate.height,
            self.certificate.view,
        );
        for block in self.blocks.iter().rev() {
            block.check_content(claims.verifier())?;
            let header = &block.header;
            if (header.digest(), header.height, header.view) != above
                || header.parent != header.justify.block
            {
                return Err(Reject::Malformed);
            }
            above = (header.parent, header.justify.height, header.justify.view);
        }
        self.certificate.claim(claims)
    }
}

/// Asks for the high certificate, on behalf of reads that arrived before.
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
    /// The high certificate when the question came.
    pub high: Arc<QuorumCertificate>,
}

/// A message. The order of the variants is their number on the wire: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A leader's block.
    Proposal(Proposal),
    /// A vote, to the leader of the next view.
    Vote(Vote),
    /// A tenure given up, to all.
    Timeout(Box<Timeout>),
    /// Proof of a view.
    Certificate(CertificatePair),
    /// Asks for it.
    AskCertificate(AskCertificate),
    /// Asks for blocks.
    FetchBlocks(FetchBlocks),
    /// Blocks.
    Blocks(Blocks),
    /// First step of a read.
    ReadAsk(ReadAsk),
    /// Second step of a read.
    ReadAnswer(ReadAnswer),
}

impl Message {
    fn claim(&self, claims: &mut Claims<'_>) -> Result<(), Reject> {
        match self {
            Self::Proposal(proposal) => {
                claims.author(proposal.author)?;
                proposal.block.check_content(claims.verifier())?;
                claims.signed(proposal.author, proposal.statement(), proposal.signature);
                proposal.block.header.justify.claim(claims)?;
                if let Some(timeout) = &proposal.block.header.timeout {
                    timeout.claim(claims)?;
                }
            }
            Self::Vote(vote) => vote.claim(claims)?,
            Self::Timeout(timeout) => {
                claims.author(timeout.author)?;
                claims.epoch(timeout.epoch)?;
                claims.signed(timeout.author, timeout.statement(), timeout.signature);
                timeout.high.claim(claims)?;
                if let Some(entry) = &timeout.entry {
                    entry.claim(claims)?;
                }
                if let Some(vote) = &timeout.vote {
                    vote.claim(claims)?;
                }
            }
            Self::Certificate(pair) => {
                pair.quorum.claim(claims)?;
                if let Some(timeout) = &pair.timeout {
                    timeout.claim(claims)?;
                }
            }
            Self::AskCertificate(ask) => claims.epoch(ask.epoch)?,
            Self::FetchBlocks(fetch) => {
                claims.epoch(fetch.epoch)?;
                fetch.target.claim(claims)?;
            }
            Self::Blocks(blocks) => blocks.claim(claims)?,
            Self::ReadAsk(ask) => claims.epoch(ask.epoch)?,
            Self::ReadAnswer(answer) => {
                claims.epoch(answer.epoch)?;
                answer.high.claim(claims)?;
            }
        }
        Ok(())
    }
}

impl Authenticate for Message {
    /// Checks all but what depends on the leader schedule, which the replica knows and the
    /// verifier does not (`rules.rs`).
    fn check(&self, from: NodeId, by: &Verifier) -> Result<(), Reject> {
        let mut claims = Claims::of(from, by)?;
        self.claim(&mut claims)?;
        claims.check()
    }
}

impl contract::Message for Message {
    /// Timeouts, certificates and answers pass every window: they carry the proofs by which one who
    /// lags, or is lagged behind, is found out and helped.
    fn position(&self) -> Option<(View, Height)> {
        match self {
            Self::Proposal(p) => Some((p.block.header.view, p.block.header.height)),
            Self::Vote(vote) => Some((vote.view, vote.height)),
            _ => None,
        }
    }
    fn may_overtake(&self) -> bool {
        match self {
            Self::Proposal(_) | Self::Vote(_) | Self::Timeout(_) => false,
            Self::Certificate(_)
            | Self::AskCertificate(_)
            | Self::FetchBlocks(_)
            | Self::Blocks(_)
            | Self::ReadAsk(_)
            | Self::ReadAnswer(_) => true,
        }
    }
    fn statement(&self) -> Option<(NodeId, Statement, Signature)> {
        match self {
            Self::Proposal(p) => Some((p.author, p.statement(), p.signature)),
            Self::Vote(vote) => Some((vote.author, vote.statement(), vote.signature)),
            Self::Timeout(t) => Some((t.author, t.statement(), t.signature)),
            _ => None,
        }
    }
    fn name(&self) -> &'static str {
        match self {
            Self::Proposal(_) => "proposal",
            Self::Vote(_) => "vote",
            Self::Timeout(_) => "timeout",
            Self::Certificate(_) => "certificate",
            Self::AskCertificate(_) => "ask_certificate",
            Self::FetchBlocks(_) => "fetch_blocks",
            Self::Blocks(_) => "blocks",
            Self::ReadAsk(_) => "read_ask",
            Self::ReadAnswer(_) => "read_answer",
        }
    }
}

impl Signed for Message {
    fn sign(&mut self, signature: Signature) {
        match self {
            Self::Proposal(proposal) => proposal.signature = signature,
            Self::Vote(vote) => vote.signature = signature,
            Self::Timeout(timeout) => timeout.signature = signature,
            _ => {}
        }
    }
}
