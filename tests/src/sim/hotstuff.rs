//! HotStuff's frames and records, read from the outside.

use super::inspect::{Inspect, Inspected, Proposed, StoredVote, content};
use crate::check::{Certified, Link, Proven};
use bytes::Bytes;
use consensus::hotstuff::message::Vote;
use consensus::hotstuff::{
    Block, Header, Message, Proof, QuorumCertificate, Record, TimeoutCertificate,
};
use consensus::replica::Wire;
use crypto::{Digest, NodeId, codec};
use engine::Frame;
use storage::CommitRow;

/// Longest frame that is read.
const LIMIT: usize = 64 << 20;
/// The only epoch so far.
const EPOCH: u64 = 0;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct HotStuffInspector;

fn quorum(it: &QuorumCertificate, into: &mut Inspected) {
    let view = it.view.0;
    into.certified.push(Certified {
        epoch: EPOCH,
        view,
        block: it.block,
    });
    for signer in it.certificate.signers.iter() {
        into.promise(
            signer,
            "vote",
            (EPOCH, view),
            content(it.height.0, &it.block),
        );
    }
}

fn timeouts(it: &TimeoutCertificate, into: &mut Inspected) {
    quorum(&it.high, into);
    for (signer, high) in it.certificate.signers.iter().zip(&it.high_views) {
        into.promise(
            signer,
            "timeout",
            (EPOCH, it.tenure),
            content(high.0, &Digest::ZERO),
        );
    }
}

fn vote(it: &Vote, into: &mut Inspected) {
    into.promise(
        it.author,
        "vote",
        (it.epoch.0, it.view.0),
        content(it.height.0, &it.block),
    );
}

fn block(it: &Block, into: &mut Inspected) {
    quorum(&it.header.justify, into);
    if let Some(timeout) = &it.header.timeout {
        timeouts(timeout, into);
    }
}

fn message(message: &Message, into: &mut Inspected) {
    into.name = consensus::Message::name(message);
    match message {
        Message::Proposal(it) => {
            let header = &it.block.header;
            let digest = it.block.digest();
            into.view = header.view.0;
            into.promise(
                it.author,
                "proposal",
                (header.epoch.0, header.view.0),
                digest,
            );
            block(&it.block, into);
            into.proposed = Some(Proposed {
                block: digest,
                parent: header.parent,
                height: header.height.0,
                view: header.view.0,
                by_timeout: header.timeout.is_some(),
            });
        }
        Message::Vote(it) => {
            into.view = it.view.0;
            vote(it, into);
        }
        Message::Timeout(it) => {
            into.view = it.tenure;
            let place = (it.epoch.0, it.tenure);
            into.promise(
                it.author,
                "timeout",
                place,
                content(it.high.view.0, &Digest::ZERO),
            );
            quorum(&it.high, into);
            it.entry.iter().for_each(|entry| timeouts(entry, into));
            it.vote.iter().for_each(|it| vote(it, into));
        }
        Message::Certificate(it) => {
            into.view = it.quorum.view.0;
            quorum(&it.quorum, into);
            it.timeout.iter().for_each(|it| timeouts(it, into));
        }
        Message::Blocks(it) => {
            into.view = it.certificate.view.0;
            into.blocks = it.blocks.len();
            quorum(&it.certificate, into);
            it.blocks.iter().for_each(|it| block(it, into));
        }
        Message::ReadAnswer(it) => quorum(&it.high, into),
        Message::AskCertificate(it) => into.view = it.view.0,
        Message::FetchBlocks(_) | Message::ReadAsk(_) => {}
    }
}

fn pool(message: &mempool::Message, into: &mut Inspected) {
    into.name = message.name();
    match message {
        mempool::Message::Batches(list) => {
            let author = |bytes: &Bytes| {
                crypto::SealedBatch::open(bytes.clone())
                    .ok()
                    .map(|b| b.reference().author)
            };
            into.fetched = list.iter().filter_map(author).collect::<Vec<NodeId>>();
        }
        mempool::Message::Offer(_) => into.offer = true,
        _ => {}
    }
}

impl Inspect for HotStuffInspector {
    fn frame(&self, frame: &Bytes) -> Inspected {
        let mut into = Inspected::default();
        match engine::decode::<Message>(frame, LIMIT) {
            Ok(Frame::Replica(Wire::Protocol(it))) => message(&it, &mut into),
            Ok(Frame::Replica(Wire::Checkpoint(it))) => {
                into.name = "checkpoint";
                let place = (EPOCH, it.height.0);
                into.promise(
                    it.node,
                    "checkpoint",
                    place,
                    content(it.height.0, &it.state),
                );
            }
            Ok(Frame::Pool(it)) => pool(&it, &mut into),
            Err(_) => into.name = "undecodable",
        }
        into
    }

    fn vote(&self, key: &[u8], value: &[u8]) -> Option<StoredVote> {
        // One record of each kind: the key is a zero and the kind's number.
        let [0, _] = key else { return None };
        match codec::decode::<Record>(value) {
            Ok(Record::Vote(it)) => Some(StoredVote {
                view: it.view.0,
                height: it.height.0,
                block: it.block,
                lock_view: it.lock.view.0,
                lock_height: it.lock.height.0,
                lock: it.lock.block,
            }),
            _ => None,
        }
    }

    fn commit(&self, row: &CommitRow) -> Option<Proven> {
        let proof: Proof = codec::decode(&row.proof).ok()?;
        let link = |header: &Header| Link {
            block: header.digest(),
            view: header.view.0,
            height: header.height.0,
            parent: (header.parent, header.justify.view.0),
            payload: header.payload,
        };
        Some(Proven {
            height: row.height.0,
            payload: row.payload.digest(),
            links: proof.headers.iter().map(link).collect(),
            certified: (proof.certificate.block, proof.certificate.view.0),
            signers: proof.certificate.certificate.signers.iter().collect(),
        })
    }

    fn timeout(&self, key: &[u8], value: &[u8]) -> Option<u64> {
        let [0, _] = key else { return None };
        match codec::decode::<Record>(value) {
            Ok(Record::Timeout(it)) => Some(it.tenure),
            _ => None,
        }
    }
}
