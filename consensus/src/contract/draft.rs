//! Messages that are not signed yet: the shell signs, after the fence.

use super::Message;
use crypto::{Signature, Statement};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// A message not yet signed. The guard stores it, so that the same one can be sent again.
pub trait Draft: Clone + Debug + Serialize + DeserializeOwned + Send + 'static {
    /// What it becomes.
    type Message;
    /// What has to be signed. `None` promises nothing and needs no signature. (Raft's grants return
    /// a statement, so that they pass the guard, and ignore the signature.)
    fn statement(&self) -> Option<Statement>;
    /// The finished message.
    fn seal(self, signature: Option<Signature>) -> Self::Message;
}

/// A message that holds its author's own signature.
pub trait Signed: Message {
    /// Puts the signature into its place; into a message that is not signed, nothing.
    fn sign(&mut self, signature: Signature);
}

/// A message whose own signature is still [`Signature::NONE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unsigned<M>(pub M);

impl<M: Signed> Draft for Unsigned<M> {
    type Message = M;

    fn statement(&self) -> Option<Statement> {
        self.0.statement().map(|(_, statement, _)| statement)
    }
    fn seal(self, signature: Option<Signature>) -> M {
        let mut message = self.0;
        if let Some(signature) = signature {
            message.sign(signature);
        }
        message
    }
}
