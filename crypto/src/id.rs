//! The numbers that name things: nodes, epochs, views, heights, and the time handed in.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The one after; stays at the largest number rather than wrap around.
            #[must_use]
            pub const fn next(self) -> Self { Self(self.0.saturating_add(1)) }
            /// The one before; stays at zero.
            #[must_use]
            pub const fn previous(self) -> Self { Self(self.0.saturating_sub(1)) }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
    };
}

number!(
    /// A node's index in the validator set of the epoch, in the order of the genesis file.
    NodeId(u16)
);
number!(
    /// A validator set's reign. All statements carry it from the first day on.
    Epoch(u64)
);
number!(
    /// HotStuff's and PBFT's view, Raft's term. Replicas start in view 1; 0 is the anchor's.
    View(u64)
);
number!(
    /// The position of a block, slot or entry in the committed log. Genesis is 0; consecutive.
    Height(u64)
);

impl NodeId {
    /// The index as the slices of the validator set want it.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Nanoseconds since an arbitrary start, handed in by the runtime (monotonic) or the simulator.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(pub u64);

impl Time {
    /// This many milliseconds.
    #[must_use]
    pub const fn millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }
    /// Later by `by`; saturates.
    #[must_use]
    pub const fn plus(self, by: Time) -> Self {
        Self(self.0.saturating_add(by.0))
    }
    /// The span from `earlier` to this; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Time) -> Time {
        Time(self.0.saturating_sub(earlier.0))
    }
}

/// Names a chain: the digest of its genesis file's contents.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ChainId(pub crate::Digest);

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What every signed digest is bound to besides its own content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Context {
    /// The chain.
    pub chain: ChainId,
    /// The epoch of the validator set that signs.
    pub epoch: Epoch,
}
