//! The guard.

use super::bench::{Bench, TENURE, config, genesis, shell, signer};
use super::mock::{Act, Mock, statement};
use crate::replica::{Damaged, LogOp, Replica, Stored};
use crypto::{Kind, Statement, Time};

fn vote(view: u64, content: u64) -> Act {
    Act::Say(Kind::Vote, view, 0, content)
}

fn voted(view: u64, content: u64) -> Statement {
    statement(Kind::Vote, view, 0, content)
}

#[test]
fn occupied_slot_sends_stored_draft() {
    let mut bench = Bench::new();
    bench.tell(&[vote(1, 7)]);
    bench.tell(&[vote(1, 8)]);
    bench.sync();
    bench.tell(&[vote(1, 9)]);
    assert_eq!(bench.statements(), [voted(1, 7); 3]);
    assert_eq!(
        bench.disk.writes.len(),
        1,
        "what is stored is not stored again"
    );
}

#[test]
fn occupied_slot_sends_stored_draft_after_a_restart() {
    let mut bench = Bench::new();
    bench.tell(&[vote(1, 7)]);
    bench.sync();
    let mut bench = bench.crash(0);
    bench.tell(&[vote(1, 8)]);
    bench.sync();
    assert_eq!(bench.statements(), [voted(1, 7)]);
}

#[test]
fn older_slots_of_a_kind_are_closed() {
    let mut bench = Bench::new();
    bench.tell(&[vote(10, 1), vote(9, 1), Act::Say(Kind::Proposal, 9, 0, 1)]);
    bench.sync();
    assert_eq!(
        bench.statements(),
        [voted(10, 1), statement(Kind::Proposal, 9, 0, 1)]
    );
    assert_eq!(bench.replica.refused(), 1);
    let mut bench = bench.crash(0);
    bench.tell(&[vote(9, 1)]);
    bench.sync();
    assert!(bench.statements().is_empty());
}

#[test]
fn timeout_bars_votes_across_kinds() {
    let mut bench = Bench::new();
    let (last, next) = (2 * TENURE - 1, 2 * TENURE);
    bench.tell(&[Act::Say(Kind::Timeout, 1, 0, 0)]);
    bench.tell(&[vote(last, 1), Act::Say(Kind::Proposal, last, 0, 1)]);
    bench.sync();
    assert_eq!(bench.statements(), [statement(Kind::Timeout, 1, 0, 0)]);
    // And after a restart.
    let mut bench = bench.crash(0);
    bench.tell(&[
        vote(last, 1),
        Act::Say(Kind::Proposal, last, 0, 1),
        vote(next, 1),
    ]);
    bench.sync();
    assert_eq!(
        bench.statements(),
        [voted(next, 1)],
        "the next tenure is open"
    );
}

#[test]
fn vote_made_before_the_timeout_may_be_sent_again() {
    let mut bench = Bench::new();
    bench.tell(&[vote(5, 1)]);
    bench.tell(&[Act::Say(Kind::Timeout, 1, 0, 0)]);
    bench.tell(&[vote(5, 2)]);
    bench.sync();
    let timeout = statement(Kind::Timeout, 1, 0, 0);
    assert_eq!(bench.statements(), [voted(5, 1), timeout, voted(5, 1)]);
}

#[test]
fn timeout_that_is_forgotten_still_bars() {
    let mut bench = Bench::new();
    for tenure in 0..=16 {
        bench.tell(&[Act::Say(Kind::Timeout, tenure, 0, 0)]);
    }
    bench.sync();
    let mut bench = bench.crash(0);
    bench.tell(&[vote(TENURE, 1), vote(16 * TENURE, 1)]);
    bench.sync();
    assert!(bench.statements().is_empty());
    assert_eq!(bench.replica.refused(), 2);
}

#[test]
fn restart_does_not_sign_conflicting() {
    let mut bench = Bench::new();
    for view in 1..=40 {
        bench.tell(&[vote(view, 1)]);
    }
    bench.sync();
    let mut bench = bench.crash(0);
    for view in 1..=41 {
        bench.tell(&[vote(view, 2)]);
    }
    bench.sync();
    let again = bench.statements();
    assert!(again.len() >= 9, "what is kept is sent again");
    for statement in again {
        let fresh = statement.slot.view.0 == 41;
        assert_eq!(
            statement,
            voted(statement.slot.view.0, if fresh { 2 } else { 1 })
        );
    }
}

#[test]
fn crash_between_sign_persist_and_send() {
    // Durable, not sent: the stored one is sent. Not durable: it never was, and the slot is free.
    for (on_disk, content) in [(1, 7), (0, 8)] {
        let mut bench = Bench::new();
        bench.tell(&[vote(1, 7)]);
        assert!(bench.sent.is_empty());
        let mut bench = bench.crash(on_disk);
        bench.tell(&[vote(1, 8)]);
        bench.sync();
        assert_eq!(bench.statements(), [voted(1, content)]);
    }
}

#[test]
fn first_send_of_a_restart_waits_for_a_sync() {
    let mut bench = Bench::new();
    bench.tell(&[vote(1, 7)]);
    // The process dies, not the machine: the write is read back from the page cache.
    let mut bench = bench.crash(1);
    bench.tell(&[vote(1, 7)]);
    assert!(bench.sent.is_empty());
    let (_, sync, ops) = bench.disk.writes.last().unwrap();
    assert!(*sync && ops.is_empty());
    bench.sync();
    assert_eq!(bench.statements(), [voted(1, 7)]);
}

#[test]
fn outputs_of_recovery_pass_the_same_gate() {
    let mut stored = Stored::<Mock>::empty(genesis());
    stored
        .records
        .push(super::mock::MockRecord::Then(vec![vote(3, 7)]));
    let mut bench = Bench::start(stored, super::bench::Disk::default());
    assert!(bench.sent.is_empty());
    bench.sync();
    assert_eq!(bench.statements(), [voted(3, 7)]);
    assert_eq!(
        bench.replica.protocol().own.len(),
        1,
        "counted again, by itself"
    );
}

/// Twice as many as are kept are let come together, and half of them then leave at once.
#[test]
fn guard_drops_the_older_half_at_once() {
    let mut bench = Bench::new();
    for view in 1..=17 {
        bench.tell(&[vote(view, 1)]);
        bench.sync();
        let stored = bench.disk.read(bench.disk.writes.len());
        let expected = if view == 17 { 8 } else { view as usize };
        assert_eq!(stored.guard.len(), expected, "after view {view}");
    }
}

#[test]
fn guard_tells_how_full_it_is() {
    let mut bench = Bench::new();
    bench.tell(&[vote(1, 1), vote(2, 1)]);
    for height in 1..=3 {
        bench.tell(&[Act::Say(Kind::Prepare, 1, height, 1)]);
    }
    bench.sync();
    let mut sizes = Vec::new();
    bench.replica.sizes(&mut sizes);
    let of = |name| {
        let size = sizes.iter().find(|it| it.name == name);
        size.map(|it| (it.len, it.cap))
    };
    assert_eq!(of("promises in order"), Some((2, 16)));
    assert_eq!(of("promises of slots"), Some((3, 8192)));
}

#[test]
fn guard_is_bounded() {
    let mut bench = Bench::new();
    for view in 1..=1000 {
        bench.tell(&[vote(view, 1), Act::Say(Kind::Proposal, view, 0, 1)]);
        bench.sync();
    }
    let stored = bench.disk.read(bench.disk.writes.len());
    assert!(stored.guard.len() <= 32, "{} entries", stored.guard.len());
    for kind in [Kind::Vote, Kind::Proposal] {
        let floor = stored.floors.iter().find(|(of, _)| *of == kind).unwrap().1;
        let lowest = stored
            .guard
            .iter()
            .filter(|(slot, _)| slot.kind == kind)
            .min()
            .unwrap()
            .0;
        assert_eq!(
            floor.view.next(),
            lowest.view,
            "no slot is open between floor and entries"
        );
    }
}

#[test]
fn slots_of_several_heights_are_open_at_once() {
    let mut bench = Bench::new();
    let say = |height| Act::Say(Kind::Prepare, 1, height, height);
    bench.tell(&[say(7), say(5), say(6)]);
    bench.sync();
    let heights: Vec<_> = bench
        .statements()
        .iter()
        .map(|it| it.slot.height.0)
        .collect();
    assert_eq!(heights, [7, 5, 6]);
}

#[test]
fn statement_whose_slot_was_dropped_meanwhile_is_not_signed() {
    let mut bench = Bench::new();
    for view in 1..=20 {
        bench.tell(&[vote(view, 1)]);
    }
    bench.sync();
    let views: Vec<_> = bench.statements().iter().map(|it| it.slot.view.0).collect();
    let dropped = bench.disk.writes.iter().flat_map(|(.., ops)| ops);
    let dropped = dropped
        .filter(|op| matches!(op, LogOp::DropGuard(_)))
        .count() as u64;
    assert!(dropped > 0);
    assert_eq!(views, (dropped + 1..=20).collect::<Vec<_>>());
}

#[test]
fn damaged_entry_refuses_the_start() {
    let mut bench = Bench::new();
    bench.tell(&[vote(1, 7)]);
    bench.sync();
    let restart = |change: fn(&mut Stored<Mock>)| {
        let mut stored = bench.disk.read(1);
        change(&mut stored);
        let mut out = Vec::new();
        let replica = Replica::recover(
            config(),
            &shell(),
            signer(config().me),
            Time(0),
            stored,
            &mut out,
        );
        replica.err()
    };
    assert_eq!(restart(|_| {}), None);
    let slot = voted(1, 7).slot;
    let short = restart(|stored| stored.guard[0].1.truncate(9));
    assert!(matches!(short, Some(Damaged { slot: at, .. }) if at == slot));
    let moved = restart(|stored| stored.guard[0].0.view.0 = 2);
    assert!(moved.is_some());
}

#[test]
fn view_change_bars_the_phases_of_older_views() {
    let phases = [Kind::PrePrepare, Kind::Prepare, Kind::Commit];
    let say = |kind, view| Act::Say(kind, view, 7, 1);
    let mut bench = Bench::new();
    bench.tell(&[say(Kind::Prepare, 1), Act::Say(Kind::ViewChange, 3, 0, 1)]);
    bench.tell(&phases.map(|kind| say(kind, 2)));
    bench.tell(&[Act::Say(Kind::NewView, 2, 0, 1)]);
    bench.sync();
    assert_eq!(bench.replica.refused(), 4);
    // What was stored before may be sent again, and the wanted view is free.
    bench.tell(&[say(Kind::Prepare, 1)]);
    bench.tell(&phases.map(|kind| say(kind, 3)));
    bench.tell(&[Act::Say(Kind::NewView, 3, 0, 1)]);
    bench.sync();
    assert_eq!(bench.replica.refused(), 4);
    let mut bench = bench.crash(0);
    bench.tell(&[say(Kind::Commit, 2)]);
    assert_eq!(bench.replica.refused(), 1, "after a restart, too");
}
