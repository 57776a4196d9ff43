//! What the liars know of a play: blocks, true votes and timeouts, and what can be made of them.

use super::super::judge::Judge;
use super::super::rare::{Rare, Rares};
use super::super::troupe::Troupe;
use super::craft;
use consensus::hotstuff::message::{Timeout, Vote};
use consensus::hotstuff::{Block, HotStuff, Message, QuorumCertificate, TimeoutCertificate};
use crypto::{Digest, NodeId};
use std::sync::Arc;

/// A block.
pub struct Known {
    pub digest: Digest,
    pub block: Arc<Block>,
    /// Who has truly voted for it, as bits.
    pub voters: u32,
    pub certificate: Option<Arc<QuorumCertificate>>,
    /// Where its parent stands, if that is known and not genesis.
    parent: Option<usize>,
}

/// The true timeouts of a tenure.
pub struct Given {
    pub tenure: u64,
    pub by: Vec<Timeout>,
}

/// See the module.
pub struct Knowledge {
    pub blocks: Vec<Known>,
    /// In the order in which they were made; genesis first.
    pub certificates: Vec<Arc<QuorumCertificate>>,
    /// By tenure, ascending.
    pub given: Vec<Given>,
    pub ends: Vec<Arc<TimeoutCertificate>>,
    /// What each honest member asks for.
    pub wanted: Vec<Option<Arc<QuorumCertificate>>>,
    /// Votes as they were sent, of late.
    pub votes: Vec<(u16, Vote)>,
    /// For what each honest member has voted last.
    last: Vec<Option<usize>>,
    rares: Rares,
}

/// Votes that are kept as they were sent.
const VOTES: usize = 16;

impl Knowledge {
    pub fn new(honest: usize, genesis: &Arc<QuorumCertificate>) -> Self {
        Self {
            blocks: Vec::new(),
            certificates: vec![Arc::clone(genesis)],
            given: Vec::new(),
            ends: Vec::new(),
            wanted: vec![None; honest],
            votes: Vec::new(),
            last: vec![None; honest],
            rares: Rares::default(),
        }
    }
    fn find(&self, digest: &Digest) -> Option<usize> {
        self.blocks.iter().rposition(|it| it.digest == *digest)
    }
    pub fn block(&self, digest: &Digest) -> Option<&Known> {
        self.find(digest).map(|at| &self.blocks[at])
    }
    /// Takes note of a block.
    pub fn learn(&mut self, digest: Digest, block: Arc<Block>) {
        if self.find(&digest).is_none() {
            let parent = self.find(&block.header.parent);
            self.blocks.push(Known {
                digest,
                block,
                voters: 0,
                certificate: None,
                parent,
            });
        }
    }
    /// The last block of a view.
    pub fn last_of(&self, view: u64) -> Option<&Known> {
        self.blocks
            .iter()
            .rev()
            .find(|it| it.block.header.view.0 == view)
    }
    pub fn timeouts_of(&self, tenure: u64) -> &[Timeout] {
        let given = self.given.iter().rev().find(|it| it.tenure == tenure);
        given.map_or(&[], |it| &it.by)
    }

    /// What an honest member has said.
    pub fn hear(
        &mut self,
        from: usize,
        message: Message,
        troupe: &Troupe,
        judge: &mut Judge<HotStuff>,
    ) {
        match message {
            Message::Proposal(it) => self.learn(it.block.digest(), it.block),
            Message::Vote(vote) => self.hear_vote(from, vote, troupe, judge),
            Message::Timeout(it) => self.hear_timeout(it),
            Message::FetchBlocks(it) => self.wanted[from] = Some(it.target),
            _ => {}
        }
    }
    fn hear_vote(&mut self, from: usize, vote: Vote, troupe: &Troupe, judge: &mut Judge<HotStuff>) {
        let Some(at) = self.find(&vote.block) else {
            return;
        };
        let header = &self.blocks[at].block.header;
        let fits = (header.view, header.height) == (vote.view, vote.height);
        if !fits || self.blocks[at].voters >> from & 1 == 1 {
            return;
        }
        self.blocks[at].voters |= 1 << from;
        self.note_vote(from, at);
        if self.votes.len() >= VOTES {
            self.votes.remove(0);
        }
        self.votes.push((from as u16, vote));
        let known = &mut self.blocks[at];
        let enough = known.voters.count_ones() as usize >= troupe.wanted();
        if !enough || known.certificate.is_some() {
            return;
        }
        let voters = troupe
            .liars()
            .fold(known.voters, |all, liar| all | 1 << liar);
        let header = &known.block.header;
        let made = craft::certificate(troupe, known.digest, header, voters);
        let (node, block) = (NodeId(from as u16), known.digest);
        judge.grows(node, block, header.parent, (header.view.0, header.height.0));
        judge.certified(node, (header.view.0, 0), block);
        known.certificate = Some(Arc::clone(&made));
        self.certificates.push(made);
        self.note_certificate(at);
    }
    fn hear_timeout(&mut self, it: Box<Timeout>) {
        let at = match self.given.binary_search_by_key(&it.tenure, |it| it.tenure) {
            Ok(at) => at,
            Err(at) => {
                let tenure = it.tenure;
                let by = Vec::new();
                self.given.insert(at, Given { tenure, by });
                at
            }
        };
        let by = &mut self.given[at].by;
        if by.iter().all(|other| other.author != it.author) {
            by.push(*it);
        }
    }

    // ---- what was reached ----

    /// Whether a block descends from another.
    fn descends(&self, mut at: usize, from: usize) -> bool {
        let view = self.blocks[from].block.header.view;
        while at != from {
            match self.blocks[at].parent {
                Some(parent) if self.blocks[at].block.header.view > view => at = parent,
                _ => return false,
            }
        }
        true
    }
    fn note_vote(&mut self, from: usize, at: usize) {
        let last = self.last[from].replace(at);
        if last.is_some_and(|last| !self.descends(at, last)) {
            self.rares.hit(Rare::Turned);
        }
        let header = &self.blocks[at].block.header;
        if header.timeout.is_some() {
            self.rares.hit(Rare::Excused);
        }
        let view = header.view;
        let of_view = self.blocks.iter().rev().take(8);
        let voted = of_view.filter(|it| it.block.header.view == view && it.voters > 0);
        if voted.count() > 1 {
            self.rares.hit(Rare::Equivocated);
        }
    }
    fn note_certificate(&mut self, at: usize) {
        let view = |at: usize| self.blocks[at].block.header.view.0;
        if let Some(b1) = self.blocks[at].parent
            && let Some(b2) = self.blocks[b1].parent
            && view(at) - view(b2) > 2
        {
            self.rares.hit(Rare::Gapped);
        }
    }
    /// Adds what was reached.
    pub fn count(&mut self, rares: &mut Rares) {
        let certified = |it: &Known| it.certificate.is_some();
        let made: Vec<usize> = self.certificates[1..]
            .iter()
            .filter_map(|it| self.find(&it.block))
            .collect();
        let turns = made.windows(2);
        let turns = turns.filter(|it| !self.descends(it[1], it[0])).count();
        if turns > 0 {
            self.rares.hit(Rare::Forked);
        }
        if turns > 2 {
            self.rares.hit(Rare::ForkedTwice);
        }
        let twice = |it: &[Arc<TimeoutCertificate>]| it[0].tenure == it[1].tenure;
        if self.ends.windows(2).any(twice) {
            self.rares.hit(Rare::TwoEnds);
        }
        debug_assert!(made.iter().all(|at| certified(&self.blocks[*at])));
        rares.add(self.rares);
    }
    pub fn reach(&mut self, rare: Rare) {
        self.rares.hit(rare);
    }
}
