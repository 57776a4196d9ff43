//! The first frame of every stream, in both directions.

use crypto::{ChainId, codec};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Version of all that travels between nodes. Nodes of different versions do not talk.
pub const WIRE_VERSION: u32 = 1;

/// Longest hello, in bytes: the frame limit until a peer is known to speak our language.
pub const MAX_HELLO: usize = 512;

/// Who speaks what on which chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`WIRE_VERSION`].
    pub wire: u32,
    /// The chain.
    pub chain: ChainId,
    /// `hotstuff`, `pbft` or `raft`.
    pub protocol: String,
    /// The program's version, for the operator's eyes only.
    pub build: String,
}

/// Why two nodes do not talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mismatch {
    /// The bytes are no hello.
    NoHello,
    /// Another wire version.
    Wire,
    /// Another chain: another genesis file.
    Chain,
    /// Another protocol.
    Protocol,
}

impl Mismatch {
    /// The name under which it is counted.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoHello => "no_hello",
            Self::Wire => "other_version",
            Self::Chain => "other_chain",
            Self::Protocol => "other_protocol",
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHello => "it does not say hello",
            Self::Wire => "it speaks another wire version: run the same release on all nodes",
            Self::Chain => "it is of another chain: give all nodes the same genesis.toml",
            Self::Protocol => "it runs another protocol",
        })
    }
}

impl Hello {
    /// Its bytes. Long strings are cut: it must fit into [`MAX_HELLO`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let cut = |text: &str| text.chars().filter(char::is_ascii).take(64).collect();
        codec::encode(&Hello {
            protocol: cut(&self.protocol),
            build: cut(&self.build),
            ..self.clone()
        })
    }

    /// Reads a peer's hello and compares it with this node's.
    ///
    /// # Errors
    /// The first difference that keeps them apart.
    pub fn check(&self, bytes: &[u8]) -> Result<Hello, Mismatch> {
        if bytes.len() > MAX_HELLO {
            return Err(Mismatch::NoHello);
        }
        let theirs: Hello = codec::decode(bytes).map_err(|_| Mismatch::NoHello)?;
        if theirs.wire != self.wire {
            Err(Mismatch::Wire)
        } else if theirs.chain != self.chain {
            Err(Mismatch::Chain)
        } else if theirs.protocol != self.protocol {
            Err(Mismatch::Protocol)
        } else {
            Ok(theirs)
        }
    }
}
