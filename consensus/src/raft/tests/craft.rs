//! Members, entries and messages made by hand, and one replica to feed them to.

use super::super::message::{
    AppendEntries, Appended, Conflict, Grant, Heard, NewerTerm, PreGrant, PreVote, RequestVote,
};
use super::super::{Body, Entry, Message, Position, Proof, Raft, Record};
use crate::{
    Anchor, Committed, Config, Draft as _, Input, LeaderSchedule, Loaded, Output, Outputs,
    Protocol as _, ReadId, Record as _, RecordKey, Retry, Timing, To, Token,
};
use crypto::*;
use std::collections::VecDeque;
use std::sync::Arc;

/// The members, and what they are told at the start.
#[derive(Clone)]
pub struct Craft {
    pub verifier: Verifier,
    pub quorums: Quorums,
    pub timing: Timing,
}

pub fn secret(i: u16) -> SecretKey {
    SecretKey::from_seed(&[i as u8 + 1; 32])
}

impl Craft {
    pub fn new(n: u16) -> Self {
        let member = |i| Validator {
            key: secret(i).public(),
        };
        let members = (0..n).map(member).collect();
        let validators = ValidatorSet::new(members, FaultModel::Crash).unwrap();
        let context = Context {
            chain: ChainId(Digest([7; 32])),
            epoch: Epoch(0),
        };
        let quorums = validators.quorums();
        let verifier = Verifier {
            context,
            validators: Arc::new(validators),
            scheme: Arc::new(Ed25519),
        };
        Self {
            verifier,
            quorums,
            timing: Timing::default(),
        }
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
    pub fn config(&self, me: u16) -> Config {
        Config {
            me: NodeId(me),
            context: self.verifier.context,
            validators: Arc::clone(&self.verifier.validators),
            quorums: self.quorums,
            leaders: LeaderSchedule::RoundRobin { tenure: 1 },
            timing: self.timing.clone(),
            seed: [me as u8; 32],
            block_bytes: 1 << 20,
        }
    }
    pub fn signer(&self, me: u16) -> Signer {
        Signer {
            me: NodeId(me),
            key: secret(me),
            verifier: self.verifier.clone(),
        }
    }
    pub fn anchor(&self) -> Anchor<Proof> {
        Anchor {
            epoch: Epoch(0),
            height: Height(0),
            history: Digest::ZERO,
            state: Digest::ZERO,
            proof: None,
        }
    }
}

pub fn position(term: u64, height: u64) -> Position {
    Position {
        term: View(term),
        height: Height(height),
    }
}

/// A batch; nobody looks into it here.
pub fn batch(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

pub fn payload(number: u64) -> Payload {
    Payload::Inline(vec![batch(number).into()])
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

/// One replica without a shell. Its disk is as fast as can be, unless it is `slow`: then what waits
/// for it leaves by [`Solo::sync`].
pub struct Solo {
    pub craft: Craft,
    pub me: u16,
    pub replica: Raft,
    pub now: Time,
    /// Everything it put out, own messages included.
    pub sent: Vec<(To, Body)>,
    /// What its disk holds.
    pub records: Vec<Record>,
    pub commits: Vec<Committed<Proof>>,
    pub rejects: Vec<Reject>,
    pub returned: Vec<Payload>,
    pub reads: Vec<(ReadId, Result<Height, Retry>)>,
    pub leaders: Vec<u16>,
    pub loads: Vec<(Token, std::ops::Range<Height>)>,
    pub pool: Vec<u64>,
    pub slow: bool,
    held: VecDeque<(To, Message)>,
}

impl Solo {
    pub fn new(craft: Craft, me: u16) -> Self {
        let anchor = craft.anchor();
        Self::recover(craft, me, Time(0), anchor, Vec::new())
    }
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
    pub fn recover(
        craft: Craft,
        me: u16,
        now: Time,
        anchor: Anchor<Proof>,
        records: Vec<Record>,
    ) -> Self {
        let mut out = Outputs::default();
        let replica = Raft::recover(craft.config(me), now, anchor, records.clone(), &mut out);
        let mut solo = Self {
            craft,
            me,
            replica,
            now,
            sent: Vec::new(),
            records,
            commits: Vec::new(),
            rejects: Vec::new(),
            returned: Vec::new(),
            reads: Vec::new(),
            leaders: Vec::new(),
            loads: Vec::new(),
            pool: Vec::new(),
            slow: false,
            held: VecDeque::new(),
        };
        solo.take(out);
        solo
    }
    /// Stops, and starts again with what the disk holds.
    pub fn restart(self) -> Self {
        let anchor = self.craft.anchor();
        Self::recover(self.craft, self.me, self.now, anchor, self.records)
    }
    pub fn input(&mut self, input: Input<Raft>) {
        let mut out = Outputs::default();
        self.replica.step(self.now, input, &mut out);
        self.take(out);
    }
    /// Delivers what has to pass its check.
    pub fn deliver(&mut self, from: u16, body: Body) {
        self.try_deliver(from, message(body)).unwrap();
    }
    pub fn try_deliver(&mut self, from: u16, message: Message) -> Result<(), Reject> {
        let message = Verified::new(NodeId(from), message, &self.craft.verifier)?;
        self.input(Input::Message {
            from: NodeId(from),
            message,
        });
        Ok(())
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
    pub fn tick_at(&mut self, now: Time) {
        self.now = now;
        self.input(Input::Tick);
    }
    /// Lets time pass, with every wake it asks for.
    pub fn pass(&mut self, span: Time) {
        let end = self.now.plus(span);
        let mut wakes = 0;
        while let Some(at) = self.replica.deadline().filter(|at| *at <= end) {
            wakes += 1;
            assert!(wakes < 10_000, "it spins at {at:?}");
            self.tick_at(at.max(self.now));
        }
        self.now = end;
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
    /// Finishes what the disk has to do.
    pub fn sync(&mut self) {
        let mut next = Vec::new();
        for (to, message) in std::mem::take(&mut self.held) {
            self.transmit(to, message, &mut next);
        }
        next.into_iter().for_each(|input| self.input(input));
    }
    fn transmit(&mut self, to: To, message: Message, next: &mut Vec<Input<Raft>>) {
        let me = NodeId(self.me);
        Verified::new(me, message.clone(), &self.craft.verifier).expect("own ones are in order");
        if matches!(to, To::All | To::Me) || to == To::One(me) {
            let own = Verified::own(message.clone(), &self.craft.signer(self.me));
            next.push(Input::Message {
                from: me,
                message: own,
            });
        }
        self.sent.push((to, message.body));
    }
    fn take(&mut self, out: Outputs<Raft>) {
        let mut next = Vec::new();
        for output in out.0 {
            match output {
                Output::Persist(record) => {
                    self.records.retain(|old| old.key() != record.key());
                    self.records.push(record);
                }
                Output::Truncate(from) => self
                    .records
                    .retain(|old| !matches!(old.key(), RecordKey::At(height, _) if height >= from)),
                Output::Send(to, draft) => {
                    let message = draft.seal(None);
                    if self.slow && !crate::Message::may_overtake(&message) {
                        self.held.push_back((to, message));
                    } else {
                        self.transmit(to, message, &mut next);
                    }
                }
                Output::Commit(committed) => {
                    Raft::check_proof(&committed, &self.craft.verifier).unwrap();
                    if let Payload::Inline(batches) = &committed.payload {
                        let open = |number: &u64| !batches.iter().any(|it| **it == batch(*number));
                        self.pool.retain(open);
                        let oldest = (!self.pool.is_empty()).then_some(self.now);
                        next.push(Input::Pending { oldest });
                    }
                    self.commits.push(committed);
                }
                Output::WantPayload {
                    ticket, exclude, ..
                } => {
                    let free = self.pool.iter().map(|number| batch(*number));
                    let free =
                        free.filter(|it| !exclude.contains(&crypto::batch::batch_digest(it)));
                    let payload = Payload::Inline(free.map(Into::into).collect());
                    next.push(Input::Payload { ticket, payload });
                }
                Output::Return(payload) => self.returned.push(payload),
                Output::Load { token, heights } => self.loads.push((token, heights)),
                Output::Read(id, at) => self.reads.push((id, at)),
                Output::Reject(_, reject) => self.rejects.push(reject),
                Output::Leader(leader) => self.leaders.push(leader.0),
                _ => panic!("Raft asks for nothing else"),
            }
        }
        next.into_iter().for_each(|input| self.input(input));
    }
    /// Answers the last question to the store.
    pub fn load(&mut self) {
        let (token, heights) = self.loads.pop().expect("it asked");
        let at = |it: &&Record| matches!(it.key(), RecordKey::At(h, _) if heights.contains(&h));
        let mut records: Vec<Record> = self.records.iter().filter(at).cloned().collect();
        records.sort_by_key(Record::key);
        self.input(Input::Loaded(Loaded { token, records }));
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
    pub fn heights(&self) -> Vec<u64> {
        self.commits.iter().map(|it| it.height.0).collect()
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
        let to = |(to, _): &&(To, Body)| {
            matches!(to, To::Others | To::All) || *to == To::One(NodeId(peer))
        };
        let append = |(_, body): &(To, Body)| match body {
            Body::AppendEntries(append) => Some(append.clone()),
            _ => None,
        };
        self.sent.iter().rev().filter(to).find_map(append)
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
