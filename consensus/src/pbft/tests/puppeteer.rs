//! f colluding liars who know everything, hold f keys and rule the network choose who sees which
//! pre-prepare, vote, view change and new view. Whatever they do, honest replicas agree.

use super::super::{Assigned, Message, Prepared, rules};
use super::super::{NewView, ViewChange};
use super::craft::{Craft, Solo, payload};
use crate::{Input, LeaderSchedule, To};
use crypto::*;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Heights that are fought about.
const HEIGHTS: u64 = 4;
/// Views that may be fought in.
const VIEWS: u64 = 12;

struct Puppeteer {
    rng: ChaCha12Rng,
    craft: Craft,
    honest: Vec<Solo>,
    n: u16,
    /// Honest replicas of the one camp; the others are the other.
    camp: u64,
    /// How much of what each honest replica has sent is known.
    heard: Vec<usize>,
    /// What honest replicas have sent and somebody may still get.
    mail: Vec<(u16, u16, Message)>,
    /// Who has truly signed a pre-prepare or a prepare.
    prepared: BTreeMap<Assigned, BTreeSet<u16>>,
    changes: BTreeMap<(u64, u16), ViewChange>,
    opened: Vec<Arc<NewView>>,
    /// The history at a height, by whoever committed it first.
    history: BTreeMap<Height, Digest>,
    judged: Vec<usize>,
}

impl Puppeteer {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let (n, f) = if seed % 3 == 2 { (7u16, 2u16) } else { (4, 1) };
        let led = (0..VIEWS + 1).map(|_| {
            let liar = rng.next_u64() % 3 > 0;
            let draw = (rng.next_u64() % 100) as u16;
            NodeId(if liar {
                n - 1 - draw % f
            } else {
                draw % (n - f)
            })
        });
        let leaders = LeaderSchedule::Scripted {
            tenure: 1,
            leaders: led.collect(),
        };
        let craft = Craft::led(n, leaders);
        let start = |me: u16| {
            let mut solo = Solo::new(craft.clone(), me);
            solo.checkpoint(None);
            solo
        };
        Self {
            honest: (0..n - f).map(start).collect(),
            camp: rng.next_u64(),
            rng,
            craft,
            n,
            heard: vec![0; (n - f) as usize],
            mail: Vec::new(),
            prepared: BTreeMap::new(),
            changes: BTreeMap::new(),
            opened: Vec::new(),
            history: BTreeMap::new(),
            judged: vec![0; (n - f) as usize],
        }
    }
    fn draw(&mut self, below: usize) -> usize {
        (self.rng.next_u64() % below as u64) as usize
    }
    fn liars(&self) -> std::ops::Range<u16> {
        self.honest.len() as u16..self.n
    }
    /// One camp, everybody, or anybody.
    fn audience(&mut self) -> Vec<u16> {
        let (kind, any) = (self.draw(8), self.rng.next_u64());
        let camp = self.camp;
        let chosen = |i: &u16| match kind {
            0..=2 => camp >> i & 1 == 1,
            3..=5 => camp >> i & 1 == 0,
            6 => true,
            _ => any >> i & 1 == 1,
        };
        (0..self.honest.len() as u16).filter(chosen).collect()
    }
    fn tell(&mut self, from: u16, to: &[u16], message: &Message) {
        for i in to {
            // A liar may say what does not pass its check; it is not worth more than silence.
            let solo = &mut self.honest[*i as usize];
            let _refused = solo.try_deliver(from, message.clone());
        }
        self.listen();
    }
    /// Learns what honest replicas have said since, and judges what they have committed.
    fn listen(&mut self) {
        for i in 0..self.honest.len() {
            let news: Vec<_> = self.honest[i].sent[self.heard[i]..].to_vec();
            self.heard[i] = self.honest[i].sent.len();
            for (to, message) in news {
                self.note(i as u16, &message);
                let all = (0..self.honest.len() as u16).filter(|to| *to != i as u16);
                let to: Vec<u16> = match to {
                    To::Me => Vec::new(),
                    To::One(node) => all.filter(|it| *it == node.0).collect(),
                    To::All | To::Others => all.collect(),
                };
                let mail = to.into_iter().map(|to| (i as u16, to, message.clone()));
                self.mail.extend(mail);
            }
            for committed in &self.honest[i].commits[self.judged[i]..] {
                let first = *self
                    .history
                    .entry(committed.height)
                    .or_insert(committed.history);
                assert_eq!(
                    first, committed.history,
                    "S1: a fork at {}",
                    committed.height
                );
            }
            self.judged[i] = self.honest[i].commits.len();
        }
        let surplus = self.mail.len().saturating_sub(400);
        self.mail.drain(..surplus);
    }
    fn note(&mut self, from: u16, message: &Message) {
        match message {
            Message::PrePrepare(it) => {
                self.prepared.entry(it.assigned()).or_default().insert(from);
            }
            Message::Prepare(it) => {
                self.prepared.entry(it.assigned).or_default().insert(from);
            }
            Message::ViewChange(it) => {
                self.changes
                    .insert((it.change.view.0, from), (**it).clone());
            }
            Message::NewView(it) => self.opened.push(Arc::clone(it)),
            _ => {}
        }
    }
    /// Certificates that can be made: true signatures of honest replicas, and any of liars.
    fn certificates(&self, below: u64) -> Vec<Arc<Prepared>> {
        let quorum = self.craft.quorum();
        let mut made = Vec::new();
        for (assigned, signers) in &self.prepared {
            let primary = self.craft.primary(assigned.view.0);
            let mut all: Vec<u16> = signers.iter().copied().chain(self.liars()).collect();
            all.sort_unstable();
            all.dedup();
            if assigned.view.0 < below && all.len() >= quorum && all.contains(&primary) {
                made.push(self.craft.prepared_by(*assigned, &all));
            }
        }
        made
    }

    // ---- moves ----

    fn deliver_mail(&mut self) {
        for _ in 0..6 {
            if self.mail.is_empty() {
                return;
            }
            let at = self.draw(self.mail.len());
            let (from, to, message) = self.mail.swap_remove(at);
            let apart = (self.camp >> from ^ self.camp >> to) & 1 == 1;
            if apart && self.draw(4) > 0 {
                continue;
            }
            self.tell(from, &[to], &message);
        }
    }
    fn some_view(&mut self) -> u64 {
        let i = self.draw(self.honest.len());
        let solo = &self.honest[i];
        if self.rng.next_u64().is_multiple_of(4) {
            solo.wanted()
        } else {
            solo.view()
        }
    }
    /// A lying primary assigns a slot, one content to one audience.
    fn assign(&mut self) {
        let view = self.some_view();
        let author = self.craft.primary(view);
        if !self.liars().contains(&author) {
            return;
        }
        let height = 1 + self.draw(HEIGHTS as usize) as u64;
        let number = [0, 1, 2][self.draw(3)];
        let content = if number == 0 {
            Payload::EMPTY
        } else {
            payload(number * 10 + height)
        };
        let to = self.audience();
        let message = self.craft.pre_prepare(view, height, &content);
        self.tell(author, &to, &message);
        self.vouch(self.craft.assigned(view, height, &content));
    }
    /// Liars prepare and commit whatever suits them.
    fn vouch(&mut self, assigned: Assigned) {
        for liar in self.liars() {
            let to = self.audience();
            if self.craft.primary(assigned.view.0) != liar {
                let message = self.craft.prepare(liar, assigned);
                self.tell(liar, &to, &message);
            }
            let to = self.audience();
            let message = self.craft.commit(liar, assigned);
            self.tell(liar, &to, &message);
        }
    }
    fn vouch_again(&mut self) {
        if self.prepared.is_empty() {
            return;
        }
        let at = self.draw(self.prepared.len());
        let assigned = *self.prepared.keys().nth(at).unwrap();
        self.vouch(assigned);
    }
    /// An honest replica loses patience.
    fn give_up(&mut self) {
        let batch = crate::testing::batches::reference(1);
        for i in self.audience() {
            self.honest[i as usize].input(Input::Overdue { batch });
        }
        self.listen();
    }
    /// Liars ask for views, and say of what was prepared only what they like.
    fn lie_about_the_past(&mut self) {
        let view = self.some_view().max(2);
        for liar in self.liars() {
            let mut shown: BTreeMap<Height, Arc<Prepared>> = BTreeMap::new();
            for it in self.certificates(view) {
                let keep = self.draw(3) > 0;
                let newer = self.draw(2) == 0 || !shown.contains_key(&it.assigned.height);
                if keep && newer {
                    shown.insert(it.assigned.height, it);
                }
            }
            let shown: Vec<_> = shown.into_values().collect();
            let change = self.craft.change(liar, view, 0, &shown);
            let message = Message::ViewChange(Box::new(change.clone()));
            self.changes.insert((view, liar), change);
            let to = self.audience();
            self.tell(liar, &to, &message);
        }
    }
    /// A lying primary opens a view with any quorum, as often as it likes; now and then with
    /// slots that do not follow.
    fn open(&mut self) {
        let view = self.some_view().max(2);
        let author = self.craft.primary(view);
        if !self.liars().contains(&author) {
            return;
        }
        self.lie_about_the_past();
        let range = (view, 0)..=(view, self.n);
        let mut said: Vec<ViewChange> = self
            .changes
            .range(range)
            .map(|(_, it)| it.clone())
            .collect();
        while said.len() > self.craft.quorum() {
            let at = self.draw(said.len());
            said.remove(at);
        }
        if said.len() < self.craft.quorum() {
            return;
        }
        let changes: Vec<_> = said.iter().map(|it| &it.change).collect();
        let mut slots = rules::carried_over(&changes);
        if self.draw(6) == 0 {
            slots.pop();
        }
        let opened = Arc::new(self.craft.new_view_with(view, &said, slots));
        self.opened.push(Arc::clone(&opened));
        let to = self.audience();
        self.tell(author, &to, &Message::NewView(Arc::clone(&opened)));
        // What it carries over has to be assigned.
        for assigned in opened.all_assigned() {
            let known = (1..=2).map(|number| payload(number * 10 + assigned.height.0));
            let mut known = known.chain([Payload::EMPTY]);
            let content = known.find(|it| super::super::slot::content(it) == assigned.digest);
            if let Some(content) = content {
                let message = self.craft.pre_prepare(view, assigned.height.0, &content);
                let to = self.audience();
                self.tell(author, &to, &message);
                self.vouch(assigned);
            }
        }
    }
    fn show_a_view(&mut self) {
        if !self.opened.is_empty() {
            let at = self.draw(self.opened.len());
            let (to, from) = (self.audience(), self.n - 1);
            let message = Message::Opened(Arc::clone(&self.opened[at]));
            self.tell(from, &to, &message);
        }
    }
    /// An honest primary gets work.
    fn work(&mut self) {
        let i = self.draw(self.honest.len());
        let number = 1 + self.draw(2) as u64;
        let solo = &mut self.honest[i];
        let height = solo.replica.next_height().0;
        if height <= HEIGHTS {
            solo.pool = vec![number * 10 + height];
            solo.work();
        }
        self.listen();
    }
    fn restart(&mut self) {
        let i = self.draw(self.honest.len());
        let solo = self.honest.remove(i);
        let commits = solo.commits.clone();
        let mut again = solo.start_again();
        // The same commits before it: the judge goes on where it was.
        again.commits = commits;
        self.heard[i] = 0;
        self.honest.insert(i, again);
        self.listen();
    }
    fn wait(&mut self) {
        let i = self.draw(self.honest.len());
        self.honest[i].pass(Time::millis(40));
        self.listen();
    }

    fn run(&mut self, moves: usize) {
        for _ in 0..moves {
            if self.honest.iter().any(|it| it.wanted() >= VIEWS) {
                break;
            }
            match self.draw(40) {
                0..=17 => self.deliver_mail(),
                18..=21 => self.assign(),
                22..=24 => self.vouch_again(),
                25..=26 => self.give_up(),
                27..=28 => self.lie_about_the_past(),
                29..=32 => self.open(),
                33 => self.show_a_view(),
                34..=35 => self.work(),
                36 => self.restart(),
                37 => self.wait(),
                38 => self.camp = self.rng.next_u64(),
                _ => {}
            }
        }
    }
    fn heights(&self) -> u64 {
        let heights = self.honest.iter().map(|it| it.replica.log.committed().0);
        heights.max().unwrap_or(0)
    }
    fn views(&self) -> u64 {
        self.honest.iter().map(Solo::view).max().unwrap_or(0)
    }
}

/// Plays a seed; returns the heights committed and the views opened.
fn play(seed: u64) -> (u64, u64) {
    let mut puppeteer = Puppeteer::new(seed);
    puppeteer.run(300);
    (puppeteer.heights(), puppeteer.views())
}

#[test]
fn whatever_colluding_liars_do_honest_replicas_agree() {
    let all: Vec<(u64, u64)> = crate::testing::random::seeds(0..400).map(play).collect();
    let fought = all.iter().filter(|(height, _)| *height > 0).count();
    let opened = all.iter().filter(|(_, view)| *view > 2).count();
    assert!(3 * fought > all.len(), "{fought} seeds committed");
    assert!(3 * opened > all.len(), "{opened} seeds opened views");
}

/// The hunt has to find what breaks agreement, or it proves nothing.
#[cfg(planted)]
#[test]
fn planted_bugs_are_found() {
    use crypto::planted::{Bug, choose};
    let hunted = [
        Bug::ShortQuorum,
        Bug::CommitUnprepared,
        Bug::DropPrepared,
        Bug::CarryLowest,
        Bug::TrustNewView,
        Bug::GoOnAfterChange,
        Bug::ForgetPrepared,
    ];
    for bug in hunted {
        choose(Some(bug));
        let found = (0..20_000u64).find(|seed| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(*seed))).is_err()
        });
        choose(None);
        println!("{bug:?}: {found:?}");
        assert!(found.is_some(), "{bug:?} survives");
    }
}
