//! Slots: what a height holds in a view, and what stands for it in every statement.

use crypto::{Digest, Hasher, Height, Payload, Reject, View};
use serde::{Deserialize, Serialize};

/// Most batches of a payload: what a genesis file may set at most. A pre-prepare is stored before the
/// pool has judged it by the chain's own limits.
pub const MAX_BATCHES: usize = 4096;

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

/// Whether a payload is of the kind that PBFT orders: batches by digest, or nothing.
///
/// # Errors
/// [`Reject::Malformed`]; [`Reject::TooLong`] beyond [`MAX_BATCHES`].
pub fn check_payload(payload: &Payload) -> Result<(), Reject> {
    match payload {
        Payload::Refs(refs) if refs.len() > MAX_BATCHES => Err(Reject::TooLong),
        Payload::Refs(_) => Ok(()),
        Payload::Inline(_) => Err(Reject::Malformed),
    }
}
