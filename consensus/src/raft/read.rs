//! Reads that are not ordered: ReadIndex (dissertation, section 6.4), and leases where clocks are
//! known to drift little (section 6.4.1).
//!
//! A leader that has committed an entry of its term knows all that is committed. It still leads, if
//! after the read arrived a commit quorum answers a round in its term; for an election quorum, which
//! a successor needs, meets every commit quorum. Followers ask the leader.

use super::message::{Body, ReadAnswer, ReadIndex};
use super::replication::Leadership;
use super::{Out, Raft, Role};
use crate::{ReadId, Retry, Timing, To};
use crypto::{Height, NodeId, Time};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// Most reads that wait at once.
pub const MAX_READS: usize = 4096;

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
    reads: Vec<(Reader, Time)>,
}

/// Reads that arrived before the leader was asked.
#[derive(Debug)]
struct Asked {
    nonce: u64,
    reads: Vec<(Reader, Time)>,
    resend_at: Time,
}

/// Waiting reads.
#[derive(Debug)]
pub struct Reads {
    timing: Timing,
    nonces: ChaCha12Rng,
    /// Arrived while a question was under way, or while there is nobody to ask.
    waiting: Vec<(Reader, Time)>,
    /// A leader's question to all.
    round: Option<Round>,
    /// A follower's question to its leader.
    asked: Option<Asked>,
}

impl Reads {
    pub fn new(timing: Timing, seed: [u8; 32], now: Time) -> Self {
        let mut nonces = ChaCha12Rng::from_seed(seed);
        // A process started again at another time asks other questions.
        nonces.set_stream(now.0);
        Self {
            timing,
            nonces,
            waiting: Vec::new(),
            round: None,
            asked: None,
        }
    }
    fn len(&self) -> usize {
        let round = self.round.as_ref().map_or(0, |it| it.reads.len());
        let asked = self.asked.as_ref().map_or(0, |it| it.reads.len());
        self.waiting.len() + round + asked
    }
    /// What was asked of the former leader is asked again; its other followers ask elsewhere.
    pub fn leader_changed(&mut self) {
        let round = self.round.take().map(|it| it.reads);
        let asked = self.asked.take().map(|it| it.reads);
        let again = round.into_iter().chain(asked).flatten();
        self.waiting.extend(again);
        let own = |(reader, _): &(Reader, Time)| matches!(reader, Reader::Own(_));
        self.waiting.retain(own);
    }
    /// When to wake.
    pub fn deadline(&self) -> Option<Time> {
        let round = self.round.iter().flat_map(|it| &it.reads);
        let asked = self.asked.iter().flat_map(|it| &it.reads);
        let oldest = self.waiting.iter().chain(round).chain(asked);
        let expiry = oldest.map(|(_, at)| at.plus(self.timing.timeout_cap)).min();
        let resend = self.asked.as_ref().map(|it| it.resend_at);
        expiry.into_iter().chain(resend).min()
    }
    /// Takes out what has waited for too long.
    fn expire(&mut self, now: Time) -> Vec<Reader> {
        let limit = self.timing.timeout_cap;
        let mut late = Vec::new();
        let mut sift = |reads: &mut Vec<(Reader, Time)>| {
            reads.retain(|(reader, at)| {
                let keep = now < at.plus(limit);
                if !keep {
                    late.push(*reader);
                }
                keep
            });
        };
        sift(&mut self.waiting);
        if let Some(round) = &mut self.round {
            sift(&mut round.reads);
        }
        if let Some(asked) = &mut self.asked {
            sift(&mut asked.reads);
        }
        self.round.take_if(|it| it.reads.is_empty());
        self.asked.take_if(|it| it.reads.is_empty());
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
        self.reads.waiting.push((Reader::Own(id), now));
    }

    pub(super) fn on_read_index(&mut self, now: Time, from: NodeId, ask: ReadIndex) {
        if self.leads() && from != self.me() {
            // One question of each follower at a time: it asks anew only when it gave up the last.
            let other = |(reader, _): &(Reader, Time)| !matches!(reader, Reader::Peer { node, .. } if *node == from);
            self.reads.waiting.retain(other);
            let reader = Reader::Peer {
                node: from,
                nonce: ask.nonce,
            };
            self.reads.waiting.push((reader, now));
        }
    }

    pub(super) fn on_read_answer(&mut self, answer: ReadAnswer, out: &mut Out) {
        let asked = self.reads.asked.take_if(|it| it.nonce == answer.nonce);
        for (reader, _) in asked.into_iter().flat_map(|it| it.reads) {
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
                let reads = std::mem::take(&mut self.reads.waiting);
                Some((committed, reads))
            } else {
                let round = self.reads.round.take_if(confirmed);
                round.map(|it| (it.height, it.reads))
            };
            for (height, reads) in served.into_iter() {
                for (reader, _) in reads {
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
                    reads: std::mem::take(&mut self.reads.waiting),
                });
            }
        }
    }

    fn read_as_follower(&mut self, now: Time, leader: NodeId, out: &mut Out) {
        if self.reads.asked.is_none() && !self.reads.waiting.is_empty() {
            self.reads.asked = Some(Asked {
                nonce: self.reads.nonces.next_u64(),
                reads: std::mem::take(&mut self.reads.waiting),
                resend_at: now,
            });
        }
        let (term, resend) = (self.term, self.reads.timing.resend);
        let due = self.reads.asked.as_mut().filter(|it| it.resend_at <= now);
        if let Some(asked) = due {
            asked.resend_at = now.plus(resend);
            let nonce = asked.nonce;
            self.say(
                To::One(leader),
                Body::ReadIndex(ReadIndex { term, nonce }),
                out,
            );
        }
    }
}
