//! What is simulated: how a node of the cluster is configured, started and read.

use super::host::executor_config;
use super::inspect::Inspect;
use super::{MockScheme, Scenario, mock};
use crate::check::{Checks, Genuine};
use consensus::replica::ShellConfig;
use consensus::{LeaderSchedule, Protocol};
use crypto::{
    ChainId, Context, Digest, Ed25519, Epoch, FaultModel, NodeId, Scheme, SecretKey, Signer, Time,
    Validator, ValidatorSet, Verifier,
};
use engine::{Effect, Engine, Gatekeeper, Ingress, Machine, Recovered, Setup};
use mempool::Dissemination;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::{Applied, Limits, Log, PayloadOf, Safety, SafetyPolicy};

/// The chain of every simulated cluster.
pub const CHAIN: ChainId = ChainId(Digest([0x51; 32]));

/// A cluster to be simulated. An adversary's cluster is another one, whose machines wrap these.
pub trait System {
    /// Its nodes.
    type Machine: Machine;

    /// What checks for the nodes.
    fn ingress(&self) -> &dyn Ingress<Checked = <Self::Machine as Machine>::Checked>;
    /// How its frames and records are read.
    fn inspector(&self) -> Box<dyn Inspect>;
    /// What is judged by what is seen.
    fn checks(&self) -> Checks;
    /// The most frames that leave all nodes within a span when there is nothing to do; none if they need
    /// not rest.
    fn frames_at_rest(&self, span: Time) -> Option<u64>;
    /// Whether a node is honest: only what honest nodes do is judged.
    fn honest(&self, _node: NodeId) -> bool {
        true
    }
    /// Lies told so far, by the names of their ways.
    fn lies(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::new()
    }
    /// In which way a frame is one of them.
    fn lie(&self, _frame: &[u8]) -> Option<&'static str> {
        None
    }
    /// The limits of its state machine.
    fn limits(&self) -> &Limits;
    /// The first safety file of a node.
    fn safety(&self, node: NodeId) -> Safety;
    /// When its nodes write it.
    fn safety_policy(&self) -> SafetyPolicy;
    /// Finds the batches in its nodes' records.
    fn payload_of(&self) -> PayloadOf;
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

/// The signature scheme of a run.
#[must_use]
pub fn scheme(plan: &Scenario) -> Arc<dyn Scheme> {
    if plan.real_signatures {
        Arc::new(Ed25519)
    } else {
        Arc::new(MockScheme)
    }
}

/// The validators of a run, for whoever verifies what they signed.
#[must_use]
pub fn genuine(plan: &Scenario) -> Genuine {
    let key = |i| mock::key("validator", i).public();
    let keys = (0..plan.nodes as u64).map(key).collect();
    Genuine::new(CHAIN, keys, scheme(plan))
}

/// What the simulator has to know of a protocol.
pub trait Simulated: Protocol {
    /// Where batches go.
    const DISSEMINATION: Dissemination;
    /// When the safety file is written.
    const SAFETY: SafetyPolicy;
    /// See [`System::inspector`].
    fn inspector(plan: &Scenario) -> Box<dyn Inspect>;
    /// See [`System::checks`].
    fn checks(plan: &Scenario) -> Checks;
    /// See [`System::frames_at_rest`].
    fn frames_at_rest(plan: &Scenario, span: Time) -> u64;
    /// What a node draws its lots from.
    fn seed(me: NodeId, plan: &Scenario) -> [u8; 32];
}

/// A cluster of honest nodes that run the protocol `P`.
pub struct Honest<P: Simulated> {
    gatekeeper: Gatekeeper<P>,
    limits: Limits,
    verifier: Verifier,
    plan: Scenario,
}

impl<P: Simulated> Honest<P> {
    /// The cluster of a plan for this protocol.
    #[must_use]
    pub fn of(plan: &Scenario) -> Self {
        let key = |i| Validator {
            key: mock::key("validator", i).public(),
        };
        let members = (0..plan.nodes as u64).map(key).collect();
        let validators = ValidatorSet::new(members, plan.protocol.fault_model());
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
        let pool = pool::<P>(NodeId(0), plan);
        let rules = mempool::Rules {
            transaction_bytes: pool.transaction_bytes(),
            batch_bytes: pool.batch_bytes,
            batch_transactions: pool.batch_transactions,
            signed: true,
            peers_trusted: plan.protocol.fault_model() == FaultModel::Crash,
            validate: Arc::new(move |t| storage::kv::validate(&t.body, &limits).is_ok()),
        };
        let setup = setup::<P>(NodeId(0), plan, &limits, &verifier);
        Self {
            gatekeeper: Gatekeeper::new(verifier.clone(), rules, setup.frame_bytes()),
            limits,
            verifier,
            plan: plan.clone(),
        }
    }
}

impl<P: Simulated> Honest<P> {
    /// The checks of its messages.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

fn setup<P: Simulated>(me: NodeId, plan: &Scenario, limits: &Limits, verifier: &Verifier) -> Setup {
    let pool = pool::<P>(me, plan);
    let mut quorums = verifier.validators.quorums();
    if let Some((commit, election)) = plan.flexible {
        (quorums.commit, quorums.election) = (commit, election);
    }
    Setup {
        config: consensus::Config {
            me,
            context: verifier.context,
            validators: Arc::clone(&verifier.validators),
            quorums,
            leaders: LeaderSchedule::RoundRobin {
                tenure: plan.tenure,
            },
            timing: plan.timing.clone(),
            seed: P::seed(me, plan),
            block_bytes: pool.block_bytes as u32,
            execution_lag: if plan.tight { 4 } else { 1_024 },
        },
        shell: ShellConfig {
            checkpoint_every: plan.checkpoints,
        },
        pool,
        executor: executor_config(limits, plan),
        safety: P::SAFETY,
        fault_model: plan.protocol.fault_model(),
        protocol: plan.protocol.name(),
        genesis_state: Applied::default().state,
        requests: 1_000,
        writes: if plan.tight { 16 } else { 1_024 },
        write_bytes: 64 << 20,
        view_change_bytes: 0,
    }
}

/// The pool of a node; its times in proportion to the network's.
fn pool<P: Simulated>(me: NodeId, plan: &Scenario) -> mempool::Config {
    let mut pool = mempool::Config::new(me, plan.nodes);
    pool.dissemination = P::DISSEMINATION;
    pool.lifetime = plan.lifetime;
    pool.batch_delay = Time(plan.delay.0 / 2);
    pool.fetch_delay = Time(plan.delay.0 * 2);
    pool.fetch_retry = Time(plan.delay.0 * 8);
    pool.offer_delay = Time(plan.timing.timeout.0 / 2);
    pool.retry_after = Time(plan.timing.timeout.0 / 2);
    if plan.narrow {
        pool.batch_bytes = 2 << 10;
        pool.block_bytes = 3 << 10;
    }
    if plan.tight {
        pool.roomy_blocks = 128;
        pool.client_transactions = 2;
        pool.backlog = 256;
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

impl<P: Simulated> System for Honest<P> {
    type Machine = Engine<P>;

    fn ingress(&self) -> &dyn Ingress<Checked = <Engine<P> as Machine>::Checked> {
        &self.gatekeeper
    }
    fn inspector(&self) -> Box<dyn Inspect> {
        P::inspector(&self.plan)
    }
    fn checks(&self) -> Checks {
        P::checks(&self.plan)
    }
    fn frames_at_rest(&self, span: Time) -> Option<u64> {
        Some(P::frames_at_rest(&self.plan, span))
    }
    fn limits(&self) -> &Limits {
        &self.limits
    }
    fn safety(&self, node: NodeId) -> Safety {
        Safety::genesis(CHAIN, mock::key("validator", u64::from(node.0)).public())
    }
    fn payload_of(&self) -> PayloadOf {
        engine::payload_of::<P>
    }
    fn safety_policy(&self) -> SafetyPolicy {
        P::SAFETY
    }
    fn start(
        &self,
        node: NodeId,
        now: Time,
        log: &Log,
        applied: Applied,
        out: &mut Vec<Effect>,
    ) -> Result<Engine<P>, String> {
        let setup = setup::<P>(node, &self.plan, &self.limits, &self.verifier);
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
