//! What is found wrong.

use thiserror::Error;

/// A property that real processes broke.
#[derive(Debug, Error)]
#[error("{property} broken: {what}")]
pub struct Broken {
    /// Which, as ARCHITECTURE.md names it; `process` if one ended by itself, `clients` if an honest one
    /// was refused.
    pub property: &'static str,
    /// How.
    pub what: String,
}

/// An error of that kind.
pub(super) fn broken(property: &'static str, what: impl Into<String>) -> anyhow::Error {
    let what = what.into();
    Broken { property, what }.into()
}
