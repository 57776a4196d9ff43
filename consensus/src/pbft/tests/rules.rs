//! The rules at their limits, one by one: in a cluster another rule often bars what one of them lets pass.

use super::super::message::{Change, Low};
use super::super::rules::{
    Backup, carried_over, highest_prepared, may_accept, new_view_is_valid, primary,
};
use super::super::{Assigned, NewView};
use crate::LeaderSchedule;
use crypto::*;

const LEADERS: LeaderSchedule = LeaderSchedule::RoundRobin { tenure: 1 };

fn assigned(height: u64, view: u64, digest: u8) -> Assigned {
    Assigned {
        height: Height(height),
        view: View(view),
        digest: Digest([digest; 32]),
    }
}

fn change(low: u64, prepared: Vec<Assigned>) -> Change {
    Change {
        epoch: Epoch(0),
        view: View(5),
        low: Low {
            height: Height(low),
            checkpoint: Digest::ZERO,
        },
        prepared,
        author: NodeId(0),
        signature: Signature::NONE,
    }
}

#[test]
fn a_pre_prepare_is_accepted_in_the_view_that_was_not_given_up_and_once() {
    let accepts = |view, wanted, accepted: Option<u8>, bound: Option<u8>| {
        let backup = Backup {
            view: View(view),
            wanted: View(wanted),
            accepted: accepted.map(|it| Digest([it; 32])),
            bound: bound.map(|it| Digest([it; 32])),
        };
        may_accept(&backup, &assigned(1, 3, 7))
    };
    assert!(accepts(3, 3, None, None));
    assert!(accepts(3, 2, Some(7), Some(7)));
    assert!(!accepts(3, 4, None, None), "it has asked for the next view");
    assert!(!accepts(2, 2, None, None));
    assert!(!accepts(4, 4, None, None));
    assert!(!accepts(3, 3, Some(8), None));
    assert!(!accepts(3, 3, None, Some(8)));
}

#[test]
fn the_highest_view_of_each_slot_above_the_highest_checkpoint_is_carried_over() {
    let one = change(2, vec![assigned(4, 1, 1), assigned(5, 3, 2)]);
    let other = change(3, vec![assigned(4, 2, 3), assigned(5, 2, 4)]);
    let behind = change(1, vec![assigned(2, 4, 5), assigned(3, 4, 6)]);
    let (low, highest) = highest_prepared(&[&one, &other, &behind]);
    assert_eq!(low, Height(3));
    let found: Vec<_> = highest.into_values().collect();
    assert_eq!(found, [assigned(4, 2, 3), assigned(5, 3, 2)]);
    let slots = carried_over(&[&one, &other, &behind]);
    assert_eq!(slots, [Digest([3; 32]), Digest([2; 32])]);
}

/// View 1 is opened by nobody.
#[test]
fn the_first_view_that_is_opened_is_the_second() {
    let is_valid = |view| {
        let it = NewView {
            epoch: Epoch(0),
            view: View(view),
            changes: Vec::new(),
            checkpoints: Vec::new(),
            prepared: Vec::new(),
            slots: Vec::new(),
            author: primary(&LEADERS, View(view), 4),
            signature: Signature::NONE,
        };
        new_view_is_valid(&LEADERS, 4, 8, &it)
    };
    assert!(is_valid(2));
    assert!(!is_valid(1));
}
