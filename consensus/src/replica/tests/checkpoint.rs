//! Checkpoints.

use super::bench::{Bench, EVERY, ME, signer, verifier};
use super::mock::{Act, MockMessage};
use crate::replica::{Checkpoint, Effect, LogOp, ReplicaInput, StableCheckpoint, Wire};
use crate::{Input, To};
use crypto::{Authenticate, Digest, Height, NodeId, Reject, Signature, codec};

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

/// Commits and executes up to the first checkpoint height; returns the history there.
fn reach_checkpoint(bench: &mut Bench, state: u8) -> Digest {
    for height in 1..=EVERY {
        bench.tell(&[Act::Commit(height)]);
    }
    for height in 1..=EVERY {
        bench.execute(height, state);
    }
    bench.sync();
    bench.replica.status().history
}

fn sent(bench: &Bench) -> Vec<&Checkpoint> {
    let all = bench.sent.iter().filter_map(|(_, wire)| match &**wire {
        Wire::Checkpoint(checkpoint) => Some(checkpoint),
        Wire::Protocol(_) => None,
    });
    all.collect()
}

fn stable(bench: &Bench) -> Vec<&StableCheckpoint> {
    let all = bench.effects.iter().filter_map(|effect| match effect {
        Effect::Stable(stable) => Some(stable),
        _ => None,
    });
    all.collect()
}

#[test]
fn checkpoint_is_signed_at_its_heights_only_and_behind_the_fence() {
    let mut bench = Bench::new();
    for height in 1..=2 * EVERY {
        bench.tell(&[Act::Commit(height)]);
        bench.execute(height, 1);
    }
    assert!(sent(&bench).is_empty());
    bench.sync();
    let heights: Vec<_> = sent(&bench).iter().map(|it| it.height.0).collect();
    assert_eq!(heights, [EVERY, 2 * EVERY]);
    for checkpoint in sent(&bench) {
        assert_eq!(checkpoint.check(ME, &verifier()), Ok(()));
    }
}

#[test]
fn nothing_is_sent_while_idle() {
    let mut bench = Bench::new();
    reach_checkpoint(&mut bench, 1);
    let before = bench.sent.len();
    bench.step(ReplicaInput::Protocol(Input::Tick));
    bench.execute(EVERY, 1);
    bench.sync();
    assert_eq!(bench.sent.len(), before);
}

#[test]
fn quorum_makes_it_stable() {
    let mut bench = Bench::new();
    let history = reach_checkpoint(&mut bench, 1);
    bench.checkpoint(NodeId(1), EVERY, history, 1);
    bench.checkpoint(NodeId(1), EVERY, history, 1);
    bench.checkpoint(NodeId(2), EVERY, history, 9);
    assert!(stable(&bench).is_empty(), "two of four agree");
    bench.checkpoint(NodeId(3), EVERY, history, 1);
    let found = stable(&bench);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].check(&verifier()), Ok(()));
    assert_eq!(bench.replica.stable(), Some(found[0]));
    let written = bench.disk.writes.iter().flat_map(|(.., ops)| ops);
    assert_eq!(
        written
            .filter(|op| matches!(op, LogOp::Checkpoint(_)))
            .count(),
        1
    );
    assert_eq!(bench.halted(), None);
    // It survives a restart.
    let bench = bench.crash(1);
    assert_eq!(
        bench.replica.stable().map(|it| it.height),
        Some(Height(EVERY))
    );
}

#[test]
fn own_checkpoint_counts_only_through_the_fence() {
    let mut bench = Bench::new();
    for height in 1..=EVERY {
        bench.tell(&[Act::Commit(height)]);
        bench.execute(height, 1);
    }
    let history = bench.replica.status().history;
    bench.checkpoint(NodeId(1), EVERY, history, 1);
    bench.checkpoint(NodeId(2), EVERY, history, 1);
    assert!(stable(&bench).is_empty());
    bench.sync();
    assert_eq!(stable(&bench).len(), 1);
}

/// After an orderly end the state was flushed at that height, and nothing there is executed again: with
/// one member gone, three that had signed and not heard each other would never count to three.
#[test]
fn own_checkpoint_counts_again_after_a_restart() {
    let mut bench = Bench::new();
    let history = reach_checkpoint(&mut bench, 1);
    let mut bench = bench.crash(0);
    bench.sync();
    bench.checkpoint(NodeId(1), EVERY, history, 1);
    assert!(stable(&bench).is_empty());
    bench.checkpoint(NodeId(2), EVERY, history, 1);
    assert_eq!(stable(&bench).len(), 1);
}

/// An orderly end stops the machine before the executor, which still carries out its orders and flushes:
/// with two such among four nobody would ever count to three.
#[test]
fn what_was_executed_after_the_last_that_was_signed_is_signed_at_the_start() {
    let mut bench = Bench::new();
    for height in 1..=EVERY {
        bench.tell(&[Act::Commit(height)]);
    }
    bench.sync();
    let history = bench.replica.status().history;
    let restart = |mut bench: Bench| {
        let mut stored = bench.disk.read(bench.disk.writes.len());
        stored.anchor.executed = Height(EVERY);
        stored.histories.push((Height(EVERY), history));
        stored.state = Some(digest(1));
        Bench::start(stored, std::mem::take(&mut bench.disk))
    };
    let mut bench = restart(bench);
    bench.sync();
    assert_eq!(sent(&bench).len(), 1);
    for node in [1, 2] {
        bench.checkpoint(NodeId(node), EVERY, history, 1);
    }
    assert_eq!(stable(&bench).len(), 1);
    // Once only, and not when it is stable.
    let mut bench = restart(bench);
    bench.sync();
    assert_eq!(sent(&bench).len(), 0);
}

/// Some sign the second one and some, which crashed before, never will: the first is what they have in
/// common (simulator, seed 5488).
#[test]
fn all_own_checkpoints_that_are_not_stable_are_sent_again() {
    let mut bench = Bench::new();
    for height in 1..=2 * EVERY {
        bench.tell(&[Act::Commit(height)]);
        bench.execute(height, 1);
    }
    bench.sync();
    bench.sent.clear();
    let peer = NodeId(2);
    bench.step(ReplicaInput::Protocol(Input::Connected { peer }));
    bench.sync();
    let heights: Vec<_> = sent(&bench).iter().map(|it| it.height.0).collect();
    assert_eq!(heights, [EVERY, 2 * EVERY]);
}

#[test]
fn one_who_lags_learns_of_a_stable_checkpoint() {
    let mut bench = Bench::new();
    for node in 1..=3 {
        bench.checkpoint(NodeId(node), 100 * EVERY, digest(5), 6);
    }
    assert_eq!(stable(&bench).len(), 1);
}

/// A protocol may be shown what the shell has not gathered itself.
#[test]
fn one_that_was_shown_is_kept_and_the_own_state_is_held_against_it() {
    let mut bench = Bench::new();
    let history = reach_checkpoint(&mut bench, 1);
    for node in [1, 2] {
        bench.checkpoint(NodeId(node), EVERY, history, 1);
    }
    let known = stable(&bench)[0].clone();
    let mut later = known.clone();
    later.height = Height(2 * EVERY);
    for shown in [&known, &later, &known] {
        bench.tell(&[Act::Stable(Box::new(shown.clone()))]);
    }
    assert_eq!(stable(&bench), [&known, &later], "the newest only");
    let mut bench = bench.crash(9);
    assert_eq!(bench.replica.stable(), Some(&later));
    for height in EVERY + 1..=2 * EVERY {
        bench.tell(&[Act::Commit(height)]);
        bench.execute(height, 7);
    }
    assert!(bench.halted().unwrap().starts_with("history diverged"));
}

#[test]
fn state_that_differs_from_a_quorum_stops_the_node() {
    // The quorum is known after, or before, the own execution.
    let mut after = Bench::new();
    let history = reach_checkpoint(&mut after, 1);
    let mut before = Bench::new();
    for height in 1..=EVERY {
        before.tell(&[Act::Commit(height)]);
    }
    for bench in [&mut after, &mut before] {
        for node in 1..=3 {
            bench.checkpoint(NodeId(node), EVERY, history, 2);
        }
    }
    assert_eq!(before.halted(), None);
    before.execute(EVERY, 1);
    for mut bench in [after, before] {
        let reason = bench.halted().unwrap();
        assert!(reason.starts_with("state diverged at height 4"), "{reason}");
        let (sent, writes) = (bench.sent.len(), bench.disk.writes.len());
        bench.tell(&[Act::Persist(1), Act::Hint(1)]);
        bench.sync();
        assert_eq!(
            (bench.sent.len(), bench.disk.writes.len()),
            (sent, writes),
            "it is over"
        );
    }
}

#[test]
fn history_that_differs_from_a_quorum_stops_the_node() {
    let mut bench = Bench::new();
    reach_checkpoint(&mut bench, 1);
    for node in 1..=3 {
        bench.checkpoint(NodeId(node), EVERY, digest(7), 1);
    }
    assert!(bench.halted().unwrap().starts_with("history diverged"));
}

#[test]
fn fewer_than_a_quorum_stop_nobody() {
    let mut bench = Bench::new();
    let history = reach_checkpoint(&mut bench, 1);
    bench.checkpoint(NodeId(1), EVERY, history, 2);
    bench.checkpoint(NodeId(2), EVERY, history, 2);
    assert_eq!(bench.halted(), None);
}

#[test]
fn other_state_than_the_one_signed_before_a_restart_stops_the_node() {
    let mut bench = Bench::new();
    let history = reach_checkpoint(&mut bench, 1);
    let disk = std::mem::take(&mut bench.disk);
    let restart = |state| {
        let mut stored = disk.read(disk.writes.len());
        stored.histories.push((Height(EVERY), history));
        let mut bench = Bench::start(stored, Default::default());
        bench.execute(EVERY, state);
        bench
    };
    let same = restart(1);
    assert_eq!(same.halted(), None);
    let other = restart(2);
    assert!(other.halted().unwrap().contains("it signed before"));
}

#[test]
fn peer_that_connects_gets_the_checkpoint_that_is_not_stable_yet() {
    let mut bench = Bench::new();
    let history = reach_checkpoint(&mut bench, 1);
    let connect = |bench: &mut Bench| {
        bench.sent.clear();
        bench.step(ReplicaInput::Protocol(Input::Connected { peer: NodeId(2) }));
        bench.sync();
        bench.sent.iter().map(|(to, _)| *to).collect::<Vec<_>>()
    };
    assert_eq!(connect(&mut bench), [To::One(NodeId(2))]);
    for node in 1..=2 {
        bench.checkpoint(NodeId(node), EVERY, history, 1);
    }
    assert_eq!(connect(&mut bench), []);
}

#[test]
fn bad_checkpoints_are_refused() {
    let mut bench = Bench::new();
    bench.checkpoint(NodeId(1), EVERY + 1, digest(1), 1);
    bench.checkpoint(NodeId(1), 0, digest(1), 1);
    bench.checkpoint(NodeId(1), EVERY, digest(1), 1);
    bench.checkpoint(NodeId(1), EVERY, digest(1), 2);
    let rejects: Vec<_> = bench
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Reject(NodeId(1), reject) => Some(*reject),
            _ => None,
        })
        .collect();
    assert_eq!(
        rejects,
        [Reject::Malformed, Reject::Malformed, Reject::Conflict]
    );
    let accused = bench
        .effects
        .iter()
        .filter(|it| matches!(it, Effect::Evidence(_)))
        .count();
    assert_eq!(accused, 1);
}

#[test]
fn far_heights_of_a_liar_displace_nobody_elses() {
    let history = reach_checkpoint(&mut Bench::new(), 1);
    let mut bench = Bench::new();
    bench.checkpoint(NodeId(1), EVERY, history, 1);
    for i in 2..1000 {
        bench.checkpoint(NodeId(3), i * EVERY, digest(9), 9);
    }
    reach_checkpoint(&mut bench, 1);
    bench.checkpoint(NodeId(2), EVERY, history, 1);
    assert_eq!(stable(&bench).len(), 1);
}

fn sample() -> Checkpoint {
    let signer = signer(ME);
    let mut it = Checkpoint {
        node: ME,
        height: Height(1024),
        history: digest(1),
        state: digest(2),
        signature: Signature::NONE,
    };
    it.signature = signer.sign(&it.statement(&signer.verifier.context));
    it
}

#[test]
fn every_flipped_byte_of_a_checkpoint_is_rejected() {
    let bytes = codec::encode(&sample());
    for i in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[i] ^= 1;
        if let Ok(it) = codec::decode::<Checkpoint>(&bytes) {
            assert!(it.check(ME, &verifier()).is_err(), "byte {i}");
        }
    }
    assert_eq!(sample().check(ME, &verifier()), Ok(()));
    assert_eq!(
        sample().check(NodeId(1), &verifier()),
        Err(Reject::WrongSender)
    );
}

#[test]
fn golden_bytes() {
    let it = sample();
    let content = it.statement(&verifier().context).content;
    assert_eq!(content.to_string(), GOLDEN_CONTENT);
    let bytes = codec::encode(&Wire::<MockMessage>::Checkpoint(it));
    // Arm 1; node 0; height 1024; history; state; signature.
    let fields = format!(
        "01000000{}{}{}{}{}",
        "0000",
        "0004000000000000",
        "01".repeat(32),
        "02".repeat(32),
        GOLDEN_SIGNATURE
    );
    assert_eq!(hex(&bytes), fields);
}

const GOLDEN_CONTENT: &str = "5bdbab8aa5a0eaad2a76f1d5c696f850758087b44e15337c76747c91f2c3c45f";
const GOLDEN_SIGNATURE: &str = "857937292e3ef410b0087328910acaba7a5d19907299e3444d4dc16e1ef4414e076feb39a4b9b75fb1777bc51535a13ae86d3a57b4dcf4605e20c51be836c204";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
