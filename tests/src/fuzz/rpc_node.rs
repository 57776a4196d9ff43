//! A node of the program with one member, its stores in memory: what the fuzzer of the RPC asks.

use consensus::hotstuff::HotStuff;
use crypto::{Ed25519, NodeId, SecretKey, Signer};
use engine::{Engine, Gatekeeper, Recovered, Setup, rules, state_limits};
use genesis::{BuiltNode, BuiltTestnet, Genesis, Ports, Testnet};
use quorate::handle::NodeHandle;
use quorate::runtime::metrics::Metrics;
use quorate::runtime::network::NetworkConfig;
use quorate::runtime::network::hello::{Hello, WIRE_VERSION};
use quorate::runtime::network::peer::LaneLimits;
use quorate::runtime::{Clock, RuntimeConfig, run};
use std::sync::Arc;
use storage::{Executor, GroupCommit, Log, Memory, MemorySafetyFile, Safety, Store};

/// Its id.
const ME: NodeId = NodeId(0);
/// Longest frame; there is nobody to send one.
const FRAME: usize = 1 << 20;

/// A chain of one node: its genesis, the node's own part, and a client's key.
pub fn chain() -> (Genesis, BuiltNode, SecretKey) {
    let ports = Ports::series(7_000, 1).expect("one node has ports");
    let built = Testnet::new(ports).build_from(&[7; 32]);
    let BuiltTestnet {
        genesis,
        mut nodes,
        client_key,
    } = built.expect("a testnet contradicts nothing");
    (genesis, nodes.remove(0), client_key)
}

/// Starts it.
pub async fn start(genesis: &Genesis, node: BuiltNode) -> NodeHandle {
    let clock = Clock::start();
    let setup = Setup::new(genesis, &node.config, ME, [7; 32]);
    let verifier = setup.verifier(Arc::new(Ed25519));
    let gate = Gatekeeper::<HotStuff>::new(verifier.clone(), rules(genesis), setup.frame_bytes());
    let store: Arc<dyn Store> = Arc::new(Memory::log());
    let log = Log::new(Arc::clone(&store), engine::payload_of::<HotStuff>);
    let first = Safety::genesis(genesis.chain_id(), node.consensus_key.public());
    let file = Box::new(MemorySafetyFile::create(&first));
    let group = GroupCommit::new(store, file, first, setup.safety);
    let executor = Executor::open(log.clone(), Arc::new(Memory::state()), setup.executor);
    let executor = executor.expect("memory does not fail");
    let recovered = Recovered::read(&setup, &log, executor.applied());
    let signer = Signer {
        me: ME,
        key: node.consensus_key,
        verifier,
    };
    let mut effects = Vec::new();
    let recovered = recovered.expect("an empty log is whole");
    let engine = Engine::recover(setup, signer, clock.now(), recovered, &mut effects);
    let config = RuntimeConfig {
        clock,
        network: network(genesis, node.network_key),
        log,
        group: group.expect("memory does not fail"),
        executor,
        limits: state_limits(genesis),
        requests: node.config.rpc.requests,
        verify_threads: 1,
        metrics: Arc::new(Metrics::new()),
    };
    let engine = engine.expect("nothing was promised yet");
    let handle = run(engine, effects, Arc::new(gate), config).await;
    handle.expect("a port is free")
}

fn network(genesis: &Genesis, key: SecretKey) -> NetworkConfig {
    let lane = LaneLimits {
        frame: FRAME,
        outgoing: 2 * FRAME,
        incoming: 2 * FRAME,
    };
    NetworkConfig {
        me: ME,
        key,
        listen: ([127, 0, 0, 1], 0).into(),
        peers: Vec::new(),
        hello: Hello {
            wire: WIRE_VERSION,
            chain: genesis.chain_id(),
            protocol: genesis.protocol.name().to_owned(),
            build: "fuzz".to_owned(),
        },
        control: lane,
        bulk: lane,
    }
}
