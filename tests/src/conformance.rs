//! One suite for every protocol: the same clients with the same work, the same crashes at the same
//! places, the same faults, and the same promises. A protocol joins by one line at the end.
//!
//! Two halves. Under *crashes* nodes die at every kind of place there is, and all promises are judged
//! together: the name of the failed test says where it broke, its message which promise. Under *faults*
//! each promise is judged for itself, so that the name of the failed test says which one is broken,
//! whatever else is. All runs end with everybody up (or one down for good): what was acknowledged is in
//! the final state of every node, all of which are equal, and everything that clients asked for is done.

#![allow(clippy::unwrap_used)]

use crate::check::{DAMAGE, FRESHNESS, HALT};
use crate::sim::{CrashPoint, Kind, Outcome, Place, Protocol, Scenario, Victim, campaign};

/// How often crashes come: rarely, so that much is lost by each, and often, so that hardly anything
/// is done in between.
const EVERY: [u64; 4] = [2, 5, 11, 29];
/// Seeds of the runs in which leaders are overthrown.
const COUPS: std::ops::Range<u64> = 0..16;
/// Seeds of the runs in which each promise is judged for itself.
const SEEDS: std::ops::Range<u64> = 0..10;

/// All promises hold.
fn holds(plan: Scenario) -> Outcome {
    let (protocol, seed, point) = (plan.protocol.name(), plan.seed, plan.crash_point);
    let outcome = campaign::run_plan(plan, false);
    let violation = &outcome.violation;
    assert!(
        violation.is_none(),
        "{protocol}, seed {seed}, {point:?}: {violation:?}"
    );
    assert!(outcome.payloads > 0, "{protocol}, seed {seed}: no work");
    outcome
}

/// Whoever is meant crashes at these places, again and again; `dense`: at places that are passed so
/// many times as often as others.
fn crashes(protocol: Protocol, places: &[Place], dense: u64) {
    for victim in Victim::ALL {
        let mut struck = vec![0; places.len()];
        for (place, struck) in places.iter().zip(&mut struck) {
            for (seed, every) in EVERY.into_iter().enumerate() {
                let point = CrashPoint {
                    place: *place,
                    victim,
                    every: every * dense,
                };
                let mut plan = Scenario::alike(protocol, seed as u64).with_crash_point(point);
                if place.kind() == Some(Kind::Latest) && !protocol.writes_latest_at_peace() {
                    plan = plan.with_coups_alike();
                }
                *struck += holds(plan).struck;
            }
        }
        // What is written by leaders, or by all but them, is the protocol's own business.
        let reached = match victim {
            Victim::All => struck.iter().all(|it| *it > 0),
            Victim::Leader | Victim::Follower => struck.iter().any(|it| *it > 0),
        };
        assert!(reached, "{victim:?}: {struck:?} crashes at {places:?}");
    }
}

fn crashes_at_each_kind(protocol: Protocol, place: fn(Kind) -> Place) {
    let written = |kind: &Kind| *kind != Kind::Batch || protocol.stores_batches();
    let kinds = Kind::ALL.into_iter().filter(written);
    crashes(protocol, &kinds.map(place).collect::<Vec<_>>(), 1);
}

/// One leader after the other is cut off, stopped or killed while it has something under way, with
/// whoever has heard of it.
fn coups(protocol: Protocol) {
    for seed in COUPS {
        holds(Scenario::alike(protocol, seed).with_coups_alike());
    }
}

/// One promise holds under faults of any kind, be the others as they may; `closer`: under another name it
/// is looked at in another way.
fn promise(protocol: Protocol, property: &'static str, closer: Option<&'static str>) {
    closer
        .into_iter()
        .for_each(|it| promise(protocol, it, None));
    let mut payloads = 0;
    for seed in SEEDS {
        let plan = Scenario::alike(protocol, seed).with_faults_alike();
        let outcome = campaign::run_plan_only(plan, property);
        let violation = &outcome.violation;
        assert!(violation.is_none(), "seed {seed}: {violation:?}");
        payloads += outcome.payloads;
    }
    assert!(payloads > 20 * SEEDS.end, "{payloads} payloads");
}

/// Clients ask for the same under every protocol, whatever becomes of it.
fn same_work(protocol: Protocol) {
    let asked = |protocol, seed| {
        let point = CrashPoint {
            place: Place::BeforeSend,
            victim: Victim::Leader,
            every: 99,
        };
        holds(Scenario::alike(protocol, seed).with_crash_point(point)).asked
    };
    for seed in 0..4 {
        assert_eq!(asked(protocol, seed), asked(Protocol::ALL[0], seed));
    }
    assert_ne!(asked(protocol, 0), asked(protocol, 1));
}

/// The tests of a protocol; `byzantine`: with what is promised against liars only.
macro_rules! conformance {
    ($name:ident: $protocol:expr, $model:ident) => {
        mod $name {
            use super::*;

            conformance!(@tests $protocol,
                clients_ask_for_the_same => same_work(),
                a_crash_before_each_kind_of_write => crashes_at_each_kind(Place::BeforeWrite),
                a_crash_in_the_middle_of_each_kind_of_sync => crashes_at_each_kind(Place::InSync),
                a_crash_after_each_kind_of_write => crashes_at_each_kind(Place::AfterWrite),
                a_crash_before_a_send => crashes(&[Place::BeforeSend], 20),
                a_crash_around_an_execution => crashes(&[Place::Execution], 1),
                leaders_that_are_overthrown => coups(),
                s1_all_have_one_history => promise("S1", None),
                s2_nobody_else_leads_or_is_certified => promise("S2", None),
                s3_no_key_promises_twice => promise("S3", None),
                s5_equal_heights_have_equal_states => promise("S5", Some(HALT)),
                s6_nothing_goes_backwards => promise("S6", None),
                s7_everything_takes_effect_once => promise("S7", None),
                s8_what_was_acknowledged_stays => promise("S8", Some(DAMAGE)),
                s9_clients_see_one_copy => promise("S9", Some(FRESHNESS)),
                l1_everything_asked_for_is_done => promise("L1", None),
                l2_all_come_to_the_same_state => promise("L2", None),
            );
            conformance!(@$model $protocol);
        }
    };
    (@byzantine $protocol:expr) => {
        conformance!(@tests $protocol,
            s4_every_commit_is_proven => promise("S4", None),
            s10_nobody_honest_is_accused => promise("S10", None),
        );
    };
    (@crash $protocol:expr) => {};
    (@tests $protocol:expr, $($test:ident => $run:ident($($with:expr),*),)*) => {
        $(#[test]
        fn $test() {
            $run($protocol, $($with),*);
        })*
    };
}

conformance!(hotstuff: Protocol::HotStuff, byzantine);
conformance!(pbft: Protocol::Pbft, byzantine);
conformance!(raft: Protocol::Raft, crash);
