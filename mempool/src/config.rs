//! Limits and timings of the pool.

use crypto::{Batch, BatchRef, Height, NodeId, Time};
use std::ops::RangeInclusive;

/// Where batches go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dissemination {
    /// To every node, which stores them; the leader orders their digests (HotStuff, PBFT).
    Broadcast,
    /// To the leader only, whose blocks hold them whole (Raft). The log stores them, not the pool.
    ToLeader,
}

/// The pool's configuration. Every queue, map and cache of the pool is capped by a field of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Who this is.
    pub me: NodeId,
    /// How many nodes there are.
    pub n: usize,
    /// Where batches go.
    pub dissemination: Dissemination,
    /// Heights that a transaction or batch may lie ahead of its expiry (genesis).
    pub lifetime: u64,
    /// Longest encoding of a batch (genesis), in bytes.
    pub batch_bytes: usize,
    /// Most transactions in a batch (genesis).
    pub batch_transactions: usize,
    /// Most bytes of batches in a block (genesis).
    pub block_bytes: usize,
    /// Most batches in a block (genesis).
    pub block_batches: usize,
    /// How long the first transaction of a batch waits for company, while few come.
    pub batch_delay: Time,
    /// Uncommitted transactions of one client.
    pub client_transactions: usize,
    /// Uncommitted transactions of all clients of this node.
    pub pool_transactions: usize,
    /// Their bytes.
    pub pool_bytes: usize,
    /// Bytes of the batches sent by one node that are not ordered yet. The sender itself stops at
    /// half of it, since a peer may learn of commits later; what it offers fills half of it at most.
    pub author_bytes: usize,
    /// How many batches that may be.
    pub author_batches: usize,
    /// Bytes of batches in memory that were fetched because a block holds them, charged to nobody.
    pub extra_bytes: usize,
    /// How many batches that may be, in memory or on disk only.
    pub extra_batches: usize,
    /// Committed batches remembered until they expire, so that they are not ordered again.
    pub committed_batches: usize,
    /// Blocks whose payload is awaited at a time.
    pub checks: usize,
    /// Batches asked from peers in each `fetch_retry`: so many for blocks, for the log and for offers.
    pub fetches: usize,
    /// Committed heights whose payload is not in the store: ordering waits when it is so far ahead of
    /// execution, and a start may find as many again.
    pub backlog: usize,
    /// Loads from the store at a time for one peer.
    pub loads: usize,
    /// How long a missing batch may be under way before it is asked for; if it is only offered, up to
    /// eight times as long while its author's come late.
    pub fetch_delay: Time,
    /// After how long another peer is asked; longer by as much as the author's come late, likewise.
    pub fetch_retry: Time,
    /// Blocks with room for another batch that a leader may order while one waits that was handed to it: it
    /// may not have got it yet. Two seconds' worth at least: twice as long as it takes until all others were
    /// told of it.
    pub roomy_blocks: usize,
    /// Age at which an unordered batch is offered to the leader; doubles with each offer.
    pub offer_delay: Time,
    /// What a client is told to wait when the pool is full.
    pub retry_after: Time,
}

impl Config {
    /// The defaults of a node in a set of `n`.
    #[must_use]
    pub fn new(me: NodeId, n: usize) -> Self {
        Self {
            me,
            n,
            dissemination: Dissemination::Broadcast,
            lifetime: 10_000,
            batch_bytes: 2 << 20,
            batch_transactions: 4_096,
            block_bytes: 4 << 20,
            block_batches: 256,
            batch_delay: Time(500_000),
            client_transactions: 4_096,
            pool_transactions: 65_536,
            pool_bytes: 64 << 20,
            author_bytes: 32 << 20,
            author_batches: 512,
            extra_bytes: 16 << 20,
            extra_batches: 4_096,
            committed_batches: 131_072,
            backlog: 8_192,
            checks: 64,
            fetches: 256,
            loads: 16,
            fetch_delay: Time::millis(50),
            fetch_retry: Time::millis(100),
            roomy_blocks: 512,
            offer_delay: Time::millis(100),
            retry_after: Time::millis(100),
        }
    }

    /// Whether all members get the batches of all.
    pub(crate) fn broadcasts(&self) -> bool {
        self.dissemination == Dissemination::Broadcast
    }

    /// Whether a block leaves no room for one more batch, however long: an account's next batch that does
    /// not fit keeps back those behind it, so only then a leader may leave out what it holds.
    pub(crate) fn is_full(&self, block: &[BatchRef]) -> bool {
        let bytes: usize = block.iter().map(|r| r.bytes as usize).sum();
        block.len() >= self.block_batches || bytes + self.batch_bytes > self.block_bytes
    }

    /// Longest transaction that fits into a batch, in bytes.
    #[must_use]
    pub fn transaction_bytes(&self) -> usize {
        self.batch_bytes.saturating_sub(Batch::OVERHEAD)
    }

    /// # Panics
    /// If limits contradict each other: genesis has checked those that come from a file.
    pub(crate) fn assert_sound(&self) {
        assert!(self.me.index() < self.n, "the own id is a member's");
        assert!(
            self.batch_bytes > Batch::OVERHEAD,
            "a batch can hold something"
        );
        assert!(
            self.block_bytes >= self.batch_bytes,
            "a block can hold a batch"
        );
        assert!(
            self.author_bytes / 2 >= self.batch_bytes,
            "a quota holds two batches"
        );
        assert!(
            self.author_batches >= 2 && self.block_batches >= 1,
            "counts allow for one batch"
        );
        assert!(
            self.batch_transactions >= 1,
            "a batch can hold a transaction"
        );
        assert!(
            self.lifetime >= 8,
            "a batch lives long enough to be ordered"
        );
    }

    /// The last height of a batch or transaction made now.
    pub(crate) fn horizon(&self, height: Height) -> Height {
        Height(height.0.saturating_add(self.lifetime))
    }

    /// When a batch expires that a block of this height may hold. Its author may have been ahead of
    /// whoever judges, but not by more than a lifetime. What a pool takes and orders has to be what
    /// others let pass: a liar's batch that only leaders think sound would stop them all.
    pub(crate) fn expiries(&self, height: Height) -> RangeInclusive<Height> {
        height..=self.horizon(self.horizon(height))
    }
}
