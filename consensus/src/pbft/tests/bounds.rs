//! What hostile members can make a replica hold, and how long an honest message may be.

use super::super::message::{Message, Reached, ViewChange};
use super::super::{NewView, Prepared, slot};
use super::craft::{Craft, EVERY, Solo, payload};
use crypto::{Certificate, Height, Kind, NodeId, codec};
use std::sync::Arc;

/// Prepared and signed by all members, in some view of which liars may lead any.
fn by_all(craft: &Craft, view: u64, height: u64) -> Arc<Prepared> {
    let all: Vec<u16> = (0..craft.n()).collect();
    craft.prepared_by(craft.assigned(view, height, &payload(height)), &all)
}

/// The longest that its check lets pass: every slot of the window, each signed by all, and so the
/// checkpoint.
fn longest_change(craft: &Craft, node: u16, view: u64, prepared_in: u64) -> ViewChange {
    let window = EVERY + 1..=3 * EVERY;
    let prepared: Vec<_> = window.map(|it| by_all(craft, prepared_in, it)).collect();
    let mut it = craft.change(node, view, EVERY, &prepared);
    let mut stable = (**it.checkpoint.as_ref().unwrap()).clone();
    let statement = stable.statement(&craft.verifier.context);
    assert_eq!(statement.slot.kind, Kind::Checkpoint);
    let signed = (0..craft.n()).map(|node| (NodeId(node), craft.sign(node, &statement)));
    stable.certificate = Certificate::collect(signed);
    it.checkpoint = Some(Arc::new(stable));
    it
}

#[test]
fn the_longest_view_change_and_new_view_are_as_long_as_is_said() {
    for n in [4u16, 5, 6, 7, 10] {
        let craft = Craft::new(n);
        let q = craft.quorum();
        let most = NewView::longest(n as usize, q, EVERY);
        // Each has prepared all slots in another view: the worst that can be named.
        let changes =
            (0..q as u16).map(|node| longest_change(&craft, node, 90, u64::from(node) + 1));
        let changes: Vec<ViewChange> = changes.collect();
        let opened = craft.new_view(90, &changes);
        let change = Message::ViewChange(Box::new(changes[0].clone()));
        let author = NodeId(craft.primary(90));
        let opened = Message::NewView(Arc::new(opened));
        crypto::Authenticate::check(&opened, author, &craft.verifier).unwrap();
        let (change, opened) = (codec::encode(&change).len(), codec::encode(&opened).len());
        assert!(
            change < opened && opened <= most,
            "n {n}: {opened} of {most}"
        );
        // It allows for a checkpoint of each, and these have the same.
        let slack = q * (300 + 64 * n as usize);
        assert!(opened + slack >= most, "n {n}: {opened} of {most}");
    }
}

/// Whatever liars prove, and however often: one view change of each is kept, of no more slots than
/// the window has.
#[test]
fn of_each_member_one_view_change_is_kept_and_none_beyond_the_window() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let craft = Craft::new(n);
        let f = craft.quorums.f as u16;
        for view in (10..200).step_by(10) {
            for liar in 1..=f {
                let it = longest_change(&craft, liar, view, view - 1);
                solo.deliver(liar, Message::ViewChange(Box::new(it)));
            }
        }
        assert_eq!(solo.others_who_want_more_than(0), f as usize);
        assert_eq!(solo.others_who_want_more_than(189), f as usize);
        assert_eq!(solo.wanted(), 1, "n {n}");
        // One slot more than the window has is refused as a whole.
        let mut prepared: Vec<_> = (1..=2 * EVERY).map(|it| by_all(&craft, 1, it)).collect();
        prepared.push(by_all(&craft, 1, 2 * EVERY + 1));
        let more = craft.view_change(f + 1, 500, 0, &prepared);
        solo.deliver(f + 1, more);
        assert_eq!(solo.rejects, [crypto::Reject::Malformed]);
        assert_eq!(solo.wanted(), 1, "n {n}: it is not counted");
    }
}

/// The others are a window further: it hears of what is stable there. Returns up to where.
fn fall_behind(solo: &mut Solo, round: u64) -> u64 {
    let low = round * 3 * EVERY;
    if low > 0 {
        let reached = Reached::Stable(solo.craft.stable(low));
        solo.deliver(2, Message::Certificate(reached));
    }
    low
}

/// One that lags hears of what is stable elsewhere again and again, and of slots above it each time:
/// what lies between is fetched when it comes to that, and not kept until then.
#[test]
fn one_who_lags_behind_checkpoint_after_checkpoint_keeps_two_windows_at_most() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let craft = Craft::new(n);
        for round in 0..20 {
            let low = fall_behind(&mut solo, round);
            // All but the next one, which it lacks.
            for height in low + 2..=low + 3 * EVERY {
                let assigned = craft.assigned(1, height, &payload(height));
                solo.deliver(2, craft.prepare(2, assigned));
                solo.deliver(3, craft.commit(3, assigned));
            }
            let slots = solo.replica.log.slots().count();
            assert!(
                slots as u64 <= 6 * EVERY,
                "n {n}, round {round}: {slots} slots"
            );
        }
        assert_eq!(solo.replica.log.committed(), Height(0));
        assert_eq!(solo.replica.log.low(), Height(57 * EVERY));
    }
}

/// It lags, and cannot get at the payload of the slots that it hears of: whatever it does not keep any
/// more it does not ask for any more (seed 4770).
#[test]
fn questions_about_slots_that_are_not_kept_are_dropped() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let craft = Craft::new(n);
        let mut asked = Vec::new();
        for round in 0..20 {
            let low = fall_behind(&mut solo, round);
            // All but the next one, which it lacks.
            for height in low + 2..=low + 2 * EVERY {
                let digest = craft.assigned(1, height, &payload(height)).digest;
                asked.push(slot::question(Height(height), &digest));
                solo.withheld.extend(asked.last().copied());
                solo.pre_prepare(1, height, &payload(height));
            }
            let slots = solo.replica.log.most_slots();
            let mut sizes = Vec::new();
            solo.replica.replication.sizes(slots, &mut sizes);
            let questions = sizes.iter().find(|it| it.name == "questions").unwrap();
            let open = asked.iter().filter(|it| !solo.dropped.contains(it)).count();
            assert!(open <= slots, "n {n}, round {round}: {open} of {slots}");
            assert_eq!(questions.len, open, "n {n}, round {round}");
        }
    }
}

/// Certificates of slots far above are shown by nobody honest: they take no room.
#[test]
fn certificates_beyond_what_is_kept_leave_nothing_behind() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let craft = Craft::new(n);
        for height in [3 * EVERY + 1, 1 << 40, u64::MAX] {
            let prepared = Reached::Prepared(by_all(&craft, 1, height));
            solo.deliver(2, Message::Certificate(prepared));
            let assigned = craft.assigned(1, height, &payload(1));
            let committed = Reached::Committed(craft.committed(assigned));
            solo.deliver(2, Message::Certificate(committed));
        }
        assert_eq!(solo.replica.log.slots().count(), 0, "n {n}");
        assert_eq!(solo.replica.log.low(), Height(0));
    }
}
