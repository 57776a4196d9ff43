//! Checkpoints as shells make them: who has committed so far has signed history and state there. While
//! the liars are at work they sign along, and decide who hears of what is stable; later all hear
//! everything.

use super::Played;
use super::stage::{Camp, Stage, camp_size, members};
use super::troupe::{CONTEXT, Troupe};
use consensus::replica::StableCheckpoint;
use crypto::{Certificate, Digest, Height, NodeId};
use std::num::NonZeroU64;
use std::sync::Arc;

/// How far checkpoints are apart where there are none: no play comes that far.
pub const FAR: NonZeroU64 = NonZeroU64::new(128).unwrap();

/// What some have signed of a height.
struct Mark {
    height: Height,
    history: Digest,
    /// The honest members among them.
    by: Camp,
    stable: Option<Arc<StableCheckpoint>>,
}

/// See the module.
#[derive(Default)]
pub struct Checkpoints {
    marks: Vec<Mark>,
    /// How many of each member's are among them.
    noted: Vec<usize>,
}

/// A checkpoint of these, as bits, who have signed it or lie. The state is whatever follows from the
/// history.
fn stable(troupe: &Troupe, height: Height, history: Digest, by: Camp) -> Arc<StableCheckpoint> {
    let mut made = StableCheckpoint {
        height,
        history,
        state: history,
        certificate: Certificate::default(),
    };
    let statement = made.statement(&CONTEXT);
    let signers = members(by).map(|i| i as u16);
    let signed = signers.map(|i| (NodeId(i), troupe.sign(i, &statement)));
    made.certificate = Certificate::collect(signed);
    Arc::new(made)
}

impl Checkpoints {
    fn note(&mut self, node: usize, (height, history): (Height, Digest)) {
        let known = self
            .marks
            .iter_mut()
            .find(|it| (it.height, it.history) == (height, history));
        match known {
            Some(mark) => mark.by |= 1 << node,
            None => self.marks.push(Mark {
                height,
                history,
                by: 1 << node,
                stable: None,
            }),
        }
    }
    /// Makes what has become stable, if these sign along. Returns whether there is something new.
    fn make(&mut self, troupe: &Troupe, along: Camp) -> bool {
        let mut new = false;
        for mark in self.marks.iter_mut().filter(|it| it.stable.is_none()) {
            let by = mark.by | along;
            if camp_size(by) >= troupe.quorum() {
                mark.stable = Some(stable(troupe, mark.height, mark.history, by));
                new = true;
            }
        }
        new
    }
}

impl<P: Played> Stage<'_, P> {
    /// What the liars can show to be stable.
    pub fn stable(&mut self) -> Vec<Arc<StableCheckpoint>> {
        self.collect();
        let along = self.troupe.liars().fold(0, |all, liar| all | 1 << liar);
        self.checkpoints.make(self.troupe, along);
        let marks = self.checkpoints.marks.iter();
        marks.filter_map(|it| it.stable.clone()).collect()
    }
    /// Takes note of what was signed since; returns whether something was.
    fn collect(&mut self) -> bool {
        let Self {
            checkpoints,
            puppets,
            ..
        } = self;
        checkpoints.noted.resize(puppets.len(), 0);
        let mut new = false;
        for (i, puppet) in puppets.iter().enumerate() {
            for mark in &puppet.marks[checkpoints.noted[i]..] {
                checkpoints.note(i, *mark);
                new = true;
            }
            checkpoints.noted[i] = puppet.marks.len();
        }
        new
    }
    /// The liars fall silent. What was lost, or kept back, each says once more: its newest, if that is
    /// not stable here yet.
    pub fn forget_checkpoints(&mut self) {
        let last = |i: usize| self.puppets[i].marks.len() - self.puppets[i].unstable();
        self.checkpoints = Checkpoints {
            marks: Vec::new(),
            noted: (0..self.puppets.len()).map(last).collect(),
        };
    }
    /// All hear of each other's checkpoints.
    pub fn exchange_checkpoints(&mut self) {
        for i in 0..self.puppets.len() {
            if std::mem::take(&mut self.puppets[i].again) {
                let puppet = &self.puppets[i];
                let newest = puppet.marks.len() - puppet.unstable();
                self.checkpoints.noted[i] = self.checkpoints.noted[i].min(newest);
            }
        }
        if !self.collect() || !self.checkpoints.make(self.troupe, 0) {
            return;
        }
        let marks = self.checkpoints.marks.iter();
        let made: Vec<_> = marks.filter_map(|it| it.stable.clone()).collect();
        for stable in made {
            for i in 0..self.puppets.len() {
                self.tell_stable(i, &stable);
            }
        }
    }
    /// The shell of a member has collected a stable checkpoint.
    pub fn tell_stable(&mut self, to: usize, stable: &Arc<StableCheckpoint>) {
        let (troupe, judge, now) = (self.troupe, &mut self.judge, self.now);
        self.puppets[to].stabilise(now, stable, troupe, judge);
    }
}
