//! The search against examples, and against all orders tried one by one.

use super::*;
use crate::sim::Chance;

fn operation(called: u64, returned: Option<u64>, step: Step) -> Operation {
    let ways = vec![Way { guard: None, step }];
    Operation {
        called,
        returned,
        ways,
    }
}

fn put(value: u8) -> Step {
    Step::Put(vec![value], None)
}

fn saw(value: u8, version: u64) -> Step {
    let value = vec![value];
    Step::Get(Some(Cell { value, version }))
}

#[test]
fn a_read_sees_what_was_told_before_it() {
    let written = operation(0, Some(1), put(1));
    let read = |called, step| operation(called, Some(called + 5), step);
    assert!(fits(&[written.clone(), read(2, saw(1, 1))]).is_ok());
    assert!(fits(&[written.clone(), read(2, Step::Get(None))]).is_err());
    // They overlap: either will do.
    let overlaps = operation(0, Some(9), put(1));
    assert!(fits(&[overlaps.clone(), read(2, saw(1, 1))]).is_ok());
    assert!(fits(&[overlaps, read(2, Step::Get(None))]).is_ok());
}

#[test]
fn two_reads_do_not_see_time_go_back() {
    let writes = [operation(0, Some(1), put(1)), operation(2, Some(9), put(2))];
    let reads = |first, then| {
        let reads = [operation(3, Some(4), first), operation(5, Some(6), then)];
        fits(&[&writes[..], &reads[..]].concat()).is_ok()
    };
    assert!(reads(saw(1, 1), saw(2, 2)));
    assert!(!reads(saw(2, 2), saw(1, 1)));
}

#[test]
fn what_was_never_told_may_have_happened_late_or_never() {
    let lost = operation(0, None, put(1));
    let read = |called, step| operation(called, Some(called + 1), step);
    assert!(fits(&[lost.clone(), read(2, Step::Get(None))]).is_ok());
    assert!(fits(&[lost.clone(), read(2, Step::Get(None)), read(4, saw(1, 1))]).is_ok());
    assert!(fits(&[lost, read(2, saw(1, 1)), read(4, Step::Get(None))]).is_err());
}

#[test]
fn conditions_and_versions_are_judged() {
    let guarded = |guard, step| Operation {
        called: 2,
        returned: Some(3),
        ways: vec![Way {
            guard: Some(guard),
            step,
        }],
    };
    let first = operation(0, Some(1), Step::Put(vec![1], Some(1)));
    let judge = |it| fits(&[first.clone(), it]).is_ok();
    assert!(judge(guarded(
        (Test::Exists, true),
        Step::Delete(Some(true))
    )));
    assert!(!judge(guarded((Test::Exists, false), Step::Skip)));
    assert!(judge(guarded(
        (Test::Equal(1), true),
        Step::Put(vec![2], Some(2))
    )));
    assert!(!judge(guarded((Test::Greater(1), true), Step::Skip)));
    assert!(!judge(operation(2, Some(3), Step::Put(vec![2], Some(1)))));
    assert!(!judge(operation(2, Some(3), Step::Delete(Some(false)))));
}

/// Every order of every choice, without any cleverness.
fn brute(operations: &[Operation], done: &mut Vec<usize>, cell: Option<&Cell>) -> bool {
    let left: Vec<usize> = (0..operations.len())
        .filter(|i| !done.contains(i))
        .collect();
    if left.iter().all(|i| operations[*i].returned.is_none()) {
        return true;
    }
    left.iter().any(|&i| {
        let first = left.iter().all(|j| {
            operations[*j]
                .returned
                .is_none_or(|returned| operations[i].called <= returned)
        });
        first
            && operations[i].ways.iter().any(|way| {
                let Some(next) = way.apply(cell) else {
                    return false;
                };
                done.push(i);
                let fits = brute(operations, done, next.as_ref());
                done.pop();
                fits
            })
    })
}

/// A client that hears of nothing leaves a question each time: whether what it asked for has happened. They
/// double what is to be tried only if the answer matters.
#[test]
fn what_changes_nothing_does_not_lengthen_the_search() {
    let seventh = |held| Some((Test::Equal(7), held));
    let way = |held, step| Way {
        guard: seventh(held),
        step,
    };
    let mut history: Vec<Operation> = (0..40)
        .map(|i| Operation {
            called: i,
            returned: None,
            ways: vec![way(true, put(i as u8)), way(false, Step::Skip)],
        })
        .collect();
    // Reads that many ask for at a time fit in each order.
    history.extend((0..40).map(|i| operation(50 + i, Some(100 + i), Step::Get(None))));
    fits(&history).unwrap();
    history.push(operation(200, Some(201), saw(77, 1)));
    let why = fits(&history).unwrap_err();
    assert!(why.starts_with("no order explains"), "{why}");
}

#[test]
fn the_search_agrees_with_trying_everything() {
    let mut c = Chance::of(1, "histories");
    let (mut good, mut bad) = (0, 0);
    for _ in 0..20_000 {
        let count = c.between(2, 6);
        let mut history = Vec::new();
        for _ in 0..count {
            let called = c.below(12);
            let returned = (!c.one_in(5)).then(|| called + 1 + c.below(6));
            let step = match c.below(5) {
                0 | 1 => put(c.below(2) as u8),
                2 => Step::Delete(c.one_in(2).then(|| c.one_in(2))),
                3 => Step::Get(None),
                _ => saw(c.below(2) as u8, c.between(1, 2)),
            };
            let guard = c.one_in(6).then(|| (Test::Exists, c.one_in(2)));
            let mut ways = vec![Way { guard, step }];
            if returned.is_none() && c.one_in(2) {
                ways.push(Way {
                    guard: None,
                    step: Step::Delete(None),
                });
            }
            history.push(Operation {
                called,
                returned,
                ways,
            });
        }
        let expected = brute(&history, &mut Vec::new(), None);
        assert_eq!(fits(&history).is_ok(), expected, "{history:?}");
        *if expected { &mut good } else { &mut bad } += 1;
    }
    assert!(good > 2_000 && bad > 2_000, "{good} good, {bad} bad");
}
