//! The node: the shell with its protocol, the pool, and the books of what is under way. Inputs are
//! dispatched here; what comes out of the protocol is handled in `ordering`, what comes out of the
//! pool in `pooling`, execution in `execution`.

use crate::execution::Execution;
use crate::ingress::Checked;
use crate::requests::Requests;
use crate::standstill::Standstill;
use crate::{Effect, Input, Machine, Refusal, RequestId, Setup, Status, Wait};
use consensus::replica::{Fence, Replica, ReplicaInput};
use consensus::{Evidence, Protocol, ReadId, Token, Window};
use crypto::{Digest, Height, NodeId, NodeSet, PublicKey, Size, Time};
use mempool::{CheckedTransaction, Mempool};
use std::collections::{BTreeMap, VecDeque};
use storage::WriteBatch;

/// What one part of the node wants another to know; handled before the step ends.
pub(crate) enum Internal<P: Protocol> {
    Replica(ReplicaInput<P>),
    Pool(mempool::Input),
}

/// Who asked for rows of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loading {
    Records(Token),
    Batch(Digest),
}

/// A node that runs the protocol `P`.
pub struct Engine<P: Protocol> {
    pub(crate) setup: Setup,
    pub(crate) replica: Replica<P>,
    pub(crate) pool: Mempool,
    pub(crate) execution: Execution,
    pub(crate) requests: Requests,
    pub(crate) connected: NodeSet,
    /// Since when fewer than a commit quorum are in touch.
    pub(crate) out_of_touch: Option<Time>,
    pub(crate) shutting_down: bool,
    /// What is to be written next.
    pub(crate) writing: Writing,
    pub(crate) internal: VecDeque<Internal<P>>,
    /// The fences of the synced writes that are not yet answered, in order of token; the last of each.
    pub(crate) fences: VecDeque<(u64, Fence)>,
    /// The proofs of lies that are not durable yet, each with its write: nobody is told of them.
    pub(crate) proofs: VecDeque<(u64, Evidence)>,
    pub(crate) loading: BTreeMap<u64, Loading>,
    pub(crate) last_load: u64,
    /// Since when the oldest batch waits; `None`: none does.
    pub(crate) pending: Option<Time>,
    /// Since when work waits and nothing moves.
    pub(crate) standstill: Standstill,
    pub(crate) now: Time,
}

/// The next write. What nobody waits for, batches above all, stays here until a write that somebody
/// waits for carries it along: a thread less to wake for each batch. It is ahead of that write in
/// the same log, so whatever relies on it is durable no earlier than before.
#[derive(Debug, Default)]
pub(crate) struct Writing {
    pub(crate) batch: WriteBatch,
    pub(crate) sync: bool,
    /// Whether anybody waits for the answer.
    pub(crate) wanted: bool,
    /// Its token.
    pub(crate) token: u64,
    /// Since when something is in it.
    since: Option<Time>,
    /// The writes before it that the disk has not answered: token and bytes.
    given: VecDeque<(u64, usize)>,
    given_bytes: usize,
}

/// How long requests are taken while no quorum is in touch.
const MOMENT: Time = Time::millis(1_000);
/// A write is given out at this size, wanted or not.
const LAZY_BYTES: usize = 256 << 10;
/// And at this age.
const LAZY_AGE: Time = Time::millis(10);

impl Writing {
    /// The first write.
    pub(crate) fn first() -> Self {
        Self {
            token: 1,
            ..Self::default()
        }
    }
    /// Takes what is to be written, to give it out: token, rows, whether they are to be durable.
    fn give(&mut self) -> (u64, WriteBatch, bool) {
        let (token, batch) = (self.token, std::mem::take(&mut self.batch));
        let sync = std::mem::take(&mut self.sync);
        (self.wanted, self.since) = (false, None);
        self.token += 1;
        self.given.push_back((token, batch.bytes()));
        self.given_bytes += batch.bytes();
        (token, batch, sync)
    }
    /// The disk has answered all writes up to this one.
    fn answered(&mut self, token: u64) {
        while let Some(&(_, bytes)) = self.given.front().filter(|it| it.0 <= token) {
            self.given_bytes -= bytes;
            self.given.pop_front();
        }
    }
    /// Bytes that wait for the disk, given out or not.
    pub(crate) fn bytes(&self) -> usize {
        self.given_bytes + self.batch.bytes()
    }
    /// When it is given out for its age.
    fn due(&self) -> Option<Time> {
        self.since.map(|since| since.plus(LAZY_AGE))
    }
    /// At the end of a step: whether it is given out.
    fn ripe(&mut self, now: Time) -> bool {
        if self.batch.is_empty() {
            return self.sync || self.wanted;
        }
        let since = *self.since.get_or_insert(now);
        let old = now >= since.plus(LAZY_AGE);
        self.sync || self.wanted || old || self.batch.bytes() >= LAZY_BYTES
    }
}

impl<P: Protocol> Machine for Engine<P> {
    type Checked = Checked<P>;

    fn step(&mut self, now: Time, input: Input<Checked<P>>, out: &mut Vec<Effect>) {
        self.now = now;
        self.dispatch(input, out);
        self.settle(out);
        let at = (self.execution.committed, self.execution.executed);
        self.standstill.look(now, self.has_work(), at);
    }

    fn deadline(&self) -> Option<Time> {
        [
            self.replica.deadline(),
            self.pool.deadline(),
            self.writing.due().filter(|_| !self.is_stalled()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn window(&self) -> Window {
        self.replica.window()
    }

    fn status(&self) -> Status {
        self.describe()
    }

    fn sizes(&self) -> Vec<Size> {
        self.tell_sizes()
    }
}

impl<P: Protocol> Engine<P> {
    fn dispatch(&mut self, input: Input<Checked<P>>, out: &mut Vec<Effect>) {
        match input {
            // As if the network had lost it.
            Input::Message { .. } if self.is_stalled() => {}
            Input::Message {
                message: Checked::Replica(message),
                ..
            } => self.tell_replica(message),
            Input::Message {
                from,
                message: Checked::Pool(message),
            } => {
                self.tell_pool(mempool::Input::Message { from, message });
            }
            Input::Submit {
                request,
                transaction,
                wait,
            } => {
                self.submit(request, transaction, wait, out);
            }
            Input::Read { request } => self.read(request, out),
            Input::Await {
                request,
                client,
                sequence,
            } => {
                self.wait_for(request, client, sequence, out);
            }
            Input::Cancel { request } => self.requests.cancel(request),
            Input::Written { token } => self.written(token, out),
            Input::Loaded { token, rows } => self.loaded(token, &rows, out),
            Input::Executed(heights) => self.executed(heights, out),
            Input::Connected(peer) => {
                if self.setup.config.validators.contains(peer) && self.connected.insert(peer) {
                    self.look_around();
                    self.tell_protocol(consensus::Input::Connected { peer });
                    self.tell_pool(mempool::Input::Connected(peer));
                }
            }
            Input::Disconnected(peer) if peer != self.setup.config.me => {
                self.connected.remove(peer);
                self.look_around();
                self.tell_protocol(consensus::Input::Disconnected { peer });
            }
            Input::Disconnected(_) => {}
            Input::Shutdown => {
                self.shutting_down = true;
                self.tell_protocol(consensus::Input::Transfer { to: None });
            }
            Input::Tick => self.tick(),
        }
    }

    fn tick(&mut self) {
        if self.replica.deadline().is_some_and(|at| at <= self.now) {
            self.tell_protocol(consensus::Input::Tick);
        }
        if self.pool.deadline().is_some_and(|at| at <= self.now) {
            self.tell_pool(mempool::Input::Tick);
        }
    }

    /// Whether the disk has answered so few writes that no more are given out.
    fn is_stalled(&self) -> bool {
        let given = self.writing.token - 1;
        given.saturating_sub(self.execution.last_written()) >= self.setup.writes as u64
            || self.writing.given_bytes >= self.setup.write_bytes
    }

    /// Lets the parts of the node talk until all is said, then emits the step's write.
    pub(crate) fn settle(&mut self, out: &mut Vec<Effect>) {
        let mut effects = Vec::new();
        let mut outputs = Vec::new();
        while let Some(internal) = self.internal.pop_front() {
            match internal {
                Internal::Replica(input) => {
                    self.replica.step(self.now, input, &mut effects);
                    for effect in effects.drain(..) {
                        self.order(effect, out);
                    }
                }
                Internal::Pool(input) => {
                    self.pool.step(self.now, input, &mut outputs);
                    for output in outputs.drain(..) {
                        self.pooled(output, out);
                    }
                }
            }
        }
        if self.writing.ripe(self.now) && !self.is_stalled() {
            self.finish_write(out);
        }
    }

    /// Gives out what is to be written, in order.
    pub(crate) fn finish_write(&mut self, out: &mut Vec<Effect>) {
        let (token, batch, sync) = self.writing.give();
        let view = self.replica.view();
        out.push(Effect::Write {
            token,
            batch,
            sync,
            view,
        });
    }

    fn submit(
        &mut self,
        request: RequestId,
        transaction: CheckedTransaction,
        wait: Wait,
        out: &mut Vec<Effect>,
    ) {
        if let Err(why) = self.may_serve() {
            return self.requests.refused(request, why, out);
        }
        let t = transaction.transaction();
        let session = (t.client, t.sequence);
        self.requests
            .submit(request, wait, session, transaction.digest(), t.expires);
        self.tell_pool(mempool::Input::Submit {
            request: request.0,
            transaction,
        });
    }

    fn read(&mut self, request: RequestId, out: &mut Vec<Effect>) {
        if let Err(why) = self.may_serve() {
            return self.requests.refused(request, why, out);
        }
        self.requests.barrier(request);
        self.tell_protocol(consensus::Input::Read {
            id: ReadId(request.0),
        });
    }

    fn wait_for(
        &mut self,
        request: RequestId,
        client: PublicKey,
        sequence: u64,
        out: &mut Vec<Effect>,
    ) {
        match self.requests.room() {
            Ok(()) => self
                .requests
                .wait(request, (client, sequence), None, Height(u64::MAX)),
            Err(why) => self.requests.refused(request, why, out),
        }
    }

    /// Notes whether a quorum is in touch, and since when not.
    fn look_around(&mut self) {
        if self.connected.len() >= self.setup.config.quorums.commit {
            self.out_of_touch = None;
        } else {
            self.out_of_touch.get_or_insert(self.now);
        }
    }

    /// Whether a request that needs the cluster can be taken at all. Connections that are lost for
    /// a moment cost it time, not an error.
    fn may_serve(&self) -> Result<(), Refusal> {
        if self.shutting_down {
            return Err(Refusal::ShuttingDown);
        }
        if self
            .out_of_touch
            .is_some_and(|since| self.now >= since.plus(MOMENT))
        {
            return Err(Refusal::NoQuorum {
                missing: self.missing(),
            });
        }
        self.requests.room()
    }

    /// Validators that are not in touch.
    pub(crate) fn missing(&self) -> NodeSet {
        self.setup
            .config
            .validators
            .ids()
            .filter(|id| !self.connected.contains(*id))
            .collect()
    }

    fn written(&mut self, token: u64, out: &mut Vec<Effect>) {
        while let Some(&(of, fence)) = self.fences.front() {
            if of > token {
                break;
            }
            self.fences.pop_front();
            self.tell_replica(ReplicaInput::Durable(fence));
        }
        while self.proofs.front().is_some_and(|(of, _)| *of <= token) {
            let proof = self.proofs.pop_front();
            out.extend(proof.map(|(_, proof)| Effect::Evidence(proof)));
        }
        self.writing.answered(token);
        self.execution.written(token);
        self.may_execute(None, out);
    }

    fn loaded(&mut self, token: u64, rows: &[storage::Row], out: &mut Vec<Effect>) {
        match self.loading.remove(&token) {
            Some(Loading::Records(token)) => self.loaded_records(token, rows, out),
            Some(Loading::Batch(digest)) => {
                let bytes = rows.first().map(|(_, value)| value.clone());
                self.tell_pool(mempool::Input::Loaded { digest, bytes });
            }
            None => {}
        }
    }

    pub(crate) fn tell_replica(&mut self, input: ReplicaInput<P>) {
        self.internal.push_back(Internal::Replica(input));
    }

    pub(crate) fn tell_protocol(&mut self, input: consensus::Input<P>) {
        self.tell_replica(ReplicaInput::Protocol(input));
    }

    pub(crate) fn tell_pool(&mut self, input: mempool::Input) {
        self.internal.push_back(Internal::Pool(input));
    }

    /// Who this is.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.setup.config.me
    }
}
