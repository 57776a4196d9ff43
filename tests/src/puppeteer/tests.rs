#![allow(clippy::unwrap_used)]

use super::campaign::{Campaign, News, Report};
use super::{Manner, Plan, Rare, Troupe, play};

fn campaign(plan: Plan, seeds: u64) -> Report {
    let campaign = Campaign {
        plan,
        seeds: 0..seeds,
        jobs: 2,
        limit: None,
        failures: 1,
        twice: 16,
    };
    campaign.run(&|news| {
        if let News::Broken(plan, violation) = news {
            panic!("{}: {violation:?}", plan.command());
        }
    })
}

#[test]
fn honest_members_agree_whatever_f_liars_do() {
    for plan in Plan::all() {
        let report = campaign(plan, 1_000);
        assert_eq!(report.seeds, 1_000);
        assert!(report.twice > 0);
        let committed = report.counts.of(Rare::Committed);
        assert!(committed > 100, "{}: {committed} commit", plan.name());
    }
}

#[test]
fn a_seed_takes_its_own_course_and_words_and_checks_change_nothing() {
    for plan in Plan::all() {
        let troupe = Troupe::of(plan.nodes);
        let trace = |seed, checked, in_words| {
            let manner = Manner { checked, in_words };
            play(plan.with(seed), &troupe, manner).trace
        };
        let mut traces: Vec<u64> = (0..20)
            .map(|seed| {
                let once = trace(seed, false, false);
                assert_eq!(
                    once,
                    trace(seed, true, true),
                    "{}",
                    plan.with(seed).command()
                );
                once
            })
            .collect();
        traces.sort_unstable();
        traces.dedup();
        assert_eq!(traces.len(), 20);
    }
}

/// What must not be borne has to break agreement, or the judge is blind. Two certificates for one view
/// are the end of it, and are often seen before the two logs that follow.
#[test]
fn one_liar_more_breaks_agreement() {
    for plan in Plan::all() {
        let troupe = Troupe::with(plan.nodes, Troupe::of(plan.nodes).f + 1);
        let forks = |seed| {
            let outcome = play(plan.with(seed), &troupe, Manner::default());
            let broken = outcome.violation.map_or("", |it| it.property);
            matches!(broken, "S1" | "S2")
        };
        assert!((0..200).any(forks), "{}", plan.name());
    }
}
