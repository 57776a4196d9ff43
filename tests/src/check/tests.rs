//! Every property is shown to fail on what breaks it, and to hold on what does not.

#![allow(clippy::unwrap_used)]

use super::*;

/// Views of a tenure.
const TENURE: u64 = 4;

fn digest(number: u8) -> Digest {
    Digest([number; 32])
}

fn report(view: u64, height: u64, mark: u8) -> Report {
    Report {
        view,
        height: Height(height),
        history: digest(mark),
        state_height: Height(height),
        state: digest(mark),
    }
}

fn promise(signer: u16, kind: &'static str, view: u64, mark: u8) -> Promise {
    let slot = Slot {
        kind,
        epoch: 0,
        view,
        height: 0,
    };
    Promise {
        signer: NodeId(signer),
        slot,
        content: digest(mark),
    }
}

fn sent(node: u16, promises: Vec<Promise>) -> Seen {
    Seen::Sent {
        node: NodeId(node),
        promises,
        certified: vec![],
        led: None,
    }
}

fn certified(node: u16, view: u64, mark: u8) -> Seen {
    let certified = vec![Certified {
        epoch: 0,
        view,
        height: 0,
        block: digest(mark),
    }];
    Seen::Sent {
        node: NodeId(node),
        promises: vec![],
        certified,
        led: None,
    }
}

fn receipt(sequence: u64, height: u64, effective: bool) -> Receipt {
    Receipt {
        client: PublicKey([1; 32]),
        sequence,
        id: digest(9),
        height: Height(height),
        did: if effective { Did::Effect } else { Did::Nothing },
        revision: 2,
        answer: "done".into(),
        results: Some(Results::new("2".into())),
    }
}

fn executed(node: u16, height: u64, mark: u8, receipts: Vec<Receipt>) -> Seen {
    let height = Height(height);
    Seen::Executed(
        NodeId(node),
        ExecutedHeight {
            height,
            state: digest(mark),
            receipts,
        },
    )
}

fn signed(sequence: u64) -> Seen {
    Seen::Signed {
        client: PublicKey([1; 32]),
        sequence,
        id: digest(9),
    }
}

/// The property broken by a sequence of things, if any.
fn judge(list: &[Seen]) -> Option<&'static str> {
    let mut checks = Checks::hotstuff(4, TENURE);
    let seen = list.iter().try_for_each(|seen| checks.see(Time(0), seen));
    seen.and_then(|()| checks.finish(Time(0)))
        .err()
        .map(|v| v.property)
}

/// The same under Raft.
fn judge_raft(list: &[Seen]) -> Option<&'static str> {
    let mut checks = Checks::raft(4);
    let seen = list.iter().try_for_each(|seen| checks.see(Time(0), seen));
    seen.and_then(|()| checks.finish(Time(0)))
        .err()
        .map(|v| v.property)
}

fn led(node: u16, term: u64, entries: Vec<(u64, u64, Digest)>) -> Seen {
    Seen::Sent {
        node: NodeId(node),
        promises: vec![],
        certified: vec![],
        led: Some(Led { term, entries }),
    }
}

fn placed(node: u16, term: u64, height: u64) -> Seen {
    Seen::Placed {
        node: NodeId(node),
        height: Height(height),
        place: (term, height),
    }
}

#[test]
fn s2_two_leaders_of_one_term() {
    let one = led(0, 3, vec![]);
    assert_eq!(
        judge_raft(&[one.clone(), one.clone(), led(1, 4, vec![])]),
        None
    );
    assert_eq!(judge_raft(&[one, led(1, 3, vec![])]), Some("S2"));
}

#[test]
fn s2_two_entries_of_one_term_and_height() {
    let entry = |term, mark| vec![(term, 7, digest(mark))];
    let old = led(0, 3, entry(3, 1));
    assert_eq!(
        judge_raft(&[old.clone(), led(1, 4, entry(3, 1)), led(1, 4, entry(4, 2))]),
        None
    );
    assert_eq!(
        judge_raft(&[old.clone(), led(0, 3, entry(3, 2))]),
        Some("S2")
    );
    assert_eq!(judge_raft(&[old, led(1, 4, entry(3, 2))]), Some("S2"));
}

#[test]
fn s1_two_terms_at_one_height_and_terms_that_go_down() {
    assert_eq!(
        judge_raft(&[
            placed(0, 1, 1),
            placed(0, 3, 2),
            placed(1, 3, 2),
            placed(1, 1, 1)
        ]),
        None
    );
    assert_eq!(judge_raft(&[placed(0, 3, 2), placed(1, 4, 2)]), Some("S1"));
    assert_eq!(judge_raft(&[placed(0, 3, 2), placed(0, 2, 3)]), Some("S1"));
    assert_eq!(judge_raft(&[placed(0, 3, 2), placed(0, 4, 1)]), Some("S1"));
    let elsewhere = Seen::Placed {
        node: NodeId(0),
        height: Height(5),
        place: (3, 4),
    };
    assert_eq!(judge_raft(&[elsewhere]), Some("S1"));
}

#[test]
fn s3_and_s6_a_grant_given_twice_or_forgotten() {
    let grant = |mark| sent(0, vec![promise(0, "grant", 7, mark)]);
    let start = |view| Seen::Started(NodeId(0), report(view, 1, 1));
    assert_eq!(judge_raft(&[grant(1), start(7), grant(1)]), None);
    assert_eq!(judge_raft(&[grant(1), start(7), grant(2)]), Some("S3"));
    assert_eq!(judge_raft(&[grant(1), start(6)]), Some("S6"));
}

#[test]
fn s9_a_read_of_what_was_overwritten() {
    let key = || b"key".to_vec();
    let way = |step| Way { guard: None, step };
    let called = |operation, step| Seen::Called {
        operation,
        on: vec![(key(), vec![way(step)])],
    };
    let returned = |operation, step| Seen::Returned {
        operation,
        told: vec![(key(), way(step))],
    };
    let put = |value: u8| Step::Put(vec![value], None);
    let saw = |value: u8, version| {
        let value = vec![value];
        Step::Get(Some(Cell { value, version }))
    };
    let run = |read: Step| {
        judge_raft(&[
            called(1, put(1)),
            returned(1, put(1)),
            called(2, put(2)),
            returned(2, put(2)),
            called(3, Step::Skip),
            returned(3, read),
        ])
    };
    assert_eq!(run(saw(2, 2)), None);
    assert_eq!(run(saw(1, 1)), Some("S9"));
    assert_eq!(run(Step::Get(None)), Some("S9"));
    // What came of the first write is not known: it may have come after the second.
    let unknown = [
        called(1, put(1)),
        called(2, put(2)),
        returned(2, put(2)),
        called(3, Step::Skip),
        returned(3, saw(1, 2)),
    ];
    assert_eq!(judge_raft(&unknown), None);
    // Another branch was taken, so the key was left alone.
    let elsewhere = Seen::Returned {
        operation: 1,
        told: vec![],
    };
    let left_alone = [&[called(1, put(1)), elsewhere][..], &unknown[3..]].concat();
    assert_eq!(judge_raft(&left_alone), Some("S9"));
}

#[test]
fn nothing_is_no_violation() {
    assert_eq!(judge(&[]), None);
}

#[test]
fn s1_two_histories_at_one_height() {
    let reported = |node, mark| {
        Seen::Reported(
            NodeId(node),
            Report {
                state: digest(0),
                state_height: Height(0),
                ..report(1, 5, mark)
            },
        )
    };
    assert_eq!(judge(&[reported(0, 1), reported(1, 1)]), None);
    assert_eq!(judge(&[reported(0, 1), reported(1, 2)]), Some("S1"));
}

#[test]
fn s2_two_certificates_in_one_view() {
    assert_eq!(
        judge(&[certified(0, 3, 1), certified(1, 3, 1), certified(1, 4, 2)]),
        None
    );
    assert_eq!(judge(&[certified(0, 3, 1), certified(1, 3, 2)]), Some("S2"));
}

#[test]
fn s3_two_statements_in_one_slot() {
    let vote = |mark| sent(0, vec![promise(0, "vote", 7, mark)]);
    assert_eq!(
        judge(&[vote(1), vote(1), sent(0, vec![promise(0, "timeout", 7, 2)])]),
        None
    );
    assert_eq!(
        judge(&[vote(1), Seen::Stopped(NodeId(0)), vote(2)]),
        Some("S3")
    );
}

#[test]
fn s3_counts_what_stands_in_a_certificate() {
    let nested = sent(1, vec![promise(0, "vote", 7, 2)]);
    assert_eq!(
        judge(&[sent(0, vec![promise(0, "vote", 7, 1)]), nested]),
        Some("S3")
    );
}

#[test]
fn s3_a_new_vote_in_a_tenure_given_up() {
    let gave_up = sent(0, vec![promise(0, "timeout", 1, 1)]);
    let voted = |node, view| Seen::Voted {
        node: NodeId(node),
        view,
        footing: None,
    };
    assert_eq!(judge(&[voted(0, 7), gave_up.clone(), voted(0, 8)]), None);
    assert_eq!(judge(&[gave_up.clone(), voted(1, 7)]), None);
    // Another's timeout, passed on, gives up nothing.
    let passed_on = sent(1, vec![promise(0, "timeout", 1, 1)]);
    assert_eq!(judge(&[passed_on, voted(0, 7)]), None);
    // The vote may leave later than it was stored.
    let vote = sent(0, vec![promise(0, "vote", 7, 1)]);
    assert_eq!(judge(&[voted(0, 7), gave_up.clone(), vote]), None);
    assert_eq!(judge(&[gave_up, voted(0, 7)]), Some("S3"));
}

#[test]
fn s4_a_commit_without_proof() {
    let link = |view: u8, height| Link {
        block: digest(view),
        view: u64::from(view),
        height,
        parent: digest(view - 1),
        justify: (digest(view - 1), u64::from(view) - 1),
        payload: digest(100),
    };
    let sound = Proven {
        height: 3,
        payload: digest(100),
        links: vec![link(7, 3), link(8, 4), link(9, 5)],
        certified: (digest(9), 9),
        signers: [0, 2, 3].map(|node| (NodeId(node), true)).to_vec(),
    };
    let with = |change: &dyn Fn(&mut Proven)| {
        let mut it = sound.clone();
        change(&mut it);
        judge(&[Seen::Committed(NodeId(0), it)])
    };
    assert_eq!(with(&|_| {}), None);
    // More blocks than three: the gap lies below the last three.
    let longer = |it: &mut Proven| {
        let first = Link {
            parent: digest(1),
            justify: (digest(1), 1),
            ..link(5, 3)
        };
        let second = Link {
            parent: digest(5),
            justify: (digest(5), 5),
            ..link(7, 4)
        };
        it.links = vec![first, second, link(8, 5), link(9, 6)];
    };
    assert_eq!(with(&longer), None);
    let broken: [&dyn Fn(&mut Proven); 10] = [
        &|it| it.links.clear(),
        &|it| it.links.truncate(2),
        &|it| it.height = 4,
        &|it| it.payload = digest(101),
        &|it| it.links[1].parent = digest(1),
        // What its parent is, and what it shows a certificate of, are two blocks of one view.
        &|it| it.links[1].justify.0 = digest(1),
        &|it| {
            it.links[0].view = 6;
            it.links[1].justify.1 = 6;
        },
        &|it| it.certified.1 = 8,
        &|it| it.signers[2].0 = NodeId(2),
        &|it| it.signers[1].1 = false,
    ];
    for (i, change) in broken.into_iter().enumerate() {
        assert_eq!(with(change), Some("S4"), "change {i}");
    }
}

fn stored(view: u8, height: u64, parent: u8) -> Seen {
    Seen::Stored {
        node: NodeId(0),
        block: digest(view),
        parent: digest(parent),
        place: (u64::from(view), height),
    }
}

#[test]
fn s1_what_is_certified_later_descends_from_what_is_committed() {
    // 1 <- 2 <- 3 <- 4, and 5 beside them.
    let chain = [
        stored(1, 1, 0),
        stored(2, 2, 1),
        stored(3, 3, 2),
        stored(4, 4, 3),
    ];
    let show = |view: u8| certified(0, u64::from(view), view);
    let run = |branch: Seen, shown: &[u8]| {
        let shown = shown.iter().map(|view| show(*view));
        let list: Vec<Seen> = chain.iter().cloned().chain([branch]).chain(shown).collect();
        judge(&list)
    };
    let good = stored(5, 5, 4);
    assert_eq!(run(good, &[1, 2, 3, 4, 5]), None);
    // The certificate of view 3 commits the block of view 1.
    assert_eq!(run(stored(5, 2, 1), &[1, 2, 3, 5]), None);
    assert_eq!(run(stored(5, 1, 0), &[1, 2, 3, 5]), Some("S1"));
    assert_eq!(run(stored(5, 1, 0), &[5, 1, 2, 3]), Some("S1"));
    // Without it nothing is, nor over a gap.
    assert_eq!(run(stored(5, 1, 0), &[1, 2, 4, 5]), Some("S1"));
    assert_eq!(run(stored(5, 1, 0), &[1, 2, 5]), None);
    // That the branch forks may come out late.
    let early: Vec<Seen> = chain.iter().cloned().chain([3, 5].map(show)).collect();
    assert_eq!(judge(&early), None);
    let late = [&early[..], &[stored(5, 1, 0)]].concat();
    assert_eq!(judge(&late), Some("S1"));
    // So may what a certificate commits.
    let mut backwards: Vec<Seen> = [3, 5].map(show).into();
    backwards.push(stored(5, 1, 0));
    backwards.extend(chain.iter().rev().cloned());
    assert_eq!(judge(&backwards), Some("S1"));
}

#[test]
fn s5_two_states_at_one_height() {
    assert_eq!(
        judge(&[executed(0, 3, 1, vec![]), executed(1, 3, 1, vec![])]),
        None
    );
    assert_eq!(
        judge(&[executed(0, 3, 1, vec![]), executed(1, 3, 2, vec![])]),
        Some("S5")
    );
    // Executed again after a restart, with another outcome.
    assert_eq!(
        judge(&[executed(0, 3, 1, vec![]), executed(0, 3, 2, vec![])]),
        Some("S5")
    );
}

#[test]
fn s6_a_view_or_height_that_goes_back() {
    let at = |view, height| Seen::Reported(NodeId(0), report(view, height, height as u8));
    assert_eq!(judge(&[at(1, 1), at(2, 1), at(2, 2)]), None);
    assert_eq!(judge(&[at(2, 1), at(1, 1)]), Some("S6"));
    assert_eq!(judge(&[at(2, 2), at(2, 1)]), Some("S6"));
}

#[test]
fn s6_a_restart_below_the_last_vote() {
    let vote = sent(0, vec![promise(0, "vote", 7, 1)]);
    let start = |view| Seen::Started(NodeId(0), report(view, 1, 1));
    assert_eq!(judge(&[vote.clone(), start(7)]), None);
    assert_eq!(judge(&[vote, start(6)]), Some("S6"));
}

#[test]
fn s6_a_restart_below_the_tenure_given_up() {
    let gave_up = sent(0, vec![promise(0, "timeout", 1, 1)]);
    let start = |view| Seen::Started(NodeId(0), report(view, 1, 1));
    assert_eq!(judge(&[gave_up.clone(), start(4)]), None);
    assert_eq!(judge(&[gave_up, start(3)]), Some("S6"));
}

#[test]
fn s6_a_vote_or_a_lock_that_goes_back() {
    let node = NodeId(0);
    let voted = |view, lock| Seen::Voted {
        node,
        view,
        footing: Some(Footing {
            lock,
            parent: lock,
            shown: None,
        }),
    };
    let left = |view| sent(0, vec![promise(0, "vote", view, view as u8)]);
    assert_eq!(judge(&[voted(6, 4), voted(7, 4), voted(8, 7)]), None);
    assert_eq!(judge(&[voted(7, 4), voted(6, 4)]), Some("S6"));
    assert_eq!(judge(&[voted(7, 4), voted(8, 3)]), Some("S6"));
    // What had not left when it went down may be lost, and what had may not.
    let down = Seen::Stopped(node);
    let lost = [voted(6, 4), left(6), voted(9, 8), down, voted(8, 5)];
    assert_eq!(judge(&lost), None);
    assert_eq!(judge(&[&lost[..4], &[voted(7, 3)]].concat()), Some("S6"));
}

#[test]
fn s6_a_vote_for_a_block_below_the_lock_or_below_what_was_shown() {
    let voted = |parent, shown| Seen::Voted {
        node: NodeId(0),
        view: 9,
        footing: Some(Footing {
            lock: 5,
            parent,
            shown,
        }),
    };
    assert_eq!(judge(&[voted(5, None)]), None);
    assert_eq!(judge(&[voted(7, Some(7))]), None);
    assert_eq!(judge(&[voted(4, None)]), Some("S6"));
    assert_eq!(judge(&[voted(6, Some(7))]), Some("S6"));
}

#[test]
fn s6_a_restart_below_the_durable_state() {
    let start = Seen::Started(
        NodeId(0),
        Report {
            state_height: Height(2),
            ..report(1, 1, 1)
        },
    );
    assert_eq!(judge(&[start]), Some("S6"));
}

/// What a leader tells himself alone stands in no message.
#[test]
fn s3_two_promises_on_disk_for_one_slot() {
    let promised = |node, row: u8, content| Seen::Promised {
        node: NodeId(node),
        row: vec![0, row],
        content: digest(content),
    };
    let first = promised(0, 1, 1);
    let others = [promised(0, 2, 2), promised(1, 1, 2), first.clone()];
    assert_eq!(judge(&[&[first.clone()][..], &others].concat()), None);
    assert_eq!(judge(&[first, promised(0, 1, 2)]), Some("S3"));
}

#[test]
fn s7_nobody_signed_it() {
    assert_eq!(
        judge(&[signed(1), executed(0, 3, 1, vec![receipt(1, 3, true)])]),
        None
    );
    assert_eq!(
        judge(&[executed(0, 3, 1, vec![receipt(1, 3, true)])]),
        Some("S7")
    );
}

#[test]
fn s7_twice() {
    let again = executed(0, 4, 2, vec![receipt(1, 4, true)]);
    let first = executed(0, 3, 1, vec![receipt(1, 3, true)]);
    assert_eq!(judge(&[signed(1), first.clone(), first.clone()]), None);
    assert_eq!(
        judge(&[
            signed(1),
            first.clone(),
            executed(0, 4, 2, vec![receipt(1, 4, false)])
        ]),
        None
    );
    assert_eq!(judge(&[signed(1), first, again]), Some("S7"));
}

/// An execution is not believed that calls itself a repeat, or void.
#[test]
fn s7_what_an_execution_says_of_itself() {
    let first = executed(0, 3, 1, vec![receipt(1, 3, true)]);
    let later = |it: Receipt| {
        let later = executed(0, 4, 2, vec![it]);
        judge(&[signed(1), signed(2), first.clone(), later])
    };
    let repeat = |sequence, height| Receipt {
        did: Did::Repeat,
        ..receipt(sequence, height, false)
    };
    assert_eq!(later(repeat(1, 3)), None);
    assert_eq!(later(repeat(1, 2)), Some("S7"), "it was not executed there");
    assert_eq!(later(repeat(2, 3)), Some("S7"), "it was not executed");
    let at = |revision, effective| Receipt {
        revision,
        ..receipt(2, 4, effective)
    };
    assert_eq!(later(at(2, true)), None, "it wrote nothing");
    assert_eq!(later(at(3, true)), None);
    assert_eq!(later(at(4, true)), Some("S7"), "it wrote twice");
    assert_eq!(later(at(1, true)), Some("S7"));
    assert_eq!(later(at(2, false)), None);
    assert_eq!(later(at(3, false)), Some("S7"), "it is void, and wrote");
}

#[test]
fn s8_acknowledged_and_not_in_the_log() {
    let told = Seen::Acknowledged(NodeId(2), receipt(1, 3, true));
    let kept = executed(0, 3, 1, vec![receipt(1, 3, true)]);
    assert_eq!(judge(&[signed(1), kept, told.clone()]), None);
    assert_eq!(judge(&[signed(1), told.clone()]), Some("S8"));
    let elsewhere = executed(0, 4, 1, vec![receipt(1, 4, true)]);
    assert_eq!(judge(&[signed(1), told, elsewhere]), Some("S8"));
}

/// It was executed and told, and then all lost power: who executed it does not have it any more.
#[test]
fn s8_acknowledged_and_lost_with_the_power() {
    let told = Seen::Acknowledged(NodeId(0), receipt(1, 3, true));
    let kept = |node| executed(node, 3, 1, vec![receipt(1, 3, true)]);
    let again = |node, height| Seen::Started(NodeId(node), report(height, height, 1));
    let down = |node| Seen::Stopped(NodeId(node));
    let run = [signed(1), again(0, 0), kept(0), told, down(0), again(0, 2)];
    assert_eq!(judge(&run), Some("S8"));
    let mut executed_again = run.to_vec();
    executed_again.push(kept(0));
    assert_eq!(judge(&executed_again), None);
    executed_again.push(again(1, 0));
    assert_eq!(judge(&executed_again), Some("S8"), "all of them have it");
    executed_again.push(kept(1));
    assert_eq!(judge(&executed_again), None);
    executed_again.extend([down(0), down(1)]);
    assert_eq!(judge(&executed_again), Some("S8"), "nobody has it");
}

#[test]
fn s8_told_two_things() {
    let told = |node, height| Seen::Acknowledged(NodeId(node), receipt(1, height, true));
    assert_eq!(judge(&[told(0, 3), told(1, 4)]), Some("S8"));
}

/// What a session does not keep is not told again; all else is.
#[test]
fn s8_results_that_are_missing_when_told_again() {
    let of = |results: Option<&str>, effective| {
        let results = results.map(|it| Results::new(it.to_owned()));
        let receipt = Receipt {
            results,
            ..receipt(1, 3, effective)
        };
        Seen::Acknowledged(NodeId(0), receipt)
    };
    let kept = |told: &Seen| match told {
        Seen::Acknowledged(_, it) => executed(0, 3, 1, vec![it.clone()]),
        _ => unreachable!("it is one"),
    };
    let (long, other) = ("x".repeat(2_000), "y".repeat(2_000));
    let judged = |first: &str, again: Option<&str>, effective| {
        let first = of(Some(first), true);
        judge(&[signed(1), kept(&first), first, of(again, effective)])
    };
    assert_eq!(judged(&long, None, false), None);
    assert_eq!(
        judged(&long, None, true),
        Some("S8"),
        "told for the first time"
    );
    assert_eq!(judged(&long, Some(&other), false), Some("S8"));
    assert_eq!(judged("short", None, false), Some("S8"));
    assert_eq!(judged("short", Some("short"), false), None);
}

#[test]
fn s10_an_honest_node_accused_or_refused() {
    let accused = Seen::Accused {
        by: NodeId(0),
        node: NodeId(1),
        what: "two votes".into(),
    };
    assert_eq!(judge(&[accused]), Some("S10"));
    let rejected = |reject| Seen::Rejected {
        by: NodeId(0),
        from: NodeId(1),
        reject,
    };
    assert_eq!(judge(&[rejected(Reject::TooOld)]), None);
    assert_eq!(judge(&[rejected(Reject::BadSignature)]), Some("S10"));
}

#[test]
fn s9_a_read_below_what_was_acknowledged_before() {
    let told = Seen::Acknowledged(NodeId(0), receipt(1, 3, true));
    let kept = executed(0, 3, 1, vec![receipt(1, 3, true)]);
    let begun = Seen::ReadBegun { request: 1 };
    let served = |height| Seen::ReadServed {
        node: NodeId(1),
        request: 1,
        height: Height(height),
    };
    let run = |list: &[&Seen]| {
        let before = [signed(1), kept.clone()];
        judge(
            &before
                .iter()
                .chain(list.iter().copied())
                .cloned()
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(run(&[&told, &begun, &served(3)]), None);
    assert_eq!(run(&[&begun, &told, &served(2)]), None);
    assert_eq!(run(&[&told, &begun, &served(2)]), Some(FRESHNESS));
}

#[test]
fn one_check_may_judge_alone() {
    let both = [
        certified(0, 3, 1),
        sent(0, vec![promise(0, "vote", 7, 1)]),
        sent(0, vec![promise(0, "vote", 7, 2)]),
        certified(1, 3, 2),
    ];
    assert_eq!(judge(&both), Some("S3"));
    let mut checks = Checks::hotstuff(4, TENURE);
    checks.only("S2");
    let verdict = both.iter().try_for_each(|seen| checks.see(Time(0), seen));
    assert_eq!(verdict.unwrap_err().property, "S2");
}

#[test]
fn l1_and_l2_only_after_their_bound() {
    let judge = Liveness {
        healed: Time(100),
        bound: Time(50),
    };
    let property =
        |now, standing: &Standing| judge.judge(Time(now), standing).err().map(|v| v.property);
    let node = |id, height| (NodeId(id), report(1, height, height as u8));
    let rest = Standing {
        waiting: 0,
        oldest: None,
        rested: Time(60),
        goal: None,
        told: Height(1),
        all_up: true,
        nodes: vec![node(0, 1), node(1, 1)],
    };
    assert_eq!(property(150, &rest), None);
    assert!(judge.settled(Time(101), &rest));
    // All stand alike, and still lack what a client was told of: whoever has it is not elected yet.
    let behind = Standing {
        told: Height(2),
        ..rest.clone()
    };
    assert!(!judge.settled(Time(149), &behind));
    assert!(judge.settled(Time(150), &behind));
    assert_eq!(property(150, &behind), None);
    let waits = |since| Standing {
        waiting: 1,
        oldest: Some(Time(since)),
        ..rest.clone()
    };
    assert_eq!(property(149, &waits(90)), None);
    assert_eq!(property(150, &waits(90)), Some("L1"));
    assert_eq!(property(150, &waits(101)), None);
    let apart = Standing {
        nodes: vec![node(0, 1), node(1, 2)],
        ..rest.clone()
    };
    assert_eq!(property(149, &apart), None);
    assert_eq!(property(150, &apart), Some("L2"));
    let asked = |goal| Standing {
        goal: Some(Height(goal)),
        ..apart.clone()
    };
    assert_eq!(property(150, &asked(1)), None);
    assert_eq!(property(150, &asked(2)), Some("L2"));
    assert_eq!(
        property(
            150,
            &Standing {
                all_up: false,
                ..rest
            }
        ),
        Some("L2")
    );
}
