//! A client's connection, as far as its answers are concerned.

use super::account::Account;
use super::answers::{Answers, KINDS, Kind};
use super::blocks::SHARE;
use super::held::{Held, Room};
use super::outcome::Expected;
use super::refusal::later;
use crypto::Time;
use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Request, Status};

/// Between two looks for somebody who is to be cut off.
const LOOK: Duration = Duration::from_millis(100);
/// Of the ranges that are read without room, those of one connection.
const READS: usize = 8;
/// When who finds no room may try again.
const RETRY: Time = Time::millis(100);

/// See the module.
pub(super) struct Connection {
    answers: Arc<Answers>,
    accounts: [Account; KINDS],
    /// The streams of blocks that it may still open.
    pub(super) streams: Arc<Semaphore>,
    /// How long what becomes of its transactions is.
    pub(super) expected: Expected,
    reads: Arc<Semaphore>,
    /// When its client last took anything.
    took: Mutex<Instant>,
    client: Option<SocketAddr>,
    cut: CancellationToken,
}

impl Connection {
    /// One on which nothing waits; `None`: the client calls from within the process.
    pub(super) fn new(answers: Arc<Answers>, client: Option<SocketAddr>) -> Self {
        let cap = answers.caps.connection;
        Self {
            answers,
            accounts: std::array::from_fn(|_| Account::new(cap)),
            streams: Arc::new(Semaphore::new(SHARE)),
            expected: Expected::new(),
            reads: Arc::new(Semaphore::new(READS)),
            took: Mutex::new(Instant::now()),
            client,
            cut: CancellationToken::new(),
        }
    }

    /// That on which a request has come.
    pub(super) fn of<T>(request: &Request<T>) -> Arc<Self> {
        let connection = request.extensions().get::<Arc<Self>>();
        connection.expect("each request is given it").clone()
    }

    /// Waits until there is room for an answer of at most so many bytes.
    pub(super) async fn reserve(self: &Arc<Self>, kind: Kind, bytes: usize) -> Room {
        let own = self.own(kind, bytes).await;
        self.with_nodes(kind, own).await
    }

    /// The same, for so long.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED then: says whose answers are in the way.
    pub(super) async fn reserve_by(
        self: &Arc<Self>,
        kind: Kind,
        bytes: usize,
        end: tokio::time::Instant,
    ) -> Result<Room, Status> {
        let own = timeout_at(end, self.own(kind, bytes)).await;
        let own = own.map_err(|_| self.full())?;
        let both = timeout_at(end, self.with_nodes(kind, own)).await;
        both.map_err(|_| crowded())
    }

    /// Room on this connection.
    async fn own(&self, kind: Kind, bytes: usize) -> OwnedSemaphorePermit {
        let room = self.account(kind).room.clone();
        let own = room.acquire_many_owned(self.count(bytes)).await;
        own.expect("it is never closed")
    }

    /// As much on the node.
    async fn with_nodes(self: &Arc<Self>, kind: Kind, own: OwnedSemaphorePermit) -> Room {
        let bytes = u32::try_from(own.num_permits()).unwrap_or(u32::MAX);
        let mut node = pin!(self.answers.room(kind).clone().acquire_many_owned(bytes));
        let node = loop {
            tokio::select! {
                node = &mut node => break node.expect("it is never closed"),
                () = tokio::time::sleep(LOOK) => self.make_room(kind),
            }
        };
        let connection = self.clone();
        Room {
            connection,
            kind,
            own,
            node,
        }
    }

    /// Room for at most so many bytes, if there is some.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED if there is none: says whose answers are in the way.
    pub(super) fn try_reserve(self: &Arc<Self>, kind: Kind, bytes: usize) -> Result<Room, Status> {
        let count = self.count(bytes);
        let own = self.account(kind).room.clone();
        let own = own.try_acquire_many_owned(count);
        let own = own.map_err(|_| self.full())?;
        let node = self.answers.room(kind).clone();
        let node = node.try_acquire_many_owned(count).map_err(|_| {
            self.make_room(kind);
            crowded()
        })?;
        let connection = self.clone();
        Ok(Room {
            connection,
            kind,
            own,
            node,
        })
    }

    /// Counts an answer that is there.
    ///
    /// # Errors
    /// As [`Self::try_reserve`].
    pub(super) fn admit(self: &Arc<Self>, kind: Kind, bytes: usize) -> Result<Held, Status> {
        Ok(self.try_reserve(kind, bytes)?.answer(bytes))
    }

    /// Leave to read a range without room for what it finds.
    pub(super) async fn read(&self) -> [OwnedSemaphorePermit; 2] {
        // The own first: who has many under way does not stand in the way of others.
        let own = self.reads.clone().acquire_owned().await;
        let node = self.answers.reads.clone().acquire_owned().await;
        [own, node].map(|it| it.expect("it is never closed"))
    }

    /// Its client took something.
    pub(super) fn took(&self) {
        *self.took.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// By how much its client is late to take what waits of a kind; `None`: he is not.
    pub(super) fn late(&self, kind: Kind) -> Option<Duration> {
        let took = *self.took.lock().unwrap_or_else(PoisonError::into_inner);
        self.account(kind).late(self.answers.caps.patience, took)
    }

    /// See [`Answers::make_room`].
    pub(super) fn make_room(&self, kind: Kind) {
        self.answers.make_room(kind);
    }

    /// Closes it, whatever waits on it.
    pub(super) fn cut_off(&self) {
        self.cut.cancel();
    }

    /// Whether it is to be closed.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut.is_cancelled()
    }

    /// Comes when it is to be closed.
    pub(super) fn end(&self) -> WaitForCancellationFutureOwned {
        self.cut.clone().cancelled_owned()
    }

    /// That its client has to take something first.
    fn full(&self) -> Status {
        let most = self.answers.caps.connection;
        let message = format!(
            "answers of up to {most} bytes wait on this connection: take them, then ask again"
        );
        later(Code::ResourceExhausted, message, RETRY)
    }

    /// What is counted for an answer: one that is longer than all room takes all of it.
    pub(super) fn count(&self, bytes: usize) -> u32 {
        let caps = self.answers.caps;
        let most = caps.connection.min(caps.node);
        u32::try_from(bytes.min(most)).unwrap_or(u32::MAX)
    }

    /// What waits of a kind.
    pub(super) fn account(&self, kind: Kind) -> &Account {
        &self.accounts[kind as usize]
    }
}

/// That others have to.
fn crowded() -> Status {
    let message = "the answers that other clients have not taken leave no room for this one: try again \
                   in 100 ms";
    later(Code::ResourceExhausted, message.into(), RETRY)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.client).finish()
    }
}
