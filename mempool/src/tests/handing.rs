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

/// A batch that nothing expires of, in these tests.
fn lasting(author: u16, number: u64) -> SealedBatch {
    let mut it = (**batch(author, number).batch()).clone();
    it.expires = Height(10_000);
    it.seal()
}

/// The limits of a real chain.
fn real(config: &mut Config) {
    *config = Config::new(ME, N);
}

/// How many blocks of these sizes, in turn, are ordered until the leader is overdue.
fn blocks_until_overdue(rig: &mut Rig, sizes: &[u64]) -> Option<usize> {
    let mut number = rig.height.0 * 1_000;
    (1..8_192).find(|block| {
        let batches = (0..sizes[block % sizes.len()]).map(|_| {
            number += 1;
            lasting(2, number)
        });
        let batches: Vec<SealedBatch> = batches.collect();
        batches.iter().for_each(|sealed| drop(rig.push(sealed)));
        rig.pass(4);
        let out = rig.commit(refs(&batches.iter().collect::<Vec<_>>()));
        !overdue(&out).is_empty()
    })
}

/// One where a batch waits that was handed to its leader, node 2.
fn with_one_that_waits(limits: impl FnOnce(&mut Config)) -> Rig {
    let mut rig = Rig::with(|config| {
        real(config);
        limits(config);
    });
    rig.step(Input::Leader(NodeId(2)));
    rig.push(&lasting(1, 1));
    rig.pass(400);
    rig
}

/// It costs nothing to name old batches again, and makes a block look full: found by a reader.
#[test]
fn what_was_ordered_before_fills_no_block() {
    let mut rig = with_one_that_waits(|it| (it.batch_bytes, it.block_bytes) = (4_000, 8_000));
    let old = [2, 3].map(|number| {
        let mut it = (**batch_of(2, number, 3_000).batch()).clone();
        it.expires = Height(10_000);
        it.seal()
    });
    old.iter().for_each(|sealed| drop(rig.push(sealed)));
    let blocks = (1..8_192).find(|_| {
        rig.pass(4);
        !overdue(&rig.commit(refs(&[&old[0], &old[1]]))).is_empty()
    });
    let few = Config::new(ME, N).roomy_blocks;
    assert!(blocks.is_some_and(|it| it <= few + 2), "{blocks:?}");
}

/// Fetches take their time however fast blocks are, and a node that was stopped for a moment learns of many
/// at once: found by a reader.
#[test]
fn blocks_that_come_faster_than_batches_can_be_fetched_condemn_nobody() {
    let mut rig = with_one_that_waits(|_| {});
    for now in 0..250 {
        for _ in 0..4 {
            assert_eq!(overdue(&rig.commit(Payload::EMPTY)), vec![], "{now} ms");
        }
        rig.pass(1);
    }
    rig.pass(1_000);
    let condemned = (0..512).find(|_| {
        rig.pass(4);
        !overdue(&rig.commit(Payload::EMPTY)).is_empty()
    });
    assert!(condemned.is_some());
}

/// Transactions expire by heights, of which a lying primary can order thousands at once: `sim --protocol
/// pbft --attack far-future --nodes 4 --seed 434`.
#[test]
fn blocks_that_use_up_a_lifetime_condemn_however_fast_they_come() {
    let mut rig = with_one_that_waits(|_| {});
    let lifetime = Config::new(ME, N).lifetime;
    let blocks = (1..=lifetime).find(|_| !overdue(&rig.commit(Payload::EMPTY)).is_empty());
    assert_eq!(blocks, Some(lifetime / 8 + 1));
}

/// Nothing, or next to nothing, now and then a batch of its own: all of these had room for what waits.
#[test]
fn a_leader_that_leaves_room_in_its_blocks_is_overdue_within_a_part_of_its_tenure() {
    let few = Config::new(ME, N).roomy_blocks;
    for sizes in [&[0, 0, 1][..], &[0], &[1], &[0, 0, 0, 3]] {
        let mut rig = Rig::with(real);
        rig.step(Input::Leader(NodeId(2)));
        assert_eq!(blocks_until_overdue(&mut rig, &[0]), None, "nothing waits");
        let mut rig = with_one_that_waits(|_| {});
        let blocks = blocks_until_overdue(&mut rig, sizes);
        assert_eq!(blocks, Some(few + 1), "{sizes:?}");
        assert_eq!(blocks_until_overdue(&mut rig, sizes), None, "once a tenure");
        rig.step(Input::Leader(NodeId(3)));
        rig.pass(300);
        let blocks = blocks_until_overdue(&mut rig, sizes);
        assert_eq!(blocks, Some(2 * few + 1), "{sizes:?}: a fresh count");
    }
}

/// A block of many bytes, or batches, may have had no room: it counts as what it holds.
#[test]
fn full_blocks_count_by_their_batches() {
    let mut rig = Rig::new();
    rig.step(Input::Leader(NodeId(2)));
    rig.push(&batch(1, 1));
    rig.pass(400);
    let large = |number| batch_of(2, number, 3_000);
    for number in 1..=ALLOWANCE / 2 {
        let both = [large(2 * number), large(2 * number + 1)];
        both.iter().for_each(|sealed| drop(rig.push(sealed)));
        assert_eq!(overdue(&rig.commit(refs(&[&both[0], &both[1]]))), vec![]);
    }
    let one_more = rig.commit(refs(&[&large(0)]));
    assert_eq!(overdue(&one_more).len(), 1);
}

/// A node and the leader, 20 ms apart. The leader has little to order, a batch every 5 ms, so that its
/// blocks are small or empty; and liars keep from it what they give to the node.
#[test]
fn an_honest_leader_is_never_overdue_however_slowly_it_gets_what_waits() {
    let mut node = Rig::with(real);
    let mut leader = Rig::with(|config| *config = Config::new(NodeId(2), N));
    node.step(Input::Leader(NodeId(2)));
    leader.step(Input::Leader(NodeId(2)));
    // The author seems late to the leader, which therefore waits for it as long as it can.
    for number in 1..=2 {
        leader.check(number, 1, refs(&[&lasting(1, number)]));
        leader.pass(400);
        leader.push(&lasting(1, number));
    }
    node.pass(800);
    let mut under_way: Vec<(u64, u16, Message)> = Vec::new();
    let (mut number, mut ordered) = (10, 0);
    for now in 0..20_000 {
        let (mut to_node, mut to_leader) = (node.pass(1), leader.pass(1));
        if now % 100 == 0 {
            number += 1;
            to_node.extend(node.push(&lasting(1, number)));
        }
        let (here, later) = under_way.into_iter().partition(|it| it.0 <= now);
        under_way = later;
        let here: Vec<(u64, u16, Message)> = here;
        for (_, to, message) in here {
            if to == 2 {
                to_leader.extend(leader.receive(0, message));
            } else {
                to_node.extend(node.receive(2, message));
            }
        }
        if now % 5 == 0 {
            number += 1;
            let small = lasting(3, number);
            node.push(&small);
            leader.push(&small);
        }
        if now % 2 == 0 {
            let payload = match now % 5 {
                0 => Payload::Refs(leader.want(4 << 20, &[])),
                _ => Payload::EMPTY,
            };
            let list = payload.references().into_owned();
            ordered += list.iter().filter(|r| r.author == NodeId(1)).count();
            to_leader.extend(leader.commit(payload.clone()));
            let out = node.commit(payload);
            assert_eq!(overdue(&out), vec![], "after {now} ms");
            to_node.extend(out);
        }
        for out in to_node.into_iter().chain(to_leader) {
            if let Output::Send { to, message } = out
                && to != To::One(NodeId(1))
                && to != To::One(NodeId(3))
            {
                let to = if matches!(message, Message::Offer(_) | Message::Batches(_)) {
                    2
                } else {
                    0
                };
                under_way.push((now + 20, to, message));
            }
        }
    }
    assert!(ordered > 150, "{ordered}");
}

/// Nor is it when a node comes back, which learns of thousands of heights, and only then of the one that
/// holds what it hands over.
#[test]
fn what_a_node_only_hears_of_later_does_not_count() {
    let mut rig = Rig::with(|config| config.lifetime = 10_000);
    rig.step(Input::Leader(NodeId(2)));
    rig.push(&lasting(1, 1));
    rig.pass(400);
    for number in 0..30 {
        let fetched: Vec<SealedBatch> = (1..=8).map(|i| batch(2, 8 * number + i)).collect();
        fetched.iter().for_each(|sealed| drop(rig.push(sealed)));
        let out = rig.commit_by(refs(&fetched.iter().collect::<Vec<_>>()), false);
        assert_eq!(overdue(&out), vec![]);
    }
    assert_eq!(commit_batches(&mut rig, ALLOWANCE), vec![]);
    assert_eq!(commit_batches(&mut rig, 1).len(), 1);
}

#[test]
fn a_batch_is_counted_from_when_it_was_handed_over() {
    let mut rig = Rig::new();
    rig.step(Input::Leader(NodeId(2)));
    let left_out = batch(1, 1);
    rig.push(&left_out);
    // Its author may not have sent it to the leader, nor did an offer have to arrive: not the leader's
    // fault yet.
    assert_eq!(commit_batches(&mut rig, 64), vec![]);
    assert_eq!(offers(&rig.pass(399)), vec![(2, left_out.reference()); 2]);
    assert_eq!(commit_batches(&mut rig, 64), vec![]);
    assert_eq!(offers(&rig.pass(1)), vec![(2, left_out.reference())]);
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
    rig.pass(300);
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
        rig.pass(300);
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
                by_leader: true,
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
