//! From the wire's types to ours and back.

use super::proto;
use bytes::Bytes;
use crypto::{ChainId, Digest, Height, PublicKey, Signature, Transaction};
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
            client: public_key("transaction.client", &t.client)?,
            sequence: t.sequence,
            expires: Height(t.expires),
            body: t.body,
            signature: Signature(array("transaction.signature", &t.signature)?),
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
