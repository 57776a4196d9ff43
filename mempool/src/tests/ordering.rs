//! What the leader orders.

use super::*;

fn names(list: &[BatchRef]) -> Vec<(u16, u64)> {
    list.iter().map(|r| (r.author.0, r.number)).collect()
}

#[test]
fn the_leader_draws_from_authors_in_turn() {
    let mut rig = Rig::new();
    for (author, number) in [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (3, 1), (3, 2)] {
        rig.push(&batch(author, number));
    }
    let chosen = names(&rig.want(8_000, &[]));
    assert_eq!(
        chosen,
        vec![(1, 1), (2, 1), (3, 1), (1, 2), (3, 2), (1, 3), (1, 4)]
    );
    let chosen = names(&rig.want(8_000, &[]));
    assert_eq!(chosen[0], (1, 1));
    let chosen = names(&rig.want(8_000, &[]));
    assert_eq!(chosen[0], (2, 1), "another author comes first");
}

#[test]
fn a_flood_of_one_author_leaves_room_for_the_others() {
    let mut rig = Rig::new();
    for number in 1..=5 {
        rig.push(&batch_of(1, number, 3_000));
    }
    rig.push(&batch_of(2, 1, 3_000));
    assert_eq!(names(&rig.want(8_000, &[])), vec![(1, 1), (2, 1)]);
}

#[test]
fn a_payload_keeps_within_the_budget_and_the_limits() {
    let mut rig = Rig::new();
    for author in 1..4 {
        for number in 1..=4 {
            rig.push(&batch(author, number));
        }
    }
    assert_eq!(rig.want(u32::MAX, &[]).len(), 8);
    let one = batch(1, 1).reference().bytes;
    assert_eq!(rig.want(3 * one, &[]).len(), 3);
    assert_eq!(rig.want(3 * one - 1, &[]).len(), 2);
    assert_eq!(rig.want(one - 1, &[]).len(), 0);
}

#[test]
fn what_uncommitted_ancestors_carry_is_left_out() {
    let mut rig = Rig::new();
    let (a, b) = (batch(1, 1), batch(1, 2));
    rig.push(&a);
    rig.push(&b);
    assert_eq!(
        names(&rig.want(8_000, &[a.reference().digest])),
        vec![(1, 2)]
    );
}

#[test]
fn a_lost_blocks_payload_returns() {
    let mut rig = Rig::new();
    let a = batch(1, 1);
    rig.push(&a);
    let ordered = rig.want(8_000, &[]);
    assert_eq!(rig.want(8_000, &[ordered[0].digest]), vec![]);
    let out = rig.step(Input::Return(Payload::Refs(ordered.clone())));
    assert!(
        matches!(out[..], [Output::Pending { oldest: Some(_) }]),
        "{out:?}"
    );
    assert_eq!(rig.want(8_000, &[]), ordered);
}

#[test]
fn a_committed_batch_is_not_ordered_again() {
    let mut rig = Rig::new();
    let a = batch(1, 1);
    rig.push(&a);
    rig.commit(refs(&[&a]));
    assert_eq!(rig.push(&a), vec![], "it comes once more");
    rig.receive(2, Message::Offer(vec![a.reference()]));
    assert_eq!(rig.pool.stats().wanted, 0);
    assert_eq!(rig.want(8_000, &[]), vec![]);
}

#[test]
fn the_memory_of_committed_batches_is_capped_and_ends_with_their_expiry() {
    let mut rig = Rig::with(|c| c.committed_batches = 10);
    for number in 1..=15 {
        let a = batch(1, number);
        rig.push(&a);
        rig.commit(refs(&[&a]));
        assert_eq!(rig.pool.stats().committed, (number as usize).min(10));
    }
    for _ in 15..50 {
        rig.commit(Payload::EMPTY);
    }
    assert_eq!(rig.pool.stats().committed, 0);
}

/// With a margin below the expiry, a batch within it was offered to every leader, ordered by none,
/// and never expired: the cluster gave up one leader after the other (simulator seed 100875).
#[test]
fn a_batch_may_be_ordered_at_any_height_it_lives_to_see() {
    let mut rig = Rig::new();
    let sealed = batch(1, 1);
    let expires = sealed.reference().expires;
    rig.push(&sealed);
    let ordered = |rig: &mut Rig, height| rig.want_at(height, 8_000, &[]).len();
    assert_eq!(ordered(&mut rig, Height(1)), 1);
    assert_eq!(ordered(&mut rig, expires), 1);
    assert_eq!(ordered(&mut rig, expires.next()), 0);
}

#[test]
fn pending_says_since_when_the_oldest_waits() {
    let mut rig = Rig::new();
    let (a, b) = (batch(1, 1), batch(1, 2));
    let pending = |out: Vec<Output>| {
        out.into_iter().find_map(|o| match o {
            Output::Pending { oldest } => Some(oldest),
            _ => None,
        })
    };
    let first = rig.now;
    assert_eq!(pending(rig.push(&a)), Some(Some(first)));
    rig.pass(5);
    let second = rig.now;
    assert_eq!(pending(rig.push(&b)), Some(Some(first)), "another one came");
    assert_eq!(pending(rig.step(Input::Tick)), None);
    assert_eq!(pending(rig.commit(refs(&[&a]))), Some(Some(second)));
    assert_eq!(pending(rig.commit(refs(&[&b]))), Some(None));
    assert_eq!(pending(rig.commit(Payload::EMPTY)), None);
}
