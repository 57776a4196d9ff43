//! Which planted bugs ([`crypto::planted`]) a plan finds, and after how many schedules.

use super::campaign::one;
use super::instance::Members;
use super::world::How;
use super::{Plan, Protocol, Schedule, Twinned};
use crate::check::Violation;
use crate::{mutants, sim};
use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use crypto::planted::{Bug, choose};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Which bugs all schedules of three views show, and the properties of which one has to notice.
#[must_use]
pub const fn bugs(protocol: Protocol) -> &'static [(Bug, &'static [&'static str])] {
    match protocol {
        Protocol::HotStuff => &[
            (Bug::ShortQuorum, &["S4", "S1"]),
            (Bug::SignTwice, &["S3"]),
            (Bug::Equivocate, &["S3"]),
            (Bug::VoteAfterTimeout, &["S3"]),
            (Bug::CommitGaps, &["S4", "S1"]),
            (Bug::CommitEarly, &["S4", "S1"]),
            (Bug::CommitBackwards, &["panic", "S1"]),
            (Bug::ForgetBranch, &["L1", "L2"]),
            (Bug::Slander, &["S10"]),
            (Bug::NoCatchUp, &["L1", "L2"]),
        ],
        Protocol::Pbft => &[
            (Bug::ShortQuorum, &["S4", "S1"]),
            (Bug::Equivocate, &["S3"]),
            (Bug::CommitUnprepared, &["S2", "S1"]),
            (Bug::DropPrepared, &["S10", "S1"]),
            (Bug::TrustNewView, &["S10", "S1"]),
            (Bug::Slander, &["S10"]),
            (Bug::NoCatchUp, &["L2", "L1"]),
            (Bug::IgnoreOverdue, &["L1"]),
        ],
    }
}

/// The bugs of a name; `all`: all that are expected to be found.
///
/// # Errors
/// In words, if there is none.
pub fn named(protocol: Protocol, name: &str) -> Result<Vec<Bug>, String> {
    let expected = bugs(protocol).iter().map(|(bug, _)| *bug);
    match name {
        "all" => Ok(expected.collect()),
        name => mutants::named(sim::Protocol::named(protocol.name())?, name),
    }
}

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
    /// Whether it was found, and by a property that it is known to break, if any is.
    #[must_use]
    pub fn is_found(&self, protocol: Protocol) -> bool {
        let mut known = bugs(protocol).iter().filter(|(bug, _)| *bug == self.bug);
        let breaks = known.next().map_or(&[][..], |(_, breaks)| breaks);
        let kill = self.kill.as_ref();
        kill.is_some_and(|(_, it)| breaks.is_empty() || breaks.contains(&it.property))
    }
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

/// How to hunt.
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
            let play = || one::<P>(members, &schedule, How::default()).violation;
            let Some(violation) = play() else { continue };
            choose(None);
            // A schedule that fails without the bug proves nothing about it.
            if play().is_none() {
                hunted.kill = Some((schedule, violation));
                break;
            }
            choose(Some(bug));
        }
        choose(None);
        hunted
    }
}
