//! Digests, keys, signatures, validator sets and quorums, signed statements, and the codec: the
//! vocabulary that every other crate speaks. It depends on nothing of ours.

pub mod batch;
pub mod certificate;
pub mod codec;
pub mod digest;
mod expanded;
pub mod id;
pub mod key;
pub mod key_file;
pub mod node_set;
pub mod payload;
pub mod planted;
pub mod quorum;
pub mod reject;
pub mod remembered;
pub mod scheme;
pub mod signed;
pub mod size;
pub mod statement;
pub mod transaction;
pub mod validators;
mod words;

pub use batch::{Batch, SealedBatch};
pub use certificate::Certificate;
pub use digest::{Digest, Hasher};
pub use id::{ChainId, Context, Epoch, Height, NodeId, Time, View};
pub use key::{PublicKey, SecretKey, Signature};
pub use key_file::{KeyFile, KeyFileError};
pub use node_set::NodeSet;
pub use payload::{BatchRef, Payload};
pub use quorum::{FaultModel, Quorums};
pub use reject::Reject;
pub use remembered::Remembered;
pub use scheme::{Ed25519, Scheme};
pub use signed::{Authenticate, Signer, Verified, Verifier};
pub use size::Size;
pub use statement::{Kind, Slot, Statement};
pub use transaction::Transaction;
pub use validators::{Validator, ValidatorSet};
