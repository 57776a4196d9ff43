//! Liars with a plan: view by view they open, order, and let some learn what is ordered, before the view
//! is given up.

use super::super::rare::Rare;
use super::super::stage::{Camp, members};
use super::super::troupe::payload;
use super::Play;
use super::craft::{self, Shown};
use consensus::pbft::{Assigned, Message, NewView, Prepared, ViewChange, rules, slot};
use crypto::{Kind, Payload, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Phases whose messages honest members send each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    PrePrepare,
    Prepare,
    Commit,
    Other,
}

/// The phase of a message, and its view.
fn phase(message: &Message) -> (Phase, u64) {
    match message {
        Message::PrePrepare(it) => (Phase::PrePrepare, it.view.0),
        Message::Prepare(it) => (Phase::Prepare, it.assigned.view.0),
        Message::Commit(it) => (Phase::Commit, it.assigned.view.0),
        Message::ViewChange(it) => (Phase::Other, it.change.view.0),
        Message::NewView(it) | Message::Opened(it) => (Phase::Other, it.view.0),
        _ => (Phase::Other, 0),
    }
}

impl Play<'_> {
    /// The whole attack.
    pub fn scheme(&mut self) {
        for _ in 0..self.views {
            if self.stage.judge.is_over() || self.stage.view() >= self.views {
                return;
            }
            if self.stage.one_in(6) {
                self.draw_camps();
            }
            let view = self.stage.view();
            if view > 1 {
                self.open(view);
            }
            self.order(view);
            if self.stage.one_in(8) {
                self.order(view);
            }
            self.stabilise();
            if self.stage.one_in(12) {
                self.start_again();
            }
            self.give_up();
        }
    }

    // ---- who is told ----

    /// Two camps, each as large as the liars need it for a certificate, or a little larger.
    pub fn draw_camps(&mut self) {
        let (all, least) = (self.stage.all(), self.stage.troupe.wanted());
        for camp in 0..2 {
            let more = self.stage.draw(3) / 2;
            self.camps[camp] = self.stage.some(all, least + more);
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
    /// All, mostly.
    fn most(&mut self) -> Camp {
        if self.stage.one_in(4) {
            self.audience()
        } else {
            self.stage.all()
        }
    }
    /// Takes note of what honest members have said.
    pub fn listen(&mut self) {
        let troupe = self.stage.troupe;
        let leaders = self.stage.leaders.clone();
        let primary = |view: u64| rules::primary(&leaders, View(view), usize::from(troupe.n)).0;
        for i in 0..self.stage.puppets.len() {
            let mut sent = std::mem::take(&mut self.stage.puppets[i].sent);
            for it in sent.drain(..) {
                let judge = &mut self.stage.judge;
                self.known.hear(i as u16, it, (troupe, &primary), judge);
            }
            // Its room is used again.
            self.stage.puppets[i].sent = sent;
        }
    }
    pub fn primary(&self, view: u64) -> u16 {
        let n = usize::from(self.stage.troupe.n);
        rules::primary(&self.stage.leaders, View(view), n).0
    }
    pub fn tell(&mut self, from: u16, camp: Camp, message: &Message) {
        self.stage.spread(from, camp, message);
        self.listen();
    }
    /// What honest members have sent of a phase and view reaches a camp.
    pub fn forward(&mut self, of: Phase, view: u64, camp: Camp) {
        let mut at = 0;
        while at < self.known.mail.len() {
            let mail = &mut self.known.mail[at];
            let to = mail.left & camp;
            if to == 0 || phase(&mail.message) != (of, view) {
                at += 1;
                continue;
            }
            mail.left &= !to;
            let from = mail.from;
            if mail.left == 0 {
                let mail = self.known.mail.remove(at);
                self.stage.spread(from, to, &mail.message);
            } else {
                let message = mail.message.clone();
                at += 1;
                self.stage.spread(from, to, &message);
            }
        }
        self.listen();
    }

    // ---- ordering ----

    /// Slots are assigned, and some learn that they are prepared, or committed.
    fn order(&mut self, view: u64) {
        let primary = self.primary(view);
        let (one, other) = (self.camps[0], self.camps[1]);
        if self.stage.troupe.lies(primary) {
            let lowest = self.stage.puppets.iter().map(|it| it.height()).min();
            let next = lowest.unwrap_or(0) + 1;
            for height in next..=self.heights.min(next + self.stage.draw(2) as u64) {
                let number = self.stage.draw(3) as u64;
                self.assign(view, height, number, one);
                if self.stage.one_in(2) {
                    self.assign(view, height, (number + 1) % 3, other);
                } else {
                    self.assign(view, height, number, other & !one);
                }
            }
        } else {
            let number = 1 << 32 | view << 8 | self.stage.draw(16) as u64;
            self.stage.pass(crypto::Time::millis(2));
            if self.stage.puppets[usize::from(primary)].height() < self.heights {
                self.stage.employ(usize::from(primary), number);
                self.listen();
            }
            let camp = self.audience();
            self.forward(Phase::PrePrepare, view, camp);
        }
        for who in [Phase::Prepare, Phase::Commit] {
            let camp = self.hearers(who);
            self.forward(who, view, camp);
        }
    }
    /// Who hears a phase: nobody, one, a camp or all.
    fn hearers(&mut self, of: Phase) -> Camp {
        let rare = of == Phase::Commit;
        if rare && !self.stage.one_in(self.thrift) {
            return 0;
        }
        let all = self.stage.all();
        match self.stage.draw(if rare { 5 } else { 8 }) {
            0 => 0,
            1 | 2 => self.stage.some(all, 1),
            3 => self.camps[0],
            4 => self.camps[1],
            _ => all,
        }
    }
    /// A lying primary assigns a slot for a camp: what the view carries over, or anything. The liars
    /// prepare and commit it there.
    pub fn assign(&mut self, view: u64, height: u64, number: u64, camp: Camp) {
        let carried = self.known.opened_as(view).cloned();
        let carried = carried.and_then(|it| it.assigned(crypto::Height(height)));
        let known = carried.and_then(|it| self.known.payload(&it.digest));
        let content = match (known, number) {
            (Some(known), _) if !self.stage.chance.one_in(8) => Arc::clone(known),
            (_, 0) => Arc::new(Payload::EMPTY),
            (_, number) => Arc::new(payload(10 * height + number)),
        };
        self.place(view, height, &content, camp);
    }
    fn place(&mut self, view: u64, height: u64, content: &Arc<Payload>, camp: Camp) {
        let assigned = craft::assigned(view, height, content);
        self.known.learn(assigned.digest, content);
        let primary = self.primary(view);
        let message = craft::pre_prepare(self.stage.troupe, primary, assigned, content);
        self.tell(primary, camp, &message);
        self.vouch(assigned, camp);
    }
    /// Liars prepare and commit what suits them.
    pub fn vouch(&mut self, assigned: Assigned, camp: Camp) {
        let troupe = self.stage.troupe;
        for liar in troupe.liars() {
            if self.primary(assigned.view.0) != liar {
                let message = craft::vote(troupe, Kind::Prepare, liar, assigned);
                self.tell(liar, camp, &message);
            }
            if self.stage.one_in(2) {
                let message = craft::vote(troupe, Kind::Commit, liar, assigned);
                self.tell(liar, camp, &message);
            }
        }
    }

    // ---- checkpoints ----

    /// What has become stable, some learn: from their own shells, or since somebody shows it.
    pub fn stabilise(&mut self) {
        for stable in self.stage.stable() {
            if self.stage.one_in(2) {
                continue;
            }
            let camp = self.audience();
            let news = |i: &usize| self.stage.puppets[*i].low() < stable.height.0;
            let camp: Vec<usize> = members(camp).filter(news).collect();
            for i in camp {
                if self.stage.one_in(2) {
                    self.stage.tell_stable(i, &stable);
                } else {
                    let liar = self.stage.troupe.n - 1;
                    self.stage.deliver(liar, i, craft::stable(&stable));
                }
            }
            self.listen();
        }
    }

    // ---- changing views ----

    /// Honest members lose their patience, and others join them.
    fn give_up(&mut self) {
        let view = self.stage.view();
        let vexed = self.most();
        members(vexed).for_each(|i| self.stage.vex(i));
        self.listen();
        let next = self.stage.view().max(view);
        let camp = self.most();
        self.forward(Phase::Other, next, camp);
    }
    /// The view that the most advanced honest member wants is opened, if enough others want it.
    fn open(&mut self, view: u64) {
        let primary = self.primary(view);
        if !self.stage.troupe.lies(primary) {
            return self.let_open(view, usize::from(primary));
        }
        let enough = self.known.changes_for(view).count() >= self.stage.troupe.wanted();
        if !enough {
            return;
        }
        let camp = self.most();
        self.lie_open(view, primary, camp);
        if self.stage.one_in(3) {
            self.known.reach(Rare::OpenedTwice);
            let other = self.stage.all() & !camp | self.camps[1];
            self.lie_open(view, primary, other);
        }
    }
    /// An honest member hears enough to open a view, and its words reach whom the liars choose.
    fn let_open(&mut self, view: u64, primary: usize) {
        self.forward(Phase::Other, view, 1 << primary);
        for liar in self.stage.troupe.liars() {
            let shown = self.pretend(view);
            let change = craft::change(self.stage.troupe, liar, view, shown);
            let message = Message::ViewChange(Box::new(change));
            self.tell(liar, 1 << primary, &message);
        }
        let camp = self.most();
        self.forward(Phase::Other, view, camp);
        let all = self.stage.all();
        self.forward(Phase::PrePrepare, view, all);
    }
    /// A liar opens a view by liars and as few honest members as needed, and assigns what it carries
    /// over.
    pub fn lie_open(&mut self, view: u64, primary: u16, camp: Camp) {
        let wanted = self.stage.troupe.wanted();
        let mut said: Vec<ViewChange> = self.known.changes_for(view).cloned().collect();
        if said.len() < wanted {
            return;
        }
        let fewest = self.stage.one_in(2);
        while said.len() > wanted {
            let most = (0..said.len()).max_by_key(|i| said[*i].prepared.len());
            let at = most.filter(|_| fewest);
            let at = at.unwrap_or_else(|| self.stage.draw(said.len()));
            said.remove(at);
        }
        for liar in self.stage.troupe.liars() {
            let shown = self.pretend(view);
            said.push(craft::change(self.stage.troupe, liar, view, shown));
        }
        let changes: Vec<_> = said.iter().map(|it| &it.change).collect();
        let mut slots = rules::carried_over(&changes);
        if self.bold && self.stage.one_in(2) && !slots.is_empty() {
            let at = self.stage.draw(slots.len());
            slots[at] = slot::null();
        }
        let said: Vec<_> = said.iter().collect();
        let opened = craft::new_view(self.stage.troupe, primary, view, &said, slots);
        self.known.reach(Rare::OpenedByLiar);
        self.known.open(&opened);
        self.tell(primary, camp, &Message::NewView(Arc::clone(&opened)));
        self.carry(&opened, primary, camp);
    }
    /// What a liar's view carries over is assigned.
    fn carry(&mut self, opened: &Arc<NewView>, primary: u16, camp: Camp) {
        let lowest = self.stage.puppets.iter().map(|it| it.height()).min();
        let lowest = lowest.unwrap_or(0);
        for assigned in opened.all_assigned().collect::<Vec<_>>() {
            if assigned.height.0 <= lowest || self.stage.one_in(4) {
                continue;
            }
            let null = assigned.digest == slot::null();
            let known = self.known.payload(&assigned.digest).cloned();
            let content = known.or_else(|| null.then(|| Arc::new(Payload::EMPTY)));
            let Some(content) = content else { continue };
            let message = craft::pre_prepare(self.stage.troupe, primary, assigned, &content);
            self.tell(primary, camp, &message);
            self.vouch(assigned, camp);
        }
    }
    /// What a liar shows below a view: any stable checkpoint or none; and as prepared nothing, or of
    /// each slot something that is known.
    pub fn pretend(&mut self, view: u64) -> Shown {
        let mut all = self.stage.stable();
        let chosen = self.stage.draw(all.len() + 1);
        let stable = (chosen < all.len()).then(|| all.swap_remove(chosen));
        if self.stage.one_in(2) {
            return (stable, Vec::new());
        }
        let low = stable.as_ref().map_or(0, |it| it.height.0);
        let window = low + 1..=low + 2 * self.every.get();
        let mut shown: BTreeMap<u64, Arc<Prepared>> = BTreeMap::new();
        for it in &self.known.slots {
            let Some(prepared) = &it.prepared else {
                continue;
            };
            let at = it.assigned.height.0;
            let chosen = !shown.contains_key(&at) || self.stage.chance.one_in(2);
            let fits = it.assigned.view.0 < view && window.contains(&at);
            if fits && chosen && !self.stage.chance.one_in(4) {
                shown.insert(at, Arc::clone(prepared));
            }
        }
        (stable, shown.into_values().collect())
    }

    // ---- crashes, and the end ----

    /// One or all stop and start again.
    pub fn start_again(&mut self) {
        let all = self.stage.all();
        let many = if self.stage.one_in(3) { 32 } else { 1 };
        let who = self.stage.some(all, many);
        members(who).for_each(|i| self.stage.restart(i));
        self.listen();
    }
    /// In the end each honest member sees what is committed, in an order of its own.
    pub fn reveal(&mut self) {
        let all = self.known.slots.iter();
        let told = all.filter_map(|it| {
            let certificate = it.committed.clone()?;
            let payload = self.known.payload(&it.assigned.digest)?;
            Some(craft::slot(payload, certificate))
        });
        let told: Vec<Message> = told.collect();
        for i in 0..self.stage.puppets.len() {
            let mut told = told.clone();
            while !told.is_empty() {
                let message = told.swap_remove(self.stage.draw(told.len()));
                self.tell(self.stage.troupe.n - 1, 1 << i, &message);
            }
        }
    }
}
