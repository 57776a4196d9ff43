//! Bugs that others had, each tried here under its name, for one fault and for two.

use super::super::message::Blocks;
use super::super::{Message, QuorumCertificate};
use super::cluster::Cluster;
use super::craft::{Craft, Solo, payload, round_robin};
use crate::Input;
use crypto::{Certificate, NodeId, Payload, Reject, Signature, Time, View};
use std::sync::Arc;

/// One fault and two.
const SIZES: [u16; 2] = [4, 7];

/// A leader that has proposed in view 1, and its block.
fn leader(n: u16) -> (Solo, Arc<super::super::Block>) {
    let mut solo = Solo::new(Craft::new(n, round_robin(64)), 0);
    solo.pool.push(1);
    solo.input(Input::Pending {
        oldest: Some(Time(0)),
    });
    let block = Arc::clone(&solo.proposed()[0]);
    (solo, block)
}

/// relab/hotstuff #249: the chained commit rule was taken without consecutive views.
#[test]
fn relab_249_a_skipped_view_commits_nothing() {
    for n in SIZES {
        for (views, committed) in [
            (&[1, 2, 3][..], &[1][..]),
            (&[1, 2, 4, 5][..], &[][..]),
            (&[1, 3, 4, 6, 7, 9][..], &[][..]),
            (&[1, 3, 4, 6, 7, 8][..], &[1, 2, 3, 4][..]),
        ] {
            let mut solo = Solo::new(Craft::new(n, round_robin(1)), 1);
            let (blocks, certificates) = solo.craft.chain(views);
            let certificate = Arc::clone(certificates.last().unwrap());
            solo.certificate(2, &certificate);
            let answer = Blocks {
                blocks,
                certificate,
            };
            solo.deliver(2, Message::Blocks(answer));
            assert_eq!(solo.heights(), committed, "n {n}, views {views:?}");
        }
    }
}

/// libhotstuff #21: the result of the certificate's check was ignored.
#[test]
fn libhotstuff_21_a_proposal_with_a_bad_certificate_earns_no_vote() {
    for n in SIZES {
        let mut solo = Solo::new(Craft::new(n, round_robin(64)), 2);
        let craft = solo.craft.clone();
        let first = craft.block(1, &craft.genesis(), payload(1));
        solo.propose(&first);
        let good = craft.certify(&first);
        let with = |change: &dyn Fn(&mut QuorumCertificate)| {
            let mut bad = (*good).clone();
            change(&mut bad);
            craft.block(2, &Arc::new(bad), payload(2))
        };
        let short: Vec<u16> = (0..craft.quorum() as u16 - 1).collect();
        let bad = [
            with(&|it| *it = (*craft.certify_by(&first, &short)).clone()),
            with(&|it| it.certificate.signatures[1] = Signature([7; 64])),
            with(&|it| it.certificate.signatures.swap(0, 1)),
            with(&|it| it.certificate = Certificate::collect([])),
            with(&|it| it.block = crypto::Digest([3; 32])),
        ];
        for (i, block) in bad.iter().enumerate() {
            let proposal = craft.proposal(block);
            assert!(solo.try_deliver(0, proposal).is_err(), "n {n}, {i}");
        }
        assert_eq!((solo.voted(), solo.view()), (vec![1], 1), "n {n}");
        solo.propose(&craft.block(2, &good, payload(2)));
        assert_eq!(solo.voted(), [1, 2], "n {n}");
    }
}

/// relab/hotstuff #289: the view was outside of what is signed.
#[test]
fn relab_289_the_same_signatures_certify_no_other_view() {
    for n in SIZES {
        let mut solo = Solo::new(Craft::new(n, round_robin(64)), 2);
        let craft = solo.craft.clone();
        let first = craft.block(1, &craft.genesis(), payload(1));
        solo.propose(&first);
        for view in [2, 3, 1 << 40] {
            let mut moved = (*craft.certify(&first)).clone();
            moved.view = View(view);
            let block = craft.block(view + 1, &Arc::new(moved), payload(2));
            let from = craft.leader(view + 1);
            let error = solo.try_deliver(from, craft.proposal(&block)).unwrap_err();
            assert_eq!(error, Reject::BadSignature, "n {n}, view {view}");
        }
        assert_eq!(solo.view(), 1, "n {n}");
    }
}

/// nethermind #11027: signatures were counted, not signers.
#[test]
fn nethermind_11027_many_signatures_of_one_key_are_one_vote() {
    for n in SIZES {
        let (mut solo, block) = leader(n);
        for _ in 0..2 * n {
            let vote = solo.craft.vote(1, &block);
            solo.deliver(1, Message::Vote(vote));
        }
        assert_eq!(solo.view(), 1, "n {n}: its own vote and one other");
        // Nor do they fit into a certificate, under one name or under several.
        let craft = solo.craft.clone();
        let good = craft.certify(&block);
        let one = craft.vote(1, &block).signature;
        let q = craft.quorum();
        let named: crypto::NodeSet = (0..q as u16).map(NodeId).collect();
        for signers in [[NodeId(1)].into_iter().collect(), named] {
            let mut bad = (*good).clone();
            bad.certificate = Certificate {
                signers,
                signatures: vec![one; q],
            };
            let next = craft.block(2, &Arc::new(bad), Payload::EMPTY);
            assert!(solo.try_deliver(0, craft.proposal(&next)).is_err());
        }
        assert_eq!(solo.view(), 1, "n {n}");
    }
}

/// relab/hotstuff #244: a second copy of a vote stopped the certificate.
#[test]
fn relab_244_every_message_sent_twice() {
    for n in SIZES {
        let mut cluster = Cluster::new(n, round_robin(8));
        cluster.net.twice = 100;
        for number in 1..=30 {
            cluster.submit(number);
            cluster.run(Time::millis(3));
        }
        cluster.run_until(Time::millis(100), "commit", Cluster::all_done);
        assert!(cluster.view(0) > 8, "n {n}: leaders took turns");
        let timeouts = |it: &Option<crate::Status>| it.as_ref().unwrap().timeouts;
        assert!(cluster.statuses().iter().all(|it| timeouts(it) == 0));
    }
}

/// relab/hotstuff #224 and #227: one bad share poisoned the aggregate.
#[test]
fn relab_224_one_bad_vote_among_good_ones() {
    for n in SIZES {
        let (mut solo, block) = leader(n);
        let mut bad = solo.craft.vote(1, &block);
        bad.signature = Signature([9; 64]);
        let error = solo.try_deliver(1, Message::Vote(bad)).unwrap_err();
        assert_eq!(error, Reject::BadSignature);
        for voter in 2..solo.craft.quorum() as u16 {
            let vote = solo.craft.vote(voter, &block);
            solo.deliver(voter, Message::Vote(vote));
        }
        assert_eq!(solo.view(), 1, "n {n}: one is missing");
        // It is not held against its author's good one, which comes later.
        let vote = solo.craft.vote(1, &block);
        solo.deliver(1, Message::Vote(vote));
        assert_eq!(solo.view(), 2, "n {n}");
    }
}

/// malachite #850 and #864: a proposer that was started again in the middle of its view proposed
/// something else.
#[test]
fn malachite_850_a_restart_in_mid_view_proposes_the_same() {
    for n in SIZES {
        let (solo, first) = leader(n);
        let mut solo = solo.restart();
        solo.pool = vec![2];
        solo.input(Input::Pending {
            oldest: Some(Time(0)),
        });
        let said = solo.sent.iter().filter_map(|(_, message)| match message {
            Message::Proposal(it) => Some(&it.block),
            _ => None,
        });
        let said: Vec<_> = said.collect();
        assert!(
            !said.is_empty() && said.iter().all(|it| **it == first),
            "n {n}"
        );
    }
}

/// radix #243: the current view was restored from the highest certificate only.
#[test]
fn radix_243_a_restart_after_a_timeout_certificate_keeps_its_view() {
    for n in SIZES {
        let mut solo = Solo::new(Craft::new(n, round_robin(4)), 3);
        let craft = solo.craft.clone();
        let genesis = craft.genesis();
        let q = craft.quorum() as u16;
        let signers: Vec<_> = (0..q).map(|node| (node, &genesis)).collect();
        let entry = craft.timeout_certificate(0, &signers);
        let block = craft.block_after(4, &genesis, Some(entry), payload(1));
        solo.propose(&block);
        assert_eq!((solo.view(), solo.voted()), (4, vec![4]), "n {n}");
        let mut solo = solo.restart();
        assert_eq!(solo.view(), 4, "n {n}");
        // What it signed before is not signed otherwise.
        let other = craft.block(1, &genesis, payload(9));
        solo.propose(&other);
        assert!(solo.voted().iter().all(|view| *view == 4), "n {n}");
    }
}

/// tari #2649 and monad-bft #2214: who equivocates took its first vote back.
#[test]
fn monad_2214_a_second_vote_takes_the_first_one_not_back() {
    for n in SIZES {
        let (mut solo, block) = leader(n);
        let craft = solo.craft.clone();
        let other = craft.block(1, &craft.genesis(), payload(2));
        solo.deliver(1, Message::Vote(craft.vote(1, &block)));
        solo.deliver(1, Message::Vote(craft.vote(1, &other)));
        let mut bad = craft.vote(1, &block);
        bad.signature = Signature([9; 64]);
        assert!(solo.try_deliver(1, Message::Vote(bad)).is_err());
        for voter in 2..craft.quorum() as u16 {
            solo.deliver(voter, Message::Vote(craft.vote(voter, &block)));
        }
        assert_eq!(solo.view(), 2, "n {n}: with the first of the equivocator");
        assert_eq!(solo.evidence.len(), 1, "n {n}");
    }
}

/// asonnino/hotstuff #7 and narwhal #3: votes for rounds far ahead exhausted memory.
#[test]
fn asonnino_7_votes_for_far_views_take_no_memory() {
    for n in SIZES {
        let mut solo = Solo::new(Craft::new(n, round_robin(8)), 0);
        let craft = solo.craft.clone();
        let genesis = craft.genesis();
        for view in (1..2_000).chain([1 << 30, u64::MAX - 1]) {
            for voter in 1..=craft.quorums.f as u16 {
                let block = craft.block(view, &genesis, payload(view));
                solo.deliver(voter, Message::Vote(craft.vote(voter, &block)));
            }
        }
        assert!(solo.replica.replication.votes_kept() <= 64, "n {n}");
        let mut sizes = Vec::new();
        crate::Protocol::sizes(&solo.replica, &mut sizes);
        assert!(sizes.iter().all(|it| it.len <= it.cap), "n {n}: {sizes:?}");
    }
}

/// FISCO-BCOS #2211: one huge view number, and views changed for ever.
#[test]
fn fisco_2211_one_liar_with_huge_tenures_moves_nobody() {
    for n in SIZES {
        let mut cluster = Cluster::new(n, round_robin(8));
        let craft = Craft::new(n, round_robin(8));
        let genesis = craft.genesis();
        for round in 1..=20 {
            // What it can sign: tenures that it has no proof of.
            let liar = n - 1;
            let huge = craft.timeout(liar, u64::MAX / 16 + round, &genesis, None);
            for to in 0..n - 1 {
                cluster.inject(liar, to, Message::Timeout(Box::new(huge.clone())));
            }
            cluster.submit(round);
            cluster.run(Time::millis(5));
        }
        cluster.run_until(Time::millis(200), "commit", |it| it.done(0));
        assert!((0..n - 1).all(|i| cluster.view(i) < 200), "n {n}");
        assert_eq!(cluster.statuses()[0].as_ref().unwrap().timeouts, 0);
    }
}
