//! The life of a node: start, inputs, crash.

use super::counters::Sometimes;
use super::event::{Event, Process};
use super::host::Life;
use super::network::pairs;
use super::system::System;
use super::world::World;
use crate::check::{DAMAGE, Seen};
use bytes::Bytes;
use crypto::{NodeId, Time};
use engine::{Class, Effect, Input, Machine};
use storage::memory::Fault;

type Checked<S> = <<S as System>::Machine as Machine>::Checked;

/// A node tells how full its collections are after each so many-th step. (After every one costs as much as
/// all the rest.)
const MEASURED: u64 = 32;
/// In the words of an error that was asked for.
const INJECTED: &str = "injected";
/// As many ticks at one moment are a busy loop.
const MOST_TICKS: u32 = 1_000;

impl<S: System> World<S> {
    /// The life that a completion is for, if it still goes on.
    pub(super) fn alive(&mut self, (node, incarnation): Process) -> Option<&mut Life<S::Machine>> {
        let host = &mut self.hosts[node.index()];
        if host.incarnation == incarnation {
            host.life.as_mut()
        } else {
            None
        }
    }

    pub(super) fn process(&self, node: NodeId) -> Process {
        (node, self.hosts[node.index()].incarnation)
    }

    pub(super) fn start(&mut self, node: NodeId) {
        let host = &self.hosts[node.index()];
        if host.life.is_some() || host.retired {
            return;
        }
        self.arm_start(node);
        let host = &mut self.hosts[node.index()];
        host.incarnation += 1;
        // A process begins to count time anew.
        if host.incarnation > 1 {
            host.clock = Time(self.fate.below(1 << 40));
        }
        let now = host.local(self.now);
        let first = self.system.safety(node);
        let mut effects = Vec::new();
        let policy = self.system.safety_policy();
        let payload_of = self.system.payload_of();
        let limits = self.system.limits();
        let opened = host
            .disk
            .open(&first, policy, limits, &self.plan, payload_of);
        let started = opened.and_then(|opened| {
            let applied = opened.executor.applied();
            let machine = self
                .system
                .start(node, now, &opened.log, applied, &mut effects)?;
            Ok((machine, opened))
        });
        let (machine, opened) = match started {
            Ok(started) => started,
            Err(why) => return self.does_not_start(node, &why),
        };
        let applied = opened.executor.applied().height;
        let recovering = applied < host.executed;
        let life = Life {
            machine,
            group: opened.group,
            waiting: Vec::new(),
            writing: None,
            executor: opened.executor,
            execute_to: applied,
            executing: false,
            armed: None,
            ticks: (Time(0), 0),
            steps: 0,
            countdown: None,
            recovering,
        };
        host.life = Some(life);
        self.arm_crash(node);
        self.trace.say(self.now, || {
            format!("{node} starts, state at height {applied}")
        });
        let report = self.report(node);
        self.see(Seen::Started(node, report));
        self.started(node);
        self.carry_out(node, effects);
        self.connect();
    }

    fn does_not_start(&mut self, node: NodeId, why: &str) {
        if !self.system.honest(node) {
            self.trace
                .say(self.now, || format!("{node} does not start: {why}"));
        } else if self.is_rotten(node, why) {
            self.retire(node);
        } else if why.contains(INJECTED) {
            self.counters.hit(Sometimes::FailedStart);
            self.hosts[node.index()].disk.stop();
            self.start_later(node);
        } else {
            // Nothing that a disk may do takes back what was synced, so nothing may be missing.
            let what = format!("node {node} refuses to start: {why}");
            self.watch.blame(DAMAGE, self.now, what);
        }
    }

    /// Whoever is up and can reach another connects to it, sooner or later.
    pub(super) fn connect(&mut self) {
        for (one, other) in pairs(self.hosts.len()) {
            let up = |node: NodeId| self.hosts[node.index()].life.is_some();
            if !up(one) || !up(other) || self.network.is_cut(one, other) {
                continue;
            }
            for (node, peer) in [(one, other), (other, one)] {
                if !self.hosts[node.index()].peers.contains(&peer) {
                    let at = self
                        .now
                        .plus(Time(1 + self.fate.below(self.plan.delay.0 * 2)));
                    self.queue.push(
                        at,
                        Event::Link {
                            node,
                            peer,
                            up: true,
                        },
                    );
                }
            }
        }
    }

    /// Draws at which read of its log or state a process that was there before fails to start.
    fn arm_start(&mut self, node: NodeId) {
        let host = &self.hosts[node.index()];
        let again = host.incarnation > 0 && self.healed.is_none();
        if again && self.plan.disk.failed > 0 && self.starts.one_in(8) {
            let store = self.starts.pick(&[&host.disk.log, &host.disk.state]);
            store.fail(Fault::Read, self.starts.exponential(8));
        }
    }

    /// Draws at which boundary the new process crashes.
    fn arm_crash(&mut self, node: NodeId) {
        if self.healed.is_some() {
            return;
        }
        let (crash, again) = (self.plan.process.crash, self.plan.process.crash_in_recovery);
        let restarted = self.hosts[node.index()].incarnation > 1;
        let countdown = if restarted && again > 0 && self.fate.one_in(3) {
            Some(1 + self.fate.exponential(again))
        } else if crash > 0 {
            Some(1 + self.fate.exponential(crash))
        } else {
            None
        };
        let rate = self.plan.disk.failed;
        let disk = &self.hosts[node.index()].disk;
        // The mean number of calls up to the first failure.
        let mean = 1_000_000 / u64::from(rate.max(1));
        if rate > 0 && self.disk.one_in(2) {
            let fault = self.disk.pick(&[Fault::Write, Fault::Sync, Fault::Read]);
            disk.log.fail(fault, self.disk.exponential(mean));
        }
        if rate > 0 && self.disk.one_in(4) {
            let fault = self.disk.pick(&[Fault::Write, Fault::Flush, Fault::Read]);
            disk.state.fail(fault, self.disk.exponential(mean));
        }
        if rate > 0 && self.disk.one_in(8) {
            disk.safety.fail_write_after(self.disk.exponential(mean));
        }
        if let Some(life) = &mut self.hosts[node.index()].life {
            life.countdown = countdown;
        }
    }

    /// Passes a persist or send boundary. True: the process crashed there.
    pub(super) fn boundary(&mut self, node: NodeId, what: Sometimes) -> bool {
        let Some(life) = &mut self.hosts[node.index()].life else {
            return true;
        };
        let Some(left) = &mut life.countdown else {
            return false;
        };
        *left -= 1;
        if *left > 0 {
            return false;
        }
        let recovering = life.recovering;
        let leader = life.machine.status().consensus.leader == Some(node);
        self.counters.hit(what);
        if recovering {
            self.counters.hit(Sometimes::CrashedInRecovery);
        }
        if leader {
            self.counters.hit(Sometimes::CrashedLeader);
        }
        self.trace
            .say(self.now, || format!("{node} crashes ({})", what.text()));
        if what == Sometimes::CrashedAtAnswer && self.plan.disk.torn {
            // Nothing was released yet, so the last write of the safety file may be torn.
            let kept = self.disk.index(storage::safety::ENCODED);
            if self.hosts[node.index()].disk.safety.tear(kept) {
                self.counters.hit(Sometimes::TornSafety);
            }
        }
        self.crash(node);
        true
    }

    /// The process dies; the disk keeps what it must, and whatever it likes of the rest.
    pub(super) fn crash(&mut self, node: NodeId) {
        self.cut_write(node);
        let Self {
            plan, disk, hosts, ..
        } = self;
        let host = &mut hosts[node.index()];
        if host.life.take().is_none() {
            return;
        }
        let keep = |total: u64| match (plan.disk.lose_unsynced, disk.below(3)) {
            (false, _) => total,
            (true, 0) => 0,
            (true, _) => disk.below(total + 1),
        };
        let lost = host.disk.log.crash(keep);
        host.disk.state.crash(|_| 0);
        host.peers.clear();
        host.disk.safety.crash();
        if lost.lost > 0 {
            self.counters.hit(Sometimes::LostUnsynced);
        }
        self.trace.say(self.now, || {
            format!(
                "{node} is down; log: {} kept, {} lost",
                lost.kept, lost.lost
            )
        });
        self.see(Seen::Stopped(node));
        self.disconnect_clients(node);
        let n = self.hosts.len() as u16;
        for peer in (0..n).map(NodeId).filter(|peer| *peer != node) {
            let at = self.now.plus(Time(self.fate.below(self.plan.delay.0 * 8)));
            self.queue.push(
                at,
                Event::Link {
                    node: peer,
                    peer: node,
                    up: false,
                },
            );
        }
        self.start_later(node);
    }

    fn start_later(&mut self, node: NodeId) {
        let down = self.plan.timing.timeout.0 * self.fate.pick(&[0, 1, 1, 4, 12]);
        let at = self.now.plus(Time(1 + self.fate.below(down)));
        self.queue.push(at, Event::Start(node));
    }

    /// A failed disk, or an error that stops the process.
    pub(super) fn stop(&mut self, node: NodeId, why: &str) {
        self.trace.say(self.now, || format!("{node} stops: {why}"));
        if !self.system.honest(node) {
            self.crash(node);
        } else if self.is_rotten(node, why) {
            self.crash(node);
            self.retire(node);
        } else if why.contains(INJECTED) {
            self.counters.hit(Sometimes::FailedDisk);
            self.crash(node);
        } else {
            self.watch
                .blame(DAMAGE, self.now, format!("node {node} stops: {why}"));
        }
    }

    /// Whether a process ends since it met a bit that flipped on its disk.
    fn is_rotten(&self, node: NodeId, why: &str) -> bool {
        self.plan.disk.rots && node == self.plan.odd_one() && why.contains("checksum")
    }

    /// Its disk is of no use any more: it stays down.
    fn retire(&mut self, node: NodeId) {
        self.trace.say(self.now, || {
            format!("{node} stays down: its disk is damaged")
        });
        self.counters.hit(Sometimes::Rotted);
        self.hosts[node.index()].retired = true;
    }

    pub(super) fn deliver(
        &mut self,
        to: NodeId,
        from: NodeId,
        (class, name): (Class, &'static str),
        frame: Bytes,
    ) {
        let Some(life) = &mut self.hosts[to.index()].life else {
            return;
        };
        let window = life.machine.window();
        let followed = self.watch.inspector.follows(name);
        let leader = followed.then(|| life.machine.status().consensus.leader);
        let frames = self.frames;
        if self.system.honest(to) && !self.system.honest(from) {
            self.watch.hearing = self.system.lie(&frame);
        }
        match self.system.ingress().admit(from, &frame, &window) {
            Ok(message) => {
                if self.trace.verbose() {
                    let it = self.watch.inspector.read(from, &frame);
                    self.trace.say(self.now, || {
                        format!("{to} <- {from} {} ({class:?})", it.text())
                    });
                }
                self.trace.number(u64::from(to.0) << 16 | u64::from(from.0));
                if let Some(way) = self.watch.hearing {
                    self.watch.caught.ways.entry(way).or_default().taken += 1;
                }
                self.input(to, Input::Message { from, message });
                if let Some(leader) = leader {
                    let Self {
                        watch, counters, ..
                    } = self;
                    let answered = self.frames > frames;
                    watch
                        .inspector
                        .delivered(to, name, leader, answered, counters);
                }
            }
            Err(reject) => self.see(Seen::Rejected {
                by: to,
                from,
                reject,
            }),
        }
        self.watch.hearing = None;
    }

    pub(super) fn link(&mut self, node: NodeId, peer: NodeId, up: bool) {
        if self.hosts[node.index()].life.is_none() {
            return;
        }
        // It may be old news.
        let there = self.hosts[peer.index()].life.is_some() && !self.network.is_cut(node, peer);
        if up && !there {
            return;
        }
        let peers = &mut self.hosts[node.index()].peers;
        let (changed, input) = if up {
            (peers.insert(peer), Input::Connected(peer))
        } else {
            (peers.remove(&peer), Input::Disconnected(peer))
        };
        if !changed {
            return;
        }
        self.trace.say(self.now, || {
            format!(
                "{node} is told that {peer} is {}",
                if up { "up" } else { "down" }
            )
        });
        self.input(node, input);
        if !up && there {
            let at = self
                .now
                .plus(Time(1 + self.fate.below(self.plan.delay.0 * 4)));
            self.queue.push(
                at,
                Event::Link {
                    node,
                    peer,
                    up: true,
                },
            );
        }
    }

    pub(super) fn wake(&mut self, process: Process) {
        let now = self.now;
        let Some(life) = self.alive(process) else {
            return;
        };
        // While it was paused its hour may have passed; what is armed for later wakes it then.
        if life.armed.is_none_or(|at| at > now) {
            return;
        }
        life.armed = None;
        let (at, count) = &mut life.ticks;
        *count = if *at == now { *count + 1 } else { 1 };
        *at = now;
        if *count > MOST_TICKS {
            let what = format!("node {} asks for tick after tick at one moment", process.0);
            return self.watch.end("busy loop", now, what);
        }
        self.input(process.0, Input::Tick);
    }

    /// One step of a machine, if it runs.
    pub(super) fn input(&mut self, node: NodeId, input: Input<Checked<S>>) {
        let host = &mut self.hosts[node.index()];
        let now = host.local(self.now);
        let Some(life) = &mut host.life else { return };
        let mut effects = Vec::new();
        life.machine.step(now, input, &mut effects);
        life.steps += 1;
        let measured = life.steps.is_multiple_of(MEASURED);
        if host.slow.0 > 0 {
            host.paused = self.now.plus(host.slow);
        }
        let telling = |e: &Effect| matches!(e, Effect::Write { .. } | Effect::Committed { .. });
        let changed = effects.iter().any(telling);
        let incarnation = host.incarnation;
        self.carry_out(node, effects);
        let Some(life) = self.alive((node, incarnation)) else {
            return;
        };
        if measured {
            let sizes = life.machine.sizes();
            self.see(Seen::Measured { node, sizes });
        }
        if changed {
            let report = self.report(node);
            self.see(Seen::Reported(node, report));
        }
    }

    /// Begins what a step wants done, in order; a crash cuts the rest off.
    fn carry_out(&mut self, node: NodeId, effects: Vec<Effect>) {
        let process = self.process(node);
        let mut effects = effects.into_iter();
        while let Some(effect) = effects.next() {
            self.effect(node, effect);
            if self.alive(process).is_none() {
                return effects.for_each(|it| self.signed_in_vain(node, &it));
            }
        }
        self.rearm(node);
    }

    /// A crash keeps back what was signed already: that counts as if it had left.
    fn signed_in_vain(&mut self, node: NodeId, effect: &Effect) {
        let (Effect::Send { frame, .. } | Effect::Broadcast { frame, .. }) = effect else {
            return;
        };
        let it = self.watch.inspector.read(node, frame);
        self.see(Seen::Sent {
            node,
            promises: it.promises,
            certified: it.certified,
            led: it.led,
        });
    }

    /// Sees to it that the machine is woken at its deadline.
    pub(super) fn rearm(&mut self, node: NodeId) {
        let host = &mut self.hosts[node.index()];
        let Some(life) = &host.life else { return };
        let Some(deadline) = life.machine.deadline() else {
            return;
        };
        let at = host.global(deadline).max(self.now);
        if life.armed != Some(at) {
            let process = (node, host.incarnation);
            if let Some(life) = &mut host.life {
                life.armed = Some(at);
            }
            self.queue.push(at, Event::Wake(process));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::sim::event::Event;
    use crate::sim::queue::Queue;
    use crate::sim::{Honest, Protocol, Scenario, World};
    use consensus::hotstuff::HotStuff;
    use crypto::{NodeId, Time};

    /// Found by seed 903 of PBFT: a leader that was cut off while it was stopped stood still for ever.
    #[test]
    fn a_process_that_was_stopped_at_its_hour_is_woken_when_it_goes_on() {
        let plan = Scenario::calm(Protocol::HotStuff, 1, 4);
        let system = Honest::<HotStuff>::of(&plan);
        let mut world = World::new(plan, system, false);
        world.happen(Event::Start(NodeId(0)));
        let armed = |world: &World<_>| world.hosts[0].life.as_ref().and_then(|it| it.armed);
        let hour = armed(&world).expect("it waits for others");
        let until = hour.plus(Time::millis(10));
        world.hosts[0].paused = until;
        world.queue = Queue::default();
        let wake = Event::Wake((NodeId(0), world.hosts[0].incarnation));
        for (at, event) in [(hour, Some(wake)), (until, None)] {
            world.now = at;
            let event = event.or_else(|| world.queue.pop().map(|(_, event)| event));
            world.happen(event.expect("it is put off"));
        }
        assert!(
            armed(&world) > Some(until),
            "it is awake: {:?}",
            armed(&world)
        );
    }

    /// Found by seed 74 of PBFT under `mutate`: each input of a slow node had all that waits for it put off
    /// once more, and the run ended as a storm.
    #[test]
    fn what_waits_for_a_slow_process_waits_in_line() {
        const MANY: u64 = 200;
        let plan = Scenario::calm(Protocol::HotStuff, 1, 4);
        let system = Honest::<HotStuff>::of(&plan);
        let mut world = World::new(plan, system, false);
        let [node, peer] = [NodeId(0), NodeId(1)];
        world.happen(Event::Start(node));
        world.happen(Event::Start(peer));
        world.queue = Queue::default();
        world.hosts[0].slow = Time::millis(1);
        for number in 0..MANY {
            let up = number % 2 == 0;
            world.queue.push(Time(0), Event::Link { node, peer, up });
        }
        let mut events = 0;
        while events < MANY || !world.hosts[0].line.is_empty() {
            let (at, event) = world.queue.pop().expect("it has much to do");
            world.now = at;
            world.happen(event);
            events += 1;
        }
        assert!(world.now >= Time::millis(MANY - 1), "it is slow");
        assert!(events < 10 * MANY, "{events} events");
    }
}
