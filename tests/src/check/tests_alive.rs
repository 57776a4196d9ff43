//! S11, L3 and L4 are shown to fail on what breaks them, and to hold on what does not.

#![allow(clippy::unwrap_used)]

use super::*;

const CLIENT: PublicKey = PublicKey([1; 32]);

/// The property broken by a sequence of things, if any, for four nodes of HotStuff.
fn judge(list: &[Seen]) -> Option<&'static str> {
    let expected = Expected {
        tenure: 4,
        changes: 3,
        batches: 10,
        silence: Time(100),
    };
    let mut checks = Checks::hotstuff(4, 4)
        .bounded(Caps::hotstuff(4, true))
        .alive(expected);
    let seen = list.iter().try_for_each(|seen| checks.see(Time(0), seen));
    seen.and_then(|()| checks.finish(Time(0)))
        .err()
        .map(|v| v.property)
}

/// All that a node tells of its sizes, one of them changed.
fn measured(name: &'static str, change: impl Fn(&mut Size)) -> Seen {
    let mut sizes: Vec<Size> = Caps::hotstuff(4, true)
        .names()
        .map(|(name, most)| Size::new(name, most, most))
        .collect();
    for size in sizes.iter_mut().filter(|it| it.name == name) {
        change(size);
    }
    let node = NodeId(0);
    Seen::Measured { node, sizes }
}

#[test]
fn s11_a_cap_that_is_passed_raised_unknown_or_left_out() {
    assert_eq!(judge(&[measured("", |_| {})]), None);
    let passed = measured("pool: transactions", |it| it.len += 1);
    assert_eq!(judge(&[passed]), Some("S11"));
    // A node that raises its own caps is not believed.
    let raised = measured("views with votes", |it| it.cap += 1);
    assert_eq!(judge(&[raised]), Some("S11"));
    let lower = measured("views with votes", |it| (it.len, it.cap) = (1, 2));
    assert_eq!(judge(&[lower]), None);
    let unknown = measured("reads", |it| it.name = "a new queue");
    assert_eq!(judge(&[unknown]), Some("S11"));
    let Seen::Measured { node, mut sizes } = measured("", |_| {}) else {
        unreachable!("it was measured")
    };
    sizes.retain(|it| it.name != "reads");
    assert_eq!(judge(&[Seen::Measured { node, sizes }]), Some("S11"));
}

fn submitted(sequence: u64) -> Seen {
    Seen::Submitted {
        node: NodeId(0),
        client: CLIENT,
        sequence,
    }
}

fn reported(view: u64) -> Seen {
    let report = Report {
        view,
        height: Height(0),
        history: Digest([0; 32]),
        state_height: Height(0),
        state: Digest([0; 32]),
    };
    Seen::Reported(NodeId(1), report)
}

fn ordered(node: u16, height: u64, batches: usize) -> Seen {
    let (node, height) = (NodeId(node), Height(height));
    Seen::Ordered {
        node,
        height,
        batches,
    }
}

/// A height without it.
fn passed(height: u64) -> Seen {
    let it = ExecutedHeight {
        height: Height(height),
        state: Digest([1; 32]),
        receipts: Vec::new(),
    };
    Seen::Executed(NodeId(2), it)
}

fn executed(sequence: u64) -> [Seen; 2] {
    let id = Digest([9; 32]);
    let receipt = Receipt {
        client: CLIENT,
        sequence,
        id,
        height: Height(1),
        did: Did::Effect,
        revision: 2,
        answer: "done".into(),
        results: Some(Results::new("2".into())),
    };
    let signed = Seen::Signed {
        client: CLIENT,
        sequence,
        id,
    };
    let it = ExecutedHeight {
        height: Height(1),
        state: Digest([1; 32]),
        receipts: vec![receipt],
    };
    [signed, Seen::Executed(NodeId(2), it)]
}

#[test]
fn l3_too_many_leader_changes_before_it_is_ordered() {
    let [signed, done] = executed(1);
    // Tenures of four views: from tenure 1 to 4 are three changes, to 5 one too many.
    assert_eq!(judge(&[reported(5), submitted(1), reported(19)]), None);
    assert_eq!(
        judge(&[reported(5), submitted(1), reported(20)]),
        Some("L3")
    );
    let in_time = [signed.clone(), submitted(1), done.clone(), reported(99)];
    assert_eq!(judge(&in_time), None);
    // Brought again once it is executed, it has nothing to wait for.
    let again = [signed, done, submitted(1), reported(99)];
    assert_eq!(judge(&again), None);
}

#[test]
fn l3_too_many_batches_of_others_under_one_leader() {
    assert_eq!(judge(&[submitted(1), ordered(0, 1, 10)]), None);
    // Each height counts once, whichever node commits it first.
    let same = [
        submitted(1),
        ordered(0, 1, 10),
        ordered(1, 1, 10),
        passed(1),
    ];
    assert_eq!(judge(&same), None);
    let more = [submitted(1), ordered(0, 1, 10), ordered(1, 2, 1), passed(2)];
    assert_eq!(judge(&more), Some("L3"));
    // What was ordered before it was brought is not before it.
    let late = [
        ordered(0, 1, 10),
        submitted(1),
        ordered(1, 2, 10),
        passed(2),
    ];
    assert_eq!(judge(&late), None);
}

/// Found by seed 30 of PBFT under `far-future`: it was in the first of more batches than it may wait for, which
/// nobody had executed yet.
#[test]
fn l3_what_is_ordered_waits_for_its_execution_only() {
    let [signed, done] = executed(1);
    let all = [
        signed,
        submitted(1),
        ordered(0, 1, 1),
        ordered(0, 2, 99),
        done,
        passed(2),
    ];
    assert_eq!(judge(&all), None);
}

#[test]
fn l3_what_is_refused_or_lost_with_its_node_is_brought_elsewhere() {
    let refused = Seen::Refused {
        node: NodeId(0),
        client: CLIENT,
        sequence: 1,
    };
    assert_eq!(judge(&[submitted(1), refused, reported(99)]), None);
    let down = |node| Seen::Stopped(NodeId(node));
    assert_eq!(judge(&[submitted(1), down(0), reported(99)]), None);
    assert_eq!(judge(&[submitted(1), down(1), reported(99)]), Some("L3"));
}

fn sampled(at: u64, change: impl Fn(&mut Sample)) -> Seen {
    let mut sample = Sample {
        at: Time(at),
        mood: Mood::Any,
        ordered: Height(3),
        executed: Height(3),
        work: true,
        waiting: None,
    };
    change(&mut sample);
    Seen::Sampled {
        node: NodeId(0),
        sample,
    }
}

#[test]
fn l4_a_standstill_of_which_nothing_is_said() {
    let every = |span: u64, change: &dyn Fn(&mut Sample)| -> Vec<Seen> {
        (0..20).map(|i| sampled(i * span, change)).collect()
    };
    assert_eq!(judge(&every(10, &|_| {})), Some("L4"));
    assert_eq!(judge(&every(4, &|_| {})), None, "not for that long");
    assert_eq!(judge(&every(10, &|it| it.work = false)), None);
    let says = |it: &mut Sample| it.waiting = Some("why".into());
    assert_eq!(judge(&every(10, &says)), None);
    let moves = |it: &mut Sample| it.executed = Height(it.at.0 / 30);
    assert_eq!(judge(&every(10, &moves)), None);
    // Whoever was stopped meanwhile has had no chance to notice.
    assert_eq!(judge(&every(30, &|_| {})), None);
    let mut down = every(10, &|_| {});
    down.insert(10, Seen::Stopped(NodeId(0)));
    assert_eq!(judge(&down), None);
}

#[test]
fn l4_words_while_all_goes_well() {
    let says = |at, mood, work| {
        sampled(at, move |it| {
            (it.mood, it.work) = (mood, work);
            it.waiting = Some("why".into());
        })
    };
    assert_eq!(judge(&[says(5, Mood::AtRest, false)]), Some("L4"));
    // What nobody asks for any more may still wait.
    assert_eq!(judge(&[says(5, Mood::AtRest, true)]), None);
    let all = |mood| -> Vec<Seen> { (0..20).map(|i| says(i * 10, mood, false)).collect() };
    assert_eq!(judge(&all(Mood::Any)), None);
    assert_eq!(judge(&all(Mood::Calm)), Some("L4"));
    let stuck: Vec<Seen> = (0..20).map(|i| says(i * 10, Mood::Calm, true)).collect();
    assert_eq!(judge(&stuck), None, "it does stand still");
    // Where nobody leads, whoever has no work may say so as well, until the others get on.
    let two = |rises: u64| -> Vec<Seen> {
        let other = |i: u64| {
            let mut seen = sampled(i * 10, |it| {
                (it.mood, it.ordered) = (Mood::Calm, Height(3 + i * rises));
                it.waiting = (rises == 0).then(|| "why".into());
            });
            if let Seen::Sampled { node, .. } = &mut seen {
                *node = NodeId(1);
            }
            seen
        };
        let both = (0..20).map(|i| [other(i), says(i * 10, Mood::Calm, false)]);
        both.flatten().collect()
    };
    assert_eq!(judge(&two(0)), None);
    assert_eq!(judge(&two(1)), Some("L4"));
    // For a moment a timer may run out where nothing is wrong.
    assert_eq!(judge(&all(Mood::Calm)[..10]), None);
    let mut moment = all(Mood::Calm);
    moment.insert(
        10,
        sampled(95, |it| (it.mood, it.work) = (Mood::Calm, false)),
    );
    assert_eq!(judge(&moment), None);
}
