//! Bytes of an answer that are counted until its connection has got rid of them.

use super::answers::Kind;
use super::connection::Connection;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Answers shorter than this are copied: the encoder's buffer is as long as this, whatever is in it.
pub(super) const SHORT: usize = 8 << 10;

/// Room for an answer.
#[derive(Debug)]
pub(super) struct Room {
    /// Where it will wait.
    pub(super) connection: Arc<Connection>,
    /// What it is.
    pub(super) kind: Kind,
    /// What it takes on its connection.
    pub(super) own: OwnedSemaphorePermit,
    /// And on all of them.
    pub(super) node: OwnedSemaphorePermit,
}

impl Room {
    /// The answer is there, and has so many bytes; gives back what it does not need.
    pub(super) fn answer(mut self, bytes: usize) -> Held {
        let rest = self.own.num_permits().saturating_sub(bytes);
        drop(self.split(rest));
        let account = self.connection.account(self.kind);
        account.gave(self.own.num_permits());
        Held(self)
    }

    /// How many bytes it is for.
    pub(super) fn bytes(&self) -> usize {
        self.own.num_permits()
    }

    /// As [`Self::answer`], also of an answer that is longer than was thought.
    ///
    /// # Errors
    /// This, if there is no room for what it is longer.
    pub(super) fn exactly(mut self, bytes: usize) -> Result<Held, Self> {
        let whole = self.connection.count(bytes) as usize;
        let more = whole.saturating_sub(self.bytes());
        if more > 0 {
            match self.connection.try_reserve(self.kind, more) {
                Ok(Self { own, node, .. }) => {
                    self.own.merge(own);
                    self.node.merge(node);
                }
                Err(_) => return Err(self),
            }
        }
        Ok(self.answer(bytes))
    }

    fn split(&mut self, bytes: usize) -> Self {
        let part = |whole: &mut OwnedSemaphorePermit| {
            let part = whole.split(bytes);
            part.expect("no more than there is")
        };
        Self {
            connection: self.connection.clone(),
            kind: self.kind,
            own: part(&mut self.own),
            node: part(&mut self.node),
        }
    }
}

/// Bytes of an answer that are counted until this is dropped.
#[derive(Debug)]
pub(super) struct Held(Room);

impl Held {
    /// How many.
    pub(super) fn bytes(&self) -> usize {
        self.0.own.num_permits()
    }

    /// Of which kind.
    pub(super) fn kind(&self) -> Kind {
        self.0.kind
    }

    /// A part of it, or all of it if it has no more.
    pub(super) fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes());
        Self(self.0.split(bytes))
    }

    /// Adds another, of the same kind and connection.
    pub(super) fn merge(&mut self, mut other: Self) {
        let all = other.bytes();
        let Room { own, node, .. } = other.0.split(all);
        self.0.own.merge(own);
        self.0.node.merge(node);
    }

    /// The bytes, which nobody else has, with what counts them.
    pub(super) fn attach(all: Vec<Self>, bytes: Bytes) -> Bytes {
        let bytes = match bytes.len() {
            ..SHORT => Bytes::copy_from_slice(&bytes),
            _ => bytes,
        };
        Bytes::from_owner(Counted { bytes, _held: all })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let account = self.0.connection.account(self.0.kind);
        account.taken(self.bytes());
    }
}

struct Counted {
    bytes: Bytes,
    _held: Vec<Held>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
