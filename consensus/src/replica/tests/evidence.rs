//! Evidence.

use super::bench::{Bench, ME, signer, verifier};
use super::mock::{Act, MockMessage, statement};
use crate::Evidence;
use crate::replica::{Effect, LogOp, Wire};
use crypto::{Kind, NodeId, Reject};
use proptest::prelude::*;

const LIAR: NodeId = NodeId(2);

fn said(by: NodeId, kind: Kind, view: u64, content: u64) -> MockMessage {
    let statement = statement(kind, view, 0, content);
    MockMessage::Said(by, statement, signer(by).sign(&statement))
}

fn evidence(bench: &Bench) -> Vec<&Evidence> {
    let all = bench.effects.iter().filter_map(|effect| match effect {
        Effect::Evidence(evidence) => Some(evidence),
        _ => None,
    });
    all.collect()
}

#[test]
fn two_statements_for_one_slot_are_evidence() {
    let mut bench = Bench::new();
    bench.hear(LIAR, said(LIAR, Kind::Vote, 1, 7));
    bench.hear(LIAR, said(LIAR, Kind::Vote, 1, 8));
    let found = evidence(&bench);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].node, LIAR);
    assert_eq!(found[0].first.0, statement(Kind::Vote, 1, 0, 7));
    assert_eq!(found[0].check(&verifier()), Ok(()));
}

#[test]
fn first_statement_stays_and_one_slot_accuses_once() {
    let mut bench = Bench::new();
    for content in [7, 7, 8, 7, 9, 8] {
        bench.hear(LIAR, said(LIAR, Kind::Vote, 1, content));
    }
    let found = evidence(&bench);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].first.0, statement(Kind::Vote, 1, 0, 7));
    assert_eq!(
        bench.replica.protocol().heard.len(),
        6,
        "the protocol hears them all"
    );
}

#[test]
fn other_slot_kind_or_signer_is_no_contradiction() {
    let mut bench = Bench::new();
    bench.hear(LIAR, said(LIAR, Kind::Vote, 1, 1));
    bench.hear(LIAR, said(LIAR, Kind::Vote, 2, 2));
    bench.hear(LIAR, said(LIAR, Kind::Proposal, 1, 3));
    bench.hear(NodeId(3), said(NodeId(3), Kind::Vote, 1, 4));
    assert!(evidence(&bench).is_empty());
}

#[test]
fn flood_of_one_signer_displaces_only_its_own() {
    let mut bench = Bench::new();
    bench.hear(NodeId(3), said(NodeId(3), Kind::Vote, 1, 1));
    for view in 1..=500 {
        bench.hear(LIAR, said(LIAR, Kind::Vote, view, 1));
    }
    bench.hear(NodeId(3), said(NodeId(3), Kind::Vote, 1, 2));
    assert_eq!(evidence(&bench).len(), 1);
}

#[test]
fn evidence_that_proves_nothing_is_recognised() {
    let by = verifier();
    let one = |content| {
        let statement = statement(Kind::Vote, 1, 0, content);
        (statement, signer(LIAR).sign(&statement))
    };
    let same = Evidence {
        node: LIAR,
        first: one(1),
        second: one(1),
    };
    assert_eq!(same.check(&by), Err(Reject::Malformed));
    let framed = Evidence {
        node: NodeId(3),
        first: one(1),
        second: one(2),
    };
    assert_eq!(framed.check(&by), Err(Reject::BadSignature));
}

#[test]
fn a_proof_is_synced_in_the_step_that_finds_it_and_known_after_a_restart() {
    let mut bench = Bench::new();
    bench.hear(LIAR, said(LIAR, Kind::Vote, 1, 7));
    bench.hear(LIAR, said(LIAR, Kind::Vote, 1, 8));
    let (_, sync, ops) = bench.disk.writes.last().unwrap();
    let stored: Vec<_> = ops
        .iter()
        .filter_map(|op| match op {
            LogOp::Evidence(evidence) => Some(evidence),
            _ => None,
        })
        .collect();
    assert_eq!(stored, evidence(&bench));
    assert!(*sync, "the liar may be silent from now on");
    let proven = [(LIAR, statement(Kind::Vote, 1, 0, 7).slot)];
    assert!(bench.replica.proven().eq(proven));

    bench.sync();
    let mut bench = bench.crash(0);
    assert!(bench.replica.proven().eq(proven));
    bench.hear(LIAR, said(LIAR, Kind::Vote, 1, 7));
    bench.hear(LIAR, said(LIAR, Kind::Vote, 1, 9));
    assert!(evidence(&bench).is_empty(), "told once, restarts included");
    bench.hear(LIAR, said(LIAR, Kind::Vote, 2, 7));
    bench.hear(LIAR, said(LIAR, Kind::Vote, 2, 9));
    assert_eq!(evidence(&bench).len(), 1);
    assert_eq!(bench.replica.proven().count(), 2);
}

#[test]
fn a_proof_of_the_protocol_and_one_of_the_shell_are_one() {
    let mut bench = Bench::new();
    let one = |content| {
        let statement = statement(Kind::Vote, 1, 0, content);
        (statement, signer(LIAR).sign(&statement))
    };
    let found = Box::new(Evidence {
        node: LIAR,
        first: one(7),
        second: one(8),
    });
    bench.tell(&[Act::Accuse(found.clone()), Act::Accuse(found)]);
    bench.hear(LIAR, said(LIAR, Kind::Vote, 1, 7));
    bench.hear(LIAR, said(LIAR, Kind::Vote, 1, 8));
    assert_eq!(evidence(&bench).len(), 1);
}

/// S11: who lies all day fills no disk, and keeps nobody else's lies out.
#[test]
fn proofs_against_one_liar_are_few_and_leave_room_for_another() {
    let mut bench = Bench::new();
    let lie = |bench: &mut Bench, by, view| {
        bench.hear(by, said(by, Kind::Vote, view, 1));
        bench.hear(by, said(by, Kind::Vote, view, 2));
    };
    (0..100).for_each(|view| lie(&mut bench, LIAR, view));
    assert_eq!(evidence(&bench).len(), 16);
    lie(&mut bench, NodeId(3), 5);
    assert_eq!(evidence(&bench).len(), 17);
    let of = |node| bench.replica.proven().filter(move |it| it.0 == node);
    assert!(of(LIAR).map(|(_, slot)| slot.view.0).eq(0..16));
    assert_eq!(of(NodeId(3)).count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..Default::default() })]

    /// One honest replica acts and crashes at random; another hears everything it ever sent, in any
    /// order and more than once, and never accuses it.
    #[test]
    fn evidence_never_accuses_honest(
        steps in prop::collection::vec((0_u8..4, 0_u64..6, 0_u64..3), 1..60),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..120),
    ) {
        let mut honest = Bench::new();
        let mut sent = Vec::new();
        for (what, view, content) in steps {
            match what {
                0 => honest.tell(&[Act::Say(Kind::Vote, view, 0, content)]),
                1 => honest.tell(&[Act::Say(Kind::Timeout, view, 0, content)]),
                2 => drop(honest.sync_one()),
                _ => {
                    sent.append(&mut honest.sent);
                    honest = honest.crash(view as usize);
                }
            }
        }
        honest.sync();
        sent.append(&mut honest.sent);
        let mut judge = Bench::new();
        for index in order {
            if sent.is_empty() {
                break;
            }
            // The judge takes it for a message of another, so that it is not refused as its own.
            let (_, wire) = index.get(&sent);
            if let Wire::Protocol(MockMessage::Said(node, statement, _)) = &**wire {
                prop_assert_eq!(*node, ME);
                let signature = signer(LIAR).sign(statement);
                judge.hear(LIAR, MockMessage::Said(LIAR, *statement, signature));
            }
        }
        prop_assert!(evidence(&judge).is_empty());
    }
}
