//! Blocks that wait for a part of their payload.

use crypto::{BatchRef, Digest, Height};
use std::collections::BTreeMap;

/// Blocks to be voted for once all of their payload is held.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// In order of request.
    checks: BTreeMap<u64, Check>,
    counter: u64,
}

#[derive(Debug)]
struct Check {
    block: Digest,
    height: Height,
    missing: BTreeMap<Digest, BatchRef>,
}

impl Checks {
    /// A block lacks these. Returns what no block waits for any more, because the oldest one had
    /// to make room.
    pub(crate) fn add(
        &mut self,
        cap: usize,
        block: Digest,
        height: Height,
        missing: BTreeMap<Digest, BatchRef>,
    ) -> Vec<Digest> {
        self.checks.retain(|_, check| check.block != block);
        self.counter += 1;
        self.checks.insert(
            self.counter,
            Check {
                block,
                height,
                missing,
            },
        );
        let mut dropped = Vec::new();
        while self.checks.len() > cap
            && let Some((_, oldest)) = self.checks.pop_first()
        {
            dropped.extend(oldest.missing.into_keys());
        }
        dropped.retain(|digest| !self.awaits(digest));
        dropped
    }
    /// A batch is held now: the blocks that wait for nothing else, or claim what is not true of
    /// it (`false`); and what no block waits for any more because of the latter.
    pub(crate) fn arrived(&mut self, reference: &BatchRef) -> (Vec<(Digest, bool)>, Vec<Digest>) {
        let (mut answers, mut dropped) = (Vec::new(), Vec::new());
        self.checks
            .retain(|_, check| match check.missing.remove(&reference.digest) {
                Some(claimed) if claimed != *reference => {
                    answers.push((check.block, false));
                    dropped.extend(check.missing.keys().copied());
                    false
                }
                Some(_) if check.missing.is_empty() => {
                    answers.push((check.block, true));
                    false
                }
                _ => true,
            });
        dropped.retain(|digest| !self.awaits(digest));
        (answers, dropped)
    }
    /// Forgets blocks at or below a committed height. Returns what no block waits for any more.
    pub(crate) fn committed(&mut self, height: Height) -> Vec<Digest> {
        self.forget(|check| check.height <= height)
    }
    /// Forgets a block. Returns what no block waits for any more.
    pub(crate) fn remove(&mut self, block: &Digest) -> Vec<Digest> {
        self.forget(|check| check.block == *block)
    }
    fn forget(&mut self, which: impl Fn(&Check) -> bool) -> Vec<Digest> {
        let mut dropped = Vec::new();
        self.checks.retain(|_, check| {
            let forget = which(check);
            if forget {
                dropped.extend(check.missing.keys().copied());
            }
            !forget
        });
        dropped.retain(|digest| !self.awaits(digest));
        dropped
    }
    pub(crate) fn len(&self) -> usize {
        self.checks.len()
    }
    pub(crate) fn awaits(&self, digest: &Digest) -> bool {
        self.checks
            .values()
            .any(|check| check.missing.contains_key(digest))
    }
}
