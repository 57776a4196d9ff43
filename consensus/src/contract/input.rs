//! What goes into a protocol.

use super::Protocol;
use crate::replica::StableCheckpoint;
use crypto::{BatchRef, Digest, Height, NodeId, Payload, Time, Verified};
use std::num::NonZeroU64;
use std::sync::Arc;

/// Names a request for payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names a request for stored records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Names a read. Never reused within a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// Why a payload earns no vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A limit broken, an undecodable batch, an invalid transaction: never.
    Invalid,
    /// A batch expired.
    Expired,
}

/// Answer to a load.
#[derive(Clone, Debug)]
pub struct Loaded<P: Protocol> {
    /// Of which request.
    pub token: Token,
    /// The stored records of those heights, ascending; may end early (a byte budget).
    pub records: Vec<P::Record>,
}

/// One input.
#[derive(Clone, Debug)]
pub enum Input<P: Protocol> {
    /// A checked message; own messages too, once what they rely on is durable.
    Message {
        /// The authenticated sender.
        from: NodeId,
        /// What he sent.
        message: Verified<P::Message>,
    },
    /// Answers `want_payload`; empty if there is none to order.
    Payload {
        /// Of which request.
        ticket: Ticket,
        /// What to order.
        payload: Payload,
    },
    /// Answers `check_payload`: held here (its write ahead of the next fence) and valid, or refused.
    /// No answer comes while parts are missing and being fetched.
    Checked {
        /// The digest that was given with the request.
        block: Digest,
        /// Whether it may be voted for.
        held: Result<(), Refused>,
    },
    /// Work is waiting: arms the timers. `oldest`: since when; `None`: nothing waits.
    Pending {
        /// When the oldest uncommitted batch became known here.
        oldest: Option<Time>,
    },
    /// This batch was left out for longer than its allowance (censorship timer): depose the leader
    /// of the current tenure.
    Overdue {
        /// The batch.
        batch: BatchRef,
    },
    /// The state machine has executed up to here.
    Executed {
        /// Height.
        height: Height,
        /// State digest there.
        state: Digest,
    },
    /// At which heights the shell makes checkpoints, and the newest one that a quorum has signed:
    /// said once at the start, and again whenever one becomes stable.
    Checkpoint {
        /// Every multiple of this height; the same on all replicas.
        every: NonZeroU64,
        /// The newest stable one.
        stable: Option<Arc<StableCheckpoint>>,
    },
    /// Answers `load`.
    Loaded(Loaded<P>),
    /// A linearizable read arrived.
    Read {
        /// Its name.
        id: super::ReadId,
    },
    /// Hand over leadership (graceful shutdown).
    Transfer {
        /// To whom; `None`: to whom is best.
        to: Option<NodeId>,
    },
    /// A peer's connection came up: send it what it may have missed.
    Connected {
        /// The peer.
        peer: NodeId,
    },
    /// A peer's connection went down: a hint that it may have stopped, and no more.
    Disconnected {
        /// The peer.
        peer: NodeId,
    },
    /// The time in [`Protocol::deadline`] may have come.
    Tick,
}
