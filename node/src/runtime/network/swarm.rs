//! The connections: who may connect, who dials whom, and when again.

use super::peer::Peer;
use super::{Shared, jitter};
use crypto::NodeId;
use futures::StreamExt as _;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, ListenError, NetworkBehaviour, SwarmEvent};
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, allow_block_list, connection_limits, noise, tcp, yamux,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Handshakes of unknown outcome at a time.
const PENDING: u32 = 16;
/// A handshake's time.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Connections of one validator: the one in use, and earlier ones whose close a dead network holds up.
const PER_PEER: u32 = 8;
/// Streams of one connection: two of each side, and some that end.
const STREAMS: usize = 32;
/// Pause before the second attempt to connect; doubles up to [`BACKOFF_CAP`].
const BACKOFF: Duration = Duration::from_millis(50);
/// A node that comes back is connected again within about this.
const BACKOFF_CAP: Duration = Duration::from_secs(1);
/// A connection that lived shorter than this counts as a failed attempt.
const SETTLED: Duration = Duration::from_secs(2);

/// What others ask of the loop.
pub(super) enum Command {
    /// Connect to a validator at these addresses; none: its name did not resolve.
    Dial(NodeId, Vec<Multiaddr>),
    /// Close this connection, if it is still in use.
    Close(NodeId, ConnectionId),
}

/// Who may connect, and the streams. The order matters: a stranger is denied before any other part
/// hears of it.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    allowed: allow_block_list::Behaviour<allow_block_list::AllowedPeers>,
    streams: libp2p_stream::Behaviour,
}

/// Builds the swarm: TCP, Noise, yamux.
pub(super) fn build(
    key: libp2p::identity::Keypair,
    peers: impl Iterator<Item = PeerId>,
    streams: libp2p_stream::Behaviour,
) -> Result<Swarm<Behaviour>, noise::Error> {
    let limits = connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING))
        .with_max_established_per_peer(Some(PER_PEER));
    let mut allowed = allow_block_list::Behaviour::default();
    for peer in peers {
        allowed.allow_peer(peer);
    }
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(limits),
        allowed,
        streams,
    };
    let muxer = || {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(STREAMS);
        config
    };
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(
            tcp::Config::default().nodelay(true),
            noise::Config::new,
            muxer,
        )?
        .with_behaviour(|_| behaviour)
        .unwrap_or_else(|never| match never {})
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(30)))
        .with_connection_timeout(HANDSHAKE)
        .build();
    Ok(swarm)
}

/// A peer as the loop sees it.
#[derive(Default)]
struct Link {
    current: Option<(ConnectionId, Instant)>,
    failures: u32,
    /// An attempt is planned: another failure (libp2p-stream tries to dial, too) plans no second.
    scheduled: bool,
}

/// The loop that owns the swarm.
pub(super) struct Connections {
    shared: Arc<Shared>,
    swarm: Swarm<Behaviour>,
    links: BTreeMap<NodeId, Link>,
}

impl Connections {
    pub(super) fn new(shared: Arc<Shared>, swarm: Swarm<Behaviour>) -> Self {
        let links = shared
            .peers
            .keys()
            .map(|node| (*node, Link::default()))
            .collect();
        Self {
            shared,
            swarm,
            links,
        }
    }

    /// Runs until the node stops; then closes all connections.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let peers: Vec<_> = self.shared.peers.values().cloned().collect();
        for peer in &peers {
            self.dial_later(peer);
        }
        let stop = self.shared.stop.clone();
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                Some(command) = commands.recv() => self.on_command(command),
                () = stop.cancelled() => break,
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Dial(node, addresses) => {
                let Some(peer) = self.shared.peers.get(&node).cloned() else {
                    return;
                };
                let options = DialOpts::peer_id(peer.id)
                    .addresses(addresses)
                    .condition(PeerCondition::NotDialing)
                    .allocate_new_port()
                    .build();
                let link = self.links.entry(node).or_default();
                link.scheduled = false;
                if link.current.is_some() {
                    return;
                }
                match self.swarm.dial(options) {
                    Ok(()) => {}
                    // About to be connected: the outcome is reported as an event.
                    Err(DialError::DialPeerConditionFalse(_)) => {}
                    Err(error) => {
                        tracing::debug!(%node, %error, "not dialed");
                        self.failed(&peer);
                    }
                }
            }
            Command::Close(node, id) => {
                let link = self.links.entry(node).or_default();
                let current = link.current.is_some_and(|(current, _)| current == id);
                if let (true, Some(peer)) = (current, self.shared.peers.get(&node).cloned()) {
                    self.swarm.close_connection(id);
                    // A dead network may keep the close from ending: do not wait for it.
                    self.gone(&peer, id);
                }
            }
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                ..
            } => {
                self.established(&peer_id, connection_id);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                cause,
                ..
            } => {
                tracing::debug!(%peer_id, ?cause, "connection closed");
                if let Some(peer) = self.peer(&peer_id) {
                    self.gone(&peer, connection_id);
                }
            }
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(id),
                error,
                ..
            } => {
                tracing::debug!(%id, %error, "not connected");
                if let Some(peer) = self.peer(&id) {
                    self.failed(&peer);
                }
            }
            SwarmEvent::IncomingConnectionError {
                error,
                send_back_addr,
                ..
            } => {
                self.refused(&error, &send_back_addr);
            }
            SwarmEvent::ListenerClosed {
                reason: Err(error), ..
            }
            | SwarmEvent::ListenerError { error, .. } => {
                if let Some(left_out) = self.shared.log.may("listener") {
                    tracing::warn!(%error, left_out, "the listener for peers reports an error");
                }
            }
            _ => {}
        }
    }

    fn established(&mut self, id: &PeerId, connection: ConnectionId) {
        let Some(peer) = self.peer(id) else { return };
        let link = self.links.entry(peer.node).or_default();
        // A peer that connects again has given the old connection up, even if we have not noticed.
        if let Some((old, _)) = link.current.replace((connection, Instant::now())) {
            self.swarm.close_connection(old);
        }
        peer.connection.send_replace(Some(connection));
    }

    fn gone(&mut self, peer: &Arc<Peer>, connection: ConnectionId) {
        let link = self.links.entry(peer.node).or_default();
        let Some((_, since)) = link.current.take_if(|(current, _)| *current == connection) else {
            return;
        };
        link.failures = if since.elapsed() < SETTLED {
            link.failures.saturating_add(1)
        } else {
            0
        };
        peer.connection.send_replace(None);
        self.dial_later(peer);
    }

    fn failed(&mut self, peer: &Arc<Peer>) {
        let link = self.links.entry(peer.node).or_default();
        link.failures = link.failures.saturating_add(1);
        if link.current.is_none() {
            self.dial_later(peer);
        }
    }

    /// Connects after a pause. Only the lower id dials, so that two nodes make one connection.
    fn dial_later(&mut self, peer: &Arc<Peer>) {
        let link = self.links.entry(peer.node).or_default();
        if self.shared.me > peer.node || std::mem::replace(&mut link.scheduled, true) {
            return;
        }
        let pause = match link.failures {
            0 => Duration::ZERO,
            n => BACKOFF
                .saturating_mul(1 << (n - 1).min(10))
                .min(BACKOFF_CAP),
        };
        let (shared, peer) = (self.shared.clone(), peer.clone());
        tokio::spawn(async move {
            let addresses = async {
                sleep(jitter(pause)).await;
                resolve(&peer.address).await
            };
            tokio::select! {
                addresses = addresses => {
                    shared.commands.send(Command::Dial(peer.node, addresses)).await.ok();
                }
                () = shared.stop.cancelled() => {}
            }
        });
    }

    fn refused(&self, error: &ListenError, from: &Multiaddr) {
        let reason = match error {
            ListenError::Denied { cause } => {
                if cause
                    .downcast_ref::<connection_limits::Exceeded>()
                    .is_some()
                {
                    "too_many"
                } else {
                    "not_a_validator"
                }
            }
            ListenError::Transport(_) => "handshake",
            _ => "other",
        };
        self.shared.metrics.refused_connection(reason);
        if let Some(left_out) = self.shared.log.may(reason) {
            tracing::warn!(%from, reason, left_out, "refused a connection: {error}");
        }
    }

    fn peer(&self, id: &PeerId) -> Option<Arc<Peer>> {
        self.shared
            .by_id
            .get(id)
            .and_then(|node| self.shared.peers.get(node))
            .cloned()
    }
}

async fn resolve(address: &str) -> Vec<Multiaddr> {
    match tokio::net::lookup_host(address).await {
        Ok(found) => found.take(4).map(multiaddr).collect(),
        Err(error) => {
            tracing::debug!(address, %error, "not resolved");
            Vec::new()
        }
    }
}

/// The multiaddress of a TCP socket.
pub(super) fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(libp2p::multiaddr::Protocol::Tcp(address.port()))
}
