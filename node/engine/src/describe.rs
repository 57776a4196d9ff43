//! What the operator is told.

use crate::{Engine, Status};
use consensus::Protocol;
use crypto::{Hasher, NodeId, Size, Slot};

impl<P: Protocol> Engine<P> {
    pub(crate) fn describe(&self) -> Status {
        let config = &self.setup.config;
        Status {
            node: config.me,
            fault_model: self.setup.fault_model,
            protocol: self.setup.protocol,
            consensus: self.replica.status(),
            state_height: self.execution.executed,
            state_digest: if crypto::planted!(Canary) {
                Hasher::new("canary").number(config.me.0.into()).finish()
            } else {
                self.execution.state
            },
            pending: self.pool.stats(),
            connected: self.connected,
            requests: self.requests.len(),
            evidence: self.proven(),
            may_end: self.may_end(),
            waiting: self.waiting(),
        }
    }

    /// Who has lied, as far as the proofs are durable.
    fn proven(&self) -> Vec<(NodeId, Slot)> {
        let waits = |it: &(NodeId, Slot)| self.proofs.iter().any(|(_, proof)| proof.about() == *it);
        self.replica.proven().filter(|it| !waits(it)).collect()
    }

    /// Whether somebody else leads, or nobody can, and all who asked here have their answers.
    fn may_end(&self) -> bool {
        let departed = self.replica.departed() || self.out_of_touch.is_some();
        self.shutting_down && departed && self.requests.len() == 0
    }

    fn waiting(&self) -> Option<String> {
        let quorum = self.setup.config.quorums.commit;
        if self.connected.len() < quorum {
            let missing: Vec<String> = self.missing().iter().map(|id| id.to_string()).collect();
            return Some(format!(
                "in touch with {} of {} nodes, {quorum} are needed; out of reach: {}",
                self.connected.len(),
                self.setup.config.validators.n(),
                missing.join(", ")
            ));
        }
        // Why, if the protocol knows; else only that.
        let why = self.replica.status().waiting;
        let why = why.or_else(|| self.stands_still());
        let why = why.or_else(|| crypto::planted!(CryWolf).then(|| "nothing moves".into()));
        why.filter(|_| !crypto::planted!(SayNothing))
    }

    /// Whether something is to be ordered or executed here.
    pub(crate) fn has_work(&self) -> bool {
        self.pool.has_work() || self.execution.executed < self.execution.committed
    }

    /// That nothing has moved for a while, and what waits.
    fn stands_still(&self) -> Option<String> {
        let timeout = self.setup.config.timing.timeout;
        let lasted = self.standstill.lasted(self.now, timeout)?;
        let ms = lasted.0 / 1_000_000;
        let (committed, executed) = (self.execution.committed, self.execution.executed);
        if executed < committed {
            let (next, lacking) = (executed.next(), self.pool.stats().unavailable);
            return Some(format!(
                "height {next} is committed and not executed for {ms} ms ({lacking} heights lack payload)"
            ));
        }
        let stats = self.pool.stats();
        let (transactions, batches) = (stats.transactions, stats.batches);
        Some(format!(
            "nothing was committed for {ms} ms; {transactions} transactions and {batches} batches wait"
        ))
    }

    /// Loads under way: for each peer the pool's and the protocol's, and what this node needs itself.
    fn most_loads(&self) -> usize {
        let (n, pool) = (self.setup.config.validators.n(), &self.setup.pool);
        n * (pool.loads + 2) + pool.fetches + 1
    }

    /// Writes under way: each load may give one out before its time.
    fn most_writes(&self) -> usize {
        self.setup.writes + self.most_loads()
    }

    /// Bytes that wait for the disk: of the writes under way, of what this node itself makes while no
    /// more are given out, and of what one step says.
    fn most_bytes_to_write(&self) -> usize {
        self.setup.write_bytes + self.setup.pool.author_bytes + 2 * self.setup.pool.block_bytes
    }

    /// See [`crate::Machine::sizes`].
    pub(crate) fn tell_sizes(&self) -> Vec<Size> {
        let mut sizes = Vec::new();
        self.pool.sizes(&mut sizes);
        self.replica.sizes(&mut sizes);
        let (pool, loads) = (&self.setup.pool, self.most_loads());
        sizes.extend([
            Size::new("requests", self.requests.len(), self.setup.requests),
            Size::new("loads", self.loading.len(), loads),
            Size::new("writes under way", self.fences.len(), self.most_writes()),
            Size::new(
                "bytes to write",
                self.writing.bytes(),
                self.most_bytes_to_write(),
            ),
        ]);
        self.execution
            .sizes(pool.block_bytes, self.most_writes(), &mut sizes);
        sizes
    }
}
