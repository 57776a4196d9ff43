//! Crash, and start again with what the disk holds.

use super::super::{Proof, Record};
use super::cluster::Cluster;
use super::craft::{
    Craft, Solo, append, appended, entry, grant, position, pre_grant, request_vote,
};
use crate::Anchor;
use crate::testing::crashes;
use crypto::{Digest, Height, NodeId, Time, View};

#[test]
fn term_vote_and_log_outlive_a_process() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.append(1, append(3, (0, 0), &[1, 2, 3], 1));
    solo.deliver(2, request_vote(3, (3, 3)));
    solo.now = Time::millis(1_000);
    solo.deliver(2, request_vote(4, (3, 3)));
    assert_eq!(solo.granted().last(), Some(&(4, 2)));
    let mut solo = solo.restart();
    assert_eq!((solo.term(), solo.log()), (4, vec![1, 2, 3]));
    solo.deliver(1, request_vote(4, (3, 3)));
    assert!(solo.granted().is_empty(), "one vote a term");
}

#[test]
fn whoever_led_before_follows_now() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    solo.submit(1);
    let mut solo = solo.restart();
    assert!(!solo.leads());
    assert_eq!(solo.term(), 1);
    assert!(solo.sent.is_empty());
    // Votes for its former self elect nobody.
    solo.deliver(1, grant(1, 0));
    solo.deliver(2, grant(1, 0));
    assert!(!solo.leads());
    solo.elect();
    assert_eq!((solo.term(), solo.log()), (2, vec![1, 1, 2]));
}

#[test]
fn one_that_stood_does_not_vote_for_another_in_the_same_term() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.time_out();
    solo.deliver(1, pre_grant(1));
    assert_eq!(solo.granted(), [(1, 0)]);
    let mut solo = solo.restart();
    solo.deliver(2, request_vote(1, (0, 0)));
    assert!(solo.granted().is_empty());
}

#[test]
fn commits_above_the_anchor_come_again_and_none_below() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.append(1, append(1, (0, 0), &[1, 1, 1, 1], 4));
    let second = solo.commits[1].clone();
    let (fourth, craft, records) = (solo.commits[3].clone(), solo.craft.clone(), solo.records);
    let anchor = Anchor {
        height: Height(2),
        history: second.history,
        proof: Some(second.proof),
        ..craft.anchor()
    };
    let above = |record: &Record| match record {
        Record::Entry(entry) => entry.at.height >= Height(2),
        Record::Term { .. } => true,
    };
    let records = records.into_iter().filter(above).collect();
    let mut solo = Solo::recover(craft, 0, Time(0), anchor, records);
    assert!(
        solo.heights().is_empty(),
        "what is committed, a leader tells"
    );
    solo.append(1, append(1, (1, 4), &[], 4));
    assert_eq!(solo.heights(), [3, 4]);
    assert_eq!(solo.commits[1], fourth);
}

#[test]
fn entries_behind_a_gap_are_not_taken() {
    let craft = Craft::new(3);
    let anchor = craft.anchor();
    let records = [entry(1, 1), entry(1, 2), entry(1, 4)];
    let records = records.into_iter().map(Record::Entry).collect();
    let solo = Solo::recover(craft, 0, Time(0), anchor, records);
    assert_eq!(solo.log(), [1, 1]);
    assert_eq!(solo.term(), 1, "nor is a term forgotten that has entries");
}

#[test]
fn a_start_behind_a_snapshot_votes_by_its_anchor() {
    let craft = Craft::new(3);
    let anchor = Anchor {
        height: Height(10),
        history: Digest([1; 32]),
        proof: Some(Proof(position(4, 10))),
        ..craft.anchor()
    };
    let mut solo = Solo::recover(craft, 0, Time(0), anchor, Vec::new());
    assert_eq!(solo.term(), 4);
    solo.deliver(1, request_vote(5, (4, 9)));
    solo.deliver(1, request_vote(5, (3, 99)));
    assert!(solo.granted().is_empty());
    solo.deliver(2, request_vote(5, (4, 10)));
    assert_eq!(solo.granted(), [(5, 2)]);
    assert_eq!(
        solo.append(2, append(5, (4, 10), &[5], 11)),
        [appended(5, 11)]
    );
    assert_eq!(solo.heights(), [11]);
}

#[test]
fn a_restart_from_every_prefix_of_the_writes_keeps_to_the_promises() {
    // Writes become durable in order; a crash cuts the list anywhere. What was answered before the
    // cut still holds.
    let craft = || Craft::new(3);
    let mut solo = Solo::new(craft(), 0);
    let mut disks = vec![solo.records.clone()];
    let mut acknowledged = vec![0];
    for (term, height) in [(1, 1), (1, 2), (2, 2), (2, 3), (3, 3)] {
        let previous = if height == 1 {
            (0, 0)
        } else {
            (term.min(height - 1), height - 1)
        };
        let previous = match (term, height) {
            (2, 2) => (1, 1),
            (3, 3) => (2, 2),
            _ => previous,
        };
        let said = solo.append((term % 2 + 1) as u16, append(term, previous, &[term], 0));
        assert_eq!(said, [appended(term, height)]);
        disks.push(solo.records.clone());
        acknowledged.push(height);
    }
    for (disk, height) in disks.into_iter().zip(acknowledged) {
        let solo = Solo::recover(craft(), 0, Time(0), craft().anchor(), disk);
        assert_eq!(solo.log().len() as u64, height);
    }
}

#[test]
fn all_crash_at_every_point_and_go_on() {
    let sizes = [1, 2, 3].map(Craft::new);
    for craft in sizes.into_iter().chain([Craft::flexible(5, 2, 4)]) {
        crashes::of_all_at_every_sync(&craft, Time::millis(250));
    }
}

#[test]
fn one_crashes_between_every_two_syncs_under_load() {
    crashes::of_one_between_syncs(|| {
        let mut cluster = Cluster::new(3);
        cluster.elect();
        cluster
    });
}

#[test]
fn a_leader_that_restarts_at_once_does_not_lead_its_old_term() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.elect();
    let term = cluster.view(leader);
    cluster.submit(1);
    cluster.run(Time::millis(1));
    cluster.crash(leader);
    cluster.start(leader);
    cluster.submit(2);
    cluster.run_until(Time::millis(2_000), "commit", Cluster::all_done);
    let new = cluster.leader().unwrap();
    assert!(cluster.view(new) > term);
}

#[test]
fn a_vote_is_on_disk_when_it_is_read_back() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.deliver(1, request_vote(2, (0, 0)));
    let vote = Record::Term {
        term: View(2),
        voted: Some(NodeId(1)),
    };
    assert_eq!(solo.records, [vote]);
}
