#![allow(clippy::unwrap_used)]

use super::*;

/// How far the executor is told to go, if it is told anything.
fn told(execution: &mut Execution, handed: Option<Commit>) -> Option<u64> {
    let mut out = Vec::new();
    execution.request(handed, &mut out);
    out.pop().map(|effect| match effect {
        Effect::Execute { to, .. } => to.0,
        other => panic!("not for the executor: {other:?}"),
    })
}

/// An executor that may gather nothing more waits for the rows of what it was handed and executed.
#[test]
fn the_executor_is_told_of_each_write_that_may_hold_a_row_it_waits_for() {
    let mut execution = Execution::new(Height(0), Height(0), Digest::ZERO);
    for (height, token) in [(1, 3), (2, 3), (3, 5)] {
        let handed = execution.commit(Height(height), (&Payload::EMPTY, Digest::ZERO), token);
        assert_eq!(told(&mut execution, handed), Some(height));
    }
    execution.executed(Height(1), Digest::ZERO);
    for (written, expected) in [(2, Some(3)), (3, Some(3)), (5, Some(3)), (6, None)] {
        execution.written(written);
        assert_eq!(told(&mut execution, None), expected, "write {written}");
    }
    let handed = execution.commit(Height(4), (&Payload::EMPTY, Digest::ZERO), 8);
    assert_eq!(told(&mut execution, handed), Some(4));
    execution.executed(Height(4), Digest::ZERO);
    execution.written(8);
    assert_eq!(told(&mut execution, None), None, "all is executed");
}
