//! How the network treats messages.

use crypto::Time;
use std::collections::BTreeSet;

/// One-way delay while all is well.
const DELAY: Time = Time(200_000);

/// The network between the nodes of a cluster.
#[derive(Clone, Debug)]
pub struct Net {
    /// Least and most delay.
    pub delay: (Time, Time),
    /// Lost, of a hundred.
    pub loss: u64,
    /// Sent twice, of a hundred.
    pub twice: u64,
    /// Links that are cut.
    pub cut: BTreeSet<(u16, u16)>,
}

impl Default for Net {
    fn default() -> Self {
        Self {
            delay: (DELAY, DELAY),
            loss: 0,
            twice: 0,
            cut: BTreeSet::new(),
        }
    }
}

impl Net {
    /// The faulty one of a seed, with one of these greatest delays.
    pub fn faulty(seed: u64, most: &[u64]) -> Self {
        let most = most[(seed / 7) as usize % most.len()];
        Self {
            delay: (Time(100_000), Time(most)),
            loss: [0, 0, 5, 20][(seed / 3 % 4) as usize],
            twice: [0, 10, 50][(seed / 5 % 3) as usize],
            cut: BTreeSet::new(),
        }
    }
}
