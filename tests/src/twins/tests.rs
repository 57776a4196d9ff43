//! What the worlds do, and that what they judge can break.
#![allow(clippy::unwrap_used)]

use super::*;
use crypto::NodeId;
use std::collections::BTreeSet;

fn space(views: usize, phases: usize, warm: bool) -> Space {
    Space::new(Cast::FOUR, views, phases, warm).unwrap()
}

/// The same view so many times.
fn same(leader: u16, split: Split, views: usize, warm: bool) -> Schedule {
    Schedule {
        cast: Cast::FOUR,
        warm,
        rounds: vec![Round::new(NodeId(leader), split); views],
    }
}

fn campaign(protocol: Protocol, plan: Plan, jobs: usize) -> Report {
    let campaign = Campaign {
        protocol,
        plan,
        only: None,
        jobs,
        limit: None,
        failures: 1,
    };
    campaign.run(&|news| println!("{news}"))
}

#[test]
fn a_calm_schedule_commits_what_it_orders() {
    for protocol in Protocol::ALL {
        for warm in [false, true] {
            let outcome = Campaign::play(protocol, &same(1, Split::NONE, 4, warm), None);
            let words = outcome.words.join("\n");
            assert_eq!(outcome.violation, None, "{words}");
            let facts = outcome.facts;
            assert!(facts.early && facts.kept && !facts.accused, "{facts:?}");
            assert!(facts.views <= judge::SUFFIX, "{facts:?}");
            assert!(words.contains("commits 1: [2]"), "{words}");
        }
    }
}

#[test]
fn twins_that_lead_say_different_things_and_are_accused() {
    for protocol in Protocol::ALL {
        let outcome = Campaign::play(protocol, &same(0, Split::NONE, 3, false), None);
        let words = outcome.words.join("\n");
        assert_eq!(outcome.violation, None, "{words}");
        assert!(outcome.facts.accused, "{words}");
        // The batches of A and of A' in view 1.
        let first = |from: &str, batch: &str| {
            let mut words = outcome.words.iter();
            words.any(|line| line.starts_with(from) && line.ends_with(batch))
        };
        assert!(
            first("A > ", "with #1") && first("A' > ", "with #5"),
            "{words}"
        );
    }
}

#[test]
fn who_is_cut_off_hears_nothing_until_the_network_is_whole() {
    let alone = Split::of(1 << 3, Cast::FOUR);
    let outcome = Campaign::play(Protocol::HotStuff, &same(1, alone, 4, false), None);
    let words = outcome.words.join("\n");
    assert_eq!(outcome.violation, None, "{words}");
    // View 5 is led by B and is the first that all take part in.
    let heard = |line: &&String| line.contains("> A C D A': proposal");
    let first = outcome.words.iter().find(heard).unwrap();
    assert!(first.contains("proposal b5 "), "{words}");
    let early = outcome.words.iter().take_while(|it| *it != first);
    let mut early = early.filter(|it| it.starts_with("D "));
    assert_eq!(early.next(), None, "{words}");
}

#[test]
fn where_there_is_no_quorum_views_are_given_up_all_the_same() {
    // A B A' | C D: two members here, two there.
    let halves = Split::of(0b01100, Cast::FOUR);
    for protocol in Protocol::ALL {
        let outcome = Campaign::play(protocol, &same(2, halves, 3, false), None);
        let words = outcome.words.join("\n");
        assert_eq!(outcome.violation, None, "{words}");
        assert!(
            words.contains("what was kept back comes through"),
            "{words}"
        );
        assert!(words.contains("is in view 4"), "{words}");
    }
}

#[test]
fn a_schedule_takes_the_same_course_again() {
    let plan = Plan::Sample {
        space: space(8, 3, true),
        count: 20,
        seed: 1,
    };
    for (protocol, schedule) in Protocol::ALL.into_iter().zip(plan.schedules()) {
        let words = || Campaign::play(protocol, &schedule, None).words;
        assert_eq!(words(), words());
    }
}

#[test]
fn a_schedule_is_read_as_it_is_written() {
    let spaces = [space(2, 1, false), space(1, 2, true), space(1, 3, false)];
    for schedule in spaces.iter().flat_map(Space::canonical) {
        let text = schedule.to_string();
        assert_eq!(Schedule::parse(&text, Cast::FOUR).as_ref(), Ok(&schedule));
    }
    let schedule = Schedule::parse("w.b18.a00-02-1e", Cast::FOUR).unwrap();
    assert!(schedule.warm);
    assert_eq!(
        schedule.text(),
        "view 5, led by B: A B C | D A'\n\
         view 6, led by A: A B C D A'; A C D A' | B; A | B C D A'\n"
    );
    for bad in [
        "",
        "e00",
        "b01",
        "b20",
        "b",
        "b0-0",
        "b00..b00",
        "b00-00-00-00",
        "bxx",
    ] {
        assert!(Schedule::parse(bad, Cast::FOUR).is_err(), "{bad}");
    }
}

#[test]
fn casts_that_are_none_are_refused() {
    for (nodes, twins) in [(0, 0), (3, 1), (11, 1), (4, 3), (255, 255)] {
        assert!(Cast::new(nodes, twins).is_err(), "{nodes} {twins}");
    }
}

#[test]
fn what_is_too_much_to_enumerate_is_refused() {
    let all = |nodes, twins, views, phases| {
        let cast = Cast::new(nodes, twins).unwrap();
        Space::new(cast, views, phases, false).and_then(Plan::all)
    };
    assert!(all(4, 1, 4, 1).is_ok() && all(7, 2, 2, 1).is_ok());
    for (nodes, twins, views, phases) in [
        (4, 1, 0, 1),
        (4, 1, 3, 0),
        (4, 1, 3, 4),
        (4, 1, 33, 1),
        (4, 1, 32, 3),
        (4, 1, 3, 3),
        (10, 0, 1, 1),
        (10, 5, 1, 3),
    ] {
        let why = all(nodes, twins, views, phases).unwrap_err();
        assert!(!why.is_empty(), "{nodes} {twins} {views} {phases}");
    }
}

#[test]
fn samples_are_drawn_by_their_seed() {
    let drawn = |seed| {
        let space = space(12, 1, false);
        let count = 50;
        let plan = Plan::Sample { space, count, seed };
        plan.schedules()
            .map(|it| it.to_string())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(drawn(1), drawn(1));
    assert!(drawn(1).is_disjoint(&drawn(2)));
    assert_eq!(drawn(1).len(), 50);
}

#[test]
fn what_fails_is_told_with_the_command_that_shows_it() {
    let cast = Cast::new(4, 2).unwrap();
    let schedule = Schedule::parse("a38", cast).unwrap();
    let violation = crate::check::Violation {
        property: "S2",
        at: crypto::Time(0),
        what: "two certificates".into(),
    };
    let report = Report {
        schedules: 1,
        failures: vec![(schedule, violation)],
        ..Report::default()
    };
    let plan = Plan::all(Space::new(cast, 1, 1, false).unwrap()).unwrap();
    let campaign = Campaign {
        protocol: Protocol::Pbft,
        plan,
        only: Some("S2"),
        jobs: 1,
        limit: None,
        failures: 1,
    };
    let section = campaign.section(&report);
    assert!(
        section
            .part
            .starts_with("twins, pbft: all schedules of 1 views")
    );
    assert_eq!(section.failures[0].what, "S2: two certificates");
    let replay = &section.failures[0].replay;
    let command = "--bin twins -- --protocol pbft --nodes 4 --twins 2 --only S2 --schedule a38";
    assert!(replay.ends_with(command), "{replay}");
}

#[test]
fn no_schedule_begins_when_the_time_is_up() {
    let campaign = Campaign {
        protocol: Protocol::HotStuff,
        plan: Plan::all(space(2, 1, false)).unwrap(),
        only: None,
        jobs: 1,
        limit: Some(std::time::Duration::ZERO),
        failures: 1,
    };
    assert_eq!(campaign.run(&|_| {}).schedules, 0);
}

#[test]
fn threads_change_nothing_but_the_time() {
    for protocol in Protocol::ALL {
        let report = |jobs| {
            let it = campaign(protocol, Plan::all(space(2, 1, false)).unwrap(), jobs);
            (
                it.schedules,
                it.early,
                it.kept,
                it.accused,
                it.views,
                it.messages,
            )
        };
        let (one, two) = (report(1), report(2));
        assert_eq!(one, two);
        assert_eq!(one.0, 510);
    }
}

/// A few of each kind; `twins --views 3` plays all that `make test` has time for.
#[test]
fn twins_break_nothing() {
    for protocol in Protocol::ALL {
        let seven = Cast::new(7, 2).unwrap();
        let spaces = [
            space(3, 1, false),
            space(3, 1, true),
            space(4, 3, true),
            space(8, 2, false),
            Space::new(seven, 4, 2, false).unwrap(),
            Space::new(seven, 4, 2, true).unwrap(),
        ];
        for space in spaces {
            let plan = Plan::Sample {
                space,
                count: 200,
                seed: 7,
            };
            let report = campaign(protocol, plan, 1);
            assert!(report.failures.is_empty(), "{}", report.text());
            assert!(report.kept > 20, "{}", report.text());
        }
    }
}

/// Slot 6 was known to be committed, and slot 5 was not, to anybody: all asked each other for it as fast
/// as they answered.
#[test]
fn a_slot_that_nobody_has_is_not_asked_for_without_end() {
    let text = "a16-16-00.a00-08-1c.c16-00-00.d00-1c-0a.d1c-10-12.d18-04-04.b16-0a-1e.d00-08-00.\
                b14-1a-0a.b14-08-1a.b16-1c-00.a10-10-16";
    let schedule = Schedule::parse(text, Cast::FOUR).unwrap();
    let outcome = Campaign::play(Protocol::Pbft, &schedule, None);
    assert_eq!(outcome.violation, None);
    assert!(outcome.facts.messages < 2_000, "{:?}", outcome.facts);
}

/// With a quorum on each side that has no honest member in common with the other, both commit. One pair
/// of twins less, and the same script splits nobody.
#[test]
fn one_pair_of_twins_too_many_breaks_agreement() {
    for (nodes, twins, side) in [(4, 2, "38"), (7, 3, "3e0")] {
        let fewer = match nodes {
            4 => "18",
            _ => "1e0",
        };
        for protocol in Protocol::ALL {
            let play = |twins: u8, side: &str| {
                let cast = Cast::new(nodes, twins).unwrap();
                let rounds = [format!("a{side}"), format!("b{side}")].join(".");
                let text = [rounds.as_str(); 3].join(".");
                let schedule = Schedule::parse(&text, cast).unwrap();
                let only = Some("S1").filter(|_| usize::from(twins) > (cast.nodes() - 1) / 3);
                let outcome = Campaign::play(protocol, &schedule, only);
                (schedule, outcome)
            };
            let (schedule, outcome) = play(twins, side);
            let violation = outcome.violation.unwrap();
            let text = failure(protocol, &schedule, Some("S1"), &violation);
            println!("{text}");
            assert_eq!(violation.property, "S1", "{text}");
            assert!(text.contains(&format!("--schedule {schedule}")), "{text}");
            let (schedule, outcome) = play(twins - 1, fewer);
            assert_eq!(outcome.violation, None, "{schedule}: {:?}", outcome.words);
            assert!(outcome.facts.kept, "{schedule}: one side goes on");
        }
    }
}

#[test]
fn shards_are_all_schedules_each_once() {
    let space = space(2, 1, false);
    let words = |plan: Plan| {
        plan.schedules()
            .map(|it| it.to_string())
            .collect::<Vec<_>>()
    };
    let all = words(Plan::all(space).unwrap());
    let mut shards = Vec::new();
    for shard in 0..3 {
        let plan = Plan::Shard {
            space,
            shard,
            of: 3,
        };
        let some = words(plan);
        assert_eq!(some.len() as u64, plan.count());
        shards.extend(some);
    }
    shards.sort_unstable();
    let mut sorted = all;
    sorted.sort_unstable();
    assert_eq!(shards, sorted);
}
