//! The builder of testnets: all keys of all nodes made in one place, which is right for tests and
//! trials only.

use crate::{ClientAuth, Error, Genesis, Home, Limits, NodeConfig, Protocol, Spec, ValidatorSpec};
use crypto::{FaultModel, Hasher, SecretKey};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use zeroize::Zeroizing;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The ports of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// For the other validators.
    pub p2p: u16,
    /// gRPC.
    pub rpc: u16,
    /// HTTP for the operator.
    pub http: u16,
}

impl Ports {
    /// Those of node i of a testnet: base + 10 i, and the two above.
    ///
    /// # Errors
    /// A sentence, if the last one would be beyond 65535.
    pub fn series(base: u16, nodes: usize) -> Result<Vec<Ports>, String> {
        (0..nodes)
            .map(|i| {
                let p2p = u16::try_from(usize::from(base) + 10 * i).ok()?;
                Some(Ports { p2p, rpc: p2p.checked_add(1)?, http: p2p.checked_add(2)? })
            })
            .collect::<Option<_>>()
            .ok_or_else(|| {
                format!("base port {base} leaves no room for {nodes} nodes (10 ports each); choose a lower one")
            })
    }
}

/// What a testnet shall be.
#[derive(Clone, Debug)]
pub struct Testnet {
    /// Its name.
    pub chain: String,
    /// Where peers reach the nodes. Clients and operators reach them on loopback only.
    pub host: IpAddr,
    /// One a node.
    pub ports: Vec<Ports>,
    /// What a faulty node may do.
    pub fault_model: FaultModel,
    /// Who orders.
    pub protocol: Protocol,
    /// Views a leader keeps.
    pub tenure: u64,
    /// Whether clients sign.
    pub client_auth: ClientAuth,
    /// See [`Spec::commit_quorum`].
    pub commit_quorum: Option<u16>,
    /// See [`Spec::election_quorum`].
    pub election_quorum: Option<u16>,
    /// See [`Spec::lease_drift`].
    pub lease_drift: Option<u8>,
    /// Limits.
    pub limits: Limits,
}

/// One node of it.
#[derive(Debug)]
pub struct BuiltNode {
    /// Its settings.
    pub config: NodeConfig,
    /// Signs its statements.
    pub consensus_key: SecretKey,
    /// Proves who it is on the network.
    pub network_key: SecretKey,
}

/// A testnet's genesis and nodes, not yet written anywhere.
#[derive(Debug)]
pub struct BuiltTestnet {
    /// What all agree on.
    pub genesis: Genesis,
    /// In the order of their ids.
    pub nodes: Vec<BuiltNode>,
    /// A client's key.
    pub client_key: SecretKey,
}

impl Testnet {
    /// HotStuff on loopback with the default limits.
    #[must_use]
    pub fn new(ports: Vec<Ports>) -> Self {
        Self {
            chain: "testnet".into(),
            host: LOOPBACK,
            ports,
            fault_model: FaultModel::Byzantine,
            protocol: Protocol::Hotstuff,
            tenure: crate::spec::TENURE,
            client_auth: ClientAuth::Signed,
            commit_quorum: None,
            election_quorum: None,
            lease_drift: None,
            limits: Limits::default(),
        }
    }

    /// Makes keys of the system's entropy, and the genesis and settings.
    ///
    /// # Errors
    /// The first contradiction, or that the system has no entropy.
    pub fn build(&self) -> Result<BuiltTestnet, Error> {
        let mut seed = Zeroizing::new([0; 32]);
        crate::entropy(&mut seed)?;
        self.build_from(&seed)
    }

    /// As [`Testnet::build`], all drawn from a seed: the same every time, for tests.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn build_from(&self, seed: &[u8; 32]) -> Result<BuiltTestnet, Error> {
        let draw = |purpose: &str, i: usize| {
            let mut hasher = Hasher::new("quorate/v1/testnet-key");
            Zeroizing::new(
                hasher
                    .bytes(seed)
                    .bytes(purpose.as_bytes())
                    .number(i as u64)
                    .finish()
                    .0,
            )
        };
        let mut validators = Vec::new();
        let mut nodes = Vec::new();
        for (i, ports) in self.ports.iter().enumerate() {
            let consensus_key = SecretKey::from_seed(&draw("consensus", i));
            let network_key = SecretKey::from_seed(&draw("network", i));
            let on = |port| SocketAddr::new(self.host, port);
            // What is not encrypted stays on the machine.
            let local = if self.host.is_loopback() {
                self.host
            } else {
                LOOPBACK
            };
            let at = |port| SocketAddr::new(local, port);
            validators.push(ValidatorSpec {
                name: format!("node{i}"),
                consensus_key: consensus_key.public(),
                network_key: network_key.public(),
                address: on(ports.p2p).to_string(),
            });
            let config = NodeConfig::new(on(ports.p2p), at(ports.rpc), at(ports.http));
            nodes.push(BuiltNode {
                config,
                consensus_key,
                network_key,
            });
        }
        let genesis = Genesis::new(Spec {
            chain: self.chain.clone(),
            nonce: hex::encode(*draw("nonce", 0)),
            fault_model: self.fault_model,
            protocol: self.protocol,
            tenure: self.tenure,
            client_auth: self.client_auth,
            commit_quorum: self.commit_quorum,
            election_quorum: self.election_quorum,
            lease_drift: self.lease_drift,
            election_timeout: None,
            clients: Vec::new(),
            limits: self.limits.clone(),
            validators,
        })?;
        Ok(BuiltTestnet {
            genesis,
            nodes,
            client_key: SecretKey::from_seed(&draw("client", 0)),
        })
    }
}

impl BuiltTestnet {
    /// Writes the homes `node0`, `node1`, ... and `client.key` below a directory.
    ///
    /// # Errors
    /// If one of the files exists or cannot be written.
    pub fn write(&self, dir: &Path) -> Result<Vec<Home>, Error> {
        let mut homes = Vec::new();
        for (i, node) in self.nodes.iter().enumerate() {
            let home = Home::new(dir.join(format!("node{i}")));
            home.create(
                &self.genesis,
                &node.config,
                &node.consensus_key,
                &node.network_key,
            )?;
            homes.push(home);
        }
        crypto::KeyFile::create(&dir.join("client.key"), &self.client_key)?;
        Ok(homes)
    }
}

#[cfg(test)]
mod tests;
