//! Random acts, syncs and crashes: what must hold over all lives of one key.

use super::bench::{Bench, TENURE};
use super::mock::{Act, MockRecord};
use crate::replica::LogOp;
use crypto::{Digest, Kind, Slot};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Event {
    Act(Vec<Act>),
    SyncOne,
    Sync,
    /// Restart, with this many unsynced writes surviving.
    Crash(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let kind = prop_oneof![Just(Kind::Vote), Just(Kind::Proposal), Just(Kind::Prepare)];
    prop_oneof![
        4 => (kind, 1_u64..60, 0_u64..3).prop_map(|(kind, view, c)| Act::Say(kind, view, 0, c)),
        1 => (0_u64..15, 0_u64..3).prop_map(|(tenure, c)| Act::Say(Kind::Timeout, tenure, 0, c)),
        2 => (0_u64..1000).prop_map(Act::Persist),
        1 => (0_u64..9).prop_map(Act::Hint),
        1 => Just(Act::Commit(1)),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => prop::collection::vec(act(), 1..4).prop_map(Event::Act),
        3 => Just(Event::SyncOne),
        1 => Just(Event::Sync),
        1 => (0_usize..4).prop_map(Event::Crash),
    ]
}

/// Looks at everything that leaves, over all lives.
#[derive(Default)]
struct Judge {
    said: BTreeMap<Slot, Digest>,
}

impl Judge {
    fn look(&mut self, bench: &mut Bench) {
        let on_disk = bench.disk.writes[..bench.disk.durable].iter();
        let promised: Vec<Slot> = on_disk
            .flat_map(|(.., ops)| ops)
            .filter_map(|op| match op {
                LogOp::Guard(slot, _) => Some(*slot),
                _ => None,
            })
            .collect();
        for statement in bench.statements() {
            let slot = statement.slot;
            let first = *self.said.entry(slot).or_insert(statement.content);
            assert_eq!(first, statement.content, "two statements for {slot:?}");
            let place = promised.iter().position(|at| *at == slot);
            let place = place.unwrap_or_else(|| panic!("{slot:?} left before it was durable"));
            if matches!(slot.kind, Kind::Vote | Kind::Proposal) {
                let gave_up =
                    |at: &Slot| at.kind == Kind::Timeout && at.view.0 >= slot.view.0 / TENURE;
                assert!(
                    !promised[..place].iter().any(gave_up),
                    "{slot:?} was given up"
                );
            }
        }
        bench.sent.clear();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 256, ..Default::default() })]

    #[test]
    fn no_life_contradicts_another(events in prop::collection::vec(event(), 1..120)) {
        let mut bench = Bench::new();
        let mut judge = Judge::default();
        for event in events {
            match event {
                Event::Act(acts) => bench.tell(&acts),
                Event::SyncOne => drop(bench.sync_one()),
                Event::Sync => bench.sync(),
                Event::Crash(extra) => {
                    judge.look(&mut bench);
                    bench = bench.crash(extra);
                }
            }
            judge.look(&mut bench);
        }
        bench.sync();
        judge.look(&mut bench);
        prop_assert_eq!(bench.replica.waiting_for_disk(), 0);
    }

    /// What a step persists ahead of a send is on disk when the send leaves.
    #[test]
    fn record_is_on_disk_when_its_send_leaves(
        crash in 0_usize..8, syncs in 0_usize..8, steps in 1_u64..8,
    ) {
        let mut bench = Bench::new();
        for number in 1..=steps {
            bench.tell(&[Act::Persist(number), Act::Say(Kind::Vote, number, 0, number)]);
        }
        for _ in 0..syncs {
            bench.sync_one();
        }
        let left: Vec<u64> = bench.statements().iter().map(|it| it.slot.view.0).collect();
        prop_assert_eq!(left.len() as u64, steps.min(syncs as u64));
        let bench = bench.crash(crash);
        let stored = bench.disk.read(bench.disk.writes.len());
        for number in left {
            prop_assert!(stored.records.contains(&MockRecord::Number(number)));
        }
    }
}
