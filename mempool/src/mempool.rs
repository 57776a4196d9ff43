//! The pool itself: its state, and one `match` that dispatches.

use crate::admit::Checked;
use crate::batches::Batches;
use crate::checks::Checks;
use crate::clients::Clients;
use crate::committed::Backlog;
use crate::handing::Handing;
use crate::loads::Loads;
use crate::pace::Pace;
use crate::served::Served;
use crate::wants::Wants;
use crate::{CheckedMessage, Config, Input, Output, Recovered, Remembered, Stats};
use crypto::{Height, NodeId, Size, Time};

/// The pool.
#[derive(Debug)]
pub struct Mempool {
    pub(crate) config: Config,
    pub(crate) clients: Clients,
    pub(crate) batches: Batches,
    pub(crate) memory: Remembered,
    pub(crate) backlog: Backlog,
    pub(crate) checks: Checks,
    pub(crate) wants: Wants,
    pub(crate) loads: Loads,
    pub(crate) served: Served,
    pub(crate) handing: Handing,
    /// Number of the last own batch.
    pub(crate) number: u64,
    /// Whether nothing is being ordered.
    pub(crate) idle: bool,
    /// How long a batch waits for company.
    pub(crate) pace: Pace,
    /// What was last said about waiting batches, and whether it must be said again.
    pub(crate) told: Option<Time>,
    pub(crate) tell: bool,
    /// Up to where availability was announced.
    pub(crate) announced: Height,
}

impl Mempool {
    /// Starts with what was stored. The first step says what is pending.
    ///
    /// # Panics
    /// If limits in `config` contradict each other.
    #[must_use]
    pub fn new(config: Config, now: Time, recovered: Recovered) -> Self {
        config.assert_sound();
        let n = config.n;
        let mut pool = Self {
            clients: Clients::default(),
            batches: Batches::new(n),
            memory: recovered.committed,
            backlog: Backlog::new(recovered.height),
            checks: Checks::default(),
            wants: Wants::new(&config),
            loads: Loads::new(n),
            served: Served::new(n),
            handing: Handing::new(),
            number: recovered.number,
            idle: true,
            pace: Pace::new(config.batch_delay),
            told: None,
            tell: false,
            announced: recovered.height,
            config,
        };
        pool.memory.expire(recovered.height);
        let mut batches = recovered.batches;
        batches.sort_by_key(|sealed| (sealed.reference().number, sealed.reference().author));
        for sealed in batches {
            pool.recover(now, sealed);
        }
        for reference in recovered.names {
            pool.recover_name(now, reference);
        }
        pool
    }

    /// One deterministic step.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Submit {
                request,
                transaction,
            } => self.submit(now, request, transaction, out),
            Input::Message { from, message } => self.receive(now, from, message, out),
            Input::Want {
                ticket,
                height,
                budget,
                exclude,
            } => self.want(now, ticket, height, (budget, exclude), out),
            Input::Check {
                block,
                height,
                payload,
            } => self.check(now, block, height, payload, out),
            Input::DropCheck(block) => self.drop_check(&block),
            // Nothing was set aside for the lost block: the protocol no longer excludes it.
            Input::Return(payload) => self.tell |= !payload.is_empty(),
            Input::Committed {
                height,
                payload,
                by_leader,
            } => self.committed(now, height, &payload, by_leader, out),
            Input::Loaded { digest, bytes } => self.loaded(now, digest, bytes, out),
            Input::Leader(leader) => self.handing.begin(leader, now),
            Input::Connected(peer) => self.connected(now, peer, out),
            Input::Idle(idle) => self.idle = idle,
            Input::Tick => {}
        }
        self.seal(now, false, out);
        self.fetch(now, out);
        self.offer(now, out);
        self.report(out);
    }

    /// When to wake next: a function of the state. A spurious wake is harmless.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let wakes = [
            self.seal_at(),
            self.wants.deadline(&self.config),
            self.handing.deadline(&self.config),
        ];
        wakes.into_iter().flatten().min()
    }

    /// The pool in numbers.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (transactions, transaction_bytes, clients) = self.clients.tally();
        let (batches, batch_bytes, memory) = self.batches.tally();
        Stats {
            transactions,
            transaction_bytes,
            clients,
            batches,
            batch_bytes,
            memory,
            committed: self.memory.len(),
            checks: self.checks.len(),
            wanted: self.wants.len(),
            unavailable: self.backlog.len(),
            loads: self.loads.len(),
        }
    }

    /// How full everything is that grows with what clients and peers send, each with its cap.
    pub fn sizes(&self, into: &mut Vec<Size>) {
        let config = &self.config;
        let (transactions, bytes, clients) = self.clients.tally();
        let most = config.pool_transactions;
        into.extend([
            Size::new("pool: transactions", transactions, most),
            Size::new("pool: bytes of transactions", bytes, config.pool_bytes),
            Size::new("pool: clients", clients, most),
            Size::new("pool: checks", self.checks.len(), config.checks),
            Size::new(
                "pool: committed",
                self.memory.len(),
                config.committed_batches,
            ),
        ]);
        self.backlog.sizes(config, into);
        self.batches.sizes(config, into);
        self.wants.sizes(config, into);
        self.loads.sizes(config, into);
        self.served.sizes(config, into);
        self.handing.sizes(config, into);
    }

    /// Whether anything waits to be ordered.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.batches.oldest().is_some() || self.clients.tally().0 > 0
    }

    fn receive(&mut self, now: Time, from: NodeId, message: CheckedMessage, out: &mut Vec<Output>) {
        assert!(
            from.index() < self.config.n,
            "a checked message comes from a member"
        );
        match message.0 {
            Checked::Batch(sealed) => self.pushed(now, from, sealed, out),
            Checked::Batches(list) => {
                for sealed in list {
                    self.fetched(now, sealed, out);
                }
            }
            Checked::Fetch(digests) => self.serve(now, from, digests, out),
            Checked::NotHeld(digests) => {
                for digest in digests {
                    self.wants.not_held(from, &digest, now);
                }
            }
            Checked::Offer(refs) => self.offered(now, from, &refs),
        }
    }

    /// Says what changed for those who wait on the pool.
    fn report(&mut self, out: &mut Vec<Output>) {
        let available = self.backlog.available();
        if available > self.announced {
            self.announced = available;
            out.push(Output::Available { height: available });
        }
        let oldest = self.batches.oldest();
        if self.tell || oldest != self.told {
            (self.tell, self.told) = (false, oldest);
            out.push(Output::Pending { oldest });
        }
    }

    pub(crate) fn height(&self) -> Height {
        self.backlog.committed()
    }
}
