//! Bugs that others had, each tried here under its name, for one fault and for two. Those whose rule
//! has a test of its own anyway are found there.

use super::super::message::Message;
use super::cluster::Cluster;
use super::craft::{Craft, EVERY, Solo, payload};
use crypto::{Reject, Signature, Time};

/// One fault and two.
const SIZES: [u16; 2] = [4, 7];

/// relab/hotstuff #244: a second copy of a vote stopped the certificate.
#[test]
fn relab_244_every_message_sent_twice() {
    for n in SIZES {
        let mut cluster = Cluster::new(n);
        cluster.net.twice = 100;
        for number in 1..=30 {
            cluster.submit(number);
            cluster.run(Time::millis(3));
        }
        cluster.run_until(Time::millis(100), "commit", Cluster::all_done);
        assert!((0..n).all(|i| cluster.view(i) == 1), "n {n}");
    }
}

/// relab/hotstuff #224 and #227: one bad share poisoned the aggregate.
#[test]
fn relab_224_one_bad_vote_among_good_ones() {
    for n in SIZES {
        let mut solo = Solo::start(n, 0);
        let assigned = solo.pre_prepare(1, 1, &payload(1));
        let craft = solo.craft.clone();
        let primary = craft.primary(1);
        let others: Vec<u16> = (0..n).filter(|it| *it != 0 && *it != primary).collect();
        let bad = |message: Message| match message {
            Message::Prepare(mut it) => {
                it.signature = Signature([9; 64]);
                Message::Prepare(it)
            }
            Message::Commit(mut it) => {
                it.signature = Signature([9; 64]);
                Message::Commit(it)
            }
            other => other,
        };
        let first = others[0];
        for vote in [
            craft.prepare(first, assigned),
            craft.commit(first, assigned),
        ] {
            let error = solo.try_deliver(first, bad(vote)).unwrap_err();
            assert_eq!(error, Reject::BadSignature);
        }
        // It is not held against its author's good ones, nor against the others'.
        for node in &others {
            solo.deliver(*node, craft.prepare(*node, assigned));
        }
        for node in others.iter().chain([&primary]) {
            solo.deliver(*node, craft.commit(*node, assigned));
        }
        assert_eq!(solo.heights(), [1], "n {n}");
    }
}

/// nandatown #191: a check was skipped when its field was left out. Of a view change the checkpoint
/// may be left out, if it names none, and the certificates of what it has prepared, if that is
/// nothing.
#[test]
fn nandatown_191_every_optional_field_left_out() {
    for n in SIZES {
        let mut solo = Solo::start(n, 0);
        let craft = Craft::new(n);
        let prepared = craft.prepared_at(1, EVERY + 1, 1);
        let whole = craft.change(1, 2, EVERY, &[prepared]);
        let mut without = [whole.clone(), whole.clone(), whole.clone()];
        without[0].checkpoint = None;
        without[1].prepared.clear();
        without[2].change.prepared.clear();
        for (i, it) in without.into_iter().enumerate() {
            let it = Message::ViewChange(Box::new(it));
            assert!(solo.try_deliver(1, it).is_err(), "n {n}, {i}");
        }
        assert_eq!(solo.replica.changes.heard(), 0, "n {n}");
        solo.deliver(1, Message::ViewChange(Box::new(whole)));
        assert_eq!(solo.replica.changes.heard(), 1, "n {n}");
    }
}
