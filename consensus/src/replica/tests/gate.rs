//! Gate and commits.

use super::bench::{Bench, ME, signer};
use super::mock::{Act, MockMessage, statement};
use crate::replica::{Effect, Fence, LogOp, ReplicaInput, Wire};
use crate::{Input, To};
use crypto::{Kind, NodeId, Reject, Size, Verified};

fn plain(bench: &Bench) -> Vec<&MockMessage> {
    let all = bench.sent.iter().filter_map(|(_, wire)| match &**wire {
        Wire::Protocol(message) => Some(message),
        Wire::Checkpoint(_) => None,
    });
    all.collect()
}

#[test]
fn vote_does_not_leave_before_durable() {
    let mut bench = Bench::new();
    bench.tell(&[Act::Persist(1), Act::Say(Kind::Vote, 1, 0, 7)]);
    assert!(bench.sent.is_empty());
    let (fence, sync, ops) = &bench.disk.writes[0];
    assert_eq!((*fence, *sync), (Fence(1), true));
    assert!(
        matches!(ops[..], [LogOp::Put(_), LogOp::Guard(..)]),
        "one write for both: {ops:?}"
    );
    bench.sync();
    assert_eq!(bench.statements(), [statement(Kind::Vote, 1, 0, 7)]);
    assert_eq!(bench.sent[0].0, To::Others);
}

#[test]
fn own_message_returns_only_through_the_fence() {
    let mut bench = Bench::new();
    bench.tell(&[Act::Say(Kind::Vote, 1, 0, 7)]);
    assert!(bench.replica.protocol().own.is_empty());
    bench.sync();
    let own = &bench.replica.protocol().own;
    assert!(matches!(own[..], [MockMessage::Said(ME, ..)]));

    bench.tell(&[Act::Persist(1), Act::Note(3)]);
    assert_eq!(bench.replica.protocol().own.len(), 1);
    bench.sync();
    assert_eq!(bench.replica.protocol().own[1], MockMessage::Note(3));
}

#[test]
fn own_message_from_elsewhere_is_refused() {
    let mut bench = Bench::new();
    let message = Verified::own(MockMessage::Note(1), &signer(ME));
    bench.step(ReplicaInput::Protocol(Input::Message { from: ME, message }));
    assert!(bench.replica.protocol().own.is_empty());
    assert!(matches!(
        bench.effects[..],
        [Effect::Reject(ME, Reject::WrongSender)]
    ));
}

#[test]
fn message_to_itself_alone_does_not_leave() {
    let mut bench = Bench::new();
    bench.tell(&[Act::Tell(ME.0, Kind::Vote, 1, 0, 7)]);
    bench.sync();
    assert!(bench.sent.is_empty());
    assert_eq!(bench.replica.protocol().own.len(), 1);
}

#[test]
fn send_waits_for_what_an_earlier_step_wrote() {
    let mut bench = Bench::new();
    bench.tell(&[Act::Persist(1)]);
    assert!(!bench.disk.writes[0].1, "nothing waits for it");
    bench.tell(&[Act::Hint(5)]);
    let (fence, sync, ops) = &bench.disk.writes[1];
    assert!(
        *fence == Fence(2) && *sync && ops.is_empty(),
        "a sync of what was written before"
    );
    bench.step(ReplicaInput::Durable(Fence(1)));
    assert!(
        bench.sent.is_empty(),
        "an unsynced write's answer releases nothing"
    );
    bench.step(ReplicaInput::Durable(Fence(2)));
    assert_eq!(plain(&bench), [&MockMessage::Hint(5)]);
}

#[test]
fn nothing_new_written_means_no_further_sync() {
    let mut bench = Bench::new();
    bench.tell(&[Act::Persist(1), Act::Hint(1)]);
    bench.tell(&[Act::Hint(2)]);
    assert_eq!(
        bench.disk.writes.len(),
        1,
        "the second waits for the same sync"
    );
    assert!(bench.sent.is_empty());
    bench.sync();
    bench.tell(&[Act::Hint(3)]);
    assert_eq!(bench.disk.writes.len(), 1);
    let hints = [
        MockMessage::Hint(1),
        MockMessage::Hint(2),
        MockMessage::Hint(3),
    ];
    assert_eq!(plain(&bench), hints.iter().collect::<Vec<_>>());
}

#[test]
fn what_promises_nothing_overtakes_but_its_own_copy_waits() {
    let mut bench = Bench::new();
    bench.tell(&[Act::Persist(1), Act::Hint(1), Act::Fetch(2)]);
    assert_eq!(plain(&bench), [&MockMessage::Fetch(2)]);
    assert!(bench.replica.protocol().own.is_empty());
    bench.sync();
    assert_eq!(
        plain(&bench),
        [&MockMessage::Fetch(2), &MockMessage::Hint(1)]
    );
    assert_eq!(bench.replica.protocol().own, [MockMessage::Fetch(2)]);
}

#[test]
fn several_steps_in_flight_are_released_in_order_up_to_the_fence() {
    let mut bench = Bench::new();
    for view in 1..=3 {
        bench.tell(&[Act::Persist(view), Act::Say(Kind::Vote, view, 0, 0)]);
    }
    assert_eq!(bench.replica.waiting_for_disk(), 3);
    bench.step(ReplicaInput::Durable(Fence(2)));
    let votes = |views: &[u64]| -> Vec<_> {
        views
            .iter()
            .map(|view| statement(Kind::Vote, *view, 0, 0))
            .collect()
    };
    assert_eq!(bench.statements(), votes(&[1, 2]));
    bench.step(ReplicaInput::Durable(Fence(1)));
    assert_eq!(
        bench.statements(),
        votes(&[1, 2]),
        "an older answer changes nothing"
    );
    bench.step(ReplicaInput::Durable(Fence(3)));
    assert_eq!(bench.statements(), votes(&[1, 2, 3]));
}

#[test]
fn gate_is_bounded_while_the_disk_stalls() {
    let mut bench = Bench::new();
    for number in 0..9000 {
        bench.tell(&[Act::Hint(number)]);
    }
    assert_eq!(bench.replica.waiting_for_disk(), 8192);
    let mut sizes = Vec::new();
    bench.replica.sizes(&mut sizes);
    assert!(sizes.contains(&Size::new("held for the disk", 8192, 8192)));
    bench.sync();
    assert_eq!(
        *plain(&bench)[0],
        MockMessage::Hint(9000 - 8192),
        "the oldest went first"
    );
    assert_eq!(bench.replica.waiting_for_disk(), 0);
}

#[test]
#[should_panic(expected = "written: only")]
fn fence_that_was_never_written_is_an_engine_fault() {
    Bench::new().step(ReplicaInput::Durable(Fence(1)));
}

#[test]
fn commit_is_written_before_it_is_announced_and_syncs_nothing() {
    let mut bench = Bench::new();
    let mut out = Vec::new();
    let message = Verified::own(MockMessage::Do(vec![Act::Commit(1)]), &signer(NodeId(1)));
    let input = Input::Message {
        from: NodeId(1),
        message,
    };
    bench
        .replica
        .step(crypto::Time(0), ReplicaInput::Protocol(input), &mut out);
    match &out[..] {
        [
            Effect::Write {
                ops, sync: false, ..
            },
            Effect::Commit {
                committed: announced,
                by_leader: true,
            },
        ] => match &ops[..] {
            [LogOp::Commit(written)] => assert_eq!(written, announced),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
#[should_panic(expected = "commits are consecutive")]
fn commit_that_skips_a_height_is_caught() {
    Bench::new().tell(&[Act::Claim(2, 0)]);
}

#[test]
#[should_panic(expected = "a commit extends the history")]
fn commit_of_another_history_is_caught() {
    Bench::new().tell(&[Act::Claim(1, 0)]);
}
