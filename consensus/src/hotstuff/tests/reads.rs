//! The read barrier.

use super::super::Message;
use super::super::message::{ReadAnswer, ReadAsk};
use super::cluster::Cluster;
use super::craft::{Craft, Solo, payload, round_robin};
use crate::common::reads::MAX_READS;
use crate::{Input, ReadId, Retry, To};
use crypto::{Epoch, Height, NodeId, Payload, Reject, Time};
use std::sync::Arc;

fn question(solo: &Solo) -> ReadAsk {
    let ask = |(_, m): &(To, Message)| {
        if let Message::ReadAsk(ask) = m {
            Some(*ask)
        } else {
            None
        }
    };
    solo.sent.iter().rev().find_map(ask).expect("it asks")
}

fn answer(solo: &mut Solo, from: u16, high: &Arc<super::super::QuorumCertificate>) {
    let nonce = question(solo).nonce;
    let answer = ReadAnswer {
        epoch: Epoch(0),
        nonce,
        high: Arc::clone(high),
    };
    solo.deliver(from, Message::ReadAnswer(answer));
}

#[test]
fn a_read_at_any_node_of_an_idle_cluster_is_answered_with_what_was_committed_before() {
    for n in [1, 4, 7] {
        let mut cluster = Cluster::new(n, round_robin(8192));
        for number in 1..=5 {
            cluster.submit(number);
            cluster.run_until(Time::millis(50), "commit", |cluster| cluster.done(0));
            let height = Height(cluster.height(0));
            for i in 0..n {
                let id = ReadId(number * 100 + u64::from(i));
                cluster.input(i, Input::Read { id });
                cluster.run_until(Time::millis(100), "answer", |cluster| {
                    cluster.reads.iter().any(|(_, answered, _)| *answered == id)
                });
                let (_, _, at) = cluster.reads.last().unwrap();
                assert!(at.unwrap() >= height, "{at:?}, committed before: {height}");
            }
        }
        cluster.run(Time::millis(1000));
        let spoken = cluster.spoken();
        cluster.run(Time::millis(10_000));
        assert_eq!(cluster.spoken(), spoken, "idle again");
    }
}

#[test]
fn a_node_that_missed_everything_reads_what_others_committed() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n, round_robin(8192));
        cluster.isolate(n - 1);
        cluster.submit(1);
        cluster.run(Time::millis(50));
        assert!(cluster.done(0) && !cluster.done(n - 1));
        let height = Height(cluster.height(0));
        cluster.input(n - 1, Input::Read { id: ReadId(1) });
        cluster.run(Time::millis(50));
        assert!(cluster.reads.is_empty(), "alone it answers nothing");
        cluster.heal();
        cluster.run_until(Time::millis(1000), "answer", |cluster| {
            !cluster.reads.is_empty()
        });
        assert!(cluster.reads[0].2.unwrap() >= height);
    }
}

#[test]
fn q_answers_with_its_own_and_no_fewer() {
    for n in [4u16, 7] {
        let mut solo = Solo::new(Craft::new(n, round_robin(64)), 0);
        let genesis = solo.craft.genesis();
        solo.input(Input::Read { id: ReadId(1) });
        let others = solo.craft.quorum() as u16 - 1;
        for i in 1..others {
            answer(&mut solo, i, &genesis);
            answer(&mut solo, i, &genesis);
            assert!(solo.reads.is_empty(), "{i} others, one of them twice");
        }
        answer(&mut solo, others, &genesis);
        assert_eq!(solo.reads, [(ReadId(1), Ok(Height(0)))]);
    }
}

#[test]
fn the_highest_certificate_decides_and_its_payload_must_commit_first() {
    let mut solo = Solo::new(Craft::new(4, round_robin(64)), 1);
    let (blocks, certificates) = solo.craft.chain(&[1, 2]);
    blocks.iter().for_each(|block| solo.propose(block));
    solo.input(Input::Read { id: ReadId(1) });
    answer(&mut solo, 2, &certificates[1]);
    answer(&mut solo, 3, &certificates[0]);
    assert!(
        solo.reads.is_empty(),
        "height 2 is certified, not committed"
    );
    let adopted = solo.sent.iter().any(|(to, m)| {
        *to == To::Others
            && matches!(m, Message::Certificate(pair) if pair.quorum == certificates[1])
    });
    assert!(adopted, "all are told");
    let mut justify = Arc::clone(&certificates[1]);
    for view in 3..=5 {
        assert!(solo.reads.is_empty());
        let block = solo.craft.block(view, &justify, Payload::EMPTY);
        justify = solo.craft.certify(&block);
        solo.propose(&block);
    }
    assert_eq!(solo.reads, [(ReadId(1), Ok(Height(2)))]);
}

#[test]
fn an_idle_cluster_finishes_what_a_read_depends_on() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n, round_robin(8192));
        cluster.submit(1);
        // The certificates of the tail reach one node only; then the batch counts as known to none.
        cluster.run_until(Time::millis(50), "certified", |cluster| {
            cluster.view(0) >= 2
        });
        cluster.input(1, Input::Read { id: ReadId(1) });
        cluster.run_until(Time::millis(500), "answer", |cluster| {
            !cluster.reads.is_empty()
        });
        assert!(cluster.reads[0].2.is_ok());
    }
}

#[test]
fn a_certificate_whose_branch_lost_is_replaced_by_the_higher_one() {
    let mut solo = Solo::new(Craft::new(4, round_robin(4)), 2);
    let (blocks, certificates) = solo.craft.chain(&[1, 2]);
    blocks.iter().for_each(|block| solo.propose(block));
    solo.input(Input::Read { id: ReadId(1) });
    answer(&mut solo, 0, &certificates[1]);
    answer(&mut solo, 1, &certificates[0]);
    // The tenure ends among those who never saw the certificate of view 2.
    let high = &certificates[0];
    let entry = solo
        .craft
        .timeout_certificate(0, &[(0, high), (1, high), (3, high)]);
    let (mut justify, mut timeout) = (Arc::clone(high), Some(entry));
    for view in 4..=7 {
        assert!(solo.reads.is_empty());
        let block = solo
            .craft
            .block_after(view, &justify, timeout.take(), payload(view));
        justify = solo.craft.certify(&block);
        solo.propose(&block);
    }
    // Height 2 of the new branch is the highest below the certificate that replaced the lost one.
    assert_eq!(solo.reads, [(ReadId(1), Ok(Height(2)))]);
    assert_eq!(solo.commits[1].payload, payload(4));
}

#[test]
fn answers_to_earlier_questions_do_not_count() {
    let craft = || Craft::new(4, round_robin(64));
    let mut solo = Solo::new(craft(), 1);
    let genesis = solo.craft.genesis();
    solo.input(Input::Read { id: ReadId(1) });
    let old = question(&solo);
    solo.input(Input::Read { id: ReadId(2) });
    assert_eq!(
        question(&solo),
        old,
        "the second waits for the next question"
    );
    answer(&mut solo, 2, &genesis);
    answer(&mut solo, 3, &genesis);
    assert_eq!(solo.reads, [(ReadId(1), Ok(Height(0)))]);
    assert_ne!(question(&solo), old);
    let late = ReadAnswer {
        epoch: Epoch(0),
        nonce: old.nonce,
        high: Arc::clone(&genesis),
    };
    for i in [0, 2, 3] {
        solo.deliver(i, Message::ReadAnswer(late.clone()));
    }
    assert_eq!(solo.reads.len(), 1);
    assert_eq!(solo.rejects, [Reject::Duplicate; 3]);
    // A later life asks with other numbers.
    let mut out = crate::Outputs::default();
    let mut nonces = Vec::new();
    for now in [1, 2] {
        let config = solo.craft.config(1);
        let recover = <super::super::HotStuff as crate::Protocol>::recover;
        let mut replica = recover(config, Time(now), solo.craft.anchor(), Vec::new(), &mut out);
        out.0.clear();
        crate::Protocol::step(
            &mut replica,
            Time(now),
            Input::Read { id: ReadId(1) },
            &mut out,
        );
        let nonce = out.0.iter().find_map(|output| match output {
            crate::Output::Send(_, super::super::Draft(Message::ReadAsk(ask))) => Some(ask.nonce),
            _ => None,
        });
        nonces.push(nonce.unwrap());
    }
    assert_ne!(nonces[0], nonces[1]);
}

#[test]
fn a_read_is_worth_a_word_only_when_its_answers_are_late() {
    let mut solo = Solo::new(Craft::new(4, round_robin(8)), 1);
    solo.input(Input::Read { id: ReadId(1) });
    let waiting = |solo: &Solo| crate::Protocol::status(&solo.replica).waiting;
    assert_eq!(waiting(&solo), None, "all goes well");
    solo.pass(Time::millis(150));
    let said = waiting(&solo).unwrap();
    assert!(said.contains("1 reads: 1 of 3 answers"), "{said}");
}

#[test]
fn without_a_quorum_a_read_fails_in_bounded_time_and_too_many_are_refused() {
    let mut cluster = Cluster::new(4, round_robin(8));
    cluster.crash(1);
    cluster.crash(2);
    cluster.input(0, Input::Read { id: ReadId(1) });
    cluster.run(Time::millis(11_000));
    assert_eq!(
        cluster.reads,
        [(NodeId(0), ReadId(1), Err(Retry::NoQuorum))]
    );
    assert!(
        !cluster.sent.contains_key("timeout"),
        "missing answers depose no leader"
    );
    let mut solo = Solo::new(Craft::new(4, round_robin(8)), 1);
    for id in 0..=MAX_READS as u64 {
        solo.input(Input::Read { id: ReadId(id) });
    }
    assert_eq!(solo.reads, [(ReadId(MAX_READS as u64), Err(Retry::Full))]);
}
