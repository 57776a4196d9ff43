//! The committed log as the shell sees it: consecutive heights, each extending the history.

use crate::{Anchor, Committed};
use crypto::{Digest, Height};

/// Where the committed log ends.
pub(super) struct Commits {
    height: Height,
    history: Digest,
}

impl Commits {
    pub(super) fn new<Proof>(anchor: &Anchor<Proof>) -> Self {
        Self {
            height: anchor.height,
            history: anchor.history,
        }
    }
    /// Takes the next commit.
    ///
    /// # Panics
    /// If it is not the next height, or its history does not extend the last one: the protocol is
    /// broken, and nothing that it says may be executed.
    pub(super) fn extend<Proof>(&mut self, committed: &Committed<Proof>) {
        assert_eq!(
            committed.height,
            self.height.next(),
            "commits are consecutive"
        );
        let history = committed
            .payload
            .extend_history(&self.history, committed.height);
        assert_eq!(committed.history, history, "a commit extends the history");
        self.height = committed.height;
        self.history = history;
    }
}
