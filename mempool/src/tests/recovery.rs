//! A restart.

use super::*;
use crate::Remembered;

fn own(number: u64, sequence: u64) -> SealedBatch {
    let transactions = vec![transaction(1, sequence, 10)];
    Batch {
        author: ME,
        number,
        expires: Height(60),
        transactions,
    }
    .seal()
}

fn restarted(batches: &[&SealedBatch], committed: &[&SealedBatch], number: u64) -> Rig {
    let mut remembered = Remembered::default();
    for sealed in committed {
        remembered.insert(&Rig::config(), sealed.reference());
    }
    let recovered = Recovered {
        height: Height(10),
        number,
        batches: batches.iter().map(|b| (*b).clone()).collect(),
        committed: remembered,
        ..Recovered::default()
    };
    Rig::recovered(|_| {}, recovered)
}

#[test]
fn recovered_batches_wait_again() {
    let (mine, theirs) = (own(7, 1), batch(1, 3));
    let mut rig = restarted(&[&theirs, &mine], &[], 7);
    let out = rig.step(Input::Tick);
    assert_eq!(
        out,
        vec![Output::Pending {
            oldest: Some(rig.now)
        }]
    );
    assert_eq!(
        offers(&rig.step(Input::Connected(NodeId(2)))),
        vec![(2, mine.reference())]
    );
    assert_eq!(offers(&rig.step(Input::Leader(NodeId(3)))).len(), 2);
    rig.step(Input::Leader(ME));
    assert_eq!(rig.want(8_000, &[]).len(), 2);
    let out = rig.check(1, 11, refs(&[&mine, &theirs]));
    assert!(out.contains(&Output::Checked {
        block: block(1),
        held: Ok(())
    }));
}

#[test]
fn recovered_batches_are_not_written_or_sent_again_unasked() {
    let mut rig = restarted(&[&own(7, 1), &batch(1, 3)], &[], 7);
    let out = rig.pass(60_000);
    // By name they are, as whatever nobody orders.
    let by_name = offers(&out).len();
    assert_eq!(by_name % 2, 0, "both, each time");
    let pending = |o: &&Output| matches!(o, Output::Pending { .. });
    let names = |o: &&Output| !offers(std::slice::from_ref(*o)).is_empty();
    assert!(out.iter().all(|o| pending(&o) || names(&o)), "{out:?}");
}

#[test]
fn recovered_batches_may_be_over_every_quota() {
    let many: Vec<SealedBatch> = (1..=20).map(|number| batch(1, number)).collect();
    let mut rig = restarted(&many.iter().collect::<Vec<_>>(), &[], 0);
    let payload = refs(&[&many[0], &many[7], &many[10]]);
    let out = rig.check(1, 11, payload);
    assert!(out.contains(&Output::Checked {
        block: block(1),
        held: Ok(())
    }));
    assert!(rig.pool.stats().memory <= 16_000 + 8_000);
}

/// They stay, since votes may rely on them; but what is told apart of their transactions has a cap, as
/// if clients had just sent them.
#[test]
fn transactions_of_recovered_batches_fill_the_pool_and_no_more() {
    let many: Vec<SealedBatch> = (1..=20).map(|number| own(number, number)).collect();
    let bytes = transaction(1, 1, 10).encoded_len();
    let recovered = Recovered {
        height: Height(10),
        number: 20,
        batches: many.clone(),
        ..Recovered::default()
    };
    for (transactions, pool_bytes) in [(5, usize::MAX), (usize::MAX, 5 * bytes + bytes / 2)] {
        let change = |config: &mut Config| {
            (config.pool_transactions, config.pool_bytes) = (transactions, pool_bytes);
        };
        let rig = Rig::recovered(change, recovered.clone());
        assert_eq!(rig.pool.stats().transactions, 5);
        assert_eq!(rig.pool.stats().batches, 20);
    }
}

/// It stays in the store, since votes may rely on it, but not for ever; and what is committed stays.
#[test]
fn what_was_trimmed_is_dropped_once_it_has_expired() {
    let many: Vec<SealedBatch> = (1..=40).map(|number| batch(1, number)).collect();
    let names = (41..=50)
        .map(|number| batch(1, number).reference())
        .collect();
    let recovered = Recovered {
        height: Height(10),
        batches: many.clone(),
        names,
        ..Recovered::default()
    };
    let mut rig = Rig::recovered(|_| {}, recovered);
    assert_eq!(rig.pool.stats().batches, 8 + 16);
    rig.commit(refs(&[&many[0], &many[10]])); // held, and trimmed
    let mut dropped = Vec::new();
    while rig.height < Height(50) {
        dropped.extend(
            rig.commit(Payload::EMPTY)
                .into_iter()
                .filter_map(|it| match it {
                    Output::Drop { digest, committed } => Some((digest, committed)),
                    _ => None,
                }),
        );
    }
    let kept = dropped.iter().filter(|it| it.1).map(|it| it.0);
    assert_eq!(kept.collect::<Vec<_>>(), [many[10].reference().digest]);
    assert_eq!(dropped.len(), 49);
    assert_eq!(rig.pool.stats().batches, 0);
}

#[test]
fn numbers_go_on() {
    let mut rig = restarted(&[], &[], 7);
    assert_eq!(spread(&rig.submit(1, 1, 10))[0].number, 8);
}

#[test]
fn a_repeat_of_a_recovered_transaction_is_not_doubled() {
    let mut rig = restarted(&[&own(7, 1)], &[], 7);
    assert_eq!(spread(&rig.submit(1, 1, 10)).len(), 0);
    assert_eq!(spread(&rig.pass(10)).len(), 0);
    assert_eq!(rig.pool.stats().transactions, 1);
    rig.commit(refs(&[&own(7, 1)]));
    assert_eq!(rig.pool.stats().transactions, 0);
}

#[test]
fn what_was_committed_is_remembered() {
    let old = batch(1, 1);
    let mut rig = restarted(&[&old], &[&old], 0);
    rig.push(&old);
    assert_eq!(rig.want(8_000, &[]), vec![]);
}

#[test]
fn heights_above_the_recovered_one_are_committed_again() {
    let (held, lost) = (batch(1, 1), batch(1, 2));
    let mut rig = restarted(&[&held], &[], 0);
    let out = rig.commit(refs(&[&held]));
    assert!(out.contains(&Output::Available { height: Height(11) }));
    let out = rig.commit(refs(&[&lost]));
    assert!(out.contains(&Output::Load(lost.reference().digest)));
}

#[test]
fn an_own_batch_that_was_lost_here_and_not_elsewhere_is_not_made_twice() {
    // Made, sent, and lost with the power; a peer's offer brings it back.
    let mut before = restarted(&[], &[], 7);
    let lost = spread(&before.submit(1, 1, 10))[0].clone().seal();
    let mut rig = restarted(&[], &[], 7);
    rig.step(Input::Idle(false));
    rig.submit(1, 1, 10);
    rig.receive(2, Message::Offer(vec![lost.reference()]));
    rig.answer(2, &[&lost]);
    let again = spread(&rig.pass(10))[0].clone().seal();
    assert_eq!(lost.batch().transactions, again.batch().transactions);
    assert_ne!(lost.reference().digest, again.reference().digest);
}

/// It is known by its name only, or not at all any more; its clients have their answers all the same.
#[test]
fn a_commit_frees_the_clients_of_an_own_batch_that_is_not_in_memory() {
    let many: Vec<SealedBatch> = (1..=40).map(|number| own(number, number)).collect();
    let recovered = Recovered {
        height: Height(10),
        number: 40,
        batches: many.clone(),
        ..Recovered::default()
    };
    let mut rig = Rig::recovered(|config| config.extra_bytes = 1_000, recovered);
    assert_eq!(rig.pool.stats().transactions, 40);
    assert_eq!(rig.pool.stats().batches, 8 + 16, "the others are let go");
    for (i, sealed) in many.iter().enumerate() {
        rig.commit(refs(&[sealed]));
        assert_eq!(rig.pool.stats().transactions, 39 - i);
    }
}
