//! Reads that are not ordered: ReadIndex (dissertation, section 6.4), and leases where clocks are
//! known to drift little (section 6.4.1).
//!
//! A leader that has committed an entry of its term knows all that is committed. It still leads, if
//! after the read arrived a commit quorum answers a round in its term; for an election quorum, which
//! a successor needs, meets every commit quorum. Followers ask the leader.

use super::message::{Body, ReadAnswer, ReadIndex};
use super::replication::Leadership;
use super::{Out, Raft, Role};
use crate::common::reads::{MAX_READS, Nonces, Question, Readers};
use crate::{ReadId, Retry, Timing, To};
use crypto::{Height, NodeId, Size, Time};

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// A client of this node.
    Own(ReadId),
    /// A follower, for clients of its own.
    Peer { node: NodeId, nonce: u64 },
}

/// Reads that arrived before a round began.
#[derive(Debug)]
struct Round {
    round: u64,
    /// What was committed when it began.
    height: Height,
    readers: Readers<Reader>,
}

/// Waiting reads.
#[derive(Debug)]
pub struct Reads {
    timing: Timing,
    nonces: Nonces,
    /// Arrived while a question was under way, or while there is nobody to ask.
    waiting: Readers<Reader>,
    /// A leader's question to all.
    round: Option<Round>,
    /// A follower's question to its leader.
    asked: Option<Question<Reader>>,
}

impl Reads {
    pub fn new(timing: Timing, seed: [u8; 32], now: Time) -> Self {
        Self {
            timing,
            nonces: Nonces::new(seed, now),
            waiting: Readers::default(),
            round: None,
            asked: None,
        }
    }
    fn all(&self) -> impl Iterator<Item = &Readers<Reader>> {
        let round = self.round.iter().map(|it| &it.readers);
        let asked = self.asked.iter().map(|it| &it.readers);
        round.chain(asked).chain([&self.waiting])
    }
    fn len(&self) -> usize {
        self.all().map(Readers::len).sum()
    }
    /// How many wait: the own clients', and of each follower one before and one behind a round.
    pub fn sizes(&self, peers: usize, into: &mut Vec<Size>) {
        into.push(Size::new("reads", self.len(), MAX_READS + 2 * peers));
    }
    /// What was asked of the former leader is asked again; its other followers ask elsewhere.
    pub fn leader_changed(&mut self) {
        let round = self.round.take().map(|it| it.readers);
        let asked = self.asked.take().map(|it| it.readers);
        for readers in round.into_iter().chain(asked) {
            self.waiting.append(readers);
        }
        self.waiting
            .retain(|reader| matches!(reader, Reader::Own(_)));
    }
    /// Takes out all who ask this leader. Those who wait for a round came before the others.
    fn asking(&mut self) -> Readers<Reader> {
        let mut readers = self.round.take().map(|it| it.readers).unwrap_or_default();
        readers.append(self.waiting.take());
        readers
    }
    /// When to wake.
    pub fn deadline(&self) -> Option<Time> {
        let limit = self.timing.timeout_cap;
        let expiry = self.all().filter_map(|it| it.expiry(limit)).min();
        let resend = self.asked.as_ref().map(Question::resend_at);
        expiry.into_iter().chain(resend).min()
    }
    /// Takes out what has waited for too long.
    fn expire(&mut self, now: Time) -> Vec<Reader> {
        let round = self.round.iter_mut().map(|it| &mut it.readers);
        let asked = self.asked.iter_mut().map(|it| &mut it.readers);
        let mut late = Vec::new();
        for readers in round.chain(asked).chain([&mut self.waiting]) {
            readers.expire(now, self.timing.timeout_cap, &mut late);
        }
        self.round.take_if(|it| it.readers.is_empty());
        self.asked.take_if(|it| it.readers.is_empty());
        late
    }
}

impl Leadership {
    /// Whether a commit quorum, this replica included, has answered a round that is as late.
    fn confirmed(&self, round: u64, quorum: usize) -> bool {
        let answered = self.followers.values().filter(|it| it.round.0 >= round);
        1 + answered.count() >= quorum || crypto::planted!(ReadAlone)
    }
    /// Up to when a commit quorum has promised to elect nobody else: counted from when the rounds
    /// began that it answered, and cut short by what clocks may drift.
    fn lease_until(&self, now: Time, quorum: usize, lease: Time) -> Time {
        let followers = self.followers.values().map(|it| it.round.1);
        let mut began: Vec<Time> = followers.chain([now]).collect();
        began.sort_unstable_by(|a, b| b.cmp(a));
        let at = began.get(quorum.saturating_sub(1)).copied();
        if crypto::planted!(LeaseForever) {
            return at.filter(|at| at.0 > 0).map_or(Time(0), |_| Time(u64::MAX));
        }
        at.filter(|at| at.0 > 0)
            .map_or(Time(0), |at| at.plus(lease))
    }
}

impl Raft {
    pub(super) fn on_read(&mut self, now: Time, id: ReadId, out: &mut Out) {
        if self.reads.len() >= MAX_READS {
            return out.read(id, Err(Retry::Full));
        }
        self.reads.waiting.push(Reader::Own(id), now);
    }

    pub(super) fn on_read_index(&mut self, now: Time, from: NodeId, ask: ReadIndex) {
        if self.leads() && from != self.me() {
            // One question of each follower at a time: it asks anew only when it gave up the last.
            let other = |it: &Reader| !matches!(it, Reader::Peer { node, .. } if *node == from);
            self.reads.waiting.retain(other);
            let reader = Reader::Peer {
                node: from,
                nonce: ask.nonce,
            };
            self.reads.waiting.push(reader, now);
        }
    }

    pub(super) fn on_read_answer(&mut self, answer: ReadAnswer, out: &mut Out) {
        let asked = self.reads.asked.take_if(|it| it.nonce == answer.nonce);
        for reader in asked.into_iter().flat_map(|it| it.readers) {
            self.serve(reader, answer.height, out);
        }
    }

    fn serve(&self, reader: Reader, height: Height, out: &mut Out) {
        match reader {
            Reader::Own(id) => out.read(id, Ok(height)),
            Reader::Peer { node, nonce } => {
                let term = self.term;
                let answer = ReadAnswer {
                    term,
                    nonce,
                    height,
                };
                self.say(To::One(node), Body::ReadAnswer(answer), out);
            }
        }
    }

    /// Moves reads on as far as they get.
    pub(super) fn answer_reads(&mut self, now: Time, out: &mut Out) {
        if self.reads.len() == 0 {
            return;
        }
        let retry = match self.leader {
            Some(_) => Retry::NoQuorum,
            None => Retry::NoLeader,
        };
        for reader in self.reads.expire(now) {
            if let Reader::Own(id) = reader {
                out.read(id, Err(retry));
            }
        }
        if self.leads() {
            self.read_as_leader(now, out);
        } else if let Some(leader) = self.leader {
            self.read_as_follower(now, leader, out);
        }
    }

    fn read_as_leader(&mut self, now: Time, out: &mut Out) {
        let (quorum, committed) = (self.config.quorums.commit, self.log.committed());
        loop {
            let Role::Leader(lead) = &mut self.role else {
                return;
            };
            if committed < lead.first && !crypto::planted!(ReadEarly) {
                return;
            }
            let lease = self.config.timing.lease.filter(|_| !lead.told_to_stand);
            let held = lease.is_some_and(|lease| now < lead.lease_until(now, quorum, lease));
            let confirmed = |it: &mut Round| lead.confirmed(it.round, quorum);
            let served = if held {
                Some((committed, self.reads.asking()))
            } else {
                let round = self.reads.round.take_if(confirmed);
                round.map(|it| (it.height, it.readers))
            };
            if let Some((height, readers)) = served {
                for reader in readers {
                    self.serve(reader, height, out);
                }
            }
            if self.reads.round.is_some() || self.reads.waiting.is_empty() {
                return;
            }
            if let Role::Leader(lead) = &mut self.role {
                self.reads.round = Some(Round {
                    round: lead.begin_round(now),
                    height: committed,
                    readers: self.reads.waiting.take(),
                });
            }
        }
    }

    fn read_as_follower(&mut self, now: Time, leader: NodeId, out: &mut Out) {
        let (term, reads) = (self.term, &mut self.reads);
        if reads.asked.is_none() && !reads.waiting.is_empty() {
            let nonce = reads.nonces.draw();
            reads.asked = Some(Question::new(nonce, reads.waiting.take(), now));
        }
        let resend = reads.timing.resend;
        if let Some(asked) = &mut reads.asked
            && asked.is_due(now, resend)
        {
            let nonce = asked.nonce;
            self.say(
                To::One(leader),
                Body::ReadIndex(ReadIndex { term, nonce }),
                out,
            );
        }
    }
}
