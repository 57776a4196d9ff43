//! Certificates and blocks made by hand, and what tests ask of a replica of HotStuff.

use super::super::certificate::{timeout_statement, vote_statement};
use super::super::message::{CertificatePair, Proposal, Timeout, Vote};
use super::super::{Block, Header, HotStuff, Message, QuorumCertificate, TimeoutCertificate};
use crate::testing::{Members, Subject, batches};
use crate::{LeaderSchedule, To};
use crypto::*;
use std::sync::Arc;

pub use crate::testing::batches::reference as batch;

pub type Craft = Members<HotStuff>;
pub type Solo = crate::testing::Solo<HotStuff>;

impl Subject for HotStuff {
    const FAULTS: FaultModel = FaultModel::Byzantine;
    const INLINE: bool = false;
    type Said = Message;

    fn said(message: Message) -> Message {
        message
    }
    fn message(said: Message) -> Message {
        said
    }
}

impl Craft {
    pub fn new(n: u16, leaders: LeaderSchedule) -> Self {
        Self::led(n, leaders)
    }
    pub fn genesis(&self) -> Arc<QuorumCertificate> {
        Arc::new(QuorumCertificate::anchor(&self.verifier.context))
    }
    pub fn leader(&self, view: u64) -> u16 {
        self.leaders.leader(View(view), self.n() as usize).0
    }
    /// A block on a certified parent.
    pub fn block(
        &self,
        view: u64,
        justify: &Arc<QuorumCertificate>,
        payload: Payload,
    ) -> Arc<Block> {
        self.block_after(view, justify, None, payload)
    }
    pub fn block_after(
        &self,
        view: u64,
        justify: &Arc<QuorumCertificate>,
        timeout: Option<Arc<TimeoutCertificate>>,
        payload: Payload,
    ) -> Arc<Block> {
        let header = Header {
            epoch: Epoch(0),
            view: View(view),
            height: justify.height.next(),
            parent: justify.block,
            justify: Arc::clone(justify),
            timeout,
            payload: payload.digest(),
        };
        Arc::new(Block { header, payload })
    }
    /// The leader's proposal of it.
    pub fn proposal(&self, block: &Arc<Block>) -> Message {
        self.proposal_by(self.leader(block.header.view.0), block)
    }
    pub fn proposal_by(&self, author: u16, block: &Arc<Block>) -> Message {
        let mut proposal = Proposal {
            block: Arc::clone(block),
            author: NodeId(author),
            signature: Signature::NONE,
        };
        proposal.signature = self.sign(author, &proposal.statement());
        Message::Proposal(proposal)
    }
    pub fn vote(&self, node: u16, block: &Block) -> Vote {
        let header = &block.header;
        let mut vote = Vote {
            epoch: header.epoch,
            view: header.view,
            height: header.height,
            block: block.digest(),
            author: NodeId(node),
            signature: Signature::NONE,
        };
        vote.signature = self.sign(node, &vote.statement());
        vote
    }
    /// Certified by the given members.
    pub fn certify_by(&self, block: &Block, signers: &[u16]) -> Arc<QuorumCertificate> {
        let header = &block.header;
        let digest = block.digest();
        let statement = vote_statement(header.epoch, header.view, header.height, &digest);
        let signed = signers
            .iter()
            .map(|i| (NodeId(*i), self.sign(*i, &statement)));
        Arc::new(QuorumCertificate {
            view: header.view,
            height: header.height,
            block: digest,
            certificate: Certificate::collect(signed),
        })
    }
    /// Certified by the first q.
    pub fn certify(&self, block: &Block) -> Arc<QuorumCertificate> {
        let signers: Vec<u16> = (0..self.quorum() as u16).collect();
        self.certify_by(block, &signers)
    }
    /// A timeout; `high` must fit the tenure.
    pub fn timeout(
        &self,
        node: u16,
        tenure: u64,
        high: &Arc<QuorumCertificate>,
        entry: Option<Arc<TimeoutCertificate>>,
    ) -> Timeout {
        let mut timeout = Timeout {
            epoch: Epoch(0),
            tenure,
            high: Arc::clone(high),
            entry,
            vote: None,
            author: NodeId(node),
            signature: Signature::NONE,
        };
        timeout.signature = self.sign(node, &timeout.statement());
        timeout
    }
    /// A timeout certificate of the given signers and their high certificates.
    pub fn timeout_certificate(
        &self,
        tenure: u64,
        signers: &[(u16, &Arc<QuorumCertificate>)],
    ) -> Arc<TimeoutCertificate> {
        let mut signers = signers.to_vec();
        signers.sort_by_key(|(node, _)| *node);
        let high = signers
            .iter()
            .map(|(_, high)| *high)
            .max_by_key(|high| high.view)
            .unwrap();
        let signed = signers.iter().map(|(node, high)| {
            (
                NodeId(*node),
                self.sign(*node, &timeout_statement(Epoch(0), tenure, high.view)),
            )
        });
        Arc::new(TimeoutCertificate {
            tenure,
            high_views: signers.iter().map(|(_, high)| high.view).collect(),
            certificate: Certificate::collect(signed),
            high: Arc::clone(high),
        })
    }
    /// A chain of blocks with payload in the given views, each certified; returns the blocks, and
    /// the certificates of all.
    pub fn chain(&self, views: &[u64]) -> (Vec<Arc<Block>>, Vec<Arc<QuorumCertificate>>) {
        let mut justify = self.genesis();
        let (mut blocks, mut certificates) = (Vec::new(), Vec::new());
        for view in views {
            let block = self.block(*view, &justify, payload(*view));
            justify = self.certify(&block);
            blocks.push(block);
            certificates.push(Arc::clone(&justify));
        }
        (blocks, certificates)
    }
}

/// A payload of one batch.
pub fn payload(number: u64) -> Payload {
    batches::payload::<HotStuff>([number])
}

impl Solo {
    pub fn propose(&mut self, block: &Arc<Block>) {
        let message = self.craft.proposal(block);
        self.deliver(self.craft.leader(block.header.view.0), message);
    }
    /// A certificate, as the answer of a peer.
    pub fn certificate(&mut self, from: u16, quorum: &Arc<QuorumCertificate>) {
        let pair = CertificatePair {
            quorum: Arc::clone(quorum),
            timeout: None,
        };
        self.deliver(from, Message::Certificate(pair));
    }
    /// The views in which it voted, in order, each once.
    pub fn voted(&self) -> Vec<u64> {
        let mut views: Vec<u64> = self
            .sent
            .iter()
            .filter_map(|(to, message)| match message {
                Message::Vote(vote) if *to == To::Me => Some(vote.view.0),
                _ => None,
            })
            .collect();
        views.dedup();
        views
    }
    /// The blocks that it proposed.
    pub fn proposed(&self) -> Vec<Arc<Block>> {
        self.sent
            .iter()
            .filter_map(|(to, message)| match message {
                Message::Proposal(p) if *to == To::All => Some(Arc::clone(&p.block)),
                _ => None,
            })
            .collect()
    }
    /// The tenures it gave up.
    pub fn gave_up(&self) -> Vec<u64> {
        let mut tenures: Vec<u64> = self
            .sent
            .iter()
            .filter_map(|(_, message)| match message {
                Message::Timeout(timeout) => Some(timeout.tenure),
                _ => None,
            })
            .collect();
        tenures.dedup();
        tenures
    }
    pub fn view(&self) -> u64 {
        self.replica.view.0
    }
}

pub fn round_robin(tenure: u64) -> LeaderSchedule {
    LeaderSchedule::RoundRobin { tenure }
}
