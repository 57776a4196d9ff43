//! The check beside one that others published, todc-utils: the same histories of clients who write,
//! remove, compare and read two keys, some of which no store can have given. What a store does is said
//! here once more, so that both share the requests only.

use super::*;
use crate::sim::{Chance, history};
use bytes::Bytes;
use std::collections::BTreeSet;
use storage::kv::{Compare, Operation, Pair, Relation, Reply, Request, Span, Test};
use todc_utils::{Action, History, Specification, WGLChecker};

const HISTORIES: usize = 10_000;
/// Requests under way at a time.
const CLIENTS: usize = 4;

/// What each key holds, and how often it was written since it was created.
type Store = BTreeMap<Bytes, (Bytes, u64)>;

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    held: bool,
    /// `None`: they were too long.
    replies: Option<Vec<Reply>>,
}

/// What a client asks for.
#[derive(Clone, Debug)]
struct Asked {
    request: Request,
    at: u64,
    /// When it was answered, and what; `None`: it never was.
    told: Option<(u64, Answer)>,
}

fn execute(request: &Request, store: &mut Store) -> Answer {
    let held = request.compares.iter().all(|compare| {
        let version = store.get(&compare.key).map_or(0, |it| it.1);
        match compare.test {
            Test::Exists(there) => there == (version > 0),
            Test::Version(Relation::Equal, given) => version == given,
            Test::Version(Relation::Different, given) => version != given,
            Test::Version(Relation::Less, given) => version < given,
            Test::Version(Relation::Greater, given) => version > given,
            _ => unreachable!("no client here compares anything else"),
        }
    });
    let branch = if held {
        &request.then
    } else {
        &request.otherwise
    };
    let replies = branch.iter().map(|operation| match operation {
        Operation::Put { key, value } => {
            let version = store.get(key).map_or(1, |it| it.1 + 1);
            store.insert(key.clone(), (value.clone(), version));
            Reply::Put { version }
        }
        Operation::Delete { key } => Reply::Delete {
            existed: store.remove(key).is_some(),
        },
        Operation::Range { span, .. } => {
            let found = store.get(&span.key);
            found.map_or_else(nothing, |(value, version)| one(&span.key, value, *version))
        }
    });
    let replies = Some(replies.collect());
    Answer { held, replies }
}

fn nothing() -> Reply {
    let (pairs, more) = (Vec::new(), false);
    Reply::Range { pairs, more }
}

fn one(key: &Bytes, value: &Bytes, version: u64) -> Reply {
    let pair = Pair {
        key: key.clone(),
        value: value.clone(),
        created: 0,
        modified: 0,
        version,
    };
    let (pairs, more) = (vec![pair], false);
    Reply::Range { pairs, more }
}

fn key_of(operation: &Operation) -> &Bytes {
    match operation {
        Operation::Put { key, .. } | Operation::Delete { key } => key,
        Operation::Range { span, .. } => &span.key,
    }
}

/// All that a store may hold, since some outcomes are unknown: in the other checker's terms, one state.
struct Stores;

impl Specification for Stores {
    type State = BTreeSet<Store>;
    type Operation = Asked;

    fn init() -> Self::State {
        BTreeSet::from([Store::new()])
    }
    fn apply(asked: &Asked, stores: &Self::State) -> (bool, Self::State) {
        let mut after = BTreeSet::new();
        for store in stores {
            let mut next = store.clone();
            let answer = execute(&asked.request, &mut next);
            match &asked.told {
                None => after.extend([store.clone(), next]),
                Some((_, told)) => {
                    let same = told.replies.is_none() || told.replies == answer.replies;
                    after.extend((told.held == answer.held && same).then_some(next));
                }
            }
        }
        (!after.is_empty(), after)
    }
}

/// When a request is made, and when it is answered, in order; each with its number.
fn moments(history: &[Asked]) -> Vec<(u64, bool, usize)> {
    let requests = history.iter().enumerate();
    let made = requests.clone().map(|(i, it)| (it.at, false, i));
    let answered = requests.filter_map(|(i, it)| Some((it.told.as_ref()?.0, true, i)));
    let mut all: Vec<_> = made.chain(answered).collect();
    all.sort_unstable();
    all
}

fn ours(history: &[Asked]) -> bool {
    let mut check = Linearizable::default();
    for (_, answered, i) in moments(history) {
        let Asked { request, told, .. } = &history[i];
        let operation = i as u64;
        let seen = match told {
            Some((_, answer)) if answered => Seen::Returned {
                operation,
                told: history::returned(request, answer.held, answer.replies.as_deref()),
            },
            _ => Seen::Called {
                operation,
                on: history::called(request),
            },
        };
        check.see(&seen).expect("it is judged in the end");
    }
    check.finish().is_ok()
}

fn theirs(history: &[Asked]) -> bool {
    let mut actions = Vec::new();
    for (_, answered, i) in moments(history) {
        let action = if answered {
            Action::Response
        } else {
            Action::Call
        };
        actions.push((i, action(history[i].clone())));
    }
    // What was never told may happen until the end.
    for (i, asked) in history.iter().enumerate() {
        if asked.told.is_none() {
            actions.push((i, Action::Response(asked.clone())));
        }
    }
    WGLChecker::<Stores>::is_linearizable(History::from_actions(actions))
}

fn request(c: &mut Chance) -> Request {
    let key = Bytes::from_static(c.pick(&[b"a", b"b"]));
    let value = Bytes::from(vec![c.below(3) as u8]);
    let delete = Operation::Delete { key: key.clone() };
    let get = Operation::Range {
        span: Span::only(key.clone()),
        limit: 1,
        revision: 0,
    };
    let put = Operation::Put {
        key: key.clone(),
        value,
    };
    let relations = [
        Relation::Equal,
        Relation::Different,
        Relation::Less,
        Relation::Greater,
    ];
    let test = match c.below(6) {
        0 => Test::Exists(c.one_in(2)),
        1 => Test::Version(c.pick(&relations), c.below(3)),
        2 => return Request::all(vec![delete]),
        3 => return Request::all(vec![put]),
        _ => return Request::all(vec![get]),
    };
    Request {
        compares: vec![Compare { key, test }],
        then: vec![if c.one_in(3) { delete } else { put }],
        otherwise: vec![get],
    }
}

/// A history of clients of one store. Some requests are lost, and so are some answers; where `stale`,
/// some are answered from what the store held before, and change nothing.
fn play(c: &mut Chance, stale: bool) -> Vec<Asked> {
    let count = c.between(3, 9) as usize;
    let (mut history, mut under_way) = (Vec::<Asked>::new(), Vec::<(usize, Option<Answer>)>::new());
    let (mut store, mut past) = (Store::new(), vec![Store::new()]);
    for now in 0.. {
        let done = history.len() == count;
        if done && under_way.is_empty() {
            break;
        }
        if !done && under_way.len() < CLIENTS && c.one_in(2) {
            under_way.push((history.len(), None));
            let request = request(c);
            let (at, told) = (now, None);
            history.push(Asked { request, at, told });
            continue;
        }
        if under_way.is_empty() {
            continue;
        }
        let place = c.index(under_way.len());
        let (i, answer) = under_way.swap_remove(place);
        let asked = &mut history[i];
        match answer {
            _ if c.one_in(10) => {}
            Some(mut answer) => {
                answer.replies.take_if(|_| c.one_in(10));
                asked.told = Some((now, answer));
            }
            None if stale && c.one_in(3) => {
                let mut old = past[c.index(past.len())].clone();
                under_way.push((i, Some(execute(&asked.request, &mut old))));
            }
            None => {
                under_way.push((i, Some(execute(&asked.request, &mut store))));
                past.push(store.clone());
            }
        }
    }
    history
}

/// Changes when something was asked for or answered, or what the answer was.
fn falsify(history: &mut [Asked], c: &mut Chance) {
    let i = c.index(history.len());
    let asked = &mut history[i];
    let Some((told, answer)) = &mut asked.told else {
        return;
    };
    let key = key_of(&asked.request.then[0]);
    let between = c.between(asked.at, *told);
    match c.below(3) {
        0 => asked.at = between,
        1 => *told = between,
        _ => match answer.replies.as_mut().and_then(|it| it.first_mut()) {
            // Where nothing is compared, it always holds.
            None => answer.held ^= !asked.request.compares.is_empty(),
            Some(Reply::Put { version }) => *version += 1,
            Some(Reply::Delete { existed }) => *existed = !*existed,
            Some(read) if *read != nothing() => *read = nothing(),
            Some(read) => *read = one(key, &Bytes::from_static(&[1]), 1),
        },
    }
}

fn histories() -> impl Iterator<Item = Vec<Asked>> {
    let mut c = Chance::of(1, "linearizable");
    (0..HISTORIES).map(move |_| {
        let stale = c.one_in(3);
        let mut history = play(&mut c, stale);
        for _ in 0..c.below(3) {
            falsify(&mut history, &mut c);
        }
        history
    })
}

#[test]
fn it_agrees_with_a_checker_that_others_published() {
    // Of those that fit and of those that do not: all, and those with an outcome that nobody knows.
    let mut counts = [[0, 0], [0, 0]];
    for history in histories() {
        let fits = theirs(&history);
        assert_eq!(ours(&history), fits, "{history:#?}");
        let unknown = history.iter().any(|it| it.told.is_none());
        let [all, with_unknown] = &mut counts[usize::from(fits)];
        *all += 1;
        *with_unknown += usize::from(unknown);
    }
    println!("do not fit, fit: {counts:?}");
    for [all, with_unknown] in counts {
        assert!(
            all > HISTORIES / 5 && with_unknown > HISTORIES / 20,
            "{counts:?}"
        );
    }
}

/// A check that is told of another history is as good as one with a bug.
#[test]
fn it_would_not_agree_if_it_had_a_bug() {
    type Bug = fn(&mut Vec<Asked>);
    let bugs: [(&str, Bug); 4] = [
        ("time does not count", |it| {
            it.iter_mut().for_each(|asked| asked.at = 0);
        }),
        ("nothing overlaps", |it| {
            for asked in it {
                let told = asked.told.as_mut();
                told.into_iter().for_each(|told| told.0 = asked.at);
            }
        }),
        ("what was never told never happened", |it| {
            it.retain(|asked| asked.told.is_some());
        }),
        ("versions do not count", |it| {
            for (_, answer) in it.iter_mut().filter_map(|asked| asked.told.as_mut()) {
                let put = |it: &mut Vec<Reply>| matches!(it[..], [Reply::Put { .. }]);
                answer.replies.take_if(put);
            }
        }),
    ];
    for (bug, forget) in bugs {
        let differs = histories().filter(|history| {
            let mut other = history.clone();
            forget(&mut other);
            ours(&other) != theirs(history)
        });
        let count = differs.count();
        println!("{bug}: {count} of {HISTORIES} differ");
        assert!(
            count > HISTORIES / 100,
            "{bug}: {count} of {HISTORIES} differ"
        );
    }
}
