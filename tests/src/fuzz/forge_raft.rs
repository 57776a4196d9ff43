//! Forged messages of Raft. Nothing is signed: only claims that contradict one another are mended.

use super::Source;
use super::forge::{EPOCH, Forge, Hands, shuffle};
use crate::sim::Protocol;
use consensus::raft::{Body, Message, Raft};
use crypto::{Payload, View};
use std::sync::Arc;

impl Forge for Raft {
    const PROTOCOL: Protocol = Protocol::Raft;

    fn vary(message: &mut Message, other: Option<&Message>, source: &mut Source<'_>) {
        let Body::AppendEntries(it) = &mut message.body else {
            return;
        };
        match source.below(5) {
            0 => shuffle(&mut it.entries, source),
            1 => it.term = View(source.number()),
            2 => it.previous.height.0 = source.number(),
            3 => {
                if let Some(entry) = it.entries.last_mut() {
                    Arc::make_mut(entry).payload = Payload::EMPTY;
                }
            }
            _ => {
                if let Some(Body::AppendEntries(other)) = other.map(|it| &it.body) {
                    it.entries.extend(other.entries.iter().cloned());
                }
            }
        }
    }

    fn mend(message: &mut Message, _: &Hands) {
        message.epoch = EPOCH;
        match &mut message.body {
            Body::AppendEntries(it) => {
                it.term = it.term.max(View(1));
                it.previous.term = it.previous.term.min(it.term);
                let mut before = it.previous;
                for entry in &mut it.entries {
                    let entry = Arc::make_mut(entry);
                    let least = before.term.max(View(1)).min(it.term);
                    entry.at.height = before.height.next();
                    entry.at.term = entry.at.term.clamp(least, it.term);
                    before = entry.at;
                }
            }
            Body::Grant(it) => it.epoch = EPOCH,
            _ => {}
        }
    }
}
