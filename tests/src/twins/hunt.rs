//! Which planted bugs ([`crypto::planted`]) a plan finds, and after how many schedules.

use super::campaign::one;
use super::instance::Members;
use super::world::How;
use super::{Plan, Protocol, Schedule, Twinned};
use crate::check::Violation;
use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use crypto::planted::{Bug, choose};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What became of one bug.
#[derive(Clone, Debug)]
pub struct Hunted {
    /// Which.
    pub bug: Bug,
    /// Schedules played: all of them, if it survives.
    pub schedules: u64,
    /// What killed it.
    pub kill: Option<(Schedule, Violation)>,
}

impl Hunted {
    /// One line of the table.
    #[must_use]
    pub fn line(&self) -> String {
        let killed = match &self.kill {
            Some((schedule, it)) => format!("{:<6} {schedule}", it.property),
            None => "survives".into(),
        };
        format!(
            "{:<18} {:>9}  {killed}",
            format!("{:?}", self.bug),
            self.schedules
        )
    }
}

/// How to hunt. A plan without violations in the build without bugs: that is what shows that it is the
/// bug which is seen.
#[derive(Clone, Copy, Debug)]
pub struct Hunt {
    /// Under which protocol.
    pub protocol: Protocol,
    /// By which schedules, in their order.
    pub plan: Plan,
    /// On how many threads, each with a bug of its own.
    pub jobs: usize,
}

impl Hunt {
    /// Hunts these bugs; the results in their order. `tell` hears of each.
    #[must_use]
    pub fn run(&self, bugs: &[Bug], tell: &(dyn Fn(&str) + Sync)) -> Vec<Hunted> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(vec![None; bugs.len()]);
        let work = || {
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(bug) = bugs.get(place) else { return };
                let hunted = match self.protocol {
                    Protocol::HotStuff => self.one::<HotStuff>(*bug),
                    Protocol::Pbft => self.one::<Pbft>(*bug),
                };
                tell(&hunted.line());
                results.lock().expect("nobody panics while holding it")[place] = Some(hunted);
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(work);
            }
        });
        let results = results
            .into_inner()
            .expect("nobody panics while holding it");
        results.into_iter().flatten().collect()
    }

    fn one<P: Twinned>(&self, bug: Bug) -> Hunted {
        choose(Some(bug));
        let mut hunted = Hunted {
            bug,
            schedules: 0,
            kill: None,
        };
        let mut members = None;
        for schedule in self.plan.schedules() {
            let nodes = schedule.cast.nodes();
            let members = members.get_or_insert_with(|| Members::new::<P>(nodes));
            hunted.schedules += 1;
            if let Some(violation) = one::<P>(members, &schedule, How::default()).violation {
                hunted.kill = Some((schedule, violation));
                break;
            }
        }
        choose(None);
        hunted
    }
}
