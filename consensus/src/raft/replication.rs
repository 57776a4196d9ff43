//! The normal case: append, match, commit.

use super::entry::{Entry, Position, Proof};
use super::log::Room;
use super::message::{AppendEntries, Appended, Body, Conflict, Heard};
use super::progress::{MOST_UNDER_WAY, Progress};
use super::record::Record;
use super::{Out, Raft, Role, rules};
use crate::common::Supply;
use crate::{Committed, Config, Ticket, To};
use crypto::{Height, NodeId, Payload, Reject, Size, Time, View};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Entries of a leader that are not committed, beyond which it asks for no more payload: meanwhile
/// the pool gathers what comes into one entry.
const DEPTH: u64 = 4;
/// Bytes of a message, if it holds more than one entry. A chain of small entries has less: no frame
/// is much longer than its largest entry.
const MESSAGE_BYTES: usize = 256 << 10;
/// Rounds of which it is remembered when they began.
const ROUNDS_KEPT: usize = 64;

/// What ordering remembers, whoever leads.
#[derive(Debug, Default)]
pub struct Replication {
    pub supply: Supply,
    /// The leader's last round that was answered, in this term.
    round: u64,
}

impl Replication {
    pub fn new(executed: Height, config: &Config) -> Self {
        Self {
            supply: Supply::new(executed, config),
            ..Self::default()
        }
    }
    /// Another term: nothing of the former counts.
    pub fn enter_term(&mut self) {
        self.supply.drop_request();
        self.supply.set_dry(false);
        self.round = 0;
    }
}

/// Leadership is being handed over.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    pub to: NodeId,
    /// When it is given up.
    pub until: Time,
    /// The successor was told to stand.
    pub told: bool,
}

/// What a leader knows.
#[derive(Debug)]
pub struct Leadership {
    pub followers: BTreeMap<NodeId, Progress>,
    /// Up to here the own log is on disk.
    pub durable: Height,
    /// The entry that began the term. Nothing is read before it is committed.
    pub first: Height,
    /// When rounds began, the latest last.
    rounds: VecDeque<(u64, Time)>,
    /// The latest round still has to be told to all.
    untold: bool,
    pub heartbeat_at: Time,
    /// When to count who was heard of (CheckQuorum).
    pub check_at: Time,
    pub transfer: Option<Transfer>,
    /// Somebody was told to stand. He may do so at any time from now on, and be voted for although
    /// this leader is heard of: no lease counts any more in this term.
    pub told_to_stand: bool,
    /// What was committed at the last beat and at the one before, if more was on the own disk.
    beats: [Option<Height>; 2],
    /// What was executed when followers were last counted, and how often in a row it was no more while
    /// ordering waited for it.
    pub held_up: (Height, u32),
}

impl Leadership {
    fn new(followers: BTreeMap<NodeId, Progress>, first: Height, now: Time, check: Time) -> Self {
        Self {
            followers,
            durable: Height(0),
            first,
            rounds: VecDeque::from([(0, now)]),
            untold: false,
            heartbeat_at: now,
            check_at: now.plus(check),
            transfer: None,
            told_to_stand: false,
            beats: [None; 2],
            held_up: (Height(0), 0),
        }
    }
    /// Begins a round: whoever answers it has followed this leader after now.
    pub fn begin_round(&mut self, now: Time) -> u64 {
        let round = self.round() + 1;
        self.rounds.push_back((round, now));
        if self.rounds.len() > ROUNDS_KEPT {
            self.rounds.pop_front();
        }
        self.untold = true;
        round
    }
    /// The latest round.
    pub fn round(&self) -> u64 {
        self.rounds.back().map_or(0, |(round, _)| *round)
    }
    /// When to wake.
    pub fn deadline(&self) -> Time {
        let resend = self.followers.values().filter_map(|it| it.resend_at);
        let transfer = self.transfer.map(|it| it.until);
        resend
            .chain(transfer)
            .chain([self.heartbeat_at, self.check_at])
            .min()
            .expect("there are two at least")
    }
    /// What is remembered of rounds and of followers.
    pub fn sizes(&self, into: &mut Vec<Size>) {
        let under_way = self.followers.values().map(Progress::under_way).max();
        into.extend([
            Size::new("rounds", self.rounds.len(), ROUNDS_KEPT),
            Size::new("under way to one", under_way.unwrap_or(0), MOST_UNDER_WAY),
        ]);
    }
    /// Why nothing is committed, once that has lasted from one beat to the next: under load something
    /// is always under way.
    pub fn waiting(&self, committed: Height, quorum: usize) -> Option<String> {
        if self.beats != [Some(committed); 2] {
            return None;
        }
        let matched = self.followers.values().filter(|it| it.matched > committed);
        let holds = matched.count() + usize::from(self.durable > committed);
        (self.durable > committed && holds < quorum).then(|| {
            let height = committed.next();
            format!("height {height} is on {holds} of the {quorum} disks that commit it")
        })
    }
}

impl Raft {
    // ---- the leader ----

    /// Won: begins the term with an entry of it, by which all before it can be committed
    /// (section 5.4.2; dissertation, section 6.4, step 1).
    pub(super) fn lead(&mut self, now: Time, out: &mut Out) {
        let last = self.log.last().height;
        let peers = self.config.peers();
        let timing = &self.config.timing;
        let followers = peers.map(|id| (id, Progress::new(last, now, timing)));
        let (followers, check) = (followers.collect(), timing.timeout);
        self.role = Role::Leader(Leadership::new(followers, last.next(), now, check));
        self.leader = Some(self.me());
        self.replication.enter_term();
        out.leader(self.me());
        if !crypto::planted!(BeginBare) {
            self.append_own(Payload::EMPTY, out);
        }
    }

    fn append_own(&mut self, payload: Payload, out: &mut Out) {
        let at = Position {
            term: self.term,
            height: self.log.last().height.next(),
        };
        self.append(Arc::new(Entry { at, payload }), out);
        // Comes back through the fence: only then the leader counts itself.
        let (term, matched) = (self.term, at.height);
        self.say(To::Me, Body::Appended(Appended { term, matched }), out);
    }

    fn append(&mut self, entry: Arc<Entry>, out: &mut Out) {
        out.persist(Record::Entry(Arc::clone(&entry)));
        self.log.append(entry);
    }

    /// Asks for something to order, if this replica is to order now.
    pub(super) fn want_payload(&mut self, out: &mut Out) {
        let Role::Leader(lead) = &self.role else {
            return;
        };
        let supply = &self.replication.supply;
        if supply.is_asked()
            || !supply.is_there(self.log.committed())
            || lead.transfer.is_some()
            || self.log.uncommitted() >= DEPTH
        {
            return;
        }
        let ticket = self.replication.supply.ask();
        let height = self.log.last().height.next();
        out.want_payload(ticket, height, self.config.block_bytes, self.log.batches());
    }

    pub(super) fn on_payload(&mut self, ticket: Ticket, payload: Payload, out: &mut Out) {
        let expected = self.replication.supply.answers(ticket);
        // Who hands over takes nothing new (dissertation, section 3.10), or the successor's log would
        // never be complete: the pool keeps it for whoever leads then.
        let orders = matches!(&self.role, Role::Leader(lead) if lead.transfer.is_none());
        if !expected || !orders {
            if !payload.is_empty() {
                out.give_back(payload);
            }
            return;
        }
        if payload.is_empty() {
            // Work that fits into no entry, since it expires before: an empty one moves the height
            // on, and so ends it.
            self.replication.supply.set_dry(true);
            if self.replication.supply.pending().is_none() || self.log.uncommitted() > 0 {
                return;
            }
        }
        self.append_own(payload, out);
    }

    /// Sends what followers lack, beats, and tells what was committed.
    pub(super) fn replicate(&mut self, now: Time, out: &mut Out) {
        let timing = &self.config.timing;
        let beat_after = timing.heartbeat();
        let Role::Leader(lead) = &mut self.role else {
            return;
        };
        if now >= lead.heartbeat_at {
            lead.heartbeat_at = now.plus(beat_after);
            let committed = self.log.committed();
            let waits = lead.durable > committed;
            lead.beats = [waits.then_some(committed), lead.beats[0]];
            lead.begin_round(now);
        }
        for progress in lead.followers.values_mut() {
            if progress.resend_at.is_some_and(|at| at <= now) {
                progress.late();
            }
        }
        let mut beat = std::mem::take(&mut lead.untold);
        while self.replicate_to_all(now, beat, out) {
            beat = false;
        }
        for peer in self.config.validators.ids() {
            self.replicate_to(now, peer, beat, out);
        }
    }

    /// While all followers are at the same place, one message serves them all. False: there is none
    /// to send.
    fn replicate_to_all(&mut self, now: Time, beat: bool, out: &mut Out) -> bool {
        let Role::Leader(lead) = &self.role else {
            return false;
        };
        let mut others = lead.followers.values();
        let Some(first) = others.next() else {
            return false;
        };
        let (next, told) = (first.next, first.told);
        let same =
            |it: &Progress| it.streaming && it.may_send() && (it.next, it.told) == (next, told);
        let Some(previous) = self.log.position(next.previous()) else {
            return false;
        };
        if !same(first) || !others.all(same) {
            return false;
        }
        let most = self.message_bytes();
        let rooms = lead.followers.values().map(|it| it.room(most));
        let entries = rooms
            .fold(Room::of(most), Room::and)
            .fill(self.log.from(next));
        if entries.is_empty() && !beat && !self.is_news(told, next) {
            return false;
        }
        self.send_append(To::Others, previous, &entries, out);
        let committed = self.log.committed();
        if let Role::Leader(lead) = &mut self.role {
            for progress in lead.followers.values_mut() {
                progress.sent(&entries, committed, now);
            }
        }
        true
    }

    /// Whether a follower has all there is, but not the news that it is committed.
    fn is_news(&self, told: Height, next: Height) -> bool {
        let (last, committed) = (self.log.last().height, self.log.committed());
        next > last && committed == last && told < committed
    }

    fn replicate_to(&mut self, now: Time, peer: NodeId, mut beat: bool, out: &mut Out) {
        while let Some(it) = self.progress_of(peer) {
            let (next, told, streaming) = (it.next, it.told, it.streaming);
            let (room, loads) = (it.room(self.message_bytes()), it.may_load());
            let previous = self.log.position(next.previous());
            if loads && previous.is_none() {
                self.load_for(peer, next, out);
            }
            let entries = match previous {
                Some(_) => room.fill(self.log.from(next)),
                None => Vec::new(),
            };
            let last = entries.is_empty();
            if last && !beat && !(streaming && self.is_news(told, next)) {
                return;
            }
            // All have the beginning of the log, which serves where the place is not in memory.
            let previous = previous.unwrap_or(Position::START);
            self.send_append(To::One(peer), previous, &entries, out);
            self.sent(now, peer, &entries);
            if last {
                return;
            }
            beat = false;
        }
    }

    /// Most bytes of entries in one message, if it holds more than one.
    pub(super) fn message_bytes(&self) -> usize {
        MESSAGE_BYTES.min(self.config.block_bytes as usize)
    }

    pub(super) fn send_append(
        &self,
        to: To,
        previous: Position,
        entries: &[Arc<Entry>],
        out: &mut Out,
    ) {
        let Role::Leader(lead) = &self.role else {
            return;
        };
        let append = AppendEntries {
            term: self.term,
            previous,
            entries: entries.to_vec(),
            committed: self.log.committed(),
            round: lead.round(),
        };
        self.say(to, Body::AppendEntries(append), out);
    }

    pub(super) fn sent(&mut self, now: Time, peer: NodeId, entries: &[Arc<Entry>]) {
        let committed = self.log.committed();
        if let Some(progress) = self.progress(peer) {
            progress.sent(entries, committed, now);
        }
    }

    pub(super) fn progress(&mut self, peer: NodeId) -> Option<&mut Progress> {
        match &mut self.role {
            Role::Leader(lead) => lead.followers.get_mut(&peer),
            _ => None,
        }
    }

    pub(super) fn progress_of(&self, peer: NodeId) -> Option<&Progress> {
        match &self.role {
            Role::Leader(lead) => lead.followers.get(&peer),
            _ => None,
        }
    }

    pub(super) fn on_appended(&mut self, now: Time, from: NodeId, it: Appended, out: &mut Out) {
        let (me, last) = (self.me(), self.log.last().height);
        let Role::Leader(lead) = &mut self.role else {
            return;
        };
        // Only while it leads: what it sent before a restart in this term it may have lost.
        if it.matched > last {
            return out.reject(from, Reject::Malformed);
        }
        let news = match lead.followers.get_mut(&from) {
            Some(progress) => {
                progress.heard = now;
                progress.matches(it.matched, now)
            }
            None if from == me => {
                lead.durable = lead.durable.max(it.matched);
                true
            }
            None => false,
        };
        if news {
            self.commit_matched(out);
        }
    }

    fn commit_matched(&mut self, out: &mut Out) {
        let Role::Leader(lead) = &self.role else {
            return;
        };
        let own = if crypto::planted!(CountUnsynced) {
            self.log.last().height
        } else {
            lead.durable
        };
        let matched = lead.followers.values().map(|it| it.matched);
        let reached =
            rules::quorum_match(matched.chain([own]).collect(), self.config.quorums.commit);
        let term = self.log.position(reached).map(|at| at.term);
        if term.is_some_and(|term| rules::commits(term, self.term)) {
            self.commit_to(reached, out);
        }
    }

    pub(super) fn on_heard(&mut self, now: Time, from: NodeId, it: Heard) {
        let Role::Leader(lead) = &mut self.role else {
            return;
        };
        let began = lead.rounds.iter().find(|(round, _)| *round == it.round);
        let began = began.map(|(_, began)| *began);
        if let Some(progress) = lead.followers.get_mut(&from) {
            progress.heard = now;
            if let Some(began) = began
                && it.round > progress.round.0
            {
                progress.round = (it.round, began);
            }
        }
    }

    // ---- the follower ----

    /// A leader's entries or heartbeat (figure 2, AppendEntries).
    pub(super) fn on_append(
        &mut self,
        now: Time,
        from: NodeId,
        append: &AppendEntries,
        out: &mut Out,
    ) {
        if !self.follow(now, from, out) {
            return out.reject(from, Reject::NotLeader);
        }
        let term = self.term;
        if append.round > self.replication.round {
            self.replication.round = append.round;
            let round = append.round;
            self.say(To::One(from), Body::Heard(Heard { term, round }), out);
        }
        if let Some(hint) = self.misfit(append.previous) {
            let previous = append.previous.height;
            let conflict = Conflict {
                term,
                previous,
                hint,
            };
            return self.say(To::One(from), Body::Conflict(conflict), out);
        }
        let mut taken = append.previous.height;
        for entry in &append.entries {
            if self.is_beyond_reach(entry.at.height, append.committed) {
                break;
            }
            if let Err(reject) = self.take_entry(entry, out) {
                return out.reject(from, reject);
            }
            taken = entry.at.height;
        }
        self.commit_to(rules::commit_reaches(append.committed, taken), out);
        if !append.entries.is_empty() {
            let matched = self.log.committed().max(taken);
            self.say(
                To::One(from),
                Body::Appended(Appended { term, matched }),
                out,
            );
        }
    }

    /// Whether an entry that its leader has committed is left out, since execution is too far behind:
    /// it is sent again. One that is not committed is taken: it may take more entries to commit those
    /// before it. So is one that is here already: a start executes again what its state has lost.
    fn is_beyond_reach(&self, height: Height, committed: Height) -> bool {
        let reach = self.log.last().height.max(self.replication.supply.reach());
        height > reach && height <= committed
    }

    /// What is in the place of the entry that a leader's entries follow; `None` if it is that entry.
    /// What is committed here is in every later leader's log (section 5.4.3).
    fn misfit(&self, previous: Position) -> Option<Position> {
        if previous.height <= self.log.committed() {
            return None;
        }
        match self.log.position(previous.height) {
            Some(at) if at.term == previous.term => None,
            Some(at) => Some(Position {
                term: at.term,
                height: self.log.first_of_term(previous.height),
            }),
            None => Some(Position {
                term: View(0),
                height: self.log.last().height.next(),
            }),
        }
    }

    /// Takes an entry that follows what is here. One that is here already changes nothing, whatever
    /// comes after it: messages come late, too, and what they do not name may have been acknowledged
    /// since (section 5.3).
    fn take_entry(&mut self, entry: &Arc<Entry>, out: &mut Out) -> Result<(), Reject> {
        let Position { term, height } = entry.at;
        if height <= self.log.committed() {
            return Ok(());
        }
        match self.log.position(height) {
            Some(at) if at.term == term && !crypto::planted!(CutAlways) => return Ok(()),
            Some(_) => {
                out.truncate(height);
                for gone in self.log.truncate(height) {
                    if !gone.payload.is_empty() {
                        out.give_back(gone.payload.clone());
                    }
                }
            }
            None => {}
        }
        if term < self.log.last().term {
            return Err(Reject::Malformed);
        }
        self.append(Arc::clone(entry), out);
        Ok(())
    }

    /// Commits up to a height, oldest first, each once.
    pub(super) fn commit_to(&mut self, height: Height, out: &mut Out) {
        while self.log.committed() < height {
            let Some((entry, history)) = self.log.commit_next() else {
                break;
            };
            self.replication.supply.set_dry(false);
            let committed = Committed {
                height: entry.at.height,
                payload: entry.payload.clone(),
                history,
                proof: Proof(entry.at),
            };
            // Nobody is suspected of leaving anything out.
            out.commit(committed, false);
        }
        self.log.trim();
    }
}
