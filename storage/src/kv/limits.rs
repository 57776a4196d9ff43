//! What the genesis file allows. Part of what all replicas must agree on.

use thiserror::Error;

/// Limits of the language and of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest key, in bytes.
    pub key_bytes: usize,
    /// Longest value, in bytes.
    pub value_bytes: usize,
    /// Longest encoded request, in bytes.
    pub body_bytes: usize,
    /// Most operations in all of a request, compares included.
    pub operations: usize,
    /// Most pairs that one range returns.
    pub range_pairs: usize,
    /// Most bytes of keys and values that the ranges of one transaction return.
    pub result_bytes: usize,
    /// Most keys that the ranges of one transaction look at: those that they return, those that did
    /// not exist at their revision or not any more, and one more for each. A range of a single key
    /// counts none.
    pub looks: usize,
    /// Bytes of values and versions after which the ranges and compares of one transaction read no more.
    pub read_bytes: usize,
    /// Most heights that a transaction may lie ahead of its expiry; an idle session lives as long.
    pub lifetime: u64,
    /// Sequences that one client may have on the way at a time, and results kept for him.
    pub window: u64,
    /// Most sessions.
    pub max_sessions: usize,
    /// Longest encoding of a result that is kept, in bytes.
    pub stored_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            key_bytes: 4 << 10,
            value_bytes: 1 << 20,
            body_bytes: 3 << 19,
            operations: 128,
            range_pairs: 1_000,
            result_bytes: 1 << 20,
            looks: 4_096,
            read_bytes: 4 << 20,
            lifetime: 10_000,
            window: 1_024,
            max_sessions: 10_000,
            stored_bytes: 1 << 10,
        }
    }
}

/// Limits that contradict themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{field} is {value}; it must be from {least} to {most}")]
pub struct BadLimits {
    /// Which.
    pub field: &'static str,
    /// What it is.
    pub value: u64,
    /// The least that makes sense.
    pub least: u64,
    /// The most that keeps memory bounded.
    pub most: u64,
}

impl Limits {
    /// Longest bound of a range, in bytes: that of the first key behind the longest.
    #[must_use]
    pub fn bound_bytes(&self) -> usize {
        self.key_bytes + 1
    }
    /// Checks every limit.
    ///
    /// # Errors
    /// The first one that is out of its bounds.
    pub fn check(&self) -> Result<(), BadLimits> {
        let all = [
            ("key_bytes", self.key_bytes as u64, 1, 64 << 10),
            ("value_bytes", self.value_bytes as u64, 0, 16 << 20),
            ("body_bytes", self.body_bytes as u64, 64, 32 << 20),
            ("operations", self.operations as u64, 1, 4_096),
            ("range_pairs", self.range_pairs as u64, 1, 100_000),
            ("result_bytes", self.result_bytes as u64, 1, 16 << 20),
            ("looks", self.looks as u64, 1, 1 << 20),
            ("read_bytes", self.read_bytes as u64, 1, 64 << 20),
            ("lifetime", self.lifetime, 8, 1 << 40),
            ("window", self.window, 1, 1 << 16),
            ("max_sessions", self.max_sessions as u64, 1, 1 << 20),
            ("stored_bytes", self.stored_bytes as u64, 0, 64 << 10),
        ];
        for (field, value, least, most) in all {
            if value < least || value > most {
                return Err(BadLimits {
                    field,
                    value,
                    least,
                    most,
                });
            }
        }
        Ok(())
    }
}
