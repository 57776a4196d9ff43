//! The world of one run: the nodes, what is between them, and the loop that makes time pass.

use super::attack::{AMNESIA, LAPSE};
use super::client::Clients;
use super::counters::{Counters, Sometimes};
use super::event::Event;
use super::host::Host;
use super::network::{Change, Network};
use super::queue::Queue;
use super::system::System;
use super::trace::Trace;
use super::watch::{Caught, Watch};
use super::{Chance, Scenario};
use crate::check::{Liveness, Violation};
use crypto::{Digest, Height, NodeId, Time};
use engine::{Machine as _, RequestId};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use storage::Table;

/// More events than any sound run needs, for each pair of nodes, as all tell all of every slot: a storm. PBFT's
/// window of 256 slots, filled by a liar, costs 43,000 at n = 7, and as many again in each view that takes it over.
const MOST_EVENTS: u64 = 125_000;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The broken property, if one is.
    pub violation: Option<Violation>,
    /// Hash of all that happened.
    pub trace: u64,
    /// Last lines of the trace, if it was kept in words.
    pub tail: Vec<String>,
    /// Rare states that were reached.
    pub counters: Counters,
    /// Committed heights that hold payload.
    pub payloads: u64,
    /// Committed heights.
    pub heights: u64,
    /// Crashes at the plan's crash point.
    pub struck: u64,
    /// What clients asked for, if that does not depend on what happened ([`Scenario::same_work`]).
    pub asked: Digest,
    /// Lies told, what became of them, and how often it was proven that one lied.
    pub caught: Caught,
    /// Virtual time.
    pub time: Time,
    /// Events.
    pub events: u64,
}

/// A run under way.
pub struct World<S: System> {
    pub(super) plan: Scenario,
    pub(super) system: S,
    pub(super) now: Time,
    pub(super) queue: Queue<Event>,
    pub(super) network: Network,
    pub(super) hosts: Vec<Host<S::Machine>>,
    pub(super) clients: Clients,
    pub(super) watch: Watch,
    pub(super) trace: Trace,
    pub(super) counters: Counters,
    /// Chances of processes and clocks.
    pub(super) fate: Chance,
    /// Chances of disks.
    pub(super) disk: Chance,
    /// Chances of starts that fail.
    pub(super) starts: Chance,
    /// When the faults ended.
    pub(super) healed: Option<Time>,
    /// Whether all nodes went down at once, and nothing was committed since.
    pub(super) blackout: bool,
    pub(super) events: u64,
    pub(super) done: bool,
    /// Since when all is done, and how many frames had left by then.
    rest: Option<(Time, u64)>,
    /// See [`crate::check::Standing::goal`].
    pub(super) goal: Option<Height>,
    /// See [`crate::check::Standing::told`].
    pub(super) told: Height,
    /// Frames that left a node.
    pub(super) frames: u64,
    /// How often a victim came to the plan's crash point, and was struck there.
    pub(super) visits: u64,
    pub(super) struck: u64,
    /// How often a member came back with an old disk.
    pub(super) lapses: u64,
    /// When every node is asked next how it is.
    pub(super) sample_at: Time,
    /// The read that is being put in: what answers it at once needs nobody else.
    pub(super) reading: Option<RequestId>,
}

impl<S: System> World<S> {
    /// A world before anything happened.
    #[must_use]
    pub fn new(plan: Scenario, system: S, verbose: bool) -> Self {
        let mut fate = Chance::of(plan.seed, "fate");
        let mut host = |i: usize| {
            let id = NodeId(i as u16);
            // Clocks start anywhere: only spans mean something.
            Host::new(id, &system.safety(id), Time(fate.below(1 << 40)))
        };
        let mut hosts: Vec<_> = (0..plan.nodes).map(&mut host).collect();
        if plan.process.slow.0 > 0 {
            let slow = fate.index(plan.nodes);
            hosts[slow].slow = plan.process.slow;
        }
        Self {
            now: Time(0),
            queue: Queue::default(),
            network: Network::new(&plan),
            hosts,
            clients: Clients::new(&plan),
            watch: Watch::new(system.checks(), system.inspector()),
            trace: Trace::new(verbose),
            counters: Counters::default(),
            fate,
            disk: Chance::of(plan.seed, "disk"),
            starts: Chance::of(plan.seed, "starts"),
            healed: None,
            blackout: false,
            events: 0,
            done: false,
            rest: None,
            goal: None,
            told: Height(0),
            frames: 0,
            visits: 0,
            struck: 0,
            lapses: 0,
            sample_at: Time(0),
            reading: None,
            plan,
            system,
        }
    }

    /// Judges only this property: what it sees when the others do not see it first.
    #[must_use]
    pub fn only(mut self, property: &'static str) -> Self {
        self.watch.only(property);
        self
    }

    /// Lets it run to its end.
    #[must_use]
    pub fn run(mut self) -> Outcome {
        self.prepare();
        let most = MOST_EVENTS * (self.hosts.len() as u64).pow(2);
        while !self.done && !self.watch.over && self.watch.violation.is_none() {
            let Some((at, event)) = self.queue.pop() else {
                break;
            };
            self.now = at;
            self.events += 1;
            if self.events > most {
                self.watch
                    .end("storm", at, format!("{most} events and no end"));
                break;
            }
            self.sample();
            let happening = AssertUnwindSafe(|| self.happen(event));
            if let Err(panic) = catch_unwind(happening) {
                self.watch.end("panic", at, text(&*panic));
                break;
            }
        }
        if self.watch.violation.is_none() && !self.watch.over {
            self.watch.finish(self.now);
        }
        if self.watch.violation.is_some() {
            self.tell_statuses();
        }
        let mut caught = std::mem::take(&mut self.watch.caught);
        let lapses = (self.lapses > 0).then_some((LAPSE.name, self.lapses));
        for (way, told) in self.system.lies().into_iter().chain(lapses) {
            caught.ways.entry(way).or_default().told += told;
        }
        Outcome {
            trace: self.trace.hash(),
            tail: self.trace.into_lines(),
            payloads: self.watch.payloads(),
            heights: self.watch.heights(),
            struck: self.struck,
            asked: self.clients.asked(),
            caught,
            violation: self.watch.violation,
            counters: self.counters,
            time: self.now,
            events: self.events,
        }
    }

    /// What every node would tell its operator.
    fn tell_statuses(&mut self) {
        for host in &self.hosts {
            let node = host.id;
            let Some(life) = &host.life else { continue };
            self.trace
                .say(self.now, || format!("{node}: {:?}", life.machine.status()));
        }
    }

    fn prepare(&mut self) {
        let plan = &self.plan;
        let calm = plan.is_calm();
        if calm {
            self.counters.hit(Sometimes::Calm);
        }
        if plan.flexible.is_some() {
            self.counters.hit(Sometimes::Flexible);
        }
        if plan.real_signatures {
            self.counters.hit(Sometimes::RealSignatures);
        }
        for i in 0..plan.nodes {
            let at = Time(self.fate.below(plan.delay.0 * 4));
            self.queue.push(at, Event::Start(NodeId(i as u16)));
        }
        for i in 0..plan.clients {
            let at = Time(plan.delay.0 * 4 + self.fate.below(plan.think.0.max(1)));
            self.queue.push(at, Event::Begin(i));
        }
        self.queue.push(plan.safety, Event::Heal);
        if !calm {
            self.queue.push(Time(plan.delay.0 * 20), Event::Phase);
        }
        if plan.attack.as_ref().is_some_and(|it| it.name == AMNESIA) {
            self.later(Time(plan.timing.timeout.0 * 4), Event::Remember);
        }
        self.later(self.plan.process.crash_all, Event::CrashAll);
        self.later(self.plan.process.pause, Event::Pause);
        self.later(self.plan.process.clock_jump, Event::ClockJump);
        self.later(self.plan.process.shutdown, Event::Shutdown);
    }

    /// Has something happen after a drawn span of this mean; never if that is 0.
    pub(super) fn later(&mut self, mean: Time, event: Event) {
        if mean.0 > 0 && self.healed.is_none() {
            let at = self.now.plus(Time(self.fate.exponential(mean.0)));
            self.queue.push(at, event);
        }
    }

    pub(super) fn happen(&mut self, event: Event) {
        if let Some(node) = addressee(&event)
            && self.hosts[node.index()].makes_wait(self.now)
        {
            return self.wait(node, event);
        }
        self.handle(event);
    }

    /// A paused process gets nothing; what is for it waits in line.
    fn wait(&mut self, node: NodeId, event: Event) {
        let host = &mut self.hosts[node.index()];
        if host.line.is_empty() {
            self.queue
                .push(host.paused.max(self.now), Event::Resume(node));
        }
        host.line.push_back(event);
    }

    /// A process is handed what waits, until that pauses it again, as a slow one is by each input.
    fn resume(&mut self, node: NodeId) {
        loop {
            let host = &mut self.hosts[node.index()];
            if host.paused > self.now && !host.line.is_empty() {
                return self.queue.push(host.paused, Event::Resume(node));
            }
            let Some(event) = host.line.pop_front() else {
                return;
            };
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Deliver {
                to,
                from,
                class,
                name,
                frame,
            } => self.deliver(to, from, (class, name), frame),
            Event::Link { node, peer, up } => self.link(node, peer, up),
            Event::Resume(node) => self.resume(node),
            Event::Wake(process) => self.wake(process),
            Event::Written(process) => self.written(process),
            Event::Loaded(process, token, query) => self.loaded(process, token, &query),
            Event::Execute(process) => self.execute(process),
            Event::Start(node) => self.start(node),
            Event::Begin(client) => self.begin(client),
            Event::Impatient(client, timer) => self.impatient(client, timer),
            Event::Answer(request, reply) => self.answer(request, reply),
            Event::HungUp(request) => self.hung_up(request),
            Event::Phase => self.phase(),
            Event::CrashAll => self.crash_all(),
            Event::Pause => self.pause(),
            Event::ClockJump => self.clock_jump(),
            Event::Shutdown => self.shutdown(),
            Event::ShutDown(process) => self.shut_down(process),
            Event::Remember => self.remember(),
            Event::Forget(node, past) => self.forget(node, *past),
            Event::Heal => self.heal(),
            Event::Judge => self.judge(),
        }
    }

    fn phase(&mut self) {
        if self.healed.is_some() {
            return;
        }
        let change = self.network.phase(&self.plan, &mut self.counters);
        if self.plan.net.coups {
            self.coup();
        }
        if self.plan.disk.rots {
            self.rot();
        }
        self.trace
            .say(self.now, || format!("phase: {}", change.text));
        self.announce(&change);
        self.connect();
        self.later(self.plan.phase, Event::Phase);
    }

    /// A bit flips on one node's disk, wherever that is.
    fn rot(&mut self) {
        let node = self.plan.odd_one();
        let Self { disk, hosts, .. } = self;
        let at = &hosts[node.index()].disk;
        let store = if disk.one_in(3) { &at.state } else { &at.log };
        let table = store.rot(|rows| disk.index(rows));
        self.trace.say(self.now, || {
            let table = table.map_or("nothing", Table::name);
            format!("a bit flips on the disk of {node}, in {table}")
        });
    }

    fn announce(&mut self, change: &Change) {
        for &(one, other, up) in &change.connections {
            self.counters.hit(Sometimes::Reconnected);
            for (node, peer) in [(one, other), (other, one)] {
                let at = self.now.plus(Time(self.fate.below(self.plan.delay.0 * 4)));
                self.queue.push(at, Event::Link { node, peer, up });
            }
        }
    }

    fn pause(&mut self) {
        if self.healed.is_none() {
            let node = self.fate.index(self.hosts.len());
            let span = Time(self.fate.below(self.plan.timing.timeout.0 * 4));
            self.hosts[node].paused = self.now.plus(span);
            self.counters.hit(Sometimes::Paused);
            self.trace.say(self.now, || {
                format!("{node} pauses for {} ms", span.0 / 1_000_000)
            });
            self.later(self.plan.process.pause, Event::Pause);
        }
    }

    fn clock_jump(&mut self) {
        if self.healed.is_none() {
            let node = self.fate.index(self.hosts.len());
            let span = Time(self.fate.below(self.plan.timing.timeout.0 * 20));
            let host = &mut self.hosts[node];
            host.clock = host.clock.plus(span);
            self.counters.hit(Sometimes::ClockJumped);
            self.trace.say(self.now, || {
                format!("{node}'s clock jumps by {} ms", span.0 / 1_000_000)
            });
            self.rearm(NodeId(node as u16));
            self.later(self.plan.process.clock_jump, Event::ClockJump);
        }
    }

    fn crash_all(&mut self) {
        if self.healed.is_some() {
            return;
        }
        if self.fate.one_in(3) {
            self.stop_all();
        } else {
            self.power_loss();
        }
        self.later(self.plan.process.crash_all, Event::CrashAll);
    }

    pub(super) fn power_loss(&mut self) {
        self.trace.say(self.now, || "all nodes lose power".into());
        self.counters.hit(Sometimes::CrashedAll);
        self.blackout = true;
        for i in 0..self.hosts.len() {
            self.crash(NodeId(i as u16));
        }
    }

    fn heal(&mut self) {
        self.healed = Some(self.now);
        let change = self.network.heal();
        self.trace.say(self.now, || "the faults end".into());
        let n = self.hosts.len();
        if self.plan.stay_down > 0 {
            self.counters.hit(Sometimes::StayedDown);
        }
        let down = self.hosts.iter().filter(|host| host.retired).count();
        let mut left = self.plan.stay_down - down;
        let first = self.plan.net.hoards || self.plan.disk.rots;
        let mut first = first.then(|| self.plan.odd_one());
        while left > 0 {
            let node = first
                .take()
                .map_or_else(|| self.fate.index(n), NodeId::index);
            if !self.hosts[node].retired {
                self.hosts[node].retired = true;
                self.crash(NodeId(node as u16));
                left -= 1;
            }
        }
        // What has to be reached from now on takes disks that keep up with the time-outs.
        self.plan.disk.stalls = 0;
        for host in &mut self.hosts {
            host.paused = Time(0);
            host.slow = Time(0);
            if let Some(life) = &mut host.life {
                life.countdown = None;
            }
        }
        self.announce(&change);
        self.connect();
        self.judge();
    }

    fn judge(&mut self) {
        let Some(healed) = self.healed else { return };
        let standing = self.standing();
        let liveness = Liveness {
            healed,
            bound: self.plan.liveness_bound(),
        };
        if let Err(violation) = liveness.judge(self.now, &standing) {
            let Violation { property, at, what } = violation;
            return self.watch.end(property, at, what);
        }
        if self.clients.done() && liveness.settled(self.now, &standing) {
            return self.rest(liveness.bound);
        }
        self.rest = None;
        self.queue
            .push(self.now.plus(self.plan.timing.timeout), Event::Judge);
    }

    /// All is done: what follows must be rest. The last certificates and checkpoints may still be
    /// under way, and resends; then no more leaves than the protocol says.
    fn rest(&mut self, bound: Time) {
        let span = self.plan.timing.at_rest();
        let (since, frames) = *self.rest.get_or_insert((self.now, self.frames));
        let most = self.system.frames_at_rest(span);
        let restless = most.is_some_and(|it| self.frames > frames + it);
        if restless && self.now.since(since) < bound {
            self.rest = Some((since, self.frames));
        } else if restless {
            let what = format!(
                "an idle cluster still sends after {} ms",
                bound.0 / 1_000_000
            );
            return self.watch.end("idle", self.now, what);
        } else if self.now > since {
            self.counters.hit(Sometimes::Idle);
            self.sample_at_rest();
            self.read_everything();
            self.done = true;
            return;
        }
        self.queue.push(self.now.plus(span), Event::Judge);
    }
}

/// What a panic said.
fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied())
        .unwrap_or("no text")
        .to_owned()
}

/// The process that has to take part in an event.
fn addressee(event: &Event) -> Option<NodeId> {
    match event {
        Event::Deliver { to, .. } => Some(*to),
        Event::Link { node, .. } => Some(*node),
        Event::Wake((node, _))
        | Event::Written((node, _))
        | Event::Loaded((node, _), ..)
        | Event::Execute((node, _)) => Some(*node),
        _ => None,
    }
}
