//! A node's home: where each of its files is.

use crate::{Error, Genesis, NodeConfig};
use crypto::{KeyFile, NodeId, SecretKey};
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The directory of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

/// All that a node is started from, checked against each other.
#[derive(Debug)]
pub struct Loaded {
    /// Who it is: the validator of its consensus key.
    pub me: NodeId,
    /// What all nodes agree on.
    pub genesis: Genesis,
    /// Its own settings.
    pub config: NodeConfig,
    /// Signs its statements.
    pub consensus_key: SecretKey,
    /// Proves who it is on the network.
    pub network_key: SecretKey,
    /// The data directory.
    pub data: PathBuf,
}

impl Home {
    /// The node at this directory.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }
    /// The directory itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.0
    }
    /// `node.toml`.
    #[must_use]
    pub fn node_toml(&self) -> PathBuf {
        self.0.join("node.toml")
    }
    /// `genesis.toml`.
    #[must_use]
    pub fn genesis_toml(&self) -> PathBuf {
        self.0.join("genesis.toml")
    }
    /// `keys/consensus.key`.
    #[must_use]
    pub fn consensus_key(&self) -> PathBuf {
        self.0.join("keys/consensus.key")
    }
    /// `keys/network.key`.
    #[must_use]
    pub fn network_key(&self) -> PathBuf {
        self.0.join("keys/network.key")
    }
    /// `node.pid`: the running process.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.0.join("node.pid")
    }
    /// `node.log`: what a node that was started by `testnet` printed.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.0.join("node.log")
    }
    /// The data directory that a configuration names.
    #[must_use]
    pub fn data(&self, config: &NodeConfig) -> PathBuf {
        self.0.join(&config.store.dir)
    }

    /// Writes a new node's files; nothing is overwritten. The data directory is the store's.
    ///
    /// # Errors
    /// If one of them exists or cannot be written.
    pub fn create(
        &self,
        genesis: &Genesis,
        config: &NodeConfig,
        consensus_key: &SecretKey,
        network_key: &SecretKey,
    ) -> Result<(), Error> {
        let keys = self.0.join("keys");
        fs::create_dir_all(&keys).map_err(|error| failed(&keys, &error))?;
        KeyFile::create(&self.consensus_key(), consensus_key)?;
        KeyFile::create(&self.network_key(), network_key)?;
        write_text(&self.genesis_toml(), &genesis.to_toml())?;
        write_text(&self.node_toml(), &config.to_toml())
    }

    /// Reads all of a node's files and checks them against each other.
    ///
    /// # Errors
    /// The first fault.
    pub fn load(&self) -> Result<Loaded, Error> {
        let config = NodeConfig::load(&self.node_toml())?;
        let genesis = Genesis::load(&self.genesis_toml())?;
        config.suits(&self.node_toml(), &genesis)?;
        let consensus_key = KeyFile::read(&self.consensus_key())?;
        let network_key = KeyFile::read(&self.network_key())?;
        let Some(me) = genesis.member(&consensus_key.public()) else {
            return Err(Error::NotMember {
                path: self.consensus_key(),
                n: genesis.n(),
            });
        };
        if genesis.validators[me.index()].network_key != network_key.public() {
            return Err(Error::WrongNetworkKey {
                path: self.network_key(),
                node: me,
            });
        }
        let data = self.data(&config);
        Ok(Loaded {
            me,
            genesis,
            config,
            consensus_key,
            network_key,
            data,
        })
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    let remedy = match error.kind() {
        ErrorKind::NotFound => "make a home with `quorate genesis` or `quorate testnet`",
        ErrorKind::AlreadyExists => {
            "nothing is overwritten; choose another directory or move this one away"
        }
        ErrorKind::InvalidData => "restore it from a backup or from another node",
        _ => "check the path and its permissions",
    };
    Error::File {
        path: path.into(),
        reason: error.to_string(),
        remedy,
    }
}

/// Reads a text of at most `limit` bytes.
pub(crate) fn read_text(path: &Path, limit: usize) -> Result<String, Error> {
    let failed = |error| failed(path, &error);
    // A pipe or device would block or never end: looked at before it is opened.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::new(
            ErrorKind::InvalidData,
            "not a file",
        )));
    }
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(limit as u64 + 1).read_to_string(&mut text))
        .map_err(failed)?;
    if text.len() > limit {
        return Err(failed(std::io::Error::new(
            ErrorKind::InvalidData,
            format!("longer than {limit} bytes"),
        )));
    }
    Ok(text)
}

fn write_text(path: &Path, text: &str) -> Result<(), Error> {
    File::create_new(path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        })
        .map_err(|error| failed(path, &error))
}

#[cfg(test)]
mod tests;
