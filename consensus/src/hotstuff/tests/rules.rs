//! The rules at their limits, one by one: in a cluster another rule often bars what one of them lets pass.

use super::super::message::{Timeout, Vote};
use super::super::rules::{
    Voter, extends_certified, is_of_its_tenure, may_vote, raises_lock, timeout_is_proven,
};
use super::super::{Header, QuorumCertificate, TimeoutCertificate};
use crate::LeaderSchedule;
use crypto::*;
use std::sync::Arc;

/// Tenures of four views: 1 to 3, 4 to 7, 8 to 11.
const LEADERS: LeaderSchedule = LeaderSchedule::RoundRobin { tenure: 4 };

fn certified(view: u64, height: u64) -> Arc<QuorumCertificate> {
    Arc::new(QuorumCertificate {
        view: View(view),
        height: Height(height),
        block: Digest([view as u8; 32]),
        certificate: Certificate::collect([]),
    })
}

fn header(view: u64, height: u64, justify: Arc<QuorumCertificate>) -> Header {
    Header {
        epoch: Epoch(0),
        view: View(view),
        height: Height(height),
        parent: justify.block,
        justify,
        timeout: None,
        payload: Digest::ZERO,
    }
}

fn given_up(tenure: u64, high: u64) -> TimeoutCertificate {
    TimeoutCertificate {
        tenure,
        high_views: vec![View(high)],
        certificate: Certificate::collect([]),
        high: certified(high, 1),
    }
}

#[test]
fn a_block_is_one_above_its_parent_and_of_a_later_view() {
    let extends = |view, height, parent| extends_certified(&header(view, height, parent));
    assert!(extends(6, 3, certified(5, 2)));
    assert!(!extends(5, 3, certified(5, 2)), "the view of its parent");
    assert!(!extends(4, 3, certified(5, 2)));
    assert!(!extends(6, 2, certified(5, 2)));
    assert!(!extends(6, 4, certified(5, 2)));
    let last = u64::MAX;
    assert!(!extends(6, last, certified(5, last)), "there is none above");
    let mut elsewhere = header(6, 3, certified(5, 2));
    elsewhere.parent = Digest::ZERO;
    assert!(!extends_certified(&elsewhere));
}

#[test]
fn who_gives_a_tenure_up_knows_no_certificate_of_a_later_one() {
    let is_of = |tenure, high| is_of_its_tenure(&LEADERS, &given_up(tenure, high));
    assert!(is_of(1, 7));
    assert!(is_of(1, 0));
    assert!(!is_of(1, 8), "the first view of the next tenure");
    assert!(!is_of(u64::MAX, 0), "there is none after it");
}

#[test]
fn a_timeout_proves_that_its_signer_was_in_the_tenure() {
    let timeout = |high, entry: Option<TimeoutCertificate>, vote| Timeout {
        epoch: Epoch(0),
        tenure: 1,
        high: certified(high, 1),
        entry: entry.map(Arc::new),
        vote,
        author: NodeId(0),
        signature: Signature::NONE,
    };
    let is_proven = |high, entry| timeout_is_proven(&LEADERS, &timeout(high, entry, None));
    assert!(is_proven(3, None), "it leads into view 4");
    assert!(is_proven(7, None));
    assert!(!is_proven(2, None));
    assert!(!is_proven(8, None), "of a later tenure");
    assert!(is_proven(2, Some(given_up(0, 2))));
    assert!(is_proven(2, Some(given_up(0, 1))));
    assert!(!is_proven(1, Some(given_up(0, 2))), "lower than was shown");
    assert!(!is_proven(3, Some(given_up(0, 3))), "it needs no entry");
    assert!(!is_proven(2, Some(given_up(1, 2))), "of the tenure itself");
    assert!(!is_proven(2, Some(given_up(u64::MAX, 2))));
}

#[test]
fn a_timeout_shows_a_vote_of_its_tenure_only() {
    let shows = |tenure, high, view| {
        let vote = Vote {
            epoch: Epoch(0),
            view: View(view),
            height: Height(1),
            block: Digest::ZERO,
            author: NodeId(0),
            signature: Signature::NONE,
        };
        let timeout = Timeout {
            epoch: Epoch(0),
            tenure,
            high: certified(high, 1),
            entry: None,
            vote: Some(vote),
            author: NodeId(0),
            signature: Signature::NONE,
        };
        timeout_is_proven(&LEADERS, &timeout)
    };
    assert!(shows(1, 3, 4));
    assert!(shows(1, 3, 7));
    assert!(!shows(1, 3, 3));
    assert!(!shows(1, 3, 8));
    assert!(shows(0, 0, 1));
    assert!(!shows(0, 0, 0), "view 0 is the anchor's");
}

#[test]
fn one_vote_a_view_none_in_a_tenure_given_up_and_none_against_the_lock() {
    let votes = |voted, given_up, lock, block: &Header| {
        let voter = Voter {
            view: View(6),
            voted: View(voted),
            given_up,
            locked: &certified(lock, 1),
        };
        may_vote(&LEADERS, &voter, block)
    };
    let block = header(6, 3, certified(5, 2));
    assert!(votes(5, Some(0), 5, &block));
    assert!(votes(0, None, 0, &block));
    assert!(!votes(6, None, 5, &block), "it has voted in this view");
    assert!(!votes(7, None, 5, &block));
    assert!(!votes(5, Some(1), 5, &block));
    assert!(!votes(5, None, 6, &block));
    for view in [5, 7] {
        assert!(!votes(0, None, 0, &header(view, 3, certified(4, 2))));
    }
}

#[test]
fn a_lock_is_raised_by_a_higher_certificate_only() {
    let raises = |lock, shown| raises_lock(&certified(lock, 1), &header(9, 3, certified(shown, 2)));
    assert!(raises(4, 5));
    assert!(!raises(5, 5));
    assert!(!raises(6, 5));
}
