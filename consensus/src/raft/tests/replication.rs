//! What a follower takes, keeps and cuts, and what a leader makes of its answers.

use super::super::{Body, Record};
use super::craft::{Craft, Solo, append, appended, conflict, entry, newer, payload, position};
use crypto::{Height, NodeId, Payload, Time};

/// The logs of figure 7, and of the leader of term 8 (with the entry that begins its term).
const LEADER: [u64; 11] = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8];
const FIGURE_7: [&[u64]; 6] = [
    &[1, 1, 1, 4, 4, 5, 5, 6, 6],
    &[1, 1, 1, 4],
    &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    &[1, 1, 1, 4, 4, 4, 4],
    &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
];

/// A leader in term 8 with the log of figure 7.
fn leader() -> Solo {
    let mut solo = Solo::with_log(Craft::new(7), 0, 7, &LEADER[..10]);
    solo.elect();
    assert_eq!(solo.log(), LEADER);
    solo.deliver(6, appended(8, 10));
    solo
}

/// Carries messages between both until neither says more; how many had entries or refused them.
fn talk(leader: &mut Solo, follower: &mut Solo) -> usize {
    let (mut heard, mut said, mut rounds) = (0, follower.sent.len(), 0);
    let (me, peer) = (leader.me, follower.me);
    loop {
        let news: Vec<Body> = leader.sent[heard..]
            .iter()
            .filter(|(to, _)| *to == crate::To::Others || *to == crate::To::One(NodeId(peer)))
            .filter(|(_, body)| matches!(body, Body::AppendEntries(_)))
            .map(|(_, body)| body.clone())
            .collect();
        heard = leader.sent.len();
        news.into_iter().for_each(|body| follower.deliver(me, body));
        let answers: Vec<Body> = follower.sent[said..]
            .iter()
            .map(|it| it.1.clone())
            .collect();
        said = follower.sent.len();
        let counted = |it: &&Body| matches!(it, Body::Appended(_) | Body::Conflict(_));
        rounds += answers.iter().filter(counted).count();
        if answers.is_empty() {
            return rounds;
        }
        answers
            .into_iter()
            .for_each(|body| leader.deliver(peer, body));
    }
}

#[test]
fn figure_7_logs_are_brought_into_line() {
    for (i, log) in FIGURE_7.iter().enumerate() {
        let mut leader = leader();
        let mut follower = Solo::with_log(Craft::new(7), 1, 7, log);
        let rounds = talk(&mut leader, &mut follower);
        assert_eq!(
            follower.log(),
            LEADER,
            "follower {}",
            ['a', 'b', 'c', 'd', 'e', 'f'][i]
        );
        assert!(rounds <= 8, "the hint saves messages: {rounds}");
        let matched = leader.replica.progress_of(NodeId(1)).unwrap().matched;
        assert_eq!(matched, Height(11));
        // What it had and the leader had not is free again.
        let lost = log
            .iter()
            .zip(1..)
            .filter(|(term, h)| LEADER.get(*h - 1) != Some(term));
        let lost: Vec<Payload> = lost
            .map(|(term, h)| payload(term * 1000 + h as u64))
            .collect();
        assert_eq!(follower.returned, lost);
    }
}

#[test]
fn figure_7_what_is_on_disk_is_what_is_in_memory() {
    for log in FIGURE_7 {
        let mut leader = leader();
        let mut follower = Solo::with_log(Craft::new(7), 1, 7, log);
        talk(&mut leader, &mut follower);
        let follower = follower.restart();
        assert_eq!(follower.log(), LEADER);
        assert_eq!(follower.term(), 8);
    }
}

#[test]
fn conflict_hint_names_the_term_and_its_first_height() {
    let mut solo = Solo::with_log(Craft::new(3), 0, 4, &[1, 1, 2, 2, 2, 4]);
    let said = solo.append(1, append(5, (3, 5), &[5], 0));
    assert_eq!(said, [conflict(5, 5, (2, 3))]);
    let said = solo.append(1, append(5, (5, 9), &[5], 0));
    assert_eq!(said, [conflict(5, 9, (0, 7))], "too short");
    assert_eq!(solo.log(), [1, 1, 2, 2, 2, 4], "refusing cuts nothing");
}

#[test]
fn conflict_hint_lets_the_leader_skip_a_term_at_a_time() {
    // Follower f of figure 7 has terms that the leader has not: 3 from height 7 on, 2 from 4 on.
    let mut solo = leader();
    solo.deliver(1, conflict(8, 10, (3, 7)));
    assert_eq!(solo.last_append(1).unwrap().previous, position(5, 6));
    solo.deliver(1, conflict(8, 6, (2, 4)));
    assert_eq!(solo.last_append(1).unwrap().previous, position(1, 3));
    // Follower e has a term that the leader has, too: it goes on after the leader's last of it.
    solo.deliver(2, conflict(8, 10, (0, 8)));
    assert_eq!(solo.last_append(2).unwrap().previous, position(5, 7));
    solo.deliver(2, conflict(8, 7, (4, 4)));
    assert_eq!(solo.last_append(2).unwrap().previous, position(4, 5));
    solo.deliver(2, conflict(8, 5, (4, 4)));
    assert_eq!(
        solo.last_append(2).unwrap().previous,
        position(4, 4),
        "and always back"
    );
}

#[test]
fn a_conflict_with_any_numbers_moves_nothing_out_of_bounds() {
    let most = u64::MAX;
    for previous in [0, 1, 5, 10, 11, most] {
        for hint in [
            (0, 0),
            (0, most),
            (most, most),
            (most, 0),
            (8, most),
            (5, 0),
        ] {
            let mut solo = leader();
            solo.deliver(1, conflict(8, previous, hint));
            solo.pass(Time::millis(250));
            let next = solo.replica.progress_of(NodeId(1)).unwrap().next;
            assert!((1..=12).contains(&next.0), "{previous} {hint:?}: {next}");
        }
    }
}

#[test]
fn a_follower_acknowledges_only_what_is_durable() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.slow = true;
    let said = solo.append(1, append(1, (0, 0), &[1, 1], 0));
    assert_eq!(said, [], "the disk works");
    solo.sync();
    let said: Vec<_> = solo.sent.iter().map(|it| it.1.clone()).collect();
    assert_eq!(said, [appended(1, 2)]);
    let stored = |record: &Record| *record == Record::Entry(entry(1, 2));
    assert!(solo.records.iter().any(stored));
}

#[test]
fn a_follower_acknowledges_what_was_sent_and_no_more() {
    // Its tail may be another than the leader's.
    let mut solo = Solo::with_log(Craft::new(3), 0, 2, &[1, 1, 2, 2]);
    assert_eq!(solo.append(1, append(3, (1, 1), &[1], 0)), [appended(3, 2)]);
    assert_eq!(
        solo.append(1, append(3, (1, 1), &[], 0)),
        [],
        "a heartbeat proves nothing"
    );
}

#[test]
fn a_late_append_cuts_nothing_that_came_after_it() {
    // CCF #5991, and section 5.3: entries are deleted if they conflict, and only then.
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.append(1, append(1, (0, 0), &[1, 1, 1, 1], 0));
    assert_eq!(
        solo.append(1, append(1, (0, 0), &[1, 1], 0)),
        [appended(1, 2)]
    );
    solo.append(1, append(1, (1, 2), &[], 0));
    assert_eq!(solo.log(), [1, 1, 1, 1], "it has acknowledged all four");
    assert!(solo.returned.is_empty());
}

#[test]
fn a_conflicting_entry_cuts_itself_and_all_behind_it() {
    let mut solo = Solo::with_log(Craft::new(3), 0, 2, &[1, 2, 2, 2]);
    solo.append(1, append(3, (1, 1), &[2, 3], 0));
    assert_eq!(solo.log(), [1, 2, 3]);
    assert_eq!(solo.returned, [payload(2003), payload(2004)]);
    let heights = solo
        .records
        .iter()
        .filter(|it| matches!(it, Record::Entry(_)))
        .count();
    assert_eq!(heights, 3, "on disk, too");
}

#[test]
fn what_is_committed_is_never_cut() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.append(1, append(1, (0, 0), &[1, 1, 1], 3));
    // Nobody honest sends this; it must not undo what was executed.
    solo.append(2, append(2, (0, 0), &[2, 2, 2, 2], 4));
    assert_eq!(solo.heights()[..3], [1, 2, 3]);
    assert_eq!(solo.log()[..3], [1, 1, 1]);
}

#[test]
fn the_oldest_append_comes_last() {
    let mut solo = Solo::new(Craft::new(3), 0);
    assert_eq!(
        solo.append(1, append(1, (1, 2), &[1], 0)),
        [conflict(1, 2, (0, 1))]
    );
    assert_eq!(
        solo.append(1, append(1, (1, 1), &[1], 0)),
        [conflict(1, 1, (0, 1))]
    );
    assert_eq!(solo.append(1, append(1, (0, 0), &[1], 0)), [appended(1, 1)]);
    assert_eq!(solo.append(1, append(1, (1, 1), &[1], 0)), [appended(1, 2)]);
}

#[test]
fn a_leader_waits_for_what_overtook_and_sends_again_what_is_lost() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    solo.deliver(1, appended(1, 1));
    solo.deliver(2, appended(1, 1));
    (1..=3).for_each(|number| {
        solo.submit(number);
        solo.deliver(2, appended(1, number + 1));
    });
    assert_eq!(solo.appends(1), 4, "pipelined");
    solo.deliver(1, conflict(1, 3, (0, 2)));
    assert_eq!(solo.appends(1), 4, "the second may only be late");
    solo.pass(Time::millis(100));
    let again = solo.last_append(1).unwrap();
    assert_eq!((again.previous.height, again.entries.len()), (Height(1), 3));
    assert_eq!(solo.appends(1), 5);
}

#[test]
fn a_reconnected_follower_is_sent_again_what_it_has_not_acknowledged() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    solo.deliver(1, appended(1, 1));
    solo.submit(1);
    let before = solo.appends(1);
    solo.input(crate::Input::Connected { peer: NodeId(1) });
    assert_eq!(solo.appends(1), before + 1);
    let again = solo.last_append(1).unwrap();
    assert_eq!(again.previous.height, Height(1));
    assert_eq!(again.entries.len(), 1);
}

#[test]
fn one_who_no_longer_leads_takes_the_new_leaders_entries() {
    let mut solo = Solo::new(Craft::new(3), 0);
    solo.elect();
    solo.submit(1);
    assert_eq!(solo.log(), [1, 1]);
    solo.deliver(1, newer(2));
    assert_eq!(solo.append(1, append(2, (0, 0), &[2], 0)), [appended(2, 1)]);
    assert_eq!(solo.log(), [2]);
    assert_eq!(solo.returned, [payload(1)], "to be ordered by another");
}

#[test]
fn a_silent_follower_is_asked_the_same_again_and_not_sent_the_whole_log() {
    let mut leader = leader();
    let before = leader.appends(1);
    leader.pass(Time::millis(250));
    assert!(leader.appends(1) > before);
    let again = leader.last_entries(1).expect("it was asked");
    assert_eq!(again.previous, position(6, 10));
    leader.input(crate::Input::Connected { peer: NodeId(1) });
    let again = leader.last_entries(1).expect("it was asked");
    assert_eq!(again.previous, position(6, 10));
}
