//! Opening a view: what is carried over, and what is refused.

use super::super::message::Change;
use super::super::{Assigned, Message, Prepared, Record, rules, slot};
use super::super::{NewView, ViewChange};
use super::cluster::Cluster;
use super::craft::{Craft, EVERY, Solo, payload};
use crate::{Input, To};
use crypto::{Digest, Height, NodeId, Payload, Reject, Time, View};
use std::sync::Arc;

fn digest(number: u64) -> Digest {
    slot::content(&payload(number))
}

fn carried(changes: &[ViewChange]) -> Vec<Digest> {
    let said: Vec<&Change> = changes.iter().map(|it| &it.change).collect();
    rules::carried_over(&said)
}

fn deliver_changes(solo: &mut Solo, view: u64, low: u64, prepared: &[Arc<Prepared>]) {
    let others = (0..solo.craft.n()).filter(|node| *node != solo.me);
    let needed = solo.craft.quorum() - 1;
    for node in others.take(needed).collect::<Vec<_>>() {
        let message = solo.craft.view_change(node, view, low, prepared);
        solo.deliver(node, message);
    }
}

fn opened_by(solo: &Solo) -> Vec<Arc<NewView>> {
    let said = solo.sent.iter().filter_map(|(to, it)| match it {
        Message::NewView(it) if *to == To::All => Some(Arc::clone(it)),
        _ => None,
    });
    said.collect()
}

#[test]
fn of_each_slot_the_digest_of_the_highest_view_is_carried_over() {
    for n in [4, 7] {
        let craft = Craft::new(n);
        let old = craft.prepared_at(1, 2, 12);
        let newer = craft.prepared_at(3, 2, 32);
        let newest = craft.prepared_at(5, 2, 52);
        let one = |node, it: &Arc<Prepared>| craft.change(node, 6, 0, std::slice::from_ref(it));
        let orders = [[&old, &newer, &newest], [&newest, &old, &newer]];
        for order in orders {
            let changes: Vec<_> = (0u16..)
                .zip(order)
                .map(|(node, it)| one(node, it))
                .collect();
            assert_eq!(carried(&changes), [slot::null(), digest(52)]);
        }
        assert_eq!(carried(&[one(0, &newer), one(1, &old)])[1], digest(32));
    }
}

#[test]
fn gaps_are_null_and_nothing_lies_above_the_highest_prepared() {
    let craft = Craft::new(4);
    let sparse = [craft.prepared_at(1, 2, 2), craft.prepared_at(1, 5, 5)];
    let changes = [craft.change(0, 2, 0, &sparse), craft.change(2, 2, 0, &[])];
    let null = slot::null();
    assert_eq!(carried(&changes), [null, digest(2), null, null, digest(5)]);
    assert!(carried(&[craft.change(0, 2, 0, &[])]).is_empty());
    assert!(carried(&[]).is_empty());
}

#[test]
fn slots_begin_above_the_highest_checkpoint_that_is_proven() {
    let craft = Craft::new(4);
    let early = [
        craft.prepared_at(1, 3, 3),
        craft.prepared_at(1, EVERY + 1, 9),
    ];
    let late = [craft.prepared_at(1, EVERY + 2, 10)];
    let changes = [
        craft.change(0, 2, 0, &early),
        craft.change(2, 2, EVERY, &late),
        craft.change(3, 2, 0, &[]),
    ];
    assert_eq!(carried(&changes), [digest(9), digest(10)]);
    let opened = craft.new_view(2, &changes);
    assert_eq!(
        (opened.low(), opened.reach()),
        (Height(EVERY), Height(EVERY + 2))
    );
    assert_eq!(opened.assigned(Height(EVERY)), None);
    assert_eq!(
        opened.assigned(Height(EVERY + 1)).unwrap().digest,
        digest(9)
    );
    assert_eq!(opened.assigned(Height(EVERY + 3)), None);
    assert_eq!(
        opened.all_assigned().last().unwrap().height,
        Height(EVERY + 2)
    );
    // All that lies below is stable.
    let covered = [
        craft.change(0, 2, 0, &early[..1]),
        craft.change(2, 2, EVERY, &[]),
    ];
    assert!(carried(&covered).is_empty());
}

#[test]
fn the_primary_opens_the_view_with_exactly_q_its_own_among_them() {
    for n in [4u16, 5, 6, 7, 10] {
        let mut solo = Solo::start(n, 2);
        let q = solo.craft.quorum();
        for node in (0..n).filter(|node| *node != 2).take(q - 2) {
            let message = solo.craft.view_change(node, 2, 0, &[]);
            solo.deliver(node, message);
        }
        solo.input(Input::Overdue {
            batch: crate::testing::batches::reference(1),
        });
        assert!(opened_by(&solo).is_empty(), "n {n}: one short");
        for node in (0..n).rev().filter(|node| *node != 2) {
            let message = solo.craft.view_change(node, 2, 0, &[]);
            solo.deliver(node, message);
        }
        let opened = opened_by(&solo);
        assert_eq!(opened.len(), 1, "n {n}: once");
        assert_eq!(opened[0].changes.len(), q);
        assert_eq!(solo.view(), 2);
        assert_eq!(solo.leaders, [1, 2]);
    }
}

#[test]
fn a_backup_opens_nothing() {
    let mut solo = Solo::start(4, 0);
    deliver_changes(&mut solo, 2, 0, &[]);
    solo.pass(Time::millis(500));
    assert!(opened_by(&solo).is_empty());
    assert_eq!((solo.view(), solo.wanted()), (1, 2));
}

/// concord-bft #50.
#[test]
fn an_invalid_certificate_masks_no_valid_one() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 2);
        let real = solo.craft.prepared_at(1, 1, 1);
        // A liar claims a higher view for the slot: by the wrong primary, then without a proof.
        let mut forged = (*solo.craft.prepared_at(1, 1, 66)).clone();
        forged.assigned.view = View(1);
        forged.certificate.signatures[0] = crypto::Signature([1; 64]);
        let forged = solo.craft.view_change(3, 2, 0, &[Arc::new(forged)]);
        assert_eq!(solo.try_deliver(3, forged), Err(Reject::BadSignature));
        let far = solo.craft.prepared_at(1, 2 * EVERY + 1, 66);
        let far = solo.craft.view_change(3, 2, 0, &[Arc::clone(&real), far]);
        solo.deliver(3, far);
        assert_eq!(solo.rejects, [Reject::Malformed]);
        let honest = [0, 1].into_iter().chain(4..n).take(solo.craft.quorum() - 1);
        for node in honest.collect::<Vec<_>>() {
            let prepared = std::slice::from_ref(&real);
            let message = solo.craft.view_change(node, 2, 0, prepared);
            solo.deliver(node, message);
        }
        assert_eq!(opened_by(&solo)[0].slots, [digest(1)]);
    }
}

#[test]
fn every_difference_from_what_follows_is_refused() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let craft = Craft::new(n);
        let q = craft.quorum() as u16;
        let (old, new) = (craft.prepared_at(1, 1, 1), craft.prepared_at(3, 1, 3));
        let other = craft.prepared_at(1, 3, 7);
        let mut changes: Vec<_> = (0..q)
            .map(|node| craft.change(node, 6, 0, std::slice::from_ref(&old)))
            .collect();
        changes[1] = craft.change(1, 6, 0, &[new, other]);
        let right = vec![digest(3), slot::null(), digest(7)];
        let author = craft.primary(6);
        let lies: [fn(&mut Vec<Digest>); 7] = [
            |it| it.truncate(2),
            |it| it.clear(),
            |it| it.push(slot::null()),
            |it| it.swap(0, 2),
            |it| it[0] = digest(1),
            |it| it[0] = slot::null(),
            |it| it[1] = digest(9),
        ];
        for (i, lie) in lies.iter().enumerate() {
            let mut slots = right.clone();
            lie(&mut slots);
            let it = craft.new_view_with(6, &changes, slots);
            solo.deliver(author, Message::NewView(Arc::new(it)));
            assert_eq!(solo.rejects.len(), i + 1, "lie {i}");
        }
        assert_eq!(solo.rejects, [Reject::Malformed; 7]);
        assert_eq!(solo.view(), 1);
        let it = craft.new_view_with(6, &changes, right);
        solo.deliver(author, Message::NewView(Arc::new(it)));
        assert_eq!(solo.view(), 6);
    }
}

/// Lower claims change nothing, so they need no proof: a new view is as large as the window, whatever
/// has been prepared again in however many views.
#[test]
fn a_new_view_proves_the_highest_of_each_slot_and_nothing_below_the_checkpoint() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let craft = Craft::new(n);
        let q = craft.quorum() as u16;
        let at = |view, height| craft.prepared_at(view, height, 10 * view + height);
        let shown = |node: u16| match node {
            0 => vec![at(1, 3), at(1, EVERY + 1), at(3, EVERY + 2)],
            1 => vec![at(2, 3), at(2, EVERY + 1)],
            _ => vec![at(3, EVERY + 1), at(1, EVERY + 2)],
        };
        let low = |node| if node < 2 { 0 } else { EVERY };
        let change = |node| craft.change(node, 6, low(node), &shown(node));
        let changes: Vec<_> = (0..q).map(change).collect();
        let opened = craft.new_view(6, &changes);
        let proven: Vec<Assigned> = opened.prepared.iter().map(|it| it.assigned).collect();
        let highest = [at(3, EVERY + 1), at(3, EVERY + 2)].map(|it| it.assigned);
        assert_eq!(proven, highest, "n {n}");
        // Without proof of the highest it is none; one that proves more is not as it should be.
        let author = craft.primary(6);
        let with = |prepared: Vec<Arc<Prepared>>| {
            let mut it = opened.clone();
            it.prepared = prepared;
            Message::NewView(Arc::new(it))
        };
        let lies = [
            vec![at(3, EVERY + 1)],
            vec![at(2, EVERY + 1), at(3, EVERY + 2)],
            vec![at(3, EVERY + 1), at(1, EVERY + 2), at(3, EVERY + 2)],
        ];
        for lie in lies {
            let refused = solo.try_deliver(author, with(lie));
            assert_eq!(refused, Err(Reject::Malformed), "n {n}");
        }
        solo.deliver(author, Message::NewView(Arc::new(opened.clone())));
        assert_eq!(solo.view(), 6);
        assert_eq!(solo.replica.reach(), Height(EVERY + 2));
    }
}

#[test]
fn only_the_primary_of_a_view_opens_it() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let changes: Vec<_> = (0..solo.craft.quorum() as u16)
            .map(|node| solo.craft.change(node, 2, 0, &[]))
            .collect();
        let mut it = solo.craft.new_view(2, &changes);
        it.author = NodeId(3);
        it.signature = solo.craft.sign(3, &it.statement());
        solo.deliver(3, Message::NewView(Arc::new(it)));
        assert_eq!(solo.rejects, [Reject::Malformed]);
        assert_eq!(solo.view(), 1);
        // But anybody may show it.
        let right = Arc::new(solo.craft.new_view(2, &changes));
        solo.deliver(3, Message::Opened(right));
        assert_eq!(solo.view(), 2);
    }
}

#[test]
fn a_view_below_the_wanted_one_is_not_entered() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        deliver_changes(&mut solo, 3, 0, &[]);
        assert_eq!(solo.wanted(), 3);
        let two = solo.craft.opened(2, 0, &[]);
        solo.deliver(2, Message::Opened(two));
        assert_eq!(solo.view(), 1, "it has said that it has no part in it");
        let four = solo.craft.opened(4, 0, &[]);
        solo.deliver(2, Message::Opened(four));
        assert_eq!((solo.view(), solo.wanted()), (4, 4));
    }
}

#[test]
fn a_view_is_durable_before_anything_is_said_in_it() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        solo.slow = true;
        let opened = solo.craft.opened(2, 0, &[]);
        solo.deliver(2, Message::Opened(opened));
        solo.pre_prepare(2, 1, &payload(1));
        assert!(solo.said("prepare").is_empty());
        let stored = solo.records.iter();
        let stored = stored.filter(|it| matches!(it, Record::NewView(it) if it.view == View(2)));
        assert_eq!(stored.count(), 1);
    }
}

#[test]
fn a_backup_holds_the_primary_to_what_is_carried_over() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let prepared = [solo.craft.prepared_at(1, 2, 2)];
        let opened = solo.craft.opened(2, 0, &prepared);
        solo.deliver(2, Message::Opened(opened));
        solo.pre_prepare(2, 1, &payload(9));
        solo.pre_prepare(2, 2, &Payload::EMPTY);
        assert_eq!(solo.rejects, [Reject::Malformed; 2]);
        assert!(solo.said("prepare").is_empty());
        solo.pre_prepare(2, 1, &Payload::EMPTY);
        solo.pre_prepare(2, 2, &payload(2));
        solo.pre_prepare(2, 3, &payload(3));
        assert_eq!(solo.said("prepare"), [(2, 1), (2, 2), (2, 3)]);
    }
}

#[test]
fn a_pre_prepare_of_a_higher_view_waits_for_the_proof_of_the_view() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let assigned = solo.pre_prepare(2, 1, &payload(1));
        // Others are in the view already: their prepares are kept for it.
        solo.prepares(assigned, n as usize);
        assert!(solo.said("prepare").is_empty() && solo.said("commit").is_empty());
        let asked = |it: &(To, Message)| matches!(it.1, Message::AskProgress(_));
        assert!(solo.sent.iter().any(asked));
        let opened = solo.craft.opened(2, 0, &[]);
        solo.deliver(2, Message::Opened(opened));
        assert!(solo.said("commit").is_empty());
        solo.pre_prepare(2, 1, &payload(1));
        assert_eq!(solo.said("commit"), [(2, 1)]);
    }
}

#[test]
fn a_slot_committed_here_is_prepared_and_committed_again_and_executed_once() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let q = solo.craft.quorum();
        solo.order(1, 1, 1);
        let prepared = solo.replica.log.get(Height(1)).unwrap().prepared.clone();
        let opened = solo.craft.opened(2, 0, &[prepared.unwrap()]);
        solo.deliver(2, Message::Opened(opened));
        // Of other content it hears nothing, whoever signs it.
        solo.pre_prepare(2, 1, &payload(2));
        assert_eq!(solo.rejects, [Reject::Malformed]);
        let assigned = solo.pre_prepare(2, 1, &payload(1));
        solo.prepares(assigned, q - 2);
        solo.commits(assigned, q - 1);
        assert!(solo.said("prepare").contains(&(2, 1)));
        assert!(solo.said("commit").contains(&(2, 1)));
        assert_eq!(solo.heights(), [1]);
    }
}

#[test]
fn a_view_that_contradicts_what_is_committed_here_is_not_entered() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        solo.order(1, 1, 1);
        let other = solo.craft.prepared_at(1, 1, 2);
        let opened = solo.craft.opened(2, 0, &[other]);
        solo.deliver(2, Message::Opened(opened));
        assert_eq!(solo.view(), 1);
        assert_eq!(solo.rejects, [Reject::Conflict]);
    }
}

#[test]
fn a_primary_without_the_payload_asks_for_it_and_then_assigns_it() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 2);
        let prepared = [
            solo.craft.prepared_at(1, 1, 1),
            solo.craft.prepared_at(1, 3, 3),
        ];
        deliver_changes(&mut solo, 2, 0, &prepared);
        assert_eq!(solo.said("pre_prepare"), [(2, 2)], "the null one it knows");
        let wanted = solo.sent.iter().find_map(|(_, it)| match it {
            Message::FetchPayloads(it) => Some(it.wanted.clone()),
            _ => None,
        });
        assert_eq!(
            wanted.unwrap(),
            [(Height(1), digest(1)), (Height(3), digest(3))]
        );
        let answer = |payloads: &[(u64, u64)]| {
            let one = |(height, number): &(u64, u64)| (Height(*height), Arc::new(payload(*number)));
            Message::Payloads(super::super::message::Payloads {
                epoch: crypto::Epoch(0),
                payloads: payloads.iter().map(one).collect(),
            })
        };
        solo.deliver(3, answer(&[(1, 7), (3, 1), (9, 9)]));
        assert_eq!(
            solo.said("pre_prepare").len(),
            1,
            "nothing that it asked for"
        );
        solo.deliver(3, answer(&[(1, 1), (3, 3)]));
        assert_eq!(solo.said("pre_prepare"), [(2, 2), (2, 1), (2, 3)]);
        assert_eq!(solo.replica.next_height(), Height(4));
    }
}

fn fetch_payloads(wanted: &[(u64, u64)]) -> Message {
    let wanted = wanted.iter().map(|it| (Height(it.0), digest(it.1)));
    Message::FetchPayloads(super::super::message::FetchPayloads {
        epoch: crypto::Epoch(0),
        wanted: wanted.collect(),
    })
}

/// The payloads that it has told a peer.
fn told(solo: &Solo, peer: u16) -> Vec<(Height, Arc<Payload>)> {
    let answer = solo.sent.iter().find_map(|(to, it)| match it {
        Message::Payloads(it) if *to == To::One(NodeId(peer)) => Some(it.payloads.clone()),
        _ => None,
    });
    answer.unwrap()
}

#[test]
fn payload_is_told_to_the_new_primary() {
    let mut solo = Solo::start(4, 0);
    solo.pre_prepare(1, 1, &payload(1));
    solo.deliver(2, fetch_payloads(&[(1, 1), (1, 2), (7, 1)]));
    assert_eq!(told(&solo, 2), [(Height(1), Arc::new(payload(1)))]);
}

/// A view that does not carry a slot over makes all forget its payload; a certificate of before may
/// come to light in a later view, and its payload is on disk then.
#[test]
fn payload_that_no_memory_holds_is_told_from_the_store() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        solo.pre_prepare(1, 1, &payload(1));
        let opened = solo.craft.opened(2, 0, &[]);
        solo.deliver(2, Message::Opened(opened));
        solo.fill(1);
        let fetch = || fetch_payloads(&[(1, 1), (u64::MAX, 1)]);
        solo.slow_loads = true;
        solo.deliver(3, fetch());
        solo.now = solo.now.plus(Time::millis(5_000));
        solo.deliver(3, fetch());
        assert_eq!(solo.loads.len(), 1, "n {n}: one look for each peer");
        solo.load();
        assert_eq!(told(&solo, 3), [(Height(1), Arc::new(payload(1)))]);
    }
}

/// Nobody else may have it.
#[test]
fn a_new_primary_looks_for_payload_in_its_own_store() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        solo.pre_prepare(1, 1, &payload(1));
        let opened = solo.craft.opened(2, 0, &[]);
        solo.deliver(2, Message::Opened(opened));
        // The next view that it leads carries over what one of the others can prove.
        let view = u64::from(n);
        assert_eq!(solo.craft.primary(view), 0);
        let proven = [solo.craft.prepared_at(1, 1, 1)];
        for node in 1..n {
            let change = solo.craft.view_change(node, view, 0, &proven);
            solo.deliver(node, change);
        }
        assert!(
            solo.said("pre_prepare").contains(&(view, 1)),
            "n {n}: {:?}",
            solo.sent
        );
    }
}

#[test]
fn payload_that_is_not_carried_over_returns_to_the_pool() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        for height in 1..=3 {
            solo.pre_prepare(1, height, &payload(height));
        }
        let opened = solo.craft.opened(2, 0, &[solo.craft.prepared_at(1, 2, 2)]);
        solo.deliver(2, Message::Opened(opened));
        assert_eq!(solo.returned, [payload(1), payload(3)]);
    }
}

#[test]
fn who_lacks_the_checkpoint_votes_meanwhile() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        let prepared = [solo.craft.prepared_at(1, EVERY + 1, 9)];
        let opened = solo.craft.opened(2, EVERY, &prepared);
        solo.deliver(2, Message::Opened(opened));
        assert_eq!(solo.replica.log.low(), Height(EVERY));
        let assigned = solo.pre_prepare(2, EVERY + 1, &payload(9));
        solo.prepares(assigned, solo.craft.quorum() - 2);
        assert_eq!(solo.said("commit"), [(2, EVERY + 1)]);
        let fetches = |it: &(To, Message)| matches!(it.1, Message::FetchSlots(_));
        assert!(solo.sent.iter().any(fetches));
        assert!(solo.heights().is_empty());
    }
}

/// What some have prepared when the primary dies keeps its height (raijin #8). `slots` are
/// submitted one by one; no commit of the first view is delivered.
fn primary_dies_after_prepare(n: u16, slots: u64) -> Cluster {
    let mut cluster = Cluster::new(n);
    cluster.filter = Some(Box::new(
        |_, _, message| matches!(message, Message::Commit(it) if it.assigned.view == View(1)),
    ));
    for number in 1..=slots {
        cluster.submit(number);
        cluster.run(Time::millis(3));
    }
    let prepared = |it: &Cluster| {
        let slots = it.protocol(0).log.slots();
        slots.filter(|(_, slot)| slot.prepared.is_some()).count() as u64
    };
    assert_eq!(prepared(&cluster), slots);
    cluster.crash(1);
    cluster
}

#[test]
fn what_was_prepared_survives_the_view_change() {
    for n in [4, 7] {
        for slots in [1, 2, 5] {
            let mut cluster = primary_dies_after_prepare(n, slots);
            let digest = |cluster: &Cluster, height| {
                let slot = cluster.protocol(0).log.get(Height(height)).unwrap();
                slot.prepared.as_ref().unwrap().assigned.digest
            };
            let before: Vec<Digest> = (1..=slots).map(|h| digest(&cluster, h)).collect();
            cluster.run_until(Time::millis(2_000), "commit", Cluster::all_done);
            let opened = cluster.protocol(0).opened.clone().unwrap();
            assert_eq!(opened.slots, before, "n {n}");
            assert_eq!(cluster.height(0), slots);
        }
    }
}

#[test]
fn a_slot_that_was_never_prepared_is_null_before_one_that_was() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n);
        cluster.filter = Some(Box::new(|_, _, message| match message {
            Message::Commit(it) => it.assigned.view == View(1),
            Message::Prepare(it) => it.assigned.height == Height(1) && it.assigned.view == View(1),
            _ => false,
        }));
        for number in 1..=3 {
            cluster.submit(number);
            cluster.run(Time::millis(3));
        }
        cluster.crash(1);
        cluster.run_until(Time::millis(2_000), "commit", Cluster::all_done);
        let opened = cluster.protocol(0).opened.clone().unwrap();
        assert_eq!(opened.slots[0], slot::null());
        assert_eq!(opened.slots.len(), 3);
        assert_eq!(cluster.height(0), 4, "the first batch came after all");
    }
}

#[test]
fn a_view_change_at_a_checkpoint_and_one_after_another() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n);
        for number in 1..=60 {
            cluster.submit(number);
            cluster.run(Time::millis(2));
            if number.is_multiple_of(7) {
                for i in 0..n {
                    cluster.input(
                        i,
                        Input::Overdue {
                            batch: crate::testing::batches::reference(number),
                        },
                    );
                }
            }
        }
        cluster.run_until(Time::millis(5_000), "commit", Cluster::all_done);
        assert!(cluster.views().iter().all(|view| *view >= 6));
        assert!(cluster.protocol(0).log.low() >= Height(EVERY));
    }
}

#[test]
fn a_certificate_is_orphaned_by_a_newer_view_that_does_not_reach_its_slot() {
    // An orphan: prepared in view 1, not carried over, and its height given to another payload.
    let craft = Craft::new(4);
    let orphan = craft.prepared_at(1, 4, 4);
    let opened = craft.opened(2, 0, &[craft.prepared_at(1, 2, 2)]);
    assert!(rules::is_orphaned(&orphan.assigned, Some(&opened)));
    let newer = Assigned {
        view: View(2),
        ..orphan.assigned
    };
    assert!(!rules::is_orphaned(&newer, Some(&opened)));
    let low = craft.prepared_at(1, 2, 9);
    assert!(!rules::is_orphaned(&low.assigned, Some(&opened)));
    assert!(!rules::is_orphaned(&orphan.assigned, None));
}
