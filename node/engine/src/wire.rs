//! The frames that nodes exchange.

use crate::Class;
use bytes::Bytes;
use consensus::{Message, replica};
use crypto::{Reject, codec};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Frames longer than this travel with the bulk, unless they keep an order: they must not delay votes.
const LARGE: usize = 64 << 10;

/// What one frame holds. Variants are numbered in this order on the wire: add at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Frame<M> {
    /// Of the protocol, or of the shell around it.
    Replica(replica::Wire<M>),
    /// Of the pool.
    Pool(mempool::Message),
}

/// Encodes a protocol's or the shell's message, and says on which stream it travels.
pub(crate) fn encode_replica<M: Message>(message: &replica::Wire<M>) -> (Class, Bytes) {
    /// [`Frame::Replica`] by reference: the same bytes without a copy of the message.
    #[derive(Serialize)]
    enum ByRef<'a, M> {
        Replica(&'a replica::Wire<M>),
    }
    let bytes = codec::encode(&ByRef::Replica(message));
    let class = if bytes.len() > LARGE && !message.keeps_order() {
        Class::Bulk
    } else {
        Class::Control
    };
    (class, bytes.into())
}

/// Encodes a message of the pool, and says on which stream it travels.
pub(crate) fn encode_pool(message: mempool::Message) -> (Class, Bytes) {
    let class = if message.is_bulk() {
        Class::Bulk
    } else {
        Class::Control
    };
    (class, codec::encode(&Frame::<()>::Pool(message)).into())
}

/// Decodes a frame.
///
/// # Errors
/// [`Reject::TooLong`], [`Reject::Undecodable`].
pub fn decode<M: DeserializeOwned>(frame: &Bytes, limit: usize) -> Result<Frame<M>, Reject> {
    if frame.len() > limit {
        return Err(Reject::TooLong);
    }
    codec::decode(frame).map_err(|_| Reject::Undecodable)
}
