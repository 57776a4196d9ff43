//! What is simulated: how a node of the cluster is configured, started and read.

use super::host::executor_config;
use super::hotstuff::HotStuffInspector;
use super::inspect::Inspect;
use super::{MockScheme, Scenario, mock};
use consensus::replica::ShellConfig;
use consensus::{LeaderSchedule, Protocol};
use crypto::{
    ChainId, Context, Digest, Ed25519, Epoch, FaultModel, NodeId, Scheme, SecretKey, Signer, Time,
    Validator, ValidatorSet, Verifier,
};
use engine::{Effect, Engine, Gatekeeper, Ingress, Machine, Recovered, Setup};
use std::num::NonZeroU64;
use std::sync::Arc;
use storage::{Applied, Limits, Log, Safety};

/// The chain of every simulated cluster.
pub const CHAIN: ChainId = ChainId(Digest([0x51; 32]));

/// A cluster to be simulated. An adversary's cluster is another one, whose machines wrap these.
pub trait System {
    /// Its nodes.
    type Machine: Machine;

    /// What checks for the nodes.
    fn ingress(&self) -> &dyn Ingress<Checked = <Self::Machine as Machine>::Checked>;
    /// How its frames and records are read.
    fn inspect(&self) -> &dyn Inspect;
    /// The limits of its state machine.
    fn limits(&self) -> &Limits;
    /// The first safety file of a node.
    fn safety(&self, node: NodeId) -> Safety;
    /// Starts a node, for the first time or again.
    ///
    /// # Errors
    /// Why it refuses.
    fn start(
        &self,
        node: NodeId,
        now: Time,
        log: &Log,
        applied: Applied,
        out: &mut Vec<Effect>,
    ) -> Result<Self::Machine, String>;
}

/// A cluster of honest nodes that run the protocol `P`.
pub struct Honest<P: Protocol> {
    gatekeeper: Gatekeeper<P>,
    inspector: Box<dyn Inspect>,
    limits: Limits,
    verifier: Verifier,
    plan: Scenario,
}

impl Honest<consensus::hotstuff::HotStuff> {
    /// A HotStuff cluster.
    #[must_use]
    pub fn hotstuff(plan: &Scenario) -> Self {
        Self::new(plan, Box::new(HotStuffInspector))
    }
}

/// The signature scheme of a run.
#[must_use]
pub fn scheme(plan: &Scenario) -> Arc<dyn Scheme> {
    if plan.real_signatures {
        Arc::new(Ed25519)
    } else {
        Arc::new(MockScheme)
    }
}

impl<P: Protocol> Honest<P> {
    fn new(plan: &Scenario, inspector: Box<dyn Inspect>) -> Self {
        let key = |i| Validator {
            key: mock::key("validator", i).public(),
        };
        let members = (0..plan.nodes as u64).map(key).collect();
        let validators = ValidatorSet::new(members, FaultModel::Byzantine);
        let verifier = Verifier {
            context: Context {
                chain: CHAIN,
                epoch: Epoch(0),
            },
            validators: Arc::new(validators.expect("our keys are distinct and strong")),
            scheme: scheme(plan),
        };
        let limits = Limits {
            lifetime: plan.lifetime,
            window: plan.window,
            max_sessions: if plan.tight { plan.clients } else { 10_000 },
            ..Limits::default()
        };
        let pool = pool(NodeId(0), plan);
        let rules = mempool::Rules {
            transaction_bytes: pool.transaction_bytes(),
            batch_bytes: pool.batch_bytes,
            batch_transactions: pool.batch_transactions,
            validate: Arc::new(move |t| storage::kv::validate(&t.body, &limits).is_ok()),
        };
        let setup = setup(NodeId(0), plan, &limits, &verifier);
        Self {
            gatekeeper: Gatekeeper::new(verifier.clone(), rules, setup.frame_bytes()),
            inspector,
            limits,
            verifier,
            plan: plan.clone(),
        }
    }
}

fn setup(me: NodeId, plan: &Scenario, limits: &Limits, verifier: &Verifier) -> Setup {
    let pool = pool(me, plan);
    Setup {
        config: consensus::Config {
            me,
            context: verifier.context,
            validators: Arc::clone(&verifier.validators),
            quorums: verifier.validators.quorums(),
            leaders: LeaderSchedule::RoundRobin {
                tenure: plan.tenure,
            },
            timing: plan.timing.clone(),
            seed: [me.0 as u8; 32],
            block_bytes: pool.block_bytes as u32,
        },
        shell: ShellConfig {
            checkpoint_every: NonZeroU64::new(plan.checkpoints),
        },
        pool,
        executor: executor_config(limits, plan),
        fault_model: FaultModel::Byzantine,
        protocol: "hotstuff",
        genesis_state: Applied::default().state,
        requests: 1_000,
    }
}

/// The pool of a node; its times in proportion to the network's.
fn pool(me: NodeId, plan: &Scenario) -> mempool::Config {
    let mut pool = mempool::Config::new(me, plan.nodes);
    pool.lifetime = plan.lifetime;
    pool.batch_delay = Time(plan.delay.0 / 2);
    pool.fetch_delay = Time(plan.delay.0 * 2);
    pool.fetch_retry = Time(plan.delay.0 * 8);
    pool.offer_delay = Time(plan.timing.timeout.0 / 2);
    pool.retry_after = Time(plan.timing.timeout.0 / 2);
    if plan.tight {
        pool.client_transactions = 2;
        pool.pool_transactions = 4;
        pool.author_batches = 4;
        pool.block_batches = 2;
        pool.extra_batches = 4;
        pool.checks = 2;
        pool.fetches = 2;
        pool.loads = 1;
    }
    pool
}

impl<P: Protocol> System for Honest<P> {
    type Machine = Engine<P>;

    fn ingress(&self) -> &dyn Ingress<Checked = <Engine<P> as Machine>::Checked> {
        &self.gatekeeper
    }
    fn inspect(&self) -> &dyn Inspect {
        &*self.inspector
    }
    fn limits(&self) -> &Limits {
        &self.limits
    }
    fn safety(&self, node: NodeId) -> Safety {
        Safety::genesis(CHAIN, mock::key("validator", u64::from(node.0)).public())
    }
    fn start(
        &self,
        node: NodeId,
        now: Time,
        log: &Log,
        applied: Applied,
        out: &mut Vec<Effect>,
    ) -> Result<Engine<P>, String> {
        let setup = setup(node, &self.plan, &self.limits, &self.verifier);
        let key = mock::key("validator", u64::from(node.0));
        let signer = Signer {
            me: node,
            key: SecretKey::from_seed(&key.seed()),
            verifier: self.verifier.clone(),
        };
        let recovered = Recovered::read(&setup, log, applied).map_err(|e| e.to_string())?;
        Engine::recover(setup, signer, now, recovered, out).map_err(|e| e.to_string())
    }
}
