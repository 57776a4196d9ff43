//! S10, in runs where nobody lies: nobody is accused, and nobody's message is refused for a reason
//! that only a liar can give.

use super::{Check, Seen};
use crypto::Reject;

/// See the module.
pub struct Honesty;

impl Check for Honesty {
    fn property(&self) -> &'static str {
        "S10"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Accused { by, node, what } => Err(format!(
                "node {by} accuses node {node}, which is honest: {what}"
            )),
            Seen::Rejected { by, from, reject } => match reject {
                Reject::TooOld | Reject::TooFar | Reject::Duplicate | Reject::OverQuota => Ok(()),
                _ => Err(format!(
                    "node {by} refuses a message of node {from}, which is honest: {reject}"
                )),
            },
            _ => Ok(()),
        }
    }
}
