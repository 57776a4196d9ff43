//! What happens to leaders on purpose: they are cut off, stopped, killed, or asked to shut down.

use super::counters::Sometimes;
use super::event::{Event, Process};
use super::system::System;
use super::world::World;
use crypto::{NodeId, Time};
use engine::{Input, Machine as _};

impl<S: System> World<S> {
    /// The node that leads, as it believes; of several, the one of the highest view.
    fn leader(&self) -> Option<NodeId> {
        let leads = |host: &super::host::Host<S::Machine>| {
            let status = host.life.as_ref()?.machine.status().consensus;
            (status.leader == Some(host.id)).then_some((status.view, host.id))
        };
        let leader = self.hosts.iter().filter_map(leads).max();
        leader.map(|(_, node)| node)
    }

    /// The leader is overthrown, in one way or another, while it has something under way: some have
    /// heard the last of it, and some have not.
    pub(super) fn coup(&mut self) {
        let Some(leader) = self.leader().filter(|_| !self.fate.one_in(5)) else {
            return;
        };
        self.counters.hit(Sometimes::Overthrown);
        let n = self.hosts.len();
        let helper = NodeId(((leader.index() + 1 + self.fate.index(n - 1)) % n) as u16);
        let how = self.fate.below(6);
        self.trace.say(self.now, || {
            format!("{leader} is overthrown: {how}, {helper}")
        });
        match how {
            0 | 1 => self.network.cut_off(&[leader]),
            2 => self.network.cut_off(&[leader, helper]),
            3 => {
                let span = self.fate.below(self.plan.timing.timeout.0 * 4);
                self.hosts[leader.index()].paused = self.now.plus(Time(span));
            }
            // What the leader has not synced is lost, and who has it is not there to be elected.
            4 => {
                self.network.cut_off(&[helper]);
                self.crash(leader);
            }
            _ => self.crash(leader),
        }
    }

    /// A node, oftenest the leader, is asked to shut down. It has a time-out to hand over what it
    /// leads; then it is gone.
    pub(super) fn shutdown(&mut self) {
        if self.healed.is_some() {
            return;
        }
        let any = NodeId(self.fate.index(self.hosts.len()) as u16);
        let leader = self.leader();
        let node = leader.filter(|_| !self.fate.one_in(4)).unwrap_or(any);
        self.trace
            .say(self.now, || format!("{node} is to shut down"));
        let process = self.process(node);
        self.input(node, Input::Shutdown);
        let span = Time(self.fate.below(self.plan.timing.timeout.0));
        self.queue
            .push(self.now.plus(span), Event::ShutDown(process));
        self.later(self.plan.process.shutdown, Event::Shutdown);
    }

    pub(super) fn shut_down(&mut self, process: Process) {
        if self.alive(process).is_some() {
            self.counters.hit(Sometimes::ShutDown);
            self.crash(process.0);
        }
    }
}
