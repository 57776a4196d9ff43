//! Those who say nothing, or late, or not to all.

use super::mouth::Said;
use super::{Adversary, Mouth, Tongue, Way};
use crypto::{NodeId, Time};
use std::collections::VecDeque;

pub(super) const NOTHING: Way = Way::silent("nothing at all");
pub(super) const LATE: Way = Way::silent("late");
pub(super) const SOME: Way = Way::silent("not to all");

/// Says nothing.
pub struct Silent;

impl<P: Tongue> Adversary<P> for Silent {
    fn say(&mut self, _: Said<P::Message>, mouth: &mut Mouth<'_>) {
        mouth.withhold(NOTHING);
    }
}

/// Messages kept back at most.
const KEPT: usize = 4096;

/// Says everything just under the time-out.
pub struct Slow<P: Tongue> {
    kept: VecDeque<(Time, Said<P::Message>)>,
}

impl<P: Tongue> Default for Slow<P> {
    fn default() -> Self {
        Self {
            kept: VecDeque::new(),
        }
    }
}

impl<P: Tongue> Adversary<P> for Slow<P> {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        mouth.withhold(LATE);
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        // What is left of a time-out is for the way.
        let at = mouth.now.plus(Time(mouth.ring.timing.timeout.0 / 5 * 4));
        self.kept.push_back((at, said));
    }
    fn wake(&mut self, mouth: &mut Mouth<'_>) {
        let due = self.kept.partition_point(|(at, _)| *at <= mouth.now);
        for (_, said) in self.kept.drain(..due) {
            mouth.pass(&said);
        }
    }
    fn deadline(&self) -> Option<Time> {
        self.kept.front().map(|(at, _)| *at)
    }
}

/// Speaks to some only, to others in each view.
pub struct Selective;

impl<P: Tongue> Adversary<P> for Selective {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        let Some(message) = said.message() else {
            return mouth.pass(&said);
        };
        // One in some views, in others so many that a quorum has to do without the rest.
        let (view, n) = (P::about(message), mouth.ring.n() as u64);
        let (first, many) = (view % n, 1 + view / n % (mouth.ring.f() as u64 + 1));
        let left_out = |to: &NodeId| (u64::from(to.0) + n - first) % n < many;
        let hears = |to: &NodeId| mouth.ring.holds(*to) || !left_out(to);
        let to: Vec<_> = said.to.iter().copied().filter(hears).collect();
        if to.len() < said.to.len() {
            mouth.withhold(SOME);
        }
        mouth.pass_to(&to, &said);
    }
}
