//! The conversation between clients and nodes.

use super::client::{Asked, Manner, Task};
use super::counters::Sometimes;
use super::event::Event;
use super::history;
use super::system::System;
use super::watch::took_effect;
use super::world::World;
use crate::check::{Seen, Told, Way};
use crypto::{Height, NodeId, Time, Transaction};
use engine::{Input, Machine, Refusal, Reply, RequestId, Wait};
use storage::{Outcome, Receipt};

impl<S: System> World<S> {
    /// A client begins its next task.
    pub(super) fn begin(&mut self, client: usize) {
        // What a client would learn from its node: the height now.
        let heights = self.hosts.iter().filter_map(|h| h.life.as_ref());
        let height = heights.map(|l| l.machine.status().consensus.height).max();
        let height = height.unwrap_or(Height(0));
        let Some(task) = self.clients.begin(client, self.now, height, &self.plan) else {
            self.clients.rested = self.now;
            return;
        };
        for transaction in &task.transactions {
            let (sequence, id) = (transaction.sequence, transaction.digest());
            self.see(Seen::Signed {
                client: transaction.client,
                sequence,
                id,
            });
            if let Ok(request) = crypto::codec::decode(&transaction.body) {
                let (operation, on) = (history::name(&id), history::called(&request));
                self.see(Seen::Called { operation, on });
            }
        }
        if task.manner == Manner::Conflict {
            self.counters.hit(Sometimes::Conflicted);
        }
        self.attempt(client);
    }

    /// A client asks, for the first time or again.
    fn attempt(&mut self, client: usize) {
        let n = self.hosts.len() as u64;
        let it = &mut self.clients.list[client];
        let Some(task) = &mut it.task else { return };
        task.attempts += 1;
        it.timer += 1;
        if task.attempts > 1 && !self.plan.loyal {
            it.home = NodeId(self.clients.chance.below(n) as u16);
            self.counters.hit(Sometimes::Failover);
        }
        let (manner, timer, home, first) = (task.manner, it.timer, it.home, task.attempts == 1);
        let last = task.transactions.len().saturating_sub(1);
        let other = NodeId(((u64::from(home.0) + 1 + self.clients.chance.below(n - 1)) % n) as u16);
        let patience = self.plan.client_timeout();
        self.queue
            .push(self.now.plus(patience), Event::Impatient(client, timer));
        match manner {
            Manner::Read => self.read(client, home),
            Manner::Await if first => self.submit(client, home, 0, Wait::Accepted),
            Manner::Twice if first => {
                self.submit(client, home, 0, Wait::Committed);
                self.submit(client, other, 0, Wait::Committed);
            }
            Manner::Conflict if first => {
                self.submit(client, home, 0, Wait::Committed);
                self.submit(client, other, 1, Wait::Committed);
            }
            Manner::Cancel if first => {
                let request = self.submit_request(client, home, 0, Wait::Committed);
                self.clients.open.remove(&request);
                self.input(home, Input::Cancel { request });
                self.submit(client, other, 0, Wait::Committed);
            }
            _ => self.submit(client, home, last, Wait::Committed),
        }
    }

    fn read(&mut self, client: usize, node: NodeId) {
        let timer = self.clients.list[client].timer;
        let request = self.clients.open(Asked {
            client,
            node,
            timer,
            which: 0,
        });
        self.see(Seen::ReadBegun { request: request.0 });
        self.see(Seen::Called {
            operation: request.0,
            on: vec![(self.clients.read_key(request).to_vec(), vec![])],
        });
        self.reading = Some(request);
        self.reach(node, request, |request| Input::Read { request });
        self.reading = None;
    }

    fn submit(&mut self, client: usize, node: NodeId, which: usize, wait: Wait) {
        self.submit_request(client, node, which, wait);
    }

    fn submit_request(
        &mut self,
        client: usize,
        node: NodeId,
        which: usize,
        wait: Wait,
    ) -> RequestId {
        let timer = self.clients.list[client].timer;
        let request = self.clients.open(Asked {
            client,
            node,
            timer,
            which,
        });
        let Some(task) = &self.clients.list[client].task else {
            return request;
        };
        let transaction = task.transactions[which].clone();
        let admitted = self.system.ingress().admit_transactions(vec![transaction]);
        match admitted.into_iter().next() {
            Some(Ok(transaction)) => {
                self.handed_in(node, transaction.transaction());
                self.reach(node, request, |request| Input::Submit {
                    request,
                    transaction,
                    wait,
                });
            }
            refused => {
                let what = format!("a sound transaction is not admitted: {refused:?}");
                self.watch.blame("L1", self.now, what);
            }
        }
        request
    }

    /// A client brings a transaction to a node: from the heal on, that has to see it ordered.
    fn handed_in(&mut self, node: NodeId, transaction: &Transaction) {
        let host = &self.hosts[node.index()];
        if self.healed.is_some() && host.life.is_some() && host.paused <= self.now {
            self.see(Seen::Submitted {
                node,
                client: transaction.client,
                sequence: transaction.sequence,
            });
        }
    }

    /// A node refuses what a client has brought.
    pub(super) fn not_taken(&mut self, request: RequestId) {
        let Some(asked) = self.clients.open.get(&request) else {
            return;
        };
        let node = asked.node;
        let task = self.clients.list[asked.client].task.as_ref();
        let transaction = task.and_then(|task| task.transactions.get(asked.which));
        if let Some((client, sequence)) = transaction.map(|it| (it.client, it.sequence)) {
            self.see(Seen::Refused {
                node,
                client,
                sequence,
            });
        }
    }

    /// Hands a request to a node, if that is up.
    fn reach(
        &mut self,
        node: NodeId,
        request: RequestId,
        input: impl FnOnce(RequestId) -> Input<<S::Machine as Machine>::Checked>,
    ) {
        let host = &self.hosts[node.index()];
        if host.life.is_none() || host.paused > self.now {
            let at = self.now.plus(self.plan.delay);
            self.queue.push(at, Event::HungUp(request));
            return;
        }
        self.trace
            .say(self.now, || format!("request {} to {node}", request.0));
        self.input(node, input(request));
    }

    /// A node went down: those who wait for its answer notice.
    pub(super) fn disconnect_clients(&mut self, node: NodeId) {
        let open = self
            .clients
            .open
            .iter()
            .filter(|(_, asked)| asked.node == node);
        for request in open.map(|(request, _)| *request).collect::<Vec<_>>() {
            let at = self.now.plus(Time(self.fate.below(self.plan.delay.0 * 4)));
            self.queue.push(at, Event::HungUp(request));
        }
    }

    pub(super) fn hung_up(&mut self, request: RequestId) {
        if let Some(asked) = self.clients.open.remove(&request) {
            self.try_soon(asked);
        }
    }

    /// Asks again after a while, unless an answer to another request comes first.
    fn try_soon(&mut self, asked: Asked) {
        let it = &mut self.clients.list[asked.client];
        if it.timer == asked.timer && it.task.is_some() {
            let at = self.now.plus(Time(self.plan.timing.timeout.0 / 2));
            self.queue
                .push(at, Event::Impatient(asked.client, asked.timer));
        }
    }

    pub(super) fn impatient(&mut self, client: usize, timer: u64) {
        let it = &self.clients.list[client];
        if it.timer == timer && it.task.is_some() {
            self.attempt(client);
        }
    }

    pub(super) fn answer(&mut self, request: RequestId, reply: Reply) {
        let saw = self.clients.saw.remove(&request);
        // What a liar says is no answer: his client asks elsewhere when he has waited long enough.
        let node = self.clients.open.get(&request).map(|asked| asked.node);
        if node.is_some_and(|node| !self.system.honest(node)) {
            return;
        }
        let Some(asked) = self.clients.open.remove(&request) else {
            return;
        };
        self.tell(request, &asked, &reply, saw);
        let Some(task) = &mut self.clients.list[asked.client].task else {
            return;
        };
        match reply {
            Reply::Accepted => {
                let Some(transaction) = task.transactions.get(asked.which) else {
                    return;
                };
                let (client, sequence) = (transaction.client, transaction.sequence);
                let next = self.clients.open(asked);
                self.reach(asked.node, next, |request| Input::Await {
                    request,
                    client,
                    sequence,
                });
            }
            Reply::ReadAt(_) => self.finish_task(asked.client),
            Reply::Executed(receipt) => {
                let again = task.manner == Manner::Again && !task.answered;
                let ours = task
                    .transactions
                    .iter()
                    .any(|t| t.sequence == receipt.sequence);
                if !ours {
                    return;
                }
                if again && took_effect(&receipt.outcome) {
                    task.answered = true;
                    self.attempt(asked.client);
                } else if self.plan.hasty && took_effect(&receipt.outcome) {
                    self.look_elsewhere(asked.client);
                } else {
                    self.finish_task(asked.client);
                }
            }
            // The number went to the task's other transaction.
            Reply::Refused(Refusal::SequenceUsed) => self.finish_task(asked.client),
            // The height passed it by, or the node is too far behind to take it.
            Reply::Refused(Refusal::Expired { height }) => {
                self.expired(asked.client, height);
                self.finish_task(asked.client);
            }
            Reply::Refused(Refusal::Invalid(why)) => {
                self.watch.blame(
                    "L1",
                    self.now,
                    format!("a sound transaction is refused: {why}"),
                );
            }
            Reply::Refused(_) => self.try_soon(asked),
        }
    }

    /// Whoever asks once the faults have ended, and with time enough, does not see it expire: a cluster
    /// that goes on, and leaves it out, would look as if all were done.
    fn expired(&mut self, client: usize, height: Height) {
        let Some(task) = self.clients.list[client].task.as_ref() else {
            return;
        };
        let passed = task.transactions.iter().all(|it| it.expires < height);
        let at_peace = self.healed.is_some_and(|healed| task.since > healed);
        if passed && at_peace && self.plan.lives_long() {
            let waited = self.now.since(task.since).0 / 1_000_000;
            let what = format!("client {client}'s transaction expired after {waited} ms at peace");
            self.watch.blame("L1", self.now, what);
        }
    }

    /// What a client is told goes into the history.
    fn tell(
        &mut self,
        request: RequestId,
        asked: &Asked,
        reply: &Reply,
        saw: Option<(Vec<u8>, Way)>,
    ) {
        let told = match reply {
            Reply::ReadAt(_) => saw.map(|saw| (request.0, vec![saw])),
            Reply::Executed(receipt) => {
                let task = self.clients.list[asked.client].task.as_ref();
                let mut sent = task.into_iter().flat_map(|task| &task.transactions);
                let ours = sent.find(|it| it.digest() == receipt.transaction);
                ours.and_then(|it| told(it, receipt))
            }
            _ => None,
        };
        if let Some((operation, told)) = told {
            self.see(Seen::Returned { operation, told });
        }
    }

    /// A client reads at another node what it was just told of.
    fn look_elsewhere(&mut self, client: usize) {
        let n = self.hosts.len() as u64;
        let it = &mut self.clients.list[client];
        let other = u64::from(it.home.0) + 1 + self.clients.chance.below(n - 1);
        it.home = NodeId((other % n) as u16);
        it.task = Some(Task::read(self.now));
        self.clients.open.retain(|_, asked| asked.client != client);
        self.counters.hit(Sometimes::LookedElsewhere);
        self.attempt(client);
    }

    fn finish_task(&mut self, client: usize) {
        let it = &mut self.clients.list[client];
        it.task = None;
        it.timer += 1;
        self.clients.rested = self.now;
        self.clients.open.retain(|_, asked| asked.client != client);
        let think = Time(self.clients.chance.exponential(self.plan.think.0));
        self.queue.push(self.now.plus(think), Event::Begin(client));
    }
}

/// What a receipt tells of a transaction that took effect.
fn told(transaction: &Transaction, receipt: &Receipt) -> Option<(u64, Told)> {
    let Outcome::Done { succeeded, replies } = &receipt.outcome else {
        return None;
    };
    let request = crypto::codec::decode(&transaction.body).ok()?;
    let told = history::returned(&request, *succeeded, replies.as_deref());
    Some((history::name(&receipt.transaction), told))
}
