//! What a node is told when it starts.

use consensus::replica::ShellConfig;
use crypto::{Digest, FaultModel};

/// A node's configuration: all of it values, none of it read from files here.
#[derive(Clone, Debug)]
pub struct Setup {
    /// For the protocol.
    pub config: consensus::Config,
    /// For the shell around it.
    pub shell: ShellConfig,
    /// For the pool.
    pub pool: mempool::Config,
    /// The fault model, for the operator.
    pub fault_model: FaultModel,
    /// The protocol's name, for the operator.
    pub protocol: &'static str,
    /// The state digest of genesis.
    pub genesis_state: Digest,
    /// Most requests of clients that may wait at a time.
    pub requests: usize,
}
