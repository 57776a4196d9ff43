//! The properties of PBFT, shown to fail on what breaks them, and to hold on what does not.

#![allow(clippy::unwrap_used)]

use super::*;

fn digest(mark: u8) -> Digest {
    Digest([mark; 32])
}

fn certified(view: u64, height: u64, mark: u8) -> Certified {
    Certified {
        epoch: 0,
        view,
        height,
        block: digest(mark),
    }
}

fn prepared(node: u16, view: u64, height: u64, mark: u8) -> Seen {
    Seen::Certified(NodeId(node), certified(view, height, mark))
}

fn shown(node: u16, view: u64, height: u64, mark: u8) -> Seen {
    Seen::Sent {
        node: NodeId(node),
        promises: vec![],
        certified: vec![certified(view, height, mark)],
        led: None,
    }
}

fn agreed(view: u64, height: u64, mark: u8) -> Agreed {
    Agreed {
        height,
        ordered: digest(mark),
        slot: height,
        view,
        content: digest(mark),
        signers: [0, 1, 2].map(|node| (NodeId(node), true)).to_vec(),
    }
}

fn committed(node: u16, view: u64, height: u64, mark: u8) -> Seen {
    Seen::Agreed(NodeId(node), agreed(view, height, mark))
}

fn promised(kind: &'static str, view: u64, height: u64, mark: u8) -> Seen {
    let slot = Slot {
        kind,
        epoch: 0,
        view,
        height,
    };
    let promise = Promise {
        signer: NodeId(0),
        slot,
        content: digest(mark),
    };
    Seen::Sent {
        node: NodeId(0),
        promises: vec![promise],
        certified: vec![],
        led: None,
    }
}

fn starts(view: u64) -> Seen {
    let report = Report {
        view,
        height: Height(0),
        history: digest(0),
        state_height: Height(0),
        state: digest(0),
    };
    Seen::Started(NodeId(0), report)
}

/// The property broken by a sequence of things, if any.
fn judge(list: &[Seen]) -> Option<&'static str> {
    let mut checks = Checks::pbft(4);
    let seen = list.iter().try_for_each(|seen| checks.see(Time(0), seen));
    seen.and_then(|()| checks.finish(Time(0)))
        .err()
        .map(|it| it.property)
}

#[test]
fn s1_another_content_after_a_commit() {
    let first = committed(0, 2, 7, 1);
    // An older view, another height, the same content: all right.
    let sound = [
        prepared(1, 1, 7, 2),
        first.clone(),
        prepared(1, 3, 7, 1),
        prepared(1, 3, 8, 2),
        committed(1, 3, 7, 1),
    ];
    assert_eq!(judge(&sound), None);
    for later in [prepared(1, 3, 7, 2), shown(1, 3, 7, 2)] {
        assert_eq!(judge(&[first.clone(), later.clone()]), Some("S1"));
        assert_eq!(judge(&[later, first.clone()]), Some("S1"));
    }
    assert_eq!(judge(&[first.clone(), committed(1, 3, 7, 2)]), Some("S1"));
    // Committed in a later view first, as far as is seen.
    let late = [
        committed(0, 4, 7, 1),
        prepared(1, 3, 7, 2),
        committed(1, 2, 7, 1),
    ];
    assert_eq!(judge(&late), Some("S1"));
}

#[test]
fn s2_two_certificates_of_one_slot_in_one_view() {
    let one = prepared(0, 2, 7, 1);
    assert_eq!(
        judge(&[one.clone(), shown(1, 2, 8, 2), shown(1, 3, 7, 2)]),
        None
    );
    assert_eq!(judge(&[one.clone(), prepared(1, 2, 7, 2)]), Some("S2"));
    assert_eq!(judge(&[one, shown(1, 2, 7, 2)]), Some("S2"));
}

#[test]
fn s3_two_statements_of_one_slot_and_votes_in_a_view_that_was_given_up() {
    for kind in ["pre_prepare", "prepare", "commit"] {
        let first = promised(kind, 2, 7, 1);
        assert_eq!(judge(&[first.clone(), promised(kind, 2, 8, 2)]), None);
        assert_eq!(judge(&[first, promised(kind, 2, 7, 2)]), Some("S3"));
    }
    let node = NodeId(0);
    let votes = |view| Seen::Voted {
        node,
        view,
        footing: None,
    };
    let gives_up = || promised("view_change", 3, 0, 1);
    assert_eq!(judge(&[votes(2), gives_up(), votes(3)]), None);
    assert_eq!(judge(&[gives_up(), votes(2)]), Some("S3"));
}

#[test]
fn s4_a_commit_without_proof() {
    assert_eq!(judge(&[committed(0, 1, 1, 1)]), None);
    let edits: [fn(&mut Agreed); 6] = [
        |it| it.slot = 2,
        |it| it.content = digest(2),
        |it| it.view = 0,
        |it| it.signers[1].1 = false,
        |it| it.signers[1] = it.signers[0],
        |it| it.signers[1].0 = NodeId(4),
    ];
    for edit in edits {
        let mut it = agreed(1, 1, 1);
        edit(&mut it);
        assert_eq!(judge(&[Seen::Agreed(NodeId(0), it)]), Some("S4"));
    }
}

#[test]
fn s6_a_start_below_a_view_that_was_promised_something() {
    for kind in ["prepare", "commit", "view_change"] {
        assert_eq!(judge(&[promised(kind, 3, 7, 1), starts(3)]), None);
        assert_eq!(judge(&[promised(kind, 3, 7, 1), starts(2)]), Some("S6"));
    }
}
