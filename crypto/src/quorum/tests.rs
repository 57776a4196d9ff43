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

#[test]
fn no_nodes_are_no_panic() {
    for model in [Byzantine, Crash] {
        assert_eq!(Quorums::of(model, 0).f, 0);
    }
}
