//! Liars with a plan: two branches kept alive over the tenures, each in a camp of its own.

use super::super::rare::Rare;
use super::super::stage::{Camp, members};
use super::super::troupe::payload;
use super::{Play, craft};
use consensus::hotstuff::{Message, QuorumCertificate, TimeoutCertificate};
use crypto::{Digest, View};
use std::sync::Arc;

impl Play<'_> {
    /// The whole attack.
    pub fn scheme(&mut self) {
        for _ in 0..self.tenures {
            if self.stage.judge.is_over() || self.is_late() {
                return;
            }
            if self.stage.one_in(6) {
                self.draw_camps();
            }
            self.act_tenure();
            if self.stage.one_in(4) {
                self.show_some();
            }
            if self.stage.one_in(60) {
                let who = self.stage.draw(self.stage.puppets.len());
                self.stage.restart(who);
                self.listen();
            }
            self.finish_tenure();
        }
    }

    // ---- who is told ----

    /// Two camps, each as large as the liars need it for a certificate, or a little larger.
    pub fn draw_camps(&mut self) {
        let (all, least) = (self.stage.all(), self.stage.troupe.wanted());
        for fork in 0..2 {
            let more = self.stage.draw(4) / 3;
            self.camps[fork] = self.stage.some(all, least + more);
        }
    }
    /// One camp, all, or anybody.
    pub fn audience(&mut self) -> Camp {
        let all = self.stage.all();
        match self.stage.draw(8) {
            0..=2 => self.camps[0],
            3..=5 => self.camps[1],
            6 => all,
            _ => self.stage.chance.number() as Camp & all,
        }
    }
    /// Takes note of what honest members have said.
    pub fn listen(&mut self) {
        let troupe = self.stage.troupe;
        for i in 0..self.stage.puppets.len() {
            let mut sent = std::mem::take(&mut self.stage.puppets[i].sent);
            for (_, message) in sent.drain(..) {
                self.known.hear(i, message, troupe, &mut self.stage.judge);
            }
            // Its room is used again.
            self.stage.puppets[i].sent = sent;
        }
    }
    pub fn leader(&self, view: u64) -> u16 {
        let n = usize::from(self.stage.troupe.n);
        self.stage.leaders.leader(View(view), n).0
    }
    pub fn first(&self, tenure: u64) -> u64 {
        self.stage.leaders.first(tenure).0
    }
    pub fn tenure_of(&self, view: u64) -> u64 {
        self.stage.leaders.tenure_of(View(view))
    }

    /// Whether the attack has taken the views that it may.
    pub fn is_late(&self) -> bool {
        self.stage.view() >= self.first(self.tenures)
    }
    /// The liars have no time left: all give up tenure after tenure, until the healthy ones begin.
    pub fn hurry(&mut self) {
        while !self.stage.judge.is_over() && !self.is_late() {
            let view = self.stage.view();
            let tenure = self.tenure_of(view);
            let all = self.stage.all();
            let newest = self.known.ends.iter().max_by_key(|end| end.tenure);
            if let Some(end) = newest.cloned() {
                self.show_end(&end, all);
            }
            members(all).for_each(|i| self.stage.vex(i));
            self.listen();
            if let Some(end) = self.make_end(tenure, u64::MAX, true) {
                self.show_end(&end, all);
            }
            if self.stage.view() == view {
                return;
            }
        }
    }

    // ---- a tenure ----

    fn act_tenure(&mut self) {
        let view = self.stage.view();
        let leader = self.leader(view);
        if self.stage.troupe.lies(leader) {
            self.lie(view);
        } else {
            self.pass_on(view, usize::from(leader));
        }
    }
    /// A liar leads: a branch goes on in its camp for some views, and now and then the other camp is
    /// told something else.
    fn lie(&mut self, view: u64) {
        let mut fork = self.stage.draw(2);
        let last = self.first(self.tenure_of(view) + 1);
        let many = 1 + self.stage.draw(self.stage.plan.tenure as usize + 1) as u64;
        for view in view..last.min(view + many) {
            if !self.has_reason(view, fork) {
                fork = 1 - fork;
            }
            let camp = if self.stage.one_in(8) {
                self.audience()
            } else {
                self.camps[fork]
            };
            let twice = self.stage.one_in(5);
            let number = 2 * view + fork as u64;
            let made = self.propose(view, &Arc::clone(&self.tips[fork]), number, camp);
            if twice {
                let other = usize::from(self.has_reason(view, 1 - fork)) ^ fork;
                let (tip, camp) = (Arc::clone(&self.tips[other]), self.camps[1 - fork]);
                self.propose(view, &tip, number ^ 1, camp);
            }
            let made = made.and_then(|digest| self.known.block(&digest));
            let Some(certificate) = made.and_then(|it| it.certificate.clone()) else {
                return;
            };
            self.tips[fork] = certificate;
        }
    }
    /// An honest member leads: those hear of it whom the liars choose.
    fn pass_on(&mut self, view: u64, leader: usize) {
        let last = self.first(self.tenure_of(view) + 1);
        for view in view..last {
            self.stage.pass(crypto::Time::millis(2));
            self.stage.employ(leader, 1 << 32 | view);
            self.listen();
            let made = self.known.last_of(view).map(|it| Arc::clone(&it.block));
            let Some(block) = made else { return };
            let message = craft::proposal(self.stage.troupe, leader as u16, &block);
            let camp = self.audience() & !(1 << leader);
            self.stage.spread(leader as u16, camp, &message);
            self.listen();
            self.serve(camp);
            let made = self
                .known
                .last_of(view)
                .and_then(|it| it.certificate.clone());
            let Some(certificate) = made else { return };
            let grown = self
                .tips
                .iter()
                .position(|tip| tip.block == block.header.parent);
            let fork = grown.unwrap_or(view as usize % 2);
            self.tips[fork] = Arc::clone(&certificate);
            if self.stage.one_in(4) {
                return;
            }
            self.tell_votes(view, leader, &certificate);
        }
    }
    /// A leader learns that its block is certified: by votes, or by the certificate.
    fn tell_votes(&mut self, view: u64, leader: usize, certificate: &Arc<QuorumCertificate>) {
        if self.stage.one_in(2) {
            let message = craft::shown(certificate, None);
            let liar = self.stage.troupe.n - 1;
            self.stage.deliver(liar, leader, message);
        } else {
            let of_view = self.known.votes.iter().filter(|(_, it)| it.view.0 == view);
            for (from, vote) in of_view.cloned().collect::<Vec<_>>() {
                if usize::from(from) != leader {
                    self.stage.deliver(from, leader, Message::Vote(vote));
                }
            }
        }
        self.listen();
    }

    // ---- proposals ----

    /// Whether a liar may propose on this branch in a view.
    fn has_reason(&mut self, view: u64, fork: usize) -> bool {
        let justify = self.tips[fork].view.0;
        justify + 1 == view || justify < view && self.excuse(view, justify).is_some()
    }
    /// A proof that the view was entered without the certificate before it, of those who had seen
    /// nothing newer than what is to be built upon.
    pub fn excuse(&mut self, view: u64, justify: u64) -> Option<Arc<TimeoutCertificate>> {
        let tenure = self.tenure_of(view).checked_sub(1)?;
        if self.first(tenure + 1) != view {
            return None;
        }
        let bold = self.bold && self.stage.one_in(2);
        let most = if bold { u64::MAX } else { justify };
        let known = self.known.ends.iter().rev();
        let mut known = known.filter(|it| it.tenure == tenure && it.high.view.0 <= most);
        match known.next() {
            Some(end) => Some(Arc::clone(end)),
            None => self.make_end(tenure, most, true),
        }
    }
    /// A liar's proposal, to a camp; returns the block.
    pub fn propose(
        &mut self,
        view: u64,
        justify: &Arc<QuorumCertificate>,
        number: u64,
        camp: Camp,
    ) -> Option<Digest> {
        let high = justify.view.0;
        let timeout = if high + 1 == view {
            None
        } else if high < view {
            Some(self.excuse(view, high)?)
        } else {
            return None;
        };
        let (digest, block) = craft::block(view, justify, timeout, payload(number + 1));
        let leader = self.leader(view);
        let message = craft::proposal(self.stage.troupe, leader, &block);
        self.known.learn(digest, block);
        self.stage.spread(leader, camp, &message);
        self.listen();
        if !self.stage.one_in(8) {
            self.serve(camp);
        }
        Some(digest)
    }
    /// Whoever asks for blocks gets the chain of the certificate that it has shown.
    pub fn serve(&mut self, camp: Camp) {
        for i in members(camp) {
            let Some(target) = self.known.wanted[i].take() else {
                continue;
            };
            let mut chain = Vec::new();
            let mut at = target.block;
            while let Some(known) = self.known.block(&at) {
                chain.push(Arc::clone(&known.block));
                at = known.block.header.parent;
            }
            chain.reverse();
            self.known.reach(Rare::Fetched);
            let liar = self.stage.troupe.n - 1;
            self.stage.deliver(liar, i, craft::blocks(chain, target));
            self.listen();
        }
    }
    /// Some see a certificate, one of the newest.
    pub fn show_some(&mut self) {
        let recent = self.known.certificates.len().min(4);
        let back = self.stage.draw(recent) + 1;
        let at = self.known.certificates.len() - back;
        let message = craft::shown(&self.known.certificates[at], None);
        let (liar, camp) = (self.stage.troupe.n - 1, self.audience());
        self.stage.spread(liar, camp, &message);
        self.listen();
    }

    // ---- the end of a tenure ----

    /// The end of a tenure by liars and as few honest members as needed, of those who show no more
    /// than `most`: the lowest, or any.
    pub fn make_end(
        &mut self,
        tenure: u64,
        most: u64,
        lowest: bool,
    ) -> Option<Arc<TimeoutCertificate>> {
        let wanted = self.stage.troupe.wanted();
        let given = self.known.timeouts_of(tenure).iter();
        let given = given.filter(|it| it.high.view.0 <= most);
        let mut signers: Vec<_> = given
            .map(|it| (it.author.0, Arc::clone(&it.high)))
            .collect();
        if signers.len() < wanted {
            return None;
        }
        if lowest {
            signers.sort_by_key(|(_, high)| high.view);
        }
        while signers.len() > wanted {
            let at = if lowest {
                signers.len() - 1
            } else {
                self.stage.draw(signers.len())
            };
            signers.swap_remove(at);
        }
        let limit = most.saturating_add(1).min(self.first(tenure + 1));
        for liar in self.stage.troupe.liars() {
            let high = self.pretend(limit);
            signers.push((liar, high));
        }
        let end = craft::end(self.stage.troupe, tenure, signers);
        self.known.ends.push(Arc::clone(&end));
        Some(end)
    }
    /// What a liar shows as its highest certificate: none, or any below a view.
    fn pretend(&mut self, limit: u64) -> Arc<QuorumCertificate> {
        let at = if self.stage.one_in(2) {
            0
        } else {
            self.stage.draw(self.known.certificates.len())
        };
        let shown = &self.known.certificates[at];
        let fits = shown.view.0 < limit;
        Arc::clone(if fits {
            shown
        } else {
            &self.known.certificates[0]
        })
    }
    /// By its last certificate, or since all or some have lost their patience.
    fn finish_tenure(&mut self) {
        let tenure = self.tenure_of(self.stage.view());
        let last = self.first(tenure + 1) - 1;
        let direct = self.known.last_of(last);
        let direct = direct.and_then(|it| it.certificate.clone());
        if let Some(certificate) = direct.filter(|_| self.stage.one_in(2)) {
            self.known.reach(Rare::Direct);
            let camp = self.most();
            let message = craft::shown(&certificate, None);
            self.stage.spread(self.stage.troupe.n - 1, camp, &message);
            return self.listen();
        }
        let vexed = self.most();
        members(vexed).for_each(|i| self.stage.vex(i));
        self.listen();
        if self.stage.one_in(6) {
            return self.tell_timeouts(tenure);
        }
        let lowest = !self.stage.one_in(4);
        let Some(end) = self.make_end(tenure, u64::MAX, lowest) else {
            return;
        };
        if self.stage.one_in(4) {
            self.make_end(tenure, u64::MAX, false);
        }
        let camp = self.most();
        self.show_end(&end, camp);
    }
    pub fn show_end(&mut self, end: &Arc<TimeoutCertificate>, camp: Camp) {
        let message = craft::shown(&end.high, Some(Arc::clone(end)));
        self.stage.spread(self.stage.troupe.n - 1, camp, &message);
        self.listen();
    }
    /// All, mostly.
    pub fn most(&mut self) -> Camp {
        if self.stage.one_in(5) {
            self.audience()
        } else {
            self.stage.all()
        }
    }
    /// Each honest member hears timeouts, and not what follows from them.
    pub fn tell_timeouts(&mut self, tenure: u64) {
        let mut told: Vec<(u16, Message)> = self
            .known
            .timeouts_of(tenure)
            .iter()
            .map(|it| (it.author.0, Message::Timeout(Box::new(it.clone()))))
            .collect();
        // A liar's needs the same proof of entry as theirs.
        let entered = self.known.timeouts_of(tenure).first();
        let entered = entered.map(|it| (Arc::clone(&it.high), it.entry.clone()));
        if let Some((high, entry)) = entered {
            for liar in self.stage.troupe.liars() {
                let entry = entry.clone();
                let message = craft::timeout(self.stage.troupe, liar, tenure, &high, entry);
                told.push((liar, message));
            }
        }
        for to in members(self.most()) {
            for _ in 0..self.stage.troupe.quorum().min(told.len()) {
                let at = self.stage.draw(told.len());
                let (from, message) = told[at].clone();
                if usize::from(from) != to {
                    self.stage.deliver(from, to, message);
                }
            }
        }
        self.listen();
    }

    /// In the end each honest member sees the tips of all branches, in an order of its own.
    pub fn reveal(&mut self) {
        let parent = |it: &Arc<QuorumCertificate>| {
            let blocks = self.known.blocks.iter();
            let mut certified = blocks.filter(|it| it.certificate.is_some());
            certified.any(|child| child.block.header.parent == it.block)
        };
        let all = self.known.certificates.iter();
        let tips: Vec<_> = all.filter(|it| !parent(it)).cloned().collect();
        for i in 0..self.stage.puppets.len() {
            let mut tips = tips.clone();
            while !tips.is_empty() {
                let tip = tips.swap_remove(self.stage.draw(tips.len()));
                let message = craft::shown(&tip, None);
                self.stage.deliver(self.stage.troupe.n - 1, i, message);
                self.known.wanted[i] = Some(tip);
                self.listen();
                self.serve(1 << i);
            }
        }
    }
}
