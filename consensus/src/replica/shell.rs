//! The shell's one loop.

use super::checkpoint::{CheckpointDraft, Checkpoints};
use super::commits::Commits;
use super::evidence::Witness;
use super::gate::{Gate, Held};
use super::guard::{Damaged, Guard};
use super::wire::{Promise, Wire};
use super::{Checkpoint, Effect, LogOp, ReplicaInput, ShellConfig, StableCheckpoint, Stored};
use crate::{
    Committed, Config, Draft, Evidence, Input, Message, Output, Outputs, Protocol, Status, To,
    Window,
};
use crypto::{Kind, NodeId, Reject, Signature, Signer, Size, Slot, Statement, Time, Verified};
use std::collections::VecDeque;
use std::sync::Arc;

type Queued<P> = Held<<P as Protocol>::Draft, <P as Protocol>::Message>;

/// A protocol with the shell around it.
pub struct Replica<P: Protocol> {
    protocol: P,
    signer: Signer,
    gate: Gate<P::Draft, P::Message>,
    guard: Guard<P>,
    commits: Commits,
    checkpoints: Checkpoints,
    witness: Witness,
    /// What is to be handled in this step: the input, then own messages that came through the gate.
    inbox: VecDeque<ReplicaInput<P>>,
    /// The last statement signed: it goes to several receivers, and is signed for the first.
    signed: Option<(Statement, Signature)>,
    refused: u64,
    halted: bool,
}

/// What one protocol step leads to: one write, the sends that wait for it, and the rest.
struct Turn<P: Protocol> {
    ops: Vec<LogOp<P>>,
    held: Vec<(To, Queued<P>)>,
    effects: Vec<Effect<P>>,
    /// Whether it is synced though no send waits for it.
    sync: bool,
}

impl<P: Protocol> Replica<P> {
    /// Genesis, restart, state sync and a new epoch all enter here. What is sent first waits for a
    /// sync of all that was read back.
    ///
    /// # Errors
    /// [`Damaged`]: the guard cannot tell what was promised, so this key must not sign.
    pub fn recover(
        config: Config,
        shell: &ShellConfig,
        signer: Signer,
        now: Time,
        stored: Stored<P>,
        out: &mut Vec<Effect<P>>,
    ) -> Result<Self, Damaged> {
        let Stored {
            anchor,
            records,
            guard,
            floors,
            stable,
            evidence,
            histories,
            state,
            fence,
        } = stored;
        let found = state.map(|state| (anchor.executed, state));
        let guard = Guard::restore(config.leaders.clone(), guard, floors)?;
        let own = guard
            .of(Kind::Checkpoint)
            .filter_map(|promise| match promise {
                Promise::Checkpoint(draft) if draft.epoch == config.context.epoch => Some(*draft),
                _ => None,
            });
        let checkpoints = Checkpoints::new(&config, shell, stable, histories, own);
        let commits = Commits::new(&anchor);
        let mut outputs = Outputs::default();
        let mut replica = Self {
            protocol: P::recover(config, now, anchor, records, &mut outputs),
            signer,
            gate: Gate::new(fence),
            guard,
            commits,
            checkpoints,
            witness: Witness::restore(&evidence),
            inbox: VecDeque::new(),
            signed: None,
            refused: 0,
            halted: false,
        };
        let mut turn = Turn::new();
        replica.take(outputs, &mut turn);
        replica.tell_checkpoint(now, &mut turn);
        // What is flushed at its height is not executed again, and so would never count here.
        replica.send_checkpoints(To::All, &mut turn);
        if let Some((height, state)) = found {
            let draft = replica.checkpoints.found(height, state);
            replica.sign_checkpoint(draft, &mut turn);
        }
        replica.finish(turn, out);
        replica.run(now, out);
        Ok(replica)
    }

    /// One deterministic step.
    ///
    /// # Panics
    /// If the protocol breaks its contract, or the engine reports a fence that was never written.
    pub fn step(&mut self, now: Time, input: ReplicaInput<P>, out: &mut Vec<Effect<P>>) {
        if self.halted {
            return;
        }
        match input {
            ReplicaInput::Durable(fence) => self.gate.durable(fence),
            ReplicaInput::Protocol(Input::Message { from, .. })
            | ReplicaInput::Checkpoint { from, .. }
                if from == self.signer.me =>
            {
                // Own messages count only when they come through the gate.
                out.push(Effect::Reject(from, Reject::WrongSender));
            }
            other => self.inbox.push_back(other),
        }
        self.run(now, out);
    }

    /// When to wake next.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        if self.halted {
            None
        } else {
            self.protocol.deadline()
        }
    }
    /// What ingress drops before it spends a signature check.
    #[must_use]
    pub fn window(&self) -> Window {
        self.protocol.window()
    }
    /// See [`Protocol::departed`].
    #[must_use]
    pub fn departed(&self) -> bool {
        self.protocol.departed()
    }
    /// The current view or term.
    #[must_use]
    pub fn view(&self) -> crypto::View {
        self.protocol.view()
    }
    /// The protocol's state for the operator.
    #[must_use]
    pub fn status(&self) -> Status {
        self.protocol.status()
    }
    /// The newest checkpoint that a quorum has signed.
    #[must_use]
    pub fn stable(&self) -> Option<&StableCheckpoint> {
        self.checkpoints.stable()
    }
    /// Who has lied, and in which slot, as far as the proofs are kept: see [`Effect::Evidence`].
    pub fn proven(&self) -> impl Iterator<Item = (NodeId, Slot)> {
        self.witness.proven()
    }
    /// See [`Protocol::sizes`]: the protocol's and the shell's own.
    pub fn sizes(&self, into: &mut Vec<Size>) {
        self.protocol.sizes(into);
        self.gate.sizes(into);
        self.guard.sizes(into);
        self.checkpoints.sizes(into);
        self.witness.sizes(into);
    }
    /// How many sends wait for the disk.
    #[must_use]
    pub fn waiting_for_disk(&self) -> usize {
        self.gate.len()
    }
    /// How many statements the guard has refused since the start: old ones, and ones in a tenure
    /// that was given up.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }
    /// The protocol itself, for who looks closer.
    #[must_use]
    pub fn protocol(&self) -> &P {
        &self.protocol
    }

    /// Sends what may leave, and handles inputs, until there are none.
    fn run(&mut self, now: Time, out: &mut Vec<Effect<P>>) {
        loop {
            self.release(out);
            let Some(input) = self.inbox.pop_front() else {
                return;
            };
            let mut turn = Turn::new();
            self.handle(now, input, &mut turn);
            self.finish(turn, out);
            if self.halted {
                self.inbox.clear();
                return;
            }
        }
    }

    fn handle(&mut self, now: Time, input: ReplicaInput<P>, turn: &mut Turn<P>) {
        let input = match input {
            ReplicaInput::Protocol(input) => input,
            ReplicaInput::Checkpoint { from, checkpoint } => {
                return self.collect(now, from, *checkpoint, turn);
            }
            ReplicaInput::Durable(fence) => return self.gate.durable(fence),
        };
        match &input {
            Input::Message { message, .. } => {
                if let Some((node, statement, signature)) = message.statement() {
                    self.witness(node, statement, signature, turn);
                }
            }
            Input::Executed { height, state } => {
                let draft = self.checkpoints.executed(*height, *state);
                self.sign_checkpoint(draft, turn);
                if self.halted {
                    return;
                }
            }
            Input::Connected { peer } => {
                self.send_checkpoints(To::One(*peer), turn);
            }
            _ => {}
        }
        let mut outputs = Outputs::default();
        self.protocol.step(now, input, &mut outputs);
        self.take(outputs, turn);
    }

    /// The next height is committed: its write comes before it is told.
    fn committed(
        &mut self,
        committed: Committed<P::Proof>,
        by_leader: bool,
        turn: &mut Turn<P>,
    ) -> Effect<P> {
        self.commits.extend(&committed);
        self.checkpoints
            .committed(committed.height, committed.history);
        let committed = Arc::new(committed);
        turn.ops.push(LogOp::Commit(Arc::clone(&committed)));
        Effect::Commit {
            committed,
            by_leader,
        }
    }

    /// Sorts the protocol's outputs.
    fn take(&mut self, outputs: Outputs<P>, turn: &mut Turn<P>) {
        for output in outputs.0 {
            let effect = match output {
                Output::Persist(record) => {
                    turn.ops.push(LogOp::Put(record));
                    continue;
                }
                Output::Truncate(from) => {
                    turn.ops.push(LogOp::Truncate(from));
                    continue;
                }
                Output::Forget(below) => {
                    turn.ops.push(LogOp::Forget(below));
                    continue;
                }
                Output::Send(to, draft) => {
                    self.send(to, draft, turn);
                    continue;
                }
                Output::Checkpoint(to) => {
                    self.send_checkpoints(to, turn);
                    continue;
                }
                Output::Stable(stable) => {
                    self.adopt(&stable, turn);
                    continue;
                }
                Output::Commit {
                    committed,
                    by_leader,
                } => self.committed(committed, by_leader, turn),
                Output::WantPayload {
                    ticket,
                    height,
                    budget,
                    exclude,
                } => Effect::WantPayload {
                    ticket,
                    height,
                    budget,
                    exclude,
                },
                Output::CheckPayload {
                    block,
                    height,
                    payload,
                } => Effect::CheckPayload {
                    block,
                    height,
                    payload,
                },
                Output::DropCheck(block) => Effect::DropCheck(block),
                Output::Return(payload) => Effect::Return(payload),
                Output::Load { token, which } => Effect::Load { token, which },
                Output::Read(id, at) => Effect::Read(id, at),
                Output::Behind { target, holders } => Effect::Behind { target, holders },
                Output::Evidence(evidence) => {
                    self.accuse(evidence, turn);
                    continue;
                }
                Output::Reject(from, reject) => Effect::Reject(from, reject),
                Output::Leader(leader) => Effect::Leader(leader),
            };
            turn.effects.push(effect);
        }
    }

    /// A send of the protocol: signed ones pass the guard and the gate; unsigned ones the gate, or
    /// neither if they promise nothing.
    fn send(&mut self, to: To, draft: P::Draft, turn: &mut Turn<P>) {
        if draft.statement().is_some() {
            return self.promise(to, Promise::Protocol(draft), turn);
        }
        let message = draft.seal(None);
        let overtakes = message.may_overtake();
        let message = Arc::new(Wire::Protocol(message));
        if !overtakes {
            turn.held.push((to, Held::Sealed(message)));
            return;
        }
        let (peers, me) = self.split(to);
        if let Some(to) = peers {
            turn.effects.push(Effect::Send {
                to,
                message: Arc::clone(&message),
            });
        }
        if me {
            turn.held.push((To::Me, Held::Sealed(message)));
        }
    }

    /// What execution came to: a checkpoint, or the end.
    fn sign_checkpoint(
        &mut self,
        draft: Result<Option<CheckpointDraft>, String>,
        turn: &mut Turn<P>,
    ) {
        match draft {
            Ok(None) => {}
            Ok(Some(draft)) => self.promise(To::All, Promise::Checkpoint(draft), turn),
            Err(reason) => self.halt(reason, turn),
        }
    }

    /// The own checkpoints that are not stable yet.
    fn send_checkpoints(&mut self, to: To, turn: &mut Turn<P>) {
        for draft in self.checkpoints.unstable() {
            self.promise(to, Promise::Checkpoint(draft), turn);
        }
    }

    /// A statement to be signed.
    fn promise(&mut self, to: To, promise: Promise<P::Draft>, turn: &mut Turn<P>) {
        let statement = promise.statement().expect("only statements are promised");
        let epoch = self.signer.verifier.context.epoch;
        assert_eq!(statement.slot.epoch, epoch, "a statement of another epoch");
        match self.guard.admit(promise, statement, &mut turn.ops) {
            Some(promise) => turn.held.push((to, Held::Unsigned(promise))),
            None => self.refused += 1,
        }
    }

    /// Emits the write, then what need not wait for it; holds the rest.
    fn finish(&mut self, turn: Turn<P>, out: &mut Vec<Effect<P>>) {
        let Turn {
            ops,
            held,
            effects,
            sync,
        } = turn;
        let sync = sync || !held.is_empty();
        if let Some(write) = self.gate.write(!ops.is_empty(), sync) {
            out.push(Effect::Write {
                fence: write.fence,
                ops,
                sync: write.sync,
            });
        }
        for (to, held) in held {
            self.gate.hold(to, held);
        }
        out.extend(effects);
    }

    /// Signs and sends what the gate lets go; own copies go to the inbox.
    fn release(&mut self, out: &mut Vec<Effect<P>>) {
        while let Some((to, held)) = self.gate.release() {
            let message = match held {
                Held::Sealed(message) => message,
                Held::Unsigned(promise) => match self.sign(promise) {
                    Some(message) => Arc::new(message),
                    None => continue,
                },
            };
            let (peers, me) = self.split(to);
            if me {
                self.inbox.push_back(self.own(&message));
            }
            if let Some(to) = peers {
                out.push(Effect::Send { to, message });
            }
        }
    }

    fn sign(&mut self, promise: Promise<P::Draft>) -> Option<Wire<P::Message>> {
        let statement = promise.statement().expect("only statements are promised");
        if !self.guard.may_sign(&statement) {
            return None;
        }
        let again = self.signed.filter(|(last, _)| *last == statement);
        let signature = again.map_or_else(|| self.signer.sign(&statement), |(_, it)| it);
        self.signed = Some((statement, signature));
        Some(promise.seal(Some(signature)))
    }

    /// An own message that came through the gate.
    fn own(&self, message: &Wire<P::Message>) -> ReplicaInput<P> {
        let from = self.signer.me;
        match message {
            Wire::Protocol(message) => ReplicaInput::Protocol(Input::Message {
                from,
                message: Verified::own(message.clone(), &self.signer),
            }),
            Wire::Checkpoint(checkpoint) => ReplicaInput::Checkpoint {
                from,
                checkpoint: Verified::own(*checkpoint, &self.signer),
            },
        }
    }

    /// Which peers are meant, and whether this node is.
    fn split(&self, to: To) -> (Option<To>, bool) {
        match to {
            To::Me => (None, true),
            To::One(node) if node == self.signer.me => (None, true),
            To::One(node) => (Some(To::One(node)), false),
            To::All => (Some(To::Others), true),
            To::Others => (Some(To::Others), false),
        }
    }

    /// A member's checkpoint.
    fn collect(&mut self, now: Time, from: NodeId, checkpoint: Checkpoint, turn: &mut Turn<P>) {
        let statement = checkpoint.statement(&self.signer.verifier.context);
        self.witness(checkpoint.node, statement, checkpoint.signature, turn);
        match self.checkpoints.add(checkpoint) {
            Ok(None) => {}
            Ok(Some(stable)) => {
                self.adopt(&stable, turn);
                if !self.halted {
                    self.tell_checkpoint(now, turn);
                }
            }
            Err(reject) => turn.effects.push(Effect::Reject(from, reject)),
        }
    }

    /// A checkpoint is stable: it is kept, and the own state is held against it.
    fn adopt(&mut self, stable: &StableCheckpoint, turn: &mut Turn<P>) {
        if !self.checkpoints.adopt(stable) {
            return;
        }
        turn.ops.push(LogOp::Checkpoint(stable.clone()));
        turn.effects.push(Effect::Stable(stable.clone()));
        if let Err(reason) = self.checkpoints.compare(stable.height) {
            self.halt(reason, turn);
        }
    }

    /// Tells the protocol where checkpoints are made, and the newest stable one.
    fn tell_checkpoint(&mut self, now: Time, turn: &mut Turn<P>) {
        let input = Input::Checkpoint {
            every: self.checkpoints.every(),
            stable: self.checkpoints.stable().cloned().map(Arc::new),
        };
        let mut outputs = Outputs::default();
        self.protocol.step(now, input, &mut outputs);
        self.take(outputs, turn);
    }

    fn witness(&mut self, node: NodeId, it: Statement, signature: Signature, turn: &mut Turn<P>) {
        if let Some(evidence) = self.witness.observe(node, it, signature) {
            self.accuse(evidence, turn);
        }
    }

    /// A proof that somebody lied. It is synced: the liar may never speak again, and then nothing
    /// else would be written.
    fn accuse(&mut self, evidence: Evidence, turn: &mut Turn<P>) {
        if self.witness.keep(&evidence) {
            turn.ops.push(LogOp::Evidence(evidence.clone()));
            turn.effects.push(Effect::Evidence(evidence));
            turn.sync = true;
        }
    }

    fn halt(&mut self, reason: String, turn: &mut Turn<P>) {
        self.halted = true;
        turn.effects.push(Effect::Halt(reason));
    }
}

impl<P: Protocol> Turn<P> {
    fn new() -> Self {
        Self {
            ops: Vec::new(),
            held: Vec::new(),
            effects: Vec::new(),
            sync: false,
        }
    }
}
