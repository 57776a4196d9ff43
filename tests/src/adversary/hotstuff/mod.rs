//! Adversaries of HotStuff only.

mod hide_certificate;
mod poison_timeout;
mod private_fork;
mod tail_fork;

use super::Entry;
use consensus::hotstuff::HotStuff;

/// See the module.
pub fn own() -> Vec<Entry<HotStuff>> {
    vec![
        Entry::new(
            "tail-fork",
            "proposes on the parent of what it should, and drops the last leader's tail",
            || Box::new(tail_fork::TailFork::default()),
        ),
        Entry::new(
            "hide-qc",
            "says that it knows of old certificates only",
            || Box::new(hide_certificate::HideCertificate::default()),
        ),
        Entry::new(
            "private-fork",
            "keeps a branch to its accomplices, and shows it late",
            || Box::new(private_fork::PrivateFork::default()),
        ),
        Entry::new(
            "poison-timeout",
            "gives tenures up with votes and certificates that do not belong there",
            || Box::new(poison_timeout::PoisonTimeout::default()),
        ),
    ]
}
