//! The key-value state machine: its language, its rows, and what a transaction does to them.

mod limits;
mod machine;
mod outcome;
mod overlay;
mod range;
mod recent;
mod request;
mod rows;
mod session;
mod span;

pub use limits::{BadLimits, Limits};
pub(crate) use machine::Machine;
pub use machine::{HEIGHT_READS, HEIGHT_RESULTS};
pub use outcome::{Outcome, Pair, Receipt, Reply};
pub(crate) use overlay::Overlay;
pub(crate) use range::{Budget, Found, range};
pub(crate) use recent::Recent;
pub use request::{BadRequest, Compare, Operation, Relation, Request, Test, validate};
pub(crate) use session::{Entry, entries, entry};
pub use span::{End, Span};

use crate::{REBUILD_STATE, StoreError};

/// A row of the state that no version of ours wrote.
fn damaged(what: String) -> StoreError {
    StoreError::Damaged {
        at: "data/state".into(),
        what,
        way_out: REBUILD_STATE,
    }
}

#[cfg(test)]
mod tests;
