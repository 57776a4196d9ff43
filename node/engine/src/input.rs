//! What goes into a node.

use crypto::{NodeId, PublicKey};
use std::fmt::Debug;

/// Names a client's request. Given by the runtime, never reused within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// How long a submitter waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until it is in this node's pool.
    Accepted,
    /// Until it is committed and executed here.
    Committed,
}

/// One input.
#[derive(Debug)]
pub enum Input<C> {
    /// A peer's message that passed [`crate::Ingress::admit`].
    Message {
        /// The authenticated sender.
        from: NodeId,
        /// What it sent.
        message: C,
    },
    /// A client's transaction. Answered by [`crate::Effect::Reply`].
    Submit {
        /// Its name.
        request: RequestId,
        /// Checked by [`crate::Ingress::admit_transactions`].
        transaction: mempool::CheckedTransaction,
        /// How long he waits.
        wait: Wait,
    },
    /// A linearizable read: answered with the height from which on the local state may serve it.
    Read {
        /// Its name.
        request: RequestId,
    },
    /// A client waits for the receipt of a transaction that he sent before.
    Await {
        /// Its name.
        request: RequestId,
        /// Who.
        client: PublicKey,
        /// Which.
        sequence: u64,
    },
    /// The client went away or his deadline passed.
    Cancel {
        /// Its name.
        request: RequestId,
    },
    /// The write of this token is in the store; and durable, if it was asked to be.
    Written {
        /// Of [`crate::Effect::Write`].
        token: u64,
    },
    /// Answers [`crate::Effect::Load`].
    Loaded {
        /// Of the request.
        token: u64,
        /// Key and value, ascending.
        rows: Vec<storage::Row>,
    },
    /// The executor has executed these heights, ascending and consecutive.
    Executed(Vec<storage::Executed>),
    /// A peer's connection came up.
    Connected(NodeId),
    /// A peer's connection went down.
    Disconnected(NodeId),
    /// Graceful shutdown: hand over leadership, refuse new requests.
    Shutdown,
    /// The time in [`crate::Machine::deadline`] may have come.
    Tick,
}
