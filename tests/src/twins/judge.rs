//! Judges a run by what leaves the replicas, what they commit, and whom they accuse.

use super::{Cast, Schedule};
use crate::check::{Check, History, Honesty, OneCertificate, Promises, Report, Seen, Violation};
use crate::sim::Inspected;
use crypto::{Digest, Height, NodeId, Reject, Time};

/// What is judged.
pub const PROPERTIES: [&str; 7] = ["S1", "S2", "S3", "S4", "S10", "L1", "L2"];

/// Views behind the scheduled ones within which an honest member has to commit something that was
/// proposed there: one may be lost until all are in one view, three are needed for a commit of
/// HotStuff, and one to tell of it.
pub const SUFFIX: u64 = 5;

/// What came about in a run that broke nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// An honest member committed by a certificate of the scheduled views.
    pub early: bool,
    /// Something that was proposed in the scheduled views was committed, then or later.
    pub kept: bool,
    /// The twins were accused.
    pub accused: bool,
    /// In which view behind the scheduled ones something new was first committed; 1 is the first.
    pub views: u64,
    /// Messages delivered.
    pub messages: u64,
}

/// See the module.
pub struct Judge {
    cast: Cast,
    /// The scheduled views.
    scheduled: (u64, u64),
    history: History,
    certificates: OneCertificate,
    promises: Promises,
    /// S4, and S1 seen closer.
    own: [Box<dyn Check>; 2],
    /// Honest members that have committed something new, as bits.
    renewed: u16,
    /// All else is let pass.
    only: Option<&'static str>,
    /// Nothing moves any more.
    still: bool,
    pub facts: Facts,
    pub violation: Option<Violation>,
}

impl Judge {
    /// Of a schedule, with what only its protocol promises.
    pub fn new(schedule: &Schedule, own: [Box<dyn Check>; 2]) -> Self {
        Self {
            cast: schedule.cast,
            scheduled: (schedule.warmed() + 1, schedule.last()),
            history: History::default(),
            certificates: OneCertificate::default(),
            promises: Promises::new(1),
            own,
            renewed: 0,
            only: None,
            still: false,
            facts: Facts::default(),
            violation: None,
        }
    }
    /// Whether there is no more to see: something is broken, all honest members have committed
    /// something new, or nothing moves any more.
    pub fn is_done(&self) -> bool {
        let all_new = || self.renewed.count_ones() as usize == self.cast.honest().count();
        self.violation.is_some() || self.still || all_new()
    }
    /// Judges one property only, or all.
    pub fn only(&mut self, property: Option<&'static str>) {
        self.only = property;
    }
    /// Something is broken.
    pub fn broken(&mut self, property: &'static str, at: Time, what: String) {
        if self.only.is_none_or(|it| it == property) {
            let violation = Violation { property, at, what };
            self.violation.get_or_insert(violation);
        }
    }

    /// S2 and S3: a message leaves a replica. What twins sign is nobody's promise.
    pub fn sent(&mut self, now: Time, from: NodeId, it: Inspected) {
        let Inspected {
            mut promises,
            certified,
            ..
        } = it;
        promises.retain(|it| self.cast.is_honest(it.signer));
        let seen = Seen::Sent {
            node: from,
            promises,
            certified,
            led: None,
        };
        let all = [Which::Certificates, Which::Promises, Which::Own];
        self.see(now, &seen, &all);
    }
    /// S3: a replica stores a new vote of a view.
    pub fn votes(&mut self, now: Time, node: NodeId, view: u64) {
        if self.cast.is_honest(node) {
            let seen = Seen::Voted {
                node,
                view,
                footing: None,
            };
            self.see(now, &seen, &[Which::Promises]);
        }
    }
    /// S10: a replica accuses a member.
    pub fn accuses(&mut self, now: Time, by: NodeId, node: NodeId, what: String) {
        if self.cast.is_honest(node) {
            self.see(now, &Seen::Accused { by, node, what }, &[Which::Honesty]);
        } else {
            self.facts.accused = true;
        }
    }
    /// S10: an honest replica refuses what a member says.
    pub fn refuses(&mut self, now: Time, by: NodeId, from: NodeId, reject: Reject) {
        if self.cast.is_honest(by) && self.cast.is_honest(from) {
            self.see(now, &Seen::Rejected { by, from, reject }, &[Which::Honesty]);
        }
    }
    /// S1 and L1: a replica in `view` commits a height by a certificate of the view `proven`; what is
    /// ordered there was proposed in the view `proposed`, if it is anything.
    pub fn commits(
        &mut self,
        now: Time,
        node: NodeId,
        (height, history): (Height, Digest),
        (view, proven, proposed): (u64, u64, Option<u64>),
    ) {
        if !self.cast.is_honest(node) {
            return;
        }
        let report = Report {
            view,
            height,
            history,
            state_height: height,
            state: history,
        };
        self.see(now, &Seen::Reported(node, report), &[Which::History]);
        let (first, last) = self.scheduled;
        self.facts.early |= (first..=last).contains(&proven);
        self.facts.kept |= proposed.is_some_and(|it| (first..=last).contains(&it));
        if proposed > Some(last) {
            if self.renewed == 0 {
                self.facts.views = view.saturating_sub(last);
            }
            self.renewed |= 1 << node.0;
        }
    }
    /// S4, and S1: what an honest replica shows of a commit, or by storing something.
    pub fn shows(&mut self, now: Time, seen: &Seen) {
        if seen.about().is_some_and(|it| self.cast.is_honest(it)) {
            self.see(now, seen, &[Which::Own]);
        }
    }
    /// L1: an honest replica is in this view.
    pub fn enters(&mut self, now: Time, node: NodeId, view: u64) {
        let (_, last) = self.scheduled;
        if self.renewed == 0 && view > last + SUFFIX && self.cast.is_honest(node) {
            let what =
                format!("nothing new is committed in {SUFFIX} calm views led by honest members");
            self.broken("L1", now, what);
        }
    }
    /// L1 and L2: nothing moves any more.
    pub fn stands_still(&mut self, now: Time, why: &str) {
        self.still = true;
        if self.renewed == 0 {
            return self.broken("L1", now, format!("nothing new is committed: {why}"));
        }
        let behind = |it: &NodeId| self.renewed >> it.0 & 1 == 0;
        let behind = self.cast.honest().filter(behind);
        let behind: String = behind.map(|it| self.cast.letter(it)).collect();
        let what = format!("{behind} have committed nothing new, and others have: {why}");
        self.broken("L2", now, what);
    }

    fn see(&mut self, at: Time, seen: &Seen, by: &[Which]) {
        for which in by {
            let one: &mut dyn Check = match which {
                Which::History => &mut self.history,
                Which::Certificates => &mut self.certificates,
                Which::Promises => &mut self.promises,
                Which::Honesty => &mut Honesty,
                Which::Own => {
                    for i in 0..self.own.len() {
                        let verdict = self.own[i].see(seen);
                        self.heed(self.own[i].property(), at, verdict);
                    }
                    continue;
                }
            };
            let (property, verdict) = (one.property(), one.see(seen));
            self.heed(property, at, verdict);
        }
    }
    fn heed(&mut self, property: &'static str, at: Time, verdict: Result<(), String>) {
        if let Err(what) = verdict {
            self.broken(property, at, what);
        }
    }
}

/// Who is asked.
#[derive(Clone, Copy)]
enum Which {
    History,
    Certificates,
    Promises,
    Honesty,
    Own,
}
