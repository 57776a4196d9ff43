//! Hunts every planted bug ([`crypto::planted`]) with the simulator: one that survives shows that
//! the checks, or the scenarios, are too weak. Before all others a canary is hunted, which dies in the
//! first seed of every hunt and not without its bug, or nothing that is said of the others counts.

use crate::check::{DAMAGE, Violation};
use crate::report::{Section, Table};
use crate::sim::{Protocol, Scenario, campaign};
use crypto::planted::{ALL, Bug, choose};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Each hunt begins at these seeds; the median counts.
const OFFSETS: [u64; 5] = [0, 100_000, 200_000, 300_000, 400_000];

/// Nodes of a cluster under attack.
const ATTACKED: usize = 4;

/// Each of them has to be broken by some bug, under each protocol that has it.
const fn checkers(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::HotStuff | Protocol::Pbft => &[
            "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "L1", "L2", "L3",
            "L4",
        ],
        // Nothing is proven, and nobody is accused: whoever is heard is believed. Nor is a leader
        // given up that serves some of its clients: crash faults do not censor.
        Protocol::Raft => &[
            "S1", "S2", "S3", "S5", "S6", "S7", "S8", "S9", "S11", "L1", "L2", "L4",
        ],
    }
}

/// A production assertion that stopped a node: a kill, though none of the checkers'.
const ASSERTION: &str = "panic";

/// What no scenario can show, and the unit test of `consensus` that fails for it instead, in a build with
/// planted bugs (`tests/mutants.sh` runs it with and without the bug).
#[must_use]
pub const fn by_unit_test(protocol: Protocol) -> &'static [(Bug, &'static str)] {
    match protocol {
        Protocol::HotStuff => &[
            // Clients whose node does not get on turn to others, and so make them time out by themselves.
            (
                Bug::SayOnce,
                "hotstuff::tests::view_change::timeouts_that_nobody_heard_are_heard_later_by_those_without_work",
            ),
            // A quorum has voted on the certificate of a lock, and one of them is in each that gives a
            // tenure up: whatever its highest certificate admits is no lower (see `BuildBelow`).
            (
                Bug::ForgetLock,
                "hotstuff::tests::replication::the_lock_bars_votes_for_older_branches_until_a_higher_certificate",
            ),
            // What one of these does not tell the other does.
            (
                Bug::ForgetHighest,
                "hotstuff::tests::view_change::the_highest_certificate_of_a_timeout_certificate_is_taken_over",
            ),
            (
                Bug::IgnoreShown,
                "hotstuff::tests::view_change::certificates_in_late_messages_are_processed",
            ),
        ],
        // What is dropped is sent again.
        Protocol::Pbft => &[(
            Bug::DropEarlyCommits,
            "pbft::tests::replication::commits_that_come_before_their_pre_prepare_count",
        )],
        Protocol::Raft => &[
            // Only while too few are up is it seen, once in 500 seeds, as L1.
            (
                Bug::MatchMovesBack,
                "raft::tests::commits::a_stale_reply_does_not_move_the_match_index_back",
            ),
            // It takes the whole of figure 8: three leaders that crash in the right moments.
            (
                Bug::CommitOldTerm,
                "raft::tests::commits::figure_8_an_entry_of_an_older_term_is_not_committed_by_counting",
            ),
        ],
    }
}

/// Properties, by name.
type Broken = &'static [&'static str];

/// What a bug breaks under a protocol: one of these has to notice, be it that another one sees it
/// first. Empty: it means nothing there.
#[must_use]
pub const fn breaks(bug: Bug, protocol: Protocol) -> Broken {
    let [hotstuff, pbft, raft] = broken(bug);
    match protocol {
        Protocol::HotStuff => hotstuff,
        Protocol::Pbft => pbft,
        Protocol::Raft => raft,
    }
}

/// Under HotStuff, PBFT and Raft.
const fn broken(bug: Bug) -> [Broken; 3] {
    match bug {
        Bug::Canary => [&["S5"]; 3],
        Bug::HoardStatements => byzantine(&["S11"]),
        Bug::HoardVotes => byzantine(&["S11"]),
        Bug::EndlessPool => [&["S11"]; 3],
        Bug::Censor => [&["L3", "L1"], &["L3", "L1"], &["L1"]],
        Bug::IgnoreOverdue => byzantine(&["L3", "L1"]),
        Bug::BelieveClients => byzantine(&["S7"]),
        Bug::RefuseLate => byzantine(&["L1", "L3"]),
        Bug::BelieveAnswers => byzantine(&["S4", "S1"]),
        Bug::SayNothing | Bug::CryWolf => [&["L4"]; 3],
        Bug::ShortQuorum => [&["S1"], &["S1", "S4"], &["S2", "S1"]],
        Bug::SendBeforeDurable => [&["S3"]; 3],
        Bug::ForgetPromises => [&["S3"], &["S3", "S2"], &["S3"]],
        Bug::AnswerBeforeSync => [&["S3", "S8"]; 3],
        Bug::StateAhead => [&[DAMAGE]; 3],
        Bug::MisquoteReceipt => [&["S8"]; 3],
        Bug::ExecuteTwice | Bug::ForgetSessions => [&["S7"]; 3],
        Bug::DigestDrifts => [&["S5"]; 3],
        Bug::ReadAlone => [&["S9"]; 3],
        Bug::NoCatchUp => [&["L2"]; 3],
        // Under PBFT the second pre-prepare is refused by all.
        Bug::Equivocate => [&["S3", "S2"], &["S3"], &[]],
        Bug::ForgetView => byzantine(&["S6"]),
        Bug::Slander => byzantine(&["S10"]),
        Bug::NoHelp => byzantine(&["L2"]),
        Bug::VoteBlind => byzantine(&["L1", "L2"]),
        Bug::StoreNothing => byzantine(&[DAMAGE]),
        // What a leader's entry holds is handed to the executor: there is nothing to wait for.
        Bug::ExecuteEarly => byzantine(&[DAMAGE]),
        // A batch goes to the leader at once, and what is lost its client brings elsewhere.
        Bug::NoFetch => byzantine(&["L1", "L2"]),
        Bug::SignTwice | Bug::VoteAfterTimeout => hotstuff(&["S3"]),
        Bug::BuildBelow | Bug::VoteFreely => hotstuff(&["S6"]),
        Bug::LowerLock => hotstuff(&["S6"]),
        Bug::CommitGaps => hotstuff(&["S4"]),
        Bug::CommitEarly => hotstuff(&["S4", "S1", "S8"]),
        Bug::CommitBackwards => hotstuff(&[ASSERTION]),
        Bug::ForgetBranch => hotstuff(&["L2"]),
        Bug::CommitUnprepared => pbft(&["S1", "S10", "S8"]),
        Bug::DropPrepared | Bug::TrustNewView | Bug::ForgetPrepared => pbft(&["S1"]),
        // Whoever has committed something else refuses the view, before it can fork.
        Bug::CarryLowest => pbft(&["S10", "S1"]),
        Bug::GoOnAfterChange => pbft(&["S3"]),
        Bug::BelieveSignatures | Bug::BelieveFew => byzantine(&["S4", "S1"]),
        Bug::EndlessWindow => pbft(&["S11"]),
        Bug::JoinAnyone => pbft(&["L1"]),
        Bug::ForgetStable => pbft(&["S11"]),
        Bug::VoteTwice => raft(&["S3", "S2"]),
        Bug::AnyLog => raft(&["S1"]),
        Bug::CommitBlind => raft(&["S1", "S8"]),
        Bug::BeginBare => raft(&["L1"]),
        Bug::CountUnsynced | Bug::CountSent => raft(&["S1"]),
        Bug::CutAlways => raft(&["L1", "L2", "S1"]),
        Bug::ReadEarly | Bug::LeaseForever => raft(&["S9"]),
        // Judged by a unit test.
        Bug::ForgetLock
        | Bug::ForgetHighest
        | Bug::IgnoreShown
        | Bug::SayOnce
        | Bug::DropEarlyCommits
        | Bug::MatchMovesBack
        | Bug::CommitOldTerm => [&[], &[], &[]],
    }
}

/// Under which attack a bug is hunted that only liars make use of.
#[must_use]
pub const fn attack(bug: Bug) -> Option<&'static str> {
    match bug {
        Bug::BelieveSignatures | Bug::BelieveFew => Some("forge"),
        Bug::EndlessWindow => Some("exhaust-watermark"),
        Bug::IgnoreOverdue => Some("censor"),
        Bug::BelieveClients | Bug::RefuseLate => Some("spam"),
        Bug::BelieveAnswers => Some("poison-sync"),
        Bug::JoinAnyone => Some("far-future"),
        // Honest leaders build on the highest certificate that is shown to them.
        Bug::BuildBelow | Bug::VoteFreely => Some("tail-fork"),
        _ => None,
    }
}

/// The run of a seed: under attack, if only liars make use of the bug.
#[must_use]
pub fn plan(protocol: Protocol, bug: Bug, seed: u64) -> Scenario {
    match attack(bug) {
        Some(name) => Scenario::attacked(protocol, seed, ATTACKED, name),
        None => Scenario::draw(protocol, seed),
    }
}

const fn byzantine(broken: Broken) -> [Broken; 3] {
    [broken, broken, &[]]
}

const fn hotstuff(broken: Broken) -> [Broken; 3] {
    [broken, &[], &[]]
}

const fn pbft(broken: Broken) -> [Broken; 3] {
    [&[], broken, &[]]
}

const fn raft(broken: Broken) -> [Broken; 3] {
    [&[], &[], broken]
}

/// A bug found.
#[derive(Clone, Debug)]
struct Kill {
    /// Seeds run, this one included.
    seeds: u64,
    seed: u64,
    violation: Violation,
}

/// How to hunt.
#[derive(Clone, Copy, Debug)]
pub struct Hunt {
    /// Under which protocol.
    pub protocol: Protocol,
    /// Give up after so many seeds.
    pub most: u64,
    /// How many of the five starts.
    pub starts: usize,
    /// Threads.
    pub jobs: usize,
}

/// What became of one bug.
#[derive(Clone, Debug)]
struct Hunted {
    bug: Bug,
    /// One for each start; `None`: survived.
    kills: Vec<Option<Kill>>,
}

/// What came of it all.
#[derive(Clone, Debug)]
pub struct Report {
    protocol: Protocol,
    /// What is wrong with the hunt itself.
    canary: Vec<String>,
    hunted: Vec<Hunted>,
    /// What the run looked for by itself, since something else always came first.
    alone: Vec<(Bug, &'static str, Option<Kill>)>,
    whole: bool,
    wall: Duration,
}

/// All bugs that mean something under a protocol.
fn all(protocol: Protocol) -> Vec<Bug> {
    let means = |bug: &Bug| !breaks(*bug, protocol).is_empty();
    ALL.iter().copied().filter(means).collect()
}

/// The bugs of a name under a protocol; `all`: all of them.
///
/// # Errors
/// In words, if there is none.
pub fn named(protocol: Protocol, name: &str) -> Result<Vec<Bug>, String> {
    let all = all(protocol);
    if name == "all" {
        return Ok(all);
    }
    let found = all.iter().find(|bug| format!("{bug:?}") == name);
    let names: Vec<_> = all.iter().map(|bug| format!("{bug:?}")).collect();
    let unknown = || format!("no bug is called {name}; these are: {}", names.join(" "));
    Ok(vec![*found.ok_or_else(unknown)?])
}

/// Runs a scenario with a bug, or with none, in this thread.
fn run(plan: Scenario, bug: Option<Bug>, only: Option<&'static str>) -> Option<Violation> {
    choose(bug);
    let outcome = match only {
        Some(property) => campaign::run_plan_only(plan, property),
        None => campaign::run_plan(plan, false),
    };
    choose(None);
    outcome.violation
}

impl Hunt {
    /// Hunts these bugs. `tell` hears of each hunt as it ends.
    #[must_use]
    pub fn run(&self, bugs: &[Bug], tell: &(dyn Fn(String) + Sync)) -> Report {
        let begun = Instant::now();
        let canary = self.canary();
        // What such a hunt would find, or not, says nothing.
        let bugs = if canary.is_empty() { bugs } else { &[] };
        let starts = &OFFSETS[..self.starts.clamp(1, OFFSETS.len())];
        let tasks: Vec<_> = bugs
            .iter()
            .flat_map(|bug| starts.iter().map(|start| (*bug, *start, None)))
            .collect();
        let mut kills = self.all(&tasks, tell).into_iter();
        let hunted: Vec<_> = bugs
            .iter()
            .map(|bug| Hunted {
                bug: *bug,
                kills: kills.by_ref().take(starts.len()).collect(),
            })
            .collect();
        let unseen = unseen(self.protocol, &hunted);
        let tasks: Vec<_> = unseen
            .iter()
            .map(|(bug, property)| (*bug, 0, Some(*property)))
            .collect();
        let alone = unseen.into_iter().zip(self.all(&tasks, tell));
        Report {
            alone: alone
                .map(|((bug, property), kill)| (bug, property, kill))
                .collect(),
            canary,
            hunted,
            whole: bugs.len() == all(self.protocol).len(),
            protocol: self.protocol,
            wall: begun.elapsed(),
        }
    }

    /// What is wrong with the hunt: the first seed of a start in which the canary lives, or something
    /// is broken without it.
    fn canary(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for seed in &OFFSETS[..self.starts.clamp(1, OFFSETS.len())] {
            let plan = || Scenario::draw(self.protocol, *seed);
            let found = run(plan(), Some(Bug::Canary), None);
            if found.is_none_or(|it| !breaks(Bug::Canary, self.protocol).contains(&it.property)) {
                faults.push(format!("the canary lives through seed {seed}"));
            }
            if let Some(it) = run(plan(), None, None) {
                let Violation { property, what, .. } = it;
                faults.push(format!(
                    "without any bug seed {seed} breaks {property}: {what}"
                ));
            }
        }
        faults
    }

    /// Runs all tasks, on several threads; the results in the tasks' order.
    fn all(
        &self,
        tasks: &[(Bug, u64, Option<&'static str>)],
        tell: &(dyn Fn(String) + Sync),
    ) -> Vec<Option<Kill>> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(vec![None; tasks.len()]);
        let work = || {
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(&(bug, start, only)) = tasks.get(place) else {
                    return;
                };
                let kill = self.one(bug, start, only);
                tell(match &kill {
                    Some(kill) => format!("{bug:?}: seed {}", kill.seed),
                    None => format!("{bug:?}: not found from seed {start} on"),
                });
                results.lock().expect("nobody panics while holding it")[place] = kill;
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(work);
            }
        });
        results
            .into_inner()
            .expect("nobody panics while holding it")
    }

    fn one(&self, bug: Bug, start: u64, only: Option<&'static str>) -> Option<Kill> {
        (start..start + self.most).find_map(|seed| {
            let plan = plan(self.protocol, bug, seed);
            let violation = run(plan.clone(), Some(bug), only)?;
            // A seed that fails without the bug proves nothing about it.
            run(plan, None, only).is_none().then_some(Kill {
                seeds: seed - start + 1,
                seed,
                violation,
            })
        })
    }
}

/// What no hunt has shown yet: a bug's own property, where something else always came first, and
/// checkers that nothing came to.
fn unseen(protocol: Protocol, hunted: &[Hunted]) -> Vec<(Bug, &'static str)> {
    let saw = |hunted: &Hunted, property: &str| {
        let mut kills = hunted.kills.iter().flatten();
        kills.any(|kill| kill.violation.property == property)
    };
    let mut list = Vec::new();
    for it in hunted {
        let expected = breaks(it.bug, protocol);
        let caught = it.kills.iter().any(Option::is_some);
        let wanted = |property: &&&str| {
            let elsewhere = hunted.iter().any(|other| saw(other, property));
            !saw(it, property) && !elsewhere
        };
        if caught && !expected.iter().any(|property| saw(it, property)) {
            list.push((it.bug, expected[0]));
        }
        list.extend(expected.iter().filter(wanted).map(|p| (it.bug, *p)));
    }
    list.sort_unstable();
    list.dedup();
    list
}

impl Hunted {
    /// Seeds of the median start; `None`: it survived there.
    fn median(&self) -> Option<u64> {
        let mut seeds: Vec<u64> = self
            .kills
            .iter()
            .map(|kill| kill.as_ref().map_or(u64::MAX, |kill| kill.seeds))
            .collect();
        seeds.sort_unstable();
        Some(seeds[seeds.len() / 2]).filter(|seeds| *seeds < u64::MAX)
    }
    /// Who killed it, in words, each once.
    fn killers(&self) -> String {
        let mut names: Vec<_> = self
            .kills
            .iter()
            .flatten()
            .map(|kill| match kill.violation.property {
                ASSERTION => "assertion",
                property => property,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names.join(" ")
    }
}

impl Report {
    /// What is wrong: the hunt itself, or bugs that survive, or that another than their property kills, and checkers
    /// that no bug breaks.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.canary.clone();
        if !faults.is_empty() {
            return faults;
        }
        for it in &self.hunted {
            let starts = OFFSETS.iter().zip(&it.kills);
            for (start, _) in starts.filter(|(_, kill)| kill.is_none()) {
                faults.push(format!("{:?} survives from seed {start} on", it.bug));
            }
        }
        for (bug, property, kill) in &self.alone {
            let other = breaks(*bug, self.protocol)
                .iter()
                .any(|p| self.shown(*bug, p));
            if kill.is_none() && !other {
                faults.push(format!("{bug:?} is not seen to break {property}"));
            }
        }
        let idle = checkers(self.protocol)
            .iter()
            .filter(|checker| !ALL.iter().any(|bug| self.shown(*bug, checker)));
        if self.whole {
            faults.extend(idle.map(|checker| format!("no bug breaks {checker}")));
        }
        faults
    }

    /// Whether a bug was seen to break a property.
    fn shown(&self, bug: Bug, property: &str) -> bool {
        let hunted = self.hunted.iter().filter(|it| it.bug == bug);
        let mut first = hunted.flat_map(|it| it.kills.iter().flatten());
        let mut alone = self.alone.iter();
        first.any(|kill| kill.violation.property == property)
            || alone.any(|(b, p, kill)| *b == bug && *p == property && kill.is_some())
    }

    /// For the report of a soak run.
    #[must_use]
    pub fn section(&self) -> Section {
        let part = format!("planted bugs, {}", self.protocol.name());
        let is_dead = |it: &&Hunted| it.kills.iter().all(Option::is_some);
        let dead = self.hunted.iter().filter(is_dead);
        let planted = self.hunted.len() as u64;
        let mut section = Section::new(part, self.wall.as_secs_f64())
            .ran(planted, planted)
            .figure("planted", self.hunted.len() as f64)
            .figure("found", dead.count() as f64);
        let head = ["bug", "killed by", "median seeds"];
        let row = |it: &Hunted| {
            let median = it.median().map_or("survives".into(), |it| it.to_string());
            vec![format!("{:?}", it.bug), it.killers(), median]
        };
        section.table = Some(Table {
            head: head.map(str::to_owned).to_vec(),
            rows: self.hunted.iter().map(row).collect(),
        });
        self.faults()
            .into_iter()
            .for_each(|it| section.fail(it, ""));
        section
    }

    /// The table.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from("seeds    least     most  killed by        bug\n");
        for it in &self.hunted {
            let number = |seeds: Option<u64>| seeds.map_or("-".into(), |s| s.to_string());
            let each = || it.kills.iter().map(|kill| kill.as_ref().map(|k| k.seeds));
            let most = each().collect::<Option<Vec<_>>>();
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:>5} {:>8} {:>8}  {:<16} {:?}",
                number(it.median()),
                number(each().flatten().min()),
                number(most.and_then(|list| list.into_iter().max())),
                it.killers(),
                it.bug
            );
            if let Some(kill) = it.kills.iter().flatten().next() {
                let what: String = kill.violation.what.chars().take(140).collect();
                let _ = writeln!(text, "{:>26}seed {}: {what}", "", kill.seed);
            }
        }
        for (bug, property, kill) in &self.alone {
            let found = kill.as_ref().map_or("not found".into(), |k| {
                format!("seed {}: {}", k.seed, k.violation.what)
            });
            let found: String = found.chars().take(140).collect();
            let _ = writeln!(text, "{property} alone, {bug:?}: {found}");
        }
        for (bug, test) in by_unit_test(self.protocol) {
            let _ = writeln!(text, "{bug:?}: judged by unit test {test}");
        }
        let dead = self.hunted.iter().filter(|it| it.median().is_some());
        let _ = writeln!(
            text,
            "{}: {} of {} bugs die, in {:.0} s",
            self.protocol.name(),
            dead.count(),
            self.hunted.len(),
            self.wall.as_secs_f64()
        );
        text
    }
}
