//! Adversaries of HotStuff only.

mod hide_certificate;
mod poison_timeout;
mod private_fork;
mod tail_fork;

use super::Entry;
use super::memory::Latest;
use consensus::hotstuff::{HotStuff, QuorumCertificate};
use std::collections::VecDeque;
use std::sync::Arc;

/// The latest certificates that a liar heard of, in ascending views.
#[derive(Default)]
struct Certificates<const MOST: usize>(Latest<Arc<QuorumCertificate>, MOST>);

impl<const MOST: usize> Certificates<MOST> {
    fn learn(&mut self, it: &Arc<QuorumCertificate>) {
        if self.all().back().is_none_or(|last| last.view < it.view) {
            self.0.push(Arc::clone(it));
        }
    }
    const fn all(&self) -> &VecDeque<Arc<QuorumCertificate>> {
        self.0.all()
    }
}

/// See the module.
pub fn own() -> Vec<Entry<HotStuff>> {
    vec![
        Entry::new(
            "tail-fork",
            "proposes on the parent of what it should, and drops the last leader's tail",
            &tail_fork::WAYS,
            || Box::new(tail_fork::TailFork::default()),
        ),
        Entry::new(
            "hide-qc",
            "says that it knows of old certificates only",
            &hide_certificate::WAYS,
            || Box::new(hide_certificate::HideCertificate::default()),
        ),
        Entry::new(
            "private-fork",
            "keeps a branch to its accomplices, and shows it late",
            &private_fork::WAYS,
            || Box::new(private_fork::PrivateFork::default()),
        ),
        Entry::new(
            "poison-timeout",
            "gives tenures up with votes and certificates that do not belong there",
            &poison_timeout::WAYS,
            || Box::new(poison_timeout::PoisonTimeout::default()),
        ),
    ]
}
