//! The normal case: what is submitted commits, then silence.

use super::cluster::Cluster;
use super::craft::{Craft, Solo, payload, round_robin};
use crate::{Input, Protocol as _};
use crypto::{Payload, Time};

#[test]
fn payload_commits_everywhere() {
    for n in [1, 2, 3, 4, 5, 6, 7, 10] {
        let mut cluster = Cluster::new(n, round_robin(8192));
        for number in 1..=20 {
            cluster.submit(number);
            cluster.run(Time::millis(2));
            let statuses = cluster.statuses();
            let waiting = statuses
                .iter()
                .find_map(|status| status.as_ref()?.waiting.clone());
            assert_eq!(waiting, None, "nothing to say while all goes well");
        }
        cluster.run_until(Time::millis(100), "commit", Cluster::all_done);
        assert!(
            (0..n).all(|i| cluster.view(i) < 8192),
            "no tenure was given up"
        );
    }
}

#[test]
fn who_leads_next_is_fixed_so_a_leader_may_end_at_any_time() {
    let mut solo = Solo::new(Craft::new(4, round_robin(8)), 0);
    assert!(solo.replica.departed());
    solo.pool.push(1);
    solo.input(Input::Pending {
        oldest: Some(Time(0)),
    });
    assert_eq!(solo.proposed().len(), 1);
    solo.input(Input::Transfer { to: None });
    assert!(solo.replica.departed());
}

#[test]
fn who_gave_a_tenure_up_alone_says_so_only_while_nothing_moves() {
    for n in [4, 7] {
        let mut solo = Solo::new(Craft::new(n, round_robin(64)), 2);
        let (blocks, _) = solo.craft.chain(&[1, 2, 3]);
        solo.propose(&blocks[0]);
        solo.input(Input::Pending {
            oldest: Some(Time(0)),
        });
        solo.pass(Time::millis(400));
        assert_eq!(solo.gave_up(), [0]);
        let said = solo.replica.status().waiting.unwrap();
        assert!(said.contains("gave up tenure 0"), "{said}");
        solo.propose(&blocks[1]);
        assert_eq!(solo.replica.status().waiting, None, "n {n}: others go on");
    }
}

#[test]
fn one_payload_takes_four_views_and_then_all_is_silent() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n, round_robin(8192));
        cluster.run(Time::millis(5000));
        assert!(
            cluster.spoken().is_empty(),
            "an idle cluster sends nothing: {:?}",
            cluster.sent
        );
        cluster.submit(1);
        cluster.run(Time::millis(20));
        assert!(cluster.all_done());
        assert_eq!((0..n).map(|i| cluster.height(i)).max(), Some(1));
        assert_eq!(
            (0..n).map(|i| cluster.view(i)).collect::<Vec<_>>(),
            vec![4; n as usize]
        );
        let sent = cluster.sent.clone();
        assert_eq!(
            sent["proposal"],
            3 * u64::from(n - 1),
            "the payload and two empty blocks"
        );
        assert_eq!(
            sent["certificate"],
            u64::from(n - 1),
            "then the certificate alone"
        );
        let spoken = cluster.spoken();
        cluster.run(Time::millis(60_000));
        assert_eq!(cluster.spoken(), spoken, "idle again");
    }
}

#[test]
fn a_tenure_ends_without_a_timeout() {
    for n in [4, 7] {
        for tenure in [1, 2, 3, 4, 5, 8] {
            let mut cluster = Cluster::new(n, round_robin(tenure));
            for number in 1..=30 {
                cluster.submit(number);
                cluster.run(Time::millis(3));
            }
            cluster.run_until(Time::millis(200), "commit", Cluster::all_done);
            cluster.run(Time::millis(2000));
            assert!(
                !cluster.sent.contains_key("timeout"),
                "tenure {tenure}: {:?}",
                cluster.sent
            );
        }
    }
}

/// A batch that expires before the next block is work, and fits into no block: unless the height
/// moves on, it stays so, and leaders are given up for it (simulator seed 100875).
#[test]
fn work_that_fits_into_no_block_moves_the_height_by_empty_ones() {
    let mut solo = Solo::new(Craft::new(1, round_robin(8)), 0);
    solo.input(Input::Pending {
        oldest: Some(Time(0)),
    });
    solo.pass(Time::millis(20));
    assert!(solo.heights().len() >= 2, "{:?}", solo.heights());
    solo.input(Input::Pending { oldest: None });
    solo.pass(Time::millis(20));
    let heights = solo.heights();
    solo.pass(Time::millis(200));
    assert_eq!(solo.heights(), heights, "and no longer than it lasts");
}

/// The last payload was committed by a certificate that the next tenure did not build on: who has
/// not seen it cannot commit by the high certificate that all have, and nobody had anything left
/// to flush (simulator seed 27573).
#[test]
fn what_was_committed_aside_is_flushed_again() {
    let mut solo = Solo::new(Craft::new(4, round_robin(4)), 2);
    let craft = Craft::new(4, round_robin(4));
    let full = craft.block(1, &craft.genesis(), payload(1));
    let empty = craft.block(2, &craft.certify(&full), Payload::EMPTY);
    let lost = craft.block(3, &craft.certify(&empty), Payload::EMPTY);
    for block in [&full, &empty, &lost] {
        solo.propose(block);
    }
    solo.certificate(0, &craft.certify(&lost));
    assert_eq!(solo.heights(), [1]);
    assert!(!solo.replica.must_flush());

    let high = craft.certify(&empty);
    let entry = craft.timeout_certificate(0, &[(0, &high), (1, &high), (3, &high)]);
    let mut block = craft.block_after(4, &high, Some(entry), Payload::EMPTY);
    for view in 5..=7 {
        solo.propose(&block);
        let certificate = craft.certify(&block);
        solo.certificate(1, &certificate);
        assert_eq!(
            solo.replica.must_flush(),
            view < 7,
            "until the high certificate's own chain commits, view {view}"
        );
        block = craft.block(view, &certificate, Payload::EMPTY);
    }
}
