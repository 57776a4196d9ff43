//! All links of a cluster: for each node that may dial and each that may be dialed a port of its own,
//! so that it is known whose bytes come through.

use super::proxy::{Fault, Lane, carry};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The directed links between nodes. Dropped, all connections end.
pub struct Links {
    nodes: usize,
    /// By from * nodes + to: who sends, and who receives.
    lanes: Vec<Arc<Lane>>,
    /// By from * nodes + to: who dials, and who is dialed.
    addresses: Vec<SocketAddr>,
    _acceptors: JoinSet<()>,
}

impl Links {
    /// Between nodes that listen at these addresses; `host` is where the links themselves do.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn between(host: IpAddr, nodes: &[SocketAddr], seed: u64) -> io::Result<Self> {
        let count = nodes.len();
        let lanes: Vec<Arc<Lane>> = (0..count * count)
            .map(|lane| Arc::new(Lane::new(seed.wrapping_add(lane as u64))))
            .collect();
        let mut acceptors = JoinSet::new();
        let mut addresses = Vec::new();
        for from in 0..count {
            for (to, target) in nodes.iter().enumerate() {
                let listener = TcpListener::bind((host, 0)).await?;
                addresses.push(listener.local_addr()?);
                let there = lanes[from * count + to].clone();
                let back = lanes[to * count + from].clone();
                acceptors.spawn(accept(listener, *target, there, back));
            }
        }
        Ok(Self {
            nodes: count,
            lanes,
            addresses,
            _acceptors: acceptors,
        })
    }

    /// Where `from` dials `to`.
    #[must_use]
    pub fn address(&self, from: usize, to: usize) -> SocketAddr {
        self.addresses[from * self.nodes + to]
    }

    /// What befalls from now on what `from` sends to `to`.
    pub fn set(&self, from: usize, to: usize, fault: Fault) {
        self.lanes[from * self.nodes + to].set(fault);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        for lane in &self.lanes {
            lane.set(Fault::Sound);
        }
    }

    /// Bytes of `from` that have arrived at `to`.
    #[must_use]
    pub fn carried(&self, from: usize, to: usize) -> u64 {
        self.lanes[from * self.nodes + to].carried()
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, there: Arc<Lane>, back: Arc<Lane>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // One that fails (no file left, say) leaves its node to dial again.
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(carry(stream, target, there.clone(), back.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
