//! One peer: its address, its two lanes, and whether it is in touch.

use super::queue::{Overflow, Queue};
use crate::handle::PeerInfo;
use bytes::Bytes;
use crypto::{NodeId, PublicKey};
use engine::Class;
use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// A validator as the genesis file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Its index.
    pub node: NodeId,
    /// Its network key.
    pub key: PublicKey,
    /// `host:port`; the name is resolved at each attempt to connect.
    pub address: String,
}

/// Bounds of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneLimits {
    /// Longest frame, in bytes.
    pub frame: usize,
    /// Bytes that may wait to be sent to one peer.
    pub outgoing: usize,
    /// Bytes of one peer that may wait to be processed; then its stream is not read on.
    pub incoming: usize,
}

/// Proof that a frame's bytes are counted; dropped when it is processed.
pub type Permit = OwnedSemaphorePermit;

/// One class of one peer.
pub struct Lane {
    pub(super) class: Class,
    pub(super) limits: LaneLimits,
    pub(super) queue: Queue,
    incoming: Arc<Semaphore>,
    /// Ends the reader of the stream before, when the peer opens another.
    reader: Mutex<CancellationToken>,
}

/// Bytes are counted in units, since a semaphore's numbers are small.
const UNIT: usize = 64;

impl Lane {
    fn new(class: Class, limits: LaneLimits) -> Self {
        let overflow = match class {
            Class::Control => Overflow::DropOldest,
            Class::Bulk => Overflow::DropNewest,
        };
        let units = limits.incoming.max(limits.frame).div_ceil(UNIT) + 1;
        Self {
            class,
            limits,
            queue: Queue::new(limits.outgoing.max(limits.frame), overflow),
            incoming: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))),
            reader: Mutex::default(),
        }
    }

    /// Waits until a frame of that length may be taken in.
    pub(super) async fn admit(&self, bytes: usize) -> Permit {
        let units = u32::try_from(bytes / UNIT + 1).unwrap_or(u32::MAX);
        self.incoming
            .clone()
            .acquire_many_owned(units)
            .await
            .expect("it is never closed")
    }

    /// Ends the reader before this one; returns what will end this one.
    pub(super) fn replace_reader(&self, parent: &CancellationToken) -> CancellationToken {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.cancel();
        *reader = parent.child_token();
        reader.clone()
    }
}

/// One peer.
pub struct Peer {
    pub(super) node: NodeId,
    pub(super) id: PeerId,
    pub(super) address: String,
    pub(super) control: Lane,
    pub(super) bulk: Lane,
    /// Its connection now, for those who open streams on it.
    pub(super) connection: watch::Sender<Option<ConnectionId>>,
    touch: Mutex<(bool, Instant)>,
}

impl Peer {
    pub(super) fn new(
        config: &PeerConfig,
        id: PeerId,
        control: LaneLimits,
        bulk: LaneLimits,
    ) -> Self {
        Self {
            node: config.node,
            id,
            address: config.address.clone(),
            control: Lane::new(Class::Control, control),
            bulk: Lane::new(Class::Bulk, bulk),
            connection: watch::Sender::new(None),
            touch: Mutex::new((false, Instant::now())),
        }
    }

    pub(super) fn lane(&self, class: Class) -> &Lane {
        match class {
            Class::Control => &self.control,
            Class::Bulk => &self.bulk,
        }
    }

    /// Its connection now; waits until there is one. A stream that it opens may come to light before
    /// the loop that owns the connections has heard of the stream's.
    pub(super) async fn connected(&self) -> ConnectionId {
        let mut connection = self.connection.subscribe();
        let now = connection.wait_for(Option::is_some).await;
        now.ok()
            .and_then(|now| *now)
            .expect("its sender lives as long as the peer")
    }

    /// Queues a frame; returns how many were dropped.
    pub(super) fn push(&self, class: Class, frame: Bytes) -> usize {
        self.lane(class).queue.push(frame)
    }

    /// Remembers whether it is in touch; true if that is news.
    pub(super) fn set_connected(&self, connected: bool) -> bool {
        let mut touch = self.touch();
        let news = touch.0 != connected;
        if news {
            *touch = (connected, Instant::now());
        }
        news
    }

    pub(super) fn is_connected(&self) -> bool {
        self.touch().0
    }

    pub(super) fn info(&self) -> PeerInfo {
        let (connected, since) = *self.touch();
        PeerInfo {
            node: self.node,
            address: self.address.clone(),
            connected,
            since: since.elapsed(),
        }
    }

    fn touch(&self) -> MutexGuard<'_, (bool, Instant)> {
        self.touch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
