//! Plays one schedule.

use super::instance::{self, Instance, Members};
use super::judge::{Facts, Judge, SUFFIX};
use super::{Phase, Schedule, Twinned};
use crate::check::{HALT, Violation};
use crate::sim::{Inspected, Legible, inspect};
use consensus::replica::{Checkpoint, Effect, LogOp, ReplicaInput, Wire};
use consensus::{Input, LeaderSchedule, Loaded, Message as _, Record as _, RecordKey, To};
use crypto::{Authenticate, Height, Kind, NodeId, Slot, Time, Verified, View};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

/// Whoever needs more messages than this talks in circles: a schedule of twelve views takes some
/// thousand.
const MOST_MESSAGES: u64 = 50_000;
/// How often a clock runs out before it is given up that anything moves again. Replicas ask for help
/// after a third of a time-out, and each time-out is twice the one before.
const MOST_TICKS: u32 = 500;
/// What passes whenever nobody says more: replicas help each other, but not all the time.
const PAUSE: Time = Time::millis(15);
/// Leaders behind the scheduled views: far more than can be needed.
const LEADERS: usize = 64;

/// A message that left a replica, checked once for all who get it.
struct Letter<P: Twinned> {
    from: NodeId,
    said: Said<P>,
    /// What of its view and height its reader may not care for.
    position: Option<(View, Height)>,
}

/// What stands in a letter.
enum Said<P: Twinned> {
    Message(Verified<P::Message>),
    Checkpoint(Verified<Checkpoint>),
}

/// A letter on its way to an instance.
type Way<P> = (usize, Rc<Letter<P>>);

/// How a schedule is played.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct How {
    /// Judge this property only.
    pub only: Option<&'static str>,
    /// Check all messages.
    pub thorough: bool,
    /// Tell the course in words.
    pub verbose: bool,
}

/// What became of a schedule.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What is broken, if something is.
    pub violation: Option<Violation>,
    /// What came about.
    pub facts: Facts,
    /// The course of it in words, if they were asked for.
    pub words: Vec<String>,
}

/// See the module.
pub struct World<'a, P: Twinned> {
    members: &'a Members,
    schedule: &'a Schedule,
    /// Messages are checked as others would; else it is believed that replicas sign what they send.
    thorough: bool,
    instances: Vec<Instance<P>>,
    mail: VecDeque<Way<P>>,
    /// What a split has kept back of the words by which views are given up, with their view.
    kept_back: Vec<(u64, Way<P>)>,
    todo: VecDeque<(usize, ReplicaInput<P>)>,
    spare: Vec<Effect<P>>,
    now: Time,
    ticks: u32,
    judge: Judge,
    words: Option<Vec<String>>,
}

impl<'a, P: Twinned> World<'a, P> {
    /// All replicas, started.
    pub(super) fn new(members: &'a Members, schedule: &'a Schedule, how: How) -> Self {
        let mut world = Self {
            members,
            schedule,
            thorough: how.thorough,
            instances: Vec::with_capacity(schedule.cast.instances()),
            mail: VecDeque::new(),
            kept_back: Vec::new(),
            todo: VecDeque::new(),
            spare: Vec::new(),
            now: Time(0),
            ticks: 0,
            judge: Judge::new(schedule, P::checks(schedule.cast.nodes())),
            words: how.verbose.then(Vec::new),
        };
        world.judge.only(how.only);
        let leaders = LeaderSchedule::Scripted {
            tenure: 1,
            leaders: schedule.leaders(LEADERS),
        };
        let mut first = Vec::new();
        for i in 0..schedule.cast.instances() {
            let member = schedule.cast.member(i);
            let instance = Instance::start(&members.company, member.0, leaders.clone(), &mut first);
            let instance = instance.expect("nothing is stored that could be damaged");
            world.instances.push(instance);
            for effect in first.drain(..) {
                world.effect(i, effect);
            }
        }
        world.settle();
        world
    }
    /// Plays it to its end.
    #[must_use]
    pub fn run(mut self) -> Outcome {
        if !P::SEVERAL {
            (0..self.instances.len()).for_each(|i| self.tell_pending(i, true));
            self.settle();
        }
        while !self.judge.is_done() {
            if let Some((to, letter)) = self.mail.pop_front() {
                self.deliver(to, &letter);
            } else if self.give_up() || self.let_through() {
                self.now = self.now.plus(PAUSE);
            } else {
                self.tick();
            }
        }
        Outcome {
            violation: self.judge.violation,
            facts: self.judge.facts,
            words: self.words.unwrap_or_default(),
        }
    }

    // ---- what happens ----

    fn deliver(&mut self, to: usize, letter: &Letter<P>) {
        self.judge.facts.messages += 1;
        if self.judge.facts.messages > MOST_MESSAGES {
            self.judge.stands_still(self.now, "they talk in circles");
        }
        let window = self.instances[to].shell.window();
        let outside = |(view, height)| {
            view < window.views.0
                || view > window.views.1
                || height < window.heights.0
                || height > window.heights.1
        };
        if letter.position.is_some_and(outside) {
            return;
        }
        let from = letter.from;
        let input = match &letter.said {
            Said::Message(it) => ReplicaInput::Protocol(Input::Message {
                from,
                message: it.clone(),
            }),
            Said::Checkpoint(it) => ReplicaInput::Checkpoint {
                from,
                checkpoint: it.clone(),
            },
        };
        self.todo.push_back((to, input));
        self.settle();
    }
    /// All who are in a scheduled view give it up. Whether anything came of it: who has said so already
    /// does not say it again.
    fn give_up(&mut self) -> bool {
        let before = (self.mail.len(), self.kept_back.len());
        let views: Vec<u64> = self.instances.iter().map(Instance::view).collect();
        for i in (0..views.len()).filter(|i| views[*i] <= self.schedule.last()) {
            // Which batch is overdue changes nothing.
            let batch = P::payload(&[1]).references()[0];
            self.put_in(i, Input::Overdue { batch });
        }
        let moved = (self.mail.len(), self.kept_back.len()) != before
            || self.instances.iter().map(Instance::view).ne(views);
        if moved {
            self.say(|_| "nobody says more: views are given up".into());
        }
        moved
    }
    /// What a split has kept back by which the latest view is given up comes through. All that is older
    /// is lost.
    fn let_through(&mut self) -> bool {
        let latest = self.instances.iter().map(Instance::view).max();
        let kept_back = std::mem::take(&mut self.kept_back).into_iter();
        let ways = kept_back.filter(|(view, _)| Some(*view) == latest);
        self.mail.extend(ways.map(|(_, way)| way));
        if !self.mail.is_empty() {
            self.say(|_| "nothing moves: what was kept back comes through".into());
        }
        !self.mail.is_empty()
    }
    /// The clock goes on to where a timer runs out.
    fn tick(&mut self) {
        let deadline = |it: &Instance<P>| it.shell.deadline();
        let Some(at) = self.instances.iter().filter_map(deadline).min() else {
            return self
                .judge
                .stands_still(self.now, "nobody waits for any time");
        };
        self.ticks += 1;
        if self.ticks > MOST_TICKS {
            return self.judge.stands_still(self.now, "whatever time it is");
        }
        self.now = self.now.max(at);
        self.say(|world| format!("it is {} ms", world.now.0 / 1_000_000));
        for i in 0..self.instances.len() {
            if deadline(&self.instances[i]).is_some_and(|at| at <= self.now) {
                self.put_in(i, Input::Tick);
            }
        }
    }

    // ---- what comes of it ----

    fn put_in(&mut self, i: usize, input: Input<P>) {
        self.todo.push_back((i, ReplicaInput::Protocol(input)));
        self.settle();
    }
    fn settle(&mut self) {
        while let Some((i, input)) = self.todo.pop_front() {
            let before = self.instances[i].view();
            let mut effects = std::mem::take(&mut self.spare);
            self.instances[i].shell.step(self.now, input, &mut effects);
            for effect in effects.drain(..) {
                self.effect(i, effect);
            }
            self.spare = effects;
            let view = self.instances[i].view();
            if view != before {
                self.say(|world| format!("{} is in view {view}", world.name(i)));
                self.judge.enters(self.now, self.member(i), view);
            }
        }
    }
    fn effect(&mut self, i: usize, effect: Effect<P>) {
        let member = self.member(i);
        match effect {
            Effect::Write { fence, ops, sync } => {
                self.store(i, ops);
                if sync {
                    self.todo.push_back((i, ReplicaInput::Durable(fence)));
                }
            }
            Effect::Send { to, message } => self.send(i, to, &message),
            Effect::Commit { committed: it, .. } => self.commit(i, &it),
            Effect::WantPayload { ticket, .. } => {
                let numbers: Vec<u64> = self.supply(i).into_iter().collect();
                let payload = P::payload(&numbers);
                self.answer(i, Input::Payload { ticket, payload });
                if P::SEVERAL || numbers.is_empty() {
                    self.tell_pending(i, false);
                }
            }
            Effect::CheckPayload { block, .. } => {
                let held = Ok(());
                self.answer(i, Input::Checked { block, held });
            }
            Effect::Load { token, which } => {
                let records = self.instances[i].load(&which);
                self.answer(i, Input::Loaded(Loaded { token, records }));
            }
            Effect::Leader(leader) if P::SEVERAL && leader == member => self.tell_pending(i, true),
            Effect::Evidence(it) => {
                let what = format!("{:?} and {:?}", it.first.0, it.second.0);
                self.judge.accuses(self.now, member, it.node, what);
            }
            Effect::Reject(from, reject) => self.judge.refuses(self.now, member, from, reject),
            Effect::Halt(why) => self.judge.broken(HALT, self.now, why),
            Effect::Return(_) | Effect::DropCheck(_) | Effect::Leader(_) => {}
            Effect::Read(..) | Effect::Behind { .. } | Effect::Stable(_) => {}
        }
    }
    fn answer(&mut self, i: usize, input: Input<P>) {
        self.todo.push_back((i, ReplicaInput::Protocol(input)));
    }
    fn tell_pending(&mut self, i: usize, waits: bool) {
        let oldest = waits.then_some(self.now);
        self.answer(i, Input::Pending { oldest });
    }
    fn store(&mut self, i: usize, ops: Vec<LogOp<P>>) {
        for op in ops {
            if let LogOp::Put(record) = &op
                && let Some(seen) = <P as Legible>::stored(self.member(i), record)
            {
                self.judge.shows(self.now, &seen);
            }
            match op {
                // What there is one of is asked for after a restart only.
                LogOp::Put(it) if matches!(it.key(), RecordKey::At(..)) => {
                    self.instances[i].records.push(it);
                }
                LogOp::Guard(Slot { kind, view, .. }, _) if is_vote(kind) => {
                    self.judge.votes(self.now, self.member(i), view.0);
                }
                _ => {}
            }
        }
    }
    fn commit(&mut self, i: usize, it: &consensus::Committed<P::Proof>) {
        let (cast, view) = (self.schedule.cast, self.instances[i].view());
        let numbers = P::batches(&it.payload);
        let proposed = numbers.iter().map(|it| instance::proposed_in(cast, *it));
        let told = (view, P::proven_in(it).0, proposed.max());
        let place = (it.height, it.history);
        self.judge.commits(self.now, self.member(i), place, told);
        if let Some(seen) = <P as Legible>::shown(self.member(i), it) {
            self.judge.shows(self.now, &seen);
        }
        let (height, state) = (it.height, it.history);
        self.answer(i, Input::Executed { height, state });
        self.say(|world| format!("{} commits {height}: {numbers:?}", world.name(i)));
    }
    /// What is ordered next: one batch a view, and none once enough views have passed.
    fn supply(&mut self, i: usize) -> Option<u64> {
        let last = self.schedule.last() + SUFFIX;
        let instance = &mut self.instances[i];
        let view = instance.view();
        let due = instance.supplied < view && view <= last;
        instance.supplied = view;
        due.then(|| instance::batch(self.schedule.cast, view, i))
    }

    // ---- the network ----

    fn send(&mut self, from: usize, to: To, message: &Arc<Wire<P::Message>>) {
        let (member, cast) = (self.member(from), self.schedule.cast);
        let slot = match &**message {
            Wire::Protocol(it) => it.statement().map(|(_, it, _)| it.slot),
            Wire::Checkpoint(_) => None,
        };
        let view = slot.map_or_else(|| self.instances[from].view(), |it| it.view.0);
        let phase = Phase::of(slot.map(|it| it.kind));
        let split = self.schedule.split(view, phase);
        let inspected = match &**message {
            Wire::Protocol(it) => <P as Legible>::inspect(it),
            Wire::Checkpoint(it) => inspect_checkpoint(it),
        };
        self.judge.sent(self.now, member, inspected);
        let Some(said) = self.checked(member, message) else {
            return;
        };
        let letter = Rc::new(Letter {
            from: member,
            said,
            position: message.position(),
        });
        let receives = |i: &usize| match to {
            To::One(node) => cast.member(*i) == node,
            _ => cast.member(*i) != member,
        };
        let (mut hear, mut miss) = (0u16, 0u16);
        for i in (0..cast.instances()).filter(receives) {
            let way = (i, Rc::clone(&letter));
            if split.joins(from, i) {
                hear |= 1 << i;
                self.mail.push_back(way);
                continue;
            }
            miss |= 1 << i;
            if phase == Phase::Leave {
                self.kept_back.push((view, way));
            }
        }
        self.say(|world| world.told(from, (hear, miss), message));
    }

    /// What others find when they check a message; once for all of them.
    fn checked(&mut self, from: NodeId, message: &Wire<P::Message>) -> Option<Said<P>> {
        Some(match message {
            Wire::Protocol(it) => Said::Message(self.check(from, it)?),
            Wire::Checkpoint(it) => Said::Checkpoint(self.check(from, it)?),
        })
    }
    fn check<T: Authenticate + Clone>(&mut self, from: NodeId, it: &T) -> Option<Verified<T>> {
        let Members { company, signers } = self.members;
        if !self.thorough {
            return Some(Verified::own(it.clone(), &signers[from.index()]));
        }
        let checked = Verified::new(from, it.clone(), &company.verifier);
        if let Err(reject) = checked {
            self.judge.refuses(self.now, from, from, reject);
        }
        checked.ok()
    }

    // ---- in words ----

    fn member(&self, i: usize) -> NodeId {
        self.schedule.cast.member(i)
    }
    fn name(&self, i: usize) -> String {
        self.schedule.cast.name(i)
    }
    fn say(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.words.is_some() {
            let line = line(self);
            self.words.iter_mut().for_each(|it| it.push(line.clone()));
        }
    }
    fn told(&self, from: usize, (hear, miss): (u16, u16), message: &Wire<P::Message>) -> String {
        let names = |set: u16| {
            let of = (0..self.instances.len()).filter(|i| set >> i & 1 == 1);
            of.map(|i| self.name(i)).collect::<Vec<_>>().join(" ")
        };
        let lost = match miss {
            0 => String::new(),
            _ => format!(" (not {})", names(miss)),
        };
        let (from, hear) = (self.name(from), names(hear));
        let line = match message {
            Wire::Protocol(it) => P::line(it),
            Wire::Checkpoint(it) => format!("checkpoint of height {}", it.height),
        };
        format!("{from} > {hear}{lost}: {line}")
    }
}

fn inspect_checkpoint(it: &Checkpoint) -> Inspected {
    let mut into = Inspected::default();
    inspect::checkpoint(it, &mut into);
    into
}

/// What nobody may promise anew in a view that he has given up.
const fn is_vote(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Vote | Kind::PrePrepare | Kind::Prepare | Kind::Commit
    )
}
