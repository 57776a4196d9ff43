//! Quorums that differ, and what a quorum holds: against brute force.

use super::super::rules::{quorum_match, quorums_meet};
use crypto::{FaultModel, Height, Quorums};
use proptest::prelude::*;

/// All sets of `size` of `n` members, as bits.
fn sets(n: usize, size: usize) -> impl Iterator<Item = u32> {
    (0u32..1 << n).filter(move |set| set.count_ones() as usize == size)
}

fn all_meet(n: usize, a: usize, b: usize) -> bool {
    sets(n, a).all(|one| sets(n, b).all(|other| one & other != 0))
}

fn quorums(n: usize, commit: usize, election: usize) -> Quorums {
    Quorums {
        n,
        f: 0,
        commit,
        election,
    }
}

proptest! {
    /// Both rules of flexible quorums: a new leader has what was committed, and a term has one leader.
    #[test]
    fn quorums_are_safe_exactly_if_all_of_them_meet(n in 1usize..=7, c in 0usize..=8, e in 0usize..=8) {
        let possible = (1..=n).contains(&c) && (1..=n).contains(&e);
        let meet = possible && all_meet(n, c, e) && all_meet(n, e, e);
        prop_assert_eq!(quorums_meet(&quorums(n, c, e)), meet);
    }

    /// An optimised counter once committed without a quorum.
    #[test]
    fn what_a_quorum_holds_is_the_highest_that_so_many_hold(
        matched in prop::collection::vec(prop_oneof![0u64..10, Just(u64::MAX)], 1..=7),
        quorum in 1usize..=7,
    ) {
        let heights: Vec<Height> = matched.iter().map(|it| Height(*it)).collect();
        let held = |height: u64| matched.iter().filter(|it| **it >= height).count() >= quorum;
        let brute = matched.iter().copied().filter(|it| held(*it)).max().unwrap_or(0);
        prop_assert_eq!(quorum_match(heights, quorum), Height(brute));
    }
}

#[test]
fn all_sizes_up_to_seven_by_brute_force() {
    for n in 1..=7 {
        for (c, e) in (0..=n + 1).flat_map(|c| (0..=n + 1).map(move |e| (c, e))) {
            let possible = (1..=n).contains(&c) && (1..=n).contains(&e);
            let meet = possible && all_meet(n, c, e) && all_meet(n, e, e);
            assert_eq!(quorums_meet(&quorums(n, c, e)), meet, "n {n}, c {c}, e {e}");
        }
    }
}

#[test]
fn majorities_are_safe() {
    for n in 1..=128 {
        assert!(quorums_meet(&Quorums::of(FaultModel::Crash, n)), "n {n}");
    }
}

/// n = 5, e = 2, c = 4: every commit quorum meets every election quorum, and yet a term may have two
/// leaders.
#[test]
fn two_election_quorums_must_meet_too() {
    assert!(all_meet(5, 4, 2));
    assert!(!quorums_meet(&quorums(5, 4, 2)));
    assert!(quorums_meet(&quorums(5, 4, 3)));
    assert!(quorums_meet(&quorums(5, 2, 4)));
}

#[test]
fn no_quorum_holds_nothing() {
    assert_eq!(quorum_match(Vec::new(), 1), Height(0));
    assert_eq!(quorum_match(vec![Height(5)], 2), Height(0));
    assert_eq!(quorum_match(vec![Height(5)], 0), Height(0));
}
