//! From clients' transactions to own batches.

use super::*;
use crate::{Dissemination, Refusal};

fn busy() -> Rig {
    let mut rig = Rig::new();
    rig.step(Input::Idle(false));
    rig
}

fn refusal(out: &[Output]) -> Option<Refusal> {
    out.iter().find_map(|o| match o {
        Output::Refused { refusal, .. } => Some(*refusal),
        _ => None,
    })
}

#[test]
fn a_batch_closes_at_once_when_idle() {
    let mut rig = Rig::new();
    let batches = spread(&rig.submit(1, 1, 10));
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].transactions, vec![transaction(1, 1, 10)]);
    assert_eq!(
        (batches[0].author, batches[0].number, batches[0].expires),
        (ME, 1, Height(100))
    );
}

#[test]
fn an_own_batch_under_way_is_not_idle() {
    let mut rig = Rig::new();
    rig.submit(1, 1, 10);
    assert_eq!(spread(&rig.submit(1, 2, 10)).len(), 0);
    assert_eq!(spread(&rig.submit(1, 3, 10)).len(), 0);
    assert_eq!(spread(&rig.pass(2))[0].transactions.len(), 2);
}

#[test]
fn a_batch_closes_by_time() {
    let mut rig = busy();
    rig.submit(1, 1, 10);
    assert_eq!(
        rig.pool.deadline(),
        Some(rig.now.plus(rig.pool.config.batch_delay))
    );
    rig.now = rig.now.plus(Time(rig.pool.config.batch_delay.0 - 1));
    assert_eq!(spread(&rig.step(Input::Tick)).len(), 0);
    rig.now = rig.now.plus(Time(1));
    assert_eq!(spread(&rig.step(Input::Tick)).len(), 1);
}

#[test]
fn a_batch_closes_by_bytes() {
    let mut rig = busy();
    for sequence in 1..4 {
        assert_eq!(spread(&rig.submit(1, sequence, 1_000)).len(), 0);
    }
    // 3 * 1,154 bytes and the overhead fit, 4 do not.
    let batches = spread(&rig.submit(1, 4, 1_000));
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].transactions.len(), 3);
    assert!(batches[0].clone().seal().bytes().len() <= 4_000);
}

#[test]
fn a_batch_closes_by_count() {
    let mut rig = busy();
    for sequence in 1..16 {
        assert_eq!(spread(&rig.submit(1, sequence, 1)).len(), 0);
    }
    assert_eq!(spread(&rig.submit(1, 16, 1))[0].transactions.len(), 16);
}

#[test]
fn a_batch_closes_when_the_leader_asks() {
    let mut rig = busy();
    rig.submit(1, 1, 10);
    let refs = rig.want(8_000, &[]);
    assert_eq!(refs.len(), 1);
    assert_eq!(refs[0].author, ME);
}

#[test]
fn a_batch_is_stored_before_it_is_sent() {
    let mut rig = Rig::new();
    let out = rig.submit(1, 1, 10);
    let store = out
        .iter()
        .position(|o| matches!(o, Output::Store { .. }))
        .unwrap();
    let send = out
        .iter()
        .position(|o| matches!(o, Output::Send { .. }))
        .unwrap();
    assert!(store < send);
}

#[test]
fn one_spammer_does_not_starve_another_client() {
    let mut rig = busy();
    for sequence in 1..=15 {
        rig.submit(1, sequence, 200);
    }
    for sequence in 1..=2 {
        rig.submit(2, sequence, 200);
    }
    let first = &spread(&rig.pass(2))[0];
    // 11 fit; the other client's are among the first four drawn.
    let of = |who| {
        first
            .transactions
            .iter()
            .take(4)
            .filter(|t| t.client == client(who))
            .count()
    };
    assert_eq!((of(1), of(2)), (2, 2));
}

#[test]
fn a_clients_order_is_kept() {
    let mut rig = busy();
    for sequence in [3, 1, 2, 9, 4] {
        rig.submit(1, sequence, 10);
    }
    let sequences: Vec<u64> = spread(&rig.pass(2))[0]
        .transactions
        .iter()
        .map(|t| t.sequence)
        .collect();
    assert_eq!(sequences, vec![3, 1, 2, 9, 4]);
}

#[test]
fn a_repeat_is_accepted_and_ordered_once() {
    let mut rig = busy();
    for _ in 0..3 {
        assert_eq!(rig.submit(1, 1, 10), vec![Output::Accepted { request: 1 }]);
    }
    assert_eq!(spread(&rig.pass(2))[0].transactions.len(), 1);
    // In a batch that is not ordered yet, it is still known.
    assert_eq!(rig.submit(1, 1, 10), vec![Output::Accepted { request: 1 }]);
    assert_eq!(spread(&rig.pass(10)).len(), 0);
    assert_eq!(rig.pool.stats().transactions, 1);
}

#[test]
fn a_used_sequence_is_refused_to_a_different_transaction() {
    let mut rig = Rig::new();
    rig.submit(1, 1, 10);
    assert_eq!(refusal(&rig.submit(1, 1, 11)), Some(Refusal::SequenceUsed));
    assert_eq!(refusal(&rig.submit(2, 1, 11)), None);
}

#[test]
fn what_expired_or_expires_too_far_ahead_is_refused() {
    let mut rig = Rig::new();
    for _ in 0..10 {
        rig.commit(Payload::EMPTY);
    }
    for (expires, taken) in [
        (9, false),
        (10, false),
        (11, true),
        (110, true),
        (111, false),
    ] {
        let mut t = transaction(1, expires, 10);
        t.expires = Height(expires);
        sign(&mut t);
        let expected = (!taken).then_some(Refusal::Expired { height: Height(10) });
        assert_eq!(refusal(&rig.submit_it(t)), expected, "expires at {expires}");
    }
}

#[test]
fn an_expired_transaction_leaves_the_pool() {
    let mut rig = Rig::with(|c| c.batch_delay = Time::millis(1_000_000));
    rig.step(Input::Idle(false));
    rig.submit(1, 1, 10);
    for height in 1..=49 {
        rig.commit(Payload::EMPTY);
        assert_eq!(rig.pool.stats().transactions, 1, "at {height}");
    }
    rig.commit(Payload::EMPTY);
    let stats = rig.pool.stats();
    assert_eq!(
        (stats.transactions, stats.transaction_bytes, stats.clients),
        (0, 0, 0)
    );
    assert_eq!(rig.want(8_000, &[]), vec![]);
}

#[test]
fn a_client_has_a_share_of_the_pool() {
    let mut rig = Rig::with(|c| c.client_transactions = 3);
    for sequence in 1..=3 {
        assert_eq!(refusal(&rig.submit(1, sequence, 10)), None);
    }
    let what = "the client's share of the pool";
    let full = Refusal::Full {
        what,
        retry_after: Time::millis(100),
    };
    assert_eq!(refusal(&rig.submit(1, 4, 10)), Some(full));
    assert_eq!(
        refusal(&rig.submit(1, 3, 10)),
        None,
        "a repeat needs no room"
    );
    assert_eq!(refusal(&rig.submit(2, 1, 10)), None, "others have theirs");
}

#[test]
fn the_pool_is_capped_by_count_and_by_bytes() {
    let full = Some(Refusal::Full {
        what: "the pool",
        retry_after: Time::millis(100),
    });
    let mut rig = Rig::with(|c| c.pool_transactions = 3);
    for who in 1..=3 {
        assert_eq!(refusal(&rig.submit(who, 1, 10)), None);
    }
    assert_eq!(refusal(&rig.submit(4, 1, 10)), full);
    let mut rig = Rig::with(|c| c.pool_bytes = 2 * 164);
    for who in 1..=2 {
        assert_eq!(refusal(&rig.submit(who, 1, 10)), None);
    }
    assert_eq!(refusal(&rig.submit(4, 1, 0)), full);
}

#[test]
fn a_transaction_that_fits_into_no_batch_is_refused() {
    let mut rig = Rig::new();
    let limit = 4_000 - Batch::OVERHEAD;
    assert_eq!(refusal(&rig.submit(1, 1, limit - 154)), None);
    assert_eq!(
        refusal(&rig.submit(1, 2, limit - 153)),
        Some(Refusal::TooLong { limit })
    );
}

#[test]
fn the_own_quota_stops_new_batches_until_a_commit() {
    let mut rig = Rig::new();
    let mut made = Vec::new();
    for sequence in 1..=20 {
        made.extend(spread(&rig.submit(1, sequence, 10)));
        made.extend(spread(&rig.pass(2)));
    }
    // Half of the 8 which peers accept.
    assert_eq!(made.len(), 4);
    assert_eq!(rig.pool.stats().transactions, 20, "the rest waits");
    let out = rig.commit(refs(&[&made[0].clone().seal()]));
    assert_eq!(spread(&out)[0].transactions.len(), 16);
}

#[test]
fn what_another_node_ordered_leaves_the_own_pool() {
    let mut rig = busy();
    rig.submit(1, 1, 10);
    rig.submit(1, 2, 10);
    let theirs = Batch {
        author: NodeId(2),
        number: 1,
        expires: Height(50),
        transactions: vec![transaction(1, 1, 10), transaction(1, 2, 11)],
    }
    .seal();
    rig.push(&theirs);
    rig.commit(refs(&[&theirs]));
    // Sequence 2 is of a different transaction there: the own one waits for its answer.
    let left = &spread(&rig.pass(2))[0];
    assert_eq!(left.transactions, vec![transaction(1, 2, 10)]);
}

/// The batches that are sent to a node; nothing else is sent or stored.
fn sent_to(node: u16, out: &[Output]) -> Vec<SealedBatch> {
    let sent = |o: &Output| match o {
        Output::Send {
            to: To::One(to),
            message: Message::Batch(bytes),
        } if to.0 == node => Some(SealedBatch::open(bytes.clone()).unwrap()),
        Output::Send { .. } | Output::Store { .. } => panic!("{o:?}"),
        _ => None,
    };
    out.iter().filter_map(sent).collect()
}

#[test]
fn to_leader_sends_a_new_leader_the_own_batches_at_once_and_offers_the_others() {
    let mut rig = Rig::with(|c| c.dissemination = Dissemination::ToLeader);
    let out = rig.submit(1, 1, 10);
    assert_eq!(sent_to(2, &out), vec![], "nobody leads");
    let theirs = batch(1, 1);
    rig.push(&theirs);
    let out = rig.step(Input::Leader(NodeId(2)));
    assert_eq!(offers(&out), vec![(2, theirs.reference())]);
    let own: Vec<Output> = out
        .into_iter()
        .filter(|o| {
            !matches!(
                o,
                Output::Send {
                    message: Message::Offer(_),
                    ..
                }
            )
        })
        .collect();
    let own = sent_to(2, &own);
    assert_eq!((own.len(), own[0].reference().author), (1, ME));
    // From then on it is only reminded, unless the connection broke.
    let reminded: Vec<BatchRef> = offers(&rig.pass(100)).iter().map(|(_, r)| *r).collect();
    assert!(reminded.contains(&own[0].reference()), "{reminded:?}");
    let out = rig.step(Input::Connected(NodeId(2)));
    let again = |o: &&Output| {
        matches!(
            o,
            Output::Send {
                message: Message::Batch(_),
                ..
            }
        )
    };
    assert_eq!(out.iter().filter(again).count(), 1);
}

#[test]
fn to_leader_sends_batches_to_the_leader_only_and_orders_them_whole() {
    let to_leader = |c: &mut Config| c.dissemination = Dissemination::ToLeader;
    let mut rig = Rig::with(to_leader);
    rig.step(Input::Leader(NodeId(2)));
    let out = rig.submit(1, 1, 10);
    let own = sent_to(2, &out).remove(0);
    assert_eq!(
        sent_to(3, &rig.step(Input::Leader(NodeId(3)))),
        vec![own.clone()]
    );

    rig.step(Input::Leader(ME));
    let theirs = batch(1, 1);
    rig.push(&theirs);
    let out = rig.step(Input::Want {
        ticket: 1,
        height: Height(1),
        budget: 8_000,
        exclude: vec![],
    });
    let payload = Payload::Inline(vec![own.clone(), theirs.clone()]);
    assert!(out.contains(&Output::Payload {
        ticket: 1,
        payload: payload.clone()
    }));
    let out = rig.commit(payload);
    assert!(out.contains(&Output::Available { height: Height(1) }));
    assert!(out.contains(&Output::Pending { oldest: None }));
    assert_eq!(
        (rig.pool.stats().batches, rig.pool.stats().transactions),
        (0, 0)
    );
}
