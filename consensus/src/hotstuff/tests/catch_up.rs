//! Fetching what is missing.

use super::super::message::{AskCertificate, Blocks, FetchBlocks, MAX_BLOCKS};
use super::super::{Block, HotStuff, Message, QuorumCertificate, Record};
use super::cluster::Cluster;
use super::craft::{Craft, Solo, payload, round_robin};
use crate::common::ANSWER_BYTES;
use crate::testing::batches;
use crate::{Input, Protocol as _, To};
use crypto::{Digest, Epoch, Height, NodeId, Payload, Reject, Time, View, codec};
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
    assert!(full.by_leader.iter().all(|it| *it));
    assert!(!solo.by_leader.contains(&true), "nor blames anybody for it");
}

/// Blocks of the first tenure, views 1 to 3, commit in the second in part.
#[test]
fn what_a_former_leader_ordered_is_not_the_leaders_choice() {
    let mut solo = Solo::new(Craft::new(4, round_robin(4)), 2);
    let (blocks, _) = solo.craft.chain(&[1, 2, 3, 4, 5, 6, 7]);
    blocks.iter().for_each(|block| solo.propose(block));
    assert_eq!(solo.heights(), [1, 2, 3, 4]);
    assert_eq!(solo.by_leader, [true, false, false, true]);
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

/// The committed blocks that `full` serves from its store from a height up, asked on until it has no
/// more of them.
fn served(full: &mut Solo, last: u64) -> Vec<u64> {
    let mut heights = Vec::new();
    while let Some(from) = (1..=last).find(|it| !heights.contains(it)) {
        full.now = full.now.plus(Time::millis(100));
        let ask = FetchBlocks {
            epoch: Epoch(0),
            from: Height(from),
            target: full.craft.genesis(),
        };
        let answer = answer_of(full, ask);
        let came = answer.blocks.iter().map(|it| it.header.height.0);
        let before = heights.len();
        heights.extend(came);
        assert!(heights.len() > before, "nothing from {from} on");
    }
    heights.truncate(last as usize);
    heights
}

/// A proposal is stored before anyone has looked at what it orders, and those of one height are
/// together more than the store answers with: found by a reader.
#[test]
fn no_proposals_hide_what_is_committed_at_their_height() {
    let (mut full, (blocks, _)) = chain(&|| Craft::new(4, round_robin(8192)), 9);
    for at in [0, 3, 5] {
        let justify = &blocks[at].header.justify;
        let lost = (100..164).map(|it| full.craft.block(it, justify, payload(it)));
        full.records.extend(lost.map(Record::Block));
    }
    full.load_bytes = 1_000;
    assert_eq!(served(&mut full, 6), [1, 2, 3, 4, 5, 6]);
}

/// What a leader says is stored before anybody can tell whether it is a block of this chain.
#[test]
fn a_block_has_no_more_batches_than_any_chain_allows() {
    let mut solo = Solo::new(Craft::new(4, round_robin(4)), 0);
    let craft = solo.craft.clone();
    let mut proposed = |batches| {
        let payload = Payload::Refs(vec![batches::reference(1); batches]);
        let block = craft.block(1, &craft.genesis(), payload);
        solo.try_deliver(craft.leader(1), craft.proposal(&block))
    };
    assert_eq!(proposed(Payload::MAX_REFS + 1), Err(Reject::TooLong));
    assert_eq!(proposed(Payload::MAX_REFS), Ok(()));
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

/// A chain of so many blocks, and who holds all of it.
fn chain(craft: &dyn Fn() -> Craft, length: u64) -> (Solo, Answers) {
    let views: Vec<u64> = (1..=length).collect();
    let mut full = Solo::new(craft(), 1);
    let chain = full.craft.chain(&views);
    chain.0.iter().for_each(|block| full.propose(block));
    (full, chain)
}

type Answers = (Vec<Arc<Block>>, Vec<Arc<QuorumCertificate>>);

/// What `full` says to this question of node 2.
fn answer_of(full: &mut Solo, fetch: FetchBlocks) -> Blocks {
    full.sent.clear();
    full.deliver(2, Message::FetchBlocks(fetch));
    let Some((_, Message::Blocks(answer))) = full.sent.pop() else {
        panic!("an answer")
    };
    answer
}

/// Where a peer is asked to begin was taken from whatever the last one had said: a liar that always
/// said the first block sent all others back to the beginning, and was the only one ever asked for
/// what was missing.
#[test]
fn one_that_brings_nothing_does_not_move_where_the_others_are_asked_to_begin() {
    let craft = || Craft::new(4, round_robin(8192));
    let (mut full, (blocks, certificates)) = chain(&craft, 900);
    let mut solo = Solo::new(craft(), 2);
    blocks[..600].iter().for_each(|block| solo.propose(block));
    assert_eq!(solo.heights().len(), 597);
    solo.certificate(3, &certificates[899]);
    let first = Blocks {
        blocks: blocks[..1].to_vec(),
        certificate: Arc::clone(&certificates[0]),
    };
    for question in 0..50 {
        solo.now = solo.now.plus(Time::millis(1));
        if fetches(&solo).len() == question {
            // All have nothing, as it seems: they are asked again after a while.
            solo.pass(Time::millis(100));
        }
        let Some((To::One(peer), fetch)) = fetches(&solo).get(question).cloned() else {
            break;
        };
        let answer = match peer {
            NodeId(3) => first.clone(),
            _ => answer_of(&mut full, fetch),
        };
        solo.deliver(peer.0, Message::Blocks(answer));
    }
    assert_eq!(solo.heights().len(), 898, "it gets on");
}

/// A block at a time is something new each time: whoever sent it was asked again, and nobody else,
/// also where old blocks make a long answer of it.
#[test]
fn one_that_sends_block_by_block_is_not_the_only_one_asked() {
    for from in [0, 150] {
        let mut solo = Solo::new(Craft::new(4, round_robin(8192)), 1);
        let views: Vec<u64> = (1..=200).collect();
        let (blocks, certificates) = solo.craft.chain(&views);
        blocks[..150].iter().for_each(|block| solo.propose(block));
        solo.certificate(3, &certificates[199]);
        for k in 0..3 {
            let asked = fetches(&solo);
            assert_eq!(asked.len(), k + 1);
            let To::One(peer) = asked[k].0 else {
                unreachable!()
            };
            let one = Blocks {
                blocks: blocks[from..=150 + k].to_vec(),
                certificate: Arc::clone(&certificates[150 + k]),
            };
            solo.deliver(peer.0, Message::Blocks(one));
        }
        let asked: Vec<To> = fetches(&solo).iter().map(|(to, _)| *to).collect();
        assert!(
            asked.iter().any(|to| *to != To::One(NodeId(3))),
            "{asked:?}"
        );
    }
}

/// Each height that execution got on made room for one more: it was asked for at once, most of the long
/// answer was thrown away, and the next height asked for all of it again.
#[test]
fn nobody_is_asked_before_there_is_room_for_an_answer() {
    let craft = || Craft::new(4, round_robin(8192));
    let (mut full, (_, certificates)) = chain(&craft, 1_600);
    let mut slow = craft();
    slow.execution_lag = 300;
    let mut solo = Solo::new(slow, 2);
    solo.certificate(1, &certificates[1_599]);
    let mut answered = 0;
    let mut serve = |solo: &mut Solo| {
        while let Some((To::One(peer), fetch)) = fetches(solo).get(answered).cloned() {
            answered += 1;
            full.now = full.now.plus(Time::millis(100));
            let answer = answer_of(&mut full, fetch);
            solo.deliver(peer.0, Message::Blocks(answer));
        }
        solo.heights().len() as u64
    };
    let executed = |solo: &mut Solo, height| {
        solo.input(Input::Executed {
            height: Height(height),
            state: Digest::ZERO,
        });
    };
    let taken = serve(&mut solo);
    assert!(taken > 900 && taken <= 1_200, "{taken}");
    let before = fetches(&solo).len();
    for height in 1..=255 {
        executed(&mut solo, height);
        serve(&mut solo);
    }
    let asked = fetches(&solo).len() - before;
    assert!(asked <= 2, "asked {asked} times");
    executed(&mut solo, 300);
    assert!(serve(&mut solo) > 1_200, "there was room");
}

/// How many answers a replica gives to so many questions of node 2 within the tenth part of what is
/// between two honest ones.
fn answers(full: &mut Solo, ask: &FetchBlocks) -> usize {
    full.sent.clear();
    for _ in 0..50 {
        full.now = full.now.plus(Time(200_000));
        full.deliver(2, Message::FetchBlocks(ask.clone()));
    }
    let blocks =
        |(to, it): &&(To, Message)| matches!(it, Message::Blocks(_)) && *to == To::One(NodeId(2));
    full.sent.iter().filter(blocks).count()
}

#[test]
fn one_that_asks_for_the_same_again_and_again_is_answered_now_and_then() {
    let craft = || Craft::new(4, round_robin(8192));
    for from in [1, 299] {
        let (mut full, (_, certificates)) = chain(&craft, 300);
        let ask = FetchBlocks {
            epoch: Epoch(0),
            from: Height(from),
            target: Arc::clone(&certificates[298]),
        };
        assert_eq!(answers(&mut full, &ask), 1, "from {from}");
        full.pass(Time::millis(100));
        assert_eq!(answers(&mut full, &ask), 1, "from {from}, later");
    }
}

/// A question is short, and the certificates that answer it are not.
#[test]
fn one_that_asks_for_certificates_again_and_again_is_answered_now_and_then() {
    let craft = || Craft::new(4, round_robin(8192));
    let (mut full, _) = chain(&craft, 4);
    let ask = AskCertificate {
        epoch: Epoch(0),
        view: View(1),
        high: View(0),
        stalled: true,
    };
    for _ in 0..2 {
        full.sent.clear();
        full.pass(Time::millis(100));
        for _ in 0..50 {
            full.now = full.now.plus(Time(200_000));
            full.deliver(2, Message::AskCertificate(ask));
        }
        let answer = |(to, it): &&(To, Message)| {
            matches!(it, Message::Certificate(_)) && *to == To::One(NodeId(2))
        };
        assert_eq!(full.sent.iter().filter(answer).count(), 1);
    }
}

/// Who follows closely misses block after block where messages get lost, and asks for each at once.
#[test]
fn one_that_asks_for_newer_blocks_is_answered_each_time() {
    let craft = || Craft::new(4, round_robin(8192));
    let (mut full, _) = chain(&craft, 300);
    let views: Vec<u64> = (1..=340).collect();
    let (blocks, certificates) = full.craft.chain(&views);
    for k in 300..340 {
        full.propose(&blocks[k]);
        full.now = full.now.plus(Time(200_000));
        let ask = FetchBlocks {
            epoch: Epoch(0),
            from: full.replica.status().height,
            target: Arc::clone(&certificates[k - 1]),
        };
        let answer = answer_of(&mut full, ask);
        assert_eq!(answer.certificate, certificates[k - 1]);
    }
}

/// As many blocks as can be, of which many end a tenure's time-out.
#[test]
fn an_answer_is_no_longer_than_it_may_be() {
    let craft = || Craft::new(31, round_robin(4));
    let mut full = Solo::new(craft(), 1);
    let quorum = full.craft.quorum() as u16;
    let (mut justify, mut tenure, mut batch) = (full.craft.genesis(), 0, 0);
    while full.replica.status().height < Height(300) {
        let signers: Vec<_> = (0..quorum).map(|node| (node, &justify)).collect();
        let mut timeout = Some(full.craft.timeout_certificate(tenure, &signers));
        tenure += 1;
        for view in 4 * tenure..4 * tenure + 3 {
            let payload = batches::payload::<HotStuff>(batch..batch + 40);
            batch += 40;
            let block = full
                .craft
                .block_after(view, &justify, timeout.take(), payload);
            justify = full.craft.certify(&block);
            full.propose(&block);
        }
    }
    let ask = FetchBlocks {
        epoch: Epoch(0),
        from: Height(1),
        target: full.craft.genesis(),
    };
    let answer = answer_of(&mut full, ask);
    let bytes = codec::encode(&answer).len();
    assert!(
        answer.blocks.len() > 100 && bytes > ANSWER_BYTES / 2,
        "{bytes}"
    );
    assert!(bytes <= ANSWER_BYTES, "{bytes}");
}
