//! Raft's messages: what it takes for the one lie that shows what Raft does not withstand.

use super::{Ballot, Role, Tongue};
use crate::adversary::Ring;
use consensus::Message as _;
use consensus::raft::{Body, Message, Raft};
use crypto::{NodeId, Payload};
use std::sync::Arc;

impl Tongue for Raft {
    fn role(message: &Message) -> Role {
        match &message.body {
            Body::AppendEntries(_) => Role::Propose,
            _ => Role::Answer,
        }
    }
    fn about(message: &Message) -> u64 {
        message.position().map_or(0, |(term, _)| term.0)
    }
    /// Nothing is signed.
    fn sign(_: &mut Message, _: &Ring) {}
    /// The same entries, without their payload.
    fn rival(message: &Message) -> Option<Message> {
        let mut message = message.clone();
        let Body::AppendEntries(append) = &mut message.body else {
            return None;
        };
        let mut lies = false;
        for entry in &mut append.entries {
            lies |= !entry.payload.is_empty();
            Arc::make_mut(entry).payload = Payload::EMPTY;
        }
        lies.then_some(message)
    }
    /// Those who are told something take it: a leader needs no accomplice.
    fn votes(_: &Message, _: NodeId, _: &Ring) -> Vec<Ballot<Message>> {
        Vec::new()
    }
}
