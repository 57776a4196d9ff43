//! The read barrier.

use super::super::message::{Reached, ReadAnswer, ReadAsk};
use super::super::{Message, Pbft};
use super::cluster::Cluster;
use super::craft::{Craft, EVERY, Solo, payload};
use crate::common::reads::MAX_READS;
use crate::{Input, ReadId, Retry, To};
use crypto::{Epoch, Height, NodeId, Reject, Time};

fn question(solo: &Solo) -> ReadAsk {
    let ask = |(_, it): &(To, Message)| match it {
        Message::ReadAsk(ask) => Some(*ask),
        _ => None,
    };
    solo.sent.iter().rev().find_map(ask).expect("it asks")
}

fn answer(solo: &mut Solo, from: u16, reached: Reached) {
    let nonce = question(solo).nonce;
    let epoch = Epoch(0);
    let it = ReadAnswer {
        epoch,
        nonce,
        reached,
    };
    solo.deliver(from, Message::ReadAnswer(it));
}

fn asked(solo: &mut Solo) -> Reached {
    solo.sent.clear();
    let (epoch, nonce) = (Epoch(0), 77);
    solo.deliver(3, Message::ReadAsk(ReadAsk { epoch, nonce }));
    let said = solo.sent.iter().find_map(|(_, it)| match it {
        Message::ReadAnswer(it) if it.nonce == nonce => Some(it.reached.clone()),
        _ => None,
    });
    said.expect("it answers")
}

#[test]
fn a_read_at_any_node_of_an_idle_cluster_is_answered_with_what_was_committed_before() {
    for n in [1, 4, 7] {
        let mut cluster = Cluster::new(n);
        for number in 1..=5 {
            cluster.submit(number);
            cluster.run_until(Time::millis(50), "commit", |it| it.done(0));
            for i in 0..n {
                let id = number * 100 + u64::from(i);
                cluster.read(i, id);
                let answered = |it: &Cluster| it.answer(id).is_some();
                cluster.run_until(Time::millis(100), "answer", answered);
                assert!(cluster.answer(id).unwrap().unwrap() >= Height(number));
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
        let mut cluster = Cluster::new(n);
        cluster.isolate(3);
        cluster.submit(1);
        cluster.run(Time::millis(50));
        let height = Height(cluster.height(0));
        cluster.read(3, 1);
        cluster.run(Time::millis(50));
        assert!(cluster.reads.is_empty(), "alone it answers nothing");
        cluster.heal();
        let answered = |it: &Cluster| it.answer(1).is_some();
        cluster.run_until(Time::millis(1000), "answer", answered);
        assert!(cluster.answer(1).unwrap().unwrap() >= height);
    }
}

#[test]
fn q_answers_with_its_own_and_no_fewer() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        solo.input(Input::Read { id: ReadId(1) });
        let others = solo.craft.quorum() as u16 - 1;
        for i in 1..others {
            answer(&mut solo, i, Reached::Nothing);
            answer(&mut solo, i, Reached::Nothing);
            assert!(solo.reads.is_empty(), "{i} others, one of them twice");
        }
        answer(&mut solo, others, Reached::Nothing);
        assert_eq!(solo.reads, [(ReadId(1), Ok(Height(0)))]);
    }
}

#[test]
fn an_answer_names_the_highest_slot_that_may_be_committed() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let q = solo.craft.quorum();
        assert_eq!(asked(&mut solo), Reached::Nothing);
        solo.order(1, 1, 1);
        assert_eq!(asked(&mut solo).height(), Height(1));
        let third = solo.pre_prepare(1, 3, &payload(3));
        assert_eq!(asked(&mut solo).height(), Height(1), "accepted is nothing");
        solo.prepares(third, q - 2);
        let Reached::Prepared(it) = asked(&mut solo) else {
            panic!("prepared")
        };
        assert_eq!(it.assigned, third);
        let stable = solo.craft.stable(EVERY);
        solo.checkpoint(Some(stable));
        assert_eq!(asked(&mut solo).height(), Height(EVERY));
    }
}

#[test]
fn the_highest_slot_of_q_answers_has_to_be_committed_first() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let q = solo.craft.quorum() as u16;
        for height in 1..=2 {
            solo.pre_prepare(1, height, &payload(height));
        }
        solo.input(Input::Read { id: ReadId(1) });
        let prepared = Reached::Prepared(solo.craft.prepared_at(1, 2, 2));
        answer(&mut solo, 1, prepared.clone());
        for node in 2..q {
            answer(&mut solo, node, Reached::Nothing);
        }
        assert!(solo.reads.is_empty(), "slot 2 is prepared, not committed");
        let told = (To::Others, Message::Certificate(prepared));
        assert!(solo.sent.contains(&told), "all are told");
        for height in 1..=2 {
            assert!(solo.reads.is_empty());
            let assigned = solo.craft.assigned(1, height, &payload(height));
            solo.commits(assigned, q as usize);
        }
        assert_eq!(solo.reads, [(ReadId(1), Ok(Height(2)))]);
    }
}

#[test]
fn an_idle_cluster_finishes_what_a_read_depends_on() {
    for n in [4, 7] {
        // Slot 1 is prepared at node 0 alone; nobody has commits, and the pools forget it.
        let mut cluster = Cluster::new(n);
        cluster.filter = Some(Box::new(|_, to, it| {
            matches!(it, Message::Commit(_)) || matches!(it, Message::Prepare(_)) && to != NodeId(0)
        }));
        cluster.submit(1);
        cluster.run(Time::millis(5));
        assert!(
            matches!(cluster.protocol(0).log.get(Height(1)), Some(it) if it.prepared.is_some())
        );
        cluster.filter = None;
        cluster.read(2, 1);
        let answered = |it: &Cluster| it.answer(1).is_some();
        cluster.run_until(Time::millis(3_000), "answer", answered);
        assert_eq!(cluster.answer(1), Some(Ok(Height(1))));
    }
}

/// A certificate that a newer view does not reach may never lead to a commit: whoever waits for it
/// would wait for ever.
#[test]
fn an_orphaned_certificate_is_dropped_on_a_newer_view_and_the_question_asked_again() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let q = solo.craft.quorum() as u16;
        solo.order(1, 1, 1);
        solo.input(Input::Read { id: ReadId(1) });
        let first = question(&solo);
        let orphan = Reached::Prepared(solo.craft.prepared_at(1, 5, 5));
        for node in 1..q {
            answer(&mut solo, node, orphan.clone());
        }
        assert!(solo.reads.is_empty());
        let prepared = solo.replica.log.get(Height(1)).unwrap().prepared.clone();
        let opened = solo.craft.opened(2, 0, &[prepared.unwrap()]);
        solo.deliver(2, Message::Opened(opened));
        assert_ne!(question(&solo), first, "asked again");
        // Its own certificate is an orphan as well, and it names it no more.
        assert_eq!(asked(&mut solo).height(), Height(1));
        solo.pass(Time::millis(150));
        for node in 1..q {
            answer(&mut solo, node, orphan.clone());
        }
        assert!(solo.reads.is_empty(), "who still names it does not count");
        for node in 1..q {
            let one = solo.craft.committed(solo.craft.assigned(1, 1, &payload(1)));
            answer(&mut solo, node, Reached::Committed(one));
        }
        assert_eq!(solo.reads, [(ReadId(1), Ok(Height(1)))]);
    }
}

#[test]
fn a_certificate_by_another_than_the_primary_is_no_answer() {
    let mut solo = Solo::start(4, 0);
    solo.input(Input::Read { id: ReadId(1) });
    let mut it = (*solo.craft.prepared_at(1, 5, 5)).clone();
    // Signed as a pre-prepare by node 3, who does not lead view 1.
    let assigned = it.assigned;
    let said = super::super::certificate::phase_statement;
    it.primary = NodeId(3);
    let signed = [0u16, 2, 3].map(|node| {
        let kind = [crypto::Kind::Prepare, crypto::Kind::PrePrepare][usize::from(node == 3)];
        let statement = said(kind, Epoch(0), &assigned);
        (NodeId(node), solo.craft.sign(node, &statement))
    });
    it.certificate = crypto::Certificate::collect(signed);
    let forged = Reached::Prepared(std::sync::Arc::new(it));
    answer(&mut solo, 3, forged);
    assert_eq!(solo.rejects, [Reject::NotLeader]);
    answer(&mut solo, 1, Reached::Nothing);
    assert!(solo.reads.is_empty());
    answer(&mut solo, 2, Reached::Nothing);
    assert_eq!(solo.reads, [(ReadId(1), Ok(Height(0)))]);
}

#[test]
fn slots_that_a_new_view_carries_over_are_waited_for() {
    let mut solo = Solo::start(4, 0);
    let prepared = [1, 2].map(|height| solo.craft.prepared_at(1, height, height));
    let opened = solo.craft.opened(2, 0, &prepared);
    solo.deliver(2, Message::Opened(opened));
    solo.input(Input::Read { id: ReadId(1) });
    answer(&mut solo, 1, Reached::Nothing);
    answer(&mut solo, 2, Reached::Nothing);
    assert!(solo.reads.is_empty());
    solo.order(2, 1, 1);
    solo.order(2, 2, 2);
    assert_eq!(solo.reads, [(ReadId(1), Ok(Height(2)))]);
}

#[test]
fn answers_to_earlier_questions_do_not_count() {
    let mut solo = Solo::start(4, 1);
    solo.input(Input::Read { id: ReadId(1) });
    let old = question(&solo);
    solo.input(Input::Read { id: ReadId(2) });
    assert_eq!(
        question(&solo),
        old,
        "the second waits for the next question"
    );
    answer(&mut solo, 2, Reached::Nothing);
    answer(&mut solo, 3, Reached::Nothing);
    assert_eq!(solo.reads, [(ReadId(1), Ok(Height(0)))]);
    assert_ne!(question(&solo), old);
    for i in [0, 2, 3] {
        let late = ReadAnswer {
            epoch: Epoch(0),
            nonce: old.nonce,
            reached: Reached::Nothing,
        };
        solo.deliver(i, Message::ReadAnswer(late));
    }
    assert_eq!(solo.reads.len(), 1);
    assert_eq!(solo.rejects, [Reject::Duplicate; 3]);
    // A later life asks with other numbers.
    let nonce = |now: Time| {
        let craft = Craft::new(4);
        let anchor = craft.anchor();
        let mut solo = crate::testing::Solo::<Pbft>::recover(craft, 1, now, anchor, Vec::new());
        solo.input(Input::Read { id: ReadId(1) });
        question(&solo).nonce
    };
    assert_ne!(nonce(Time(1)), nonce(Time(2)));
}

#[test]
fn a_read_is_worth_a_word_only_when_its_answers_are_late() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        solo.input(Input::Read { id: ReadId(1) });
        let waiting = |solo: &Solo| crate::Protocol::status(&solo.replica).waiting;
        assert_eq!(waiting(&solo), None, "n {n}: all goes well");
        solo.pass(Time::millis(150));
        let said = waiting(&solo).unwrap();
        assert!(said.contains("1 reads: 1 of"), "{said}");
    }
}

#[test]
fn without_a_quorum_a_read_fails_in_bounded_time_and_too_many_are_refused() {
    let mut cluster = Cluster::new(4);
    cluster.crash(1);
    cluster.crash(2);
    cluster.read(0, 1);
    cluster.run(Time::millis(11_000));
    assert_eq!(cluster.answer(1), Some(Err(Retry::NoQuorum)));
    assert!(
        !cluster.sent.contains_key("view_change"),
        "it deposes nobody"
    );
    let mut solo = Solo::start(4, 1);
    for id in 0..=MAX_READS as u64 {
        solo.input(Input::Read { id: ReadId(id) });
    }
    assert_eq!(solo.reads, [(ReadId(MAX_READS as u64), Err(Retry::Full))]);
}
