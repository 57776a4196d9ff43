//! HotStuff's words. A block is named by its view, since honest leaders propose one a view.

use super::script::{Spoken, batches};
use anyhow::{Result, bail};
use consensus::hotstuff::{
    Block, HotStuff, Message, QuorumCertificate, Record, TimeoutCertificate,
};
use crypto::{BatchRef, FaultModel, Hasher, Height, NodeId, Payload};
use std::sync::Arc;

impl Spoken for HotStuff {
    const FAULTS: FaultModel = FaultModel::Byzantine;
    const VIEW: &'static str = "view";

    fn payload(batches: &[u64]) -> Payload {
        let name = |number: &u64| BatchRef {
            author: NodeId(0),
            number: *number,
            digest: Hasher::new("scenario/batch").number(*number).finish(),
            bytes: 100,
            count: 1,
            expires: Height(1 << 40),
        };
        Payload::Refs(batches.iter().map(name).collect())
    }
    fn line(message: &Message) -> String {
        match message {
            Message::Proposal(it) => format!("proposal {}", block(&it.block)),
            Message::Vote(it) => format!("vote b{}", it.view),
            Message::Timeout(it) => {
                let vote = it
                    .vote
                    .as_ref()
                    .map(|vote| format!(", last vote b{}", vote.view));
                let entry = entered(it.entry.as_ref());
                format!(
                    "timeout k{}: {}{entry}{}",
                    it.tenure,
                    high(&it.high),
                    vote.unwrap_or_default()
                )
            }
            Message::Certificate(it) => {
                format!(
                    "certificate: {}{}",
                    high(&it.quorum),
                    entered(it.timeout.as_ref())
                )
            }
            Message::AskCertificate(it) => {
                let stalled = if it.stalled { ", stalled" } else { "" };
                format!(
                    "ask_certificate: in view {}, b{} is highest{stalled}",
                    it.view, it.high
                )
            }
            Message::FetchBlocks(it) => {
                format!(
                    "fetch_blocks: from height {} up to b{}",
                    it.from, it.target.view
                )
            }
            Message::Blocks(it) => {
                let blocks: Vec<String> = it.blocks.iter().map(block).collect();
                format!("blocks: {}", blocks.join(", "))
            }
            Message::ReadAsk(_) => "read_ask".to_owned(),
            Message::ReadAnswer(it) => format!("read_answer: {}", high(&it.high)),
        }
    }
    fn disk(records: &[Record]) -> String {
        let mut said = Vec::new();
        for record in records {
            match record {
                Record::Vote(it) => {
                    said.push(format!("voted b{}, locked b{}", it.view, it.lock.view));
                }
                Record::Timeout(it) => said.push(format!("gave up k{}", it.tenure)),
                Record::Block(_) | Record::Progress(_) | Record::Commit { .. } => {}
            }
        }
        let views = records.iter().filter_map(|record| match record {
            Record::Block(it) => Some(format!("b{}", it.header.view)),
            _ => None,
        });
        let blocks: Vec<String> = views.collect();
        said.push(format!("blocks {}", blocks.join(" ")));
        said.join(", ")
    }
    fn stored(_: &[&str]) -> Result<Vec<Record>> {
        bail!("what HotStuff stores is signed: let it come about")
    }
}

fn block(block: &Arc<Block>) -> String {
    let header = &block.header;
    let numbers = batches(&HotStuff::batches(&block.payload));
    let timeout = entered(header.timeout.as_ref());
    format!(
        "b{} on b{}{timeout} with {numbers}",
        header.view, header.justify.view
    )
}

fn high(certificate: &QuorumCertificate) -> String {
    format!("b{} is certified", certificate.view)
}

fn entered(timeout: Option<&Arc<TimeoutCertificate>>) -> String {
    timeout.map_or(String::new(), |it| format!(", k{} is over", it.tenure))
}
