//! Bugs that the simulator, or a close look, has found.

#![allow(clippy::unwrap_used)]

use super::super::message::{
    AppendEntries, Appended, Conflict, Grant, MAX_ENTRIES, NewerTerm, PreGrant, PreVote,
    RequestVote,
};
use super::super::{Body, Draft, Entry, Message, Position, Proof, Raft, Record};
use crate::testing::batches::large_batch;
use crate::{
    Anchor, Config, Input, LeaderSchedule, Loaded, Output, Outputs, Protocol as _, Timing, To,
    Token,
};
use crypto::*;
use std::sync::Arc;

/// One replica of three, and what it is told.
struct One {
    raft: Raft,
    verifier: Verifier,
    now: Time,
}

const ME: NodeId = NodeId(0);
/// Most bytes of batches in an entry.
const BLOCK: u32 = 1 << 20;

impl One {
    fn new(records: Vec<Record>) -> Self {
        Self::above(None, records)
    }
    /// That has committed up to a position.
    fn above(committed: Option<Position>, records: Vec<Record>) -> Self {
        Self::sized(BLOCK, committed, records)
    }
    /// Whose entries hold so many bytes of batches.
    fn sized(block_bytes: u32, committed: Option<Position>, records: Vec<Record>) -> Self {
        Self::made(Timing::default(), block_bytes, committed, records)
    }
    fn timed(timing: Timing, committed: Option<Position>, records: Vec<Record>) -> Self {
        Self::made(timing, BLOCK, committed, records)
    }
    fn made(
        timing: Timing,
        block_bytes: u32,
        committed: Option<Position>,
        records: Vec<Record>,
    ) -> Self {
        let member = |i| Validator {
            key: SecretKey::from_seed(&[i; 32]).public(),
        };
        let validators = ValidatorSet::new((1..=3).map(member).collect(), FaultModel::Crash);
        let verifier = Verifier {
            context: Context {
                chain: ChainId(Digest([7; 32])),
                epoch: Epoch(0),
            },
            validators: Arc::new(validators.unwrap()),
            scheme: Arc::new(Ed25519),
        };
        let config = Config {
            me: ME,
            context: verifier.context,
            validators: Arc::clone(&verifier.validators),
            quorums: verifier.validators.quorums(),
            leaders: LeaderSchedule::RoundRobin { tenure: 1 },
            timing,
            seed: [1; 32],
            block_bytes,
            execution_lag: 1024,
        };
        let anchor = Anchor {
            epoch: Epoch(0),
            height: committed.unwrap_or_default().height,
            executed: committed.unwrap_or_default().height,
            history: Digest::ZERO,
            state: Digest::ZERO,
            proof: committed.map(Proof),
        };
        let now = Time::millis(1_000_000);
        let raft = Raft::recover(config, now, anchor, records, &mut Outputs::default());
        Self {
            raft,
            verifier,
            now,
        }
    }
    fn put_in(&mut self, input: Input<Raft>) -> Vec<Output<Raft>> {
        let mut out = Outputs::default();
        self.raft.step(self.now, input, &mut out);
        out.0
    }
    fn hear(&mut self, from: u16, body: Body) -> Vec<Output<Raft>> {
        let from = NodeId(from);
        let epoch = Epoch(0);
        let message = Verified::new(from, Message { epoch, body }, &self.verifier).unwrap();
        self.put_in(Input::Message { from, message })
    }
    /// Becomes the leader of the next term, by the votes of itself and node 1.
    fn lead(&mut self) -> (View, Vec<Output<Raft>>) {
        self.now = self.raft.deadline().unwrap();
        self.put_in(Input::Tick);
        let term = self.raft.view().next();
        self.hear(1, Body::PreGrant(PreGrant { term }));
        let grant = |candidate| Grant {
            epoch: Epoch(0),
            term,
            candidate,
        };
        self.hear(0, Body::Grant(grant(ME)));
        (term, self.hear(1, Body::Grant(grant(ME))))
    }
}

/// All that is appended at another node.
fn appends(out: &[Output<Raft>]) -> Vec<(To, AppendEntries)> {
    let append = |it: &Output<Raft>| match it {
        Output::Send(
            to,
            Draft(Message {
                body: Body::AppendEntries(append),
                ..
            }),
        ) => Some((*to, append.clone())),
        _ => None,
    };
    out.iter().filter_map(append).collect()
}

/// What it looks for in its store.
fn loads(out: &[Output<Raft>]) -> Option<Token> {
    out.iter().find_map(|it| match it {
        Output::Load { token, .. } => Some(*token),
        _ => None,
    })
}

/// Bytes of a message of entries as it is sent. A frame holds an entry's batches and 64 KiB more.
fn encoded(append: &AppendEntries) -> usize {
    let body = Body::AppendEntries(append.clone());
    let epoch = Epoch(0);
    codec::encode(&Message { epoch, body }).len()
}

fn rejects(out: &[Output<Raft>]) -> bool {
    out.iter().any(|it| matches!(it, Output::Reject(..)))
}

fn place(term: u64, height: u64) -> Position {
    Position {
        term: View(term),
        height: Height(height),
    }
}

fn entry(term: u64, height: u64) -> Record {
    entry_of(term, height, Payload::EMPTY)
}

fn entry_of(term: u64, height: u64, payload: Payload) -> Record {
    let at = place(term, height);
    Record::Entry(Arc::new(Entry { at, payload }))
}

/// A follower says that it has nothing.
fn nothing_here(term: View, previous: Height) -> Body {
    let hint = place(0, 1);
    Body::Conflict(Conflict {
        term,
        previous,
        hint,
    })
}

/// A leader sends before its own sync. If it crashes then, an acknowledgement of what it lost comes
/// in the very term in which it starts again.
#[test]
fn an_acknowledgement_of_what_a_restart_lost_is_nobodys_fault() {
    let term = Record::Term {
        term: View(2),
        voted: Some(ME),
    };
    let mut one = One::new(vec![term, entry(2, 1)]);
    let (term, matched) = (View(2), Height(7));
    let out = one.hear(1, Body::Appended(Appended { term, matched }));
    assert!(!rejects(&out));
    // One that leads knows what it has sent.
    let (term, _) = one.lead();
    let out = one.hear(1, Body::Appended(Appended { term, matched }));
    assert!(rejects(&out));
}

/// Entries without payload have no bytes that would end a message.
#[test]
fn no_message_holds_more_entries_than_a_follower_takes() {
    let most = MAX_ENTRIES as u64;
    let mut one = One::new((1..=3 * most).map(|height| entry(1, height)).collect());
    let (term, _) = one.lead();
    let sent = appends(&one.hear(1, nothing_here(term, Height(3 * most))));
    assert!(!sent.is_empty());
    for (to, append) in sent {
        assert_eq!(append.previous, Position::START);
        assert_eq!(append.entries.len(), MAX_ENTRIES, "to {to:?}");
    }
}

/// The store gives the row that goes beyond the budget, too, and no follower reads a frame longer
/// than the largest entry makes it.
#[test]
fn what_is_loaded_for_a_follower_fits_into_a_frame() {
    let mut one = One::above(Some(place(1, 3)), vec![]);
    let (term, _) = one.lead();
    let out = one.hear(1, nothing_here(term, Height(3)));
    let token = loads(&out).unwrap();
    let batch = |bytes: u32| Payload::Inline(vec![large_batch(bytes)]);
    let records = vec![
        entry_of(1, 1, batch(BLOCK / 2)),
        entry_of(1, 2, batch(BLOCK)),
        entry(1, 3),
    ];
    let out = one.put_in(Input::Loaded(Loaded { token, records }));
    let [(_, sent)] = &appends(&out)[..] else {
        panic!("one message");
    };
    let bytes: usize = sent.entries.iter().map(|entry| entry.bytes()).sum();
    assert_eq!(bytes, BLOCK as usize / 2);
}

/// However small an entry is on this chain: a follower that lacks many would never get one of them.
#[test]
fn a_message_fits_into_a_frame_however_small_entries_are() {
    const SMALL: u32 = 3 << 10;
    let payload = Payload::Inline(vec![large_batch(SMALL)]);
    let records = (1..=100).map(|height| entry_of(1, height, payload.clone()));
    let mut one = One::sized(SMALL, None, records.collect());
    let (term, _) = one.lead();
    let sent = appends(&one.hear(1, nothing_here(term, Height(100))));
    assert!(sent.iter().any(|(_, append)| !append.entries.is_empty()));
    for (to, append) in sent {
        let bytes = encoded(&append);
        assert!(
            bytes < SMALL as usize + (64 << 10),
            "{bytes} bytes to {to:?}"
        );
    }
}

/// Entries take more than their batches, and many small batches more than a few large ones.
#[test]
fn what_is_loaded_fits_into_a_frame_in_many_small_batches_too() {
    const LARGE: u32 = 4 << 20;
    let small = Payload::Inline(vec![large_batch(450); 64]);
    let (each, most) = (small.bytes() as u32, LARGE);
    let last = u64::from(most / each) + 1;
    let mut records: Vec<Record> = (1..last).map(|it| entry_of(1, it, small.clone())).collect();
    let rest = Payload::Inline(vec![large_batch(most % each)]);
    records.push(entry_of(1, last, rest));
    let mut one = One::sized(LARGE, Some(place(1, last)), vec![]);
    let (term, _) = one.lead();
    let token = loads(&one.hear(1, nothing_here(term, Height(last)))).unwrap();
    let sent = appends(&one.put_in(Input::Loaded(Loaded { token, records })));
    assert_eq!(sent.len(), 1);
    let bytes = encoded(&sent[0].1);
    assert!(bytes < LARGE as usize + (64 << 10), "{bytes} bytes");
}

/// Its leader counts on a follower's silence for one time-out. That a newer term is heard of
/// meanwhile, from one who stood long ago, is no reason to elect anybody sooner.
#[test]
fn a_newer_term_does_not_end_the_silence_that_a_lease_rests_on() {
    let timing = Timing {
        lease: Some(Time::millis(250)),
        ..Timing::default()
    };
    let mut one = One::timed(timing.clone(), None, vec![]);
    one.now = one.now.plus(timing.timeout);
    let append = AppendEntries {
        term: View(1),
        previous: Position::START,
        entries: vec![],
        committed: Height(0),
        round: 1,
    };
    one.hear(1, Body::AppendEntries(append));
    one.hear(2, Body::NewerTerm(NewerTerm { term: View(2) }));
    let (term, last) = (View(3), Position::START);
    let sends = |out: &[Output<Raft>]| out.iter().any(|it| matches!(it, Output::Send(..)));
    let ask = |transfer| {
        Body::RequestVote(RequestVote {
            term,
            last,
            transfer,
        })
    };
    one.now = one.now.plus(Time::millis(249));
    assert!(!sends(&one.hear(2, Body::PreVote(PreVote { term, last }))));
    assert!(!sends(&one.hear(2, ask(false))));
    // Whom the leader itself asked to stand: it counts on nobody any more.
    assert!(sends(&one.hear(2, ask(true))));
}
