//! What all clusters of the fuzzers have in common.

use super::cluster::{DELAY, NODES};
use super::forge::Forge;
use crate::sim::Scenario;
use consensus::Timing;
use crypto::Time;
use std::num::NonZeroU64;

/// The plan of every cluster here.
#[must_use]
pub fn plan<P: Forge>() -> Scenario {
    let timeout = Time::millis(30);
    Scenario {
        tenure: 4,
        checkpoints: NonZeroU64::new(8).expect("not zero"),
        lifetime: 1_000,
        window: 64,
        tight: false,
        large: false,
        narrow: false,
        real_signatures: false,
        delay: DELAY,
        timing: Timing {
            timeout,
            timeout_cap: Time(timeout.0 * 4),
            resend: Time(timeout.0 / 3),
            linger: Time(100_000),
            lease: None,
        },
        ..Scenario::calm(P::PROTOCOL, 7, usize::from(NODES))
    }
}
