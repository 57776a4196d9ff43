//! What a cluster has to achieve once it is healed, worked out of its plan.

use super::{Protocol, Scenario};
use crate::check::Expected;
use crypto::Time;

impl Scenario {
    /// What the cluster achieves once it is healed (L3, L4).
    #[must_use]
    pub fn expected(&self) -> Expected {
        // All accounts of all pools may be full, and each in turn gives one batch.
        let pools = (self.nodes as u64 + 1) * if self.tight { 4 } else { 512 };
        let tenure = match self.protocol {
            Protocol::HotStuff => self.tenure,
            Protocol::Pbft | Protocol::Raft => 1,
        };
        let faulty = (self.nodes as u64 - 1) / 3;
        Expected {
            tenure,
            // A view or two for each pair of batches that are ahead of it where the pool is small; and
            // leaders that are down, or lie, come round twice.
            changes: 8 * (faulty + 1) + 32 / tenure,
            // Each of several censors in turn is borne for twice as long as the one before; then it is
            // the turn of what waits, among all others.
            batches: pools << faulty.max(1),
            // Twice what the node allows itself.
            silence: Time(8 * self.timing.timeout.0),
        }
    }
}
