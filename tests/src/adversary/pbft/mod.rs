//! Adversaries of PBFT only.

mod bad_new_view;
mod drop_prepared;
mod exhaust_watermark;
mod fake_prepared;
mod false_checkpoint;

use super::Entry;
use consensus::pbft::Pbft;

/// See the module.
pub fn own() -> Vec<Entry<Pbft>> {
    vec![
        Entry::new(
            "fake-prepared",
            "view changes that claim what was never prepared",
            &fake_prepared::WAYS,
            || Box::new(fake_prepared::FakePrepared::default()),
        ),
        Entry::new(
            "drop-prepared",
            "view changes that leave out what was prepared",
            &drop_prepared::WAYS,
            || Box::new(drop_prepared::DropPrepared),
        ),
        Entry::new(
            "false-checkpoint",
            "checkpoints of another state, and view changes that name them",
            &false_checkpoint::WAYS,
            || Box::new(false_checkpoint::FalseCheckpoint),
        ),
        Entry::new(
            "exhaust-watermark",
            "proposes at the far end of the window only, and leaves gaps",
            &exhaust_watermark::WAYS,
            || Box::new(exhaust_watermark::ExhaustWatermark),
        ),
        Entry::new(
            "bad-new-view",
            "opens views with other slots than follow from the view changes",
            &bad_new_view::WAYS,
            || Box::new(bad_new_view::BadNewView),
        ),
    ]
}
