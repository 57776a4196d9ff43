//! Slots: what a height holds in a view, and what stands for it in every statement.

use crypto::{Digest, Hasher, Height, Payload, View};
use serde::{Deserialize, Serialize};

/// Which content a height was given, and in which view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Assigned {
    /// The slot's height.
    pub height: Height,
    /// The view of the primary that assigned it.
    pub view: View,
    /// [`content`] of its payload.
    pub digest: Digest,
}

/// What stands for a slot that orders nothing. It takes a height all the same.
#[must_use]
pub fn null() -> Digest {
    Hasher::new("quorate/v1/pbft/null").finish()
}

/// What stands for a payload in statements.
#[must_use]
pub fn content(payload: &Payload) -> Digest {
    if payload.is_empty() {
        null()
    } else {
        payload.digest()
    }
}

/// Names the question whether a slot's payload is held. One payload in two slots is legal, and is
/// asked about twice.
#[must_use]
pub fn question(height: Height, digest: &Digest) -> Digest {
    Hasher::new("quorate/v1/pbft/question")
        .number(height.0)
        .digest(digest)
        .finish()
}
