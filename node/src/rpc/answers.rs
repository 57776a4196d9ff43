//! What clients were answered and have not taken yet.
//!
//! An answer waits in its connection until its client takes it, and nothing makes him. So its bytes
//! are counted, for each connection and for the node. Who asks for what may wait, waits until there
//! is room for it, and so does a transaction that reads, before it is taken: see [`super::outcome`]. And
//! when the node has none, whoever takes too little of what he is given is cut off, the slowest first.

use super::connection::Connection;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Answers of a kind have room of their own, so that none stands in the way of those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Keys that were read.
    Range,
    /// Blocks of the log.
    Block,
    /// What became of transactions, where that is long or may be.
    Outcome,
    /// All that is short, so that nothing long stands in its way.
    Short,
}

/// How many there are.
pub(super) const KINDS: usize = 4;

/// Ranges that are read at a time without room for what they find.
const READS: usize = 64;

/// How much may wait. The longest answer may, whatever they say, if no other does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caps {
    /// Bytes of a kind on one connection.
    pub(super) connection: usize,
    /// Bytes of a kind on all of them.
    pub(super) node: usize,
    /// How long a client may take nothing of what waits for him while others find no room: see
    /// [`super::account`].
    pub(super) patience: Duration,
}

impl Caps {
    /// Those of a node: a connection has room for a dozen of the longest answers of an ordinary chain.
    pub(super) const NODE: Self = Self {
        connection: 16 << 20,
        node: 128 << 20,
        patience: Duration::from_secs(5),
    };
}

/// The answers that wait on all connections.
pub(super) struct Answers {
    pub(super) caps: Caps,
    rooms: [Arc<Semaphore>; KINDS],
    /// Ranges that may be read before it is known how long they are.
    pub(super) reads: Arc<Semaphore>,
    connections: Mutex<Vec<Weak<Connection>>>,
}

impl Answers {
    /// None yet.
    pub(super) fn new(caps: Caps) -> Arc<Self> {
        Arc::new(Self {
            caps,
            rooms: std::array::from_fn(|_| Arc::new(Semaphore::new(caps.node))),
            reads: Arc::new(Semaphore::new(READS)),
            connections: Mutex::default(),
        })
    }

    /// A client has connected; `None`: he calls from within the process.
    pub(super) fn connect(self: &Arc<Self>, client: Option<SocketAddr>) -> Arc<Connection> {
        let connection = Arc::new(Connection::new(self.clone(), client));
        let mut connections = self.connections();
        connections.retain(|it| it.strong_count() > 0);
        connections.push(Arc::downgrade(&connection));
        drop(connections);
        connection
    }

    /// What is free for a kind on all connections.
    pub(super) fn room(&self, kind: Kind) -> &Arc<Semaphore> {
        &self.rooms[kind as usize]
    }

    /// Bytes of all kinds that wait.
    pub(super) fn waiting(&self) -> usize {
        let free: usize = self.rooms.iter().map(|it| it.available_permits()).sum();
        KINDS * self.caps.node - free
    }

    /// Cuts off the client who is the latest to take his answers of a kind, if one is beyond all
    /// patience; one at a time.
    pub(super) fn make_room(&self, kind: Kind) {
        let connections = self.connections();
        let all = connections.iter().filter_map(Weak::upgrade);
        let mut latest: Option<(Duration, Arc<Connection>)> = None;
        for connection in all {
            let Some(late) = connection.late(kind) else {
                continue;
            };
            if connection.is_cut_off() {
                return;
            }
            if latest.as_ref().is_none_or(|(most, _)| late > *most) {
                latest = Some((late, connection));
            }
        }
        if let Some((late, latest)) = latest {
            tracing::info!(
                ?latest,
                ?late,
                "cut off a client who does not take his answers, or too slowly: others find no room"
            );
            latest.cut_off();
        }
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Weak<Connection>>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
