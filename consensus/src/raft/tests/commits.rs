//! What is committed, when, and by whom.

use super::super::Body;
use super::super::message::Appended;
use super::cluster::Cluster;
use super::craft::{
    Craft, Solo, append, appended, conflict, entry, grant, heard, payload, pre_grant, request_vote,
};
use crate::Input;
use crypto::{Height, NodeId, Payload, Time, View};

/// A leader of five with the log of figure 8 (c): entries of terms 1, 2, and now in term 4.
fn figure_8() -> Solo {
    let mut solo = Solo::with_log(Craft::new(5), 0, 3, &[1, 2]);
    solo.elect();
    assert_eq!((solo.term(), solo.log()), (4, vec![1, 2, 4]));
    solo
}

#[test]
fn figure_8_an_entry_of_an_older_term_is_not_committed_by_counting() {
    let mut solo = figure_8();
    // (c): the entry of term 2 is on a majority, and yet it may be overwritten (d).
    for peer in 1..5 {
        solo.deliver(peer, appended(4, 2));
        assert!(solo.heights().is_empty());
    }
}

#[test]
fn figure_8_an_entry_of_the_own_term_commits_all_before_it() {
    let mut solo = figure_8();
    // (e): with one of its own term on a majority, no other can win.
    solo.deliver(1, appended(4, 3));
    assert!(solo.heights().is_empty());
    solo.deliver(2, appended(4, 3));
    assert_eq!(solo.heights(), [1, 2, 3], "oldest first, each once");
    assert_eq!(solo.commits[1].payload, payload(2002));
    assert_eq!(solo.commits[2].payload, Payload::EMPTY);
}

#[test]
fn a_leader_says_that_it_waits_for_disks_only_when_they_are_late() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    let term = solo.term();
    solo.deliver(1, appended(term, 1));
    let waiting = |solo: &Solo| crate::Protocol::status(&solo.replica).waiting;
    solo.submit(1);
    assert_eq!(waiting(&solo), None, "under way");
    solo.deliver(1, heard(term, 1));
    solo.pass(Time::millis(250));
    assert!(solo.leads());
    let said = waiting(&solo).unwrap();
    assert!(said.contains("height 2 is on 1 of the 2 disks"), "{said}");
    solo.deliver(1, appended(term, 2));
    assert_eq!(waiting(&solo), None, "committed");
    solo.deliver(1, heard(term, 2));
    solo.pass(Time::millis(250));
    solo.submit(2);
    assert_eq!(waiting(&solo), None, "under way again, after a rest");
}

#[test]
fn figure_8_the_whole_story() {
    // S1 leads term 2, and its entry reaches S2 only. S5 leads term 3 with votes of S3 and S4. S1
    // leads term 4 and spreads its entry of term 2 to S3. S5 may still win, and overwrite it.
    let mut s3 = Solo::with_log(Craft::new(5), 2, 3, &[1]);
    s3.append(0, append(4, (1, 1), &[2], 1));
    assert_eq!(s3.log(), [1, 2]);
    assert_eq!(s3.heights(), [1], "of term 2 nothing is committed");
    s3.now = Time::millis(1000);
    s3.deliver(4, request_vote(5, (3, 2)));
    assert_eq!(s3.granted(), [(5, 4)]);
    s3.append(4, append(5, (1, 1), &[3, 5], 1));
    assert_eq!(s3.log(), [1, 3, 5]);
    assert_eq!(s3.returned, [payload(2002)], "and its batch is free again");
}

#[test]
fn a_term_begins_with_an_entry_of_its_own() {
    let mut solo = Solo::with_log(Craft::new(3), 0, 3, &[1, 2]);
    solo.elect();
    assert_eq!(solo.log(), [1, 2, 4]);
    let first = solo.last_append(1).unwrap();
    assert_eq!(first.entries.len(), 1);
    assert_eq!(first.entries[0].payload, Payload::EMPTY);
}

#[test]
fn the_leader_counts_itself_only_after_its_own_sync() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    solo.deliver(1, appended(1, 1));
    solo.slow = true;
    solo.submit(1);
    assert_eq!(
        solo.last_append(1).unwrap().entries.len(),
        1,
        "it sends before"
    );
    solo.deliver(1, appended(1, 2));
    assert_eq!(solo.heights(), [1], "one disk of two");
    solo.sync();
    assert_eq!(solo.heights(), [1, 2]);
    // Two others are a quorum without it.
    solo.submit(2);
    solo.deliver(1, appended(1, 3));
    solo.deliver(2, appended(1, 3));
    assert_eq!(solo.heights(), [1, 2, 3]);
}

#[test]
fn a_leader_with_a_stalled_disk_commits_by_the_disks_of_the_others() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.elect();
    cluster.slow_disk(leader, Time::millis(5_000));
    // The cluster asserts that so many disks hold what is committed.
    cluster.submit(1);
    cluster.run_until(Time::millis(50), "commit", Cluster::all_done);
    let mut cluster = Cluster::new(3);
    let leader = cluster.elect();
    (0..3)
        .filter(|i| *i != leader)
        .for_each(|i| cluster.slow_disk(i, Time::millis(5_000)));
    cluster.submit(1);
    cluster.run(Time::millis(1_000));
    assert!(!cluster.done(leader), "one disk is no quorum");
}

#[test]
fn commit_takes_a_commit_quorum() {
    for (n, c, e) in [(4, 2, 3), (5, 2, 4), (5, 4, 3), (5, 5, 3)] {
        let mut solo = Solo::new(Craft::flexible(n, c, e), 0);
        solo.elect();
        for peer in 1..c as u16 {
            assert!(solo.heights().is_empty(), "{peer} of {c}");
            solo.deliver(peer, appended(1, 1));
        }
        assert_eq!(solo.heights(), [1], "n {n}, c {c}");
    }
}

#[test]
fn commit_index_is_capped_by_what_matches() {
    // Figure 2, AppendEntries, step 5: the follower has a tail that the leader does not know of.
    let mut solo = Solo::with_log(Craft::new(3), 0, 2, &[1, 1, 2, 2]);
    solo.append(1, append(3, (1, 1), &[], 4));
    assert_eq!(solo.heights(), [1], "heights 2 to 4 may be others");
    solo.append(1, append(3, (1, 1), &[1], 4));
    assert_eq!(solo.heights(), [1, 2]);
    solo.append(1, append(3, (1, 2), &[3, 3], 4));
    assert_eq!(solo.heights(), [1, 2, 3, 4]);
    assert_eq!(solo.log(), [1, 1, 3, 3]);
}

#[test]
fn a_leaders_commit_index_beyond_all_bounds_commits_what_matches() {
    let mut solo = Solo::with_log(Craft::new(3), 0, 2, &[1, 1]);
    solo.append(1, append(2, (1, 1), &[1], u64::MAX));
    assert_eq!(solo.heights(), [1, 2]);
}

#[test]
fn a_late_message_does_not_uncommit() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.append(1, append(1, (0, 0), &[1, 1, 1], 3));
    assert_eq!(solo.heights(), [1, 2, 3]);
    solo.append(1, append(1, (0, 0), &[1], 1));
    solo.append(1, append(1, (0, 0), &[], 0));
    assert_eq!((solo.heights(), solo.log()), (vec![1, 2, 3], vec![1, 1, 1]));
}

#[test]
fn a_stale_reply_does_not_move_the_match_index_back() {
    // CCF #5326.
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    (1..=3).for_each(|number| {
        solo.submit(number);
        solo.deliver(1, appended(1, number + 1));
    });
    assert_eq!(solo.heights(), [1, 2, 3, 4]);
    let matched = |solo: &Solo| solo.replica.progress_of(NodeId(1)).unwrap().matched;
    let appends = solo.appends(1);
    for late in [
        appended(1, 1),
        appended(1, 0),
        conflict(1, 2, (0, 2)),
        conflict(1, 4, (0, 1)),
    ] {
        solo.deliver(1, late.clone());
        assert_eq!(matched(&solo), Height(4), "{late:?}");
        assert_eq!(solo.appends(1), appends, "nothing is sent again: {late:?}");
    }
    // What comes next follows what matches.
    solo.submit(9);
    let next = solo.last_append(1).unwrap();
    assert_eq!(next.previous.height, Height(4));
}

#[test]
fn every_reply_may_come_twice() {
    let mut solo = Solo::new(Craft::new(5), 0);
    solo.elect();
    (0..5).for_each(|_| solo.deliver(1, appended(1, 1)));
    assert!(solo.heights().is_empty(), "one follower, five times over");
    solo.deliver(2, appended(1, 1));
    assert_eq!(solo.heights(), [1]);
}

#[test]
fn a_reply_of_another_term_counts_for_nothing() {
    let mut solo = Solo::with_log(Craft::new(3), 0, 3, &[1, 2]);
    solo.elect();
    solo.deliver(1, appended(3, 3));
    solo.deliver(2, appended(2, 3));
    assert!(solo.heights().is_empty());
}

#[test]
fn an_acknowledgement_beyond_the_log_is_refused() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    for matched in [2, u64::MAX] {
        solo.deliver(1, appended(1, matched));
        assert!(solo.heights().is_empty());
    }
    assert_eq!(solo.rejects.len(), 2);
}

#[test]
fn an_acknowledgement_of_what_a_restart_lost_is_no_fault() {
    // It led, and sent an entry before its own sync; the entry is gone, the answer comes.
    let mut solo = Solo::with_log(Craft::new(3), 0, 1, &[]);
    solo.deliver(1, appended(1, 5));
    assert!(solo.rejects.is_empty());
}

#[test]
fn what_is_committed_is_told_when_nothing_else_is_to_be_said() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    solo.deliver(1, appended(1, 1));
    let told = solo.last_append(1).unwrap();
    assert_eq!((told.committed, told.entries.len()), (Height(1), 0));
    let before = solo.sent.len();
    solo.deliver(2, appended(1, 1));
    let told = solo.last_append(2).unwrap();
    assert_eq!(told.committed, Height(1));
    assert_eq!(solo.sent.len(), before + 1, "once");
}

#[test]
fn one_who_only_stands_commits_nothing() {
    let mut solo = Solo::with_log(Craft::new(3), 0, 3, &[1, 2]);
    solo.time_out();
    solo.deliver(1, pre_grant(4));
    solo.deliver(1, appended(4, 2));
    solo.deliver(2, appended(4, 2));
    assert!(solo.heights().is_empty());
    solo.deliver(1, grant(4, 0));
    assert!(solo.leads());
    assert!(solo.heights().is_empty());
}

#[test]
fn a_payload_that_comes_after_the_term_is_given_back() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    let late = || Input::Payload {
        ticket: crate::Ticket(99),
        payload: payload(7),
    };
    solo.input(late());
    assert_eq!(solo.returned, [payload(7)], "nobody asked");
    solo.deliver(1, super::craft::newer(5));
    solo.input(late());
    assert_eq!(solo.returned.len(), 2);
    assert_eq!(solo.log(), [1]);
}

#[test]
fn entries_under_way_are_bounded_and_so_is_what_is_not_committed() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    solo.deliver(1, appended(1, 1));
    (1..100).for_each(|number| solo.submit(number));
    assert!(
        solo.log().len() <= 6,
        "the pool gathers the rest: {:?}",
        solo.log()
    );
    let sent = solo.appends(2);
    assert_eq!(sent, 1, "one message finds out whether it fits");
    let last = solo.log().len() as u64;
    solo.deliver(2, appended(1, last));
    assert_eq!(solo.heights().len() as u64, last);
    assert!(solo.log().len() as u64 > last, "and goes on");
}

#[test]
fn the_leaders_own_acknowledgement_is_not_taken_from_others() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.slow = true;
    solo.time_out();
    solo.deliver(1, pre_grant(1));
    solo.sync();
    solo.deliver(1, grant(1, 0));
    assert!(solo.leads());
    let body = Body::Appended(Appended {
        term: View(1),
        matched: Height(1),
    });
    solo.deliver(2, body);
    assert!(solo.heights().is_empty());
    solo.sync();
    assert_eq!(solo.heights(), [1]);
    assert_eq!(entry(1, 1).at.height, Height(1));
}
