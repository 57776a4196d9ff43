#![allow(clippy::unwrap_used)]

use super::*;
use crate::rpc::held::Held;
use crate::rpc::purse::Purse;
use tokio::time::timeout;
use tonic::Code;

const SHORTLY: Duration = Duration::from_millis(50);
const CAPS: Caps = Caps {
    connection: 1_000,
    node: 1_800,
    patience: SHORTLY,
};

#[tokio::test]
async fn an_answer_is_counted_until_its_last_byte_is_gone() {
    let answers = Answers::new(CAPS);
    let connection = answers.connect(None);
    let room = connection.reserve(Kind::Range, 700).await;
    assert_eq!(answers.waiting(), 700);
    let purse = Purse::default();
    purse.add(room.answer(300));
    assert_eq!(answers.waiting(), 300, "what it does not need is free");
    let pieces = [100, 200].map(|bytes| Held::attach(purse.take(bytes), vec![7; bytes].into()));
    assert!(purse.take(1).is_empty(), "nothing is left");
    let [first, second] = pieces;
    let copy = second.slice(1..2);
    drop((first, second));
    assert_eq!(answers.waiting(), 200);
    assert_eq!(copy[..], [7]);
    drop(copy);
    assert_eq!(answers.waiting(), 0);
    // What never comes out of the encoder does not stay, either.
    purse.add(connection.admit(Kind::Range, 500).unwrap());
    drop(purse);
    assert_eq!(answers.waiting(), 0);
}

/// A stream has short answers and long ones.
#[tokio::test]
async fn answers_of_several_kinds_go_through_one_encoder() {
    let answers = Answers::new(CAPS);
    let connection = answers.connect(None);
    let purse = Purse::default();
    for (kind, bytes) in [
        (Kind::Short, 10),
        (Kind::Short, 20),
        (Kind::Outcome, 400),
        (Kind::Short, 30),
    ] {
        purse.add(connection.admit(kind, bytes).unwrap());
    }
    let parts = |bytes| {
        let parts = purse.take(bytes).into_iter();
        parts.map(|it| (it.kind(), it.bytes())).collect::<Vec<_>>()
    };
    assert_eq!(parts(25), [(Kind::Short, 25)]);
    assert_eq!(answers.waiting(), 435);
    assert_eq!(
        parts(415),
        [(Kind::Short, 5), (Kind::Outcome, 400), (Kind::Short, 10)]
    );
    assert_eq!(parts(50), [(Kind::Short, 20)]);
    assert_eq!(answers.waiting(), 0);
}

#[tokio::test]
async fn no_kind_and_no_connection_stands_in_the_way_of_another() {
    let answers = Answers::new(CAPS);
    let (one, other) = (answers.connect(None), answers.connect(None));
    let _held = one.admit(Kind::Outcome, 900).unwrap();
    let full = one.admit(Kind::Outcome, 200).unwrap_err();
    assert_eq!(full.code(), Code::ResourceExhausted);
    assert!(full.message().contains("take them"), "{full}");
    assert!(one.admit(Kind::Block, 900).is_ok());
    assert!(other.admit(Kind::Outcome, 900).is_ok());
    assert!(
        timeout(SHORTLY, one.reserve(Kind::Outcome, 200))
            .await
            .is_err()
    );
    assert!(
        timeout(SHORTLY, one.reserve(Kind::Range, 200))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_answer_longer_than_all_room_goes_alone() {
    let answers = Answers::new(CAPS);
    let connection = answers.connect(None);
    let held = connection.admit(Kind::Range, 5_000).unwrap();
    assert!(connection.admit(Kind::Range, 1).is_err());
    drop(held);
    assert!(connection.admit(Kind::Range, 5_000).is_ok());
}

#[tokio::test]
async fn who_takes_nothing_is_cut_off_when_others_find_no_room_and_nobody_else() {
    let answers = Answers::new(CAPS);
    let (slow, slower, quick, idle) = (
        answers.connect(None),
        answers.connect(None),
        answers.connect(None),
        answers.connect(None),
    );
    let oldest = slower.admit(Kind::Range, 900).unwrap();
    tokio::time::sleep(SHORTLY).await;
    let _old = slow.admit(Kind::Range, 800).unwrap();
    tokio::time::sleep(SHORTLY).await;
    let held = quick.admit(Kind::Range, 100).unwrap();
    assert!(!slower.is_cut_off(), "there was room for all");
    let waits = tokio::spawn({
        let idle = idle.clone();
        async move { idle.reserve(Kind::Range, 500).await }
    });
    timeout(Duration::from_secs(20), slower.end())
        .await
        .unwrap();
    assert!(!slow.is_cut_off(), "one at a time");
    // What a connection holds goes with it.
    drop(oldest);
    waits.await.unwrap();
    assert!(!slow.is_cut_off() && !quick.is_cut_off() && !idle.is_cut_off());
    drop(held);
}

#[tokio::test]
async fn nobody_is_cut_off_for_a_kind_of_which_others_have_room() {
    let answers = Answers::new(Caps {
        patience: Duration::ZERO,
        ..CAPS
    });
    let slow = answers.connect(None);
    let _held = slow.admit(Kind::Block, 900).unwrap();
    while slow.late(Kind::Block).is_none() {}
    assert_eq!(slow.late(Kind::Range), None);
    answers.make_room(Kind::Range);
    assert!(!slow.is_cut_off());
    answers.make_room(Kind::Block);
    assert!(slow.is_cut_off());
}
