//! Hunts planted bugs ([`crypto::planted`]) of the protocols' rules with the puppeteer.

use super::{Manner, Plan, Protocol, Troupe, play};
use crate::check::Violation;
use crypto::planted::{Bug, choose};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Each hunt begins at these seeds; the median counts.
const STARTS: [u64; 5] = [0, 10_000_000, 20_000_000, 30_000_000, 40_000_000];

/// The bugs of the rules of a protocol that the liars of every plan make use of, and the properties of
/// which one has to notice, from one start at least.
#[must_use]
pub const fn bugs(protocol: Protocol) -> &'static [(Bug, &'static [&'static str])] {
    match protocol {
        Protocol::HotStuff => &[
            (Bug::ShortQuorum, &["S4", "S1", "S2"]),
            (Bug::SignTwice, &["S3"]),
            (Bug::Equivocate, &["S2", "S3"]),
            (Bug::VoteAfterTimeout, &["S3"]),
            (Bug::VoteFreely, &["S1"]),
            (Bug::CommitGaps, &["S1", "S4"]),
            (Bug::CommitEarly, &["S1", "S4"]),
            (Bug::CommitBackwards, &["S1", "panic"]),
        ],
        Protocol::Pbft => &[
            (Bug::ShortQuorum, &["S4", "S1", "S2"]),
            (Bug::ForgetPromises, &["S3"]),
            (Bug::Equivocate, &["S2", "S3"]),
            (Bug::CommitUnprepared, &["S1", "S2", "S10"]),
            (Bug::DropPrepared, &["S1"]),
            (Bug::CarryLowest, &["S1"]),
            (Bug::TrustNewView, &["S1"]),
            (Bug::GoOnAfterChange, &["S3"]),
            (Bug::ForgetPrepared, &["S1"]),
        ],
        Protocol::Raft => &[],
    }
}

/// The bugs of a name; `all`: all of them.
///
/// # Errors
/// In words, if there is none.
pub fn named(protocol: Protocol, name: &str) -> Result<Vec<Bug>, String> {
    let all = bugs(protocol);
    let all = all.iter().map(|(bug, _)| *bug);
    if name == "all" {
        return Ok(all.collect());
    }
    let found = all.clone().find(|bug| format!("{bug:?}") == name);
    let names: Vec<_> = all.map(|bug| format!("{bug:?}")).collect();
    let unknown = || format!("no bug is called {name}; these are: {}", names.join(" "));
    Ok(vec![found.ok_or_else(unknown)?])
}

/// How to hunt.
#[derive(Clone, Copy, Debug)]
pub struct Hunt {
    /// All but the seed.
    pub plan: Plan,
    /// Give up after so many plays.
    pub most: u64,
    /// How many of the five starts.
    pub starts: usize,
    /// Threads.
    pub jobs: usize,
}

/// A bug found: after so many plays, in this one.
#[derive(Clone, Debug)]
struct Kill {
    plays: u64,
    seed: u64,
    violation: Violation,
}

impl Hunt {
    /// Hunts these. Returns the table, and which of them survive, or break something else than they have to.
    #[must_use]
    pub fn run(&self, bugs: &[Bug]) -> (String, Vec<Bug>) {
        let starts = &STARTS[..self.starts.clamp(1, STARTS.len())];
        let tasks: Vec<(Bug, u64)> = bugs
            .iter()
            .flat_map(|bug| starts.iter().map(|start| (*bug, *start)))
            .collect();
        let next = AtomicUsize::new(0);
        let kills = Mutex::new(vec![None; tasks.len()]);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((bug, start)) = tasks.get(at) else {
                    return;
                };
                let kill = self.one(*bug, *start);
                kills.lock().expect("nobody panics while holding it")[at] = kill;
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(work);
            }
        });
        let kills = kills.into_inner().expect("nobody panics while holding it");
        let mut text = format!("{}\n   plays    least     most  bug\n", self.plan.name());
        let mut survivors = Vec::new();
        for (bug, kills) in bugs.iter().zip(kills.chunks(starts.len())) {
            let mut known = self::bugs(self.plan.protocol).iter();
            let breaks = known.find(|(it, _)| it == bug).map_or(&[][..], |it| it.1);
            let seen = kills
                .iter()
                .flatten()
                .any(|it| breaks.contains(&it.violation.property));
            if !line(*bug, kills, &mut text) || !seen {
                survivors.push(*bug);
            }
        }
        (text, survivors)
    }
    fn one(&self, bug: Bug, start: u64) -> Option<Kill> {
        choose(Some(bug));
        let troupe = Troupe::of(self.plan.nodes);
        let checked = Manner {
            checked: true,
            in_words: false,
        };
        let found = (start..start + self.most).find_map(|seed| {
            let plan = self.plan.with(seed);
            play(plan, &troupe, Manner::default()).violation?;
            // What only passes because nobody checks it proves nothing.
            let violation = play(plan, &troupe, checked).violation?;
            let plays = seed - start + 1;
            let kill = Kill {
                plays,
                seed,
                violation,
            };
            (kill.violation.property != "puppeteer").then_some(kill)
        });
        choose(None);
        // A seed that fails without the bug proves nothing about it.
        let sound = Troupe::of(self.plan.nodes);
        let seed = found.as_ref()?.seed;
        let without = play(self.plan.with(seed), &sound, Manner::default());
        found.filter(|_| without.violation.is_none())
    }
}

/// One line of the table; returns whether the bug is found from every start.
fn line(bug: Bug, kills: &[Option<Kill>], text: &mut String) -> bool {
    let plays = |kill: &Option<Kill>| kill.as_ref().map_or(u64::MAX, |kill| kill.plays);
    let mut sorted: Vec<u64> = kills.iter().map(plays).collect();
    sorted.sort_unstable();
    let number = |plays: u64| match plays {
        u64::MAX => "-".into(),
        plays => plays.to_string(),
    };
    let median = sorted[sorted.len() / 2];
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{:>8} {:>8} {:>8}  {bug:?}",
        number(median),
        number(sorted[0]),
        number(sorted[sorted.len() - 1]),
    );
    if let Some(kill) = kills.iter().flatten().next() {
        let what: String = kill.violation.what.chars().take(120).collect();
        let property = kill.violation.property;
        let _ = writeln!(text, "{:>28}seed {}: {property}: {what}", "", kill.seed);
    }
    kills.iter().all(Option::is_some)
}
