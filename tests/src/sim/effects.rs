//! What a node wants done, and how it is done here: sends, writes, loads, execution.

use super::counters::Sometimes;
use super::crash_point::{Kind, Place};
use super::event::{Event, Process};
use super::network::Frame;
use super::system::System;
use super::world::World;
use crate::check::{DAMAGE, HALT, Seen};
use bytes::Bytes;
use crypto::{Hasher, Height, NodeId, Time};
use engine::{Class, Effect, Input, Query};
use storage::memory::Fault;
use storage::{Commit, Executed, Job, Op, Table, WriteBatch};

impl<S: System> World<S> {
    pub(super) fn effect(&mut self, node: NodeId, effect: Effect) {
        match effect {
            Effect::Send { to, class, frame } => {
                let about = self.sent(node, &frame);
                self.send((node, to), class, about, &frame);
            }
            Effect::Broadcast { class, frame } => {
                let about = self.sent(node, &frame);
                let process = self.process(node);
                for to in (0..self.hosts.len() as u16)
                    .map(NodeId)
                    .filter(|to| *to != node)
                {
                    self.send((node, to), class, about, &frame);
                    if self.alive(process).is_none() {
                        return;
                    }
                }
            }
            Effect::Write {
                token,
                batch,
                sync,
                view,
            } => {
                self.stored(node, &batch);
                if self.boundary(node, Sometimes::CrashedAtWrite) {
                    return;
                }
                if self.due(
                    node,
                    |it| matches!(it, Place::BeforeWrite(kind) if kind.is_in(&batch)),
                ) {
                    return self.strike(node);
                }
                if let Some(life) = &mut self.hosts[node.index()].life {
                    life.waiting.push(Job {
                        token,
                        batch,
                        sync,
                        view,
                    });
                }
                self.next_group(node);
            }
            Effect::Load { token, query } => {
                if query.table == Table::Record {
                    self.counters.hit(Sometimes::LoadedRecords);
                }
                let at = self
                    .now
                    .plus(Time(self.disk.exponential(self.plan.disk_times.load.0)));
                self.queue
                    .push(at, Event::Loaded(self.process(node), token, query));
            }
            Effect::Execute { to, handed } => self.execute_up_to(node, to, handed),
            Effect::Reply { request, reply } => {
                self.replied(node, request, &reply);
                let at = self.now.plus(Time(self.fate.below(self.plan.delay.0)));
                self.queue.push(at, Event::Answer(request, reply));
            }
            told => self.told(node, told),
        }
    }

    /// What a machine tells, and nothing has to be done about.
    fn told(&mut self, node: NodeId, effect: Effect) {
        match effect {
            Effect::Evidence(it) => {
                let what = format!("{:?} and {:?}", it.first.0, it.second.0);
                self.see(Seen::Accused {
                    by: node,
                    node: it.node,
                    what,
                });
            }
            Effect::Rejected { from, reject } => {
                self.trace.say(self.now, || {
                    format!("{node} refuses a message of {from}: {reject}")
                });
                self.see(Seen::Rejected {
                    by: node,
                    from,
                    reject,
                });
            }
            Effect::Notice(text) => self.trace.say(self.now, || format!("{node} notes: {text}")),
            Effect::Committed {
                height,
                batches,
                transactions,
            } => {
                self.trace.number(height.0);
                self.trace.say(self.now, || {
                    format!("{node} commits {height}: {transactions} in {batches:?}")
                });
                self.committed(node, height, batches.len());
            }
            Effect::Halt { .. } if !self.system.honest(node) => self.crash(node),
            Effect::Halt { reason } => {
                self.watch
                    .blame(HALT, self.now, format!("node {node} halts: {reason}"))
            }
            Effect::Send { .. }
            | Effect::Broadcast { .. }
            | Effect::Write { .. }
            | Effect::Load { .. }
            | Effect::Execute { .. }
            | Effect::Reply { .. } => unreachable!("done by `effect`"),
        }
    }

    fn send(
        &mut self,
        (from, to): (NodeId, NodeId),
        class: Class,
        (name, view, height): (&'static str, u64, u64),
        frame: &Bytes,
    ) {
        if self.boundary(from, Sometimes::CrashedAtSend) {
            return;
        }
        if self.due(from, |it| it == Place::BeforeSend) {
            return self.strike(from);
        }
        let Self {
            network,
            plan,
            counters,
            queue,
            now,
            ..
        } = self;
        let it = Frame {
            class,
            name,
            view,
            height,
            bytes: frame,
        };
        for (at, class, name, frame) in network.send(*now, (from, to), it, plan, counters) {
            let deliver = Event::Deliver {
                to,
                from,
                class,
                name,
                frame,
            };
            queue.push(at, deliver);
        }
    }

    /// Has the storage thread take up what waits, if it is idle.
    fn next_group(&mut self, node: NodeId) {
        let Self {
            hosts,
            plan,
            disk,
            queue,
            now,
            ..
        } = self;
        let host = &mut hosts[node.index()];
        let Some(life) = &mut host.life else { return };
        if life.writing.is_some() || life.waiting.is_empty() {
            return;
        }
        let group = std::mem::take(&mut life.waiting);
        let times = &plan.disk_times;
        let mut span = disk.exponential(times.write.0);
        if group.iter().any(|job| job.sync) {
            let stalled = disk.per_million(plan.disk.stalls);
            span += disk.exponential(times.sync.0) * if stalled { 50 } else { 1 };
        }
        life.writing = Some(group);
        queue.push(
            now.plus(Time(span)),
            Event::Written((node, host.incarnation)),
        );
    }

    pub(super) fn written(&mut self, process: Process) {
        let node = process.0;
        let Some(life) = self.alive(process) else {
            return;
        };
        let Some(group) = life.writing.take() else {
            return;
        };
        let synced = group.iter().any(|job| job.sync);
        // A crash between the write and its sync, or between the sync and the answer.
        if synced && life.countdown == Some(1) {
            self.cut_sync(process, group);
            self.boundary(node, Sometimes::CrashedAtSync);
            return;
        }
        let holds = |kind: Kind| group.iter().any(|job| kind.is_in(&job.batch));
        let kinds = Kind::ALL.into_iter().filter(|kind| holds(*kind));
        let kinds: Vec<Kind> = kinds.collect();
        if synced
            && self.due(
                node,
                |it| matches!(it, Place::InSync(kind) if kinds.contains(&kind)),
            )
        {
            self.cut_sync(process, group);
            return self.strike(node);
        }
        let Some(life) = self.alive(process) else {
            return;
        };
        if let Some(countdown) = &mut life.countdown
            && synced
        {
            *countdown -= 1;
        }
        let promised = group
            .iter()
            .filter(|_| synced)
            .flat_map(|job| promises(node, &job.batch));
        let promised: Vec<Seen> = promised.collect();
        match life.group.commit(group) {
            Ok(done) => {
                promised.into_iter().for_each(|it| self.see(it));
                if self.boundary(node, Sometimes::CrashedAtAnswer) {
                    return;
                }
                if self.due(
                    node,
                    |it| matches!(it, Place::AfterWrite(kind) if kinds.contains(&kind)),
                ) {
                    return self.strike(node);
                }
                for token in done.tokens {
                    self.trace.number(token);
                    if self.alive(process).is_none() {
                        return;
                    }
                    self.input(node, Input::Written { token });
                }
                if self.alive(process).is_some() {
                    self.next_group(node);
                }
            }
            Err(error) => self.stop(node, &error.to_string()),
        }
    }

    /// What the storage thread has under way when the process dies may be on the disk, in whole or in
    /// part, though nobody was told.
    pub(super) fn cut_write(&mut self, node: NodeId) {
        let process = self.process(node);
        let life = self.alive(process);
        if let Some(group) = life.and_then(|life| life.writing.take()) {
            self.cut_sync(process, group);
        }
    }

    /// A group reaches the store, and its sync fails, if it has one.
    fn cut_sync(&mut self, process: Process, group: Vec<Job<u64>>) {
        let log = &self.hosts[process.0.index()].disk.log;
        if group.iter().any(|job| job.sync) {
            log.fail(Fault::Sync, 0);
        }
        if let Some(life) = self.alive(process) {
            // It fails as it was made to.
            let _ = life.group.commit(group);
        }
    }

    pub(super) fn loaded(&mut self, process: Process, token: u64, query: &Query) {
        if self.alive(process).is_none() {
            return;
        }
        let node = process.0;
        match query.run(&*self.hosts[node.index()].disk.log) {
            Ok(rows) => self.input(node, Input::Loaded { token, rows }),
            Err(error) => self.stop(node, &error.to_string()),
        }
    }

    fn execute_up_to(&mut self, node: NodeId, to: Height, handed: Option<Commit>) {
        let process = self.process(node);
        let Some(life) = self.alive(process) else {
            return;
        };
        life.execute_to = life.execute_to.max(to);
        life.executor.hand(handed);
        if !life.executing {
            life.executing = true;
            self.schedule_execution(process);
        }
    }

    fn schedule_execution(&mut self, process: Process) {
        let span = self.disk.exponential(self.plan.disk_times.execute.0);
        self.queue
            .push(self.now.plus(Time(span)), Event::Execute(process));
    }

    pub(super) fn execute(&mut self, process: Process) {
        let node = process.0;
        if self.alive(process).is_none() || self.boundary(node, Sometimes::CrashedAtExecute) {
            return;
        }
        if self.due(node, |it| it == Place::Execution) {
            return self.strike(node);
        }
        let now = self.hosts[node.index()].local(self.now);
        let Some(life) = self.alive(process) else {
            return;
        };
        match life.executor.step(now, life.execute_to) {
            Ok(list) => self.executed(process, list),
            Err(error) => self.stop(node, &error.to_string()),
        }
    }

    fn executed(&mut self, process: Process, list: Vec<Executed>) {
        let node = process.0;
        let Some(last) = list.last().map(|it| it.height) else {
            let Some(life) = self.alive(process) else {
                return;
            };
            life.executing = false;
            // What waits for the log is given to it again once that is written.
            let waits = life.executor.waits();
            let behind = !waits && life.executor.applied().height < life.execute_to;
            if behind && self.system.honest(node) {
                self.watch.blame(
                    DAMAGE,
                    self.now,
                    format!("node {node} is told to execute what its log lacks"),
                );
            }
            return;
        };
        for it in &list {
            self.execution_seen(node, it);
        }
        let host = &mut self.hosts[node.index()];
        host.executed = host.executed.max(last);
        let known = host.executed;
        if let Some(life) = &mut host.life
            && life.recovering
            && last >= known
        {
            life.recovering = false;
        }
        if self.boundary(node, Sometimes::CrashedAtExecute) {
            return;
        }
        if self.due(node, |it| it == Place::Execution) {
            return self.strike(node);
        }
        self.input(node, Input::Executed(list));
        if self.alive(process).is_some() {
            self.schedule_execution(process);
        }
    }
}

/// The promises in a write, as they lie in the log: their keys begin with a zero.
fn promises(node: NodeId, batch: &WriteBatch) -> impl Iterator<Item = Seen> {
    batch.ops().iter().filter_map(move |op| match op {
        Op::Put(Table::Guard, row, promise) if row.first() == Some(&0) => Some(Seen::Promised {
            node,
            row: row.to_vec(),
            content: Hasher::new("quorate/sim/promise").bytes(promise).finish(),
        }),
        _ => None,
    })
}
