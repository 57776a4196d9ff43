//! HotStuff's messages.

use super::{Ballot, Fluent, Role, Tongue, flipped};
use crate::adversary::{Entry, Poison, Proof, Ring, hotstuff};
use consensus::hotstuff::message::{Proposal, Timeout, Vote};
use consensus::hotstuff::{Block, HotStuff, Message, QuorumCertificate, TimeoutCertificate};
use consensus::{Message as _, Signed as _};
use crypto::{Certificate, Digest, Height, NodeId, Payload, Signature, View};
use std::sync::Arc;

fn in_quorum(it: &mut Arc<QuorumCertificate>) -> &mut Certificate {
    &mut Arc::make_mut(it).certificate
}

fn in_timeout(it: &mut Arc<TimeoutCertificate>) -> [&mut Certificate; 2] {
    let it = Arc::make_mut(it);
    [&mut it.certificate, in_quorum(&mut it.high)]
}

/// The highest certificate that a message carries.
pub fn highest(message: &Message) -> Option<&Arc<QuorumCertificate>> {
    match message {
        Message::Proposal(it) => Some(&it.block.header.justify),
        Message::Timeout(it) => Some(&it.high),
        Message::Certificate(it) => Some(&it.quorum),
        Message::FetchBlocks(it) => Some(&it.target),
        Message::Blocks(it) => Some(&it.certificate),
        Message::ReadAnswer(it) => Some(&it.high),
        Message::Vote(_) | Message::AskCertificate(_) | Message::ReadAsk(_) => None,
    }
}

fn highest_mut(message: &mut Message) -> Option<&mut Arc<QuorumCertificate>> {
    match message {
        Message::Proposal(it) => Some(&mut Arc::make_mut(&mut it.block).header.justify),
        Message::Timeout(it) => Some(&mut it.high),
        Message::Certificate(it) => Some(&mut it.quorum),
        Message::FetchBlocks(it) => Some(&mut it.target),
        Message::Blocks(it) => Some(&mut it.certificate),
        Message::ReadAnswer(it) => Some(&mut it.high),
        Message::Vote(_) | Message::AskCertificate(_) | Message::ReadAsk(_) => None,
    }
}

/// A proposal on another parent: that which this certifies.
pub fn build_on(proposal: &mut Proposal, justify: &Arc<QuorumCertificate>) {
    let header = &mut Arc::make_mut(&mut proposal.block).header;
    header.parent = justify.block;
    header.height = justify.height.next();
    header.justify = Arc::clone(justify);
}

impl Tongue for HotStuff {
    fn role(message: &Message) -> Role {
        match message {
            Message::Proposal(_) => Role::Propose,
            Message::Vote(_) => Role::Vote,
            Message::Timeout(_) => Role::GiveUp,
            Message::Certificate(_) => Role::Certify,
            Message::AskCertificate(_) | Message::FetchBlocks(_) | Message::ReadAsk(_) => Role::Ask,
            Message::Blocks(_) | Message::ReadAnswer(_) => Role::Answer,
        }
    }
    fn about(message: &Message) -> u64 {
        match message {
            Message::Proposal(it) => it.block.header.view.0,
            Message::Vote(it) => it.view.0,
            Message::Timeout(it) => it.tenure,
            other => highest(other).map_or(0, |it| it.view.0),
        }
    }
    fn sign(message: &mut Message, ring: &Ring) {
        if let Some((author, statement, _)) = message.statement() {
            message.sign(ring.sign(author, &statement));
        }
    }
    fn rival(message: &Message) -> Option<Message> {
        match message {
            Message::Proposal(it) if !it.block.payload.is_empty() => {
                Self::ordering(message, Payload::EMPTY)
            }
            Message::Vote(it) => Some(Message::Vote(Vote {
                block: flipped(&it.block),
                ..it.clone()
            })),
            Message::Timeout(it) => {
                // The tenure is given up once more, with a lower certificate.
                let entry = it.entry.as_ref()?;
                let mut other = it.clone();
                other.high = Arc::clone(&entry.high);
                (other.high != it.high).then_some(Message::Timeout(other))
            }
            _ => None,
        }
    }
    fn votes(proposal: &Message, me: NodeId, ring: &Ring) -> Vec<Ballot<Message>> {
        let Message::Proposal(Proposal { block, .. }) = proposal else {
            return Vec::new();
        };
        let header = &block.header;
        let vote = Vote {
            epoch: header.epoch,
            view: header.view,
            height: header.height,
            block: header.digest(),
            author: me,
            signature: Signature::NONE,
        };
        let next = ring.leader(header.view.next());
        vec![(Some(next), Message::Vote(vote))]
    }
}

impl Fluent for HotStuff {
    fn payload(message: &Message) -> Option<&Payload> {
        match message {
            Message::Proposal(it) => Some(&it.block.payload),
            _ => None,
        }
    }
    fn ordering(message: &Message, payload: Payload) -> Option<Message> {
        let Message::Proposal(it) = message else {
            return None;
        };
        let mut it = it.clone();
        let block: &mut Block = Arc::make_mut(&mut it.block);
        block.header.payload = payload.digest();
        block.payload = payload;
        Some(Message::Proposal(it))
    }
    fn set_view(message: &mut Message, view: u64) -> bool {
        match message {
            Message::Proposal(it) => Arc::make_mut(&mut it.block).header.view = View(view),
            Message::Vote(it) => it.view = View(view),
            Message::Timeout(it) => it.tenure = view,
            Message::AskCertificate(it) => it.view = View(view),
            Message::ReadAnswer(it) => Arc::make_mut(&mut it.high).view = View(view),
            Message::Certificate(it) => Arc::make_mut(&mut it.quorum).view = View(view),
            Message::FetchBlocks(_) | Message::Blocks(_) | Message::ReadAsk(_) => return false,
        }
        true
    }
    fn set_height(message: &mut Message, height: u64) -> bool {
        match message {
            Message::Proposal(it) => Arc::make_mut(&mut it.block).header.height = Height(height),
            Message::Vote(it) => it.height = Height(height),
            Message::FetchBlocks(it) => it.from = Height(height),
            _ => return false,
        }
        true
    }
    fn certificates(message: &mut Message) -> Vec<&mut Certificate> {
        match message {
            Message::Proposal(it) => {
                let header = &mut Arc::make_mut(&mut it.block).header;
                let mut list = vec![in_quorum(&mut header.justify)];
                list.extend(header.timeout.iter_mut().flat_map(in_timeout));
                list
            }
            Message::Timeout(it) => {
                let mut list = vec![in_quorum(&mut it.high)];
                list.extend(it.entry.iter_mut().flat_map(in_timeout));
                list
            }
            Message::Certificate(it) => {
                let mut list = vec![in_quorum(&mut it.quorum)];
                list.extend(it.timeout.iter_mut().flat_map(in_timeout));
                list
            }
            other => highest_mut(other).map(in_quorum).into_iter().collect(),
        }
    }
    fn age(message: &mut Message, older: &Message) -> bool {
        let Some(old) = highest(older).cloned() else {
            return false;
        };
        match message {
            // Where the view was entered by a certificate, all know that nothing older fits.
            Message::Proposal(it) => {
                if it.block.header.timeout.is_none() {
                    return false;
                }
                build_on(it, &old);
            }
            other => match highest_mut(other) {
                Some(place) => *place = old,
                None => return false,
            },
        }
        true
    }
    fn transposed(message: &Message) -> Option<Message> {
        // A proposal's signature on the vote for the same block, and back.
        let Message::Proposal(it) = message else {
            return None;
        };
        let header = &it.block.header;
        Some(Message::Vote(Vote {
            epoch: header.epoch,
            view: header.view,
            height: header.height,
            block: header.digest(),
            author: it.author,
            signature: it.signature,
        }))
    }
    fn omit(message: &mut Message, draw: u64) -> bool {
        match message {
            Message::Proposal(it) => {
                let block = Arc::make_mut(&mut it.block);
                match draw % 3 {
                    0 => block.header.timeout = None,
                    1 => block.payload = Payload::EMPTY,
                    _ => block.header.parent = Digest::ZERO,
                }
            }
            Message::Timeout(it) if draw.is_multiple_of(2) => it.entry = None,
            Message::Timeout(it) => it.vote = None,
            Message::Certificate(it) => it.timeout = None,
            Message::Blocks(it) => it.blocks.clear(),
            _ => return false,
        }
        true
    }
    const PLACES: [&'static str; 4] = [
        "under another parent",
        "a height above",
        "a height below",
        "a view above",
    ];
    fn misplace(message: &mut Message, place: usize) -> bool {
        let Message::Proposal(it) = message else {
            return false;
        };
        let block = Arc::make_mut(&mut it.block);
        let header = &mut block.header;
        match place {
            0 => header.parent = flipped(&header.parent),
            1 => header.height = Height(header.height.0 + 1),
            2 => header.height = Height(header.height.0.saturating_sub(1)),
            _ => header.view = View(header.view.0 + 1),
        }
        true
    }
    fn misdate(message: &mut Message) -> bool {
        match highest_mut(message).map(Arc::make_mut) {
            Some(it) if it.view > View(0) => it.view.0 += 1,
            _ => return false,
        }
        true
    }
    fn graft(message: &mut Message, older: &Message) -> bool {
        let (Message::Proposal(it), Message::Proposal(older)) = (message, older) else {
            return false;
        };
        let header = &mut Arc::make_mut(&mut it.block).header;
        header.parent = older.block.header.justify.block;
        header.parent != header.justify.block
    }
    fn give_up(message: &Message, me: NodeId, ring: &Ring) -> Option<Message> {
        let Message::Proposal(it) = message else {
            return None;
        };
        let header = &it.block.header;
        Some(Message::Timeout(Box::new(Timeout {
            epoch: header.epoch,
            tenure: ring.leaders.tenure_of(header.view),
            high: Arc::clone(&header.justify),
            entry: header.timeout.clone(),
            vote: None,
            author: me,
            signature: Signature::NONE,
        })))
    }
    fn poison(message: &mut Message, how: Poison, other: &Message) -> Option<Proof> {
        let Message::Blocks(it) = message else {
            return None;
        };
        let poisoned = match how {
            Poison::Beginning => {
                // Its own certificate vouches for it.
                let second = it.blocks.get(1)?;
                it.certificate = Arc::clone(&second.header.justify);
                how.spoil(&mut it.blocks)
            }
            Poison::Drip => {
                it.blocks.reverse();
                how.spoil(&mut it.blocks)
            }
            Poison::Foreign => {
                let foreign = match other {
                    Message::Proposal(it) => Some(it.block.payload.clone()),
                    Message::Blocks(it) => it.blocks.first().map(|it| it.payload.clone()),
                    _ => None,
                };
                let middle = it.blocks.len() / 2;
                Arc::make_mut(it.blocks.get_mut(middle)?).payload = foreign?;
                true
            }
            _ => how.spoil(&mut it.blocks),
        };
        poisoned.then_some(Proof::Whole)
    }
    const LACKS: &'static [(&'static str, &'static str)] =
        &[("replay", "another's opening of a view")];
    const ANSWERS: &'static [Proof] = &[Proof::Whole];
    fn own() -> Vec<Entry<Self>> {
        hotstuff::own()
    }
}
