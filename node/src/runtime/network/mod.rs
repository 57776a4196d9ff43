//! The network of validators: libp2p over TCP, Noise and yamux, with one long-lived stream for each
//! peer, direction and class.
//!
//! Nobody ever waits for a peer: [`Network::send`] puts a frame into a queue bounded by bytes, and
//! drops when it is full. What comes in is bounded by permits which travel with each frame until it
//! is processed; a peer that sends faster is not read on.

pub mod hello;
pub mod peer;
mod queue;
mod stream;
mod swarm;

use crate::handle::PeerInfo;
use crate::runtime::metrics::Metrics;
use crate::runtime::occasionally::Occasionally;
use anyhow::{Context as _, bail};
use bytes::Bytes;
use crypto::{NodeId, Reject, SecretKey};
use engine::Class;
use futures::StreamExt as _;
use hello::Hello;
use libp2p::swarm::SwarmEvent;
use libp2p::{PeerId, Swarm, identity};
use peer::{LaneLimits, Peer, PeerConfig, Permit};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use swarm::{Behaviour, Command, Connections, multiaddr};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Commands that wait for the loop: a handful for each peer.
const COMMANDS: usize = 1_024;

/// Takes what the network brings. Must not block.
pub trait Sink: Send + Sync + 'static {
    /// A frame of a peer. Drop the permit once it is processed.
    fn frame(&self, from: NodeId, class: Class, frame: Bytes, permit: Permit);
    /// A peer is in touch, or no longer.
    fn touched(&self, node: NodeId, connected: bool);
    /// A peer's fault below the level of messages.
    fn rejected(&self, from: NodeId, reject: Reject);
}

/// What the network needs to know.
pub struct NetworkConfig {
    /// Who this is.
    pub me: NodeId,
    /// The key of its network identity.
    pub key: SecretKey,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The other validators.
    pub peers: Vec<PeerConfig>,
    /// What this node says first.
    pub hello: Hello,
    /// Bounds of votes, proposals and the like.
    pub control: LaneLimits,
    /// Bounds of batches and catch-up.
    pub bulk: LaneLimits,
}

/// What the network's tasks share.
struct Shared {
    me: NodeId,
    hello: Hello,
    peers: BTreeMap<NodeId, Arc<Peer>>,
    by_id: BTreeMap<PeerId, NodeId>,
    /// Held from a change of a peer's connection until the new number of them is published: else an
    /// older number could be published last, and stay.
    counting: Mutex<()>,
    sink: Arc<dyn Sink>,
    metrics: Arc<Metrics>,
    log: Occasionally,
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
}

impl Shared {
    fn set_connected(&self, peer: &Peer, connected: bool) {
        let Some(count) = self.count_connected(peer, connected) else {
            return;
        };
        if !connected {
            self.metrics.disconnects.inc();
        }
        tracing::info!(node = %peer.node, peers = count, "{}", if connected { "connected" } else { "disconnected" });
        self.sink.touched(peer.node, connected);
    }

    /// Remembers whether a peer is in touch; if that is news, publishes how many are.
    fn count_connected(&self, peer: &Peer, connected: bool) -> Option<usize> {
        let _counting = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        if !peer.set_connected(connected) {
            return None;
        }
        let count = self
            .peers
            .values()
            .filter(|peer| peer.is_connected())
            .count();
        self.metrics.connections(count);
        Some(count)
    }
}

/// A running network. Dropping it does not stop it; cancelling its token does.
#[derive(Clone)]
pub struct Network {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Network {
    /// Listens and starts to connect. Returns once it listens.
    ///
    /// # Errors
    /// A taken port, a key that is none: one line that names it.
    pub async fn start(
        config: NetworkConfig,
        sink: Arc<dyn Sink>,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) -> anyhow::Result<Self> {
        let mut peers = BTreeMap::new();
        let mut by_id = BTreeMap::new();
        for one in &config.peers {
            let id =
                peer_id(&one.key).with_context(|| format!("network key of node {}", one.node))?;
            by_id.insert(id, one.node);
            peers.insert(
                one.node,
                Arc::new(Peer::new(one, id, config.control, config.bulk)),
            );
        }
        let seed = config.key.seed();
        let keypair = identity::Keypair::ed25519_from_bytes(*seed).context("network key")?;
        let streams = libp2p_stream::Behaviour::new();
        let mut control = streams.new_control();
        let mut swarm = swarm::build(keypair, by_id.keys().copied(), streams)?;
        // The accepting side stands before anything can connect.
        let mut accept = |class| {
            control
                .accept(stream::protocol(class))
                .map_err(|error| anyhow::anyhow!("{error}"))
        };
        let incoming = [
            (Class::Control, accept(Class::Control)?),
            (Class::Bulk, accept(Class::Bulk)?),
        ];
        let address = listen(&mut swarm, config.listen).await?;

        let (commands, receiver) = mpsc::channel(COMMANDS);
        let log = Occasionally::default();
        let (me, hello) = (config.me, config.hello);
        let shared = Arc::new(Shared {
            me,
            hello,
            peers,
            by_id,
            counting: Mutex::default(),
            sink,
            metrics,
            log,
            commands,
            stop,
        });
        for (class, incoming) in incoming {
            tasks.spawn(stream::accept(shared.clone(), class, incoming));
        }
        for peer in shared.peers.values() {
            for class in [Class::Control, Class::Bulk] {
                let (shared, peer) = (shared.clone(), peer.clone());
                tasks.spawn(stream::write_lane(shared, peer, class, control.clone()));
            }
        }
        tasks.spawn(Connections::new(shared.clone(), swarm).run(receiver));
        Ok(Self { shared, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Queues a frame for one peer; dropped, and counted, if it is not connected or its queue is full.
    pub fn send(&self, to: NodeId, class: Class, frame: Bytes) {
        if let Some(peer) = self.shared.peers.get(&to) {
            self.shared
                .metrics
                .dropped_frames(class, peer.push(class, frame));
        }
    }

    /// Queues a frame for all peers.
    pub fn broadcast(&self, class: Class, frame: &Bytes) {
        let dropped = self
            .shared
            .peers
            .values()
            .map(|peer| peer.push(class, frame.clone()))
            .sum();
        self.shared.metrics.dropped_frames(class, dropped);
    }

    /// The peers and their connections.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.shared.peers.values().map(|peer| peer.info()).collect()
    }

    /// Bytes that wait to be sent in a class, to all peers together.
    #[must_use]
    pub fn waiting(&self, class: Class) -> usize {
        self.shared
            .peers
            .values()
            .map(|peer| peer.lane(class).queue.bytes())
            .sum()
    }
}

/// The libp2p name of a network key.
fn peer_id(key: &crypto::PublicKey) -> Result<PeerId, identity::DecodingError> {
    let key = identity::ed25519::PublicKey::try_from_bytes(&key.0)?;
    Ok(identity::PublicKey::from(key).to_peer_id())
}

/// Listens, and waits for the real address.
async fn listen(swarm: &mut Swarm<Behaviour>, at: SocketAddr) -> anyhow::Result<SocketAddr> {
    // libp2p shares a port with any other process that shares it, without a word; this does not.
    drop(std::net::TcpListener::bind(at).with_context(|| {
        format!("cannot listen for peers at {at}; is another node running? (node.toml: listen)")
    })?);
    swarm
        .listen_on(multiaddr(at))
        .with_context(|| format!("cannot listen for peers at {at}"))?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => {
                let port = address.iter().find_map(|part| match part {
                    libp2p::multiaddr::Protocol::Tcp(port) => Some(port),
                    _ => None,
                });
                let port = port.context("a TCP listener without a port")?;
                return Ok(SocketAddr::new(at.ip(), port));
            }
            SwarmEvent::ListenerClosed { reason, .. } => {
                bail!("cannot listen for peers at {at}: {reason:?}");
            }
            _ => {}
        }
    }
}

/// A span between half and one and a half of this, so that nodes do not act in step.
fn jitter(span: Duration) -> Duration {
    let lot = getrandom::u32().unwrap_or(u32::MAX / 2);
    span.mul_f64(0.5 + f64::from(lot) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests;
