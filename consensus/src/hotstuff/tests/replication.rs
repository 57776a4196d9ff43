//! Rules of voting, locking and committing, each with the hole that it closes.

use super::super::{Message, rules};
use super::craft::{Craft, Solo, payload, round_robin};
use crate::Protocol as _;
use crypto::{Digest, Height, NodeId, Payload, Reject, Time, View};
use std::sync::Arc;

fn solo(n: u16, tenure: u64, me: u16) -> Solo {
    Solo::new(Craft::new(n, round_robin(tenure)), me)
}

#[test]
fn votes_once_a_view_and_the_second_proposal_is_evidence() {
    for n in [4, 7] {
        let mut solo = solo(n, 8, 1);
        let genesis = solo.craft.genesis();
        let (one, two) = (
            solo.craft.block(1, &genesis, payload(1)),
            solo.craft.block(1, &genesis, payload(2)),
        );
        solo.propose(&one);
        solo.propose(&one);
        assert!(
            solo.evidence.is_empty(),
            "a repeated proposal is no conflict"
        );
        solo.propose(&two);
        assert_eq!(solo.voted(), [1]);
        assert_eq!(solo.rejects, [Reject::Conflict]);
        assert_eq!(solo.evidence.len(), 1);
        assert_eq!(solo.evidence[0].node, NodeId(0));
        let Some(super::super::Record::Vote(vote)) = solo
            .records
            .iter()
            .find(|r| matches!(r, super::super::Record::Vote(_)))
        else {
            panic!("the vote is stored")
        };
        assert_eq!(vote.block, one.digest());
    }
}

#[test]
fn two_proposals_of_one_view_at_different_heights_conflict() {
    let mut solo = solo(4, 8, 1);
    let (blocks, certificates) = solo.craft.chain(&[1, 2]);
    solo.propose(&blocks[0]);
    solo.propose(&blocks[1]);
    let three = solo.craft.block(3, &certificates[1], payload(3));
    solo.propose(&three);
    assert_eq!(solo.voted(), [1, 2, 3]);
    let statement = |m: &Message| match m {
        Message::Proposal(p) => p.statement(),
        _ => unreachable!(),
    };
    let other = solo.craft.block(3, &certificates[0], Payload::EMPTY);
    let (a, b) = (solo.craft.proposal(&three), solo.craft.proposal(&other));
    assert_ne!(three.header.height, other.header.height);
    assert_eq!(
        statement(&a).slot,
        statement(&b).slot,
        "one slot a view, whatever the height"
    );
}

#[test]
fn no_vote_below_the_last_vote_or_outside_the_current_view() {
    let mut solo = solo(4, 8, 1);
    let (blocks, certificates) = solo.craft.chain(&[1, 2, 3]);
    solo.certificate(2, &certificates[1]);
    assert_eq!(solo.view(), 3);
    solo.propose(&blocks[0]);
    solo.propose(&blocks[1]);
    assert_eq!(solo.voted(), Vec::<u64>::new(), "views 1 and 2 are over");
    solo.propose(&blocks[2]);
    assert_eq!(solo.voted(), [3]);
}

#[test]
fn a_timeout_bars_votes_in_its_tenure_and_not_in_the_next() {
    for n in [4, 7] {
        let mut solo = solo(n, 4, 2);
        let (blocks, certificates) = solo.craft.chain(&[1, 2, 3]);
        solo.propose(&blocks[0]);
        solo.input(crate::Input::Pending {
            oldest: Some(Time(0)),
        });
        solo.pass(Time::millis(400));
        assert_eq!(solo.gave_up(), [0]);
        solo.propose(&blocks[1]);
        solo.propose(&blocks[2]);
        assert_eq!(
            solo.voted(),
            [1],
            "given up, whatever else happens in the tenure"
        );
        let four = solo.craft.block(4, &certificates[2], Payload::EMPTY);
        solo.propose(&four);
        assert_eq!(solo.voted(), [1, 4]);
    }
}

#[test]
fn the_lock_bars_votes_for_older_branches_until_a_higher_certificate() {
    let mut solo = solo(4, 4, 2);
    let (blocks, certificates) = solo.craft.chain(&[1, 2, 3]);
    blocks.iter().for_each(|block| solo.propose(block));
    solo.certificate(0, &certificates[2]);
    // The certificate of view 3 locks that of view 2.
    assert_eq!(solo.replica.locked.view, View(2));
    // A liar's certificate of the tenure shows the lowest high certificates.
    let signers = [
        (1, &certificates[0]),
        (2, &certificates[0]),
        (3, &certificates[0]),
    ];
    let low = solo.craft.timeout_certificate(0, &signers);
    let fork = solo
        .craft
        .block_after(4, &certificates[0], Some(Arc::clone(&low)), payload(9));
    solo.propose(&fork);
    assert_eq!(solo.voted(), [1, 2, 3], "not against the lock");
    // Others without the lock certify a block of the fork; the branch is then as good.
    let certified = solo.craft.certify(&fork);
    let five = solo.craft.block(5, &certified, Payload::EMPTY);
    solo.propose(&five);
    assert_eq!(
        solo.voted(),
        [1, 2, 3, 5],
        "released by a higher certificate"
    );
}

#[test]
fn no_vote_before_the_parent_is_held_and_its_lock_taken() {
    let mut solo = solo(4, 8, 1);
    let (blocks, certificates) = solo.craft.chain(&[1, 2, 3]);
    solo.propose(&blocks[0]);
    let four = solo.craft.block(4, &certificates[2], Payload::EMPTY);
    solo.propose(&four);
    assert_eq!(solo.view(), 4, "the certificate alone advances the view");
    assert_eq!(solo.voted(), [1], "but never allows a vote");
    let fetch = solo
        .sent
        .iter()
        .filter(|(_, m)| matches!(m, Message::FetchBlocks(_)))
        .count();
    assert_eq!(fetch, 1);
    let blocks = super::super::message::Blocks {
        blocks: blocks[1..].to_vec(),
        certificate: Arc::clone(&certificates[2]),
    };
    solo.deliver(0, Message::Blocks(blocks));
    assert_eq!(solo.voted(), [1, 4]);
    assert_eq!(solo.replica.locked.view, View(2));
}

#[test]
fn no_vote_before_the_payload_is_held() {
    let mut solo = solo(4, 8, 1);
    let genesis = solo.craft.genesis();
    let block = solo.craft.block(1, &genesis, payload(1));
    let digest = block.digest();
    solo.withheld.push(digest);
    solo.propose(&block);
    assert!(solo.voted().is_empty());
    solo.input(crate::Input::Checked {
        block: digest,
        held: Err(crate::Refused::Invalid),
    });
    assert!(solo.voted().is_empty(), "never for an invalid one");
    solo.input(crate::Input::Checked {
        block: digest,
        held: Ok(()),
    });
    assert_eq!(solo.voted(), [1]);
}

#[test]
fn payload_of_a_block_that_lost_its_view_is_not_asked_for_any_more() {
    let mut solo = solo(4, 8, 1);
    let genesis = solo.craft.genesis();
    let block = solo.craft.block(1, &genesis, payload(1));
    solo.withheld.push(block.digest());
    solo.propose(&block);
    assert!(solo.dropped.is_empty());
    for node in [0, 2, 3] {
        let timeout = solo.craft.timeout(node, 0, &genesis, None);
        solo.deliver(node, Message::Timeout(Box::new(timeout)));
    }
    assert_eq!((solo.view(), solo.dropped), (8, vec![block.digest()]));
}

#[test]
fn payload_of_a_certified_block_is_still_asked_for() {
    let mut solo = solo(4, 8, 1);
    let (blocks, certificates) = solo.craft.chain(&[1]);
    solo.withheld.push(blocks[0].digest());
    solo.propose(&blocks[0]);
    solo.certificate(2, &certificates[0]);
    assert_eq!((solo.view(), solo.dropped.len()), (2, 0));
}

#[test]
fn only_the_leader_of_the_view_is_heard() {
    let mut solo = solo(4, 4, 1);
    let genesis = solo.craft.genesis();
    let block = solo.craft.block(1, &genesis, payload(1));
    let message = solo.craft.proposal_by(2, &block);
    solo.deliver(2, message);
    assert_eq!(solo.rejects, [Reject::NotLeader]);
    assert!(solo.voted().is_empty());
}

#[test]
fn a_block_extends_what_is_certified() {
    let mut solo = solo(4, 8, 1);
    let (blocks, certificates) = solo.craft.chain(&[1, 2]);
    blocks.iter().for_each(|block| solo.propose(block));
    let honest = solo.craft.block(3, &certificates[1], Payload::EMPTY);
    let lies: [fn(&mut super::super::Header, &Digest); 4] = [
        |h, other| h.parent = *other,
        |h, _| h.height = Height(7),
        |h, _| h.height = Height(2),
        |h, _| h.view = View(4),
    ];
    for (i, lie) in lies.iter().enumerate() {
        let mut block = (*honest).clone();
        lie(&mut block.header, &blocks[0].digest());
        solo.propose(&Arc::new(block));
        assert_eq!(solo.rejects.len(), i + 1, "lie {i}");
    }
    assert_eq!(solo.rejects, [Reject::Malformed; 4]);
    solo.propose(&honest);
    assert_eq!(solo.voted(), [1, 2, 3]);
}

#[test]
fn every_optional_field_left_out_or_added_is_rejected() {
    let mut solo = solo(4, 4, 2);
    let (blocks, certificates) = solo.craft.chain(&[1]);
    solo.propose(&blocks[0]);
    let high = &certificates[0];
    let entry = solo
        .craft
        .timeout_certificate(0, &[(0, high), (1, high), (3, high)]);
    // Left out where the view does not follow; added where it does.
    let without = solo.craft.block(4, high, Payload::EMPTY);
    let added = solo
        .craft
        .block_after(2, high, Some(Arc::clone(&entry)), Payload::EMPTY);
    solo.propose(&without);
    solo.propose(&added);
    assert_eq!(solo.rejects, [Reject::Malformed; 2]);
    // A timeout of tenure 1 without its entry proof, or with one that it does not need.
    let timeout = |entry| Message::Timeout(Box::new(solo.craft.timeout(0, 1, high, entry)));
    let without = timeout(None);
    let right = timeout(Some(Arc::clone(&entry)));
    let mut early = solo.craft.timeout(0, 0, high, Some(Arc::clone(&entry)));
    early.vote = None;
    solo.deliver(0, without);
    solo.deliver(0, Message::Timeout(Box::new(early)));
    assert_eq!(solo.rejects, [Reject::Malformed; 4]);
    assert_eq!(solo.view(), 1);
    solo.deliver(0, right);
    assert_eq!(solo.rejects.len(), 4);
    assert_eq!(solo.view(), 4);
}

#[test]
fn a_timeout_certificate_leads_into_the_next_tenure_only_on_its_highest_certificate() {
    let mut solo = solo(4, 4, 2);
    let (blocks, certificates) = solo.craft.chain(&[1, 2]);
    blocks.iter().for_each(|block| solo.propose(block));
    let signers = [
        (0, &certificates[0]),
        (1, &certificates[1]),
        (3, &certificates[0]),
    ];
    let entry = solo.craft.timeout_certificate(0, &signers);
    let low = solo
        .craft
        .block_after(4, &certificates[0], Some(Arc::clone(&entry)), payload(7));
    let late = solo
        .craft
        .block_after(5, &certificates[1], Some(Arc::clone(&entry)), payload(7));
    solo.propose(&low);
    solo.propose(&late);
    assert_eq!(solo.rejects, [Reject::Malformed; 2]);
    let right = solo
        .craft
        .block_after(4, &certificates[1], Some(entry), payload(7));
    solo.propose(&right);
    assert_eq!(solo.voted(), [1, 2, 4]);
}

#[test]
fn commits_need_three_consecutive_views() {
    let commits = |views: &[u64]| {
        let craft = Craft::new(4, round_robin(1));
        let mut solo = Solo::new(craft, 1);
        let (blocks, certificates) = solo.craft.chain(views);
        let answer = super::super::message::Blocks {
            blocks: blocks.clone(),
            certificate: Arc::clone(certificates.last().unwrap()),
        };
        solo.certificate(2, certificates.last().unwrap());
        solo.deliver(2, Message::Blocks(answer));
        solo.heights()
    };
    assert_eq!(commits(&[1, 2, 3]), [1]);
    assert_eq!(commits(&[1, 2, 3, 4]), [1, 2]);
    assert_eq!(commits(&[1, 2, 4]), [0u64; 0]);
    assert_eq!(commits(&[1, 3, 4]), [0u64; 0]);
    assert_eq!(commits(&[1, 3, 5, 7]), [0u64; 0]);
    assert_eq!(commits(&[2, 3, 4]), [1], "the anchor need not be adjacent");
    // Uncommitted ancestors come with it, oldest first, each once.
    assert_eq!(commits(&[1, 2, 4, 5, 7, 8, 9]), [1, 2, 3, 4, 5]);
    assert_eq!(
        commits(&[1, 2, 4, 5, 7, 8, 9, 10, 12, 13, 14]),
        [1, 2, 3, 4, 5, 6, 7, 8, 9]
    );
}

/// n = 4, replica 3 leads every view and lies: fork b (views 1, 3, 5) goes to A and B, fork c
/// (views 2, 4, 6) to B and C; all time out after each view. All six blocks are certified.
#[test]
#[expect(clippy::too_many_lines, reason = "a schedule is read in one piece")]
fn the_six_views_of_two_forks_commit_nothing() {
    let leaders = crate::LeaderSchedule::Scripted {
        tenure: 1,
        leaders: vec![NodeId(3)],
    };
    let mut honest: Vec<Solo> = (0..3)
        .map(|i| Solo::new(Craft::new(4, leaders.clone()), i))
        .collect();
    let craft = Craft::new(4, leaders.clone());
    let mut tips = [craft.genesis(), craft.genesis()];
    let mut entry = None;
    let high_views = [0, 0, 1, 2, 3];
    for view in 1..=6u64 {
        let fork = (view as usize + 1) % 2;
        let camp: [u16; 2] = if fork == 0 { [0, 1] } else { [1, 2] };
        let justify = Arc::clone(&tips[fork]);
        let timeout = if view == justify.view.0 + 1 {
            None
        } else {
            entry.take()
        };
        let block = craft.block_after(view, &justify, timeout, payload(view));
        for i in camp {
            let before = honest[i as usize].voted().len();
            honest[i as usize].propose(&block);
            assert_eq!(
                honest[i as usize].voted().len(),
                before + 1,
                "replica {i} votes in view {view}"
            );
        }
        tips[fork] = craft.certify_by(&block, &[camp[0], camp[1], 3]);
        if view == 6 {
            break;
        }
        // The two lowest honest high certificates, and the liar's.
        let mut highs: Vec<_> = (0..3u16)
            .map(|i| (i, Arc::clone(&honest[i as usize].replica.high)))
            .collect();
        highs.sort_by_key(|(_, high)| high.view);
        let liar = craft.genesis();
        let signers = [
            (highs[0].0, &highs[0].1),
            (highs[1].0, &highs[1].1),
            (3, &liar),
        ];
        let certificate = craft.timeout_certificate(view, &signers);
        assert_eq!(
            certificate.high.view.0,
            high_views[view as usize - 1],
            "after view {view}"
        );
        for solo in &mut honest {
            let pair = super::super::message::CertificatePair {
                quorum: Arc::clone(&certificate.high),
                timeout: Some(Arc::clone(&certificate)),
            };
            solo.deliver(3, Message::Certificate(pair));
            assert_eq!(solo.view(), view + 1);
        }
        entry = Some(certificate);
    }
    // Now both forks' certificates come out.
    let (b, c) = (&tips[0], &tips[1]);
    for solo in &mut honest {
        solo.certificate(3, b);
        solo.certificate(3, c);
        assert!(
            solo.commits.is_empty(),
            "three certified blocks, but not in consecutive views"
        );
    }
    assert!(honest[0].replica.log.committed_by(&b.block).is_none());
    let chain = honest[0].replica.log.chain(&b.block).unwrap();
    assert_eq!(
        chain.len(),
        3,
        "A holds the whole fork: without the condition it would commit"
    );
    let views: Vec<u64> = chain
        .iter()
        .map(|entry| entry.block.header.view.0)
        .collect();
    assert_eq!(views, [1, 3, 5]);
    let chain: Vec<_> = chain.iter().map(|entry| &entry.block.header).collect();
    assert!(!rules::commits(chain[0], chain[1], chain[2]));
}

#[test]
fn an_equivocating_voter_keeps_his_first_vote() {
    for n in [4u16, 7] {
        let mut solo = solo(n, 8, 0);
        let genesis = solo.craft.genesis();
        let (real, fake) = (
            solo.craft.block(1, &genesis, payload(1)),
            solo.craft.block(1, &genesis, payload(2)),
        );
        solo.pool.push(1);
        solo.input(crate::Input::Pending {
            oldest: Some(Time(0)),
        });
        assert_eq!(solo.proposed(), [Arc::clone(&real)]);
        // One votes twice for it, then for another: neither counts again, nor takes anything away.
        for vote in [&real, &real, &fake] {
            let vote = solo.craft.vote(1, vote);
            solo.deliver(1, Message::Vote(vote));
        }
        assert_eq!(solo.evidence.len(), 1);
        assert_eq!(solo.view(), 1);
        let enough = solo.craft.quorum() as u16;
        for i in 2..enough {
            let vote = solo.craft.vote(i, &real);
            solo.deliver(i, Message::Vote(vote));
        }
        assert_eq!(
            solo.view(),
            2,
            "the own vote, the equivocator's first, and the others"
        );
    }
}

#[test]
fn a_duplicate_vote_neither_counts_nor_disturbs() {
    let mut solo = solo(7, 8, 0);
    solo.pool.push(1);
    solo.input(crate::Input::Pending {
        oldest: Some(Time(0)),
    });
    let block = Arc::clone(&solo.proposed()[0]);
    for i in [1, 1, 2, 2, 2, 3, 1, 3] {
        let vote = solo.craft.vote(i, &block);
        solo.deliver(i, Message::Vote(vote));
        assert_eq!(solo.view(), 1, "four of five");
    }
    let vote = solo.craft.vote(4, &block);
    solo.deliver(4, Message::Vote(vote));
    assert_eq!(solo.view(), 2);
    assert!(solo.evidence.is_empty());
}

#[test]
fn payload_of_a_block_that_lost_its_place_returns_to_the_pool() {
    let mut solo = solo(4, 4, 2);
    let (blocks, certificates) = solo.craft.chain(&[1, 2]);
    blocks.iter().for_each(|block| solo.propose(block));
    let lost = solo.craft.block(3, &certificates[1], payload(99));
    solo.propose(&lost);
    let high = &certificates[1];
    let entry = solo
        .craft
        .timeout_certificate(0, &[(0, high), (1, high), (3, high)]);
    let mut justify = Arc::clone(high);
    let mut timeout = Some(entry);
    for view in 4..=7 {
        let block = solo
            .craft
            .block_after(view, &justify, timeout.take(), Payload::EMPTY);
        solo.propose(&block);
        justify = solo.craft.certify(&block);
    }
    assert_eq!(solo.heights(), [1, 2, 3]);
    assert_eq!(solo.returned, [payload(99)]);
}

#[test]
fn uncertified_blocks_are_capped() {
    let mut solo = solo(4, 1, 2);
    let genesis = solo.craft.genesis();
    let mut entry = None;
    for view in 1..=300u64 {
        let block = solo
            .craft
            .block_after(view, &genesis, entry.take(), payload(view));
        solo.propose(&block);
        let signers = [(0, &genesis), (1, &genesis), (3, &genesis)];
        entry = Some(solo.craft.timeout_certificate(view, &signers));
    }
    assert_eq!(solo.voted().len(), 300);
    let held = (1..=300).map(|view| solo.replica.log.of_view(View(view)).count());
    assert!(held.sum::<usize>() <= super::super::log::MAX_UNCERTIFIED);
    assert_eq!(
        solo.replica.log.of_view(View(300)).count(),
        1,
        "the block voted for last is kept"
    );
}

/// While the block of the high certificate is missing, proposals of all views are taken for the blocks
/// in them; each of those views was then remembered.
#[test]
fn proposals_of_old_views_are_not_remembered() {
    let mut solo = solo(4, 8192, 1);
    let views: Vec<u64> = (1..=200).collect();
    let (blocks, certificates) = solo.craft.chain(&views);
    solo.certificate(3, &certificates[199]);
    blocks[50..150].iter().for_each(|block| solo.propose(block));
    let mut sizes = Vec::new();
    solo.replica.sizes(&mut sizes);
    let seen = sizes.iter().find(|it| it.name == "views with proposals");
    let seen = seen.unwrap();
    assert!(seen.len <= seen.cap, "{seen:?}");
    blocks.iter().for_each(|block| solo.propose(block));
    assert_eq!(solo.heights().len(), 198, "and they serve to catch up");
}

/// How many blocks it has stored.
fn stored(solo: &Solo) -> usize {
    let block = |it: &&super::super::Record| matches!(it, super::super::Record::Block(_));
    solo.records.iter().filter(block).count()
}

/// Of old views nothing was remembered, so that a liar who led one could fill the disk with blocks of
/// it, each on a parent that is held.
#[test]
fn blocks_of_an_old_view_are_not_stored_without_their_certificate() {
    let mut solo = solo(4, 8192, 1);
    let (blocks, certificates) = solo.craft.chain(&[1, 2, 3]);
    solo.propose(&blocks[0]);
    solo.certificate(3, &certificates[2]);
    assert_eq!(stored(&solo), 1);
    for number in 100..1_100 {
        for justify in [&solo.craft.genesis(), &certificates[0]] {
            let view = justify.view.0 + 1;
            let other = solo.craft.block(view, justify, payload(number));
            solo.propose(&other);
        }
    }
    assert_eq!(stored(&solo), 1);
    solo.propose(&blocks[1]);
    solo.propose(&blocks[2]);
    assert_eq!(stored(&solo), 3, "those of the chain are");
    assert_eq!(solo.heights(), [1]);
}

/// Neither memory that is capped nor a tree that is can tell which views had their block: a liar comes
/// back to those that were forgotten.
#[test]
fn blocks_of_many_old_views_are_not_stored_without_their_certificates() {
    let mut solo = solo(4, 1, 1);
    let genesis = solo.craft.genesis();
    let entry = |view: u64| {
        let signers = [(0, &genesis), (2, &genesis), (3, &genesis)];
        (view > 1).then(|| solo.craft.timeout_certificate(view - 1, &signers))
    };
    let entries: Vec<_> = (0..=200).map(entry).collect();
    let block = |solo: &Solo, view: usize, number| {
        let timeout = entries[view].clone();
        solo.craft
            .block_after(view as u64, &genesis, timeout, payload(number))
    };
    let certified = block(&solo, 100, 0);
    let pair = super::super::message::CertificatePair {
        quorum: solo.craft.certify(&certified),
        timeout: entries[200].clone(),
    };
    solo.deliver(3, Message::Certificate(pair));
    assert_eq!((solo.view(), solo.replica.high.view.0), (200, 100));
    for number in 1..=10 {
        for view in 1..200 {
            let other = block(&solo, view, 1_000 * number + view as u64);
            solo.propose(&other);
        }
    }
    assert_eq!(stored(&solo), 0);
    solo.propose(&certified);
    assert_eq!(stored(&solo), 1, "what is certified is");
}
