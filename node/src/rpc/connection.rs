//! A client's connection, as far as its answers are concerned.

use super::account::Account;
use super::answers::{Answers, KINDS, Kind};
use super::blocks::SHARE;
use super::held::{Held, Room};
use super::refusal::later;
use crypto::Time;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Request, Status};

/// Between two looks for somebody who is to be cut off.
const LOOK: Duration = Duration::from_millis(100);
/// When who finds no room may try again.
const RETRY: Time = Time::millis(100);

/// See the module.
pub(super) struct Connection {
    answers: Arc<Answers>,
    accounts: [Account; KINDS],
    /// The streams of blocks that it may still open.
    pub(super) streams: Arc<Semaphore>,
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
        let bytes = self.count(bytes);
        let acquire = |room: &Arc<Semaphore>| {
            let acquired = room.clone().acquire_many_owned(bytes);
            async move { acquired.await.expect("it is never closed") }
        };
        let own = acquire(&self.account(kind).room).await;
        let node = acquire(self.answers.room(kind));
        tokio::pin!(node);
        let node = loop {
            tokio::select! {
                node = &mut node => break node,
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

    /// Counts an answer that is there.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED if there is no room for it.
    pub(super) fn admit(self: &Arc<Self>, kind: Kind, bytes: usize) -> Result<Held, Status> {
        let count = self.count(bytes);
        let own = self.account(kind).room.clone();
        let own = own.try_acquire_many_owned(count);
        let own = own.map_err(|_| self.full())?;
        let node = self.answers.room(kind).clone();
        let node = node.try_acquire_many_owned(count).map_err(|_| {
            self.make_room(kind);
            let crowded = "the answers that clients have not taken leave no room for this one: try \
                           again in 100 ms; of a transaction GetReceipt tells what became";
            later(Code::ResourceExhausted, crowded.into(), RETRY)
        })?;
        let connection = self.clone();
        let room = Room {
            connection,
            kind,
            own,
            node,
        };
        Ok(room.answer(bytes))
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
    pub(super) fn full(&self) -> Status {
        let most = self.answers.caps.connection;
        let message = format!(
            "answers of up to {most} bytes wait on this connection: take them, then ask again; of a \
             transaction GetReceipt tells what became"
        );
        later(Code::ResourceExhausted, message, RETRY)
    }

    /// What is counted for an answer: one that is longer than all room takes all of it.
    fn count(&self, bytes: usize) -> u32 {
        let caps = self.answers.caps;
        let most = caps.connection.min(caps.node);
        u32::try_from(bytes.min(most)).unwrap_or(u32::MAX)
    }

    /// What waits of a kind.
    pub(super) fn account(&self, kind: Kind) -> &Account {
        &self.accounts[kind as usize]
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.client).finish()
    }
}
