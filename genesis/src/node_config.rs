//! `node.toml`: what is one node's own business. Nothing in it changes what the chain decides.

mod template;

use crate::Genesis;
use crate::document::{Document, MAX_BYTES};
use crate::duration;
use crate::error::{Error, Fault};
use crypto::Time;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The only format so far.
const FORMAT: u16 = 1;

/// Where the node listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// For the other validators.
    pub p2p: SocketAddr,
    /// gRPC, for clients.
    pub rpc: SocketAddr,
    /// HTTP, for the operator.
    pub http: SocketAddr,
    /// Allow `rpc` and `http` on an address that is not loopback, unencrypted.
    #[serde(default)]
    pub insecure: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one object a line.
    Json,
}

/// Logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Text or JSON.
    pub format: LogFormat,
    /// What is logged: a level, or directives such as `info,libp2p=warn`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info,libp2p_swarm=warn".into(),
        }
    }
}

/// The durable data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// The directory; one that is not absolute is taken from the node's home.
    pub dir: PathBuf,
    /// The state is flushed after so many bytes of changes.
    pub flush_bytes: u64,
    /// And at the latest after this time.
    #[serde(with = "duration")]
    pub flush_after: Time,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            dir: "data".into(),
            flush_bytes: 16 << 20,
            flush_after: Time::millis(60_000),
        }
    }
}

/// Timers, in nanoseconds here, in the file as text such as `300ms`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timing {
    /// A view's time-out while all goes well.
    #[serde(with = "duration")]
    pub timeout: Time,
    /// The most that repeated time-outs may raise it to.
    #[serde(with = "duration")]
    pub timeout_cap: Time,
    /// How often a promise is sent again while nothing moves.
    #[serde(with = "duration")]
    pub resend: Time,
    /// How long a leader waits for more payload when the last block was small.
    #[serde(with = "duration")]
    pub linger: Time,
    /// How long the first transaction of a batch waits for company; eight times that at most under load.
    #[serde(with = "duration")]
    pub batch_delay: Time,
    /// How often an idle connection is tried.
    #[serde(with = "duration")]
    pub heartbeat: Time,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            timeout: Time::millis(300),
            timeout_cap: Time::millis(10_000),
            resend: Time::millis(100),
            linger: Time::millis(1),
            batch_delay: Time(500_000),
            heartbeat: Time::millis(1_000),
        }
    }
}

/// Caps of what waits to be ordered, and of what waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pool {
    /// Transactions that wait.
    pub transactions: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Transactions of one client.
    pub per_client: usize,
    /// Bytes that wait to be sent to one peer on the control stream.
    pub control_bytes: usize,
    /// Bytes that wait to be sent to one peer on the bulk stream.
    pub bulk_bytes: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            transactions: 65_536,
            bytes: 64 << 20,
            per_client: 4_096,
            control_bytes: 16 << 20,
            bulk_bytes: 64 << 20,
        }
    }
}

/// Caps of the client interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rpc {
    /// Connections at a time.
    pub connections: usize,
    /// Requests under way at a time.
    pub requests: usize,
    /// Most entries that one range answers with.
    pub range_entries: usize,
}

impl Default for Rpc {
    fn default() -> Self {
        Self {
            connections: 1_024,
            requests: 16_384,
            range_entries: 10_000,
        }
    }
}

/// The contents of `node.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    format: u16,
    /// Addresses.
    pub listen: Listen,
    /// Logs.
    #[serde(default)]
    pub log: Log,
    /// Data.
    #[serde(default)]
    pub store: Store,
    /// Timers.
    #[serde(default)]
    pub timing: Timing,
    /// Queues of the node.
    #[serde(default)]
    pub pool: Pool,
    /// Caps of the client interface.
    #[serde(default)]
    pub rpc: Rpc,
}

impl NodeConfig {
    /// Defaults, with these addresses.
    #[must_use]
    pub fn new(p2p: SocketAddr, rpc: SocketAddr, http: SocketAddr) -> Self {
        Self {
            format: FORMAT,
            listen: Listen {
                p2p,
                rpc,
                http,
                insecure: false,
            },
            log: Log::default(),
            store: Store::default(),
            timing: Timing::default(),
            pool: Pool::default(),
            rpc: Rpc::default(),
        }
    }

    /// Reads a file's text; `file` names it in errors.
    ///
    /// # Errors
    /// The first fault, with its line.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let document = Document::new(file, text);
        document.format(FORMAT)?;
        let config: Self = document.read()?;
        config.check().map_err(|fault| document.fault(fault))?;
        Ok(config)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or the first fault, with its line.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::parse(
            &path.display().to_string(),
            &crate::home::read_text(path, MAX_BYTES)?,
        )
    }

    /// The file's text, each key explained.
    #[must_use]
    pub fn to_toml(&self) -> String {
        template::render(self)
    }

    /// Checks it against what all nodes of the chain agree on; `path` is where it was read.
    ///
    /// # Errors
    /// A time-out on which other nodes' leases may not rest.
    pub fn suits(&self, path: &Path, genesis: &Genesis) -> Result<(), Error> {
        let Some(least) = genesis.election_timeout else {
            return Ok(());
        };
        if self.timing.timeout >= least {
            return Ok(());
        }
        let (own, least) = (duration::text(self.timing.timeout), duration::text(least));
        let fault = Fault::new(
            "timing.timeout",
            format!(
                "{own} is below election_timeout in genesis.toml, {least}: this node could elect a \
                 leader while the one before still answers reads by its lease"
            ),
            format!("raise it to {least} or more"),
        );
        let text = crate::home::read_text(path, MAX_BYTES)?;
        Err(Document::new(&path.display().to_string(), &text).fault(fault))
    }

    fn check(&self) -> Result<(), Fault> {
        let listen = &self.listen;
        for (name, address) in [("rpc", listen.rpc), ("http", listen.http)] {
            if !address.ip().is_loopback() && !listen.insecure {
                return Err(Fault::new(
                    format!("listen.{name}"),
                    format!("{address} is not loopback, and nothing there is encrypted"),
                    "use 127.0.0.1, or set listen.insecure = true if the network is trusted",
                ));
            }
        }
        for (name, one, other) in [
            ("listen.rpc", listen.rpc, listen.p2p),
            ("listen.http", listen.http, listen.p2p),
            ("listen.http", listen.http, listen.rpc),
        ] {
            if one == other && one.port() != 0 {
                return Err(Fault::new(
                    name,
                    format!("{one} is used twice"),
                    "give each service a port of its own",
                ));
            }
        }
        self.check_timing()?;
        self.check_caps()
    }

    fn check_timing(&self) -> Result<(), Fault> {
        let t = &self.timing;
        let hour = Time::millis(3_600_000);
        let milli = Time::millis(1);
        for (name, value, low, high) in [
            ("timing.timeout", t.timeout, Time::millis(10), hour),
            ("timing.timeout_cap", t.timeout_cap, Time::millis(10), hour),
            ("timing.resend", t.resend, milli, hour),
            ("timing.linger", t.linger, Time(0), Time::millis(10_000)),
            (
                "timing.batch_delay",
                t.batch_delay,
                Time(0),
                Time::millis(10_000),
            ),
            (
                "timing.heartbeat",
                t.heartbeat,
                Time::millis(10),
                Time::millis(60_000),
            ),
            (
                "store.flush_after",
                self.store.flush_after,
                Time::millis(100),
                hour,
            ),
        ] {
            if value < low || value > high {
                let (value, low, high) = (
                    duration::text(value),
                    duration::text(low),
                    duration::text(high),
                );
                let problem = format!("{value} is not within {low} to {high}");
                return Err(Fault::new(
                    name,
                    problem,
                    "choose one within, or leave the key out for the default",
                ));
            }
        }
        if t.timeout > t.timeout_cap {
            let problem = format!("{} is below timing.timeout", duration::text(t.timeout_cap));
            return Err(Fault::new(
                "timing.timeout_cap",
                problem,
                "raise it to timing.timeout or more",
            ));
        }
        if t.linger >= t.timeout || t.batch_delay >= t.timeout {
            let name = if t.linger >= t.timeout {
                "timing.linger"
            } else {
                "timing.batch_delay"
            };
            return Err(Fault::new(
                name,
                "as long as the time-out, so every view would time out",
                "keep it far below timing.timeout",
            ));
        }
        Ok(())
    }

    fn check_caps(&self) -> Result<(), Fault> {
        let p = &self.pool;
        let (mib, gib) = (1 << 20, 1 << 30);
        for (name, value, low, high) in [
            ("pool.transactions", p.transactions, 1, 1 << 24),
            ("pool.bytes", p.bytes, mib, 64 * gib),
            ("pool.per_client", p.per_client, 1, 1 << 24),
            ("pool.control_bytes", p.control_bytes, mib, 64 * gib),
            ("pool.bulk_bytes", p.bulk_bytes, mib, 64 * gib),
            ("rpc.connections", self.rpc.connections, 1, 1 << 20),
            ("rpc.requests", self.rpc.requests, 1, 1 << 24),
            ("rpc.range_entries", self.rpc.range_entries, 1, 1 << 24),
            (
                "store.flush_bytes",
                usize::try_from(self.store.flush_bytes).unwrap_or(usize::MAX),
                mib,
                // With more the store would flush by itself, without a sync of the log before.
                64 * mib,
            ),
        ] {
            let (problem, remedy) = if value < low {
                (format!("{value} is below {low}"), "raise it")
            } else if value > high {
                (format!("{value} is above {high}"), "lower it")
            } else {
                continue;
            };
            let remedy = format!("{remedy}, or leave the key out for the default");
            return Err(Fault::new(name, problem, remedy));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
