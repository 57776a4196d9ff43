//! What a node wants done. Nothing here blocks: completions come back as inputs.

use crate::RequestId;
use bytes::Bytes;
use crypto::{Digest, Height, NodeId, NodeSet, Reject, Time, View};
use storage::{Commit, Read, Receipt, Row, Scan, StoreError, Table, WriteBatch};

/// The stream on which a frame travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Votes, timeouts, certificates, proposals: small and urgent.
    Control,
    /// Batches and catch-up: large.
    Bulk,
}

/// Rows of the log to load, a completion by [`crate::Input::Loaded`].
#[derive(Clone, Debug)]
pub struct Query {
    /// From which table.
    pub table: Table,
    /// Which rows, a scan after the other.
    pub scans: Vec<Scan>,
    /// Ends with the row that reaches so many bytes of keys and values; at least one row comes.
    pub bytes: usize,
}

impl Query {
    /// What it finds.
    ///
    /// # Errors
    /// The store's.
    pub fn run(&self, log: &(impl Read + ?Sized)) -> Result<Vec<Row>, StoreError> {
        let (mut found, mut left) = (Vec::new(), self.bytes);
        for scan in &self.scans {
            let rows = log.scan(self.table, &scan.clone().bytes(left))?;
            let bytes: usize = rows.iter().map(|(key, row)| key.len() + row.len()).sum();
            found.extend(rows);
            left = left.saturating_sub(bytes);
            if left == 0 {
                break;
            }
        }
        Ok(found)
    }
}

/// Answer to a client's request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It is in this node's pool.
    Accepted,
    /// It is executed.
    Executed(Receipt),
    /// It is not taken, and why.
    Refused(Refusal),
    /// The read is linearizable at this height or any later one; the state here has reached it.
    ReadAt(Height),
}

/// Why a request is refused: each is a status of the RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// ALREADY_EXISTS: the sequence is used by a different transaction.
    SequenceUsed,
    /// FAILED_PRECONDITION: expired, or expires too far ahead.
    Expired {
        /// The height now.
        height: Height,
    },
    /// RESOURCE_EXHAUSTED.
    Full {
        /// When to try again.
        retry_after: Time,
        /// What is full.
        what: &'static str,
    },
    /// UNAVAILABLE: no quorum is in touch.
    NoQuorum {
        /// The nodes that are not.
        missing: NodeSet,
    },
    /// UNAVAILABLE: no leader is known.
    NoLeader,
    /// UNAVAILABLE: the node shuts down.
    ShuttingDown,
    /// INVALID_ARGUMENT.
    Invalid(String),
}

/// One effect. Writes take effect in the order in which they are given; sends are best effort.
#[derive(Debug)]
pub enum Effect {
    /// Send to one peer.
    Send {
        /// Whom; never itself.
        to: NodeId,
        /// On which stream.
        class: Class,
        /// The encoded message.
        frame: Bytes,
    },
    /// Send to all other validators.
    Broadcast {
        /// On which stream.
        class: Class,
        /// The encoded message.
        frame: Bytes,
    },
    /// Write to the log; answered by [`crate::Input::Written`].
    Write {
        /// Comes back.
        token: u64,
        /// What.
        batch: WriteBatch,
        /// Whether the answer must wait until it, and all before it, is durable.
        sync: bool,
        /// The view now, for the safety file.
        view: View,
    },
    /// Load from the log; answered by [`crate::Input::Loaded`].
    Load {
        /// Comes back.
        token: u64,
        /// What.
        query: Query,
    },
    /// Execute all heights up to here; answered by [`crate::Input::Executed`]. The log holds them,
    /// but for those that were handed over.
    Execute {
        /// The last of them.
        to: Height,
        /// A height, perhaps above, of which the executor is handed all; before all later ones.
        handed: Option<Commit>,
    },
    /// Answer a client.
    Reply {
        /// Which request.
        request: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// A proof that a validator lied, for whoever watches: it is durable by now. Once for each liar and
    /// slot, the first few of each liar only.
    Evidence(consensus::Evidence),
    /// A peer's fault, to be counted and logged now and then.
    Rejected {
        /// Whose.
        from: NodeId,
        /// Which.
        reject: Reject,
    },
    /// Something an operator should read, once.
    Notice(String),
    /// An observation for metrics.
    Committed {
        /// Height.
        height: Height,
        /// Batches in it.
        batches: Vec<Digest>,
        /// Transactions in it.
        transactions: usize,
    },
    /// Stop the process: going on would be unsafe.
    Halt {
        /// Why, and the way out.
        reason: String,
    },
}
