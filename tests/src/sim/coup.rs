//! What happens to leaders on purpose: they are cut off, stopped, killed, or asked to shut down.

use super::counters::Sometimes;
use super::event::{Event, Process};
use super::system::System;
use super::world::World;
use crypto::{Height, NodeId, Time};
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
            self.wind_down(process.0);
        }
    }

    /// The operator stops all nodes, each in order.
    pub(super) fn stop_all(&mut self) {
        self.trace.say(self.now, || "all nodes are stopped".into());
        self.counters.hit(Sometimes::StoppedAll);
        for i in 0..self.hosts.len() {
            self.wind_down(NodeId(i as u16));
        }
    }

    /// A process ends in order: the machine first, which hears of nothing more; the log's thread writes
    /// what it was given; the executor carries out its orders, and flushes.
    fn wind_down(&mut self, node: NodeId) {
        let host = &mut self.hosts[node.index()];
        let now = host.local(self.now);
        let Some(life) = &mut host.life else { return };
        let mut group = life.writing.take().unwrap_or_default();
        group.append(&mut life.waiting);
        let mut executed = Vec::new();
        let ended = (|| {
            if !group.is_empty() {
                life.group
                    .commit(group)
                    .map_err(|error| error.to_string())?;
            }
            let failed = |error: storage::ExecuteError| error.to_string();
            loop {
                let step = life.executor.step(now, life.execute_to).map_err(failed)?;
                if step.is_empty() {
                    return life.executor.flush(true).map_err(failed);
                }
                executed.extend(step);
            }
        })();
        for it in &executed {
            self.execution_seen(node, it);
        }
        let host = &mut self.hosts[node.index()];
        let last = executed.last().map_or(Height(0), |it| it.height);
        host.executed = host.executed.max(last);
        match ended {
            Ok(_) => self.crash(node),
            Err(why) => self.stop(node, &why),
        }
    }
}
