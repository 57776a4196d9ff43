//! Crash and restart: nothing is promised twice, nothing promised is lost, nothing stalls.

use super::super::message::CertificatePair;
use super::super::{Message, Record};
use super::cluster::Cluster;
use super::craft::{Craft, Solo, payload, round_robin};
use crate::testing::crashes;
use crate::{Anchor, Input, To};
use crypto::{NodeId, Payload, Time, View};
use std::sync::Arc;

#[test]
fn the_last_vote_survives_and_is_sent_again() {
    let mut solo = Solo::new(Craft::new(4, round_robin(8)), 1);
    let (blocks, _) = solo.craft.chain(&[1, 2, 3]);
    blocks.iter().for_each(|block| solo.propose(block));
    let vote = solo.craft.vote(1, &blocks[2]);
    let locked = Arc::clone(&solo.replica.locked);
    let mut solo = solo.restart();
    assert_eq!(solo.view(), 3);
    assert_eq!(solo.replica.locked, locked);
    assert!(
        solo.sent
            .contains(&(To::One(NodeId(0)), Message::Vote(vote)))
    );
    let genesis = solo.craft.genesis();
    let other = solo.craft.block(1, &genesis, payload(9));
    let fork = solo.craft.certify(&other);
    let other = solo.craft.block(2, &fork, payload(10));
    solo.propose(&other);
    assert_eq!(solo.voted(), [3], "none for an older view");
    let three = solo
        .craft
        .block(3, &solo.craft.certify(&other), payload(11));
    solo.propose(&three);
    assert_eq!(solo.voted(), [3], "none for another block of the view");
}

#[test]
fn the_view_is_restored_from_a_timeout_certificate_too() {
    let mut solo = Solo::new(Craft::new(4, round_robin(4)), 3);
    let (blocks, certificates) = solo.craft.chain(&[1, 2]);
    blocks.iter().for_each(|block| solo.propose(block));
    let high = &certificates[1];
    let entry = solo
        .craft
        .timeout_certificate(0, &[(0, high), (1, high), (2, high)]);
    let pair = CertificatePair {
        quorum: Arc::clone(high),
        timeout: Some(Arc::clone(&entry)),
    };
    solo.deliver(1, Message::Certificate(pair));
    assert_eq!(solo.view(), 4);
    let mut solo = solo.restart();
    assert_eq!(solo.view(), 4);
    // Entered by a proposal: the vote's record tells.
    let four = solo.craft.block_after(4, high, Some(entry), payload(4));
    solo.propose(&four);
    solo.records
        .retain(|record| !matches!(record, Record::Progress(_)));
    let solo = solo.restart();
    assert_eq!(solo.view(), 4);
    assert_eq!(solo.voted(), [4]);
}

#[test]
fn a_timeout_survives_and_still_bars_votes() {
    let mut solo = Solo::new(Craft::new(4, round_robin(8)), 2);
    let (blocks, _) = solo.craft.chain(&[1, 2]);
    solo.propose(&blocks[0]);
    solo.input(Input::Pending {
        oldest: Some(Time(0)),
    });
    solo.pass(Time::millis(400));
    let mut solo = solo.restart();
    assert_eq!(solo.gave_up(), [0], "sent again");
    solo.propose(&blocks[1]);
    assert_eq!(solo.voted(), [1]);
}

#[test]
fn a_proposer_does_not_equivocate_after_a_restart() {
    let mut solo = Solo::new(Craft::new(4, round_robin(8)), 0);
    solo.pool.push(1);
    solo.input(Input::Pending {
        oldest: Some(Time(0)),
    });
    let first = solo.proposed();
    assert_eq!(first.len(), 1);
    let mut solo = solo.restart();
    solo.pool = vec![2];
    solo.input(Input::Pending {
        oldest: Some(Time(0)),
    });
    assert!(solo.proposed().is_empty(), "no second block of the view");
    let again = solo.sent.iter().find_map(|(to, message)| match message {
        Message::Proposal(p) if *to == To::Others => Some(Arc::clone(&p.block)),
        _ => None,
    });
    assert_eq!(again.as_ref(), Some(&first[0]), "the first one again");
    for i in [1, 2] {
        let vote = solo.craft.vote(i, &first[0]);
        solo.deliver(i, Message::Vote(vote));
    }
    assert_eq!(solo.view(), 2, "the own vote counts again");
    assert_eq!(solo.proposed().len(), 1, "and the next view is free");
}

#[test]
fn commits_above_the_anchor_are_derived_again() {
    let mut solo = Solo::new(Craft::new(4, round_robin(64)), 1);
    let (blocks, certificates) = solo.craft.chain(&[1, 2, 3, 4, 5]);
    blocks.iter().for_each(|block| solo.propose(block));
    solo.certificate(0, &certificates[4]);
    assert_eq!(solo.heights(), [1, 2, 3]);
    let (history, proof) = (solo.commits[2].history, solo.commits[0].proof.clone());
    let first = solo.commits[0].clone();
    // The last two commits were not stored; block 1's was.
    let anchor = Anchor {
        height: first.height,
        history: first.history,
        proof: Some(proof),
        ..solo.craft.anchor()
    };
    let solo = Solo::recover(solo.craft, 1, Time(0), anchor, solo.records);
    assert_eq!(solo.heights(), [2, 3]);
    assert_eq!(solo.commits[1].history, history);
    assert_eq!(solo.replica.high.view, View(5));
}

#[test]
fn a_restart_from_every_prefix_of_the_records_keeps_to_the_promises() {
    // Records become durable in the order in which they were made; a crash cuts the list anywhere.
    let craft = || Craft::new(4, round_robin(64));
    let (blocks, certificates) = craft().chain(&[1, 2, 3, 4]);
    let mut prefixes: Vec<(Vec<u64>, Vec<Record>)> = Vec::new();
    let mut solo = Solo::new(craft(), 1);
    for block in &blocks {
        solo.propose(block);
        prefixes.push((solo.voted(), solo.records.clone()));
    }
    for (voted, records) in prefixes {
        let mut solo = Solo::recover(craft(), 1, Time(0), craft().anchor(), records);
        let last = *voted.last().unwrap();
        assert_eq!(solo.voted(), [last]);
        let fork = solo
            .craft
            .block(last, &blocks[last as usize - 1].header.justify, payload(77));
        solo.propose(&fork);
        assert_eq!(solo.voted(), [last]);
        let next = solo
            .craft
            .block(last + 1, &certificates[last as usize - 1], Payload::EMPTY);
        solo.propose(&next);
        assert_eq!(solo.voted(), [last, last + 1]);
    }
}

/// Own votes come back through the fence and are counted again, so nothing stalls.
#[test]
fn all_crash_at_every_point_and_go_on() {
    for n in [4, 7] {
        for tenure in [1, 4, 8192] {
            let craft = Craft::new(n, round_robin(tenure));
            crashes::of_all_at_every_sync(&craft, Time(700_000));
        }
    }
}

#[test]
fn one_crashes_between_every_two_syncs_under_load() {
    crashes::of_one_between_syncs(|| Cluster::new(4, round_robin(8)));
}

#[test]
fn what_was_committed_is_committed_after_all_lost_power() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n, round_robin(8192));
        (1..=8).for_each(|number| cluster.submit(number));
        cluster.run_until(Time::millis(100), "commit", Cluster::all_done);
        let height = (0..n).map(|i| cluster.height(i)).max().unwrap();
        (0..n).for_each(|i| cluster.crash(i));
        (0..n).for_each(|i| cluster.start(i));
        cluster.run(Time::millis(2000));
        // Agreement with what was committed before is checked at every commit.
        assert!((0..n).all(|i| cluster.height(i) >= height.saturating_sub(1)));
        cluster.submit(99);
        cluster.run_until(Time::millis(2000), "progress", Cluster::all_done);
    }
}

/// Found by fuzzing what is stored: it would be signed again, and the shell signs for its epoch only.
#[test]
fn a_record_of_another_epoch_is_told_before_the_start() {
    use crate::Protocol as _;
    use crypto::Epoch;
    let craft = Craft::new(4, round_robin(4));
    let (blocks, certificates) = craft.chain(&[1]);
    let mut timeout = craft.timeout(0, 0, &certificates[0], None);
    let mut block = (*blocks[0]).clone();
    let records = [
        Record::Block(Arc::new(block.clone())),
        Record::Timeout(Box::new(timeout.clone())),
    ];
    let check = |records: &[Record]| super::super::HotStuff::check_stored(&craft.anchor(), records);
    assert_eq!(check(&records), Ok(()));
    (block.header.epoch, timeout.epoch) = (Epoch(1), Epoch(1));
    let others = [
        Record::Block(Arc::new(block)),
        Record::Timeout(Box::new(timeout)),
    ];
    for other in others {
        let why = check(&[other]).unwrap_err();
        assert!(why.contains("epoch 1, the epoch is 0"), "{why}");
    }
}

/// What is stored may be far ahead of the state that was flushed, at all nodes alike. Were it left out
/// of the tree, nobody could propose above the certificate that all of them know.
#[test]
fn stored_blocks_are_held_again_however_far_execution_is_behind() {
    let mut craft = Craft::new(4, round_robin(64));
    craft.execution_lag = 1;
    let mut solo = Solo::new(craft, 1);
    let views: Vec<u64> = (1..=12).collect();
    let (blocks, certificates) = solo.craft.chain(&views);
    for (block, certificate) in blocks.iter().zip(&certificates) {
        solo.propose(block);
        solo.certificate(2, certificate);
        let height = solo.replica.log.committed();
        solo.input(Input::Executed {
            height,
            state: crypto::Digest::ZERO,
        });
    }
    let last = solo.commits.last().unwrap().clone();
    assert_eq!(last.height.0, 10);
    let anchor = Anchor {
        height: last.height,
        history: last.history,
        proof: Some(last.proof),
        ..solo.craft.anchor()
    };
    let solo = Solo::recover(solo.craft, 1, Time(0), anchor, solo.records);
    assert!(solo.replica.log.holds(&solo.replica.high.block));
    assert_eq!(solo.replica.high.height.0, 12);
}
