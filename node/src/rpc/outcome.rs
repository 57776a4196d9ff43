//! What became of a transaction, on its way to who asks.
//!
//! It has happened once it is known, and nobody can ask for it in full again: long results are not
//! kept. So a transaction that reads is taken only when there is room for what it may tell, and one for
//! which there is none was not taken. How long its results will be nobody knows, but the last ones of
//! its connection say something. Where that was too little, the results are left out, as they are of a
//! repetition: what was done is always told.

use super::NodeInfo;
use super::answers::Kind;
use super::arrival::PREFIX;
use super::connection::Connection;
use super::held::{Held, Room, SHORT};
use super::proto::{Receipt, TaggedResponse, tagged_response::Outcome};
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::{Operation, Request};
use tonic::Status;

/// The least that room is made for: an outcome without results always fits.
const LEAST: usize = 1 << 10;

/// How long the outcomes of a connection are, as far as its last ones tell.
#[derive(Debug)]
pub(super) struct Expected(AtomicUsize);

impl Expected {
    /// Nothing is known: as long as they may be.
    pub(super) fn new() -> Self {
        Self(AtomicUsize::new(usize::MAX))
    }

    /// For how many bytes to make room where there may be so many.
    pub(super) fn of(&self, most: usize) -> usize {
        self.0.load(Ordering::Relaxed).clamp(LEAST, most.max(LEAST))
    }

    /// One for which there was so much room was so long. A longer one counts at once, shorter ones by
    /// and by; and the next may be a little longer.
    fn learn(&self, bytes: usize, room: usize) {
        let learnt = |thought: usize| {
            let thought = thought.min(room);
            Some((bytes + bytes / 8).max(thought - thought / 4))
        };
        // It never is `None`.
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, learnt)
            .ok();
    }
}

/// About the most bytes that the outcome of a transaction can have; `None`: it reads nothing, and what
/// there is to tell is short.
pub(super) fn longest(request: &Request, info: &NodeInfo) -> Option<usize> {
    let is_range = |it: &&Operation| matches!(it, Operation::Range { .. });
    let ranges = |branch: &[Operation]| branch.iter().filter(is_range).count();
    let ranges = ranges(&request.then).max(ranges(&request.otherwise));
    (ranges > 0).then(|| info.outcome_bytes(ranges))
}

/// An answer that tells an outcome.
pub(super) trait Tells: Message {
    /// Leaves the results out.
    fn shorten(&mut self);
}

impl Tells for Receipt {
    fn shorten(&mut self) {
        self.results = Vec::new();
        self.results_dropped = true;
    }
}

impl Tells for TaggedResponse {
    fn shorten(&mut self) {
        if let Some(Outcome::Receipt(receipt)) = &mut self.outcome {
            receipt.shorten();
        }
    }
}

/// Counts an answer, in what was reserved for it if anything was; leaves out what finds no room.
///
/// # Errors
/// DEADLINE_EXCEEDED if not even the shortest does.
pub(super) fn counted<M: Tells>(
    connection: &Arc<Connection>,
    room: Option<Room>,
    mut answer: M,
) -> Result<(M, Held), Status> {
    let bytes = PREFIX + answer.encoded_len();
    let refused = match room {
        Some(room) => {
            connection.expected.learn(bytes, room.bytes());
            room.exactly(bytes).map_err(Some)
        }
        None if bytes < SHORT => connection.admit(Kind::Short, bytes).map_err(|_| None),
        None => connection.admit(Kind::Outcome, bytes).map_err(|_| None),
    };
    let room = match refused {
        Ok(held) => return Ok((answer, held)),
        Err(room) => room,
    };
    answer.shorten();
    let bytes = PREFIX + answer.encoded_len();
    match room {
        Some(room) => Ok((answer, room.answer(bytes))),
        None => match connection.admit(Kind::Short, bytes) {
            Ok(held) => Ok((answer, held)),
            Err(_) => Err(untold()),
        },
    }
}

/// Not RESOURCE_EXHAUSTED, by which nothing was done.
fn untold() -> Status {
    Status::deadline_exceeded(
        "answers that were not taken leave no room to tell what became of the transaction: its \
         outcome is unknown; take them, then ask GetReceipt, or send the same transaction again: it \
         takes effect once",
    )
}

#[cfg(test)]
mod tests;
