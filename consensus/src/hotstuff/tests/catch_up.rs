//! Fetching what is missing.

use super::super::Message;
use super::super::message::{Blocks, FetchBlocks, MAX_BLOCKS};
use super::cluster::Cluster;
use super::craft::{Craft, Solo, payload, round_robin};
use crate::{Input, Protocol as _, To};
use crypto::{Digest, Epoch, Height, NodeId, Reject, Time};
use std::sync::Arc;

fn fetches(solo: &Solo) -> Vec<(To, FetchBlocks)> {
    let fetch = |(to, m): &(To, Message)| match m {
        Message::FetchBlocks(fetch) => Some((*to, fetch.clone())),
        _ => None,
    };
    solo.sent.iter().filter_map(fetch).collect()
}

#[test]
fn a_node_that_was_away_for_long_fetches_from_records_and_memory() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n, round_robin(8192));
        cluster.crash(n - 1);
        let mut number = 0;
        while cluster.height(0) <= 2 * MAX_BLOCKS as u64 + 40 {
            number += 1;
            cluster.submit(number);
            cluster.run(Time::millis(3));
        }
        cluster.start(n - 1);
        cluster.submit(number + 1);
        cluster.run_until(Time::millis(2000), "catch up", Cluster::all_done);
        assert!(cluster.sent["blocks"] >= 3);
    }
}

#[test]
fn the_next_peer_is_asked_when_one_does_not_answer_one_question_at_a_time() {
    let mut solo = Solo::new(Craft::new(4, round_robin(64)), 1);
    let (_, certificates) = solo.craft.chain(&[1, 2, 3]);
    solo.certificate(3, &certificates[2]);
    let first = fetches(&solo);
    assert_eq!(first.len(), 1);
    assert_eq!(
        first[0].0,
        To::One(NodeId(3)),
        "who showed the certificate comes first"
    );
    assert_eq!(
        (first[0].1.from, &first[0].1.target),
        (Height(1), &certificates[2])
    );
    solo.pass(Time::millis(350));
    let asked: Vec<To> = fetches(&solo).iter().map(|(to, _)| *to).collect();
    assert_eq!(asked.len(), 4);
    for peer in [0, 2, 3] {
        assert!(asked.contains(&To::One(NodeId(peer))), "{asked:?}");
    }
    assert!(
        solo.replica
            .status()
            .waiting
            .unwrap()
            .contains("fetching blocks 1 to 3")
    );
}

#[test]
fn answers_that_bring_nothing_turn_to_the_next_peer_and_unasked_ones_are_dropped() {
    let mut solo = Solo::new(Craft::new(4, round_robin(64)), 1);
    let (blocks, certificates) = solo.craft.chain(&[1, 2, 3]);
    let empty = Blocks {
        blocks: Vec::new(),
        certificate: solo.craft.genesis(),
    };
    solo.deliver(2, Message::Blocks(empty.clone()));
    assert_eq!(solo.rejects, [Reject::Duplicate]);
    solo.certificate(3, &certificates[2]);
    solo.deliver(3, Message::Blocks(empty));
    let asked = fetches(&solo);
    assert_eq!(asked.len(), 2);
    assert_ne!(asked[1].0, asked[0].0);
    // Blocks that do not link to what is held are of no use either, and do no harm.
    let To::One(peer) = asked[1].0 else {
        unreachable!()
    };
    let apart = Blocks {
        blocks: blocks[1..].to_vec(),
        certificate: Arc::clone(&certificates[2]),
    };
    solo.deliver(peer.0, Message::Blocks(apart));
    assert!(solo.commits.is_empty());
    let asked = fetches(&solo);
    let To::One(peer) = asked[2].0 else {
        unreachable!()
    };
    let whole = Blocks {
        blocks,
        certificate: Arc::clone(&certificates[2]),
    };
    solo.deliver(peer.0, Message::Blocks(whole));
    assert_eq!(solo.heights(), [1]);
    assert_eq!(fetches(&solo).len(), 3);
    assert_eq!(solo.replica.status().waiting, None);
}

#[test]
fn a_long_chain_comes_in_parts() {
    let views: Vec<u64> = (1..=700).collect();
    let craft = || Craft::new(4, round_robin(8192));
    let (blocks, certificates) = craft().chain(&views);
    let mut full = Solo::new(craft(), 1);
    blocks.iter().for_each(|block| full.propose(block));
    let mut solo = Solo::new(craft(), 2);
    solo.certificate(1, &certificates[699]);
    let mut parts = 0;
    while let Some((_, fetch)) = fetches(&solo).get(parts).cloned() {
        parts += 1;
        full.sent.clear();
        let from = fetch.from;
        full.deliver(2, Message::FetchBlocks(fetch));
        let Some((_, Message::Blocks(answer))) = full.sent.pop() else {
            panic!("an answer")
        };
        assert!(answer.blocks.len() <= MAX_BLOCKS);
        assert_eq!(answer.blocks[0].header.height, from);
        solo.deliver(1, Message::Blocks(answer));
    }
    assert_eq!(parts, 3);
    assert_eq!(solo.heights(), (1..=698).collect::<Vec<_>>());
    assert_eq!(
        solo.voted(),
        Vec::<u64>::new(),
        "nobody votes for what is fetched"
    );
}

#[test]
fn blocks_that_lost_their_place_are_not_served() {
    let craft = || Craft::new(4, round_robin(4));
    let mut full = Solo::new(craft(), 1);
    let (blocks, certificates) = full.craft.chain(&[1, 2]);
    blocks.iter().for_each(|block| full.propose(block));
    let lost = full.craft.block(3, &certificates[1], payload(99));
    full.propose(&lost);
    let high = &certificates[1];
    let entry = full
        .craft
        .timeout_certificate(0, &[(0, high), (2, high), (3, high)]);
    let (mut justify, mut timeout) = (Arc::clone(high), Some(entry));
    for view in 4..=7 {
        let block = full
            .craft
            .block_after(view, &justify, timeout.take(), payload(view));
        justify = full.craft.certify(&block);
        full.propose(&block);
    }
    assert!(full.heights().contains(&3));
    let target = full.craft.genesis();
    let ask = FetchBlocks {
        epoch: Epoch(0),
        from: Height(1),
        target,
    };
    full.sent.clear();
    full.deliver(2, Message::FetchBlocks(ask));
    let Some((_, Message::Blocks(answer))) = full.sent.pop() else {
        panic!("an answer")
    };
    let views: Vec<u64> = answer
        .blocks
        .iter()
        .map(|block| block.header.view.0)
        .collect();
    assert_eq!(
        views,
        [1, 2, 4, 5, 6],
        "the certificate of 6 is known, of 7 not yet"
    );
}

#[test]
fn one_load_at_a_time_for_each_peer() {
    let mut cluster = Cluster::new(4, round_robin(8192));
    for number in 1..=10 {
        cluster.submit(number);
        cluster.run(Time::millis(5));
    }
    let before = cluster.sent.get("blocks").copied().unwrap_or(0);
    let ask = FetchBlocks {
        epoch: Epoch(0),
        from: Height(1),
        target: cluster.craft.genesis(),
    };
    for _ in 0..50 {
        cluster.inject(2, 0, Message::FetchBlocks(ask.clone()));
    }
    cluster.run(Time::millis(5));
    assert!(cluster.sent["blocks"] - before < 50);
}

/// Uncommitted ancestors are committed oldest first, each once, whatever the order in which the
/// blocks came.
#[test]
fn gaps_are_filled_before_anything_commits() {
    let mut solo = Solo::new(Craft::new(4, round_robin(64)), 1);
    let (blocks, certificates) = solo.craft.chain(&[1, 2, 3, 4, 5, 6]);
    solo.propose(&blocks[0]);
    solo.propose(&blocks[4]);
    solo.propose(&blocks[5]);
    assert!(solo.commits.is_empty());
    let answer = Blocks {
        blocks: blocks[..5].to_vec(),
        certificate: Arc::clone(&certificates[4]),
    };
    solo.deliver(0, Message::Blocks(answer));
    assert_eq!(solo.heights(), [1, 2, 3]);
    assert_eq!(
        solo.voted(),
        [1, 6],
        "the waiting proposal is voted for now"
    );
    solo.certificate(0, &certificates[5]);
    assert_eq!(solo.heights(), [1, 2, 3, 4]);
}

/// Whoever lags fetches blocks faster than their payload: what cannot be executed yet would fill the
/// memory.
#[test]
fn blocks_are_taken_no_further_than_execution_may_lag() {
    let mut craft = Craft::new(4, round_robin(64));
    craft.execution_lag = 2;
    let mut solo = Solo::new(craft, 1);
    let views: Vec<u64> = (1..=40).collect();
    let (blocks, certificates) = solo.craft.chain(&views);
    solo.certificate(3, &certificates[39]);
    let served = |solo: &mut Solo| {
        let asked = fetches(solo);
        let (To::One(peer), fetch) = asked.last().unwrap() else {
            panic!("{asked:?}");
        };
        let from = fetch.from.0 as usize - 1;
        let answer = Blocks {
            blocks: blocks[from..].to_vec(),
            certificate: Arc::clone(&certificates[39]),
        };
        solo.deliver(peer.0, Message::Blocks(answer));
        solo.heights().len() as u64
    };
    let mut executed = 0;
    while executed < 38 {
        let committed = served(&mut solo);
        assert!(committed > executed, "it gets on");
        assert!(committed <= executed + 8, "{executed}");
        let asked = fetches(&solo).len();
        solo.pass(Time::millis(500));
        if committed < 38 {
            assert_eq!(fetches(&solo).len(), asked, "for what it could not take");
        }
        executed = committed;
        solo.input(Input::Executed {
            height: Height(executed),
            state: Digest::ZERO,
        });
    }
    assert_eq!(solo.heights().len(), 38);
}

/// While leaders fail one after the other the chain grows, and nothing of it can be committed without
/// more blocks (seed 74: it stood still for ever).
#[test]
fn blocks_that_nothing_commits_yet_are_taken_however_many_they_are() {
    let mut craft = Craft::new(4, round_robin(64));
    craft.execution_lag = 2;
    let mut solo = Solo::new(craft, 1);
    // Never three views in a row, but for the last ones.
    let views: Vec<u64> = (1..=20).map(|k| 2 * k).chain([41, 42]).collect();
    let (blocks, certificates) = solo.craft.chain(&views);
    solo.certificate(3, certificates.last().unwrap());
    let answer = Blocks {
        blocks,
        certificate: Arc::clone(certificates.last().unwrap()),
    };
    let (To::One(peer), _) = fetches(&solo)[0] else {
        unreachable!()
    };
    solo.deliver(peer.0, Message::Blocks(answer));
    assert_eq!(solo.heights().len(), 20);
}
