//! Entries and messages made by hand, and what tests ask of a replica of Raft.

use super::super::message::{
    AppendEntries, Appended, Conflict, Grant, Heard, NewerTerm, PreGrant, PreVote, RequestVote,
};
use super::super::{Body, Entry, Message, Position, Proof, Raft, Record};
use crate::testing::{Image, Members, Subject, batches};
use crate::{Committed, Input, LeaderSchedule, Protocol as _, RecordKey, To};
use crypto::*;
use std::sync::Arc;

pub type Craft = Members<Raft>;
pub type Solo = crate::testing::Solo<Raft>;

impl Subject for Raft {
    const FAULTS: FaultModel = FaultModel::Crash;
    const INLINE: bool = true;
    type Said = Body;

    fn said(message: Message) -> Body {
        message.body
    }
    fn message(body: Body) -> Message {
        message(body)
    }
    fn led(&self) -> Option<View> {
        Some(self.term)
    }
    /// A promise leaves when it is on the disk, and not before.
    fn judge_sent(from: u16, message: &Message, disk: &Image<Self>) {
        match &message.body {
            Body::Appended(it) => {
                let records = disk.records.values();
                let on_disk = records.filter_map(|record| match record {
                    Record::Entry(entry) => Some(entry.at.height),
                    Record::Term { .. } => None,
                });
                let last = on_disk.max().unwrap_or_default();
                assert!(last >= it.matched, "{from} says {it:?} with {last} on disk");
            }
            Body::Grant(it) => {
                let voted = disk.records.get(&RecordKey::Latest(0));
                let given = Record::Term {
                    term: it.term,
                    voted: Some(it.candidate),
                };
                let newer = |r: &Record| matches!(r, Record::Term { term, .. } if *term > it.term);
                let durable = voted.is_some_and(|it| *it == given || newer(it));
                assert!(durable, "{from} grants {it:?} with {voted:?} on disk");
            }
            _ => {}
        }
    }
    fn judge_commit(committed: &Committed<Proof>, disks: &[&Image<Self>], quorums: &Quorums) {
        let at = committed.proof.0;
        let is = |record: &Record| matches!(record, Record::Entry(entry) if entry.at == at);
        let disks = disks.iter().filter(|disk| disk.holds(is)).count();
        assert!(
            disks >= quorums.commit,
            "{at:?} is committed on {disks} disks"
        );
    }
    fn judge_reject(by: u16, from: NodeId, reject: Reject) {
        panic!("{by} rejects what {from} sent: {reject}");
    }
}

impl Craft {
    pub fn new(n: u16) -> Self {
        Self::led(n, LeaderSchedule::RoundRobin { tenure: 1 })
    }
    /// With a commit and an election quorum of these sizes.
    pub fn flexible(n: u16, commit: usize, election: usize) -> Self {
        let mut craft = Self::new(n);
        (craft.quorums.commit, craft.quorums.election) = (commit, election);
        craft
    }
    /// With leases of this span.
    pub fn leased(n: u16, lease: Time) -> Self {
        let mut craft = Self::new(n);
        craft.timing.lease = Some(lease);
        craft
    }
}

pub fn position(term: u64, height: u64) -> Position {
    Position {
        term: View(term),
        height: Height(height),
    }
}

/// A payload of one batch.
pub fn payload(number: u64) -> Payload {
    batches::payload::<Raft>([number])
}

/// The entry that the leader of a term put at a height. Entries of different terms differ.
pub fn entry(term: u64, height: u64) -> Arc<Entry> {
    Arc::new(Entry {
        at: position(term, height),
        payload: payload(term * 1000 + height),
    })
}

/// Entries after a height, one of each of these terms.
pub fn entries(after: u64, terms: &[u64]) -> Vec<Arc<Entry>> {
    let heights = after + 1..;
    terms
        .iter()
        .zip(heights)
        .map(|(t, h)| entry(*t, h))
        .collect()
}

pub fn message(body: Body) -> Message {
    Message {
        epoch: Epoch(0),
        body,
    }
}

/// Entries of these terms after `previous`, from the leader of `term`.
pub fn append(term: u64, previous: (u64, u64), terms: &[u64], committed: u64) -> AppendEntries {
    AppendEntries {
        term: View(term),
        previous: position(previous.0, previous.1),
        entries: entries(previous.1, terms),
        committed: Height(committed),
        round: 0,
    }
}

pub fn appended(term: u64, matched: u64) -> Body {
    Body::Appended(Appended {
        term: View(term),
        matched: Height(matched),
    })
}

pub fn conflict(term: u64, previous: u64, hint: (u64, u64)) -> Body {
    Body::Conflict(Conflict {
        term: View(term),
        previous: Height(previous),
        hint: position(hint.0, hint.1),
    })
}

pub fn heard(term: u64, round: u64) -> Body {
    Body::Heard(Heard {
        term: View(term),
        round,
    })
}

pub fn newer(term: u64) -> Body {
    Body::NewerTerm(NewerTerm { term: View(term) })
}

pub fn request_vote(term: u64, last: (u64, u64)) -> Body {
    Body::RequestVote(RequestVote {
        term: View(term),
        last: position(last.0, last.1),
        transfer: false,
    })
}

pub fn pre_vote(term: u64, last: (u64, u64)) -> Body {
    Body::PreVote(PreVote {
        term: View(term),
        last: position(last.0, last.1),
    })
}

pub fn pre_grant(term: u64) -> Body {
    Body::PreGrant(PreGrant { term: View(term) })
}

pub fn grant(term: u64, candidate: u16) -> Body {
    Body::Grant(Grant {
        epoch: Epoch(0),
        term: View(term),
        candidate: NodeId(candidate),
    })
}

impl Solo {
    /// In a term, with entries of these terms from height 1 up.
    pub fn with_log(craft: Craft, me: u16, term: u64, terms: &[u64]) -> Self {
        let mut records = vec![Record::Term {
            term: View(term),
            voted: None,
        }];
        records.extend(entries(0, terms).into_iter().map(Record::Entry));
        let anchor = craft.anchor();
        Self::recover(craft, me, Time(0), anchor, records)
    }
    /// Delivers, and tells what was said because of it.
    pub fn answer(&mut self, from: u16, body: Body) -> Vec<(To, Body)> {
        let before = self.sent.len();
        self.deliver(from, body);
        self.sent[before..].to_vec()
    }
    /// A leader's entries, and what is answered.
    pub fn append(&mut self, from: u16, append: AppendEntries) -> Vec<Body> {
        let said = self.answer(from, Body::AppendEntries(append));
        said.into_iter().map(|(_, body)| body).collect()
    }
    /// Lets time pass until it asks whether it would be elected.
    pub fn time_out(&mut self) {
        let begun = self.replica.status().timeouts;
        while self.replica.status().timeouts == begun {
            self.tick_at(self.replica.deadline().unwrap().max(self.now));
        }
    }
    /// Is elected by the first others that suffice, after a time-out.
    pub fn elect(&mut self) {
        self.time_out();
        let needed = self.craft.quorums.election - 1;
        let peers: Vec<u16> = self.others().take(needed).collect();
        let term = self.term() + 1;
        for peer in &peers {
            self.deliver(*peer, pre_grant(term));
        }
        for peer in &peers {
            self.deliver(*peer, grant(term, self.me));
        }
        assert!(self.leads(), "elected by {peers:?}");
    }
    /// Orders a batch, as leader.
    pub fn submit(&mut self, number: u64) {
        self.pool.push(number);
        self.input(Input::Pending {
            oldest: Some(self.now),
        });
    }
    // ---- what it looks like ----

    pub fn others(&self) -> impl Iterator<Item = u16> + use<> {
        let (n, me) = (self.craft.quorums.n as u16, self.me);
        (0..n).filter(move |i| *i != me)
    }
    pub fn term(&self) -> u64 {
        self.replica.term.0
    }
    pub fn leads(&self) -> bool {
        self.replica.leads()
    }
    /// The terms of the entries in memory, lowest first.
    pub fn log(&self) -> Vec<u64> {
        let last = self.replica.log.last().height.0;
        let term = |h| self.replica.log.get(Height(h)).map(|entry| entry.at.term.0);
        (1..=last).filter_map(term).collect()
    }
    /// Whom it voted for, in which terms; once for each answer.
    pub fn granted(&self) -> Vec<(u64, u16)> {
        let grant = |(_, body): &(To, Body)| match body {
            Body::Grant(grant) => Some((grant.term.0, grant.candidate.0)),
            _ => None,
        };
        self.sent.iter().filter_map(grant).collect()
    }
    /// The last entries or heartbeat that went to a peer.
    pub fn last_append(&self, peer: u16) -> Option<AppendEntries> {
        self.appends_to(peer).last()
    }
    /// The last entries that went to a peer.
    pub fn last_entries(&self, peer: u16) -> Option<AppendEntries> {
        let full = self.appends_to(peer).filter(|it| !it.entries.is_empty());
        full.last()
    }
    /// All entries and heartbeats that went to a peer.
    fn appends_to(&self, peer: u16) -> impl Iterator<Item = AppendEntries> {
        let to = move |(to, _): &&(To, Body)| {
            matches!(to, To::Others | To::All) || *to == To::One(NodeId(peer))
        };
        self.sent
            .iter()
            .filter(to)
            .filter_map(|(_, body)| match body {
                Body::AppendEntries(append) => Some(append.clone()),
                _ => None,
            })
    }
    /// How many messages with entries have gone to a peer.
    pub fn appends(&self, peer: u16) -> usize {
        let to = |to: &To| matches!(to, To::Others | To::All) || *to == To::One(NodeId(peer));
        let full = |body: &Body| matches!(body, Body::AppendEntries(it) if !it.entries.is_empty());
        let both = |(t, body): &&(To, Body)| to(t) && full(body);
        self.sent.iter().filter(both).count()
    }
    /// Whether it has said this.
    pub fn said(&self, what: impl Fn(&Body) -> bool) -> bool {
        self.sent.iter().any(|(_, body)| what(body))
    }
}
