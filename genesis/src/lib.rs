//! What a node is started from: the genesis file, which all nodes share, and the own `node.toml`
//! and keys; and the builder that makes them for a testnet.
//!
//! Every contradiction is one [`Error`] which names the file, the line and the field, and the way
//! out.

mod document;
mod duration;
mod error;
mod hex_key;
mod home;
mod limits;
mod node_config;
mod protocol;
mod spec;
mod testnet;

pub use error::Error;
pub use home::{Home, Loaded};
pub use limits::Limits;
pub use node_config::{Listen, Log, LogFormat, NodeConfig, Pool, Rpc, Store, Timing};
pub use protocol::{ClientAuth, Protocol};
pub use spec::{Genesis, Spec, ValidatorSpec};
pub use testnet::{BuiltNode, BuiltTestnet, Ports, Testnet};

/// Draws from the system's entropy.
///
/// # Errors
/// If the system has none.
pub fn entropy(seed: &mut [u8; 32]) -> Result<(), Error> {
    getrandom::fill(seed).map_err(|error| Error::File {
        path: "/dev/urandom".into(),
        reason: error.to_string(),
        remedy: "no key can be made without entropy",
    })
}

/// Makes a secret key of the system's entropy.
///
/// # Errors
/// If the system has none.
pub fn new_key() -> Result<crypto::SecretKey, Error> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    entropy(&mut seed)?;
    Ok(crypto::SecretKey::from_seed(&seed))
}
