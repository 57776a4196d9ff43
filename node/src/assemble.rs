//! From a home's files to a running node.

use crate::cli::VERSION;
use crate::handle::NodeHandle;
use crate::runtime::metrics::Metrics;
use crate::runtime::network::NetworkConfig;
use crate::runtime::network::hello::{Hello, WIRE_VERSION};
use crate::runtime::network::peer::{LaneLimits, PeerConfig};
use crate::runtime::{Clock, RuntimeConfig, run};
use anyhow::{Context as _, Result, anyhow};
use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use consensus::raft::Raft;
use crypto::{Ed25519, NodeId, PublicKey, Remembered, Signer, Time};
use engine::{Checked, Effect, Engine, Gatekeeper, Machine, Recovered, Setup, rules, state_limits};
use genesis::{Genesis, Loaded, Protocol};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use std::sync::Arc;
use storage::directory::Data;
use storage::rocks::Recovery;
use storage::{Executor, Identity, Log, PayloadOf, Store};

/// Longest frame of the control stream: a block's batch references, or timeouts with certificates.
const CONTROL_FRAME: usize = 1 << 20;

/// A running node and its data, which stay locked until this is dropped.
pub struct Running {
    /// The node.
    pub handle: NodeHandle,
    _data: Data,
}

/// Whose data a node's directory holds.
#[must_use]
pub fn identity(genesis: &Genesis, key: PublicKey) -> Identity {
    Identity {
        chain: genesis.chain_id(),
        key,
        protocol: genesis.protocol.name().to_owned(),
    }
}

/// Opens the stores, recovers the machine from them, and runs it.
///
/// # Errors
/// Data that is damaged, foreign or in use; a taken port: one line that names the way out.
pub async fn start(loaded: Loaded) -> Result<Running> {
    match loaded.genesis.protocol {
        Protocol::Hotstuff => start_as::<HotStuff, _>(loaded, itself).await,
        Protocol::Pbft => start_as::<Pbft, _>(loaded, itself).await,
        Protocol::Raft => start_as::<Raft, _>(loaded, itself).await,
    }
}

/// A machine that just came up, and what it wants done.
pub type Recovering<M> = (M, Vec<Effect>);

/// The node as it is.
fn itself<P: consensus::Protocol>(
    recovering: Recovering<Engine<P>>,
    _: Time,
) -> Recovering<Engine<P>> {
    recovering
}

/// Finds the batches in the records of a protocol.
pub(crate) fn payload_of(protocol: Protocol) -> PayloadOf {
    match protocol {
        Protocol::Hotstuff => engine::payload_of::<HotStuff>,
        Protocol::Pbft => engine::payload_of::<Pbft>,
        Protocol::Raft => engine::payload_of::<Raft>,
    }
}

/// Runs what `wrap` makes of the node at the time at which it comes up: the tests put members that
/// lie around it.
///
/// # Errors
/// See [`start`].
pub async fn start_as<P: consensus::Protocol, M: Machine<Checked = Checked<P>>>(
    loaded: Loaded,
    wrap: impl FnOnce(Recovering<Engine<P>>, Time) -> Recovering<M>,
) -> Result<Running> {
    let Loaded {
        me,
        genesis,
        config,
        ..
    } = &loaded;
    let clock = Clock::start();
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| anyhow!("the system gives no randomness: {error}"))?;
    let setup = Setup::new(genesis, config, *me, seed);
    let network = network_config(&loaded, &setup);
    let metrics = Arc::new(Metrics::new());

    let identity = identity(genesis, loaded.consensus_key.public());
    let mut data = Data::open(&loaded.data, &identity, setup.safety)?;
    if data.recovery == Recovery::Cut {
        tracing::warn!(
            "the end of the log was torn, and is cut: nothing that was released is lost"
        );
    }
    let log = Log::new(data.log.clone(), engine::payload_of::<P>);
    metrics.register(|registry| registry.register_collector(Box::new(Disk(log.store().clone()))));
    let executor = Executor::open(log.clone(), data.state.clone(), setup.executor)?;
    let recovered = Recovered::<P>::read(&setup, &log, executor.applied())?;

    let verifier = setup.verifier(Arc::new(Remembered::new(Ed25519)));
    let frame_bytes = setup.frame_bytes();
    let gate = Gatekeeper::<P>::new(verifier.clone(), rules(genesis), frame_bytes);
    let limits = state_limits(genesis);
    let requests = config.rpc.requests;
    let signer = Signer {
        me: *me,
        key: loaded.consensus_key,
        verifier,
    };
    let runtime = RuntimeConfig {
        clock,
        network,
        log,
        group: data.group_commit()?,
        executor,
        limits,
        requests,
        verify_threads: verify_threads(),
        metrics,
    };
    let mut effects: Vec<Effect> = Vec::new();
    let now = clock.now();
    let engine = Engine::recover(setup, signer, now, recovered, &mut effects)
        .map_err(|damaged| anyhow!("{damaged}"))
        .context("this node must not vote")?;
    let (machine, effects) = wrap((engine, effects), now);
    let handle = run(machine, effects, Arc::new(gate), runtime).await?;
    Ok(Running {
        handle,
        _data: data,
    })
}

fn network_config(loaded: &Loaded, setup: &Setup) -> NetworkConfig {
    let Loaded {
        me,
        genesis,
        config,
        ..
    } = loaded;
    let peers = genesis
        .validators
        .iter()
        .zip(0..)
        .map(|(validator, i)| PeerConfig {
            node: NodeId(i),
            key: validator.network_key,
            address: validator.address.clone(),
        });
    let control_frame = match genesis.protocol {
        Protocol::Raft => setup.frame_bytes(), // entries keep their order, however large they are
        Protocol::Hotstuff | Protocol::Pbft => setup.frame_bytes().min(CONTROL_FRAME),
    };
    NetworkConfig {
        me: *me,
        key: crypto::SecretKey::from_seed(&loaded.network_key.seed()),
        listen: config.listen.p2p,
        peers: peers.filter(|peer| peer.node != *me).collect(),
        hello: Hello {
            wire: WIRE_VERSION,
            chain: genesis.chain_id(),
            protocol: genesis.protocol.name().to_owned(),
            build: VERSION.to_owned(),
        },
        control: lane(control_frame, config.pool.control_bytes),
        bulk: lane(setup.frame_bytes(), config.pool.bulk_bytes),
    }
}

/// What may wait on either side of a stream holds at least two of its longest frames.
fn lane(frame: usize, waiting: usize) -> LaneLimits {
    let waiting = waiting.max(2 * frame);
    LaneLimits {
        frame,
        outgoing: waiting,
        incoming: waiting,
    }
}

/// Signature checks are most of the work: half of the cores, and at least one thread.
fn verify_threads() -> usize {
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .div_ceil(2)
}

/// What the log's backend counts itself, read when `/metrics` is.
struct Disk(Arc<dyn Store>);

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl Collector for Disk {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let counts = self.0.statistics();
        for (name, help, count) in [
            (
                "wal_syncs",
                "Syncs of the log, as RocksDB counts them",
                counts.wal_syncs,
            ),
            ("log_writes", "Batches written to the log", counts.writes),
            (
                "log_bytes",
                "Bytes of keys and values written to the log",
                counts.bytes,
            ),
        ] {
            let counter = ConstCounter::new(count);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}
