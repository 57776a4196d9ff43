//! Reads frames and records as an outsider would: which promises and certificates stand in them,
//! and what they show of the rare states of a protocol.

use super::counters::Counters;
use crate::check::{Certified, Led, Promise, Report, Seen, Slot};
use bytes::Bytes;
use consensus::Committed;
use consensus::replica::Checkpoint;
use crypto::{Digest, Hasher, NodeId};
use engine::Frame;
use serde::de::DeserializeOwned;
use storage::{CommitRow, Op};

/// Longest frame that is read.
const LIMIT: usize = 64 << 20;
/// The only epoch so far.
pub const EPOCH: u64 = 0;

/// What stands in a frame.
#[derive(Clone, Debug, Default)]
pub struct Inspected {
    /// Its name, for the trace.
    pub name: &'static str,
    /// The view it is about, for the trace.
    pub view: u64,
    /// The slot it is about, if it is about one of several in a view.
    pub height: u64,
    /// All binding statements, nested ones included.
    pub promises: Vec<Promise>,
    /// All certificates.
    pub certified: Vec<Certified>,
    /// What its sender says as the leader of a term.
    pub led: Option<Led>,
    /// Authors of the batches it carries in answer to a fetch.
    pub fetched: Vec<NodeId>,
    /// Whether it offers batches to a leader.
    pub offer: bool,
}

/// How a protocol looks from the outside. It keeps what it needs to tell a rare state.
pub trait Inspect: Send {
    /// Reads a frame, for the trace.
    fn read(&self, from: NodeId, frame: &Bytes) -> Inspected;
    /// A node lets out a frame; `height`: what it has committed.
    fn sent(
        &mut self,
        from: NodeId,
        frame: &Bytes,
        height: &dyn Fn() -> u64,
        counters: &mut Counters,
    ) -> Inspected;
    /// Whether to tell what becomes of messages of this name.
    fn follows(&self, _name: &'static str) -> bool {
        false
    }
    /// A message of a name that it follows came to a node which knew this leader; it may have been
    /// answered.
    fn delivered(
        &mut self,
        _to: NodeId,
        _name: &'static str,
        _leader: Option<NodeId>,
        _answered: bool,
        _counters: &mut Counters,
    ) {
    }
    /// A change of a node's records is handed to the storage thread.
    fn stored(&mut self, node: NodeId, op: &Op, counters: &mut Counters) -> Option<Seen>;
    /// A commit is handed to the storage thread; `None`: it is none.
    fn commit(&mut self, node: NodeId, row: &CommitRow, counters: &mut Counters) -> Option<Seen>;
    /// A node came up again.
    fn started(&mut self, node: NodeId, report: &Report, counters: &mut Counters);
}

/// A protocol whose messages can be read without their bytes.
pub trait Legible: consensus::Protocol {
    /// What stands in a message.
    fn inspect(message: &Self::Message) -> Inspected;
    /// What a node shows by storing a record, if it is anything that is judged.
    fn stored(_node: NodeId, _record: &Self::Record) -> Option<Seen> {
        None
    }
    /// What a node shows of a commit; `None`: that is told by its bytes only.
    fn shown(_node: NodeId, _committed: &Committed<Self::Proof>) -> Option<Seen> {
        None
    }
}

impl Inspected {
    /// Its name, view and height, for the trace.
    #[must_use]
    pub fn text(&self) -> String {
        match self.height {
            0 => format!("{} {}", self.name, self.view),
            height => format!("{} {} height {height}", self.name, self.view),
        }
    }
    /// Adds a promise of which there is one a view.
    pub fn promise(
        &mut self,
        signer: NodeId,
        kind: &'static str,
        place: (u64, u64),
        content: Digest,
    ) {
        let (epoch, view) = place;
        self.promise_at(signer, kind, (epoch, view, 0), content);
    }
    /// Adds a promise of which there is one for each height of a view.
    pub fn promise_at(
        &mut self,
        signer: NodeId,
        kind: &'static str,
        (epoch, view, height): (u64, u64, u64),
        content: Digest,
    ) {
        let slot = Slot {
            kind,
            epoch,
            view,
            height,
        };
        self.promises.push(Promise {
            signer,
            slot,
            content,
        });
    }
}

/// Reads what all protocols share, and leaves the protocol's own messages to `message`.
pub fn frame<M: DeserializeOwned>(
    frame: &Bytes,
    message: impl FnOnce(&M, &mut Inspected),
) -> Inspected {
    let mut into = Inspected::default();
    match engine::decode::<M>(frame, LIMIT) {
        Ok(Frame::Replica(consensus::replica::Wire::Protocol(it))) => message(&it, &mut into),
        Ok(Frame::Replica(consensus::replica::Wire::Checkpoint(it))) => {
            checkpoint(&it, &mut into);
        }
        Ok(Frame::Pool(it)) => pool(&it, &mut into),
        Err(_) => into.name = "undecodable",
    }
    into
}

/// Reads what a shell says.
pub fn checkpoint(it: &Checkpoint, into: &mut Inspected) {
    into.name = "checkpoint";
    let place = (EPOCH, it.height.0);
    let signed = checkpoint_at(it.height.0, &it.history, &it.state);
    into.promise(it.node, "checkpoint", place, signed);
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

/// The content of a checkpoint.
#[must_use]
pub fn checkpoint_at(height: u64, history: &Digest, state: &Digest) -> Digest {
    Hasher::new("quorate/sim/checkpoint")
        .number(height)
        .digest(history)
        .digest(state)
        .finish()
}

/// Two contents as one.
#[must_use]
pub fn content(number: u64, digest: &Digest) -> Digest {
    Hasher::new("quorate/sim/content")
        .number(number)
        .digest(digest)
        .finish()
}
