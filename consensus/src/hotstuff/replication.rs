//! The normal case: propose, vote, certify, commit.

use super::block::{Block, Header};
use super::certificate::{Proof, QuorumCertificate};
use super::message::{CertificatePair, Draft, Message, Proposal, Vote};
use super::record::{Record, VoteRecord};
use super::{HotStuff, Out, rules};
use crate::common::{Held, Supply};
use crate::{Committed, Config, Evidence, Refused, To};
use crypto::{Certificate, Digest, Height, NodeId, Reject, Signature, Size, Statement, Time, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Votes are kept for views up to this far above the current one; a voter further ahead proves its
/// view by other messages.
const VOTES_AHEAD: u64 = 16;

/// Views of which votes and proposals are kept, the latest.
const VIEWS_KEPT: usize = 64;

/// One member's first vote in a view.
#[derive(Clone, Debug)]
struct Cast {
    block: (Height, Digest),
    statement: Statement,
    signature: Signature,
}

/// What proposing and voting remember.
#[derive(Debug, Default)]
pub struct Replication {
    /// The last vote given, and its view's number even after a restart.
    pub last_vote: Option<VoteRecord>,
    /// The own last vote as it came back through the fence.
    pub signed_vote: Option<Vote>,
    /// Votes of others by view, the first of each member.
    votes: BTreeMap<View, BTreeMap<NodeId, Cast>>,
    /// The first proposal of each view from the last certified one on.
    pub seen: BTreeMap<View, (Digest, Statement, Signature)>,
    /// The proposal of the current view, while its parent is missing.
    pub parentless: Option<Arc<Block>>,
    /// The last proposal that came in a later view than its own: the next one may certify it.
    late: Option<(Digest, Arc<Block>)>,
    /// The last view proposed in.
    pub proposed: View,
    /// When, and how many bytes of batches.
    pub last_proposal: Option<(Time, u32)>,
    pub supply: Supply,
    /// A certificate made here that no one has been told.
    pub untold: bool,
    /// View and block of the certificate that made the last commit.
    pub committed_by: Option<(View, Digest)>,
}

impl Replication {
    pub fn new(executed: Height, config: &Config) -> Self {
        Self {
            supply: Supply::new(executed, config),
            ..Self::default()
        }
    }
    pub fn voted(&self) -> View {
        self.last_vote.as_ref().map_or(View(0), |vote| vote.view)
    }
    /// Forgets what only mattered in views below.
    pub fn enter(&mut self, view: View, high: View) {
        self.supply.drop_request();
        if crypto::planted!(HoardVotes) {
            return;
        }
        self.votes = self.votes.split_off(&high.next());
        self.seen = self.seen.split_off(&high);
        while self.votes.len() > VIEWS_KEPT {
            self.votes.pop_first();
        }
        if self
            .parentless
            .as_ref()
            .is_some_and(|block| block.header.view < view)
        {
            self.parentless = None;
        }
    }
    /// Remembers a view's proposal; those of the lowest views make room.
    pub fn note_seen(&mut self, view: View, proposal: (Digest, Statement, Signature)) {
        self.seen.insert(view, proposal);
        while self.seen.len() > VIEWS_KEPT && !crypto::planted!(HoardVotes) {
            self.seen.pop_first();
        }
    }
    /// Of how many views votes and proposals are kept.
    pub fn sizes(&self, into: &mut Vec<Size>) {
        into.extend([
            Size::new("views with votes", self.votes.len(), VIEWS_KEPT),
            Size::new("views with proposals", self.seen.len(), VIEWS_KEPT),
        ]);
    }
    /// Views of which votes are kept.
    #[cfg(test)]
    pub fn votes_kept(&self) -> usize {
        self.votes.len()
    }
    pub fn waiting(&self, view: View, leader: NodeId, me: NodeId) -> Option<String> {
        self.supply.pending()?;
        if leader == me {
            let votes = self.votes.get(&view).map_or(0, BTreeMap::len);
            (self.proposed == view).then(|| format!("view {view}: proposed, {votes} votes so far"))
        } else if self.voted() == view {
            Some(format!(
                "view {view}: voted, no newer proposal from leader {leader}"
            ))
        } else {
            Some(format!(
                "view {view}: no proposal that may be voted for from leader {leader}"
            ))
        }
    }
}

impl HotStuff {
    // ---- receiving a proposal ----

    pub(super) fn on_proposal(
        &mut self,
        now: Time,
        from: NodeId,
        proposal: Proposal,
        out: &mut Out,
    ) {
        let header = &proposal.block.header;
        if proposal.author != self.leader(header.view) {
            return out.reject(from, Reject::NotLeader);
        }
        let leaders = &self.config.leaders;
        if !rules::extends_certified(header) || !rules::entered_rightly(leaders, header) {
            return out.reject(from, Reject::Malformed);
        }
        let view = header.view;
        let statement = proposal.statement();
        let digest = statement.content;
        self.accept_late(now, &header.justify, out);
        if let Some(timeout) = &header.timeout {
            self.adopt_timeout(now, timeout, Some(from), out);
        }
        self.adopt(now, &header.justify, Some(from), out);
        if view < self.view && self.log.holds(&self.high.block) {
            // It taught nothing but its certificates; its sender may lag.
            return self.answer_stale(now, from, out);
        }
        let seen = self.replication.seen.get(&view);
        match seen.filter(|_| !crypto::planted!(Equivocate)) {
            Some((first, ..)) if *first == digest => {}
            Some((_, seen, signature)) => {
                // A stored block has lost its signature, and proves nothing against its leader.
                if *signature != Signature::NONE {
                    let (first, second) = ((*seen, *signature), (statement, proposal.signature));
                    out.evidence(Evidence {
                        node: from,
                        first,
                        second,
                    });
                }
                // Certified all the same, it is the one that counts.
                if self.high.block != digest {
                    return out.reject(from, Reject::Conflict);
                }
            }
            None if view >= self.high.view => {
                let seen = (digest, statement, proposal.signature);
                self.replication.note_seen(view, seen);
            }
            // Of use for the block in it only.
            None => {}
        }
        if view < self.view && self.high.block != digest {
            self.replication.late = Some((digest, proposal.block));
            return;
        }
        self.accept(now, digest, proposal.block, out);
    }

    /// Takes the last late block if this certifies it: whoever is behind catches up by proposals that
    /// come in order, and fetches the others. Without its certificate no late block is taken: its
    /// leader may sign any number of them at no cost, each of which would be stored, and no memory
    /// that is capped tells which views had theirs. So at most two blocks of a view are stored: the
    /// first that came while it lasted, and the certified one.
    fn accept_late(&mut self, now: Time, certificate: &QuorumCertificate, out: &mut Out) {
        let certified = |late: &mut (Digest, Arc<Block>)| late.0 == certificate.block;
        if let Some((digest, block)) = self.replication.late.take_if(certified) {
            self.accept(now, digest, block, out);
        }
    }

    /// Whether so much is committed ahead of execution that blocks of others are left out; they are
    /// fetched later. What is not committed does not count: it takes more blocks to commit it.
    pub(super) fn is_ahead(&self) -> bool {
        self.log.committed() >= self.replication.supply.reach()
    }

    /// Takes a block into the tree, or, in the current view, waits for its parent.
    pub(super) fn accept(&mut self, now: Time, digest: Digest, block: Arc<Block>, out: &mut Out) {
        if self.is_ahead() {
            return;
        }
        if self.log.holds(&block.header.parent) {
            self.insert(now, digest, block, out);
        } else if block.header.view == self.view {
            self.replication.parentless = Some(block);
        }
    }

    pub(super) fn accept_waiting(&mut self, now: Time, out: &mut Out) {
        let ready = |b: &mut Arc<Block>| self.log.holds(&b.header.parent);
        if let Some(block) = self.replication.parentless.take_if(|b| ready(b)) {
            self.insert(now, block.digest(), block, out);
        }
    }

    /// Puts a block whose parent is held into tree and store, and does what its certificate and,
    /// if it is known, the certificate of itself demand.
    pub(super) fn insert(&mut self, now: Time, digest: Digest, block: Arc<Block>, out: &mut Out) {
        let keep = self
            .replication
            .last_vote
            .as_ref()
            .map_or(Digest::ZERO, |vote| vote.block);
        let header = &block.header;
        let (justify, timeout) = (Arc::clone(&header.justify), header.timeout.clone());
        if !self.log.insert(digest, Arc::clone(&block), &keep) {
            return;
        }
        out.persist(Record::Block(block));
        if let Some(timeout) = timeout {
            self.adopt_timeout(now, &timeout, None, out);
        }
        self.adopt(now, &justify, None, out);
        if self.high.block == digest {
            self.settle(now, &Arc::clone(&self.high), out);
        }
    }

    // ---- certificates: lock and commit ----

    /// Takes note of a checked certificate: high certificate, lock, commit, view.
    pub(super) fn adopt(
        &mut self,
        now: Time,
        certificate: &Arc<QuorumCertificate>,
        hint: Option<NodeId>,
        out: &mut Out,
    ) {
        if certificate.view > self.high.view {
            self.high = Arc::clone(certificate);
            if let Some(peer) = hint {
                self.catch_up.fetching.hint(peer);
            }
        }
        self.settle(now, certificate, out);
        self.enter(now, certificate.view.next(), out);
    }

    /// Locks and commits by a certificate, if its block is held (else when it comes).
    fn settle(&mut self, now: Time, certificate: &Arc<QuorumCertificate>, out: &mut Out) {
        self.log.certify(certificate);
        let Some(entry) = self.log.get(&certificate.block) else {
            return;
        };
        let header = &entry.block.header;
        if header.view != certificate.view || header.height != certificate.height {
            return; // more than f liars
        }
        if rules::raises_lock(&self.locked, header) {
            self.locked = Arc::clone(&header.justify);
        }
        if let Some(b2) = self.log.committed_by(&certificate.block) {
            self.commit(now, &b2, certificate, out);
        }
    }

    fn commit(
        &mut self,
        now: Time,
        b2: &Digest,
        certificate: &Arc<QuorumCertificate>,
        out: &mut Out,
    ) {
        let chain = self
            .log
            .chain(&certificate.block)
            .expect("settled blocks are in the tree");
        let headers: Vec<Header> = chain
            .iter()
            .map(|entry| entry.block.header.clone())
            .collect();
        self.replication.committed_by = Some((certificate.view, certificate.block));
        let (mut done, lost) = self.log.commit(b2);
        if crypto::planted!(CommitBackwards) {
            done.reverse();
        }
        for (i, (block, history, entry)) in done.into_iter().enumerate() {
            let proof = Proof {
                headers: headers[i..].to_vec(),
                certificate: Arc::clone(certificate),
            };
            let height = entry.block.header.height;
            let payload = entry.block.payload.clone();
            if !crypto::planted!(ForgetBranch) {
                out.persist(Record::Commit { height, block });
            }
            let tenure = self.config.leaders.tenure_of(entry.block.header.view);
            let by_leader = tenure == self.tenure() && entry.held != Held::Unknown;
            let committed = Committed {
                height,
                payload,
                history,
                proof,
            };
            out.commit(committed, by_leader);
        }
        for payload in lost {
            out.give_back(payload);
        }
        self.timers.on_progress(now);
    }

    // ---- voting ----

    pub(super) fn on_checked(&mut self, block: &Digest, held: Result<(), Refused>) {
        if let Some(entry) = self.log.get_mut(block) {
            entry.held = if held.is_ok() { Held::Yes } else { Held::No };
        }
    }

    /// Votes for the block of the current view once everything allows it.
    pub(super) fn try_vote(&mut self, out: &mut Out) {
        let Some(&(digest, ..)) = self.replication.seen.get(&self.view) else {
            return;
        };
        let last = self.replication.last_vote.as_ref();
        let last = last.filter(|vote| vote.block == digest || !crypto::planted!(Equivocate));
        let voted = last.map_or(View(0), |vote| vote.view);
        if voted >= self.view {
            return;
        }
        let Some(entry) = self.log.get_mut(&digest) else {
            return;
        };
        let header = entry.block.header.clone();
        let voter = rules::Voter {
            view: self.view,
            voted,
            given_up: self.pacemaker.given_up(),
            locked: &self.locked,
        };
        if !rules::may_vote(&self.config.leaders, &voter, &header) {
            return;
        }
        if entry.held == Held::Unknown {
            entry.held = Held::Asked;
            if entry.block.payload.is_empty() {
                entry.held = Held::Yes;
            } else {
                out.check_payload(digest, header.height, &entry.block.payload);
            }
        }
        if entry.held == Held::Yes {
            self.vote(digest, &header, out);
        }
    }

    /// The view ends. If its block was not certified meanwhile, its payload is of no use here; were
    /// it asked for until a commit, an idle cluster would ask for ever for what nobody has.
    pub(super) fn drop_check(&self, out: &mut Out) {
        let Some(&(digest, ..)) = self.replication.seen.get(&self.view) else {
            return;
        };
        let entry = self.log.get(&digest);
        if entry.is_some_and(|it| it.held == Held::Asked && it.certificate.is_none()) {
            out.drop_check(digest);
        }
    }

    fn vote(&mut self, block: Digest, header: &Header, out: &mut Out) {
        let vote = VoteRecord {
            view: header.view,
            height: header.height,
            block,
            lock: Arc::clone(&self.locked),
            justify: Arc::clone(&header.justify),
            timeout: header.timeout.clone(),
        };
        out.persist(Record::Vote(Box::new(vote.clone())));
        self.replication.last_vote = Some(vote);
        self.send_vote(out);
    }

    /// Sends the last vote: to the leader of the next view, in the last view of a tenure to its
    /// leader as well, and to this replica, which counts it when it is durable.
    pub(super) fn send_vote(&self, out: &mut Out) {
        let Some(vote) = &self.replication.last_vote else {
            return;
        };
        let draft = Draft(Message::Vote(Vote {
            epoch: self.config.context.epoch,
            view: vote.view,
            height: vote.height,
            block: vote.block,
            author: self.me(),
            signature: Signature::NONE,
        }));
        let (next, current) = (self.leader(vote.view.next()), self.leader(vote.view));
        if next != self.me() {
            out.send(To::One(next), draft.clone());
        }
        if current != next && current != self.me() {
            out.send(To::One(current), draft.clone());
        }
        out.send(To::Me, draft);
    }

    pub(super) fn on_vote(&mut self, now: Time, from: NodeId, vote: Vote, out: &mut Out) {
        if vote.author == self.me()
            && Some(vote.view) > self.replication.signed_vote.as_ref().map(|v| v.view)
        {
            self.replication.signed_vote = Some(vote.clone());
        }
        if vote.view <= self.high.view {
            // The votes beyond a quorum come one view late as a matter of course.
            if vote.view.next() < self.view {
                self.answer_stale(now, from, out);
            }
            return;
        }
        let view = vote.view;
        self.count_vote(now, from, vote, out);
        if view < self.view && self.high.view < view {
            self.answer_stale(now, from, out);
        }
    }

    /// Counts a vote, its sender's first of that view, and certifies the block with the q-th.
    pub(super) fn count_vote(&mut self, now: Time, from: NodeId, vote: Vote, out: &mut Out) {
        if vote.view.0 > self.view.0.saturating_add(VOTES_AHEAD) {
            self.ask_one(now, from, out);
            return out.reject(from, Reject::TooFar);
        }
        if vote.view <= self.high.view {
            return;
        }
        let cast = Cast {
            block: (vote.height, vote.block),
            statement: vote.statement(),
            signature: vote.signature,
        };
        let of_view = self.replication.votes.entry(vote.view).or_default();
        let first = of_view.get(&vote.author);
        if let Some(first) = first.filter(|_| !crypto::planted!(Equivocate)) {
            if first.statement != cast.statement {
                out.evidence(Evidence {
                    node: vote.author,
                    first: (first.statement, first.signature),
                    second: (cast.statement, cast.signature),
                });
                out.reject(from, Reject::Conflict);
            }
            return;
        }
        of_view.insert(vote.author, cast);
        if self.replication.votes.len() > VIEWS_KEPT && !crypto::planted!(HoardVotes) {
            // The lowest view: after many timeouts there may be thousands above the high certificate.
            self.replication.votes.pop_first();
        }
        let of_view = self.replication.votes.get(&vote.view);
        let same = of_view
            .into_iter()
            .flatten()
            .filter(|(_, cast)| cast.block == (vote.height, vote.block));
        let signed: Vec<_> = same.map(|(node, cast)| (*node, cast.signature)).collect();
        if signed.len() < self.quorum() {
            return;
        }
        let certificate = QuorumCertificate {
            view: vote.view,
            height: vote.height,
            block: vote.block,
            certificate: Certificate::collect(signed),
        };
        self.replication.untold = true;
        self.adopt(now, &Arc::new(certificate), None, out);
    }

    /// By what the current view was entered.
    pub(super) fn certificates(&self) -> CertificatePair {
        let direct = self.view == self.high.view.next();
        CertificatePair {
            quorum: Arc::clone(&self.high),
            timeout: self.high_timeout.clone().filter(|_| !direct),
        }
    }

    /// The block of the current view as a vote and a restart left it.
    pub(super) fn note_stored(&mut self, digest: Digest, block: &Arc<Block>) {
        let proposal = Proposal {
            block: Arc::clone(block),
            author: self.leader(block.header.view),
            signature: Signature::NONE,
        };
        let view = block.header.view;
        if proposal.author == self.me() && !crypto::planted!(SignTwice) {
            self.replication.proposed = self.replication.proposed.max(view);
        }
        if !self.replication.seen.contains_key(&view) {
            let seen = (digest, proposal.statement(), Signature::NONE);
            self.replication.note_seen(view, seen);
        }
    }
}
