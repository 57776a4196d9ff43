//! What a node is told when it starts: values only, worked out of genesis and `node.toml`.

use consensus::LeaderSchedule;
use consensus::common::ANSWER_BYTES;
use consensus::replica::ShellConfig;
use crypto::{Digest, FaultModel, NodeId, Scheme, Transaction, Verifier};
use genesis::{ClientAuth, Genesis, NodeConfig, Protocol};
use mempool::{Dissemination, Rules};
use std::num::NonZeroU64;
use std::sync::Arc;
use storage::{ExecutorConfig, FlushPolicy, Limits, SafetyPolicy, kv};

/// Heights between checkpoints.
const CHECKPOINTS: NonZeroU64 = NonZeroU64::new(1024).unwrap();
/// Under PBFT: a view change carries a certificate for every slot above the checkpoint.
const CHECKPOINTS_PBFT: NonZeroU64 = NonZeroU64::new(128).unwrap();
/// Heights that ordering may be ahead of execution.
const EXECUTION_LAG: u64 = 1024;
/// Bytes of old records loaded for one peer's request, where a record is small.
const LOAD_BYTES: usize = 1 << 20;
/// Writes under way, of which most hold what one message said.
const MOST_WRITES: usize = 1024;
/// Bytes of writes under way: some groups of the storage thread, a disk's work of a second.
const MOST_WRITE_BYTES: usize = 64 << 20;
/// What a frame may hold besides batches: list lengths, certificates.
const FRAME_OVERHEAD: usize = 64 << 10;

/// A node's configuration.
#[derive(Clone, Debug)]
pub struct Setup {
    /// For the protocol.
    pub config: consensus::Config,
    /// For the shell around it.
    pub shell: ShellConfig,
    /// For the pool.
    pub pool: mempool::Config,
    /// For the executor.
    pub executor: ExecutorConfig,
    /// When the safety file is written.
    pub safety: SafetyPolicy,
    /// The fault model, for the operator.
    pub fault_model: FaultModel,
    /// The protocol's name, for the operator.
    pub protocol: &'static str,
    /// The state digest of genesis.
    pub genesis_state: Digest,
    /// Most requests of clients that may wait at a time.
    pub requests: usize,
    /// Most writes that may be under way: while the disk stalls longer, what peers say is lost.
    pub writes: usize,
    /// And most bytes in them, but for the last one.
    pub write_bytes: usize,
    /// Bytes of the longest message about a change of views, where it grows with the slots that it is
    /// about; else 0.
    pub view_change_bytes: usize,
}

impl Setup {
    /// Node `me` of this chain. `seed` feeds the generator of protocols that draw lots.
    #[must_use]
    pub fn new(genesis: &Genesis, node: &NodeConfig, me: NodeId, seed: [u8; 32]) -> Self {
        let limits = &genesis.limits;
        let config = consensus::Config {
            me,
            context: genesis.context(),
            validators: genesis.validator_set(),
            quorums: genesis.quorums(),
            leaders: LeaderSchedule::RoundRobin {
                tenure: genesis.tenure,
            },
            timing: consensus::Timing {
                timeout: node.timing.timeout,
                timeout_cap: node.timing.timeout_cap,
                resend: node.timing.resend,
                linger: node.timing.linger,
                lease: genesis.lease(),
            },
            seed,
            block_bytes: limits.block_bytes,
            execution_lag: EXECUTION_LAG,
        };
        let pool = mempool::Config {
            dissemination: match genesis.protocol {
                Protocol::Raft => Dissemination::ToLeader,
                Protocol::Hotstuff | Protocol::Pbft => Dissemination::Broadcast,
            },
            lifetime: limits.lifetime,
            batch_bytes: limits.batch_bytes as usize,
            batch_transactions: limits.batch_transactions as usize,
            block_bytes: limits.block_bytes as usize,
            block_batches: limits.block_batches as usize,
            author_bytes: limits.author_bytes as usize,
            author_batches: limits.author_batches as usize,
            batch_delay: node.timing.batch_delay,
            client_transactions: node.pool.per_client,
            pool_transactions: node.pool.transactions,
            pool_bytes: node.pool.bytes,
            ..mempool::Config::new(me, genesis.n())
        };
        Self {
            config,
            shell: ShellConfig {
                checkpoint_every: match genesis.protocol {
                    Protocol::Pbft => CHECKPOINTS_PBFT,
                    Protocol::Hotstuff | Protocol::Raft => CHECKPOINTS,
                },
            },
            pool,
            executor: ExecutorConfig {
                flush: FlushPolicy {
                    bytes: node.store.flush_bytes,
                    age: node.store.flush_after,
                },
                ..ExecutorConfig::new(state_limits(genesis))
            },
            safety: match genesis.protocol {
                Protocol::Raft => SafetyPolicy::EachPromise,
                Protocol::Hotstuff | Protocol::Pbft => SafetyPolicy::EachFence,
            },
            fault_model: genesis.fault_model,
            protocol: genesis.protocol.name(),
            genesis_state: Digest::ZERO,
            requests: node.rpc.requests,
            writes: MOST_WRITES,
            write_bytes: MOST_WRITE_BYTES,
            view_change_bytes: view_change_bytes(genesis),
        }
    }

    /// The checks of the epoch's messages.
    #[must_use]
    pub fn verifier(&self, scheme: Arc<dyn Scheme>) -> Verifier {
        Verifier {
            context: self.config.context,
            validators: Arc::clone(&self.config.validators),
            scheme,
        }
    }

    /// Bytes of old records loaded for one peer's request. A leader of Raft needs the entry before
    /// those that a follower lacks, too: one entry, which may hold a block's batches, must not be
    /// all that comes, or that follower would never get any further.
    #[must_use]
    pub(crate) fn load_bytes(&self) -> usize {
        match self.pool.dissemination {
            Dissemination::ToLeader => self.frame_bytes().max(LOAD_BYTES),
            Dissemination::Broadcast => LOAD_BYTES,
        }
    }

    /// The longest frame that an honest peer sends, in bytes.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        // An answer to a fetch holds several batches, or blocks.
        let content = self.pool.block_bytes.max(self.pool.batch_bytes);
        let answer = match self.pool.dissemination {
            Dissemination::Broadcast => ANSWER_BYTES,
            Dissemination::ToLeader => 0,
        };
        content.max(self.view_change_bytes).max(answer) + FRAME_OVERHEAD
    }
}

/// See [`Setup::view_change_bytes`].
fn view_change_bytes(genesis: &Genesis) -> usize {
    match genesis.protocol {
        Protocol::Pbft => {
            let (n, quorum) = (genesis.n(), genesis.quorums().commit);
            consensus::pbft::NewView::longest(n, quorum, CHECKPOINTS_PBFT.get())
        }
        Protocol::Hotstuff | Protocol::Raft => 0,
    }
}

/// The stateless rules of transactions on this chain.
#[must_use]
pub fn rules(genesis: &Genesis) -> Rules {
    let limits = state_limits(genesis);
    let chain = genesis.clone();
    Rules {
        transaction_bytes: genesis.limits.transaction_bytes as usize,
        batch_bytes: genesis.limits.batch_bytes as usize,
        batch_transactions: genesis.limits.batch_transactions as usize,
        signed: genesis.client_auth == ClientAuth::Signed,
        peers_trusted: genesis.fault_model == FaultModel::Crash,
        validate: Arc::new(move |t: &Transaction| {
            chain.admits(&t.client) && kv::validate(&t.body, &limits).is_ok()
        }),
    }
}

/// The state machine's limits on this chain.
#[must_use]
pub fn state_limits(genesis: &Genesis) -> Limits {
    let limits = &genesis.limits;
    Limits {
        key_bytes: limits.key_bytes as usize,
        value_bytes: limits.value_bytes as usize,
        body_bytes: limits.transaction_bytes as usize - Transaction::OVERHEAD,
        operations: limits.operations as usize,
        lifetime: limits.lifetime,
        window: u64::from(limits.session_window),
        max_sessions: limits.max_sessions as usize,
        ..Limits::default()
    }
}
