use super::*;
use FaultModel::{Byzantine, Crash};

#[test]
fn known_sizes() {
    let sizes = |model, n| {
        let q = Quorums::of(model, n);
        (q.f, q.commit)
    };
    let byzantine = [
        (1, (0, 1)),
        (2, (0, 2)),
        (3, (0, 2)),
        (4, (1, 3)),
        (5, (1, 4)),
        (6, (1, 4)),
        (7, (2, 5)),
        (10, (3, 7)),
    ];
    for (n, expected) in byzantine {
        assert_eq!(sizes(Byzantine, n), expected, "byzantine, {n} nodes");
    }
    for (n, expected) in [
        (1, (0, 1)),
        (2, (0, 2)),
        (3, (1, 2)),
        (4, (1, 3)),
        (5, (2, 3)),
        (6, (2, 4)),
        (7, (3, 4)),
    ] {
        assert_eq!(sizes(Crash, n), expected, "crash, {n} nodes");
    }
}

#[test]
fn fault_models_are_called_what_the_genesis_file_calls_them() {
    assert_eq!(format!("{Byzantine} {Crash}"), "byzantine crash");
}

/// Two quorums of q among n share at least 2q - n.
#[test]
fn two_quorums_share_an_honest_node_and_the_honest_ones_make_a_quorum() {
    for n in 1..=128 {
        for (model, shared) in [(Byzantine, (n - 1) / 3 + 1), (Crash, 1)] {
            let Quorums {
                f,
                commit,
                election,
                ..
            } = Quorums::of(model, n);
            assert!(
                2 * commit >= n + shared,
                "{model}, {n} nodes: too small to agree"
            );
            assert!(
                commit <= n - f,
                "{model}, {n} nodes: the honest ones must be enough"
            );
            assert!(
                2 * (commit - 1) < n + shared,
                "{model}, {n} nodes: larger than needed"
            );
            assert_eq!(commit, election);
            assert!(Quorums::of(model, n).one_honest() > f && f < n);
        }
    }
}

/// Every pair of sizes, against all sets of those sizes.
#[test]
fn quorums_meet_exactly_if_all_sets_of_their_sizes_do() {
    for n in 1..=6usize {
        let sets = |size: usize| (0u32..1 << n).filter(move |set| set.count_ones() == size as u32);
        let all_meet = |a: usize, b: usize| sets(a).all(|one| sets(b).all(|two| one & two != 0));
        for commit in 0..=n + 1 {
            for election in 0..=n + 1 {
                let possible = (1..=n).contains(&commit) && (1..=n).contains(&election);
                let safe = possible && all_meet(commit, election) && all_meet(election, election);
                let quorums = Quorums::flexible(n, commit, election);
                assert_eq!(quorums.meet(), safe, "{n} nodes, {commit} and {election}");
            }
        }
    }
}

#[test]
fn flexible_quorums_survive_what_leaves_both() {
    let f = |n, commit, election| Quorums::flexible(n, commit, election).f;
    assert_eq!(
        (f(5, 2, 4), f(5, 3, 3), f(5, 4, 3), f(3, 4, 1)),
        (1, 2, 1, 0)
    );
    for n in 1..=128 {
        let majorities = Quorums::of(Crash, n);
        assert!(majorities.meet());
        let same = Quorums::flexible(n, majorities.commit, majorities.election);
        assert_eq!(same, majorities);
    }
}

#[test]
fn no_nodes_are_no_panic() {
    for model in [Byzantine, Crash] {
        assert_eq!(Quorums::of(model, 0).f, 0);
    }
}
