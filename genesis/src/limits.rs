//! The limits on which all nodes agree.

use crate::error::Fault;
use crypto::Payload;
use serde::{Deserialize, Serialize};

/// Limits of a chain, part of the chain id: whether a block is valid depends on them. Lengths are
/// in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Longest key.
    pub key_bytes: u32,
    /// Longest value.
    pub value_bytes: u32,
    /// Longest encoded transaction.
    pub transaction_bytes: u32,
    /// Most operations and conditions of a transaction.
    pub operations: u32,
    /// Heights that a transaction may lie ahead of its expiry; a client's session lives as long
    /// after its last transaction.
    pub lifetime: u64,
    /// Clients with a session at one time.
    pub max_sessions: u32,
    /// Sequences of a client whose results are kept.
    pub session_window: u32,
    /// Longest encoded batch.
    pub batch_bytes: u32,
    /// Most transactions of a batch.
    pub batch_transactions: u32,
    /// Most bytes of batches that one block orders.
    pub block_bytes: u32,
    /// Most batches that one block orders.
    pub block_batches: u32,
    /// Most bytes of one author's batches that are not ordered yet.
    pub author_bytes: u32,
    /// Most of one author's batches that are not ordered yet.
    pub author_batches: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            key_bytes: 4 << 10,
            value_bytes: 1 << 20,
            transaction_bytes: 3 << 19,
            operations: 128,
            lifetime: 10_000,
            max_sessions: 65_536,
            session_window: 1_024,
            batch_bytes: 2 << 20,
            batch_transactions: 4_096,
            block_bytes: 4 << 20,
            block_batches: 256,
            author_bytes: 32 << 20,
            author_batches: 512,
        }
    }
}

impl Limits {
    /// Room in a transaction for all that is not its key and value, and in a batch for all that
    /// is not its transaction.
    const ENVELOPE: u32 = 1 << 10;
    /// A lying primary of PBFT may order all slots between its watermarks at once, 256, and goes on until
    /// it is given up: that has to be a small part of what a transaction lives.
    const SHORTEST_LIFE: u64 = 2_048;

    pub(crate) fn check(&self) -> Result<(), Fault> {
        let within = |name: &str, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            let problem = format!("{value} is not within {low} to {high}");
            Err(Fault::new(
                format!("limits.{name}"),
                problem,
                "choose one within, or leave the key out for the default",
            ))
        };
        within("key_bytes", self.key_bytes.into(), 1, 64 << 10)?;
        within("value_bytes", self.value_bytes.into(), 1, 8 << 20)?;
        within(
            "transaction_bytes",
            self.transaction_bytes.into(),
            2 << 10,
            16 << 20,
        )?;
        within("operations", self.operations.into(), 1, 4_096)?;
        within(
            "lifetime",
            self.lifetime,
            Self::SHORTEST_LIFE,
            1_000_000_000,
        )?;
        within("max_sessions", self.max_sessions.into(), 1, 1 << 20)?;
        within("session_window", self.session_window.into(), 1, 65_536)?;
        within("batch_bytes", self.batch_bytes.into(), 3 << 10, 16 << 20)?;
        within(
            "batch_transactions",
            self.batch_transactions.into(),
            1,
            65_536,
        )?;
        within("block_bytes", self.block_bytes.into(), 3 << 10, 32 << 20)?;
        within(
            "block_batches",
            self.block_batches.into(),
            1,
            Payload::MAX_REFS as u64,
        )?;
        within("author_bytes", self.author_bytes.into(), 6 << 10, 1 << 30)?;
        within("author_batches", self.author_batches.into(), 2, 65_536)?;
        self.check_nesting()
    }

    /// What holds something else has room for it.
    fn check_nesting(&self) -> Result<(), Fault> {
        let holds = |outer: &str, room: u32, inner: &str, needed: u32| {
            if room >= needed {
                return Ok(());
            }
            let problem = format!("{room} leaves no room for {inner}, which need {needed}");
            Err(Fault::new(
                format!("limits.{outer}"),
                problem,
                format!("raise it to {needed}, or lower the others"),
            ))
        };
        let entry = self.key_bytes + self.value_bytes + Self::ENVELOPE;
        holds(
            "transaction_bytes",
            self.transaction_bytes,
            "one key and value (key_bytes, value_bytes)",
            entry,
        )?;
        let batch = self.transaction_bytes + Self::ENVELOPE;
        holds(
            "batch_bytes",
            self.batch_bytes,
            "one transaction (transaction_bytes)",
            batch,
        )?;
        holds(
            "block_bytes",
            self.block_bytes,
            "two batches (batch_bytes)",
            2 * self.batch_bytes,
        )?;
        holds(
            "author_bytes",
            self.author_bytes,
            "two batches (batch_bytes)",
            2 * self.batch_bytes,
        )
    }
}
