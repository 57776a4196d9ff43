//! Where a play takes place: the honest members, and the judge who sees them all. The liars are whoever
//! moves things here; at the end they fall silent, and the honest members are left to themselves.

use super::checkpoints::Checkpoints;
use super::judge::Judge;
use super::puppet::Puppet;
use super::rare::{Rare, Rares};
use super::troupe::{Troupe, batch};
use super::{Manner, Outcome, Plan, Played};
use crate::sim::Chance;
use consensus::{Input, LeaderSchedule, To};
use crypto::{NodeId, Time, Verified};
use std::collections::VecDeque;
use std::num::NonZeroU64;

/// How long a message takes once all is well.
const DELAY: Time = Time::millis(1);
/// The payload that has to be committed then.
const WORK: u64 = u64::MAX;
/// No healthy run takes so many messages.
const MOST_MESSAGES: u64 = 200_000;

/// Who leads: in so many tenures mostly liars; then all take turns, or, as often as not, the honest ones.
#[must_use]
pub fn leaders(troupe: &Troupe, tenure: u64, tenures: u64, chance: &mut Chance) -> LeaderSchedule {
    /// Tenures from then on, until the schedule begins anew.
    const HEALTHY: u16 = 64;
    let honest = troupe.n - troupe.f;
    let mut leaders: Vec<NodeId> = (0..tenures)
        .map(|_| {
            let liar = chance.below(3) > 0;
            let draw = chance.below(64) as u16;
            NodeId(if liar {
                honest + draw % troupe.f
            } else {
                draw % honest
            })
        })
        .collect();
    let take_turns = if chance.one_in(4) { troupe.n } else { honest };
    leaders.extend((0..HEALTHY).map(|i| NodeId(i % take_turns)));
    LeaderSchedule::Scripted { tenure, leaders }
}

/// A set of honest members, as bits.
pub type Camp = u32;

/// See the module.
pub struct Stage<'a, P: Played> {
    /// All members.
    pub troupe: &'a Troupe,
    /// What this play is.
    pub plan: Plan,
    /// Who leads.
    pub leaders: LeaderSchedule,
    /// The only source of chance.
    pub chance: Chance,
    /// The honest members.
    pub puppets: Vec<Puppet<P>>,
    /// Who judges.
    pub judge: Judge<P>,
    /// What was reached.
    pub rares: Rares,
    /// What was signed at checkpoints.
    pub(super) checkpoints: Checkpoints,
    manner: Manner,
    pub(super) now: Time,
}

impl<'a, P: Played> Stage<'a, P> {
    /// With all honest members at genesis, and checkpoints so far apart.
    #[must_use]
    pub fn new(
        troupe: &'a Troupe,
        plan: Plan,
        chance: Chance,
        (leaders, every): (LeaderSchedule, NonZeroU64),
        manner: Manner,
    ) -> Self {
        let mut judge = Judge::new(troupe, P::tenure(&plan), manner.in_words);
        let start = |me| {
            let config = troupe.config(me as u16, &leaders);
            Puppet::new(config, every, troupe, &mut judge)
        };
        Self {
            puppets: (0..troupe.honest()).map(start).collect(),
            troupe,
            plan,
            leaders,
            chance,
            judge,
            rares: Rares::default(),
            checkpoints: Checkpoints::default(),
            manner,
            now: Time(0),
        }
    }
    /// Nothing, but time goes on.
    pub fn pass(&mut self, span: Time) {
        self.now = self.now.plus(span);
    }
    /// A number below this.
    pub fn draw(&mut self, below: usize) -> usize {
        self.chance.index(below)
    }
    /// Once in so many times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.chance.one_in(n)
    }
    /// All honest members.
    #[must_use]
    pub fn all(&self) -> Camp {
        (1 << self.puppets.len()) - 1
    }
    /// Some of these, so many if there are.
    pub fn some(&mut self, of: Camp, many: usize) -> Camp {
        let mut members: Vec<usize> = members(of).collect();
        let mut camp = 0;
        while camp_size(camp) < many && !members.is_empty() {
            let at = self.draw(members.len());
            camp |= 1 << members.swap_remove(at);
        }
        camp
    }
    /// The highest view of a member.
    #[must_use]
    pub fn view(&self) -> u64 {
        let views = self.puppets.iter().map(Puppet::view);
        views.max().unwrap_or(0)
    }
    /// Steps of all cores.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.puppets.iter().map(|it| it.steps).sum()
    }
    /// What an attack has reached that committed so many heights.
    pub fn count(&mut self, heights: u64) {
        let heads = self.puppets.iter().map(Puppet::height);
        if heights > 0 {
            self.rares.hit(Rare::Committed);
        }
        if heights >= 3 {
            self.rares.hit(Rare::CommittedOften);
        }
        if heads.min() < Some(heights) {
            self.rares.hit(Rare::CommittedApart);
        }
    }
    /// The attack is over: all get well within so many views, and the play ends.
    pub fn end(mut self, within: u64, heights: u64, views: u64) -> Outcome {
        let attacked = self.steps();
        let healing = self.heal(within);
        let steps = (self.steps(), attacked);
        let (violation, trace, story) = self.judge.end();
        Outcome {
            violation,
            rares: self.rares,
            heights,
            views,
            healing,
            steps,
            trace,
            story,
        }
    }
    /// An input of any kind.
    pub fn input(&mut self, to: usize, input: Input<P>) {
        let (troupe, judge) = (self.troupe, &mut self.judge);
        self.puppets[to].input(self.now, input, troupe, judge);
    }
    /// A message reaches an honest member.
    pub fn deliver(&mut self, from: u16, to: usize, message: P::Message) {
        self.judge
            .tell(|| format!("node {from} reaches node {to}: {}", P::words(&message)));
        let from = NodeId(from);
        let message = if self.manner.checked {
            match Verified::new(from, message, &self.troupe.verifier) {
                Ok(message) => message,
                Err(reject) => {
                    let property = if self.troupe.lies(from.0) {
                        "puppeteer"
                    } else {
                        "S10"
                    };
                    let what = format!("node {to} cannot accept what node {from} says: {reject}");
                    return self.judge.break_off(property, what);
                }
            }
        } else {
            Verified::own(message, &self.troupe.pass)
        };
        self.input(to, Input::Message { from, message });
    }
    /// A message reaches a camp.
    pub fn spread(&mut self, from: u16, camp: Camp, message: &P::Message) {
        for to in members(camp) {
            self.deliver(from, to, message.clone());
        }
    }
    /// A member loses its patience.
    pub fn vex(&mut self, to: usize) {
        self.judge.tell(|| format!("node {to} loses its patience"));
        let batch = batch(1);
        self.input(to, Input::Overdue { batch });
    }
    /// A member has this to order, and nothing else.
    pub fn employ(&mut self, to: usize, number: u64) {
        self.puppets[to].pool = vec![number];
        let oldest = Some(self.now);
        self.input(to, Input::Pending { oldest });
    }
    /// A member stops and starts again.
    pub fn restart(&mut self, to: usize) {
        self.rares.hit(Rare::Restarted);
        if self.puppets[to].low() > 0 {
            self.rares.hit(Rare::RestartedAbove);
        }
        let (troupe, judge) = (self.troupe, &mut self.judge);
        self.puppets[to].restart(self.now, troupe, judge);
    }

    // ---- the healthy end ----

    /// The liars fall silent; the honest members hear each other, and have to commit a new payload
    /// within so many views. Returns how many it took.
    pub fn heal(&mut self, within: u64) -> u64 {
        self.judge.tell(|| "from here on all is well".into());
        self.pass(Time::millis(50));
        let begun = self.view();
        let mut post = Post::default();
        self.forget_checkpoints();
        for i in 0..self.puppets.len() {
            self.puppets[i].sent.clear();
            self.employ(i, WORK);
            for peer in 0..self.puppets.len() as u16 {
                let peer = NodeId(peer);
                self.input(i, Input::Connected { peer });
            }
        }
        let mut messages = 0;
        while !self.judge.is_over() && self.puppets.iter().any(|it| !it.pool.is_empty()) {
            self.post(&mut post);
            self.exchange_checkpoints();
            let took = self.view().saturating_sub(begun);
            messages += 1;
            if took > within || messages > MOST_MESSAGES || !self.go_on(&mut post) {
                self.complain(took, messages);
                return took;
            }
        }
        self.view().saturating_sub(begun)
    }
    /// What was said since is under way.
    fn post(&mut self, post: &mut Post<P>) {
        let at = self.now.plus(DELAY);
        for (from, puppet) in self.puppets.iter_mut().enumerate() {
            post.0
                .extend(puppet.sent.drain(..).map(|it| (at, from as u16, it)));
        }
    }
    /// The next message or alarm; `false` if there is none.
    fn go_on(&mut self, post: &mut Post<P>) -> bool {
        let alarms = self.puppets.iter().enumerate();
        let alarm = alarms.filter_map(|(i, it)| Some((it.deadline()?, i))).min();
        let arrival = post.0.front().map(|(at, ..)| *at);
        match (arrival, alarm) {
            (Some(at), alarm) if alarm.is_none_or(|(alarm, _)| at <= alarm) => {
                self.now = at;
                let (_, from, (to, message)) = post.0.pop_front().expect("it was just seen");
                let to = match to {
                    To::One(node) => self.all() & 1u32.checked_shl(node.0.into()).unwrap_or(0),
                    To::Me => 0,
                    To::All | To::Others => self.all() & !(1 << from),
                };
                self.spread(from, to, &message);
                true
            }
            (_, Some((at, i))) => {
                self.now = self.now.max(at);
                self.input(i, Input::Tick);
                true
            }
            (_, None) => false,
        }
    }
    fn complain(&mut self, took: u64, messages: u64) {
        let stand = self.puppets.iter().map(|it| {
            let waiting = it.waiting().unwrap_or_default();
            format!(
                "node {}: view {}, height {}, {waiting}",
                it.me,
                it.view(),
                it.height()
            )
        });
        let stand: Vec<_> = stand.collect();
        let what = format!(
            "nothing committed in {took} healthy views and {messages} messages; {}",
            stand.join("; ")
        );
        self.judge.break_off("L1", what);
    }
}

/// What is under way, in the order of arrival, since all takes the same time.
struct Post<P: Played>(VecDeque<(Time, u16, (To, P::Message))>);

impl<P: Played> Default for Post<P> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

/// Who is in a camp, ascending.
pub fn members(camp: Camp) -> impl Iterator<Item = usize> {
    (0..Camp::BITS as usize).filter(move |i| camp >> i & 1 == 1)
}

/// How many are in a camp.
#[must_use]
pub const fn camp_size(camp: Camp) -> usize {
    camp.count_ones() as usize
}
