//! Rules of the three phases, each with the hole that it closes.

use super::super::Message;
use super::super::message::PrePrepare;
use super::super::proposing::PIPELINE;
use super::craft::{Solo, payload};
use crate::{Input, Refused};
use crypto::{Payload, Reject, Time};

/// Node 0 is a backup of view 1, whose primary is node 1.
fn backup(n: u16) -> Solo {
    Solo::start(n, 0)
}

/// The primary of view 1.
fn primary(n: u16) -> Solo {
    Solo::start(n, 1)
}

#[test]
fn a_slot_is_prepared_with_the_pre_prepare_and_prepares_of_q_in_all() {
    for n in [4, 5, 6, 7, 10] {
        let mut solo = backup(n);
        let q = solo.craft.quorum();
        let assigned = solo.pre_prepare(1, 1, &payload(1));
        assert_eq!(solo.said("prepare"), [(1, 1)]);
        // The pre-prepare is the primary's, the own prepare counts: q - 2 others are missing.
        solo.prepares(assigned, q - 3);
        assert!(solo.said("commit").is_empty(), "n {n}: one short");
        assert!(
            solo.replica
                .log
                .get(assigned.height)
                .unwrap()
                .prepared
                .is_none()
        );
        solo.prepares(assigned, q - 2);
        assert_eq!(solo.said("commit"), [(1, 1)], "n {n}");
        let prepared = solo
            .replica
            .log
            .get(assigned.height)
            .unwrap()
            .prepared
            .clone();
        assert_eq!(prepared.unwrap().certificate.signers.len(), q);
    }
}

#[test]
fn prepares_without_the_pre_prepare_prepare_nothing() {
    for n in [4, 7] {
        let mut solo = backup(n);
        let assigned = solo.craft.assigned(1, 1, &payload(1));
        solo.prepares(assigned, n as usize);
        assert!(solo.said("commit").is_empty());
        solo.pre_prepare(1, 1, &payload(1));
        assert_eq!(solo.said("commit"), [(1, 1)], "they were kept");
    }
}

#[test]
fn the_primary_sends_no_prepare_and_one_of_its_counts_for_nothing() {
    for n in [4u16, 7] {
        let mut solo = backup(n);
        let q = solo.craft.quorum();
        let assigned = solo.pre_prepare(1, 1, &payload(1));
        solo.prepares(assigned, q - 3);
        let lie = solo.craft.prepare(1, assigned);
        solo.deliver(1, lie);
        assert_eq!(solo.rejects, [Reject::Malformed]);
        assert!(solo.said("commit").is_empty());

        let mut solo = primary(n);
        solo.pool.push(1);
        solo.work();
        assert_eq!(solo.said("pre_prepare"), [(1, 1)]);
        assert!(solo.said("prepare").is_empty());
        solo.prepares(assigned, q - 2);
        assert!(solo.said("commit").is_empty());
        solo.prepares(assigned, q - 1);
        assert_eq!(solo.said("commit"), [(1, 1)]);
    }
}

#[test]
fn a_slot_is_committed_with_q_commits() {
    for n in [4, 5, 6, 7, 10] {
        let mut solo = backup(n);
        let q = solo.craft.quorum();
        let assigned = solo.pre_prepare(1, 1, &payload(1));
        solo.prepares(assigned, q - 2);
        solo.commits(assigned, q - 2);
        assert!(solo.heights().is_empty(), "n {n}: with its own one short");
        solo.commits(assigned, q - 1);
        assert_eq!(solo.heights(), [1]);
        assert_eq!(solo.commits[0].payload, payload(1));
    }
}

/// f + 1 and 2f are the same at n = 4, and so is much else (sawtooth-pbft #98).
#[test]
fn at_seven_neither_f_plus_one_nor_two_f_are_enough() {
    let mut solo = backup(7);
    let assigned = solo.pre_prepare(1, 1, &payload(1));
    solo.prepares(assigned, 2);
    assert!(solo.said("commit").is_empty(), "primary, itself and f: 2f");
    solo.prepares(assigned, 3);
    assert_eq!(solo.said("commit"), [(1, 1)]);
    solo.commits(assigned, 3);
    assert!(solo.heights().is_empty(), "2f commits");
    solo.commits(assigned, 4);
    assert_eq!(solo.heights(), [1]);
}

#[test]
fn commits_that_come_before_their_pre_prepare_count() {
    for n in [4, 7] {
        let mut solo = backup(n);
        let assigned = solo.craft.assigned(1, 1, &payload(1));
        solo.commits(assigned, solo.craft.quorum());
        assert!(solo.heights().is_empty(), "the payload is not here");
        solo.pre_prepare(1, 1, &payload(1));
        assert_eq!(solo.heights(), [1], "q commits need no own prepare");
    }
}

#[test]
fn slots_are_committed_in_order_whatever_order_they_are_certified_in() {
    for n in [4, 7] {
        let mut solo = backup(n);
        let (prepares, commits) = (solo.craft.quorum() - 2, solo.craft.quorum() - 1);
        let slots: Vec<_> = (1..=4)
            .map(|height| solo.pre_prepare(1, height, &payload(height)))
            .collect();
        for (i, expected) in [(3, 0), (1, 0), (2, 0), (0, 4)] {
            solo.prepares(slots[i], prepares);
            solo.commits(slots[i], commits);
            assert_eq!(solo.heights().len(), expected);
        }
        assert_eq!(solo.heights(), [1, 2, 3, 4]);
    }
}

#[test]
fn only_the_primary_of_the_view_is_heard() {
    for n in [4, 7] {
        let mut solo = backup(n);
        let message = solo.craft.pre_prepare_by(2, 1, 1, &payload(1));
        solo.deliver(2, message);
        assert_eq!(solo.rejects, [Reject::NotLeader]);
        assert!(solo.said("prepare").is_empty());
    }
}

#[test]
fn a_second_digest_for_a_slot_is_evidence_and_changes_nothing() {
    for n in [4, 7] {
        let mut solo = backup(n);
        let first = solo.pre_prepare(1, 1, &payload(1));
        let second = solo.pre_prepare(1, 1, &payload(2));
        assert_eq!(solo.rejects, [Reject::Conflict]);
        assert_eq!(solo.evidence.len(), 1);
        solo.evidence[0].check(&solo.craft.verifier).unwrap();
        assert_eq!(solo.said("prepare"), [(1, 1)]);
        solo.prepares(second, solo.craft.quorum() - 2);
        assert!(solo.said("commit").is_empty());
        assert_eq!(solo.evidence.len(), 1);
        // Those who have prepared the second have said so; their word stands.
        solo.prepares(first, solo.craft.quorum() - 2);
        assert!(solo.said("commit").is_empty());
        assert_eq!(solo.evidence.len(), 1 + solo.craft.quorum() - 2);
    }
}

#[test]
fn what_a_later_view_has_committed_blames_no_primary_of_an_older_one() {
    for n in [4, 7] {
        let mut solo = backup(n);
        let later = solo.craft.assigned(2, 1, &payload(2));
        solo.commits(later, solo.craft.quorum());
        solo.pre_prepare(1, 1, &payload(1));
        assert!(solo.rejects.is_empty() && solo.evidence.is_empty());
        assert!(solo.said("prepare").is_empty());

        // The own one, which comes back from the disk when the slot is decided.
        let mut solo = primary(n);
        let later = solo.craft.assigned(2, 1, &payload(2));
        solo.commits(later, solo.craft.quorum());
        solo.pre_prepare(1, 1, &payload(1));
        assert!(solo.rejects.is_empty() && solo.evidence.is_empty());

        // In the same view nobody honest has assigned it.
        let mut solo = backup(n);
        let same = solo.craft.assigned(1, 1, &payload(2));
        solo.commits(same, solo.craft.quorum());
        solo.pre_prepare(1, 1, &payload(1));
        assert_eq!(solo.rejects, [Reject::Malformed]);
    }
}

#[test]
fn a_repeated_vote_neither_counts_nor_disturbs() {
    let mut solo = backup(7);
    let assigned = solo.pre_prepare(1, 1, &payload(1));
    for node in [2, 2, 3, 3, 3, 2] {
        let prepare = solo.craft.prepare(node, assigned);
        solo.deliver(node, prepare);
        let commit = solo.craft.commit(node, assigned);
        solo.deliver(node, commit);
        solo.pre_prepare(1, 1, &payload(1));
    }
    assert!(solo.said("commit").is_empty(), "four of five have prepared");
    let prepare = solo.craft.prepare(4, assigned);
    solo.deliver(4, prepare);
    assert_eq!(solo.said("commit"), [(1, 1)]);
    assert_eq!(solo.said("prepare"), [(1, 1)]);
    assert!(solo.heights().is_empty(), "three of five have committed");
    assert!(solo.evidence.is_empty() && solo.rejects.is_empty());
}

#[test]
fn an_equivocating_voter_keeps_its_first_word() {
    for n in [4u16, 7] {
        let mut solo = backup(n);
        let real = solo.pre_prepare(1, 1, &payload(1));
        let fake = solo.craft.assigned(1, 1, &payload(2));
        let q = solo.craft.quorum();
        for assigned in [real, fake, real] {
            let prepare = solo.craft.prepare(2, assigned);
            solo.deliver(2, prepare);
            let commit = solo.craft.commit(2, assigned);
            solo.deliver(2, commit);
        }
        assert_eq!(solo.evidence.len(), 2, "a prepare and a commit");
        assert_eq!(solo.rejects, [Reject::Conflict; 2]);
        solo.prepares(real, q - 2);
        solo.commits(real, q - 1);
        assert_eq!(solo.heights(), [1], "its first words count");
    }
}

#[test]
fn commits_of_different_views_or_digests_do_not_add_up() {
    for n in [4u16, 7] {
        let mut solo = backup(n);
        let q = solo.craft.quorum() as u16;
        let real = solo.pre_prepare(1, 1, &payload(1));
        let fake = solo.craft.assigned(1, 1, &payload(2));
        let later = solo.craft.assigned(2, 1, &payload(1));
        for node in 1..=q {
            let assigned = [real, fake, later][usize::from(node % 3)];
            let commit = solo.craft.commit(node, assigned);
            solo.deliver(node, commit);
        }
        assert!(solo.heights().is_empty(), "n {n}: q in all");
        for node in (1..=q).filter(|node| node % 3 != 2) {
            assert!(solo.heights().is_empty());
            let commit = solo.craft.commit(node, later);
            solo.deliver(node, commit);
        }
        // A quorum of the later view, though this replica is not in it yet.
        assert_eq!(solo.heights(), [1], "n {n}: commits of any view count");
        assert_eq!(solo.commits[0].proof.0.assigned, later);
    }
}

#[test]
fn no_prepare_before_the_payload_is_held() {
    for n in [4, 7] {
        let mut solo = backup(n);
        let digest = super::super::slot::content(&payload(1));
        let question = super::super::slot::question(crypto::Height(1), &digest);
        solo.withheld.push(question);
        let assigned = solo.pre_prepare(1, 1, &payload(1));
        assert!(solo.said("prepare").is_empty());
        let checked = |held| Input::Checked {
            block: question,
            held,
        };
        solo.input(checked(Err(Refused::Invalid)));
        assert!(solo.said("prepare").is_empty(), "never for an invalid one");
        // A replica that never prepared still commits what q others have prepared.
        solo.prepares(assigned, solo.craft.quorum() - 1);
        assert_eq!(solo.said("commit"), [(1, 1)]);
        assert!(solo.said("prepare").is_empty());
    }
}

#[test]
fn one_payload_in_two_slots_is_asked_about_twice_and_legal() {
    let mut solo = backup(4);
    solo.pre_prepare(1, 1, &payload(1));
    solo.pre_prepare(1, 2, &payload(1));
    assert_eq!(solo.said("prepare"), [(1, 1), (1, 2)]);
}

#[test]
fn several_slots_are_in_flight_and_no_more_than_the_pipeline_holds() {
    for n in [4, 7] {
        let mut solo = primary(n);
        for number in 1..=20 {
            solo.pool = vec![number];
            solo.work();
            solo.pass(Time::millis(2));
        }
        let slots = solo.said("pre_prepare");
        let expected: Vec<_> = (1..=PIPELINE).map(|height| (1, height)).collect();
        assert_eq!(slots, expected);
        assert!(solo.heights().is_empty());
    }
}

#[test]
fn a_primary_leaves_out_what_slots_in_flight_carry() {
    let mut solo = primary(4);
    solo.pool = vec![1, 2];
    solo.work();
    solo.pool = vec![1, 2, 3];
    solo.work();
    solo.pass(Time::millis(2));
    let payloads: Vec<Payload> = solo
        .sent
        .iter()
        .filter_map(|(_, it)| match it {
            Message::PrePrepare(PrePrepare { payload, .. }) => Some((**payload).clone()),
            _ => None,
        })
        .collect();
    let both = crate::testing::batches::payload::<super::super::Pbft>([1, 2]);
    assert_eq!(payloads, [both, payload(3)]);
}

/// A batch that expires before the next height is work, and fits into no slot: unless the height
/// moves on, it stays so, and primaries are given up for it.
#[test]
fn work_that_fits_into_no_slot_moves_the_height_by_null_ones() {
    let mut solo = Solo::start(1, 0);
    solo.work();
    solo.pass(Time::millis(20));
    assert!(solo.heights().len() >= 2, "{:?}", solo.heights());
    assert!(solo.commits.iter().all(|it| it.payload.is_empty()));
    solo.input(Input::Pending { oldest: None });
    solo.pass(Time::millis(20));
    let heights = solo.heights();
    solo.pass(Time::millis(200));
    assert_eq!(solo.heights(), heights, "and no longer than it lasts");
}
