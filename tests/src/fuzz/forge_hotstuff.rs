//! Forged messages of HotStuff.

use super::Source;
use super::forge::{EPOCH, Forge, Hands, shuffle};
use crate::sim::Protocol;
use consensus::hotstuff::certificate::{timeout_statement, vote_statement};
use consensus::hotstuff::message::Vote;
use consensus::hotstuff::{Block, HotStuff, Message, QuorumCertificate, TimeoutCertificate};
use crypto::View;
use std::sync::Arc;

impl Forge for HotStuff {
    const PROTOCOL: Protocol = Protocol::HotStuff;

    fn vary(message: &mut Message, other: Option<&Message>, source: &mut Source<'_>) {
        let (quorum, timeout) = other.map(certificates).unwrap_or_default();
        match message {
            Message::Proposal(it) => {
                let block = Arc::make_mut(&mut it.block);
                match source.below(4) {
                    0 => block.header.timeout = timeout,
                    1 => block.header.timeout = None,
                    2 => block.header.justify = quorum.unwrap_or(block.header.justify.clone()),
                    _ => {
                        if let crypto::Payload::Refs(refs) = &mut block.payload {
                            shuffle(refs, source);
                        }
                    }
                }
            }
            Message::Vote(it) => it.view = View(source.number()),
            Message::Timeout(it) => match source.below(4) {
                0 => it.entry = timeout,
                1 => it.vote = None,
                2 => it.tenure = source.number(),
                _ => it.high = quorum.unwrap_or(it.high.clone()),
            },
            Message::Certificate(it) => {
                it.quorum = quorum.unwrap_or(it.quorum.clone());
                it.timeout = timeout;
            }
            Message::FetchBlocks(it) => it.target = quorum.unwrap_or(it.target.clone()),
            Message::Blocks(it) => shuffle(&mut it.blocks, source),
            Message::ReadAnswer(it) => it.high = quorum.unwrap_or(it.high.clone()),
            Message::AskCertificate(_) | Message::ReadAsk(_) => {}
        }
    }

    fn mend(message: &mut Message, hands: &Hands) {
        match message {
            Message::Proposal(it) => {
                block(Arc::make_mut(&mut it.block), hands);
                it.author = hands.me();
                let statement = it.statement();
                hands.sign(it.author, &statement, &mut it.signature);
            }
            Message::Vote(it) => vote(it, hands),
            Message::Timeout(it) => {
                (it.author, it.epoch) = (hands.me(), EPOCH);
                quorum(&mut it.high, hands);
                if let Some(entry) = &mut it.entry {
                    timeouts(entry, hands);
                }
                if let Some(it) = &mut it.vote {
                    vote(it, hands);
                }
                let statement = it.statement();
                hands.sign(it.author, &statement, &mut it.signature);
            }
            Message::Certificate(it) => {
                quorum(&mut it.quorum, hands);
                if let Some(it) = &mut it.timeout {
                    timeouts(it, hands);
                }
            }
            Message::AskCertificate(it) => it.epoch = EPOCH,
            Message::FetchBlocks(it) => {
                it.epoch = EPOCH;
                quorum(&mut it.target, hands);
            }
            Message::Blocks(it) => {
                blocks(&mut it.blocks, &mut it.certificate, hands);
            }
            Message::ReadAsk(it) => it.epoch = EPOCH,
            Message::ReadAnswer(it) => {
                it.epoch = EPOCH;
                quorum(&mut it.high, hands);
            }
        }
    }
}

/// The first certificates that a message holds.
fn certificates(
    message: &Message,
) -> (
    Option<Arc<QuorumCertificate>>,
    Option<Arc<TimeoutCertificate>>,
) {
    match message {
        Message::Proposal(it) => {
            let header = &it.block.header;
            (Some(header.justify.clone()), header.timeout.clone())
        }
        Message::Timeout(it) => (Some(it.high.clone()), it.entry.clone()),
        Message::Certificate(it) => (Some(it.quorum.clone()), it.timeout.clone()),
        Message::FetchBlocks(it) => (Some(it.target.clone()), None),
        Message::Blocks(it) => (Some(it.certificate.clone()), None),
        Message::ReadAnswer(it) => (Some(it.high.clone()), None),
        Message::Vote(_) | Message::AskCertificate(_) | Message::ReadAsk(_) => (None, None),
    }
}

fn vote(it: &mut Vote, hands: &Hands) {
    (it.author, it.epoch) = (hands.me(), EPOCH);
    let statement = it.statement();
    hands.sign(it.author, &statement, &mut it.signature);
}

fn quorum(it: &mut Arc<QuorumCertificate>, hands: &Hands) {
    if it.view == View(0) {
        return;
    }
    let it = Arc::make_mut(it);
    let statement = vote_statement(EPOCH, it.view, it.height, &it.block);
    hands.certificate(&mut it.certificate, |_, _| statement);
}

fn timeouts(it: &mut Arc<TimeoutCertificate>, hands: &Hands) {
    let it = Arc::make_mut(it);
    quorum(&mut it.high, hands);
    let (high, tenure) = (it.high.view, it.tenure);
    it.high_views.resize(it.certificate.signers.len(), high);
    let views = &mut it.high_views;
    views.iter_mut().for_each(|view| *view = high.min(*view));
    if let Some(first) = views.first_mut() {
        *first = high;
    }
    let said =
        |i: usize, _| timeout_statement(EPOCH, tenure, views.get(i).copied().unwrap_or(high));
    hands.certificate(&mut it.certificate, said);
}

fn block(it: &mut Block, hands: &Hands) {
    it.header.epoch = EPOCH;
    it.header.payload = it.payload.digest();
    quorum(&mut it.header.justify, hands);
    if let Some(it) = &mut it.header.timeout {
        timeouts(it, hands);
    }
}

/// A chain, if everybody's keys are here: each block certifies the one before.
fn blocks(list: &mut [Arc<Block>], last: &mut Arc<QuorumCertificate>, hands: &Hands) {
    let mut before: Option<Arc<Block>> = None;
    let certify = |it: &mut Arc<QuorumCertificate>, block: &Block| {
        let it = Arc::make_mut(it);
        (it.view, it.height) = (block.header.view, block.header.height);
        it.block = block.digest();
    };
    for it in list {
        let it = Arc::make_mut(it);
        if let Some(before) = before.as_deref().filter(|_| hands.are_all()) {
            certify(&mut it.header.justify, before);
            it.header.height = before.header.height.next();
            it.header.parent = it.header.justify.block;
        }
        block(it, hands);
        before = Some(Arc::new(it.clone()));
    }
    if let Some(before) = before.as_deref().filter(|_| hands.are_all()) {
        certify(last, before);
    }
    quorum(last, hands);
}
