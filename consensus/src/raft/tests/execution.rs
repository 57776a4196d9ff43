//! Execution that is behind: what is taken meanwhile, who stands, and who goes on leading.

use super::super::Body;
use super::craft::{Craft, Solo, append, appended, heard, position};
use crate::{Input, Protocol as _};
use crypto::{Digest, Height, Time};

/// How far behind execution may be before a leader orders no more.
const LAG: u64 = 4;
/// How far ahead of it entries of others are taken.
const REACH: u64 = 4 * LAG;

fn craft() -> Craft {
    let mut craft = Craft::new(3);
    craft.execution_lag = LAG;
    craft
}

fn executed(height: u64) -> Input<super::super::Raft> {
    let (height, state) = (Height(height), Digest::ZERO);
    Input::Executed { height, state }
}

/// Lets time pass while a follower answers its leader.
fn pass_heard(solo: &mut Solo, span: Time) {
    let end = solo.now.plus(span);
    while solo.now < end {
        solo.pass(Time::millis(50));
        let round = solo.last_append(1).unwrap().round;
        solo.deliver(1, heard(1, round));
    }
}

fn hands_over(solo: &Solo) -> bool {
    solo.said(|body| matches!(body, Body::TimeoutNow(_)))
}

#[test]
fn a_follower_takes_no_more_than_its_execution_can_follow() {
    let mut solo = Solo::new(craft(), 0);
    let said = solo.append(1, append(1, (0, 0), &[1; 40], 40));
    assert_eq!(said, [appended(1, REACH)]);
    assert_eq!(solo.heights(), Vec::from_iter(1..=REACH));
    assert_eq!(solo.log().len() as u64, REACH, "nor is more kept for later");
    let rest = append(1, (1, REACH), &[1; 24], 40);
    let said = solo.append(1, rest.clone());
    assert_eq!(said, [appended(1, REACH)], "it says how far it is");
    solo.input(executed(LAG));
    assert_eq!(solo.append(1, rest), [appended(1, REACH + LAG)]);
    assert_eq!(solo.heights(), Vec::from_iter(1..=REACH + LAG));
}

/// A start executes anew what the state had not on its disk: that may be more.
#[test]
fn what_a_follower_has_on_disk_is_acknowledged_however_far_behind_execution_is() {
    let mut solo = Solo::with_log(craft(), 0, 1, &[1; 30]);
    let said = solo.append(1, append(1, (0, 0), &[1; 40], 40));
    assert_eq!(said, [appended(1, 30)]);
    assert_eq!(solo.heights().len(), 30);
    // What is in the place of a leader's entry gives way to it, so no more is kept than before.
    let mut solo = Solo::with_log(craft(), 0, 1, &[1; 30]);
    let said = solo.append(1, append(2, (1, 28), &[2; 9], 37));
    assert_eq!(said, [appended(2, 29)]);
}

/// Found by the simulator: each term left an entry that was not committed, until that of the last
/// term, without which none of them can be committed, was beyond what was taken.
#[test]
fn what_is_not_committed_is_taken_however_much_it_is() {
    let mut solo = Solo::new(craft(), 0);
    let terms = Vec::from_iter(1..=40);
    let said = solo.append(1, append(40, (0, 0), &terms, 0));
    assert_eq!(said, [appended(40, 40)]);
    assert_eq!(solo.append(1, append(40, (40, 40), &[], 40)), []);
    assert_eq!(solo.heights().len(), 40);
}

#[test]
fn what_a_follower_did_not_take_is_sent_again() {
    let mut solo = Solo::with_log(Craft::new(3), 0, 1, &[1; 40]);
    solo.elect();
    solo.deliver(1, super::craft::conflict(2, 40, (0, 1)));
    assert_eq!(solo.last_append(1).unwrap().entries.len(), 41);
    solo.deliver(1, appended(2, REACH));
    let before = solo.appends(1);
    solo.pass(Time::millis(250));
    assert!(solo.appends(1) - before <= 2, "it is not stormed");
    assert!(solo.appends(1) > before);
    let again = solo.last_entries(1).unwrap();
    assert_eq!(again.previous, position(1, REACH));
}

/// As a leader it could order nothing.
#[test]
fn who_is_behind_with_execution_does_not_stand() {
    let mut solo = Solo::new(craft(), 0);
    solo.append(1, append(1, (0, 0), &[1; REACH as usize], REACH));
    solo.pass(Time::millis(5_000));
    assert!(solo.sent.iter().all(|(_, it)| *it == appended(1, REACH)));
    assert_eq!(solo.replica.status().leader, None);
    solo.input(executed(REACH - LAG + 1));
    solo.elect();
}

/// A leader of term 1 that may order no more before it has executed something.
fn held_up() -> Solo {
    let mut solo = Solo::new(craft(), 0);
    solo.elect();
    solo.deliver(1, appended(1, 1));
    for number in 1..LAG {
        solo.submit(number);
        solo.deliver(1, appended(1, number + 1));
    }
    let log = solo.log();
    solo.submit(LAG);
    assert_eq!((solo.log(), solo.heights().len() as u64), (log, LAG));
    solo
}

#[test]
fn a_leader_whose_execution_stands_still_hands_over() {
    let mut solo = held_up();
    pass_heard(&mut solo, Time::millis(1_100));
    assert!(!hands_over(&solo), "it may only be slow");
    pass_heard(&mut solo, Time::millis(500));
    assert!(hands_over(&solo));
}

#[test]
fn a_leader_that_executes_slowly_goes_on() {
    let mut solo = held_up();
    for height in 1..=10 {
        pass_heard(&mut solo, Time::millis(600));
        solo.input(executed(height));
        assert_eq!(solo.log().len() as u64, LAG + height, "one more is ordered");
        solo.submit(LAG + height);
        solo.deliver(1, appended(1, LAG + height));
    }
    assert!(solo.leads() && !hands_over(&solo));
    // Nor does one who has nothing to do.
    solo.input(executed(LAG + 10));
    pass_heard(&mut solo, Time::millis(5_000));
    assert!(solo.leads() && !hands_over(&solo));
}
