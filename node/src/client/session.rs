//! A client key's session: signs with the next sequence.

use super::{Client, ClientError};
use crate::rpc::proto::{Receipt, Wait};
use bytes::Bytes;
use crypto::{ChainId, Digest, Height, SecretKey, Signature, Transaction};
use tonic::Code;

/// How often a sequence that somebody else used meanwhile is replaced.
const FRESH_SEQUENCES: usize = 8;

/// A key in use: what its next transaction must name.
pub struct Session {
    key: SecretKey,
    chain: ChainId,
    next: u64,
    height: u64,
    lifetime: u64,
    /// The chain wants no signatures.
    unsigned: bool,
}

impl Session {
    /// Asks the cluster where this key's session stands.
    ///
    /// # Errors
    /// As [`ClientError`].
    pub async fn open(client: &Client, key: SecretKey) -> Result<Self, ClientError> {
        let mut session = Self {
            key,
            chain: ChainId::default(),
            next: 1,
            height: 0,
            lifetime: 1,
            unsigned: false,
        };
        session.refresh(client).await?;
        Ok(session)
    }

    /// Asks again: after a pause, or if the key is in use elsewhere too.
    ///
    /// # Errors
    /// As [`ClientError`].
    pub async fn refresh(&mut self, client: &Client) -> Result<(), ClientError> {
        let answer = client.next_sequence(self.key.public()).await?;
        let chain = <[u8; 32]>::try_from(&answer.chain[..])
            .map_err(|_| ClientError::Nonsense("a chain id of other than 32 bytes".into()))?;
        self.chain = ChainId(Digest(chain));
        self.next = self.next.max(answer.next_sequence);
        self.observe(answer.height);
        self.lifetime = answer.lifetime;
        self.unsigned = answer.unsigned;
        Ok(())
    }

    /// Tells it of a height that the cluster has reached: expiries count from there.
    pub fn observe(&mut self, height: u64) {
        self.height = self.height.max(height);
    }

    /// The highest height that it was told of.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.height
    }

    /// The sequence of the next transaction.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Whose session it is.
    #[must_use]
    pub fn client(&self) -> crypto::PublicKey {
        self.key.public()
    }

    /// Signs a body, unless the chain wants no signatures, with the next sequence. It expires half a lifetime from the height last seen:
    /// late enough to be retried, and not too far ahead for a node that lags a little.
    pub fn sign(&mut self, body: Bytes) -> Transaction {
        let mut transaction = Transaction {
            format: crypto::transaction::FORMAT,
            chain: self.chain,
            client: self.key.public(),
            sequence: self.next,
            expires: Height(self.height.saturating_add((self.lifetime / 2).max(1))),
            body,
            signature: Signature::NONE,
        };
        // A node that lies about it gains nothing: no other takes the transaction then.
        if !self.unsigned {
            transaction.signature = self.key.sign(&transaction.digest());
        }
        self.next = self.next.saturating_add(1);
        transaction
    }

    /// Signs, submits and waits for the receipt. A sequence that another user of the key took
    /// meanwhile can never be this transaction's: it is signed anew with a fresh one.
    ///
    /// # Errors
    /// As [`ClientError`]; after a time-out the outcome is unknown.
    pub async fn execute(&mut self, client: &Client, body: Bytes) -> Result<Receipt, ClientError> {
        let mut tries = 0;
        loop {
            let transaction = self.sign(body.clone());
            match client.submit(&transaction, Wait::Committed).await {
                Err(ClientError::Refused(status))
                    if status.code() == Code::AlreadyExists && tries < FRESH_SEQUENCES =>
                {
                    tries += 1;
                    self.refresh(client).await?;
                }
                Ok(receipt) => {
                    self.observe(receipt.height);
                    return Ok(receipt);
                }
                Err(error) => return Err(error),
            }
        }
    }
}
