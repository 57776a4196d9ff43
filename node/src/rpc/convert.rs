//! From the wire's types to ours and back.

use super::{proto, refusal};
use bytes::Bytes;
use crypto::{ChainId, Digest, Height, PublicKey, Signature, Transaction};
use storage::Outcome;
use storage::kv::{Pair, Reply};
use tonic::Status;

impl From<&Transaction> for proto::Transaction {
    fn from(t: &Transaction) -> Self {
        Self {
            format: t.format.into(),
            chain: bytes_of(&t.chain.0),
            client: Bytes::copy_from_slice(&t.client.0),
            sequence: t.sequence,
            expires: t.expires.0,
            body: t.body.clone(),
            signature: Bytes::copy_from_slice(&t.signature.0),
        }
    }
}

impl TryFrom<proto::Transaction> for Transaction {
    type Error = Status;

    fn try_from(t: proto::Transaction) -> Result<Self, Status> {
        let format = u16::try_from(t.format).map_err(|_| {
            let supported = crypto::transaction::FORMAT;
            invalid(format!(
                "transaction.format is {}: this node knows {supported}",
                t.format
            ))
        })?;
        Ok(Self {
            format,
            chain: ChainId(Digest(array("transaction.chain", &t.chain)?)),
            // Whether it is a key is asked with the signature, if there is one.
            client: PublicKey(array("transaction.client", &t.client)?),
            sequence: t.sequence,
            expires: Height(t.expires),
            body: t.body,
            signature: match &t.signature[..] {
                [] => Signature::NONE,
                bytes => Signature(array("transaction.signature", bytes)?),
            },
        })
    }
}

/// A digest's bytes.
pub(super) fn bytes_of(digest: &Digest) -> Bytes {
    Bytes::copy_from_slice(&digest.0)
}

/// A public key from the wire.
pub(super) fn public_key(field: &str, bytes: &[u8]) -> Result<PublicKey, Status> {
    PublicKey::checked(array(field, bytes)?)
        .map_err(|_| invalid(format!("{field} is no Ed25519 key, or a weak one")))
}

/// INVALID_ARGUMENT, naming the field.
pub(super) fn invalid(message: impl Into<String>) -> Status {
    Status::invalid_argument(message)
}

fn array<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], Status> {
    bytes
        .try_into()
        .map_err(|_| invalid(format!("{field} has {} bytes, not {N}", bytes.len())))
}

/// The answer to a transaction that was ordered: its receipt, or why it took no effect.
pub(super) fn receipt(done: &storage::Receipt) -> Result<proto::Receipt, Status> {
    let (succeeded, replies) = match &done.outcome {
        Outcome::Done { succeeded, replies } => (*succeeded, replies),
        Outcome::FutureRevision => {
            return Err(Status::out_of_range(
                "a range names a revision that does not exist yet: nothing was done; sign anew",
            ));
        }
        Outcome::Invalid => return Err(invalid("transaction.body is no list of operations")),
        Outcome::Expired | Outcome::TooFarAhead => {
            return Err(refusal::expired(done.height));
        }
        Outcome::SequenceUsed => return Err(refusal::sequence_used()),
        Outcome::SequenceTooOld => {
            return Err(Status::failed_precondition(
                "transaction.sequence is so far below the client's newest that what became of it \
                 is forgotten: ask Session for the next one",
            ));
        }
        Outcome::TooMuchRead => {
            return Err(invalid(
                "transaction.body compares values that are longer together than one transaction may \
                 read: nothing was done; compare by version or modified, or split it, and sign anew",
            ));
        }
        Outcome::Crowded => {
            return Err(Status::resource_exhausted(
                "the transactions before it at its height have read too much: nothing was done; send \
                 the same one again",
            ));
        }
        Outcome::TooManySessions => {
            return Err(Status::resource_exhausted(
                "the chain has as many clients as its genesis file allows: try again when one has \
                 been idle for a lifetime, or use a key that has a session",
            ));
        }
    };
    Ok(proto::Receipt {
        id: bytes_of(&done.transaction),
        height: done.height.0,
        index: done.index,
        revision: done.revision,
        succeeded,
        results: replies.iter().flatten().map(result).collect(),
        repeated: done.repeated,
        results_dropped: replies.is_none(),
    })
}

fn result(reply: &Reply) -> proto::OperationResult {
    use proto::operation_result::Result;
    let result = match reply {
        Reply::Put { version } => Result::Put(proto::PutResult { version: *version }),
        Reply::Delete { existed } => Result::Delete(proto::DeleteResult { existed: *existed }),
        Reply::Range { pairs, more } => Result::Range(proto::RangeResult {
            kvs: pairs.iter().map(key_value).collect(),
            more: *more,
            next_key: match pairs.last() {
                Some(last) if *more => last.behind(),
                _ => bytes::Bytes::new(),
            },
        }),
        Reply::Part { pairs, next } => Result::Range(proto::RangeResult {
            kvs: pairs.iter().map(key_value).collect(),
            more: true,
            next_key: next.clone(),
        }),
    };
    proto::OperationResult {
        result: Some(result),
    }
}

/// A key with its value, for the wire.
pub(super) fn key_value(pair: &Pair) -> proto::KeyValue {
    proto::KeyValue {
        key: pair.key.clone(),
        value: pair.value.clone(),
        create_revision: pair.created,
        mod_revision: pair.modified,
        version: pair.version,
    }
}

#[cfg(test)]
mod tests;
