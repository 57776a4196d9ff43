//! Blocks, certificates and messages as liars make them, of true signatures and their own.

use super::super::troupe::{CONTEXT, Troupe};
use consensus::hotstuff::certificate::{timeout_statement, vote_statement};
use consensus::hotstuff::message::{Blocks, CertificatePair, Proposal, Timeout};
use consensus::hotstuff::{Block, Header, Message, QuorumCertificate, TimeoutCertificate};
use crypto::{Certificate, Digest, NodeId, Payload, Signature, View};
use std::sync::Arc;

/// A block on a certified parent.
pub fn block(
    view: u64,
    justify: &Arc<QuorumCertificate>,
    timeout: Option<Arc<TimeoutCertificate>>,
    payload: Payload,
) -> (Digest, Arc<Block>) {
    let header = Header {
        epoch: CONTEXT.epoch,
        view: View(view),
        height: justify.height.next(),
        parent: justify.block,
        justify: Arc::clone(justify),
        timeout,
        payload: payload.digest(),
    };
    (header.digest(), Arc::new(Block { header, payload }))
}

/// The proposal of a block.
pub fn proposal(troupe: &Troupe, author: u16, block: &Arc<Block>) -> Message {
    let mut proposal = Proposal {
        block: Arc::clone(block),
        author: NodeId(author),
        signature: Signature::NONE,
    };
    proposal.signature = troupe.sign(author, &proposal.statement());
    Message::Proposal(proposal)
}

/// A block certified by these, as bits, who have signed it or lie.
pub fn certificate(
    troupe: &Troupe,
    digest: Digest,
    header: &Header,
    voters: u32,
) -> Arc<QuorumCertificate> {
    let statement = vote_statement(CONTEXT.epoch, header.view, header.height, &digest);
    let signers = super::super::stage::members(voters).map(|i| i as u16);
    let signed = signers.map(|i| (NodeId(i), troupe.sign(i, &statement)));
    Arc::new(QuorumCertificate {
        view: header.view,
        height: header.height,
        block: digest,
        certificate: Certificate::collect(signed),
    })
}

/// The end of a tenure, by these with their high certificates, who have signed so or lie.
pub fn end(
    troupe: &Troupe,
    tenure: u64,
    mut signers: Vec<(u16, Arc<QuorumCertificate>)>,
) -> Arc<TimeoutCertificate> {
    signers.sort_unstable_by_key(|(node, _)| *node);
    let highest = signers.iter().max_by_key(|(_, high)| high.view);
    let (_, high) = highest.expect("somebody gives up");
    let signed = signers.iter().map(|(node, high)| {
        let statement = timeout_statement(CONTEXT.epoch, tenure, high.view);
        (NodeId(*node), troupe.sign(*node, &statement))
    });
    Arc::new(TimeoutCertificate {
        tenure,
        high_views: signers.iter().map(|(_, high)| high.view).collect(),
        certificate: Certificate::collect(signed),
        high: Arc::clone(high),
    })
}

/// A liar gives a tenure up.
pub fn timeout(
    troupe: &Troupe,
    liar: u16,
    tenure: u64,
    high: &Arc<QuorumCertificate>,
    entry: Option<Arc<TimeoutCertificate>>,
) -> Message {
    let mut timeout = Timeout {
        epoch: CONTEXT.epoch,
        tenure,
        high: Arc::clone(high),
        entry,
        vote: None,
        author: NodeId(liar),
        signature: Signature::NONE,
    };
    timeout.signature = troupe.sign(liar, &timeout.statement());
    Message::Timeout(Box::new(timeout))
}

/// Certificates are shown.
pub fn shown(quorum: &Arc<QuorumCertificate>, timeout: Option<Arc<TimeoutCertificate>>) -> Message {
    Message::Certificate(CertificatePair {
        quorum: Arc::clone(quorum),
        timeout,
    })
}

/// A chain of blocks is told.
pub fn blocks(blocks: Vec<Arc<Block>>, certificate: Arc<QuorumCertificate>) -> Message {
    Message::Blocks(Blocks {
        blocks,
        certificate,
    })
}
