//! Committed payload that is not here: heights become available in order.

use super::*;

fn available(out: &[Output]) -> Option<u64> {
    out.iter().find_map(|o| match o {
        Output::Available { height } => Some(height.0),
        _ => None,
    })
}

#[test]
fn held_payload_is_available_at_once() {
    let mut rig = Rig::new();
    let a = batch(1, 1);
    rig.push(&a);
    assert_eq!(available(&rig.commit(refs(&[&a]))), Some(1));
    assert_eq!(available(&rig.commit(Payload::EMPTY)), Some(2));
}

#[test]
fn missing_payload_is_looked_for_in_the_store_then_at_peers() {
    let mut rig = Rig::new();
    let a = batch(1, 1);
    let digest = a.reference().digest;
    let out = rig.commit(refs(&[&a]));
    assert!(out.contains(&Output::Load(digest)));
    assert_eq!(available(&out), None);
    assert_eq!(available(&rig.commit(Payload::EMPTY)), None, "in order");
    assert_eq!(asked(&rig.pass(1_000)), vec![], "the store comes first");
    let out = rig.step(Input::Loaded {
        digest,
        bytes: None,
    });
    assert_eq!(asked(&out), vec![(1, vec![digest])]);
    let out = rig.answer(1, &[&a]);
    assert!(matches!(out[0], Output::Store { reference, .. } if reference == a.reference()));
    assert_eq!(available(&out), Some(2));
    let stats = rig.pool.stats();
    assert_eq!((stats.batches, stats.wanted, stats.unavailable), (0, 0, 0));
}

#[test]
fn what_the_store_has_is_not_written_again() {
    let mut rig = Rig::new();
    let a = batch(1, 1);
    rig.commit(refs(&[&a]));
    let bytes = Some(a.bytes().clone());
    let out = rig.step(Input::Loaded {
        digest: a.reference().digest,
        bytes,
    });
    assert_eq!(out, vec![Output::Available { height: Height(1) }]);
}

#[test]
fn a_committed_batch_is_fetched_even_after_it_expired() {
    let mut rig = Rig::new();
    let a = batch(1, 1);
    rig.commit(refs(&[&a]));
    for _ in 0..60 {
        rig.commit(Payload::EMPTY);
    }
    rig.step(Input::Loaded {
        digest: a.reference().digest,
        bytes: None,
    });
    assert_eq!(available(&rig.answer(2, &[&a])), Some(61));
}

#[test]
fn a_block_over_missing_committed_payload_waits_with_it() {
    let mut rig = Rig::new();
    let a = batch(1, 1);
    rig.commit(refs(&[&a]));
    let waits = rig.check(1, 2, refs(&[&a]));
    assert!(!waits.iter().any(|o| matches!(o, Output::Checked { .. })));
    rig.step(Input::Loaded {
        digest: a.reference().digest,
        bytes: None,
    });
    let out = rig.answer(1, &[&a]);
    assert!(out.contains(&Output::Checked {
        block: block(1),
        held: Ok(())
    }));
}

#[test]
fn a_long_backlog_is_fetched_a_bounded_number_at_a_time() {
    let mut rig = Rig::with(|c| c.fetches = 4);
    let all: Vec<SealedBatch> = (1..=20).map(|number| batch(1, number)).collect();
    let mut loads = Vec::new();
    let mut collect = |out: Vec<Output>| {
        for o in out {
            if let Output::Load(digest) = o {
                loads.push(digest);
            }
        }
        loads.len()
    };
    for sealed in &all {
        collect(rig.commit(refs(&[sealed])));
    }
    assert_eq!(collect(vec![]), 4);
    assert_eq!(rig.pool.stats().wanted, 4);
    for (i, sealed) in all.iter().enumerate() {
        let bytes = Some(sealed.bytes().clone());
        let out = rig.step(Input::Loaded {
            digest: sealed.reference().digest,
            bytes,
        });
        assert_eq!(available(&out), Some(i as u64 + 1));
        collect(out);
    }
    assert_eq!(collect(vec![]), 20);
}

#[test]
fn a_slow_store_is_asked_a_bounded_number_even_if_peers_answer_first() {
    let mut rig = Rig::with(|c| c.fetches = 4);
    let all: Vec<SealedBatch> = (1..=8).map(|number| batch(1, number)).collect();
    for sealed in &all {
        rig.commit(refs(&[sealed]));
    }
    for sealed in &all[..4] {
        rig.push(sealed);
    }
    let stats = rig.pool.stats();
    assert_eq!((stats.unavailable, stats.loads), (4, 4));
    let late = Input::Loaded {
        digest: all[0].reference().digest,
        bytes: None,
    };
    let next = all[4].reference().digest;
    assert!(rig.step(late).contains(&Output::Load(next)));
}

#[test]
fn a_batch_ordered_twice_is_held_once() {
    let mut rig = Rig::new();
    let a = batch(1, 1);
    rig.push(&a);
    rig.commit(refs(&[&a]));
    let out = rig.check(1, 2, refs(&[&a]));
    assert!(out.contains(&Output::Checked {
        block: block(1),
        held: Ok(())
    }));
    assert_eq!(available(&rig.commit(refs(&[&a]))), Some(2));
}
