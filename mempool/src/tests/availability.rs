//! No vote for payload that is not here; what is missing is fetched.

use super::*;
use crate::Unfit;
use crypto::Reject;

fn verdict(out: &[Output]) -> Option<(Digest, Result<(), Unfit>)> {
    let mut verdicts = out.iter().filter_map(|o| match o {
        Output::Checked { block, held } => Some((*block, *held)),
        _ => None,
    });
    let first = verdicts.next();
    assert_eq!(verdicts.next(), None, "one answer");
    first
}

fn stored(out: &[Output]) -> Vec<Digest> {
    let store = |o: &Output| match o {
        Output::Store { reference, .. } => Some(reference.digest),
        _ => None,
    };
    out.iter().filter_map(store).collect()
}

#[test]
fn held_payload_earns_a_vote_at_once() {
    let mut rig = Rig::new();
    let (a, b) = (batch(1, 1), batch(2, 1));
    assert_eq!(stored(&rig.push(&a)), vec![a.reference().digest]);
    rig.push(&b);
    assert_eq!(
        verdict(&rig.check(1, 1, refs(&[&a, &b]))),
        Some((block(1), Ok(())))
    );
    assert_eq!(
        verdict(&rig.check(2, 1, Payload::EMPTY)),
        Some((block(2), Ok(())))
    );
}

#[test]
fn withheld_payload_is_fetched_and_earns_a_vote_only_then() {
    let mut rig = Rig::new();
    let (a, b) = (batch(1, 1), batch(2, 1));
    rig.push(&a);
    assert_eq!(verdict(&rig.check(1, 1, refs(&[&a, &b]))), None);
    let out = rig.pass(60);
    assert_eq!(verdict(&out), None);
    assert_eq!(asked(&out), vec![(2, vec![b.reference().digest])]);
    let out = rig.answer(2, &[&b]);
    assert_eq!(stored(&out), vec![b.reference().digest]);
    assert_eq!(verdict(&out), Some((block(1), Ok(()))));
    let store = out.iter().position(|o| matches!(o, Output::Store { .. }));
    let checked = out.iter().position(|o| matches!(o, Output::Checked { .. }));
    assert!(store < checked, "stored ahead of the vote's fence");
    assert_eq!(rig.pool.stats().wanted, 0);
}

#[test]
fn what_is_under_way_is_not_asked_for() {
    let mut rig = Rig::new();
    let a = batch(1, 1);
    rig.check(1, 1, refs(&[&a]));
    assert_eq!(asked(&rig.pass(49)), vec![]);
    assert_eq!(verdict(&rig.push(&a)), Some((block(1), Ok(()))));
    assert_eq!(asked(&rig.pass(10_000)), vec![]);
}

#[test]
fn the_author_is_asked_first_then_two_others_at_a_time() {
    let mut rig = Rig::new();
    let a = batch(2, 1);
    rig.check(1, 1, refs(&[&a]));
    let mut rounds = Vec::new();
    for wait in [50, 100, 200, 400] {
        rounds.push(
            asked(&rig.pass(wait))
                .into_iter()
                .map(|(p, _)| p)
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(rounds[0], vec![2]);
    assert_eq!(rounds[1].len(), 2);
    assert_eq!(rounds[2].len(), 2);
    let mut first_three = [rounds[0].clone(), rounds[1].clone()].concat();
    first_three.sort_unstable();
    assert_eq!(
        first_three,
        vec![1, 2, 3],
        "everybody after two rounds, never itself"
    );
}

#[test]
fn fetching_goes_on_until_somebody_answers() {
    let mut rig = Rig::new();
    let a = batch(2, 1);
    rig.check(1, 1, refs(&[&a]));
    rig.pass(60_000);
    let out = rig.pass(10_000);
    assert!(asked(&out).len() > 2, "still asking after a minute");
    assert!(asked(&out).len() < 20, "but not in a hurry");
    assert_eq!(verdict(&rig.answer(3, &[&a])), Some((block(1), Ok(()))));
}

#[test]
fn what_only_a_lost_block_waited_for_is_not_fetched_any_more() {
    let mut rig = Rig::new();
    let (a, b) = (batch(2, 1), batch(2, 2));
    rig.check(1, 1, refs(&[&a, &b]));
    rig.check(2, 1, refs(&[&b]));
    rig.step(Input::DropCheck(block(1)));
    let stats = rig.pool.stats();
    assert_eq!((stats.checks, stats.wanted), (1, 1));
    assert_eq!(asked(&rig.pass(60)), vec![(2, vec![b.reference().digest])]);
    rig.step(Input::DropCheck(block(2)));
    assert_eq!(asked(&rig.pass(60_000)), vec![]);
    assert_eq!(verdict(&rig.push(&a)), None, "nobody asks any more");
}

#[test]
fn who_lacks_it_says_so_and_the_next_is_asked_at_once() {
    let mut rig = Rig::new();
    let a = batch(2, 1);
    rig.check(1, 1, refs(&[&a]));
    rig.pass(50);
    let not_held = || Message::NotHeld(vec![a.reference().digest]);
    let peers: Vec<u16> = asked(&rig.receive(2, not_held()))
        .iter()
        .map(|(p, _)| *p)
        .collect();
    assert!(!peers.contains(&2) && peers.len() == 2, "{peers:?}");
    // A peer who repeats it does not drive the pace.
    let repeats: usize = (0..100)
        .map(|_| asked(&rig.receive(2, not_held())).len())
        .sum();
    assert!(repeats <= 4, "{repeats}");
}

/// A liar had what an honest node offers given up before the answer came, time and again, and an honest
/// leader condemned for not ordering it: found by a reader.
#[test]
fn nobody_says_for_others_that_they_lack_a_batch() {
    let mut rig = Rig::new();
    let a = batch(1, 1);
    let out = rig.receive(2, Message::Offer(vec![a.reference()]));
    assert_eq!(asked(&out), [(2, vec![a.reference().digest])]);
    for _ in 0..10 {
        let out = rig.receive(3, Message::NotHeld(vec![a.reference().digest]));
        assert_eq!(asked(&out), []);
    }
    rig.answer(2, &[&a]);
    assert_eq!(rig.pool.stats().batches, 1);
}

#[test]
fn a_reference_that_contradicts_its_batch_is_invalid() {
    let a = batch(1, 1);
    let lies: [fn(&mut BatchRef); 5] = [
        |r| r.author = NodeId(2),
        |r| r.number += 1,
        |r| r.bytes -= 1,
        |r| r.count += 1,
        |r| r.expires = Height(51),
    ];
    for lie in lies {
        let mut claimed = a.reference();
        lie(&mut claimed);
        let payload = Payload::Refs(vec![claimed]);
        let mut held = Rig::new();
        held.push(&a);
        let expected = Some((block(1), Err(Unfit::Invalid)));
        assert_eq!(verdict(&held.check(1, 1, payload.clone())), expected);
        let mut missing = Rig::new();
        assert_eq!(verdict(&missing.check(1, 1, payload)), None);
        missing.pass(50);
        assert_eq!(verdict(&missing.push(&a)), expected);
        assert_eq!(missing.pool.stats().wanted, 0);
    }
}

#[test]
fn an_expired_batch_earns_no_vote() {
    let mut rig = Rig::new();
    let a = batch(1, 1);
    rig.push(&a);
    assert_eq!(
        verdict(&rig.check(1, 50, refs(&[&a]))),
        Some((block(1), Ok(())))
    );
    let expired = Some((block(2), Err(Unfit::Expired)));
    assert_eq!(verdict(&rig.check(2, 51, refs(&[&a]))), expired);
    // Nor one that is not even held: it is not fetched.
    assert_eq!(verdict(&rig.check(2, 51, refs(&[&batch(2, 1)]))), expired);
}

#[test]
fn a_payload_that_breaks_a_limit_is_invalid() {
    let mut rig = Rig::new();
    let a = batch(1, 1);
    let altered = |change: fn(&mut BatchRef)| {
        let mut r = a.reference();
        change(&mut r);
        Payload::Refs(vec![r])
    };
    let nine: Vec<SealedBatch> = (1..=9).map(|number| batch(1, number)).collect();
    let large: Vec<SealedBatch> = (1..=3).map(|number| batch_of(1, number, 3_000)).collect();
    let cases = [
        ("twice the same", refs(&[&a, &a])),
        ("too many", refs(&nine.iter().collect::<Vec<_>>())),
        ("too many bytes", refs(&large.iter().collect::<Vec<_>>())),
        ("too large", altered(|r| r.bytes = 4_001)),
        ("empty", altered(|r| r.count = 0)),
        ("too many transactions", altered(|r| r.count = 17)),
        ("of no member", altered(|r| r.author = NodeId(4))),
        ("lives too long", altered(|r| r.expires = Height(202))),
        ("inline, too many bytes", Payload::Inline(large.clone())),
    ];
    for (name, payload) in cases {
        let out = rig.check(1, 1, payload);
        assert_eq!(
            verdict(&out),
            Some((block(1), Err(Unfit::Invalid))),
            "{name}"
        );
    }
}

#[test]
fn a_peer_has_a_quota_by_count_and_by_bytes() {
    let mut rig = Rig::new();
    for number in 1..=8 {
        assert_eq!(stored(&rig.push(&batch(1, number))).len(), 1);
    }
    let ninth = batch(1, 9);
    let over = vec![Output::Reject(NodeId(1), Reject::OverQuota)];
    assert_eq!(rig.push(&ninth), over);
    assert_eq!(
        stored(&rig.push(&batch(2, 1))).len(),
        1,
        "others have theirs"
    );
    rig.commit(refs(&[&batch(1, 1)]));
    assert_eq!(stored(&rig.push(&ninth)).len(), 1, "a commit frees room");

    let mut rig = Rig::new();
    for number in 1..=5 {
        assert_eq!(stored(&rig.push(&batch_of(1, number, 3_000))).len(), 1);
    }
    assert_eq!(rig.push(&batch_of(1, 6, 3_000)), over);
}

#[test]
fn a_block_may_hold_what_is_over_its_senders_quota() {
    let mut rig = Rig::new();
    for number in 1..=8 {
        rig.push(&batch(1, number));
    }
    let ninth = batch(1, 9);
    rig.push(&ninth);
    assert_eq!(verdict(&rig.check(1, 1, refs(&[&ninth]))), None);
    assert_eq!(
        asked(&rig.pass(50)),
        vec![(1, vec![ninth.reference().digest])]
    );
    let out = rig.answer(1, &[&ninth]);
    assert_eq!(verdict(&out), Some((block(1), Ok(()))));
}

#[test]
fn nobody_uses_up_the_quota_of_another() {
    let mut rig = Rig::new();
    // Node 3 offers batches in the name of node 1, whose real ones come later.
    let forged: Vec<SealedBatch> = (101..=104).map(|number| batch(1, number)).collect();
    rig.receive(
        3,
        Message::Offer(forged.iter().map(SealedBatch::reference).collect()),
    );
    for sealed in &forged {
        assert_eq!(stored(&rig.answer(3, &[sealed])).len(), 1);
    }
    for number in 1..=8 {
        assert_eq!(stored(&rig.push(&batch(1, number))).len(), 1);
    }
    for number in 1..=4 {
        assert_eq!(stored(&rig.push(&batch(3, number))).len(), 1);
    }
    let over = vec![Output::Reject(NodeId(3), Reject::OverQuota)];
    assert_eq!(rig.push(&batch(3, 5)), over);
}

#[test]
fn answers_to_no_question_are_dropped() {
    let mut rig = Rig::new();
    assert_eq!(rig.answer(1, &[&batch(1, 1)]), vec![]);
    assert_eq!(rig.pool.stats(), crate::Stats::default());
}

#[test]
fn a_second_copy_changes_nothing() {
    let mut rig = Rig::new();
    let a = batch(1, 1);
    rig.push(&a);
    let before = rig.pool.stats();
    assert_eq!(rig.push(&a), vec![]);
    assert_eq!(rig.pool.stats(), before);
}

#[test]
fn what_nobody_is_charged_for_leaves_memory_and_stays_held() {
    let mut rig = Rig::with(|c| c.extra_batches = 4);
    let many: Vec<SealedBatch> = (1..=6).map(|number| batch_of(1, number, 3_000)).collect();
    for (i, sealed) in many.iter().enumerate() {
        rig.check(i as u64, 1, refs(&[sealed]));
        rig.answer(2, &[sealed]);
        assert!(rig.pool.stats().memory <= 8_000);
        assert!(rig.pool.stats().batches <= 4);
    }
    // The third lives on disk only, and still earns a vote; the first is forgotten.
    assert_eq!(
        verdict(&rig.check(9, 1, refs(&[&many[2]]))),
        Some((block(9), Ok(())))
    );
    assert_eq!(verdict(&rig.check(9, 1, refs(&[&many[0]]))), None);
    let fetch = Message::Fetch(vec![many[2].reference().digest]);
    assert_eq!(
        rig.receive(3, fetch),
        vec![Output::Load(many[2].reference().digest)]
    );
}

#[test]
fn blocks_that_wait_are_capped() {
    let mut rig = Rig::with(|c| c.checks = 3);
    for i in 1..=5 {
        rig.check(i, 1, refs(&[&batch(1, i)]));
        assert!(rig.pool.stats().checks <= 3);
    }
    assert_eq!(
        rig.pool.stats().wanted,
        3,
        "what only dropped blocks awaited is not wanted"
    );
    assert_eq!(verdict(&rig.push(&batch(1, 1))), None);
    assert_eq!(verdict(&rig.push(&batch(1, 5))), Some((block(5), Ok(()))));
}

#[test]
fn a_commit_ends_what_lower_blocks_wait_for() {
    let mut rig = Rig::new();
    rig.check(1, 1, refs(&[&batch(1, 1), &batch(1, 2)]));
    rig.check(2, 2, refs(&[&batch(1, 2), &batch(1, 3)]));
    rig.commit(Payload::EMPTY);
    let stats = rig.pool.stats();
    assert_eq!((stats.checks, stats.wanted), (1, 2));
}

#[test]
fn questions_are_capped_and_those_in_vain_do_not_starve_others() {
    let mut rig = Rig::with(|c| (c.fetches, c.checks) = (8, 64));
    for i in 1..=8 {
        let never: Vec<SealedBatch> = (1..=8).map(|k| batch(1, i * 100 + k)).collect();
        rig.check(i, 1, refs(&never.iter().collect::<Vec<_>>()));
    }
    let real = batch(2, 1);
    rig.check(9, 1, refs(&[&real]));
    rig.now = rig.now.plus(Time::millis(50));
    let count = |out: &[Output]| asked(out).iter().map(|(_, list)| list.len()).sum::<usize>();
    assert_eq!(count(&rig.step(Input::Tick)), 8);
    rig.now = rig.now.plus(Time::millis(99));
    assert_eq!(count(&rig.step(Input::Tick)), 0);
    let out = rig.pass(2_000);
    assert!(
        asked(&out)
            .iter()
            .any(|(_, list)| list.contains(&real.reference().digest))
    );
}

#[test]
fn questions_are_answered_from_memory_within_a_blocks_worth() {
    let mut rig = Rig::new();
    let held: Vec<SealedBatch> = (1..=3).map(|number| batch_of(1, number, 3_000)).collect();
    for sealed in &held {
        rig.push(sealed);
    }
    let digests = held
        .iter()
        .map(|sealed| sealed.reference().digest)
        .collect();
    let out = rig.receive(2, Message::Fetch(digests));
    let sent = |sealed: &SealedBatch| Output::Send {
        to: To::One(NodeId(2)),
        message: Message::Batches(vec![sealed.bytes().clone()]),
    };
    assert_eq!(out, vec![sent(&held[0]), sent(&held[1])]);
}

#[test]
fn questions_are_answered_from_the_store_few_at_a_time() {
    let mut rig = Rig::new();
    let old = batch(1, 1);
    let digest = old.reference().digest;
    rig.push(&old);
    rig.commit(refs(&[&old]));
    let mut list = vec![digest];
    list.extend((1..=9).map(block));
    let loads = rig.receive(2, Message::Fetch(list));
    assert_eq!(loads.len(), 4, "the cap of one peer");
    assert_eq!(loads[0], Output::Load(digest));
    // Another peer waits for the same load.
    assert_eq!(rig.receive(3, Message::Fetch(vec![digest])), vec![]);
    let out = rig.step(Input::Loaded {
        digest,
        bytes: Some(old.bytes().clone()),
    });
    let sent = |peer| Output::Send {
        to: To::One(NodeId(peer)),
        message: Message::Batches(vec![old.bytes().clone()]),
    };
    assert_eq!(out, vec![sent(2), sent(3)]);
    let out = rig.step(Input::Loaded {
        digest: block(1),
        bytes: None,
    });
    let message = Message::NotHeld(vec![block(1)]);
    assert_eq!(
        out,
        vec![Output::Send {
            to: To::One(NodeId(2)),
            message
        }]
    );
    assert_eq!(rig.pool.stats().loads, 2);
}

/// Its author sends it again when it has long been committed, and so many others that nobody
/// remembers: a block names it, and whoever lags has to read it there.
#[test]
fn a_committed_batch_that_was_forgotten_and_comes_again_is_not_deleted_when_it_expires() {
    let mut rig = Rig::with(|config| config.committed_batches = 2);
    let old = batch(1, 1);
    rig.push(&old);
    rig.commit(refs(&[&old]));
    for number in 2..=4 {
        let other = batch(2, number);
        rig.push(&other);
        rig.commit(refs(&[&other]));
    }
    rig.push(&old);
    assert_eq!(rig.pool.stats().batches, 1, "it is taken for a new one");
    let mut dropped = Vec::new();
    while rig.pool.stats().batches > 0 {
        dropped = rig.commit(Payload::EMPTY);
    }
    let digest = old.reference().digest;
    let committed = true;
    assert!(dropped.contains(&Output::Drop { digest, committed }));
}

/// Else each start would read it among those that may still be ordered.
#[test]
fn a_batch_that_comes_after_its_block_is_stored_as_a_committed_one() {
    let mut rig = Rig::new();
    let late = batch(1, 1);
    rig.commit(refs(&[&late]));
    let stored = rig.push(&late);
    let kept = |o: &Output| {
        matches!(
            o,
            Output::Store {
                committed: true,
                ..
            }
        )
    };
    assert!(stored.iter().any(kept), "{stored:?}");
}

#[test]
fn an_expired_batch_leaves_pool_and_store() {
    let mut rig = Rig::new();
    let a = batch(1, 1);
    rig.push(&a);
    for _ in 1..=49 {
        rig.commit(Payload::EMPTY);
    }
    assert_eq!(rig.pool.stats().batches, 1);
    let out = rig.commit(Payload::EMPTY);
    let digest = a.reference().digest;
    let committed = false;
    assert!(out.contains(&Output::Drop { digest, committed }));
    assert!(out.contains(&Output::Pending { oldest: None }));
    assert_eq!(
        rig.push(&a),
        vec![Output::Reject(NodeId(1), Reject::TooOld)]
    );
}

/// A liar's batch that every leader orders and nobody lets pass would stop them all for good: it expires
/// at a height, and none commits.
#[test]
fn what_one_pool_orders_no_other_refuses() {
    let lives_until = |number: u64, expires| {
        let mut it = (**batch(1, number).batch()).clone();
        it.expires = Height(expires);
        it.seal()
    };
    let (mut leader, mut other) = (Rig::new(), Rig::new());
    let expiries = [1, 50, 100, 101, 102, 150, 200];
    for sealed in (1..).zip(expiries).map(|(n, it)| lives_until(n, it)) {
        leader.push(&sealed);
        other.push(&sealed);
    }
    // What a block far ahead is said to hold is taken, whenever it expires.
    let far = lives_until(9, 300);
    leader.check(9, 100, refs(&[&far]));
    leader.push(&far);
    let ordered = leader.want(8_000, &[]);
    assert_eq!(ordered.len(), expiries.len());
    let checked = other.check(1, 1, Payload::Refs(ordered));
    assert_eq!(verdict(&checked), Some((block(1), Ok(()))));
}

#[test]
fn a_batch_that_lives_too_long_is_refused() {
    let mut rig = Rig::new();
    let mut far = (**batch(1, 1).batch()).clone();
    far.expires = Height(201);
    assert_eq!(
        rig.push(&far.seal()),
        vec![Output::Reject(NodeId(1), Reject::TooFar)]
    );
}

/// The batch was pushed so many milliseconds after it was missed.
fn comes_late(rig: &mut Rig, sealed: &SealedBatch, millis: u64) {
    rig.check(1, 1, refs(&[sealed]));
    rig.pass(millis);
    rig.push(sealed);
}

/// When the missing batch is asked for, in milliseconds after it was offered.
fn patience(rig: &mut Rig, sealed: &SealedBatch) -> u64 {
    let offer = Message::Offer(vec![sealed.reference()]);
    if !asked(&rig.receive(2, offer)).is_empty() {
        return 0;
    }
    let asks = (1..2_000).find(|_| !asked(&rig.pass(1)).is_empty());
    asks.expect("it is asked for at last")
}

#[test]
fn who_sends_late_is_asked_later_and_the_others_are_not() {
    let mut rig = Rig::new();
    assert_eq!(patience(&mut rig, &batch(1, 1)), 0);
    rig.answer(2, &[&batch(1, 1)]);
    comes_late(&mut rig, &batch(1, 2), 200);
    assert_eq!(patience(&mut rig, &batch(1, 3)), 300);
    assert_eq!(patience(&mut rig, &batch(2, 1)), 0);
}

#[test]
fn nobody_is_awaited_for_longer_than_eight_delays() {
    let mut rig = Rig::new();
    comes_late(&mut rig, &batch(1, 1), 60_000);
    assert_eq!(patience(&mut rig, &batch(1, 2)), 400);
}

#[test]
fn who_sends_nothing_unasked_is_asked_soon_again() {
    let mut rig = Rig::new();
    comes_late(&mut rig, &batch(1, 1), 400);
    let mut waits = Vec::new();
    for number in 2..30 {
        let withheld = batch(1, number);
        waits.push(patience(&mut rig, &withheld));
        rig.answer(2, &[&withheld]);
        rig.commit(refs(&[&withheld]));
    }
    assert!(waits.is_sorted_by(|a, b| a >= b), "{waits:?}");
    assert_eq!((waits[0], waits[27] < 20), (400, true));
}

#[test]
fn an_offer_of_what_is_under_way_waits_as_long() {
    let mut rig = Rig::new();
    let late = batch(1, 1);
    rig.check(1, 1, refs(&[&late]));
    rig.pass(200);
    rig.push(&late);
    let offered = batch(1, 2);
    let offer = Message::Offer(vec![offered.reference()]);
    assert_eq!(asked(&rig.receive(3, offer)), vec![]);
    assert_eq!(asked(&rig.pass(299)), vec![]);
    assert_eq!(
        asked(&rig.pass(1)),
        vec![(3, vec![offered.reference().digest])]
    );
}

/// When this peer is asked for the batch, in milliseconds from now.
fn asked_of(rig: &mut Rig, peer: u16, sealed: &SealedBatch) -> Option<u64> {
    let question = (peer, vec![sealed.reference().digest]);
    (0..5_000).find(|_| asked(&rig.pass(1)).contains(&question))
}

/// f liars can withhold a batch from f honest nodes while its leader has it. That must not cost the leader
/// its view: the time-out is 300 ms by default.
#[test]
fn a_withheld_batch_is_asked_of_the_leader_whose_block_holds_it_however_late_its_author_was() {
    for offered in [false, true] {
        let mut rig = Rig::new();
        rig.step(Input::Leader(NodeId(3)));
        for number in 1..=2 {
            let late = batch(1, number);
            rig.check(number, 1, refs(&[&late]));
            rig.pass(400);
            rig.push(&late);
        }
        let withheld = batch(1, 3);
        if offered {
            rig.receive(1, Message::Offer(vec![withheld.reference()]));
            rig.pass(1_000);
        }
        rig.check(3, 1, refs(&[&withheld]));
        let at = asked_of(&mut rig, 3, &withheld);
        assert!(at.is_some_and(|at| at <= 50), "{at:?}");
        let verdict = verdict(&rig.answer(3, &[&withheld]));
        assert_eq!(verdict, Some((block(3), Ok(()))));
    }
}

/// Liars may offer as much as they like.
#[test]
fn what_a_block_needs_is_asked_for_before_what_is_offered() {
    let mut rig = Rig::new();
    rig.step(Input::Leader(NodeId(3)));
    for liar in 1..=2 {
        let many = (1..=32).map(|number| batch(liar, number).reference());
        rig.receive(liar, Message::Offer(many.collect()));
    }
    let needed = batch(1, 100);
    rig.check(1, 1, refs(&[&needed]));
    let at = asked_of(&mut rig, 3, &needed);
    assert!(at.is_some_and(|at| at <= 50), "{at:?}");
}

/// A question of 32 bytes would be answered with a batch, again and again.
#[test]
fn a_peer_gets_a_batch_once_at_a_time() {
    let mut rig = Rig::new();
    let (held, in_store) = (batch(1, 1), batch(1, 2));
    rig.push(&held);
    let digests = [held.reference().digest, in_store.reference().digest];
    let question = || Message::Fetch([digests; 100].concat());
    let loaded = || Input::Loaded {
        digest: digests[1],
        bytes: Some(in_store.bytes().clone()),
    };
    let given = |out: &[Output]| -> usize {
        let batches = |o: &Output| match o {
            Output::Send {
                message: Message::Batches(list),
                ..
            } => list.len(),
            _ => 0,
        };
        out.iter().map(batches).sum()
    };
    for asks_again in [0, 100] {
        rig.pass(asks_again);
        for expected in [2, 0, 0] {
            let answers = given(&rig.receive(2, question())) + given(&rig.step(loaded()));
            assert_eq!(answers, expected);
        }
        let another = given(&rig.receive(3, question())) + given(&rig.step(loaded()));
        assert_eq!(another, 2, "others have theirs");
    }
}

/// A liar sends its batches to one honest node only, which offers them to the others.
#[test]
fn what_a_node_offers_leaves_room_for_its_own_batches() {
    let mut rig = Rig::new();
    let foreign: Vec<SealedBatch> = (1..=8).map(|number| batch(2, number)).collect();
    let offer = Message::Offer(foreign.iter().map(SealedBatch::reference).collect());
    rig.receive(1, offer);
    let mut taken = 0;
    for sealed in &foreign {
        let out = rig.answer(1, &[sealed]);
        taken += stored(&out).len();
        let blamed = |o: &Output| matches!(o, Output::Reject(..));
        assert!(!out.iter().any(blamed), "{out:?}");
    }
    assert_eq!(taken, 4);
    for number in 1..=4 {
        assert_eq!(stored(&rig.push(&batch(1, number))).len(), 1, "{number}");
    }
    let more = Message::Offer(vec![batch(2, 9).reference()]);
    assert_eq!(asked(&rig.receive(1, more)), vec![], "nor is more fetched");
}

/// Whoever answers: a liar names another's batches, and those who have them give them.
#[test]
fn what_is_fetched_is_charged_to_who_offered_it() {
    let mut rig = Rig::new();
    let foreign: Vec<SealedBatch> = (1..=4).map(|number| batch(2, number)).collect();
    let offer = Message::Offer(foreign.iter().map(SealedBatch::reference).collect());
    rig.receive(3, offer);
    rig.pass(200);
    for sealed in &foreign {
        rig.answer(1, &[sealed]);
    }
    for number in 1..=8 {
        assert_eq!(stored(&rig.push(&batch(1, number))).len(), 1, "{number}");
    }
}
