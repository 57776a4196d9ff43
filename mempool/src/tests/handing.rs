//! Handing batches to leaders and to peers that came back, and the censorship timer.

use super::*;

fn overdue(out: &[Output]) -> Vec<BatchRef> {
    let batch = |o: &Output| match o {
        Output::Overdue { batch } => Some(*batch),
        _ => None,
    };
    out.iter().filter_map(batch).collect()
}

/// Commits batches of node 2, eight in each height, as a leader does who leaves others out.
fn commit_batches(rig: &mut Rig, count: u64) -> Vec<BatchRef> {
    let start = rig.height.0 * 8;
    let all: Vec<SealedBatch> = (1..=count).map(|i| batch(2, start + i)).collect();
    let mut late = Vec::new();
    for part in all.chunks(8) {
        for sealed in part {
            rig.push(sealed);
        }
        let out = rig.commit(refs(&part.iter().collect::<Vec<_>>()));
        late.extend(overdue(&out));
    }
    late
}

/// What all pools together may hold: 8 for each of 4 nodes and for what nobody is charged for.
const ALLOWANCE: u64 = 40;

#[test]
fn overdue_counts_commits_not_seconds() {
    let mut rig = Rig::new();
    rig.step(Input::Leader(NodeId(2)));
    let left_out = batch(1, 1);
    rig.push(&left_out);
    assert_eq!(
        overdue(&rig.pass(3_600_000)),
        vec![],
        "an hour without a commit"
    );
    for _ in 0..20 {
        assert_eq!(
            overdue(&rig.commit(Payload::EMPTY)),
            vec![],
            "empty blocks do not count"
        );
    }
    assert_eq!(commit_batches(&mut rig, ALLOWANCE), vec![]);
    assert_eq!(commit_batches(&mut rig, 1), vec![left_out.reference()]);
    assert_eq!(commit_batches(&mut rig, 40), vec![], "once a tenure");
}

/// A leader whose blocks are empty while it was handed something leaves out all that it was handed: each
/// counts like a full one (here 8 batches), after those that an honest leader may need.
#[test]
fn a_leader_that_orders_nothing_is_overdue_before_its_tenure_ends() {
    let empty = |rig: &mut Rig, count: usize| -> Vec<BatchRef> {
        let out = (0..count).flat_map(|_| overdue(&rig.commit(Payload::EMPTY)));
        out.collect()
    };
    let mut rig = Rig::with(|c| c.lifetime = 1_000);
    let few = rig.pool.config.empty_blocks;
    rig.step(Input::Leader(NodeId(2)));
    assert_eq!(empty(&mut rig, 3 * few), vec![], "nothing was left out");
    let left_out = batch(1, 1);
    let mut left_out = (**left_out.batch()).clone();
    left_out.expires = Height(1_000);
    let left_out = left_out.seal();
    rig.push(&left_out);
    rig.pass(100);
    for _ in 0..10 {
        assert_eq!(empty(&mut rig, 2), vec![], "what commits the one before");
        assert_eq!(commit_batches(&mut rig, 1), vec![]);
    }
    // Of the allowance 30 are left. One with payload now and then makes up for two.
    assert_eq!(empty(&mut rig, few), vec![]);
    assert_eq!(commit_batches(&mut rig, 1), vec![]);
    assert_eq!(empty(&mut rig, 2 + 3), vec![]);
    assert_eq!(empty(&mut rig, 1), vec![left_out.reference()]);
    assert_eq!(empty(&mut rig, 100), vec![], "once a tenure");
    rig.step(Input::Leader(NodeId(3)));
    let twice = 2 * ALLOWANCE as usize / 8;
    assert_eq!(empty(&mut rig, few + twice), vec![], "a fresh count");
    assert_eq!(empty(&mut rig, 1), vec![left_out.reference()]);
}

#[test]
fn a_batch_is_counted_from_when_it_was_handed_over() {
    let mut rig = Rig::new();
    rig.step(Input::Leader(NodeId(2)));
    let left_out = batch(1, 1);
    rig.push(&left_out);
    // Its author may not have sent it to the leader: not the leader's fault yet.
    assert_eq!(commit_batches(&mut rig, 64), vec![]);
    assert_eq!(offers(&rig.pass(100)), vec![(2, left_out.reference())]);
    assert_eq!(commit_batches(&mut rig, ALLOWANCE), vec![]);
    assert_eq!(commit_batches(&mut rig, 1), vec![left_out.reference()]);
}

#[test]
fn a_new_leader_gets_all_that_waits_and_a_fresh_count() {
    let mut rig = Rig::new();
    rig.step(Input::Leader(NodeId(2)));
    let (a, own) = (batch(1, 1), rig.submit(1, 1, 10));
    let own = spread(&own)[0].clone().seal();
    rig.push(&a);
    rig.pass(100);
    assert_eq!(commit_batches(&mut rig, 32), vec![]);
    let handed = offers(&rig.step(Input::Leader(NodeId(3))));
    assert_eq!(handed.len(), 2);
    assert!(handed.contains(&(3, a.reference())) && handed.contains(&(3, own.reference())));
    assert_eq!(commit_batches(&mut rig, ALLOWANCE), vec![]);
    assert_eq!(commit_batches(&mut rig, 1).len(), 2);
}

#[test]
fn the_allowance_doubles_with_each_change_up_to_a_cap() {
    let mut rig = Rig::with(|c| c.lifetime = 1_000_000);
    let mut late = (**batch(1, 1).batch()).clone();
    late.expires = Height(1_000_000);
    rig.push(&late.seal());
    let mut allowance = ALLOWANCE;
    for change in 0..9 {
        rig.step(Input::Leader(NodeId(2 + change % 2)));
        let mut committed = 0;
        let mut alarmed = false;
        while !alarmed {
            rig.height = rig.height.next();
            let height = rig.height;
            let known: Vec<BatchRef> = (1..=8)
                .map(|i| {
                    let mut r = batch(2, 1).reference();
                    r.digest = block(height.0 * 8 + i);
                    r
                })
                .collect();
            committed += 8;
            let out = rig.step(Input::Committed {
                height,
                payload: Payload::Refs(known),
            });
            alarmed = !overdue(&out).is_empty();
        }
        assert_eq!(committed, allowance + 8, "change {change}");
        allowance = (allowance * 2).min(ALLOWANCE << 6);
    }
}

#[test]
fn a_committed_batch_is_not_overdue() {
    let mut rig = Rig::new();
    let a = batch(1, 1);
    rig.push(&a);
    rig.step(Input::Leader(NodeId(2)));
    rig.commit(refs(&[&a]));
    assert_eq!(commit_batches(&mut rig, 80), vec![]);
}

/// It may have given its own view up, and not heard of the next one (PBFT, seed 21053).
#[test]
fn who_leads_tells_the_others_in_the_end_and_never_complains_about_himself() {
    let mut rig = Rig::new();
    rig.step(Input::Leader(ME));
    let a = batch(1, 1);
    rig.push(&a);
    assert_eq!(offers(&rig.pass(799)), vec![]);
    assert_eq!(offers(&rig.pass(1)), vec![(ALL, a.reference())]);
    assert_eq!(commit_batches(&mut rig, 80), vec![]);
}

#[test]
fn what_waits_is_offered_again_ever_more_rarely() {
    let mut rig = Rig::new();
    rig.step(Input::Leader(NodeId(2)));
    rig.push(&batch(1, 1));
    assert_eq!(offers(&rig.pass(99)).len(), 0);
    assert_eq!(offers(&rig.pass(1)).len(), 1);
    assert_eq!(offers(&rig.pass(99)).len(), 0);
    assert_eq!(offers(&rig.pass(1)).len(), 1);
    assert_eq!(offers(&rig.pass(60_000)).len(), 13, "at last every 6.4 s");
}

#[test]
fn what_no_leader_takes_is_offered_to_all() {
    let mut rig = Rig::new();
    rig.step(Input::Leader(NodeId(2)));
    let a = batch(1, 1);
    rig.push(&a);
    let to_leader = vec![(2, a.reference()); 3];
    assert_eq!(offers(&rig.pass(799)), to_leader);
    assert_eq!(offers(&rig.pass(1)), vec![(ALL, a.reference())]);
    // A new leader is asked alone again.
    let again = offers(&rig.step(Input::Leader(NodeId(3))));
    assert_eq!(again, vec![(3, a.reference())]);
}

#[test]
fn a_peer_that_is_back_is_offered_the_own_batches() {
    let mut rig = Rig::new();
    let own = spread(&rig.submit(1, 1, 10))[0].clone().seal();
    rig.push(&batch(1, 1));
    assert_eq!(
        offers(&rig.step(Input::Connected(NodeId(2)))),
        vec![(2, own.reference())]
    );
    assert_eq!(offers(&rig.step(Input::Connected(ME))), vec![]);
    assert_eq!(offers(&rig.step(Input::Connected(NodeId(77)))), vec![]);
}

#[test]
fn a_leader_that_is_back_is_offered_all() {
    let mut rig = Rig::new();
    rig.submit(1, 1, 10);
    rig.push(&batch(1, 1));
    rig.step(Input::Leader(NodeId(2)));
    assert_eq!(offers(&rig.step(Input::Connected(NodeId(2)))).len(), 2);
}

#[test]
fn what_is_offered_is_fetched_from_who_offers_it() {
    let mut rig = Rig::new();
    let a = batch(1, 1);
    let out = rig.receive(3, Message::Offer(vec![a.reference()]));
    assert_eq!(asked(&out), vec![(3, vec![a.reference().digest])]);
    rig.answer(3, &[&a]);
    assert_eq!(rig.want(8_000, &[]), vec![a.reference()]);
    assert_eq!(
        asked(&rig.receive(3, Message::Offer(vec![a.reference()]))),
        vec![]
    );
}

#[test]
fn what_is_offered_and_never_given_is_forgotten() {
    let mut rig = Rig::new();
    rig.receive(3, Message::Offer(vec![batch(1, 1).reference()]));
    rig.pass(10_000);
    assert_eq!(rig.pool.stats().wanted, 0);
}

#[test]
fn offers_of_one_peer_are_capped() {
    let mut rig = Rig::new();
    for round in 0..10 {
        let many = (1..=20)
            .map(|i| batch(1, round * 20 + i).reference())
            .collect();
        rig.receive(3, Message::Offer(many));
    }
    assert_eq!(rig.pool.stats().wanted, 32);
    rig.receive(2, Message::Offer(vec![batch(2, 1).reference()]));
    assert_eq!(rig.pool.stats().wanted, 33, "others have theirs");
}

#[test]
fn offers_above_a_quota_or_out_of_time_are_not_fetched() {
    let mut rig = Rig::new();
    let mut far = batch(1, 1).reference();
    far.expires = Height(201);
    let mut late = batch(1, 2).reference();
    late.expires = Height(0);
    rig.receive(3, Message::Offer(vec![far, late]));
    assert_eq!(rig.pool.stats().wanted, 0);
    for number in 1..=8 {
        rig.push(&batch(3, number));
    }
    rig.receive(3, Message::Offer(vec![batch(1, 3).reference()]));
    assert_eq!(rig.pool.stats().wanted, 0);
}
